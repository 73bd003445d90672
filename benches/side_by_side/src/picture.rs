//! The picture of the main table: what a row takes each way, a bar for each.

use std::fmt::Write as _;

use crate::results::{CONNECTING, Results, spread};
use crate::ways::Way;
use crate::work::Call;

/// How many rows the picture is of.
const ROWS: u64 = 1_000;

const LABELS: u32 = 310;
const BARS: u32 = 330;
const LINE: u32 = 26;

/// `None` where that many rows were not measured.
pub fn picture(results: &Results) -> Option<String> {
    let mut bars = Vec::new();
    for way in Way::ALL {
        let times = results.times(ROWS, way, Call::Create, CONNECTING);
        if let Some([median, ..]) = spread(&times) {
            bars.push((way, median.as_secs_f64() * 1e6 / 1_000.0));
        }
    }
    let most = bars.iter().map(|(_, time)| *time).reduce(f64::max)?;
    let (width, height) = (
        LABELS + BARS + 80,
        44 + LINE * u32::try_from(bars.len()).ok()?,
    );
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\" \
         aria-label=\"Microseconds for each of 1,000 rows, from connecting to the response to the commit\">\n\
         <style>text {{ font: 13px system-ui, sans-serif; fill: #1f2328 }} .bare {{ fill: #8c959f }} \
         .guarded {{ fill: #0969da }} \
         @media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3 }} .bare {{ fill: #6e7681 }} \
         .guarded {{ fill: #4493f8 }} }}</style>\n\
         <text x=\"0\" y=\"18\">1,000 rows created: microseconds for each, from connecting to the response to the commit</text>\n"
    );
    for ((way, time), n) in bars.iter().zip(0_u32..) {
        let y = 34 + LINE * n;
        let kind = if way.is_guarded() { "guarded" } else { "bare" };
        let length = (time / most * f64::from(BARS)).max(1.0);
        let label = way.label().replace(['`', '*'], "");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{label}</text>\
             <rect class=\"{kind}\" x=\"{LABELS}\" y=\"{y}\" width=\"{length:.0}\" height=\"18\" rx=\"2\"/>\
             <text x=\"{:.0}\" y=\"{}\">{time:.0}</text>",
            LABELS - 8,
            y + 14,
            f64::from(LABELS) + length + 6.0,
            y + 14,
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

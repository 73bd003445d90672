//! The table as a drawing: a box for each phase, an arrow for each order, and the gates on the arrows.

use super::layout::{Arrow, Layout};
use super::{GateTable, GatedPhase};

const MARGIN: f64 = 28.0;
const TITLE: f64 = 34.0;
/// The height of a line of text in a box.
const LINE: f64 = 19.0;
const PADDING: f64 = 14.0;
/// Above the gate of a layer, for the arrows to turn in.
const TURN: f64 = 30.0;
const GATE: f64 = 26.0;
/// The arrow from a gate to its box.
const STEM: f64 = 20.0;
/// The radius of the start.
const START: f64 = 6.0;

/// The colours stand on a background of their own: a page may be dark where the system is light.
const STYLE: &str = "\
.page{fill:#ffffff;stroke:#c8ccd2}\
.box{fill:#f6f7f9;stroke:#3b4350;stroke-width:1.5}\
.gate{fill:#ffe9b8;stroke:#7a5200;stroke-width:2}\
.none{fill:#ffffff;stroke:#6b7280;stroke-width:1;stroke-dasharray:4 3}\
.arrow{fill:none;stroke:#3b4350;stroke-width:1.5}\
.head{fill:#3b4350}\
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:13px;fill:#1d232b}\
.name{font-size:15px;font-weight:700}\
.small{fill:#4b5563}\
@media screen and (prefers-color-scheme:dark){\
.page{fill:#15181d;stroke:#3b4350}\
.box{fill:#20252c;stroke:#aab2bf}\
.gate{fill:#5a3f00;stroke:#ffd479}\
.none{fill:#15181d;stroke:#8b94a3}\
.arrow{stroke:#aab2bf}\
.head{fill:#aab2bf}\
text{fill:#eef1f5}\
.small{fill:#b6bdc8}}";

impl GateTable {
    /// Returns the table as a drawing in SVG: phases as boxes, gates on the arrows between them.
    ///
    /// It has no script, font or other reference. It brings its own background, is dark where the system is, and light in
    /// print; a gate differs from what is behind no gate by its outline too.
    #[must_use]
    pub fn svg(&self) -> String {
        let layout = Layout::of(&self.phases, |at| width(&self.phases[at]));
        let title = format!("Gates of {}", self.pipeline);
        let inner = layout.width.max(characters(&title) * 9.0);
        let shift = MARGIN + (inner - layout.width) / 2.0;
        let page = inner + 2.0 * MARGIN;

        let rows = Rows::of(&self.phases, &layout);
        let mut drawn = Vec::new();
        for arrow in &layout.arrows {
            drawn.push(drawn_arrow(arrow, &layout, &rows, shift));
        }
        let top = MARGIN + TITLE;
        drawn.push(format!(
            r#"<circle class="head" cx="{:.1}" cy="{:.1}" r="{START}"/>"#,
            layout.start + shift,
            top + START
        ));
        for (phase, &(layer, x)) in self.phases.iter().zip(&layout.phases) {
            drawn.push(drawn_phase(phase, x + shift, rows.gate_top(layer)));
        }
        let height = rows.bottom + MARGIN;
        let about = self
            .phases
            .iter()
            .zip(1..)
            .map(|(phase, place)| format!("{place}. {}: {}", phase.name, phase.gate()));
        let about: Vec<_> = about.collect();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{page:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {page:.0} {height:.0}\" role=\"img\" aria-labelledby=\"title about\">\n\
             <title id=\"title\">{title}</title>\n<desc id=\"about\">{about}</desc>\n<style>{STYLE}</style>\n\
             <defs><marker id=\"head\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerWidth=\"8\" markerHeight=\"8\" \
             orient=\"auto\"><path class=\"head\" d=\"M0 0L10 5L0 10z\"/></marker></defs>\n\
             <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"{rim:.0}\" height=\"{rim_height:.0}\" rx=\"8\"/>\n\
             <text class=\"name\" x=\"{middle:.1}\" y=\"{base:.1}\" text-anchor=\"middle\">{title}</text>\n\
             {drawn}\n</svg>\n",
            title = escaped(&title),
            about = escaped(&about.join("; ")),
            rim = page - 1.0,
            rim_height = height - 1.0,
            middle = page / 2.0,
            base = MARGIN + 12.0,
            drawn = drawn.join("\n"),
        )
    }
}

/// The heights of the layers.
struct Rows {
    /// The top of each layer, at which its gates begin, and its bottom.
    layers: Vec<(f64, f64)>,
    bottom: f64,
}

impl Rows {
    fn of(phases: &[GatedPhase], layout: &Layout) -> Self {
        let start = MARGIN + TITLE;
        let mut layers = vec![(start, start + 2.0 * START)];
        let mut y = start + 2.0 * START;
        for layer in 1..layout.layers {
            let here = phases.iter().zip(&layout.phases);
            let here = here.filter(|(_, (at, _))| *at == layer);
            let tallest = here.map(|(phase, _)| height(phase)).fold(0.0, f64::max);
            let top = y + TURN;
            y = top + GATE + STEM + tallest;
            layers.push((top, y));
        }
        Rows { layers, bottom: y }
    }

    fn gate_top(&self, layer: usize) -> f64 {
        self.layers[layer].0
    }
}

/// The lines of a box below the name.
fn lines(phase: &GatedPhase) -> Vec<String> {
    let mut lines = vec![format!("{} \u{2192} {}", phase.input, phase.output)];
    lines.extend(phase.changes());
    lines
}

fn width(phase: &GatedPhase) -> f64 {
    let lines = lines(phase).into_iter().map(|line| characters(&line) * 7.9);
    let gate = characters(&phase.gate()) * 7.9 + 2.0 * PADDING;
    let name = characters(&phase.name) * 9.1;
    let text = lines.fold(name, f64::max) + 2.0 * PADDING;
    text.max(gate).max(120.0)
}

#[allow(clippy::cast_precision_loss)] // a name has at most some hundred characters
fn characters(text: &str) -> f64 {
    text.chars().count() as f64
}

#[allow(clippy::cast_precision_loss)] // a phase changes some tables, not 2^52
fn height(phase: &GatedPhase) -> f64 {
    (lines(phase).len() + 1) as f64 * LINE + PADDING
}

/// The box of a phase, its gate above it, and the arrow between the two.
fn drawn_phase(phase: &GatedPhase, x: f64, top: f64) -> String {
    let gate = phase.gate();
    let wide = characters(&gate) * 7.9 + 2.0 * PADDING;
    let class = if phase.gates.is_empty() {
        "none"
    } else {
        "gate"
    };
    let weight = if phase.gates.is_empty() {
        " class=\"small\""
    } else {
        " font-weight=\"700\""
    };
    let box_top = top + GATE + STEM;
    let mut drawn = format!(
        "<path class=\"arrow\" marker-end=\"url(#head)\" d=\"M{x:.1} {from:.1}V{box_top:.1}\"/>\n\
         <rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{GATE}\" rx=\"13\"/>\n\
         <text{weight} x=\"{x:.1}\" y=\"{base:.1}\" text-anchor=\"middle\">{gate}</text>\n\
         <rect class=\"box\" x=\"{box_left:.1}\" y=\"{box_top:.1}\" width=\"{box_wide:.1}\" height=\"{high:.1}\" rx=\"6\"/>\n\
         <text class=\"name\" x=\"{x:.1}\" y=\"{name_base:.1}\" text-anchor=\"middle\">{name}</text>",
        from = top + GATE,
        left = x - wide / 2.0,
        base = top + GATE - 8.5,
        gate = escaped(&gate),
        box_left = x - width(phase) / 2.0,
        box_wide = width(phase),
        high = height(phase),
        name_base = box_top + LINE + 3.0,
        name = escaped(&phase.name),
    );
    let mut y = box_top + LINE + 3.0;
    for line in lines(phase) {
        y += LINE;
        drawn += &format!(
            "\n<text class=\"small\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>",
            escaped(&line)
        );
    }
    drawn
}

/// The line of an arrow, from the box above to the gate below, past the layers in between.
fn drawn_arrow(arrow: &Arrow, layout: &Layout, rows: &Rows, shift: f64) -> String {
    let (layer, x) = match arrow.from {
        Some(from) => layout.phases[from],
        None => (0, layout.start),
    };
    let (mut x, mut y) = (x + shift, rows.layers[layer].1);
    let mut path = format!("M{x:.1} {y:.1}");
    let mut turn = |path: &mut String, to_x: f64, to_y: f64| {
        let middle = f64::midpoint(y, to_y);
        *path += &format!("C{x:.1} {middle:.1} {to_x:.1} {middle:.1} {to_x:.1} {to_y:.1}");
        (x, y) = (to_x, to_y);
    };
    for &(layer, by) in &arrow.by {
        let (top, bottom) = rows.layers[layer];
        turn(&mut path, by + shift, top);
        turn(&mut path, by + shift, bottom);
    }
    let (layer, x) = layout.phases[arrow.to];
    turn(&mut path, x + shift, rows.gate_top(layer));
    format!("<path class=\"arrow\" d=\"{path}\"/>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

//! What a person sees: colours and bars in a terminal, plain lines anywhere else.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use console::{Emoji, style};
use indicatif::{ProgressBar, ProgressStyle};
use phasegate::{Digest, Ending, Event, Plan};

static YES: Emoji<'_, '_> = Emoji("✔", "ok");
static NO: Emoji<'_, '_> = Emoji("✘", "no");

/// Begins a part of the demonstration.
pub fn part(title: &str) {
    println!("\n{}", style(title).bold().underlined());
}

/// A line of plain fact.
pub fn fact(label: &str, value: impl std::fmt::Display) {
    println!("  {:<10} {value}", style(label).dim());
}

/// Something that was expected, and happened.
pub fn held(what: &str) {
    println!("  {} {what}", style(YES).green().bold());
}

/// Something that was expected, and did not happen.
pub fn broke(what: &str) {
    println!("  {} {what}", style(NO).red().bold());
}

/// What an error said, as it would be printed by a program of one's own.
pub fn said(error: &dyn std::fmt::Display) {
    let width = usize::from(console::Term::stdout().size().1).clamp(60, 100) - 6;
    for line in wrapped(&error.to_string(), width) {
        println!("    {}", style(line).yellow());
    }
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines
            .last()
            .map_or(0, |line| console::measure_text_width(line));
        if line > 0 && line + 1 + console::measure_text_width(word) > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// `1 row`, `2 rows`.
pub fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The plan, as its approvers read it.
pub fn plan(plan: &Plan) {
    fact("pipeline", plan.pipeline());
    fact("target", plan.target());
    for (phase, place) in plan.phases().iter().zip(1..) {
        let gates = match phase.gates() {
            [] => style("no gate".to_owned()).dim(),
            gates => style(gates.join(" and ")).cyan(),
        };
        let input = short(phase.input());
        println!(
            "  {place}. {:<16} {gates:<8} input {}",
            phase.name(),
            style(input).dim()
        );
    }
    fact("digest", style(plan.digest()).bold());
}

/// The first digits of a digest, for people who compare at a glance.
pub fn short(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(12);
    text + "…"
}

/// Watches a run: a bar for each phase while it goes on, a line when it has ended.
pub fn watch() -> impl FnMut(&Event<'_>) + Send + 'static {
    let bar = Arc::new(Mutex::new(ProgressBar::hidden()));
    let mut began = Instant::now();
    let mut rows = 0_usize;
    move |event| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Begins {
                phase, place, of, ..
            } => {
                (began, rows) = (Instant::now(), 0);
                *bar = phase_bar(phase, *place, *of);
            }
            Event::Rows { done, total, .. } => {
                rows = usize::try_from(*done).unwrap_or(usize::MAX);
                bar.set_length(total.unwrap_or(*done));
                bar.set_position(*done);
            }
            Event::Ends { phase, ending, .. } => {
                bar.finish_and_clear();
                line(phase, *ending, rows, began.elapsed().as_millis());
            }
            _ => {}
        }
    }
}

fn phase_bar(phase: &str, place: usize, of: Option<usize>) -> ProgressBar {
    let bar = ProgressBar::new(1);
    let template = "  {prefix} {msg:<16} {bar:32.cyan/dim} {pos}/{len}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━━╌"));
    }
    let of = of.map_or_else(|| "?".to_owned(), |of| of.to_string());
    bar.set_prefix(format!("{place}/{of}"));
    bar.set_message(phase.to_owned());
    bar
}

fn line(phase: &str, ending: Ending, rows: usize, millis: u128) {
    let rows = match rows {
        0 => String::new(),
        rows => format!("{}, ", counted(rows, "row")),
    };
    match ending {
        Ending::Performed => held(&format!("{phase:<16} committed  {rows}{millis} ms")),
        Ending::Refused => broke(&format!("{phase:<16} refused")),
        Ending::RolledBack => {
            broke(&format!("{phase:<16} rolled back after {rows}{millis} ms"));
        }
        _ => broke(&format!("{phase:<16} IN DOUBT")),
    }
}

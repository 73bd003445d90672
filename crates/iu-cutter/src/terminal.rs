//! What a person sees: colours and bars in a terminal, plain lines anywhere else.

use std::time::{Duration, Instant};

use console::{Emoji, style};
use indicatif::{ProgressBar, ProgressStyle};
use phasegate::{
    Digest, Plan,
    runner::{Ending, Event},
};

static YES: Emoji<'_, '_> = Emoji("✔", "ok");
static NO: Emoji<'_, '_> = Emoji("✘", "no");

/// Begins a part of the demonstration.
pub fn part(title: &str) {
    println!("\n{}", style(title).bold().underlined());
}

/// A line of plain fact.
pub fn fact(label: &str, value: impl std::fmt::Display) {
    let indent = " ".repeat(13);
    let lines = wrapped(&value.to_string(), width(13));
    println!(
        "  {:<10} {}",
        style(label).dim(),
        lines.join(&format!("\n{indent}"))
    );
}

/// Something that was expected, and happened.
pub fn held(what: &str) {
    let lines = wrapped(what, width(4));
    println!("  {} {}", style(YES).green().bold(), lines.join("\n    "));
}

/// Something that was expected, and did not happen.
pub fn broke(what: &str) {
    let lines = wrapped(what, width(4));
    println!("  {} {}", style(NO).red().bold(), lines.join("\n    "));
}

/// What an error said, as it would be printed by a program of one's own.
pub fn said(error: &dyn std::fmt::Display) {
    for line in wrapped(&error.to_string(), width(4)) {
        println!("    {}", style(line).yellow());
    }
}

/// What to do about it, on a line of its own.
pub fn hint(hint: impl Into<Option<String>>) {
    let lines = hint.into().map(|hint| wrapped(&hint, width(10)));
    if let Some(lines) = lines {
        println!("    hint: {}", style(lines.join("\n          ")).dim());
    }
}

/// What to do about an error of the library; `None` if it is another's.
pub fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    macro_rules! hint_of {
        ($($of:ty),+) => {
            None$(.or_else(|| error.downcast_ref::<$of>().and_then(<$of>::hint)))+
        };
    }
    hint_of!(
        phasegate::testing::ServerError,
        phasegate::Error,
        phasegate::operator::OperatorError,
        phasegate::plan::PlanError,
        phasegate::ssh::ParseApprovalError,
        phasegate::ssh::VerifyApprovalError,
        phasegate::ssh::AllowedSignersError,
        phasegate::ssh::PolicyError,
        phasegate::approval::Denied,
        phasegate::audit::EvidenceError,
        phasegate::audit::EvidenceFlaw,
        phasegate::audit::BundleNotWritten
    )
}

/// Prints a message, line by line.
pub fn quoted(text: &dyn std::fmt::Display) {
    for line in text.to_string().lines() {
        println!("    {}", style(line).yellow());
    }
}

/// How much of a line is left beside an indentation.
fn width(indent: usize) -> usize {
    usize::from(console::Term::stdout().size().1).clamp(40, 100) - indent - 1
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    if console::measure_text_width(text) <= width {
        return vec![text.to_owned()];
    }
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
    fact("author", plan.author().unwrap_or("(none)"));
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
        println!("     {}", phase.summary());
        for (table, rows) in phase.effects() {
            println!("     {table}: {rows}");
        }
    }
    fact("digest", style(plan.digest()).bold());
}

/// The first digits of a digest, for people who compare at a glance.
pub fn short(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(12);
    text + "…"
}

/// Something that takes a moment, while it does.
pub fn while_waiting<T>(what: &str, f: impl FnOnce() -> T) -> T {
    let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    let answer = f();
    spinner.finish_and_clear();
    answer
}

/// Watches a run: a bar for each phase while it does its rows, a line when it has ended.
pub fn watch() -> impl FnMut(&Event<'_>) + Send + 'static {
    let mut bar: Option<ProgressBar> = None;
    let mut prefix = String::new();
    let mut began = Instant::now();
    let mut rows = 0_usize;
    move |event| match event {
        Event::Begins { place, of, .. } => {
            (began, rows) = (Instant::now(), 0);
            let of = of.map_or_else(|| "?".to_owned(), |of| of.to_string());
            prefix = format!("{place}/{of}");
        }
        Event::Rows {
            phase, done, total, ..
        } => {
            rows = usize::try_from(*done).unwrap_or(usize::MAX);
            let bar = bar.get_or_insert_with(|| phase_bar(phase, &prefix));
            bar.set_length(total.unwrap_or(*done));
            bar.set_position(*done);
        }
        Event::Ends { phase, ending, .. } => {
            if let Some(bar) = bar.take() {
                bar.finish_and_clear();
            }
            line(phase, *ending, rows, began.elapsed().as_millis());
        }
        _ => {}
    }
}

fn phase_bar(phase: &str, prefix: &str) -> ProgressBar {
    let bar = ProgressBar::new(1);
    let template = "  {prefix} {msg:<16} {wide_bar:.cyan/dim} {pos}/{len} ";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━━╌"));
    }
    bar.set_prefix(prefix.to_owned());
    bar.set_message(phase.to_owned());
    bar
}

fn line(phase: &str, ending: Ending, rows: usize, millis: u128) {
    let rows = match rows {
        0 => String::new(),
        rows => format!("{} done, ", counted(rows, "row")),
    };
    match ending {
        Ending::Performed => held(&format!("{phase:<16} committed  {rows}{millis} ms")),
        Ending::AlreadyCommitted => held(&format!(
            "{phase:<16} committed before, not performed again"
        )),
        // The refusal itself is shown.
        Ending::Refused => {}
        Ending::RolledBack => {
            broke(&format!("{phase:<16} rolled back, {rows}{millis} ms"));
        }
        _ => broke(&format!("{phase:<16} IN DOUBT")),
    }
}

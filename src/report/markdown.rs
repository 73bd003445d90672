//! The report as Markdown.

use super::model::{ApprovalContent, Content, PhaseContent};

/// The greatest length, in characters; a comment on GitHub may have 65,536.
const MOST: usize = 60_000;
/// What is left for the end of the page.
const END: usize = 3_000;
/// The greatest length of a text of people, in characters.
const TEXT: usize = 400;

pub(super) fn page(content: &Content) -> String {
    let mut page = Page::default();
    page.line(&format!("# {}", span(&content.plan.pipeline)));
    let verdict = &content.verdict;
    page.line(&format!(
        "\n**{}.** {}\n",
        verdict.outcome, verdict.sentence
    ));
    page.line(&format!("**Verified: {}**\n", verdict.verified));
    page.line("| | what was verified | |\n|---|---|---|");
    for check in &content.checks {
        let mark = match check.result {
            "yes" => "✓ yes",
            "no" => "✗ **NO**",
            _ => "○ not compared",
        };
        page.line(&format!(
            "| {mark} | {} | {} |",
            check.what,
            span(&check.detail)
        ));
    }
    page.line("\n## Phases: plan against journal\n");
    page.section(&content.phases, "phases", phase);
    page.line("\n## Approvals and rejections\n");
    if content.approvals.is_empty() {
        page.line("No approval and no rejection was admitted.");
    }
    page.section(&content.approvals, "approvals", approval);
    page.line("\n## What this does not show\n");
    for limit in &content.limits {
        page.line(&format!("- {limit}"));
    }
    page.line("\n## Digests, and the commands that check them\n");
    let target = &content.plan.target;
    page.line(&format!(
        "plan `{}`, journal `{}`, database {} of cluster {}, collected at {}\n\n```sh",
        content.plan.digest,
        content.journal_head,
        span(target.database()),
        span(target.system_identifier()),
        content.collected_at
    ));
    for command in &content.commands {
        page.line(command);
    }
    page.line("```");
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
    characters: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.characters += line.chars().count() + 1;
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds an item after another, as long as the end of the page still has its place, and says how many are left out.
    fn section<T>(&mut self, items: &[T], of: &str, written: impl Fn(&T) -> String) {
        for (n, item) in items.iter().enumerate() {
            let text = written(item);
            if self.characters + text.chars().count() + END > MOST {
                let left = items.len() - n;
                self.line(&format!("\n.. and {left} more {of}: see the HTML report."));
                return;
            }
            self.line(&text);
        }
    }
}

fn phase(phase: &PhaseContent) -> String {
    let mut text = format!("{}. {} ", phase.place, span(&phase.name));
    match &phase.committed {
        Some(committed) => text.push_str(&format!(
            "✓ committed in transaction {}, {} to {}",
            span(&committed.xid),
            span(&committed.opened_at),
            span(&committed.finished_at)
        )),
        None => text.push_str("○ not committed"),
    }
    if !phase.gates.is_empty() {
        let gates: Vec<_> = phase.gates.iter().map(|gate| span(gate)).collect();
        text.push_str(&format!("; behind {}", gates.join(", ")));
    }
    if !phase.summary.is_empty() {
        text.push_str(&format!("\n   - {}", span(&phase.summary)));
    }
    for row in &phase.tables {
        let tolerance = match row.tolerance {
            0 => String::new(),
            tolerance => format!(" ± {tolerance}"),
        };
        let seen = row.seen.map_or("–".to_owned(), |seen| seen.to_string());
        let mark = match row.as_planned {
            Some(true) => ", ✓ as planned",
            Some(false) => ", ✗ **differs**",
            None => "",
        };
        text.push_str(&format!(
            "\n   - {} {}: planned {}{tolerance}, seen {seen}{mark}",
            span(&row.table),
            row.kind,
            row.planned
        ));
    }
    text
}

fn approval(approval: &ApprovalContent) -> String {
    let decision = match approval.decision {
        "approve" => "✓ approved",
        _ => "✗ rejected",
    };
    let signed: Vec<_> = approval.signed_by.iter().map(|by| span(by)).collect();
    let signed = match signed.as_slice() {
        [] => "**not signed**".to_owned(),
        signed => format!("signed by {}", signed.join(", ")),
    };
    let spent: Vec<_> = (approval.spent.iter())
        .map(|spent| format!("phase {} in transaction {}", spent.place, span(&spent.xid)))
        .collect();
    let spent = match spent.as_slice() {
        [] => "no phase".to_owned(),
        spent => spent.join(", "),
    };
    format!(
        "- {decision} {} by {}, {signed}; admitted by {} at {}; spent by {spent}; comment {}",
        span(&approval.gate),
        span(&approval.approver),
        span(&approval.admitted_by),
        span(&approval.admitted_at),
        span(&approval.comment)
    )
}

/// Returns text of an unknown author as a code span that the text cannot end, and that fits into a table.
fn span(text: &str) -> String {
    if text.is_empty() {
        return "–".to_owned();
    }
    let is_plain = |c: char| (c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()) && c != '`';
    let mut shown = String::from("`");
    let mut characters = text.chars();
    for c in characters.by_ref().take(TEXT) {
        if is_plain(c) && c != '|' {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown.push('`');
    match characters.count() {
        0 => shown,
        more => format!("{shown} ({more} more characters)"),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn a_text_cannot_leave_its_span_nor_its_cell() {
        assert_eq!(span("a|`\n<b>"), "`a\\u{7c}\\u{60}\\u{a}<b>`");
        assert_eq!(span("\u{202e}"), "`\\u{202e}`");
        assert!(span(&"x".repeat(10_000)).ends_with("(9600 more characters)"));
    }
}

//! Text of an unknown author is harmless in every field, and the pages are bounded.

use serde_json::Value;

use super::model::{
    ApprovalContent, CommittedContent, Content, PhaseContent, PlanContent, SpentContent,
    TableContent, Verdict,
};
use super::{html, markdown};
use crate::base::printable::first_unprintable;
use crate::plan::Target;

/// Marks that would change the direction of a line, and markup that would leave its place.
fn hostile(n: usize) -> String {
    format!("</p><script>pwned({n})</script>'\"><img src=x>{{{{ 7*7 }}}}\u{202e}`|\n# x{n}")
}

/// A report in which each text of the evidence is hostile.
pub(super) fn content(phases: usize, comment: &str) -> Content {
    let text = || hostile(1);
    Content {
        schema: "phasegate/report/1",
        verdict: Verdict {
            outcome: "stopped",
            sentence: text(),
            verified: "in part",
        },
        checks: Vec::new(),
        plan: PlanContent {
            digest: text(),
            pipeline: text(),
            author: Some(text()),
            target: Target::new(text(), text(), text()),
        },
        collected_at: text(),
        phases: (1..=phases)
            .map(|place| PhaseContent {
                place,
                name: text(),
                summary: text(),
                gates: vec![text(), text()],
                input: text(),
                committed: (place % 2 == 1).then(|| CommittedContent {
                    opened_at: text(),
                    finished_at: text(),
                    role: text(),
                    from: text(),
                    xid: text(),
                }),
                tables: vec![TableContent {
                    table: text(),
                    kind: "updated",
                    planned: 883_000,
                    tolerance: 3,
                    seen: (place % 2 == 1).then_some(883_000),
                    as_planned: (place % 2 == 1).then_some(place % 3 == 1),
                }],
            })
            .collect(),
        approvals: ["approve", "reject"]
            .map(|decision| ApprovalContent {
                decision,
                gate: text(),
                approver: text(),
                signed_by: vec![text()],
                comment: format!("{}{comment}", text()),
                admitted_by: text(),
                admitted_at: text(),
                spent: vec![SpentContent {
                    place: 1,
                    phase: text(),
                    xid: text(),
                }],
            })
            .into(),
        limits: vec!["a limit"],
        journal_head: text(),
        commands: vec![text()],
    }
}

#[test]
fn hostile_text_is_harmless_in_html() {
    let page = html::page(&content(3, &"x".repeat(10_000)));
    assert!(page.contains("&lt;script&gt;"), "{page}");
    for markup in ["<script", "<img", ">49<"] {
        assert!(!page.contains(markup), "{markup}");
    }
    let lines = page.replace('\n', "");
    assert_eq!(first_unprintable(&lines), None);
    assert!(page.contains("more characters)"));
    assert!(page.len() < 100_000, "{}", page.len());
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = html::page(&content(1, ""));
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    assert!(page.contains(policy));
    for loads in ["src=\"", "href=", "url(", "@import", "http://", "https://"] {
        assert!(!page.contains(loads), "{loads}");
    }
}

#[test]
fn hostile_text_is_harmless_in_markdown() {
    let page = markdown::page(&content(3, ""));
    // Outside of code spans, the verdict's sentence and the digests are ours; the test has them hostile too.
    let of_evidence = page.split("## Phases").nth(1).unwrap();
    let of_evidence = of_evidence.split("## What this").next().unwrap();
    assert!(of_evidence.contains("✓ approved"), "{of_evidence}");
    let outside: String = of_evidence.split('`').step_by(2).collect();
    assert!(!outside.contains(['<', '\u{202e}', '[']), "{outside}");
    assert!(!of_evidence.contains("\n# x1"), "{of_evidence}");
}

#[test]
fn markdown_is_bounded_and_says_what_is_left_out() {
    let page = markdown::page(&content(1_000, &"x".repeat(10_000)));
    let characters = page.chars().count();
    assert!(characters <= 60_000, "{characters}");
    assert!(page.contains("more phases: see the HTML report"));
    assert!(
        page.ends_with("```\n") && page.contains("## Digests"),
        "{page}"
    );
}

#[test]
fn each_text_of_json_is_kept_as_it_is() {
    let content = content(1, "");
    let json = serde_json::to_string(&content).unwrap();
    let read: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read["plan"]["pipeline"], hostile(1));
}

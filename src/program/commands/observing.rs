//! What a run says while it goes on: lines for people, or one object a line for programs.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::answer::{About, Answer, event};
use super::super::pipeline::Observe;
use super::{Context, stamp};
use crate::base::printable::Printable;
use crate::engine::StopHandle;
use crate::observer::{Cause, Event, Step, Waiting};
use crate::plan::Plan;

/// The name of the stream in its envelope.
const EVENTS: &str = "phasegate/events/1";

/// Writes what happens: with `--json`, each event to standard output, else each phase to standard error as it begins
/// and ends. Rows are written at most once a second, and in a file once in ten. Tells `stop` which phase is performed.
pub(super) fn observe(context: &Context<'_>, stop: &StopHandle, plan: Plan) -> Observe {
    let stop = stop.clone();
    let mut out = context.io.out();
    let mut err = context.io.err();
    let (json, quiet) = (context.json, context.quiet);
    let between = Duration::from_secs(if json || context.is_drawn() { 1 } else { 10 });
    let mut shown = Instant::now();
    Box::new(move |happened| {
        match happened {
            Event::Begins { phase, .. } | Event::TriesAgain { phase, .. } => {
                stop.performs(Some(((*phase).to_owned(), false)));
            }
            Event::Passed {
                phase,
                step: Step::SwitchStillOn,
                ..
            } => stop.performs(Some(((*phase).to_owned(), true))),
            Event::Ends { .. } => stop.performs(None),
            Event::Rows { done, total, .. } => {
                if shown.elapsed() < between && Some(*done) != *total {
                    return;
                }
                shown = Instant::now();
            }
            _ => {}
        }
        // A closed stream does not stop a run.
        if json {
            let answer = Answer::new(About::plan(&plan), object(happened), "");
            let _ = writeln!(out, "{}", event(EVENTS, answer));
        } else if let Some(line) = line(happened).filter(|_| !quiet) {
            let _ = writeln!(err, "{line}");
        }
    })
}

/// Returns an event for people; `None` if it says nothing to them.
fn line(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Begins {
            phase, place, of, ..
        } => {
            let of = of.map(|of| format!("/{of}")).unwrap_or_default();
            format!("  {place}{of} {}: begins", Printable(phase))
        }
        Event::Rows {
            phase, done, total, ..
        } => {
            let of = total.map(|total| format!("/{total}")).unwrap_or_default();
            format!("      {}: {done}{of} rows", Printable(phase))
        }
        Event::ApprovalUsed {
            phase, gate, by, ..
        } => format!(
            "      {}: {} approved by {}",
            Printable(phase),
            Printable(gate),
            Printable(by)
        ),
        Event::TriesAgain {
            phase,
            attempt,
            sqlstate,
            ..
        } => format!(
            "      {}: rolled back by {sqlstate}; attempt {attempt}",
            Printable(phase)
        ),
        Event::Waits {
            phase,
            why: Waiting::Resolving { most },
            ..
        } => format!(
            "      {}: no response to its commit; asking the server for at most {} s",
            Printable(phase),
            most.as_secs()
        ),
        Event::Ends {
            phase,
            ending,
            cause,
            ..
        } => {
            let why = cause.map(|cause| format!(" [{}]", cause.code));
            let ending = format!("{ending:?}").to_lowercase();
            format!(
                "      {}: {ending}{}",
                Printable(phase),
                why.unwrap_or_default()
            )
        }
        _ => return None,
    })
}

/// Returns an event for programs: a flat object, without inputs, outputs, keys of rows and messages.
fn object(event: &Event<'_>) -> Value {
    let cause = |cause: &Option<Cause<'_>>| {
        json!(cause.map(|cause| json!({ "code": cause.code, "sqlstate": cause.sqlstate })))
    };
    match event {
        Event::RunBegins { run, phases, .. } => {
            json!({ "event": "run_begins", "run": run, "phases": phases })
        }
        Event::RunEnds {
            run,
            outcome,
            committed,
            cause: why,
            ..
        } => json!({
            "event": "run_ends", "run": run, "outcome": snake(&format!("{outcome:?}")),
            "committed": committed, "cause": cause(why),
        }),
        Event::Begins {
            phase, place, of, ..
        } => json!({ "event": "phase_begins", "phase": phase, "place": place, "of": of }),
        Event::Passed { phase, step, .. } => {
            json!({ "event": "step_passed", "phase": phase, "step": snake(&format!("{step:?}")) })
        }
        Event::Rows {
            phase, done, total, ..
        } => json!({ "event": "rows", "phase": phase, "done": done, "total": total }),
        Event::ApprovalUsed {
            phase,
            gate,
            by,
            expires,
            ..
        } => json!({
            "event": "approval_used", "phase": phase, "gate": gate, "by": by, "expires": stamp(*expires),
        }),
        Event::TriesAgain {
            phase,
            attempt,
            sqlstate,
            ..
        } => json!({
            "event": "tries_again", "phase": phase, "attempt": attempt, "sqlstate": sqlstate,
        }),
        Event::Waits { phase, why, .. } => {
            let (why, most) = match why {
                Waiting::Retry { pause } => ("retry", pause),
                Waiting::Resolving { most } => ("resolving", most),
            };
            json!({ "event": "waits", "phase": phase, "why": why, "most_ms": u64::try_from(most.as_millis()).unwrap_or(u64::MAX) })
        }
        Event::Stopping { phase, why, .. } => {
            json!({ "event": "stopping", "phase": phase, "why": why })
        }
        Event::Ends {
            phase,
            ending,
            cause: why,
            ..
        } => json!({
            "event": "phase_ends", "phase": phase, "ending": snake(&format!("{ending:?}")), "cause": cause(why),
        }),
    }
}

/// Returns the name of a variant as codes are written: `already_committed`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for (place, c) in name.char_indices() {
        if c.is_uppercase() && place > 0 {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

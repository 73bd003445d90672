//! What a run sends to `tracing`: the spans and events of its page, and nothing of what it works with.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use phasegate::runner::traced;
use phasegate::{Failure, Receipt};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use pipeline::Draft;
use server::{database, does, drafting, drafting_plan};

/// Keeps the name of each span and event, and each field as `name=value`.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Kept {
    fn keep(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

impl Visit for Kept {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.keep(format!("{}={value:?}", field.name()));
    }
}

impl Subscriber for Kept {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "phasegate"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.keep(format!("span {}", span.metadata().name()));
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut self.clone());
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        self.keep(format!("event {} {}", metadata.name(), metadata.level()));
        event.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Performs one phase, which inserts `secret` and then fails if it is told to. Returns what was sent.
fn sent(secret: &str, fails: bool) -> Vec<String> {
    let database = database();
    let draft = Draft::of(&[secret]);
    let kept = Kept::default();
    tracing::subscriber::with_default(kept.clone(), || {
        let ran = database
            .live_by(
                drafting_plan(&database.target, &draft),
                does(|draft, tx| {
                    let insert = tx.prepare("INSERT INTO item VALUES ($1, 'draft')")?;
                    let done = tx.for_each_row(
                        &draft.rows,
                        |row| (*row).clone(),
                        |tx, row| {
                            tx.execute(&insert, &[row])?;
                            if fails {
                                // The server's own message has the key.
                                tx.execute(&insert, &[row])?;
                            }
                            Ok(())
                        },
                    )?;
                    if done.is_empty() {
                        return Err(Failure::new(format!("nothing of {}", draft.rows[0])));
                    }
                    Ok(1)
                }),
            )
            .observer(traced())
            .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        assert_eq!(ran.is_err(), fails);
    });
    let sent = kept.0.lock().unwrap().clone();
    for text in &sent {
        assert!(!text.contains(secret), "{text}");
        let comment_or_password = text.contains("password") || text.contains("host=");
        assert!(!comment_or_password, "{text}");
    }
    sent
}

#[test]
fn a_phase_is_a_span_with_its_steps_below_it() {
    let sent = sent("hunter2", false);
    let spans: Vec<_> = sent
        .iter()
        .filter(|text| text.starts_with("span "))
        .collect();
    assert_eq!(
        spans,
        [
            "span phasegate.run",
            "span phasegate.phase",
            "span phasegate.open",
            "span phasegate.perform",
            "span phasegate.close",
        ]
    );
    for field in [
        "db.system.name=\"postgresql\"",
        "cicd.pipeline.name=\"small\"",
        "cicd.pipeline.result=\"success\"",
        "phasegate.phase=\"draft\"",
        "phasegate.place=1",
        "phasegate.rows=1",
        "phasegate.outcome=\"performed\"",
        "db.operation.name=\"COMMIT\"",
    ] {
        assert!(sent.iter().any(|text| text == field), "{field}: {sent:#?}");
    }
}

#[test]
fn a_hostile_phase_that_fails_sends_its_codes_and_nothing_else() {
    let sent = sent("'); DROP TABLE item; -- hunter2", true);
    for expected in [
        "event phasegate.rolled_back ERROR",
        "error.type=\"failed\"",
        "db.response.status_code=\"23505\"",
        "phasegate.outcome=\"rolled_back\"",
        "cicd.pipeline.result=\"failure\"",
    ] {
        assert!(
            sent.iter().any(|text| text == expected),
            "{expected}: {sent:#?}"
        );
    }
}

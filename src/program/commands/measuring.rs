//! `metrics`: the state of a database in the text format of Prometheus, for the textfile collector of `node_exporter`.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::super::answer::{About, Answer, Failed};
use super::super::connect::{Role, client};
use super::Context;
use crate::database::{Measures, measures};

pub(super) fn metrics(context: &Context<'_>) -> Result<Answer, Failed> {
    let measures = measures(&mut client(Role::Auditor, context.io)?)?;
    let text = exposition(&measures);
    Ok(Answer::new(
        About::default(),
        json!({ "text": text }),
        text.as_str(),
    ))
}

/// A label of a value: its name, and its text.
type Label<'a> = (&'static str, &'a str);

/// The text, metric by metric.
#[derive(Default)]
struct Exposition(String);

impl Exposition {
    fn metric<'a>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        values: impl IntoIterator<Item = (Vec<Label<'a>>, String)>,
    ) {
        self.0
            .push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in values {
            let labels: Vec<String> = (labels.iter())
                .map(|(label, text)| format!("{label}=\"{}\"", escaped(text)))
                .collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            self.0.push_str(&format!("{name}{labels} {value}\n"));
        }
    }
}

/// Returns the text of a label as the format has it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Returns a moment in seconds since 1970.
fn seconds(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:.3}", since.as_secs_f64())
}

fn exposition(measures: &Measures) -> String {
    let mut text = Exposition::default();
    let on = u8::from(measures.switch_on).to_string();
    text.metric(
        "phasegate_switch_on",
        "gauge",
        "Whether the kill switch of the database is ON: execution is allowed.",
        [(vec![], on)],
    );
    text.metric(
        "phasegate_switch_expires_timestamp_seconds",
        "gauge",
        "When the lease of the kill switch ends. Absent while it is OFF.",
        (measures.switch_until.filter(|_| measures.switch_on))
            .map(|until| (vec![], seconds(until))),
    );
    text.metric(
        "phasegate_runs_open",
        "gauge",
        "Plans that are admitted, not rejected, and not performed to their end.",
        [(vec![], measures.runs_open.to_string())],
    );
    text.metric(
        "phasegate_phase_open_seconds",
        "gauge",
        "For how long a phase has been open. Absent while none is.",
        (measures.phases_open.iter()).map(|(pipeline, phase, open)| {
            (
                vec![("pipeline", &**pipeline), ("phase", phase)],
                format!("{open:.3}"),
            )
        }),
    );
    text.metric(
        "phasegate_commit_in_flight_seconds",
        "gauge",
        "For how long the oldest commit that has passed its checks has not ended. 0 while there is none.",
        [(vec![], format!("{:.3}", measures.commit_in_flight.unwrap_or(0.0)))],
    );
    text.metric(
        "phasegate_phases_committed_total",
        "counter",
        "Phases that the journal has.",
        (measures.committed.iter())
            .map(|(pipeline, phases, _)| (vec![("pipeline", &**pipeline)], phases.to_string())),
    );
    text.metric(
        "phasegate_last_commit_timestamp_seconds",
        "gauge",
        "When the last phase of a pipeline was committed.",
        (measures.committed.iter())
            .map(|(pipeline, _, at)| (vec![("pipeline", &**pipeline)], seconds(*at))),
    );
    text.metric(
        "phasegate_rows_total",
        "counter",
        "Rows that committed phases have changed, by the kind of change.",
        (measures.rows.iter()).map(|(pipeline, table, kind, rows)| {
            let labels = vec![("pipeline", &**pipeline), ("table", table), ("kind", kind)];
            (labels, rows.to_string())
        }),
    );
    text.metric(
        "phasegate_approvals_expiring_timestamp_seconds",
        "gauge",
        "When the first approval of a gate expires that a phase still needs.",
        (measures.approvals.iter()).map(|(gate, at)| (vec![("gate", &**gate)], seconds(*at))),
    );
    text.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_leave_its_quotes() {
        let measures = Measures {
            switch_on: true,
            switch_until: Some(UNIX_EPOCH),
            runs_open: 1,
            phases_open: vec![("a\"} 1\nb \\".to_owned(), "close".to_owned(), 2.0)],
            commit_in_flight: None,
            committed: vec![],
            rows: vec![],
            approvals: vec![],
        };
        let text = exposition(&measures);
        let line =
            "phasegate_phase_open_seconds{pipeline=\"a\\\"} 1\\nb \\\\\",phase=\"close\"} 2.000";
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

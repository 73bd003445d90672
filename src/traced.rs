//! The events of a run as spans and events of the crate `tracing`.

use tracing::{Level, Span, event, field, span};

use crate::observer::{Cause, Ending, Event, Outcome, Step, Waiting};

/// Returns an observer that sends the events of a run to `tracing`, as spans and events of the target `phasegate`.
///
/// No input, output, key of a row, parameter, message of an error or comment is sent: names of pipelines, phases, gates
/// and databases, digests, numbers and codes only. It sends to the subscriber that is current when an event happens,
/// and enters no span, so that what an adapter traces by itself does not become part of these.
///
/// | span | from, to |
/// |---|---|
/// | `phasegate.run` | the beginning of a live run, its end |
/// | `phasegate.phase` | the beginning of a phase, its end |
/// | `phasegate.open`, `phasegate.perform`, `phasegate.close` | the steps of a phase until `Opened`, `Performed`, `Committed` |
/// | `phasegate.resolve` | the loss of a commit's response, the end of the phase |
///
/// The events are `phasegate.refused`, `phasegate.retry` and `phasegate.switch_off` (warnings), `phasegate.rolled_back`
/// and `phasegate.in_doubt` (errors), and `phasegate.approval_spent` (information).
///
/// ```
/// # use phasegate::{*, runner::traced};
/// # fn example(runner: LiveRunner) {
/// let runner = runner.observer(traced());
/// # }
/// ```
pub fn traced() -> impl FnMut(&Event<'_>) + Send + 'static {
    let mut spans = Spans::new();
    move |event| spans.on(event)
}

/// The open spans.
struct Spans {
    run: Span,
    phase: Span,
    step: Span,
    /// The rows of the loop in progress.
    rows: u64,
}

impl Spans {
    fn new() -> Self {
        Spans {
            run: Span::none(),
            phase: Span::none(),
            step: Span::none(),
            rows: 0,
        }
    }

    fn on(&mut self, happened: &Event<'_>) {
        match happened {
            Event::RunBegins {
                pipeline,
                plan,
                target,
                phases,
                ..
            } => {
                self.run = span!(
                    target: "phasegate",
                    parent: None,
                    Level::INFO,
                    "phasegate.run",
                    db.system.name = "postgresql",
                    db.namespace = target.database(),
                    cicd.pipeline.name = pipeline,
                    cicd.pipeline.run.id = %plan,
                    cicd.pipeline.result = field::Empty,
                    phasegate.mode = "live",
                    phasegate.phases = phases,
                    error.type = field::Empty,
                );
            }
            Event::RunEnds { outcome, cause, .. } => {
                let result = match outcome {
                    Outcome::Complete => "success",
                    Outcome::Incomplete => "failure",
                    Outcome::InDoubt => "error",
                };
                self.run.record("cicd.pipeline.result", result);
                if let Some(cause) = cause {
                    self.run.record("error.type", cause.code);
                }
                self.run = Span::none();
            }
            Event::Begins { phase, place, .. } => self.begin(phase, *place),
            Event::Passed { step, .. } => self.passed(*step),
            Event::Rows { done, .. } => self.rows = *done,
            Event::ApprovalUsed { gate, .. } => event!(
                name: "phasegate.approval_spent",
                target: "phasegate",
                parent: &self.phase,
                Level::INFO,
                phasegate.gate = gate,
            ),
            Event::TriesAgain {
                attempt, sqlstate, ..
            } => {
                event!(
                    name: "phasegate.retry",
                    target: "phasegate",
                    parent: &self.phase,
                    Level::WARN,
                    phasegate.attempt = attempt,
                    db.response.status_code = sqlstate,
                );
                self.open();
            }
            Event::Waits {
                why: Waiting::Resolving { .. },
                ..
            } => self.step = self.of_phase_resolved(),
            Event::Ends { ending, cause, .. } => self.end(*ending, *cause),
            Event::Waits { .. } | Event::Stopping { .. } => {}
        }
    }

    fn begin(&mut self, phase: &str, place: usize) {
        self.rows = 0;
        self.phase = span!(
            target: "phasegate",
            parent: &self.run,
            Level::INFO,
            "phasegate.phase",
            db.system.name = "postgresql",
            phasegate.phase = phase,
            phasegate.place = place,
            phasegate.rows = field::Empty,
            phasegate.outcome = field::Empty,
            error.type = field::Empty,
            db.response.status_code = field::Empty,
        );
        self.open();
    }

    fn open(&mut self) {
        self.step = span!(
            target: "phasegate",
            parent: &self.phase,
            Level::INFO,
            "phasegate.open",
            otel.kind = "client",
        );
    }

    fn of_phase_resolved(&self) -> Span {
        span!(
            target: "phasegate",
            parent: &self.phase,
            Level::INFO,
            "phasegate.resolve",
            otel.kind = "client",
        )
    }

    fn passed(&mut self, step: Step) {
        self.step = match step {
            Step::Opened => {
                span!(target: "phasegate", parent: &self.phase, Level::INFO, "phasegate.perform")
            }
            Step::Performed => span!(
                target: "phasegate",
                parent: &self.phase,
                Level::INFO,
                "phasegate.close",
                otel.kind = "client",
                db.operation.name = "COMMIT",
            ),
            Step::Committed => Span::none(),
            _ => return,
        };
    }

    fn end(&mut self, ending: Ending, cause: Option<Cause<'_>>) {
        self.step = Span::none();
        let outcome = match ending {
            Ending::Performed => "performed",
            Ending::AlreadyCommitted => "already_committed",
            Ending::Refused => "refused",
            Ending::RolledBack => "rolled_back",
            Ending::InDoubt => "in_doubt",
        };
        self.phase.record("phasegate.outcome", outcome);
        if self.rows > 0 {
            self.phase.record("phasegate.rows", self.rows);
        }
        if let Some(cause) = cause {
            self.phase.record("error.type", cause.code);
            if let Some(sqlstate) = cause.sqlstate {
                self.phase.record("db.response.status_code", sqlstate);
            }
            self.failed(ending, cause.code);
        }
        self.phase = Span::none();
    }

    fn failed(&self, ending: Ending, code: &str) {
        /// Sends an event, whose name and level are part of its place in the source.
        macro_rules! send {
            ($name:literal, $level:ident) => {
                event!(
                    name: $name,
                    target: "phasegate",
                    parent: &self.phase,
                    Level::$level,
                    error.type = code,
                )
            };
        }
        if code.starts_with("switch_") || code.starts_with("lease_") {
            send!("phasegate.switch_off", WARN);
        }
        match ending {
            Ending::Refused => send!("phasegate.refused", WARN),
            Ending::RolledBack => send!("phasegate.rolled_back", ERROR),
            Ending::InDoubt => send!("phasegate.in_doubt", ERROR),
            Ending::Performed | Ending::AlreadyCommitted => {}
        }
    }
}

//! The report of a preflight: a line for each thing, with its remedy.

use std::fmt;

use crate::base::printable::Printable;
use crate::plan::Plan;

/// Whether one thing stands between a plan and its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// It is as a run needs it.
    Ready,
    /// A run would be refused for it.
    Missing,
    /// A run would not be refused for it.
    Warning,
}

/// One line of a [`PreflightReport`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PreflightLine {
    /// Whether it stands in the way.
    pub readiness: Readiness,
    /// A stable name: where it stands in the way, the code of the refusal that a run would have.
    pub code: String,
    /// The phase that it is about; `None` if it is about the whole plan.
    pub phase: Option<String>,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that stands between a plan and its run, found before anything was touched; `Display` has a line for each.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "it says whether a run would be refused"]
pub struct PreflightReport {
    heading: String,
    lines: Vec<PreflightLine>,
}

impl PreflightReport {
    pub(super) fn of(plan: &Plan) -> Self {
        let of = plan.author().map(|author| format!(" of {author}"));
        PreflightReport {
            heading: format!(
                "plan {}{}, pipeline `{}`, for {}",
                plan.digest(),
                of.unwrap_or_default(),
                plan.pipeline(),
                plan.target()
            ),
            lines: Vec::new(),
        }
    }

    /// Returns whether nothing was found that a run would be refused for.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.missing_lines().next().is_none()
    }

    /// Returns each line, in the order in which the things were looked at.
    #[must_use]
    pub fn lines(&self) -> &[PreflightLine] {
        &self.lines
    }

    fn missing_lines(&self) -> impl Iterator<Item = &PreflightLine> {
        let lines = self.lines.iter();
        lines.filter(|line| line.readiness == Readiness::Missing)
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn ready(&mut self, code: &str, message: &str) {
        self.add(Readiness::Ready, code, None, message.to_owned(), None);
    }

    pub(super) fn warning(&mut self, code: &str, message: &str, hint: &str) {
        let hint = Some(hint.to_owned());
        self.add(Readiness::Warning, code, None, message.to_owned(), hint);
    }

    pub(super) fn missing(
        &mut self,
        code: &str,
        phase: Option<&str>,
        message: String,
        hint: Option<String>,
    ) {
        self.add(Readiness::Missing, code, phase, message, hint);
    }

    fn add(
        &mut self,
        readiness: Readiness,
        code: &str,
        phase: Option<&str>,
        message: String,
        hint: Option<String>,
    ) {
        self.lines.push(PreflightLine {
            readiness,
            code: code.to_owned(),
            phase: phase.map(str::to_owned),
            message,
            hint,
        });
    }
}

impl fmt::Display for PreflightReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.heading)?;
        for line in &self.lines {
            write!(f, "  {:8} ", line.readiness.word())?;
            if let Some(phase) = &line.phase {
                write!(f, "{}: ", Printable(phase))?;
            }
            writeln!(f, "{}", Printable(&line.message))?;
            if let Some(hint) = &line.hint {
                writeln!(f, "             {}", Printable(hint))?;
            }
        }
        match self.missing_lines().count() {
            0 => write!(f, "A run would begin. Nothing was touched."),
            1 => write!(f, "1 thing is missing. Nothing was touched."),
            missing => write!(f, "{missing} things are missing. Nothing was touched."),
        }
    }
}

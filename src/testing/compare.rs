use std::collections::BTreeSet;
use std::fmt;

use crate::Plan;
use crate::plan::{PlannedPhase, PlannedRows, RowCounts};

/// Compares what a simulator predicts with what a rehearsal measures: the phases, their inputs, and the rows of each
/// table, within the tolerance of the phase, as a live run of the predicted plan would.
///
/// A rehearsal leaves nothing behind, so that a property test compares many inputs on one database. Both plans are of
/// one pipeline: `predicted` of [`dry`](super::dry) or a `DryRunner`, `measured` of a `RehearsalRunner`, whatever their
/// targets are.
///
/// # Errors
///
/// Returns an error that names each difference.
pub fn compare(predicted: &Plan, measured: &Plan) -> Result<(), PredictionDiffers> {
    let mut differences = Vec::new();
    let names = |plan: &Plan| -> Vec<String> {
        plan.phases()
            .iter()
            .map(|phase| phase.name().to_owned())
            .collect()
    };
    let (simulated, rehearsed) = (names(predicted), names(measured));
    if simulated != rehearsed {
        let difference =
            format!("the dry run has the phases {simulated:?}, the rehearsal {rehearsed:?}");
        differences.push(difference);
    }
    for (predicted, measured) in predicted.phases().iter().zip(measured.phases()) {
        if predicted.name() == measured.name() {
            compare_phases(predicted, measured, &mut differences);
        }
    }
    if differences.is_empty() {
        Ok(())
    } else {
        Err(PredictionDiffers { differences })
    }
}

fn compare_phases(predicted: &PlannedPhase, measured: &PlannedPhase, found: &mut Vec<String>) {
    let name = predicted.name();
    if predicted.input() != measured.input() {
        found.push(format!(
            "phase `{name}` was simulated and rehearsed with different inputs"
        ));
    }
    let tables: BTreeSet<_> = predicted
        .effects()
        .keys()
        .chain(measured.effects().keys())
        .collect();
    for table in tables {
        let of = |phase: &PlannedPhase| {
            phase
                .effects()
                .get(table)
                .map_or(RowCounts::default(), PlannedRows::counts)
        };
        let tolerance = predicted
            .effects()
            .get(table)
            .map_or(0, PlannedRows::tolerance);
        let (was, is) = (of(predicted), of(measured));
        let within = |was: u64, is: u64| was == is || (was > 0 && was.abs_diff(is) <= tolerance);
        if !(within(was.inserted, is.inserted)
            && within(was.updated, is.updated)
            && within(was.deleted, is.deleted))
        {
            found.push(format!(
                "phase `{name}`, table `{table}`: predicted: {was}; measured: {is}"
            ));
        }
    }
}

/// A simulator predicts other effects than a rehearsal measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionDiffers {
    differences: Vec<String>,
}

impl PredictionDiffers {
    /// Returns the differences, one text for each.
    #[must_use]
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    /// Returns the stable name of the error, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "prediction_differs"
    }

    /// Returns what to do about it, as one or two sentences.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("Let the simulator predict what the adapter does, or let the phase tolerate the difference.".to_owned())
    }
}

impl fmt::Display for PredictionDiffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the simulator predicts something else: {}",
            self.differences.join("; ")
        )
    }
}

impl std::error::Error for PredictionDiffers {}

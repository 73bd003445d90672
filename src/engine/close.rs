//! Performs a phase from the opening to the close: the adapter, the kill switch once more, and the closing message.

use ::postgres::error::DbError;
use serde::de::DeserializeOwned;

use super::job::NotPerformed;
use super::live::LiveEngine;
use super::watch::Watch;
use crate::base::secret::Secret;
use crate::base::sqlstate;
use crate::database::{CloseError, Closed, PhaseTx, Publisher, Session, Statements};
use crate::kill_switch::{KillSwitch, SwitchOff, SwitchState};
use crate::observer::{Event, Observer, Step};
use crate::outcome::{Attempted, Failure, InDoubt, PhaseError, Rollback, RollbackCause};
use crate::plan::PlannedPhase;

/// The steps between the opening and the close.
pub(super) struct Inside<'a, 'o> {
    pub(super) perform: &'a mut dyn FnMut(&mut PhaseTx<'_>) -> Result<Vec<u8>, NotPerformed>,
    pub(super) planned: &'a PlannedPhase,
    pub(super) kill_switch: &'a dyn KillSwitch,
    pub(super) observer: &'a mut Observer<'o>,
    pub(super) in_doubt: &'a mut Option<InDoubt>,
    pub(super) attempted: &'a Attempted,
    pub(super) publisher: Publisher,
    /// Set if the session was lost meanwhile.
    pub(super) lost: &'a mut bool,
}

pub(super) fn perform_and_close(
    mut session: Session,
    phase: &str,
    watch: &Watch,
    secret: &Secret,
    inside: Inside<'_, '_>,
) -> Result<(Vec<u8>, Closed, Session), PhaseError> {
    let Inside {
        perform,
        planned,
        kill_switch,
        observer,
        in_doubt,
        attempted,
        publisher,
        lost,
    } = inside;
    // A panic in the adapter drops the session, which rolls back.
    let statements = Statements::PlannedFor(planned);
    let mut tx = PhaseTx::new(
        session.client(),
        phase,
        kill_switch,
        observer,
        statements,
        publisher,
    );
    let answer = perform(&mut tx);
    let (mut traces, _) = tx.into_traces();
    *lost = traces.lost;
    let rolled_back = |cause| Rollback::new(phase, LiveEngine::MODE, cause);
    if let Some(cause) = traces.stopped {
        return Err(rolled_back(cause).into());
    }
    if let Some(statement) = traces.unplanned {
        return Err(rolled_back(RollbackCause::StatementNotPlanned { statement }).into());
    }
    let output = match answer {
        Ok(output) => Ok(output),
        Err(NotPerformed::Failed(failure)) => {
            return Err(rolled_back(RollbackCause::Failed(failure)).into());
        }
        Err(NotPerformed::Output(error)) => Err(error),
    };
    if traces.lost {
        return Err(rolled_back(RollbackCause::ConnectionLost).into());
    }
    if let Some(row) = traces.dropped_rows() {
        let statement = Some(row);
        return Err(rolled_back(RollbackCause::Swallowed { statement }).into());
    }
    if traces.open_savepoints > 0 {
        return Err(rolled_back(RollbackCause::SavepointLeftOpen).into());
    }
    let output = output.map_err(|error| rolled_back(RollbackCause::Output(error)))?;
    observer(&Event::Passed {
        phase,
        step: Step::Performed,
    });

    match kill_switch.read() {
        Ok(SwitchState::On) => observer(&Event::Passed {
            phase,
            step: Step::SwitchStillOn,
        }),
        Ok(SwitchState::Off) => {
            let off = kill_switch.describe_off();
            return Err(rolled_back(RollbackCause::SwitchOff(off)).into());
        }
        Err(error) => return Err(rolled_back(RollbackCause::SwitchUnreadable(error)).into()),
    }

    // In doubt from here on, until a response arrives: even if a callback of the driver panics.
    if !watch.closes() {
        // The program has stopped the run; the caller has the reason.
        return Err(rolled_back(RollbackCause::SwitchOff(kill_switch.describe_off())).into());
    }
    let doubt = |source| InDoubt::new(phase, attempted.clone(), source);
    *in_doubt = Some(doubt("the close did not come to its end".into()));
    let error = match session.close(secret, &output) {
        Ok(closed) => return Ok((output, closed, session)),
        Err(error) => error,
    };
    *lost = matches!(error, CloseError::AlreadyLost);
    Err(match error {
        CloseError::AlreadyLost => rolled_back(RollbackCause::ConnectionLost).into(),
        CloseError::StatementHadFailed => {
            let statement = traces.failed_statement;
            rolled_back(RollbackCause::Swallowed { statement }).into()
        }
        CloseError::Refused(error) => rolled_back(refused(error)).into(),
        CloseError::NoAnswer(source) => {
            let doubt = doubt(source);
            *in_doubt = Some(doubt.clone());
            doubt.into()
        }
    })
}

/// Returns why the server has refused the close.
fn refused(error: ::postgres::Error) -> RollbackCause {
    let said = error.as_db_error();
    let code = said.map(|said| said.code().code());
    let cause = match code {
        Some(sqlstate::NOT_SEALED) if said.and_then(DbError::datatype) == Some("seal") => {
            return RollbackCause::EndedFromWithin(Failure::new(error));
        }
        Some(sqlstate::SWITCH_OFF | sqlstate::LEASE_ELSEWHERE) => {
            Some(RollbackCause::SwitchOff(SwitchOff::of_the_database()))
        }
        Some(sqlstate::LEASE_OVER) => Some(RollbackCause::LeaseOver),
        Some(sqlstate::EFFECTS_DIFFER) => differing(said).map(RollbackCause::EffectsDiffer),
        Some(sqlstate::CONTENTS_DIFFER) => differing(said).map(RollbackCause::ContentsDiffer),
        _ => None,
    };
    cause.unwrap_or_else(|| RollbackCause::CommitRefused(Failure::new(error)))
}

/// Reads the differences from an error of the server.
fn differing<T: DeserializeOwned>(said: Option<&DbError>) -> Option<T> {
    serde_json::from_str(said?.datatype()?).ok()
}

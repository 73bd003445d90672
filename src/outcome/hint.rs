//! The remedy for each error: full sentences, printed on a line of their own, as PostgreSQL does with HINT.

use super::{
    ApprovalRefusal, Error, InDoubt, Incomplete, Refusal, RefusalReason, Rollback, RollbackCause,
};
use crate::base::printable::Printable;

const NEW_PLAN: &str = "Make a new plan with a dry run or a rehearsal, and have that approved.";

/// The remedy for a statement that a plan does not have.
pub(crate) const STATEMENT_NOT_PLANNED: &str = "Run the program that was rehearsed; or rehearse again and have the new plan approved. A value that differs between runs belongs in a parameter.";

/// Returns the remedy for an error whose type this module does not know. The module `database` implements it.
pub(crate) trait Remedy {
    fn remedy(&self) -> Option<String>;
}

impl Error {
    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    ///
    /// Programs print it on a line of its own:
    ///
    /// ```
    /// # use phasegate::*;
    /// fn report(error: &Error) {
    ///     eprintln!("error [{}]: {error}", error.code());
    ///     if let Some(hint) = error.hint() {
    ///         eprintln!("hint: {hint}");
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Refused(refusal) => refusal.hint(),
            Error::RolledBack(rollback) => rollback.hint(),
            Error::InDoubt(doubt) => Some(doubt.hint()),
            Error::Incomplete(incomplete) => Some(incomplete.hint()),
        }
    }
}

impl Refusal {
    /// Returns what to do about it; see [`Error::hint`].
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self.reason() {
            RefusalReason::SwitchOff { switch, .. } => match switch.command() {
                Some(command) => format!(
                    "ON means that execution is allowed. To turn it on: {}.",
                    Printable(command)
                ),
                None => "ON means that execution is allowed.".to_owned(),
            },
            RefusalReason::SwitchUnreadable(error) => {
                let counts = "A kill switch that cannot be read counts as OFF.";
                return error.hint().or_else(|| Some(counts.to_owned()));
            }
            RefusalReason::NotCanonical(error) => return error.hint(),
            RefusalReason::NotConnected(error) => return error.remedy(),
            RefusalReason::Approval { reason, .. } => return reason.hint(),
            RefusalReason::NameNotPlanned { .. } => {
                "Use in `PhaseSpec::instance` only what is serialized.".to_owned()
            }
            RefusalReason::DuplicatePhase => {
                "Give phases of one type different values of `PhaseSpec::instance`.".to_owned()
            }
            RefusalReason::PlanExpired { .. }
            | RefusalReason::NotNextInPlan { .. }
            | RefusalReason::GateChanged { .. }
            | RefusalReason::OrderChanged { .. }
            | RefusalReason::InputChanged { .. }
            | RefusalReason::Rejected { .. } => NEW_PLAN.to_owned(),
            RefusalReason::AnotherPipeline { .. } => {
                "Give the run the plan of this pipeline, or run the pipeline of this plan.".to_owned()
            }
            RefusalReason::AnotherProgram { .. } => {
                "Run the program that made the plan; or make a new plan with this one, and have that approved.".to_owned()
            }
            RefusalReason::MeansChanged { .. } => {
                "Restore them, or rehearse again and have the new plan approved. Compare with `\\d` and pg_get_functiondef.".to_owned()
            }
            RefusalReason::AnotherInputs(error) => return error.hint(),
            RefusalReason::Unresolved { .. } => {
                "Resolve that phase first: `Run::resolve`, or run the same plan again.".to_owned()
            }
            RefusalReason::AnotherTarget { planned, .. } => format!(
                "Connect to the database of the plan, as role `{}`; or make a plan for this one.",
                Printable(planned.role())
            ),
            RefusalReason::SessionInTransaction => {
                "The connector has to return a new session. Its work would be committed with the phase.".to_owned()
            }
            RefusalReason::ActingRole { .. } => "Log in as the role that the plan names.".to_owned(),
            RefusalReason::Standby => "Connect to the primary.".to_owned(),
            RefusalReason::NotInstalled { .. } => {
                "Install it once, as a role that may create roles and schemas: `phasegate::schema::install(&mut client)`.".to_owned()
            }
            RefusalReason::AnotherProtocol { .. } => {
                "Call `phasegate::schema::install` of this release as the owner of the schema.".to_owned()
            }
            RefusalReason::NotARunner { role, .. } => format!(
                "Run GRANT phasegate_runner TO {}.",
                Printable(role)
            ),
            RefusalReason::PrivilegedRole { .. } => {
                "Each is named with the command that removes it. Where the role has to keep them, call `dangerously_allow_privileged_role` of the runner.".to_owned()
            }
            RefusalReason::NotAdmitted { .. } => {
                "An operator admits it: `Operator::admit_plan`.".to_owned()
            }
            RefusalReason::LeaseOver | RefusalReason::LeaseElsewhere { .. } => {
                "An operator turns it on again: `Operator::switch_on`.".to_owned()
            }
            RefusalReason::Held { .. } => "Wait for it, or end its session.".to_owned(),
            RefusalReason::SessionNotNew { .. } => {
                "Settings, locks and temporary tables of other clients would reach the phase. Connect to the server itself, or have the pool open a session for each client (pgbouncer: `server_lifetime = 0`).".to_owned()
            }
            RefusalReason::RehearsalOver { .. } => "Rehearse again.".to_owned(),
            RefusalReason::RehearsalsDiffer { .. } => {
                "Rehearse while no other session changes the rows, or use the plan of one rehearsal, which binds no value.".to_owned()
            }
            RefusalReason::Stopped { .. }
            | RefusalReason::Invalid(_)
            | RefusalReason::EmptyPlan
            | RefusalReason::PlanFlawed { .. }
            | RefusalReason::OutputUnreadable(_)
            | RefusalReason::NotOpened(_) => return None,
        })
    }
}

impl ApprovalRefusal {
    /// Returns what to do about it; see [`Error::hint`].
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            ApprovalRefusal::Rejected { .. } => NEW_PLAN.to_owned(),
            ApprovalRefusal::AnotherPhase { .. } => {
                "Ask for it when the phases before this one are performed.".to_owned()
            }
            ApprovalRefusal::NotAdmitted => {
                "An operator admits it: `Operator::admit_approval`.".to_owned()
            }
            ApprovalRefusal::Expired { .. } => "Have the plan approved again.".to_owned(),
            ApprovalRefusal::Missing => {
                "Call `run.approval` for each gate of the phase.".to_owned()
            }
            ApprovalRefusal::Denied(denied) => return denied.hint(),
            ApprovalRefusal::NotNeeded
            | ApprovalRefusal::AnotherGate { .. }
            | ApprovalRefusal::AnotherPlan { .. }
            | ApprovalRefusal::AnotherTarget { .. } => return None,
        })
    }
}

impl Rollback {
    /// Returns what to do about it; see [`Error::hint`].
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self.cause() {
            RollbackCause::SwitchOff(_) | RollbackCause::LeaseOver => {
                "Once an operator has turned it on again, run the same plan again: it goes on where it stopped."
            }
            RollbackCause::TimeOver => {
                "Give the phase more time with `PhaseSpec::timeouts`, or less work."
            }
            RollbackCause::Swallowed { .. } => {
                "Return the failure, or catch it inside `PhaseTx::savepoint`."
            }
            RollbackCause::StatementNotPlanned { .. } => STATEMENT_NOT_PLANNED,
            RollbackCause::SavepointLeftOpen => "Do not catch a panic inside a savepoint.",
            RollbackCause::ConnectionLost | RollbackCause::NotCommitted { .. } => {
                "Run the same plan again: it goes on where it stopped."
            }
            RollbackCause::EffectsDiffer(_) => {
                "Rehearse it: the effects that a rehearsal measures are those that a plan needs."
            }
            RollbackCause::ContentsDiffer(_) => {
                "Rehearse again and have the new plan approved, or run the program that was rehearsed with its input."
            }
            RollbackCause::EndedFromWithin(_) => {
                "An adapter must not end its transaction. Its later changes to tables that are not guarded may remain."
            }
            RollbackCause::CommitRefused(failure)
                if failure
                    .sqlstate()
                    .is_some_and(|code| code.code().starts_with("23")) =>
            {
                "It is a deferred constraint, which belongs to no single row."
            }
            RollbackCause::Failed(failure) => return failure.hint(),
            RollbackCause::Output(error) => return error.hint(),
            RollbackCause::SwitchUnreadable(error) => return error.hint(),
            RollbackCause::Stopped(_) | RollbackCause::CommitRefused(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl InDoubt {
    /// Returns what to do about it; see [`Error::hint`].
    #[must_use]
    pub fn hint(&self) -> String {
        format!(
            "Do not repeat it by hand. Run the same plan again, or call `InDoubt::resolve`: on {}, phasegate.journal has nonce {} if, and only if, it was committed.",
            self.target(),
            self.nonce()
        )
    }
}

impl Incomplete {
    /// Returns what to do about it; see [`Error::hint`].
    #[must_use]
    pub fn hint(&self) -> String {
        "The performed phases are committed. Run the same plan again: it goes on where it stopped."
            .to_owned()
    }
}

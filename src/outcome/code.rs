//! A stable name for each error, for programs: JSON, exit codes, traces. `docs/errors.md` lists them.

use super::{
    ApprovalRefusal, Error, InDoubt, Incomplete, Refusal, RefusalReason, Rollback, RollbackCause,
};

impl Error {
    /// Returns the stable name of the error, for programs: the code of the refusal, the code of the rollback's cause,
    /// `in_doubt` or `incomplete`. `docs/errors.md` lists them.
    ///
    /// ```
    /// # use phasegate::*;
    /// fn exit_code(error: &Error) -> u8 {
    ///     match error.code() {
    ///         "switch_off" | "lease_over" => 3,
    ///         "in_doubt" => 4,
    ///         _ => 1,
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Error::Refused(refusal) => refusal.code(),
            Error::RolledBack(rollback) => rollback.cause().code(),
            Error::InDoubt(doubt) => doubt.code(),
            Error::Incomplete(incomplete) => incomplete.code(),
        }
    }
}

impl Refusal {
    /// Returns the stable name of the refusal; see [`Error::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.reason() {
            RefusalReason::SwitchOff { .. } => "switch_off",
            RefusalReason::SwitchUnreadable(_) => "switch_unreadable",
            RefusalReason::Stopped { .. } => "stopped",
            RefusalReason::Approval { reason, .. } => reason.code(),
            RefusalReason::Invalid(_) => "invalid",
            RefusalReason::NotCanonical(_) => "not_canonical",
            RefusalReason::NameNotPlanned { .. } => "name_not_planned",
            RefusalReason::DuplicatePhase => "duplicate_phase",
            RefusalReason::EmptyPlan => "empty_plan",
            RefusalReason::PlanFlawed { .. } => "plan_flawed",
            RefusalReason::RehearsalsDiffer { .. } => "rehearsals_differ",
            RefusalReason::PlanExpired { .. } => "plan_expired",
            RefusalReason::AnotherPipeline { .. } => "another_pipeline",
            RefusalReason::AnotherProgram { .. } => "another_program",
            RefusalReason::MeansChanged { .. } => "means_changed",
            RefusalReason::AnotherInputs(error) => error.code(),
            RefusalReason::NotNextInPlan { .. } => "not_next_in_plan",
            RefusalReason::GateChanged { .. } => "gate_changed",
            RefusalReason::OrderChanged { .. } => "order_changed",
            RefusalReason::InputChanged { .. } => "input_changed",
            RefusalReason::Unresolved { .. } => "unresolved",
            RefusalReason::NotConnected(_) => "not_connected",
            RefusalReason::AnotherTarget { .. } => "another_target",
            RefusalReason::SessionInTransaction => "session_in_transaction",
            RefusalReason::ActingRole { .. } => "acting_role",
            RefusalReason::Standby => "standby",
            RefusalReason::NotInstalled { .. } => "not_installed",
            RefusalReason::AnotherProtocol { .. } => "another_protocol",
            RefusalReason::NotARunner { .. } => "not_a_runner",
            RefusalReason::PrivilegedRole { .. } => "privileged_role",
            RefusalReason::NotAdmitted { .. } => "not_admitted",
            RefusalReason::Rejected { .. } => "rejected",
            RefusalReason::LeaseOver => "lease_over",
            RefusalReason::LeaseElsewhere { .. } => "lease_elsewhere",
            RefusalReason::Held { .. } => "held",
            RefusalReason::SessionNotNew { .. } => "session_not_new",
            RefusalReason::OutputUnreadable(_) => "output_unreadable",
            RefusalReason::RehearsalOver { .. } => "rehearsal_over",
            RefusalReason::NotOpened(_) => "not_opened",
        }
    }
}

impl ApprovalRefusal {
    /// Returns the stable name of the reason; see [`Error::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            ApprovalRefusal::Denied(_) => "approval_denied",
            ApprovalRefusal::Rejected { .. } => "approval_rejected",
            ApprovalRefusal::NotNeeded => "approval_not_needed",
            ApprovalRefusal::Missing => "approval_missing",
            ApprovalRefusal::AnotherPhase { .. } => "approval_for_another_phase",
            ApprovalRefusal::AnotherGate { .. } => "approval_of_another_gate",
            ApprovalRefusal::AnotherPlan { .. } => "approval_of_another_plan",
            ApprovalRefusal::AnotherTarget { .. } => "approval_for_another_target",
            ApprovalRefusal::NotAdmitted => "approval_not_admitted",
            ApprovalRefusal::Expired { .. } => "approval_expired",
        }
    }
}

impl Rollback {
    /// Returns the stable name of the cause; see [`Error::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.cause().code()
    }
}

impl RollbackCause {
    /// Returns the stable name of the cause; see [`Error::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            RollbackCause::Failed(_) => "failed",
            RollbackCause::Output(_) => "output_not_canonical",
            RollbackCause::SwitchOff(_) => "switched_off",
            RollbackCause::Stopped(_) => "stopped_by_program",
            RollbackCause::LeaseOver => "lease_ended",
            RollbackCause::TimeOver => "time_over",
            RollbackCause::SwitchUnreadable(_) => "switch_became_unreadable",
            RollbackCause::Swallowed { .. } => "failure_swallowed",
            RollbackCause::StatementNotPlanned { .. } => "statement_not_planned",
            RollbackCause::SavepointLeftOpen => "savepoint_left_open",
            RollbackCause::ConnectionLost => "connection_lost",
            RollbackCause::CommitRefused(_) => "commit_refused",
            RollbackCause::EffectsDiffer(_) => "effects_differ",
            RollbackCause::ContentsDiffer(_) => "contents_differ",
            RollbackCause::EndedFromWithin(_) => "ended_from_within",
            RollbackCause::NotCommitted { .. } => "not_committed",
        }
    }
}

impl InDoubt {
    /// Returns `in_doubt`; see [`Error::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        "in_doubt"
    }
}

impl Incomplete {
    /// Returns `incomplete`; see [`Error::code`].
    #[must_use]
    pub fn code(&self) -> &'static str {
        "incomplete"
    }
}

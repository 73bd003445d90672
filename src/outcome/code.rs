//! A stable name for each way to end, for programs: JSON, exit codes, traces. `docs/errors.md` lists them.

use super::{ApprovalRefusal, Error, InDoubt, Incomplete, Refusal, Rollback, RollbackCause};

impl Error {
    /// Returns the stable name of what went wrong, for programs: that of the refusal or of the cause of the rollback,
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
        match self {
            Refusal::SwitchOff { .. } => "switch_off",
            Refusal::SwitchUnreadable { .. } => "switch_unreadable",
            Refusal::Stopped { .. } => "stopped",
            Refusal::Approval { reason, .. } => reason.code(),
            Refusal::Invalid { .. } => "invalid",
            Refusal::NotCanonical { .. } => "not_canonical",
            Refusal::NameNotPlanned { .. } => "name_not_planned",
            Refusal::DuplicatePhase { .. } => "duplicate_phase",
            Refusal::EmptyPlan => "empty_plan",
            Refusal::PlanFlawed { .. } => "plan_flawed",
            Refusal::PlanExpired { .. } => "plan_expired",
            Refusal::AnotherPipeline { .. } => "another_pipeline",
            Refusal::NotNextInPlan { .. } => "not_next_in_plan",
            Refusal::GateChanged { .. } => "gate_changed",
            Refusal::OrderChanged { .. } => "order_changed",
            Refusal::InputChanged { .. } => "input_changed",
            Refusal::Unresolved { .. } => "unresolved",
            Refusal::NotConnected { .. } => "not_connected",
            Refusal::AnotherTarget { .. } => "another_target",
            Refusal::SessionInTransaction { .. } => "session_in_transaction",
            Refusal::ActingRole { .. } => "acting_role",
            Refusal::Standby { .. } => "standby",
            Refusal::NotInstalled { .. } => "not_installed",
            Refusal::AnotherProtocol { .. } => "another_protocol",
            Refusal::NotARunner { .. } => "not_a_runner",
            Refusal::PrivilegedRole { .. } => "privileged_role",
            Refusal::NotAdmitted { .. } => "not_admitted",
            Refusal::Rejected { .. } => "rejected",
            Refusal::LeaseOver { .. } => "lease_over",
            Refusal::LeaseElsewhere { .. } => "lease_elsewhere",
            Refusal::Held { .. } => "held",
            Refusal::SessionNotNew { .. } => "session_not_new",
            Refusal::OutputUnreadable { .. } => "output_unreadable",
            Refusal::RehearsalOver { .. } => "rehearsal_over",
            Refusal::NotOpened { .. } => "not_opened",
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
            RollbackCause::SavepointLeftOpen => "savepoint_left_open",
            RollbackCause::ConnectionLost => "connection_lost",
            RollbackCause::CommitRefused(_) => "commit_refused",
            RollbackCause::EffectsDiffer(_) => "effects_differ",
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

use std::time::SystemTime;

use super::blocking_session::BlockingSession;
use super::{BoxError, Failure, InputRow, Invalid};
use crate::approval::Denied;
use crate::base::canonical::NotCanonical;
use crate::base::digest::Digest;
use crate::base::printable::{Listed, Printable};
use crate::kill_switch::{SwitchOff, SwitchUnreadable};
use crate::plan::Target;

/// A check failed, before anything was touched. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The kill switch is OFF, which is its default.
    #[error("{}: refused, {switch}", place(.phase.as_deref()))]
    SwitchOff {
        /// The phase that was about to begin; none if the run was.
        phase: Option<String>,
        /// Which it was, and what is known of why.
        switch: Box<SwitchOff>,
    },
    /// The kill switch cannot be read, and so counts as OFF.
    #[error("{}: refused, {source}", place(.phase.as_deref()))]
    SwitchUnreadable {
        /// The phase that was about to begin; none if the run was.
        phase: Option<String>,
        /// What the switch said.
        source: SwitchUnreadable,
    },
    /// The program has stopped the run: [`StopHandle::stop`](crate::StopHandle::stop).
    #[error("{}: refused, the program has stopped the run: {}", place(.phase.as_deref()), Printable(.why))]
    Stopped {
        /// The phase that was about to begin; none if the run was.
        phase: Option<String>,
        /// The reason that was given.
        why: String,
    },
    /// A gate was not passed.
    #[error("{}: refused at gate `{gate}`: {reason}", place(.phase.as_deref()))]
    Approval {
        /// The phase that needs the approval; none if no phase of the plan does.
        phase: Option<String>,
        /// The gate.
        gate: String,
        /// Why it was not passed.
        #[source]
        reason: ApprovalRefusal,
    },
    /// The phase's input is not what it has to be.
    #[error("phase `{phase}`: refused before connecting, {source}")]
    Invalid {
        /// The phase.
        phase: String,
        /// What is wrong, and with which row.
        source: Invalid,
    },
    /// The phase's input cannot be hashed and read back, so it cannot be approved.
    #[error("phase `{phase}`: refused, its input is not fit to be planned: {source}")]
    NotCanonical {
        /// The phase.
        phase: String,
        /// Why not.
        source: NotCanonical,
    },
    /// The phase's name depends on something that is not in its bytes.
    #[error("phase `{phase}`: refused, read back from its own bytes it is called `{decoded}`")]
    NameNotPlanned {
        /// The phase, as it was presented.
        phase: String,
        /// What it is called when it is read back.
        decoded: String,
    },
    /// A run already has a phase of this name.
    #[error("phase `{phase}`: refused, this run already has a phase of that name")]
    DuplicatePhase {
        /// The phase.
        phase: String,
    },
    /// A dry run or a rehearsal performed no phase, so there is nothing to plan.
    #[error("run: refused, the pipeline performed no phase, so there is nothing to approve")]
    EmptyPlan,
    /// The plan would say what no plan says, and would be refused when it is read back.
    #[error("{}: refused, the plan would be flawed: {flaw}", .phase.as_ref().map_or_else(|| "run".to_owned(), |phase| format!("phase `{phase}`")))]
    PlanFlawed {
        /// The phase that it is about; none if it is about the plan as a whole.
        phase: Option<String>,
        /// What is wrong, and with what.
        flaw: String,
    },
    /// The plan is older than it says that it may be.
    #[error(
        "phase `{phase}`: refused, the plan was valid until {} ago",
        ago(*.valid_until)
    )]
    PlanExpired {
        /// The phase.
        phase: String,
        /// Until when the plan was valid.
        valid_until: SystemTime,
    },
    /// The plan was made by another pipeline.
    #[error("live run: refused, the plan is for pipeline `{planned}`, and this is `{running}`")]
    AnotherPipeline {
        /// The pipeline that the plan names.
        planned: String,
        /// The pipeline that was to run.
        running: String,
    },
    /// The plan has another phase at this place, or none.
    #[error(
        "phase `{phase}`: refused, it is not what was planned: {}",
        match .planned { Some(planned) => format!("the plan's next phase is `{planned}`"), None => "the plan has no further phase".to_owned() }
    )]
    NotNextInPlan {
        /// The phase that was to be performed.
        phase: String,
        /// The phase that the plan has next, if it has one.
        planned: Option<String>,
    },
    /// The plan was made when this phase had other gates.
    #[error("phase `{phase}`: refused, it was planned behind {}, and is now behind {}", names(.planned, "no gate"), names(.presented, "no gate"))]
    GateChanged {
        /// The phase.
        phase: String,
        /// The gates that the plan names.
        planned: Vec<String>,
        /// The gates that the phase has now.
        presented: Vec<String>,
    },
    /// The plan was made when this phase came after others.
    #[error("phase `{phase}`: refused, it was planned after {}, and now comes after {}", names(.planned, "nothing"), names(.presented, "nothing"))]
    OrderChanged {
        /// The phase.
        phase: String,
        /// The phases that the plan has it come after.
        planned: Vec<String>,
        /// The phases whose receipts it was given.
        presented: Vec<String>,
    },
    /// The phase's input is not the one that was approved.
    #[error(
        "phase `{phase}`: refused, its input is not what was approved: planned {planned}, presented {presented}"
    )]
    InputChanged {
        /// The phase.
        phase: String,
        /// The digest that the plan has.
        planned: Digest,
        /// The digest of the input that was presented.
        presented: Digest,
    },
    /// An earlier phase of this run is in doubt.
    #[error("phase `{phase}`: refused, whether `{in_doubt}` was committed is not known")]
    Unresolved {
        /// The phase that was to be performed.
        phase: String,
        /// The phase that is in doubt.
        in_doubt: String,
    },
    /// The connector gave no connection.
    #[error("phase `{phase}`: refused, no connection to the database: {source}")]
    NotConnected {
        /// The phase.
        phase: String,
        /// What the connector said.
        source: BoxError,
    },
    /// The server is not the one that the plan is for.
    #[error(
        "phase `{phase}`: refused, this is not the {} of the plan: planned {planned}, found {found}",
        if planned.is_same_database(found) { "role" } else { "database" }
    )]
    AnotherTarget {
        /// The phase.
        phase: String,
        /// The target that the plan names.
        planned: Box<Target>,
        /// The one that the connector led to.
        found: Box<Target>,
    },
    /// The connector handed out a session that is in a transaction already.
    #[error(
        "phase `{phase}`: refused, the session that the connector handed out is in a transaction already"
    )]
    SessionInTransaction {
        /// The phase.
        phase: String,
    },
    /// The connector handed out a session that acts as another role than it logged in as.
    #[error(
        "phase `{phase}`: refused, the session logged in as `{}` and acts as `{}`",
        Printable(.role),
        Printable(.acting)
    )]
    ActingRole {
        /// The phase.
        phase: String,
        /// The role that it logged in as.
        role: String,
        /// The role that it acts as.
        acting: String,
    },
    /// The server is a standby, which cannot commit.
    #[error("phase `{phase}`: refused, the server is a standby")]
    Standby {
        /// The phase.
        phase: String,
    },
    /// The schema `phasegate` is not in the database.
    #[error("phase `{phase}`: refused, the schema `phasegate` is not installed in {found}")]
    NotInstalled {
        /// The phase.
        phase: String,
        /// The database that the connector led to.
        found: Box<Target>,
    },
    /// The schema there speaks another protocol than this release.
    #[error("phase `{phase}`: refused, {said}")]
    AnotherProtocol {
        /// The phase.
        phase: String,
        /// What the server said.
        said: Failure,
    },
    /// The role may not perform phases.
    #[error(
        "phase `{phase}`: refused, role `{role}` may not perform phases here",
        role = Printable(.role)
    )]
    NotARunner {
        /// The phase.
        phase: String,
        /// The role.
        role: String,
    },
    /// The role has privileges that bypass the interlock.
    #[error(
        "phase `{phase}`: refused, role `{}` has privileges that bypass the interlock: {}",
        Printable(.role),
        Listed::new(.privileges, "; ")
    )]
    PrivilegedRole {
        /// The phase.
        phase: String,
        /// The role.
        role: String,
        /// Each with the command that removes it.
        privileges: Vec<String>,
    },
    /// The plan is not admitted to the database.
    #[error("phase `{phase}`: refused, plan {plan} is not admitted in {found}")]
    NotAdmitted {
        /// The phase.
        phase: String,
        /// The digest of the plan.
        plan: Digest,
        /// The database that the connector led to.
        found: Box<Target>,
    },
    /// A person who is entitled to has rejected the plan, and an operator has admitted that.
    #[error(
        "phase `{phase}`: refused, {} has rejected the plan: {}",
        Printable(.by),
        Printable(.comment)
    )]
    Rejected {
        /// The phase.
        phase: String,
        /// Who has.
        by: String,
        /// Why.
        comment: String,
    },
    /// The lease of the database's kill switch is over.
    #[error("phase `{phase}`: refused, the lease of the kill switch is over")]
    LeaseOver {
        /// The phase.
        phase: String,
    },
    /// The kill switch was turned on elsewhere: in another cluster, or on another timeline.
    #[error("phase `{phase}`: refused, {said}")]
    LeaseElsewhere {
        /// The phase.
        phase: String,
        /// What the server said.
        said: Failure,
    },
    /// Another run is performing a phase of the same plan, and did not end it in the time that
    /// [`Timeouts::lock`](crate::Timeouts::lock) gives it.
    #[error(
        "phase `{phase}`: refused, the plan is being performed by {}",
        .holder.as_ref().map_or_else(|| "a session that has ended meanwhile".to_owned(), ToString::to_string)
    )]
    Held {
        /// The phase.
        phase: String,
        /// Who performs it.
        holder: Option<Box<BlockingSession>>,
    },
    /// The connector handed out a session that is older than the asking for it.
    #[error(
        "phase `{phase}`: refused, the session that the connector handed out had been in use for {age:.1} s: a pool stands between"
    )]
    SessionNotNew {
        /// The phase.
        phase: String,
        /// How old it is, in seconds.
        age: f64,
    },
    /// The journal has the phase as committed, and what it left cannot be read as this phase's output.
    #[error(
        "phase `{phase}`: refused, it is committed, and what it left cannot be read back: {source}"
    )]
    OutputUnreadable {
        /// The phase.
        phase: String,
        /// Why not.
        source: BoxError,
    },
    /// The rehearsal has lost its session, and with it what its phases had written: what comes after
    /// them cannot be rehearsed any more.
    #[error(
        "phase `{phase}`: refused, the rehearsal is over: its session ended {}, and with it what the phases before had written{}",
        .lost_in.as_ref().map_or_else(|| "between two phases".to_owned(), |lost| format!("in phase `{lost}`")),
        .source.as_ref().map(|source| format!(" ({})", super::describe(&**source))).unwrap_or_default()
    )]
    RehearsalOver {
        /// The phase that was to be performed; the last one, if it was the end of the run.
        phase: String,
        /// The phase in which the session was lost; none if it was lost between two.
        lost_in: Option<String>,
        /// What the server or the driver said.
        source: Option<BoxError>,
    },
    /// The server did not open the phase.
    #[error("phase `{phase}`: refused, the server did not open it: {}", super::describe(&**.source))]
    NotOpened {
        /// The phase.
        phase: String,
        /// What the server said.
        source: BoxError,
    },
}

impl Refusal {
    /// The row that is to blame, if one is.
    #[must_use]
    pub fn row(&self) -> Option<&InputRow> {
        match self {
            Refusal::Invalid { source, .. } => source.row(),
            _ => None,
        }
    }

    /// The phase that was refused; none if the run was.
    #[must_use]
    pub fn phase(&self) -> Option<&str> {
        match self {
            Refusal::SwitchOff { phase, .. }
            | Refusal::Stopped { phase, .. }
            | Refusal::SwitchUnreadable { phase, .. }
            | Refusal::PlanFlawed { phase, .. }
            | Refusal::Approval { phase, .. } => phase.as_deref(),
            Refusal::Invalid { phase, .. }
            | Refusal::NotCanonical { phase, .. }
            | Refusal::NameNotPlanned { phase, .. }
            | Refusal::DuplicatePhase { phase }
            | Refusal::NotNextInPlan { phase, .. }
            | Refusal::GateChanged { phase, .. }
            | Refusal::OrderChanged { phase, .. }
            | Refusal::InputChanged { phase, .. }
            | Refusal::PlanExpired { phase, .. }
            | Refusal::Unresolved { phase, .. }
            | Refusal::NotConnected { phase, .. }
            | Refusal::AnotherTarget { phase, .. }
            | Refusal::SessionInTransaction { phase }
            | Refusal::ActingRole { phase, .. }
            | Refusal::Standby { phase }
            | Refusal::NotInstalled { phase, .. }
            | Refusal::AnotherProtocol { phase, .. }
            | Refusal::NotARunner { phase, .. }
            | Refusal::PrivilegedRole { phase, .. }
            | Refusal::NotAdmitted { phase, .. }
            | Refusal::Rejected { phase, .. }
            | Refusal::LeaseOver { phase }
            | Refusal::LeaseElsewhere { phase, .. }
            | Refusal::Held { phase, .. }
            | Refusal::SessionNotNew { phase, .. }
            | Refusal::OutputUnreadable { phase, .. }
            | Refusal::RehearsalOver { phase, .. }
            | Refusal::NotOpened { phase, .. } => Some(phase),
            Refusal::EmptyPlan | Refusal::AnotherPipeline { .. } => None,
        }
    }
}

/// Why a gate was not passed. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApprovalRefusal {
    /// The authority did not attest to an approval.
    #[error("{0}")]
    Denied(#[source] Denied),
    /// A person who is entitled to has rejected the plan, for every gate.
    #[error(
        "{} has rejected the plan: {}",
        Printable(.by),
        Printable(.comment)
    )]
    Rejected {
        /// Who has.
        by: String,
        /// Why.
        comment: String,
    },
    /// No phase that is still to be performed has this gate.
    #[error("no phase that is still to be performed asks for it")]
    NotNeeded,
    /// The phase has more gates than it was given approvals.
    #[error("no approval of it was given")]
    Missing,
    /// The authority was asked about another phase.
    #[error("the approval was asked for when phase `{asked}` was next")]
    AnotherPhase {
        /// The phase that the authority was asked about.
        asked: String,
    },
    /// What was attested is an approval of another gate.
    #[error("the approval is for gate `{attested}`")]
    AnotherGate {
        /// The gate that was approved.
        attested: String,
    },
    /// What was attested is an approval of another plan.
    #[error("the approval is for plan {attested}, and this is plan {running}")]
    AnotherPlan {
        /// The plan that was approved.
        attested: Digest,
        /// The plan that is running.
        running: Digest,
    },
    /// What was attested is an approval for another database.
    #[error("the approval is for {attested}, and the plan is for {planned}")]
    AnotherTarget {
        /// The target that was approved.
        attested: Box<Target>,
        /// The target of the plan.
        planned: Box<Target>,
    },
    /// The database has no approval that fits: none was admitted under its nonce, or it is over by
    /// the server's clock.
    #[error("the database has not admitted this approval, or it has expired there")]
    NotAdmitted,
    /// The approval is over.
    #[error("the approval expired {} ago", ago(*.at))]
    Expired {
        /// When it expired.
        at: SystemTime,
    },
}

fn place(phase: Option<&str>) -> String {
    match phase {
        Some(phase) => format!("phase `{phase}`"),
        None => "live run".to_owned(),
    }
}

fn names(names: &[String], none: &str) -> String {
    if names.is_empty() {
        none.to_owned()
    } else {
        Listed::quoted(names, " and ").to_string()
    }
}

fn ago(at: SystemTime) -> String {
    let seconds = at.elapsed().unwrap_or_default().as_secs();
    format!("{seconds} s")
}

impl From<Denied> for ApprovalRefusal {
    fn from(denied: Denied) -> Self {
        match denied.rejected {
            Some((by, comment)) => ApprovalRefusal::Rejected { by, comment },
            None => ApprovalRefusal::Denied(denied),
        }
    }
}

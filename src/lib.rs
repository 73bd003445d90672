//! Dangerous data changes on a live PostgreSQL, gated by types.
//!
//! > A live phase that is not switched on, approved, planned and in order **does not compile**.
//! > A live phase that fails **leaves nothing behind**, and names the row that failed.
//! > And the **database itself refuses a commit** that is not sealed, planned, in order, approved and
//! > switched on, or that did something else than was planned, and refuses any other write of the
//! > runner role to guarded tables.
//!
//! The compiler checks that nothing live is performed without asking for the switch, the plan and the approval, nor
//! before the phases that it comes after. Whether the switch *is* ON, the input *planned* and the approval *given* is
//! checked at run time, before anything is touched, and again by the database, inside the commit.
//!
//! A *phase* is one step of a data change; in a live run, it is exactly one transaction. A *pipeline* is a plain
//! function that performs phases, written once and generic over [`Mode`]: in a [`DryRun`] a [simulator](Simulate)
//! performs them, and the run returns a [`Plan`]; in a [`Live`] run a [live adapter](Execute) performs them, exactly
//! as planned; in a [`Rehearsal`] the live adapter performs them, its effects are measured, and everything is rolled
//! back.
//!
//! ```
//! use phasegate::{Error, Execute, Failure, Mode, Perform, PhaseSpec, PhaseTx, Run, Sg1, Start, Switch};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet { whom: String }
//!
//! impl PhaseSpec for Greet {
//!     const NAME: &'static str = "greet";
//!     type Gate = Sg1;       // live, it needs an `Sg1Approved`
//!     type After = Start;    // nothing comes before it
//!     type Output = u64;
//! }
//!
//! struct Letters;
//!
//! impl Execute<Greet> for Letters {
//!     fn execute(&mut self, greet: &Greet, _: (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
//!         Ok(tx.execute("INSERT INTO letter (whom) VALUES ($1)", &[&greet.whom])?)
//!     }
//! }
//!
//! fn pipeline<'run, M: Mode, W: Perform<M, Greet>>(
//!     run: &mut Run<'run, M, W>,
//!     on: &Switch<'run, M>,
//! ) -> Result<u64, Error> {
//!     let sg1 = run.approval::<Sg1>()?;
//!     let greet = Greet { whom: "Ada".to_owned() };
//!     Ok(run.phase(greet).perform(on, sg1, Start)?.into_output())
//! }
//! ```
//!
//! # The signatures to read
//!
//! An auditor has to trust these signatures, and little else:
//!
//! - [`Phase::live`]: the arguments without which no live phase can be built;
//! - [`LiveRunner::run`]: the parts without which no live run can be started;
//! - [`Run::approval`]: the function that makes an [`Approval`];
//! - [`Attestation::assert_verified`](approval::Attestation::assert_verified): the function that every authority ends
//!   in. [`UnsignedApprovals`](approval::UnsignedApprovals) call it for you: search for both names;
//! - [`Operator`](operator::Operator): admits plans and approvals to the database, and turns its kill switch on and
//!   off;
//! - [`Step`](runner::Step): the order in which the engine checks everything again;
//! - [`PhaseTx`]: the transaction that an adapter borrows.
//!
//! [audit.md](https://github.com/phasegate/phasegate/blob/main/docs/audit.md) has the whole list, with every place that makes
//! a token.
//!
//! # The map
//!
//! The root has the names that a pipeline needs, and [`prelude`] has most of them for one `use`. The rest is in
//! modules by subject:
//!
//! | subject | where |
//! |---|---|
//! | modes, phases, tokens, adapters, the three runners, the plan | the root |
//! | parts of a run, its results and events, stopping it | [`runner`] |
//! | approvals: statements, authorities, evidence | [`approval`]; with SSH keys, and the feature `ssh`, [`ssh`](crate#modules) |
//! | the kill switch | [`switch`] |
//! | sessions, connectors, statements, reading the real data | [`connect`] |
//! | many rows in one phase | [`batch`] |
//! | the contents of a plan | [`plan`] |
//! | the gate table of a pipeline | [`gates`] |
//! | the errors of a run | [`error`] |
//! | the schema and the guard | [`schema`] |
//! | admitting, and the switch of the database | [`operator`] |
//! | the journal and the evidence | [`audit`] |
//! | a pipeline as a complete program, with the feature `program` | [`program`](crate#modules) |
//! | doubles, with the feature `testing` | [`testing`](crate#modules) |
//!
//! # When it does not compile
//!
//! [compile-errors.md](https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md) has each message by its first
//! line, with the smallest wrong program and the right one. [`assert_phase!`], [`assert_not_live!`] and
//! [`assert_no_witness!`] pin what a reviewer approved.
//!
//! # What this does not protect from
//!
//! The types prevent accidents and make intent greppable. They do not stop hostile code in the same process: safe Rust
//! can forge any token by a compiler bug (rust-lang/rust#25860). Neither the types nor the engine see an adapter or a
//! simulator that starts a run of its own inside, or one that writes through another connection; the database's guard
//! sees the latter, on the guarded tables. `docs/limits.md` lists what the database does not enforce. The crate's
//! tests demonstrate each of these limits.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod authority;
mod base;
#[cfg(feature = "connect-env")]
mod connecting;
mod database;
mod engine;
mod evidence;
pub mod gates;
mod kill_switch;
mod observer;
mod outcome;
pub mod plan;
pub mod prelude;
#[cfg(feature = "program")]
#[cfg_attr(docsrs, doc(cfg(feature = "program")))]
pub mod program;
#[cfg(feature = "report")]
mod report;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
#[cfg(all(test, feature = "ssh", feature = "testing"))]
mod tests;
#[cfg(feature = "tracing")]
mod traced;
mod typed;

/// The driver whose types are in this crate's signatures.
pub use ::postgres;

pub use crate::authority::{Gate, Sg1, Sg2};
pub use crate::base::digest::Digest;
pub use crate::database::PhaseTx;
pub use crate::engine::Timeouts;
pub use crate::outcome::{Error, Failure, Invalid};
pub use crate::plan::{Effects, Plan, Target};
pub use crate::typed::{
    After, And, Approval, Attempt, DryRun, DryRunner, Execute, KillSwitchOn, Live, LiveRunner,
    Mode, Perform, Phase, PhaseSpec, Prior, Receipt, Receipts, Rehearsal, RehearsalRunner, Run,
    Sg1Approved, Sg2Approved, Simulate, Start, Switch, Ungated, Witness, adapter_fn, simulator_fn,
};

#[cfg(feature = "program")]
#[cfg_attr(docsrs, doc(cfg(feature = "program")))]
pub use crate::program::program;

/// What `assert_phase!`, `assert_not_live!` and `assert_no_witness!` ask of the compiler.
#[doc(hidden)]
pub use crate::typed::reviewed as __reviewed;

/// Approvals of gates: statements, attestations, and the authorities that a run asks.
pub mod approval {
    pub use crate::authority::{
        ApprovalRequest, ApprovalStatement, Attestation, Authority, Decision, Denied, Evidence,
        EvidenceDigests, SignedStatement, StatementDigests, UnsignedApprovals,
    };
    pub use crate::database::AdmittedApprovals;
    pub use crate::typed::{Approvable, Requirement};
}

/// Approvals that are signed with SSH keys: keys, policies, and the errors of their files.
#[cfg(feature = "ssh")]
#[cfg_attr(docsrs, doc(cfg(feature = "ssh")))]
pub mod ssh {
    pub use crate::authority::{
        AllowedSigners, AllowedSignersError, ApprovalStatementBuilder, Demand, GateRule, NAMESPACE,
        ParseApprovalError, Policy, PolicyBuilder, PolicyError, RejectedApprovalFile, RevokedKeys,
        RevokedKeysError, SignedApprovals, SignerFlaw, UnfitKey, VerifyApprovalError,
    };
}

/// The kill switch, and the reasons why one is OFF.
pub mod switch {
    pub use crate::database::LeaseSwitch;
    pub use crate::kill_switch::{
        FileSwitch, InProcessSwitch, KillSwitch, SwitchOff, SwitchState, SwitchUnreadable,
        WhichSwitch,
    };
}

/// The operator's tasks: admitting plans and approvals, and turning the switch of the database.
pub mod operator {
    pub use crate::database::{
        AdmittedPlanError, Housekept, Operator, OperatorError, PlanAdmission, Rejected,
        SwitchStatus, SwitchedOff,
    };
    pub use crate::outcome::BlockingSession;
}

/// The database owner's tasks: installing the schema `phasegate`, and guarding tables.
pub mod schema {
    pub use crate::database::{Guard, protect, protect_as, unprotect};
    #[cfg(feature = "install")]
    #[cfg_attr(docsrs, doc(cfg(feature = "install")))]
    pub use crate::database::{InstallError, Installed, install};
}

/// The auditor's records: the journal, and the evidence of a run.
pub mod audit {
    pub use crate::database::{BrokenChain, Journal, JournalEntry, JournalError, SpentApproval};
    pub use crate::evidence::{
        AddInputsError, BundleNotWritten, EvidenceBundle, EvidenceError, EvidenceFlaw,
        InTotoStatement,
    };
    pub use crate::outcome::{CommitEvidence, Committed, Durability};
    #[cfg(feature = "report")]
    #[cfg_attr(docsrs, doc(cfg(feature = "report")))]
    pub use crate::report::Report;
}

/// The errors of a phase and of a run, and those of inputs.
pub mod error {
    pub use crate::base::canonical::NotCanonical;
    pub use crate::base::digest::DigestError;
    pub use crate::base::files::ReadFileError;
    pub use crate::outcome::{
        ApprovalRefusal, ColumnDiffers, ContentsDiffer, EffectsDiffer, InDoubt, Incomplete,
        InputRow, Refusal, RefusalReason, Resolution, ResolveError, Rollback, RollbackCause,
        TableDiffers,
    };
}

/// Many rows in one phase: calls for each row in few messages, and `COPY`.
pub mod batch {
    pub use crate::database::{CopyIn, CopyOut, Discard, RowBatch, RowParams, RowStream};
}

/// Sessions: connectors, statements, and read-only sessions.
pub mod connect {
    pub use crate::database::{
        ConnectError, Connection, Connector, PostgresConnector, PreparedStatement, ReadOnlyError,
        ReadOnlySession, ReadRows, Sql, SqlError, Warnings,
    };

    #[cfg(feature = "connect-env")]
    #[cfg_attr(docsrs, doc(cfg(feature = "connect-env")))]
    pub use crate::connecting::{Connect, Endpoint, EndpointError, Environment, Role};
}

/// The parts of a run, its results and events, and how to stop it.
pub mod runner {
    pub use crate::engine::{FailedRehearsal, RehearsedPhase, StopHandle};
    pub use crate::observer::{Cause, Ending, Event, Outcome, Step, Waiting};
    #[cfg(feature = "tracing")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
    pub use crate::traced::traced;
    pub use crate::typed::{
        AdapterFn, DryRunReport, ErasedPhase, Given, LiveReport, NoAdapter, NoAuthority,
        NoConnector, NoKillSwitch, NoPlan, NoSimulator, NoTarget, PhaseCall, Preflight,
        PreflightLine, PreflightReport, Readiness, ReadyRunner, RehearsalReport, Replayed,
        SimulatorFn, UnresolvedPhase,
    };
}

/// The examples of the pages, compiled.
#[cfg(doctest)]
mod pages {
    macro_rules! pages {
        ($($name:ident $page:literal),+ $(,)?) => {$(
            #[doc = include_str!($page)]
            struct $name;
        )+};
    }

    pages!(
        Readme "../README.md",
        Approvals "../docs/approvals.md",
        Async "../docs/async.md",
        Batches "../docs/batches.md",
        CompileErrors "../docs/compile-errors.md",
        CompileFail "../docs/compile-fail.md",
        LargePipelines "../docs/large-pipelines.md",
        Plans "../docs/plan.md",
        Rehearsal "../docs/rehearsal.md",
        Setup "../docs/setup.md",
    );

    #[cfg(feature = "connect-env")]
    pages!(Connecting "../docs/connecting.md");
    #[cfg(feature = "program")]
    pages!(Program "../docs/program.md");

    #[cfg(feature = "report")]
    pages!(Report "../docs/report.md");

    #[cfg(feature = "testing")]
    pages!(Testing "../docs/testing.md");
}

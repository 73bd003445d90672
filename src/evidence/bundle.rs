use ::postgres::{Client, IsolationLevel, Row, Transaction};
use serde::Deserialize;

use crate::authority::Evidence;
use crate::base::digest::Digest;
use crate::database::{Journal, JournalError, NO_SUCH_PLAN, auditor_hint};
use crate::outcome::{BoxError, message_of};
use crate::plan::{InputsError, Plan, PlanError, PlanInputs, PlanMeans, ProgramIdentity, Target};

/// The complete evidence of one plan's run: the plan, the approvals with their signed statements and the rules by
/// which they were verified, and the journal with its chain.
///
/// [`write_to`](EvidenceBundle::write_to) writes it to a directory that a third party verifies offline, with
/// `ssh-keygen`, `sha256sum` and the page of instructions in it. A run that never began, that stopped half way, or
/// whose plan was rejected has a bundle too, which records that.
///
/// ```no_run
/// # fn collect(auditor: &mut postgres::Client, plan: phasegate::Digest) -> Result<(), Box<dyn std::error::Error>> {
/// let bundle = phasegate::audit::EvidenceBundle::collect(auditor, plan)?;
/// bundle.verify()?;
/// bundle.write_to("evidence-2026-11-23".as_ref())?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EvidenceBundle {
    pub(super) plan: Digest,
    pub(crate) plan_bytes: Vec<u8>,
    pub(crate) planned: PlanText,
    pub(crate) journal: Journal,
    /// In the order in which they were spent; unspent ones after them, in the order in which they were admitted.
    pub(crate) approvals: Vec<Admitted>,
    pub(crate) rejections: Vec<Admitted>,
    /// When it was collected, by the server's clock.
    pub(crate) collected_at: String,
    /// The inputs that were added.
    pub(crate) inputs: Option<PlanInputs>,
}

/// The parts of a plan that the evidence needs. A plan of any age is evidence, also one that has expired.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PlanText {
    pub(crate) pipeline: String,
    pub(crate) target: Target,
    pub(crate) phases: Vec<PhaseText>,
    #[serde(default)]
    pub(crate) statements: Vec<String>,
    #[serde(default)]
    pub(crate) means: Option<PlanMeans>,
    #[serde(default)]
    pub(crate) program: Option<ProgramIdentity>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PhaseText {
    pub(crate) name: String,
    pub(crate) gates: Vec<String>,
    pub(crate) input: Digest,
}

/// An approval or a rejection that an operator has admitted.
#[derive(Debug, Clone)]
#[allow(clippy::struct_field_names)] // `admitted_at` is the database's word
pub(crate) struct Admitted {
    pub(crate) nonce: String,
    pub(crate) gate: String,
    pub(crate) approver: String,
    pub(crate) comment: String,
    pub(crate) evidence: Option<Evidence>,
    pub(crate) admitted_by: String,
    /// When it was admitted, in the form that `ssh-keygen` takes: `20261123070919Z`.
    pub(crate) admitted_at: String,
    /// The places of the phases that have spent it.
    pub(crate) spent: Vec<i32>,
}

/// Why inputs were not added to the evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddInputsError {
    /// The plan in the evidence cannot be read.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The inputs are those of another plan.
    #[error(transparent)]
    Inputs(#[from] InputsError),
}

impl AddInputsError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            AddInputsError::Plan(error) => error.code(),
            AddInputsError::Inputs(error) => error.code(),
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            AddInputsError::Plan(error) => error.hint(),
            AddInputsError::Inputs(error) => error.hint(),
        }
    }
}

/// Why the evidence could not be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The plan was never admitted in this database.
    #[error("there is no evidence: plan {0} was never admitted in this database")]
    NoSuchPlan(Digest),
    /// The text that the database has as the plan is not a plan.
    #[error("the evidence cannot be collected: what was admitted is not a plan: {0}")]
    NotAPlan(serde_json::Error),
    /// The value that the database has as the evidence of an approval is not valid evidence.
    #[error(
        "the evidence cannot be collected: what was admitted with nonce `{nonce}` is not evidence: {error}"
    )]
    NotEvidence {
        /// The nonce of the approval.
        nonce: String,
        /// What is wrong with the evidence.
        error: serde_json::Error,
    },
    /// The server refused the query, or its response is malformed.
    #[error("the evidence cannot be collected: {}", message_of(&**.0))]
    Database(BoxError),
}

impl EvidenceError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            EvidenceError::NoSuchPlan(_) => "evidence_no_such_plan",
            EvidenceError::NotAPlan(_) => "evidence_not_a_plan",
            EvidenceError::NotEvidence { .. } => "evidence_malformed",
            EvidenceError::Database(_) => "evidence_not_read",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            EvidenceError::NoSuchPlan(_) => Some(NO_SUCH_PLAN.to_owned()),
            EvidenceError::Database(error) => auditor_hint(error),
            EvidenceError::NotAPlan(_) | EvidenceError::NotEvidence { .. } => None,
        }
    }
}

impl From<::postgres::Error> for EvidenceError {
    fn from(error: ::postgres::Error) -> Self {
        EvidenceError::Database(error.into())
    }
}

impl From<JournalError> for EvidenceError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::NoSuchPlan(plan) => EvidenceError::NoSuchPlan(plan),
            JournalError::Database(error) => EvidenceError::Database(error),
        }
    }
}

impl EvidenceBundle {
    /// Collects the database's records about the plan with this digest, in one snapshot. It requires a member of
    /// `phasegate_auditor`, who can change nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan was never admitted here, or the server refuses the query.
    /// [`verify`](EvidenceBundle::verify) checks whether the collected records are consistent.
    pub fn collect(client: &mut Client, plan: Digest) -> Result<Self, EvidenceError> {
        let mut tx = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()?;
        let journal = Journal::read_in(&mut tx, plan)?;
        let key = plan.as_bytes().as_slice();
        let admitted = tx.query_one(
            "SELECT bytes, pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.clock_timestamp()), \
               'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') \
             FROM phasegate.plan WHERE plan OPERATOR(pg_catalog.=) $1",
            &[&key],
        )?;
        let plan_bytes: Vec<u8> = admitted.try_get(0)?;
        let planned = serde_json::from_slice(&plan_bytes).map_err(EvidenceError::NotAPlan)?;
        let approvals = admitted_in(
            &mut tx,
            "SELECT a.nonce, a.gate, a.approver, a.comment, a.evidence::pg_catalog.text, a.admitted_by, \
               pg_catalog.to_char(pg_catalog.timezone('UTC', a.admitted_at), 'YYYYMMDDHH24MISS\"Z\"'), \
               ARRAY(SELECT s.position FROM phasegate.approval_spent AS s \
                     WHERE s.nonce OPERATOR(pg_catalog.=) a.nonce ORDER BY s.position) AS spent \
             FROM phasegate.approval AS a WHERE a.plan OPERATOR(pg_catalog.=) $1 \
             ORDER BY (SELECT pg_catalog.min(s.position) FROM phasegate.approval_spent AS s \
                       WHERE s.nonce OPERATOR(pg_catalog.=) a.nonce) NULLS LAST, a.admitted_at, a.nonce",
            plan,
        )?;
        let mut rejections = admitted_in(
            &mut tx,
            "SELECT r.nonce, '', r.rejected_by, r.comment, r.evidence::pg_catalog.text, r.admitted_by, \
               pg_catalog.to_char(pg_catalog.timezone('UTC', r.admitted_at), 'YYYYMMDDHH24MISS\"Z\"'), \
               ARRAY[]::pg_catalog.int4[] \
             FROM phasegate.rejection AS r WHERE r.plan OPERATOR(pg_catalog.=) $1 ORDER BY r.admitted_at, r.nonce",
            plan,
        )?;
        // The database stores a rejection for all gates; the signed statement names one.
        for rejection in &mut rejections {
            let signed = rejection.evidence.iter().flat_map(|e| &e.statements).next();
            let said = signed.and_then(|signed| serde_json::from_str(&signed.statement).ok());
            let said: serde_json::Value = said.unwrap_or_default();
            let gate = said["gate"].as_str().unwrap_or_default();
            gate.clone_into(&mut rejection.gate);
        }
        Ok(EvidenceBundle {
            plan,
            plan_bytes,
            planned,
            journal,
            approvals,
            rejections,
            collected_at: admitted.try_get(1)?,
            inputs: None,
        })
    }

    /// Adds the inputs of the plan's phases, but for those that are [personal](crate::PhaseSpec::PERSONAL): the
    /// evidence has their digests only.
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs are those of another plan, or the plan cannot be read.
    pub fn with_inputs(mut self, inputs: &PlanInputs) -> Result<Self, AddInputsError> {
        let plan = Plan::from_saved(&self.plan_bytes, self.plan)?;
        self.inputs = Some(inputs.without_personal(&plan)?);
        Ok(self)
    }

    /// Returns the digest of the plan.
    #[must_use]
    pub fn plan(&self) -> Digest {
        self.plan
    }

    /// Returns the journal of the plan.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

fn admitted_in(
    tx: &mut Transaction<'_>,
    query: &str,
    plan: Digest,
) -> Result<Vec<Admitted>, EvidenceError> {
    let rows = tx.query(query, &[&plan.as_bytes().as_slice()])?;
    rows.iter().map(admitted).collect()
}

fn admitted(row: &Row) -> Result<Admitted, EvidenceError> {
    let nonce: String = row.try_get(0)?;
    let evidence: Option<&str> = row.try_get(4)?;
    let evidence = evidence.map(serde_json::from_str).transpose();
    Ok(Admitted {
        evidence: evidence.map_err(|error| EvidenceError::NotEvidence {
            nonce: nonce.clone(),
            error,
        })?,
        nonce,
        gate: row.try_get(1)?,
        approver: row.try_get(2)?,
        comment: row.try_get(3)?,
        admitted_by: row.try_get(5)?,
        admitted_at: row.try_get(6)?,
        spent: row.try_get(7)?,
    })
}

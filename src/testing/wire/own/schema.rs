//! What the known statements do: the opening, the close and the resolution of a phase, on tables in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::json;

use super::known::{Known, argument};
use crate::base::sqlstate;
use crate::testing::clock::TestClock;
use crate::testing::wire::refusal::SqlRefusal;
use crate::testing::wire::value::SqlValue;
use crate::{Digest, Plan, Target};

/// How long the switch of the database is ON after it was turned on.
const LEASE: Duration = Duration::from_hours(24);

/// The phase is not what was planned at its place.
const NOT_PLANNED: &str = "ZG011";
/// The phase is not the next one of the plan.
const NOT_NEXT: &str = "ZG012";
/// The nonce was resolved as rolled back.
const CLAIMED: &str = "ZG019";
/// The plan is for another database or role.
const ANOTHER_TARGET: &str = "ZG021";

/// The parameters of the opening message that a fake server reads.
#[derive(Deserialize)]
struct Request {
    plan: Digest,
    place: usize,
    phase: String,
    input: Digest,
    nonce: String,
    lock: Digest,
    #[serde(default)]
    approvals: Vec<String>,
    #[serde(default)]
    application_name: String,
}

/// An open phase of a session.
pub(in crate::testing::wire) struct OpenPhase {
    request: Request,
    opened_at: String,
    sealed: bool,
    /// The row of the journal, after the phase was finished.
    body: Option<String>,
}

/// A session, as a statement of it sees it.
pub(in crate::testing::wire) struct Caller<'a> {
    pub(in crate::testing::wire) pid: i32,
    pub(in crate::testing::wire) role: &'a str,
    pub(in crate::testing::wire) age: Duration,
    pub(in crate::testing::wire) in_transaction: bool,
    pub(in crate::testing::wire) phase: &'a mut Option<OpenPhase>,
}

struct Entry {
    plan: Digest,
    place: usize,
    nonce: String,
    body: String,
    hash: Digest,
}

/// The tables of the schema, as far as a fake server has them.
pub(in crate::testing::wire) struct Schema {
    target: Target,
    clock: TestClock,
    plans: BTreeMap<Digest, Plan>,
    journal: Vec<Entry>,
    claimed: BTreeSet<String>,
    on_until: Option<SystemTime>,
    epoch: i64,
    xids: u64,
}

type Rows = Vec<Vec<SqlValue>>;

impl Schema {
    /// Returns the schema of a new database, whose switch is ON for a day.
    pub(in crate::testing::wire) fn new(target: Target, clock: TestClock) -> Self {
        let on_until = clock.now().checked_add(LEASE);
        Schema {
            target,
            clock,
            plans: BTreeMap::new(),
            journal: Vec::new(),
            claimed: BTreeSet::new(),
            on_until,
            epoch: 1,
            xids: 700,
        }
    }

    pub(in crate::testing::wire) fn admit(&mut self, plan: &Plan) {
        self.plans.insert(plan.digest(), plan.clone());
    }

    pub(in crate::testing::wire) fn switch(&mut self, on: bool) {
        self.epoch += 1;
        self.on_until = self.clock.now().checked_add(LEASE).filter(|_| on);
    }

    /// Returns the names of the phases that are committed, in order.
    pub(in crate::testing::wire) fn committed(&self) -> Vec<String> {
        let phases = self.journal.iter().filter_map(|entry| {
            let plan = self.plans.get(&entry.plan)?;
            Some(plan.phases().get(entry.place - 1)?.name().to_owned())
        });
        phases.collect()
    }

    /// Performs a known statement. [`Known::EndBackend`] is the server's.
    pub(in crate::testing::wire) fn perform(
        &mut self,
        known: Known,
        statement: &str,
        params: &[SqlValue],
        caller: &mut Caller<'_>,
    ) -> Result<Rows, SqlRefusal> {
        let one = |value: SqlValue| Ok(vec![vec![value]]);
        let argument = || argument(statement, params);
        let left = self.left();
        match known {
            Known::Open => one(self.open(&argument()?, caller)?.into()),
            Known::Seal => {
                seal(&argument()?, caller)?;
                one("".into())
            }
            Known::Finish => {
                let output = argument()?;
                one(self.finish(&output, caller)?.to_string().into())
            }
            Known::Resolve => one(self.resolve(params)?.into()),
            Known::Committed => {
                let plan = argument()?;
                let of_plan = |entry: &&Entry| entry.plan.as_bytes().as_slice() == plan;
                one(i64::try_from(self.journal.iter().filter(of_plan).count())
                    .unwrap_or(0)
                    .into())
            }
            Known::SwitchedOffSince => one((self.on_until.is_none()).into()),
            Known::SwitchIsOn => one(left.is_ok().into()),
            Known::LeaseLeft => match left {
                Ok(left) if self.is_epoch(params) => one(left.as_secs_f64().into()),
                _ => Ok(Vec::new()),
            },
            Known::LeaseState => {
                let over = self.on_until.is_some() && left.is_err();
                let this = self.is_epoch(params);
                Ok(vec![vec![
                    (left.is_ok() && this).into(),
                    (over && this).into(),
                ]])
            }
            Known::Identify => Ok(vec![vec![
                self.target.system_identifier().into(),
                self.target.database().into(),
                caller.role.into(),
                false.into(),
                SqlValue::Null,
            ]]),
            Known::MayBatch | Known::EndBackend => one(false.into()),
            Known::Void => one("".into()),
            // Nothing is known of who turned the switch off.
            Known::SwitchOffBy | Known::Command => Ok(Vec::new()),
        }
    }

    fn is_epoch(&self, params: &[SqlValue]) -> bool {
        params.first() == Some(&SqlValue::Int(self.epoch))
    }

    /// Returns how long the lease lasts, or why the switch is not ON.
    fn left(&self) -> Result<Duration, SqlRefusal> {
        let until = self.on_until.ok_or_else(|| {
            SqlRefusal::new(
                sqlstate::SWITCH_OFF,
                "the kill switch of the database is OFF",
            )
        })?;
        let left = until
            .duration_since(self.clock.now())
            .ok()
            .filter(|left| !left.is_zero());
        left.ok_or_else(|| {
            SqlRefusal::new(sqlstate::LEASE_OVER, "the lease of the kill switch is over")
        })
    }

    fn now(&self) -> String {
        humantime::format_rfc3339_micros(self.clock.now()).to_string()
    }

    fn open(&mut self, request: &[u8], caller: &mut Caller<'_>) -> Result<String, SqlRefusal> {
        let request: Request = serde_json::from_slice(request).map_err(|error| {
            SqlRefusal::new(
                "22023",
                format!("the fake cannot read the opening message: {error}"),
            )
        })?;
        if !caller.in_transaction || caller.phase.is_some() {
            let message = "a phase is opened in a new transaction";
            return Err(
                SqlRefusal::new(sqlstate::SESSION_UNFIT, message).datatype("in_transaction")
            );
        }
        let opened_at = self.now();
        let mut opened = json!({
            "system_identifier": self.target.system_identifier(),
            "database": self.target.database(),
            "role": caller.role,
            "timeline": "1",
            "backend_pid": caller.pid,
            "backend_start": opened_at,
            "session_age": caller.age.as_secs_f64(),
            "opened_at": opened_at,
        });
        self.ensure_planned(&request, caller.role)?;
        let stored = self.journal.iter();
        let mut stored = stored.filter(|entry| entry.plan == request.plan);
        if let Some(entry) = stored.find(|entry| entry.place == request.place) {
            opened["committed"] = json!({
                "nonce": entry.nonce, "body": entry.body, "hash": entry.hash.to_string(),
            });
            return Ok(opened.to_string());
        }
        self.ensure_allowed(&request)?;
        self.xids += 1;
        opened["xid"] = self.xids.to_string().into();
        opened["epoch"] = self.epoch.into();
        let left = self.left()?.as_millis();
        opened["lease_left"] = u64::try_from(left).unwrap_or(u64::MAX).into();
        *caller.phase = Some(OpenPhase {
            request,
            opened_at,
            sealed: false,
            body: None,
        });
        Ok(opened.to_string())
    }

    fn ensure_planned(&self, request: &Request, role: &str) -> Result<(), SqlRefusal> {
        let plan = self.plans.get(&request.plan).ok_or_else(|| {
            let message = format!("plan {} is not admitted", request.plan);
            let hint = "Admit it to the fake: `FakePostgres::admit`.";
            SqlRefusal::new(sqlstate::NOT_ADMITTED, message).hint(hint)
        })?;
        let planned = request
            .place
            .checked_sub(1)
            .and_then(|place| plan.phases().get(place));
        if planned.is_none_or(|it| it.name() != request.phase || it.input() != request.input) {
            let message = format!("phase {} is not what was planned", request.phase);
            return Err(SqlRefusal::new(NOT_PLANNED, message));
        }
        let here = self.target.clone().performed_by(role);
        if *plan.target() != here {
            let message = "the plan is not for this database and this role";
            return Err(SqlRefusal::new(ANOTHER_TARGET, message));
        }
        Ok(())
    }

    fn ensure_allowed(&self, request: &Request) -> Result<(), SqlRefusal> {
        let plan = &self.plans[&request.plan];
        if plan
            .valid_until()
            .is_some_and(|until| until <= self.clock.now())
        {
            return Err(SqlRefusal::new(sqlstate::PLAN_EXPIRED, "the plan is over"));
        }
        let committed = self
            .journal
            .iter()
            .filter(|entry| entry.plan == request.plan)
            .count();
        if request.place != committed + 1 {
            let message = format!("{committed} phases of the plan are committed");
            return Err(SqlRefusal::new(NOT_NEXT, message));
        }
        let gates = plan.phases()[request.place - 1].gates();
        let distinct: BTreeSet<_> = request.approvals.iter().collect();
        if let Some(gate) = gates.get(distinct.len()) {
            let message = format!("phase {} needs an approval of gate {gate}", request.phase);
            return Err(SqlRefusal::new(sqlstate::NOT_APPROVED, message).datatype(gate));
        }
        if self.claimed.contains(&request.nonce) {
            return Err(SqlRefusal::new(
                CLAIMED,
                "the nonce was resolved as rolled back",
            ));
        }
        Ok(())
    }

    fn finish(&mut self, output: &[u8], caller: &mut Caller<'_>) -> Result<Digest, SqlRefusal> {
        self.left()?;
        let (pid, role) = (caller.pid, caller.role);
        let phase = caller
            .phase
            .as_mut()
            .filter(|phase| phase.sealed)
            .ok_or_else(not_sealed)?;
        let request = &phase.request;
        let plan = &self.plans[&request.plan];
        let approvals = plan.phases()[request.place - 1]
            .gates()
            .iter()
            .zip(&request.approvals);
        let approvals: Vec<_> = approvals
            .map(|(gate, nonce)| {
                json!({"gate": gate, "approver": "a double", "nonce": nonce, "expires": "infinity",
                       "comment": "on a fake server", "evidence": null})
            })
            .collect();
        let body = json!({
            "schema": "phasegate/journal/1", "plan": request.plan.to_string(),
            "pipeline": plan.pipeline(), "place": request.place, "phase": request.phase,
            "input": request.input.to_string(), "output": String::from_utf8_lossy(output),
            "approvals": approvals, "effects": {}, "nonce": request.nonce,
            "xid": self.xids.to_string(), "system_identifier": self.target.system_identifier(),
            "timeline": "1", "database": self.target.database(), "role": role, "from": "local",
            "application_name": request.application_name, "backend_pid": pid,
            "backend_start": phase.opened_at, "epoch": self.epoch, "opened_at": phase.opened_at,
            "finished_at": humantime::format_rfc3339_micros(self.clock.now()).to_string(),
        })
        .to_string();
        let hash = self.next_hash(request.plan, &body);
        phase.body = Some(body);
        Ok(hash)
    }

    /// Returns the hash of the next row of the journal of this plan.
    fn next_hash(&self, plan: Digest, body: &str) -> Digest {
        let last = self
            .journal
            .iter()
            .rfind(|entry| entry.plan == plan)
            .map(|entry| entry.hash);
        let first = || Digest::of(format!("phasegate/journal/1 {plan}").as_bytes());
        let body = Digest::of(body.as_bytes());
        Digest::of(format!("{} {body}", last.unwrap_or_else(first)).as_bytes())
    }

    /// The interlock: refuses the commit of a phase that was not finished, and writes the journal of one that was.
    pub(in crate::testing::wire) fn commit(
        &mut self,
        phase: Option<OpenPhase>,
    ) -> Result<(), SqlRefusal> {
        let Some(phase) = phase else {
            return Ok(());
        };
        let body = phase.body.ok_or_else(not_sealed)?;
        if self.claimed.contains(&phase.request.nonce) {
            return Err(SqlRefusal::new(
                CLAIMED,
                "the nonce was resolved as rolled back",
            ));
        }
        self.left()?;
        let hash = self.next_hash(phase.request.plan, &body);
        let Request {
            plan, place, nonce, ..
        } = phase.request;
        self.journal.push(Entry {
            plan,
            place,
            nonce,
            body,
            hash,
        });
        Ok(())
    }

    fn resolve(&mut self, params: &[SqlValue]) -> Result<String, SqlRefusal> {
        let Some(SqlValue::Text(nonce)) = params.get(1) else {
            return Err(SqlRefusal::new(
                "22023",
                "the fake found no nonce in `phasegate.resolve`",
            ));
        };
        if let Some(entry) = self.journal.iter().find(|entry| entry.nonce == *nonce) {
            let hash = entry.hash.to_string();
            return Ok(json!({"state": "committed", "body": entry.body, "hash": hash}).to_string());
        }
        self.claimed.insert(nonce.clone());
        Ok(json!({"state": "rolled back"}).to_string())
    }
}

fn not_sealed() -> SqlRefusal {
    SqlRefusal::new(
        sqlstate::NOT_SEALED,
        "the phase is not opened, sealed and finished",
    )
}

fn seal(secret: &[u8], caller: &mut Caller<'_>) -> Result<(), SqlRefusal> {
    let phase = caller.phase.as_mut();
    let phase = phase.filter(|phase| phase.request.lock == Digest::of(secret));
    phase.ok_or_else(|| not_sealed().datatype("seal"))?.sealed = true;
    Ok(())
}

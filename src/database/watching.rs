//! A run as an auditor sees it from outside: from the database alone, and never from the process that performs it.

use std::time::SystemTime;

use ::postgres::{Client, Error, Row};

use super::application_name::published;
use super::overview::{Standing, plans, standing};
use crate::base::digest::Digest;

/// A run at one moment.
pub(crate) struct Watched {
    pub(crate) plan: Digest,
    pub(crate) pipeline: String,
    pub(crate) valid_until: SystemTime,
    pub(crate) phases: usize,
    pub(crate) committed: usize,
    /// When the last committed phase was committed.
    pub(crate) last_committed_at: Option<SystemTime>,
    /// The next phase, with its gates; `None` if each is committed.
    pub(crate) next: Option<(String, Vec<String>)>,
    /// The session that performs the next phase.
    pub(crate) holder: Option<Holder>,
    pub(crate) waits_for: Vec<Neighbour>,
    pub(crate) holds_up: Vec<Neighbour>,
    pub(crate) standing: Standing,
}

/// The session that has the run locked.
pub(crate) struct Holder {
    pub(crate) pid: i32,
    pub(crate) role: Option<String>,
    pub(crate) since: Option<SystemTime>,
    /// The rows that are done, and their number, as the session has published them.
    pub(crate) rows: Option<(u64, Option<u64>)>,
}

/// A session that the run waits for, or that waits for the run.
pub(crate) struct Neighbour {
    /// 0 for a prepared transaction.
    pub(crate) pid: i32,
    pub(crate) role: Option<String>,
    pub(crate) application_name: Option<String>,
    pub(crate) since: Option<SystemTime>,
}

/// Returns the plan whose run is in progress; without one, the last admitted plan that can still be performed; without
/// one, the last admitted plan.
pub(crate) fn watched_plan(client: &mut Client) -> Result<Option<Digest>, Error> {
    let all = plans(client)?;
    let open = |committed: i32, phases: i64| i64::from(committed) < phases;
    for run in all.iter().filter(|run| open(run.committed, run.phases)) {
        if let Some(plan) = run.plan {
            let key = plan.as_bytes().as_slice();
            let held = "SELECT FROM phasegate.holder_of_run($1)";
            if client.query_opt(held, &[&key])?.is_some() {
                return Ok(Some(plan));
            }
        }
    }
    let last = all
        .iter()
        .find(|run| open(run.committed, run.phases) && run.rejected_by.is_none());
    Ok(last.or(all.first()).and_then(|run| run.plan))
}

/// Reads a run; `None` if its plan is not admitted. It requires an auditor or an operator.
pub(crate) fn watched(client: &mut Client, plan: Digest) -> Result<Option<Watched>, Error> {
    let key = plan.as_bytes().as_slice();
    // Before the progress: a run that commits meanwhile is then seen as committed, and not as ended.
    let holder = client.query_opt(
        "SELECT pid, role, application_name, since FROM phasegate.holder_of_run($1)",
        &[&key],
    )?;
    let neighbours = client.query(
        "SELECT holds_up, pid, role, application_name, since FROM phasegate.neighbours_of_run($1)",
        &[&key],
    )?;
    let run = client.query_opt(
        "SELECT p.pipeline, p.valid_until, g.phases, g.committed, g.last_committed_at, f.phase, f.gates \
         FROM phasegate.plan AS p CROSS JOIN phasegate.progress_of($1) AS g \
         LEFT JOIN phasegate.planned_phase AS f ON f.plan OPERATOR(pg_catalog.=) p.plan \
           AND f.position OPERATOR(pg_catalog.=) (g.committed OPERATOR(pg_catalog.+) 1) \
         WHERE p.plan OPERATOR(pg_catalog.=) $1",
        &[&key],
    )?;
    let Some(run) = run else {
        return Ok(None);
    };
    let phases = usize::try_from(run.try_get::<_, i64>(2)?).unwrap_or(0);
    let committed = usize::try_from(run.try_get::<_, i32>(3)?).unwrap_or(0);
    let next: Option<String> = run.try_get(5)?;
    let gates: Option<Vec<String>> = run.try_get(6)?;
    let holder = holder.map(|row| holder_of(&row, plan, committed + 1, phases));
    let mut watched = Watched {
        plan,
        pipeline: run.try_get(0)?,
        valid_until: run.try_get(1)?,
        phases,
        committed,
        last_committed_at: run.try_get(4)?,
        holder: holder.transpose()?.filter(|_| next.is_some()),
        next: next.map(|phase| (phase, gates.unwrap_or_default())),
        waits_for: Vec::new(),
        holds_up: Vec::new(),
        standing: standing(client, plan)?,
    };
    for row in &neighbours {
        let neighbour = Neighbour {
            pid: row.try_get(1)?,
            role: row.try_get(2)?,
            application_name: row.try_get(3)?,
            since: row.try_get(4)?,
        };
        if row.try_get(0)? {
            watched.holds_up.push(neighbour);
        } else {
            watched.waits_for.push(neighbour);
        }
    }
    Ok(Some(watched))
}

fn holder_of(row: &Row, plan: Digest, place: usize, of: usize) -> Result<Holder, Error> {
    let name: Option<String> = row.try_get(2)?;
    Ok(Holder {
        pid: row.try_get(0)?,
        role: row.try_get(1)?,
        since: row.try_get(3)?,
        rows: published(&name.unwrap_or_default(), plan, place, of),
    })
}

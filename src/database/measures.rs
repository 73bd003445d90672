//! What a monitoring system is told of a database: the switch, the phases and the journal, as an auditor reads them.

use std::time::SystemTime;

use ::postgres::{Client, Error};

/// What the database has at one moment. No plan is named, so that the number of values stays small.
pub(crate) struct Measures {
    pub(crate) switch_on: bool,
    pub(crate) switch_until: Option<SystemTime>,
    pub(crate) runs_open: i64,
    /// Pipeline and phase, and for how many seconds it has been open.
    pub(crate) phases_open: Vec<(String, String, f64)>,
    /// For how many seconds the oldest commit has been in flight: its checks have passed, and its end is not known.
    pub(crate) commit_in_flight: Option<f64>,
    /// Pipeline, its committed phases, and when the last of them was committed.
    pub(crate) committed: Vec<(String, i64, SystemTime)>,
    /// Pipeline, table, kind of change, rows.
    pub(crate) rows: Vec<(String, String, String, i64)>,
    /// Gate, and the earliest end of an approval of it that no phase has spent.
    pub(crate) approvals: Vec<(String, SystemTime)>,
}

const PHASES_OPEN: &str = "SELECT p.pipeline, f.phase, \
       pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - h.since))::pg_catalog.float8 \
     FROM phasegate.run AS r JOIN phasegate.plan AS p ON p.plan = r.plan \
     JOIN phasegate.planned_phase AS f ON f.plan = r.plan AND f.position = r.committed + 1 \
     CROSS JOIN LATERAL phasegate.holder_of_run(r.plan) AS h GROUP BY 1, 2 ORDER BY 1, 2";

const COMMITTED: &str = "SELECT p.pipeline, pg_catalog.count(*), \
       pg_catalog.max((j.body::pg_catalog.jsonb ->> 'finished_at')::pg_catalog.timestamptz) \
     FROM phasegate.journal AS j JOIN phasegate.plan AS p ON p.plan = j.plan GROUP BY 1 ORDER BY 1";

const ROWS: &str = "SELECT p.pipeline, e.key, k.kind, pg_catalog.sum((e.value ->> k.kind)::pg_catalog.int8)::pg_catalog.int8 \
     FROM phasegate.journal AS j JOIN phasegate.plan AS p ON p.plan = j.plan \
     CROSS JOIN LATERAL pg_catalog.jsonb_each(j.body::pg_catalog.jsonb -> 'effects') AS e \
     CROSS JOIN (VALUES ('inserted'), ('updated'), ('deleted')) AS k (kind) \
     WHERE (e.value ->> k.kind)::pg_catalog.int8 > 0 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3";

const APPROVALS: &str = "SELECT a.gate, pg_catalog.min(a.expires) FROM phasegate.approval AS a \
     JOIN phasegate.run AS r ON r.plan = a.plan \
     WHERE a.expires > pg_catalog.clock_timestamp() \
       AND NOT EXISTS (SELECT FROM phasegate.rejection AS x WHERE x.plan = a.plan) \
       AND EXISTS (SELECT FROM phasegate.planned_phase AS f \
                   WHERE f.plan = a.plan AND f.position > r.committed AND a.gate = ANY (f.gates)) \
     GROUP BY 1 ORDER BY 1";

/// Reads the measures. It requires an auditor or an operator.
pub(crate) fn measures(client: &mut Client) -> Result<Measures, Error> {
    // In the session of this command alone; every name that is not an operator is qualified as well.
    client.batch_execute("SET search_path = pg_catalog, pg_temp")?;
    let switch = client.query_one(
        "SELECT is_on, CASE WHEN pg_catalog.isfinite(until) THEN until END, \
           (SELECT pg_catalog.count(*) FROM phasegate.run AS r \
            WHERE r.committed < (SELECT pg_catalog.count(*) FROM phasegate.planned_phase AS f WHERE f.plan = r.plan) \
              AND NOT EXISTS (SELECT FROM phasegate.rejection AS x WHERE x.plan = r.plan)), \
           (SELECT pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - c.since))::pg_catalog.float8 \
            FROM phasegate.commits_in_flight() AS c) \
         FROM phasegate.switch_status()",
        &[],
    )?;
    let mut measures = Measures {
        switch_on: switch.try_get(0)?,
        switch_until: switch.try_get(1)?,
        runs_open: switch.try_get(2)?,
        commit_in_flight: switch.try_get(3)?,
        phases_open: Vec::new(),
        committed: Vec::new(),
        rows: Vec::new(),
        approvals: Vec::new(),
    };
    for row in client.query(PHASES_OPEN, &[])? {
        let open = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        measures.phases_open.push(open);
    }
    for row in client.query(COMMITTED, &[])? {
        let committed = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        measures.committed.push(committed);
    }
    for row in client.query(ROWS, &[])? {
        let rows = (
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
        );
        measures.rows.push(rows);
    }
    for row in client.query(APPROVALS, &[])? {
        measures.approvals.push((row.try_get(0)?, row.try_get(1)?));
    }
    Ok(measures)
}

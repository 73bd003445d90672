//! What the database has, for people who look: its plans, the turns of its switch, and what stands between a plan and
//! its run. Nothing here decides anything: the engine and the server check again.

use std::time::SystemTime;

use ::postgres::{Client, Error};

use crate::base::digest::Digest;

/// A plan that the database has, and how far it was performed.
pub(crate) struct PlanRecord {
    pub(crate) plan: Option<Digest>,
    pub(crate) pipeline: String,
    pub(crate) role: String,
    pub(crate) admitted_by: String,
    pub(crate) admitted_at: SystemTime,
    pub(crate) phases: i64,
    pub(crate) committed: i32,
    pub(crate) rejected_by: Option<String>,
}

/// Lists the plans, the last admitted first. It requires an auditor or an operator.
pub(crate) fn plans(client: &mut Client) -> Result<Vec<PlanRecord>, Error> {
    let rows = client.query(
        "SELECT p.plan, p.pipeline, p.role, p.admitted_by, p.admitted_at, r.committed, \
           (SELECT pg_catalog.count(*) FROM phasegate.planned_phase AS f WHERE f.plan OPERATOR(pg_catalog.=) p.plan), \
           (SELECT pg_catalog.min(x.rejected_by) FROM phasegate.rejection AS x WHERE x.plan OPERATOR(pg_catalog.=) p.plan) \
         FROM phasegate.plan AS p JOIN phasegate.run AS r ON r.plan OPERATOR(pg_catalog.=) p.plan \
         ORDER BY p.admitted_at DESC, p.plan",
        &[],
    )?;
    let read = |row: &::postgres::Row| {
        Ok(PlanRecord {
            plan: Digest::from_bytes(row.try_get(0)?),
            pipeline: row.try_get(1)?,
            role: row.try_get(2)?,
            admitted_by: row.try_get(3)?,
            admitted_at: row.try_get(4)?,
            committed: row.try_get(5)?,
            phases: row.try_get(6)?,
            rejected_by: row.try_get(7)?,
        })
    };
    rows.iter().map(read).collect()
}

/// A turn of the kill switch.
pub(crate) struct SwitchTurn {
    pub(crate) at: SystemTime,
    pub(crate) on: bool,
    pub(crate) epoch: i64,
    pub(crate) until: Option<SystemTime>,
    pub(crate) who: String,
    pub(crate) why: String,
}

/// Lists at most 100 turns of the switch, the last first. It requires an auditor or an operator.
pub(crate) fn switch_turns(client: &mut Client) -> Result<Vec<SwitchTurn>, Error> {
    let rows = client.query(
        "SELECT at, is_on, epoch, CASE WHEN pg_catalog.isfinite(until) THEN until END, actor, reason \
         FROM phasegate.switch_history ORDER BY at DESC, epoch DESC LIMIT 100",
        &[],
    )?;
    let read = |row: &::postgres::Row| {
        Ok(SwitchTurn {
            at: row.try_get(0)?,
            on: row.try_get(1)?,
            epoch: row.try_get(2)?,
            until: row.try_get(3)?,
            who: row.try_get(4)?,
            why: row.try_get(5)?,
        })
    };
    rows.iter().map(read).collect()
}

/// An approval that was admitted.
pub(crate) struct AdmittedApproval {
    pub(crate) gate: String,
    pub(crate) approver: String,
    pub(crate) expires: SystemTime,
}

/// What the server has of one plan, as far as the role of the session may see it.
pub(crate) struct Standing {
    /// When the plan was admitted, and how many of its phases are committed.
    pub(crate) admitted: Option<(SystemTime, i32)>,
    pub(crate) approvals: Vec<AdmittedApproval>,
    /// Who rejected it, and the comment.
    pub(crate) rejection: Option<(String, String)>,
    /// Whether the switch is ON, or why not.
    pub(crate) switch: Result<(), String>,
    pub(crate) switch_by: (String, String),
    pub(crate) switch_until: Option<SystemTime>,
    /// Privileges of the session's role that bypass the interlock, each with the command that removes it.
    pub(crate) bypass: Vec<(String, String)>,
    /// The clock of the server.
    pub(crate) now: SystemTime,
}

/// Reads what stands between a plan and its run.
pub(crate) fn standing(client: &mut Client, plan: Digest) -> Result<Standing, Error> {
    let key = plan.as_bytes().as_slice();
    let admitted = client.query_opt(
        "SELECT admitted_at, committed FROM phasegate.progress_of($1)",
        &[&key],
    )?;
    let admitted = admitted
        .map(|row| Ok::<_, Error>((row.try_get(0)?, row.try_get(1)?)))
        .transpose()?;
    let (mut approvals, mut rejection) = (Vec::new(), None);
    for row in client.query(
        "SELECT decision, gate, approver, expires, comment FROM phasegate.approvals_of($1)",
        &[&key],
    )? {
        let approver: String = row.try_get(2)?;
        if row.try_get::<_, &str>(0)? == "approve" {
            approvals.push(AdmittedApproval {
                gate: row.try_get(1)?,
                approver,
                expires: row.try_get(3)?,
            });
        } else {
            rejection = Some((approver, row.try_get(4)?));
        }
    }
    let switch = client.query_one(
        "SELECT is_on, refusal, actor, reason, pg_catalog.clock_timestamp(), \
                CASE WHEN pg_catalog.isfinite(until) THEN until END \
         FROM phasegate.switch_status()",
        &[],
    )?;
    let bypass = client.query(
        "SELECT privilege, remedy FROM phasegate.bypass_privileges(session_user::pg_catalog.text)",
        &[],
    )?;
    let bypass = bypass
        .iter()
        .map(|row| Ok::<_, Error>((row.try_get(0)?, row.try_get(1)?)));
    let refusal: Option<String> = switch.try_get(1)?;
    Ok(Standing {
        admitted,
        approvals,
        rejection,
        switch: if switch.try_get(0)? {
            Ok(())
        } else {
            Err(refusal.unwrap_or_default())
        },
        switch_by: (switch.try_get(2)?, switch.try_get(3)?),
        now: switch.try_get(4)?,
        switch_until: switch.try_get(5)?,
        bypass: bypass.collect::<Result<_, _>>()?,
    })
}

/// A server, as `doctor` sees it.
pub(crate) struct ServerFacts {
    pub(crate) version: String,
    pub(crate) is_standby: bool,
    pub(crate) is_installed: bool,
    pub(crate) now: SystemTime,
    /// The roles of phasegate of which the session's role is a member.
    pub(crate) roles: Vec<String>,
}

/// Reads what `doctor` shows, as any role.
pub(crate) fn server_facts(client: &mut Client) -> Result<ServerFacts, Error> {
    let row = client.query_one(
        "SELECT pg_catalog.current_setting('server_version'), pg_catalog.pg_is_in_recovery(), \
                pg_catalog.to_regnamespace('phasegate') IS NOT NULL, pg_catalog.clock_timestamp(), \
                ARRAY(SELECT r.rolname::pg_catalog.text FROM pg_catalog.pg_roles AS r \
                      WHERE r.rolname OPERATOR(pg_catalog.=) ANY (ARRAY['phasegate_runner', 'phasegate_operator', \
                                                     'phasegate_auditor', 'phasegate_owner']::pg_catalog.name[]) \
                        AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') ORDER BY 1)",
        &[],
    )?;
    Ok(ServerFacts {
        version: row.try_get(0)?,
        is_standby: row.try_get(1)?,
        is_installed: row.try_get(2)?,
        now: row.try_get(3)?,
        roles: row.try_get(4)?,
    })
}

//! What holds in a copy, as a line of the page.

use std::time::Duration;

use phasegate::testing::{ApprovesEverything, ScriptedSwitch};
use phasegate::{
    Error, KillSwitchOn, Live, LiveRunner, Plan, Receipt, Run, Target,
    audit::Journal,
    connect::PostgresConnector,
    error::RefusalReason,
    operator::Operator,
    schema::{InstallError, install},
};
use postgres::{Client, Config, NoTls};

use crate::page;
use crate::pipeline::{Adapter, Draft, pipeline};
use crate::place::{Place, drafted};
use crate::server::{PIPELINE, drafting, drafting_plan};

pub(crate) const PAGE: &str = "docs/restore.md";

pub(crate) fn head() -> Vec<String> {
    page::head(&[
        "how",
        "comes in",
        "switch",
        "guard",
        "journal",
        "`install`",
        "the plan goes on",
        "a new plan",
    ])
}

/// A copy that could not be made.
pub(crate) fn refused(how: &str, what: &str) -> String {
    page::row(&[how, what, "", "", "", "", "", ""])
}

/// Looks at a copy, and leaves it with its schema installed and its plans performed.
pub(crate) fn line(how: &str, place: &Place, copy: &Config) -> String {
    let mut admin = copy.connect(NoTls).unwrap();
    let name = copy.get_dbname().unwrap();
    // What a dump does not have of the database itself.
    admin
        .batch_execute(&format!(
            "REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
        ))
        .unwrap();
    // The runner's own privileges, which a dump without grants does not have.
    let runner = place.database.runner.name();
    admin
        .batch_execute(&format!(
            "GRANT USAGE ON SCHEMA public TO {runner}; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON item TO {runner}"
        ))
        .unwrap();
    let (switch, guard) = (switch(&mut admin), guard(place, copy));
    let journal = journal(&mut admin, place.plan.digest());
    let installed = installed(&mut admin);
    let (mut goes_on, mut on_a_new_plan) = (String::new(), String::new());
    if !installed.starts_with("refused") {
        goes_on = performed(place, copy, &place.plan, |run, on| {
            pipeline(run, on, drafted())
        });
        // Another one for each look: a plan is performed once.
        let draft = Draft::of(&[how]);
        let target = Target::identify(&mut place.runner_in(copy).connect(NoTls).unwrap());
        let plan = drafting_plan(&target.unwrap(), &draft);
        on_a_new_plan = performed(place, copy, &plan, |run, on| {
            drafting(run, on, &draft).map(Receipt::into_output)
        });
        assert_once(&mut admin, &goes_on, how, &on_a_new_plan);
        // Another look at the same copy begins with what the copy was.
        admin
            .execute("SELECT phasegate.switch_off('looked at')", &[])
            .unwrap();
    }
    page::row(&[
        how,
        "whole",
        &switch,
        &guard,
        &journal,
        &installed,
        &goes_on,
        &on_a_new_plan,
    ])
}

/// Each plan that was performed left its row, once.
fn assert_once(admin: &mut Client, goes_on: &str, how: &str, on_a_new_plan: &str) {
    let rows = "SELECT count(*) FILTER (WHERE name = 'a' AND state = 'published'), \
                       count(*) FILTER (WHERE name = $1 AND state = 'draft') FROM item";
    let rows = admin.query_one(rows, &[&how]).unwrap();
    let performed = |said: &str| i64::from(said.starts_with("performed"));
    assert_eq!(rows.get::<_, i64>(0), performed(goes_on));
    assert_eq!(rows.get::<_, i64>(1), performed(on_a_new_plan));
}

fn switch(admin: &mut Client) -> String {
    let sql = "SELECT is_on, refusal FROM phasegate.switch_status()";
    match admin.query_one(sql, &[]) {
        Ok(row) if row.get::<_, Option<bool>>(0) == Some(true) => "ON".to_owned(),
        Ok(row) => {
            let why: Option<String> = row.get(1);
            let why = why.unwrap_or_default();
            let why = why.trim_start_matches("the kill switch was turned on ");
            format!("OFF: {why}")
        }
        Err(error) => format!("OFF: {}", said(&error)),
    }
}

fn guard(place: &Place, copy: &Config) -> String {
    let mut runner = match place.runner_in(copy).connect(NoTls) {
        Ok(runner) => runner,
        Err(error) => return said(&error),
    };
    match runner.batch_execute("UPDATE public.item SET state = state") {
        Ok(()) => "does not hold".to_owned(),
        // Where no grants were restored the runner may not call what would let it write.
        Err(error)
            if error
                .code()
                .is_some_and(|code| ["ZG007", "42501"].contains(&code.code())) =>
        {
            "holds".to_owned()
        }
        Err(error) => format!("not asked: {}", said(&error)),
    }
}

fn journal(admin: &mut Client, plan: phasegate::Digest) -> String {
    match Journal::read(admin, plan) {
        Ok(journal) => match journal.verify() {
            Ok(entries) if entries.is_empty() => "empty".to_owned(),
            Ok(entries) => format!("verifies, {}", entries.len()),
            Err(error) => error.to_string(),
        },
        Err(error) if error.to_string().contains("never admitted") => "is not there".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn installed(admin: &mut Client) -> String {
    match install(admin) {
        Ok(installed) if installed.applied.is_empty() && installed.repaired.is_empty() => {
            "nothing to do".to_owned()
        }
        Ok(installed) if installed.applied.is_empty() => "puts back grants".to_owned(),
        Ok(_) => "installs".to_owned(),
        Err(InstallError::Unfit(_)) => "refused: names owners".to_owned(),
        Err(InstallError::Incomplete { .. }) => "refused: names what is missing".to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

/// An operator admits the plan and turns the switch on; then it is run.
fn performed<F>(place: &Place, copy: &Config, plan: &Plan, run: F) -> String
where
    F: for<'run> FnOnce(&mut Run<'run, Live, Adapter>, &KillSwitchOn<'run>) -> Result<u64, Error>,
{
    let mut operator = Operator::new(copy.connect(NoTls).unwrap());
    operator
        .switch_on("in the copy", Duration::from_hours(1))
        .unwrap();
    if let Err(error) = ApprovesEverything::admit(&mut operator, plan) {
        let why = said(error.error());
        return if why.starts_with("the plan is for") {
            outcome(place, copy, plan, run)
        } else {
            format!("not admitted: {why}")
        };
    }
    outcome(place, copy, plan, run)
}

fn outcome<F>(place: &Place, copy: &Config, plan: &Plan, run: F) -> String
where
    F: for<'run> FnOnce(&mut Run<'run, Live, Adapter>, &KillSwitchOn<'run>) -> Result<u64, Error>,
{
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan.clone())
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(PostgresConnector::no_tls(place.runner_in(copy)))
        .adapter(Adapter)
        .run(run);
    match answer {
        Ok(ran) => format!("performed {}, had {}", ran.performed, ran.committed_before),
        Err(error) => match error.reason() {
            Some(RefusalReason::AnotherTarget { .. }) => "refused: another database".to_owned(),
            Some(RefusalReason::PrivilegedRole { privileges, .. }) => {
                let named = |named: &String| named.split(';').next().unwrap_or(named).to_owned();
                let privileges: Vec<_> = privileges.iter().map(named).collect();
                format!("refused: {}", privileges.join("; "))
            }
            _ => format!("refused: {error}"),
        },
    }
}

fn said(error: &postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

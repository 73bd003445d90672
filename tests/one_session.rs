//! A run has one session, which is reset between its phases; and a new one where the old one cannot be used.
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use phasegate::connect::{ConnectError, Connection, Connector, PostgresConnector};
use phasegate::error::{RefusalReason, RollbackCause};
use phasegate::operator::SwitchedOff;
use phasegate::runner::{LiveReport, ReadyRunner, StopHandle};
use phasegate::testing::{ApprovesEverything, ScriptedSwitch};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx,
    Plan, Run, Simulate, Start, Switch, Timeouts, Ungated,
};
use postgres::{Client, Config, NoTls};
use serde::{Deserialize, Serialize};

use server::proxy::{Proxy, Verdict};
use server::{Database, PIPELINE, database, refusal, rollback};

const BOUND: Duration = Duration::from_secs(10);

/// A phase that there are several of.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    number: usize,
    writes: u64,
    /// Makes it another plan.
    #[serde(default)]
    occasion: usize,
}

impl PhaseSpec for Part {
    const NAME: &'static str = "part";
    type Gate = Ungated;
    type After = Start;
    type Output = String;

    fn instance(&self) -> Option<String> {
        Some(self.number.to_string())
    }
}

struct Does<F>(F);

impl<F> Execute<Part> for Does<F>
where
    F: FnMut(usize, &mut PhaseTx<'_>) -> Result<String, Failure>,
{
    fn execute(&mut self, part: &Part, (): (), tx: &mut PhaseTx<'_>) -> Result<String, Failure> {
        (self.0)(part.number, tx)
    }
}

struct Predicts;

impl Simulate<Part> for Predicts {
    fn simulate(&mut self, part: &Part, (): (), effects: &mut Effects) -> Result<String, Failure> {
        effects.insert("public.item", part.writes);
        Ok(String::new())
    }
}

fn parts<'run, M: Mode, W: Perform<M, Part>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    writes: &[u64],
) -> Result<Vec<String>, Error> {
    parts_of(run, on, 0, writes)
}

fn parts_of<'run, M: Mode, W: Perform<M, Part>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    occasion: usize,
    writes: &[u64],
) -> Result<Vec<String>, Error> {
    let one = |(number, &writes)| {
        let part = run.phase(Part {
            number,
            writes,
            occasion,
        });
        Ok(part.perform(on, Ungated, Start)?.into_output())
    };
    writes.iter().enumerate().map(one).collect()
}

fn plan(database: &Database, writes: &[u64]) -> Plan {
    plan_of(database, 0, writes)
}

fn plan_of(database: &Database, occasion: usize, writes: &[u64]) -> Plan {
    let dry = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Predicts)
        .run(|run, on| parts_of(run, on, occasion, writes));
    let plan = dry.unwrap().plan;
    database.admit(&plan);
    plan
}

/// Connects, and counts how often.
#[derive(Clone)]
struct Counted(PostgresConnector, Arc<AtomicUsize>);

impl Counted {
    fn to(database: &Database) -> Self {
        Counted(database.connector(), Arc::default())
    }

    fn so_far(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Connector for Counted {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.connect()
    }
}

type Ready<W> = ReadyRunner<ScriptedSwitch, ApprovesEverything, Counted, W>;

fn runner<W>(plan: &Plan, connector: &Counted, adapter: W) -> Ready<W> {
    LiveRunner::new(PIPELINE)
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(connector.clone())
        .adapter(adapter)
}

fn pid(tx: &mut PhaseTx<'_>) -> Result<String, Failure> {
    Ok(tx.query_one("SELECT pg_backend_pid()::text", &[])?.get(0))
}

/// Everything of a session that a statement can change and another can see. A phase that makes a temporary table is
/// refused.
const STATE: &str = "SELECT concat_ws(E'\\n', session_user, current_user, \
    (SELECT string_agg(s.name || '=' || s.setting, ' ' ORDER BY s.name) FROM pg_settings AS s \
     WHERE s.name NOT IN ('application_name')), \
    coalesce(current_setting('my.setting', true), ''), \
    (SELECT string_agg(c.name, ' ') FROM pg_cursors AS c WHERE c.name LIKE 'mine%'), \
    (SELECT string_agg(c, ' ') FROM pg_listening_channels() AS c), \
    (SELECT count(*) FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid()), \
    (SELECT count(*) FROM pg_class AS c WHERE c.relnamespace = pg_my_temp_schema()), \
    (SELECT count(*) FROM pg_prepared_statements AS p WHERE p.from_sql))";

/// What the second phase sees of its session, where the first has sent `littering`; and how often the run connected.
fn after(database: &Database, littering: &[&str], new_session: bool) -> (String, usize) {
    static OCCASION: AtomicUsize = AtomicUsize::new(1);
    let occasion = OCCASION.fetch_add(1, Ordering::SeqCst);
    let plan = plan_of(database, occasion, &[0, 0]);
    let connector = Counted::to(database);
    let adapter = Does(|number, tx: &mut PhaseTx<'_>| {
        if number == 0 {
            for sql in littering {
                tx.execute(*sql, &[])?;
            }
            return Ok(String::new());
        }
        Ok(tx.query_one(STATE, &[])?.get(0))
    });
    let mut live = runner(&plan, &connector, adapter);
    if new_session {
        live = live.new_session_per_phase();
    }
    let seen = live.run(|run, on| parts_of(run, on, occasion, &[0, 0]));
    database.is_left_clean();
    let seen = seen.unwrap_or_else(|error| panic!("{littering:?}: {error}"));
    assert_eq!(seen.performed, 2);
    (seen.value[1].clone(), connector.so_far())
}

#[test]
fn what_a_phase_leaves_in_its_session_does_not_reach_the_next() {
    let database = database();
    database.sql(&format!(
        "CREATE ROLE other_{0}; GRANT phasegate_runner TO other_{0}; GRANT other_{0} TO {0}; CREATE SEQUENCE counter; GRANT ALL ON SEQUENCE counter TO {0}",
        database.runner.name()
    ));
    let role = format!("SET ROLE other_{}", database.runner.name());
    let (clean, connected) = after(&database, &[], true);
    assert_eq!(connected, 2, "each phase has a session of its own");
    for littering in [
        &["SET lock_timeout = '17s'"][..],
        &["SET statement_timeout = '17s'"],
        &["SET search_path = pg_temp, public"],
        &["SET my.setting = 'mine'"],
        &["SELECT set_config('phasegate.open_here', 'yes', false)"],
        &["SET datestyle = 'German'", "SET timezone = 'Asia/Tokyo'"],
        &["SET default_transaction_isolation = 'serializable'"],
        &["SET default_transaction_read_only = on"],
        &["SET default_transaction_deferrable = on"],
        &["SET synchronous_commit = off"],
        &["SET standard_conforming_strings = off"],
        &["SET enable_seqscan = off"],
        &[&role],
        &["SET SESSION AUTHORIZATION DEFAULT"],
        &["LISTEN mine"],
        &["SELECT pg_advisory_lock(4711)"],
        &["SELECT pg_advisory_lock_shared(4711)"],
        &["SELECT nextval('counter')"],
        &[
            "SET default_transaction_isolation = 'serializable'",
            "SET default_transaction_read_only = on",
            "LISTEN mine",
        ],
    ] {
        let (seen, connected) = after(&database, littering, false);
        assert_eq!(seen, clean, "{littering:?}");
        assert_eq!(connected, 1, "{littering:?}");
    }
    // What only a statement resets that takes the driver's own statements with it: a new session.
    let prepares = "DO $$ BEGIN EXECUTE 'PREPARE mine AS SELECT 1'; END $$";
    let (seen, connected) = after(&database, &[prepares], false);
    assert_eq!((seen, connected), (clean, 2));
}

/// Sets something in each session, which is then not reusable.
struct Sets(Config);

impl Connector for Sets {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let mut client = self.0.connect(NoTls)?;
        client.batch_execute("SET my.tenant = '7'")?;
        Ok(client.into())
    }
}

#[test]
fn what_a_connector_sets_in_its_sessions_each_phase_has() {
    let database = database();
    let plan = plan(&database, &[0, 0]);
    let adapter = Does(|_, tx: &mut PhaseTx<'_>| {
        Ok(tx
            .query_one("SELECT current_setting('my.tenant')", &[])?
            .get(0))
    });
    let ran = LiveRunner::new(PIPELINE)
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(Sets(database.runner.config()))
        .adapter(adapter)
        .run(|run, on| parts(run, on, &[0, 0]));
    assert_eq!(ran.unwrap().value, ["7", "7"]);
    database.is_left_clean();
}

/// Leaves in each session what another client of a pool could have left there.
struct Pooled(Config);

impl Connector for Pooled {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        let mut client = self.0.connect(NoTls)?;
        client.batch_execute("CREATE TEMPORARY TABLE item (name text)")?;
        Ok(Connection::from(client).reusable())
    }
}

#[test]
fn what_another_client_of_a_pool_left_does_not_reach_a_later_phase() {
    let database = database();
    database.sql(&format!(
        "GRANT TEMPORARY ON DATABASE {} TO {}",
        database.target.database(),
        database.runner.name()
    ));
    let plan = plan(&database, &[0, 0]);
    let adapter = Does(|_, tx: &mut PhaseTx<'_>| {
        let sql = "SELECT (SELECT c.relnamespace::regnamespace::text FROM pg_class AS c WHERE c.oid = to_regclass('item'))";
        Ok(tx.query_one(sql, &[])?.get(0))
    });
    let ran = LiveRunner::new(PIPELINE)
        .plan(plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(ApprovesEverything)
        .connector(Pooled(database.runner.config()))
        .adapter(adapter)
        .dangerously_allow_privileged_role()
        .run(|run, on| parts(run, on, &[0, 0]));
    let seen = ran.unwrap().value;
    assert!(seen[0].starts_with("pg_temp"), "{seen:?}");
    assert_eq!(seen[1], "public");
    database.is_left_clean();
}

#[test]
fn what_a_sequence_gave_to_a_phase_is_not_the_last_value_of_the_next() {
    let database = database();
    database.sql(&format!(
        "CREATE SEQUENCE counter; GRANT ALL ON SEQUENCE counter TO {}",
        database.runner.name()
    ));
    let plan = plan(&database, &[0, 0]);
    let adapter = Does(|number, tx: &mut PhaseTx<'_>| {
        let sql = ["SELECT nextval('counter')", "SELECT lastval()"][number];
        tx.execute(sql, &[])?;
        Ok(String::new())
    });
    let live = runner(&plan, &Counted::to(&database), adapter);
    let rollback = rollback(live.run(|run, on| parts(run, on, &[0, 0])));
    assert!(
        rollback.to_string().contains("lastval is not yet defined"),
        "{rollback}"
    );
    database.is_left_clean();
}

#[test]
fn the_rows_of_a_phase_are_not_counted_for_the_next() {
    let database = database();
    let writes = [3, 0, 5, 1];
    let plan = plan(&database, &writes);
    let connector = Counted::to(&database);
    let adapter = Does(|number, tx: &mut PhaseTx<'_>| {
        let rows = i64::try_from(writes[number]).unwrap();
        tx.execute(
            "INSERT INTO item SELECT $1::bigint || '-' || g, 'draft' FROM generate_series(1, $2::bigint) AS g",
            &[&i64::try_from(number).unwrap(), &rows],
        )?;
        pid(tx)
    });
    let ran = runner(&plan, &connector, adapter).run(|run, on| parts(run, on, &writes));
    let pids = ran.unwrap().value;
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    assert_eq!(connector.so_far(), 1);
    assert_eq!(database.items().len(), 9);
    database.is_left_clean();
}

/// Runs two phases, and between them `meanwhile`, which is given the process of the first one's session.
fn with_something_between(
    database: &Database,
    connector: &Counted,
    meanwhile: impl Fn(&str),
) -> Result<LiveReport<[String; 2]>, Error> {
    let plan = plan(database, &[0, 0]);
    let adapter = Does(|_, tx: &mut PhaseTx<'_>| pid(tx));
    runner(&plan, connector, adapter)
        .timeouts(Timeouts::default().lock(Duration::from_secs(2)))
        .run(|run, on| {
            let mut pids = Vec::new();
            for number in 0..2 {
                let part = run.phase(Part {
                    number,
                    writes: 0,
                    occasion: 0,
                });
                pids.push(part.perform(on, Ungated, Start)?.into_output());
                if number == 0 {
                    meanwhile(&pids[0]);
                }
            }
            let second = pids.remove(1);
            Ok([pids.remove(0), second])
        })
}

#[test]
fn a_session_that_ended_between_two_phases_is_replaced() {
    let database = database();
    let connector = Counted::to(&database);
    let ran = with_something_between(&database, &connector, |pid| {
        database.sql(&format!("SELECT pg_terminate_backend({pid}, 5000)"));
    });
    let [first, second] = ran.unwrap().value;
    assert_ne!(first, second);
    assert_eq!(connector.so_far(), 2);
    database.is_left_clean();
}

#[test]
fn a_session_that_reaches_another_process_of_the_server_is_replaced() {
    let database = database();
    let connector = Counted::to(&database);
    let ran = with_something_between(&database, &connector, |_| {
        // As a pool would, which gives each transaction to another process.
        database.sql(
            "ALTER FUNCTION phasegate.this_session RENAME TO which_session; \
             CREATE FUNCTION phasegate.this_session() RETURNS jsonb LANGUAGE sql BEGIN ATOMIC \
             SELECT phasegate.which_session() || jsonb_build_object('backend_start', clock_timestamp()); END",
        );
    });
    let [first, second] = ran.unwrap().value;
    assert_ne!(first, second);
    assert_eq!(connector.so_far(), 2);
    database.is_left_clean();
}

#[test]
fn a_refusal_of_the_schema_is_not_asked_for_twice() {
    let database = database();
    let connector = Counted::to(&database);
    let refused = refusal(with_something_between(&database, &connector, |_| {
        let off = database.operator().switch_off("a test", BOUND);
        assert_eq!(off.unwrap(), SwitchedOff::Drained);
    }));
    assert!(
        matches!(refused.reason(), RefusalReason::SwitchOff { .. }),
        "{refused}"
    );
    assert_eq!(connector.so_far(), 1);
    database.is_left_clean();
}

#[test]
fn a_phase_waits_once_for_the_run_that_another_holds() {
    let database = database();
    let connector = Counted::to(&database);
    let holder: Mutex<Option<Client>> = Mutex::default();
    let refused = refusal(with_something_between(&database, &connector, |_| {
        let mut client = database.admin_config().connect(NoTls).unwrap();
        client
            .batch_execute("BEGIN; SELECT FROM phasegate.run FOR UPDATE")
            .unwrap();
        *holder.lock().unwrap() = Some(client);
    }));
    assert!(
        matches!(refused.reason(), RefusalReason::Held { .. }),
        "{refused}"
    );
    assert_eq!(connector.so_far(), 1);
}

#[test]
fn a_run_that_is_stopped_while_a_kept_session_opens_a_phase_connects_no_more() {
    let database = database();
    let connector = Counted::to(&database);
    let plan = plan(&database, &[0, 0]);
    let stop = StopHandle::new();
    let begun = Instant::now();
    let adapter = Does(|_, tx: &mut PhaseTx<'_>| pid(tx));
    let ended = runner(&plan, &connector, adapter)
        .stop_handle(&stop)
        .timeouts(Timeouts::default().lock(Duration::from_mins(1)))
        .run(|run, on| {
            let part = run.phase(Part {
                number: 0,
                writes: 0,
                occasion: 0,
            });
            part.perform(on, Ungated, Start)?;
            let mut client = database.admin_config().connect(NoTls).unwrap();
            client
                .batch_execute("BEGIN; SELECT FROM phasegate.run FOR UPDATE")
                .unwrap();
            let stop = stop.clone();
            let stops = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                stop.stop("a test");
            });
            let part = run.phase(Part {
                number: 1,
                writes: 0,
                occasion: 0,
            });
            let done = part.perform(on, Ungated, Start);
            stops.join().unwrap();
            done.map(drop)
        });
    let refused = refusal(ended);
    assert!(
        matches!(refused.reason(), RefusalReason::Stopped { .. }),
        "{refused}"
    );
    assert_eq!(connector.so_far(), 1);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_run_that_is_resumed_asks_the_server_once_for_many_phases() {
    let database = database();
    let writes = [0; 40];
    let plan = plan(&database, &writes);
    let fails_at_30 = Does(|number, _: &mut PhaseTx<'_>| match number {
        30 => Err(Failure::new("not yet")),
        _ => Ok(number.to_string()),
    });
    let first = runner(&plan, &Counted::to(&database), fails_at_30);
    let rolled_back = rollback(first.run(|run, on| parts(run, on, &writes)));
    assert!(matches!(rolled_back.cause(), RollbackCause::Failed(_)));
    assert_eq!(rolled_back.committed().len(), 30);

    let proxy = Proxy::new(&database.runner.config(), |_| Verdict::Pass);
    let connector = Counted(
        PostgresConnector::no_tls(proxy.config.clone()),
        Arc::default(),
    );
    let performs = Does(|number: usize, _: &mut PhaseTx<'_>| Ok(number.to_string()));
    let ran = runner(&plan, &connector, performs).run(|run, on| parts(run, on, &writes));
    let ran = ran.unwrap();
    assert_eq!((ran.performed, ran.committed_before), (10, 30));
    let expected: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    assert_eq!(ran.value, expected);
    assert_eq!(connector.so_far(), 1);
    // Connecting; the opening that found the first phase committed, and its rollback; ten phases.
    assert_eq!(proxy.answers.load(Ordering::SeqCst), 1 + 2 + 10 * 2);
    database.is_left_clean();
}

#[test]
fn what_the_server_says_of_later_phases_is_taken_for_no_other() {
    let database = database();
    let writes = [0; 4];
    let plan = plan(&database, &writes);
    let performs = || Does(|number: usize, _: &mut PhaseTx<'_>| Ok(number.to_string()));
    let first = runner(&plan, &Counted::to(&database), performs());
    let first = first.run(|run, on| parts(run, on, &writes)).unwrap();
    database.sql(
        "CREATE OR REPLACE FUNCTION phasegate.entries_after(p_plan bytea, p_position integer) RETURNS jsonb \
         LANGUAGE sql BEGIN ATOMIC SELECT jsonb_agg(phasegate.stored_entry(j) ORDER BY j.position DESC) \
         FROM phasegate.journal AS j; END",
    );
    let second = runner(&plan, &Counted::to(&database), performs());
    let second = second.run(|run, on| parts(run, on, &writes)).unwrap();
    assert_eq!((second.performed, second.committed_before), (0, 4));
    assert_eq!(second.value, first.value);
}

#[test]
fn a_prepared_runner_has_its_session_and_has_done_nothing() {
    let database = database();
    let writes = [2, 0];
    let plan = plan(&database, &writes);
    let connector = Counted::to(&database);
    let adapter = Does(|number, tx: &mut PhaseTx<'_>| {
        if number == 0 {
            tx.execute(
                "INSERT INTO item VALUES ('a', 'draft'), ('b', 'draft')",
                &[],
            )?;
        }
        pid(tx)
    });
    let mut live = runner(&plan, &connector, adapter);
    live.prepare().unwrap();
    assert_eq!(connector.so_far(), 1);
    let left: i64 = database.ask(
        "SELECT (SELECT count(*) FROM phasegate.attempt) + (SELECT count(*) FROM phasegate.journal) \
              + (SELECT count(*) FROM phasegate.approval_spent) + (SELECT count(*) FROM item)",
    );
    assert_eq!(left, 0);
    assert_eq!(database.locks(), 0);
    let ran = live.run(|run, on| parts(run, on, &writes)).unwrap();
    assert_eq!(ran.performed, 2);
    assert_eq!(ran.value[0], ran.value[1]);
    assert_eq!(connector.so_far(), 1);
    database.is_left_clean();
}

#[test]
fn what_is_refused_while_a_runner_is_prepared_the_run_says() {
    let database = database();
    let plan = plan(&database, &[0]);
    let connector = Counted::to(&database);
    let off = database.operator().switch_off("a test", BOUND);
    assert_eq!(off.unwrap(), SwitchedOff::Drained);
    let mut live = runner(&plan, &connector, Does(|_, tx: &mut PhaseTx<'_>| pid(tx)));
    live.prepare().unwrap();
    let refused = refusal(live.run(|run, on| parts(run, on, &[0])));
    assert!(
        matches!(refused.reason(), RefusalReason::SwitchOff { .. }),
        "{refused}"
    );
    database.is_left_clean();
}

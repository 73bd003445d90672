//! What a lease is bound to, who may have one, and what remains of it.

use std::time::{Duration, SystemTime};

use phasegate::testing::{Shutdown, TestPostgres};
use phasegate::{
    connect::{ConnectError, Connection, Connector},
    error::{RefusalReason, RollbackCause},
    operator::{Operator, SwitchedOff},
    switch::{InProcessSwitch, KillSwitch, LeaseSwitch, SwitchState, WhichSwitch},
};
use postgres::NoTls;

use crate::hand::{Hand, code, task};
use crate::pipeline::Draft;
use crate::server::{Database, database, database_on, refusal, rollback};

const HOUR: Duration = Duration::from_hours(1);

fn drafts(database: &Database) -> Result<u64, phasegate::Error> {
    database.draft_by(&Draft::of(&["a"]), |_, tx| {
        Ok(tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?)
    })
}

/// Changes the row of the switch behind the back of the trigger that notices.
fn forged(database: &Database, set: &str) {
    database.sql(&format!(
        "ALTER TABLE phasegate.kill_switch DISABLE TRIGGER written_by_hand; \
         UPDATE phasegate.kill_switch SET written_by = pg_current_xact_id()::xid; \
         UPDATE phasegate.kill_switch SET {set}; \
         ALTER TABLE phasegate.kill_switch ENABLE ALWAYS TRIGGER written_by_hand"
    ));
}

fn is_on(database: &Database) -> bool {
    database.operator().status().unwrap().on
}

#[test]
fn an_open_phase_does_not_commit_in_a_later_epoch() {
    let database = database();
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        tx.execute("INSERT INTO item VALUES ('a', 'draft')", &[])?;
        // A phase that the operator's session could not end.
        database.sql(
            "SELECT phasegate.write_switch(true, nextval('phasegate.epoch'), now() + '1 hour', 'again')",
        );
        Ok(1)
    });
    let rollback = rollback(answer);
    assert!(
        matches!(
            rollback.cause(),
            RollbackCause::SwitchOff(off) if off.which() == WhichSwitch::OfTheDatabase
        ),
        "{rollback:?}"
    );
    assert_eq!(database.items(), []);
    assert!(is_on(&database));
}

/// As `pg_restore` leaves it, and as a copy of the server's files does.
#[test]
fn a_row_that_was_not_written_here_or_before_a_restart_is_off() {
    let database = database();
    for (set, says) in [
        (
            "written_by = '3'",
            "before this database was restored from a dump",
        ),
        (
            "server_started = '2020-01-01'",
            "the server was started after",
        ),
    ] {
        forged(&database, set);
        let status = database.operator().status().unwrap();
        assert!(
            !status.on && status.refusal.unwrap().contains(says),
            "{set}"
        );
        let refused = refusal(drafts(&database));
        assert!(
            matches!(refused.reason(), RefusalReason::LeaseElsewhere { .. }),
            "{refused:?}"
        );
        assert!(refused.to_string().contains(says), "{refused}");
    }
    // Each on its own is what keeps it OFF.
    forged(&database, "server_started = pg_postmaster_start_time()");
    assert!(is_on(&database));
}

#[test]
fn a_lease_does_not_outlive_its_timeline() {
    let database = database();
    forged(&database, "timeline = '00000099'");
    assert!(!is_on(&database));
    let refused = refusal(drafts(&database));
    assert!(
        matches!(refused.reason(), RefusalReason::LeaseElsewhere { .. }),
        "{refused:?}"
    );
}

/// As on Aurora, which refuses the functions with 55000, or with 0A000 in older releases.
#[test]
fn without_a_timeline_a_lease_is_bound_to_the_server_process() {
    let refuses = |code: &str| {
        format!(
            "SET allow_system_table_mods = on; \
             ALTER FUNCTION pg_catalog.pg_current_wal_insert_lsn() RENAME TO of_community; \
             CREATE FUNCTION pg_catalog.pg_current_wal_insert_lsn() RETURNS pg_lsn LANGUAGE plpgsql \
               AS $$ BEGIN RAISE 'wal_level must be set to ''logical''' USING ERRCODE = '{code}'; END $$"
        )
    };
    for sql in [
        "REVOKE EXECUTE ON FUNCTION pg_current_wal_insert_lsn() FROM PUBLIC",
        &refuses("55000"),
        &refuses("0A000"),
    ] {
        let database = database();
        database.sql(sql);
        // In a new session: an old one has planned the call of the function that was there.
        let mut operator = Operator::new(database.admin());
        let _ = operator.switch_on("without", HOUR).unwrap();
        assert!(operator.status().unwrap().on, "{sql}");
        assert_eq!(drafts(&database).unwrap(), 1, "{sql}");
        let bound = "SELECT timeline = 'started ' || extract(epoch FROM pg_postmaster_start_time()) \
                     FROM phasegate.kill_switch";
        assert!(database.ask::<bool>(bound), "{sql}");
        // As after a standby was promoted, whose process started at another time.
        forged(&database, "timeline = 'started 1'");
        assert!(!operator.status().unwrap().on, "{sql}");
    }
}

#[test]
fn a_phase_does_not_outlive_its_timeline() {
    let database = database();
    let (task, mut hand) = (task(&database), Hand::of(&database));
    hand.begin(&task, "a");
    database.sql(
        "CREATE OR REPLACE FUNCTION phasegate.timeline() RETURNS text LANGUAGE sql VOLATILE \
         SET search_path = pg_catalog, pg_temp RETURN '00000099'",
    );
    let refused = hand.close_with("COMMIT").unwrap_err();
    assert_eq!(code(&refused), "ZG004");
}

#[test]
fn a_lease_does_not_hold_in_a_copy_in_another_cluster() {
    let database = database();
    forged(&database, "system_identifier = system_identifier + 1");
    assert!(!is_on(&database));
    let refused = refusal(drafts(&database));
    assert!(
        matches!(refused.reason(), RefusalReason::LeaseElsewhere { .. }),
        "{refused:?}"
    );
}

#[test]
fn a_row_that_is_written_by_hand_is_off() {
    for by_hand in [
        "UPDATE phasegate.kill_switch SET until = until + interval '1 hour'",
        "UPDATE phasegate.kill_switch SET reason = 'by hand'",
        "UPDATE phasegate.kill_switch SET is_on = true, epoch = epoch + 1, until = 'infinity'",
        "UPDATE phasegate.kill_switch SET is_on = false",
        "DELETE FROM phasegate.kill_switch",
        "SELECT setval('phasegate.epoch', 77)",
    ] {
        let database = database();
        let (task, mut hand) = (task(&database), Hand::of(&database));
        hand.begin(&task, "a");
        assert!(is_on(&database), "{by_hand}");
        database.sql(by_hand);
        assert!(hand.close_with("COMMIT").is_err(), "{by_hand}");
        assert!(drafts(&database).is_err(), "{by_hand}");
        assert_eq!(database.items(), [], "{by_hand}");
    }
    // An open phase keeps these from beginning.
    for by_hand in [
        "TRUNCATE phasegate.kill_switch",
        "ALTER SEQUENCE phasegate.epoch RESTART",
    ] {
        let database = database();
        database.sql(by_hand);
        assert!(drafts(&database).is_err(), "{by_hand}");
    }
    let database = database();
    let _ = database.operator().switch_off("off", HOUR).unwrap();
    database.sql("UPDATE phasegate.kill_switch SET is_on = true, until = 'infinity'");
    assert!(!is_on(&database));
    assert!(drafts(&database).is_err());
}

#[test]
fn a_lease_needs_a_time_of_at_most_a_day_and_a_why() {
    const DAY: Duration = Duration::from_hours(24);
    let database = database();
    let _ = database.operator().switch_off("off", HOUR).unwrap();
    let mut operator = database.operator();
    for (why, lasts) in [
        ("why", Duration::ZERO),
        ("why", Duration::from_nanos(1)),
        ("why", DAY + Duration::from_millis(1)),
        ("why", Duration::MAX),
        ("", HOUR),
        (" \t", HOUR),
    ] {
        let refused = operator.switch_on(why, lasts);
        assert!(refused.is_err(), "{why:?}, {lasts:?}: {refused:?}");
        assert!(!operator.status().unwrap().on, "{why:?}, {lasts:?}");
    }
    drop(operator);
    for call in ["'why', '-1 hour'", "'why', NULL", "NULL, '1 hour'"] {
        let call = format!("SELECT phasegate.switch_on({call})");
        let refused = database.admin().batch_execute(&call).unwrap_err();
        assert_eq!(code(&refused), "ZG020");
    }
    database.operator().switch_on("why", DAY).unwrap();
    assert!(is_on(&database));
}

#[test]
fn an_on_or_off_that_is_rolled_back_leaves_it_off() {
    for call in ["switch_on('not yet', '1 hour')", "switch_off('not yet')"] {
        let database = database();
        let before = database.operator().status().unwrap().epoch;
        database.sql(&format!("BEGIN; SELECT phasegate.{call}; ROLLBACK"));
        let status = database.operator().status().unwrap();
        assert!(!status.on, "{status:?}");
        assert!(database.ask::<i64>("SELECT last_value FROM phasegate.epoch") > before);
        let next = database.operator().switch_on("again", HOUR).unwrap();
        assert!(next > before + 1);
        assert!(is_on(&database));
    }
}

#[test]
fn the_history_says_who_why_and_when() {
    let database = database();
    let role: String = database.ask("SELECT session_user::text");
    let start = SystemTime::now();
    let on = database.operator().switch_on("the cutover", HOUR).unwrap();
    let _ = database
        .operator()
        .switch_off("it went wrong", HOUR)
        .unwrap();
    let query = "SELECT actor, reason, at, is_on, epoch FROM phasegate.switch_history ORDER BY epoch DESC LIMIT 2";
    let rows = database.admin().query(query, &[]).unwrap();
    let why = ["it went wrong", "the cutover"];
    for (row, why) in rows.iter().zip(why) {
        assert_eq!((row.get(0), row.get(1)), (role.as_str(), why));
        let at: SystemTime = row.get(2);
        let slack = Duration::from_secs(1);
        assert!(at + slack > start && at < SystemTime::now() + slack);
        assert_eq!(row.get::<_, bool>(3), why == "the cutover");
    }
    assert_eq!(rows[1].get::<_, i64>(4), on);
}

#[test]
fn a_lease_ends_with_the_server_process_and_off_stays_off() {
    let server = TestPostgres::builder().ignore_database_url();
    let server = server.setting("wal_writer_delay", "10s").start().unwrap();
    let database = database_on(&server);
    let name = database.target.database();
    // Of an operator whose commits are not durable by themselves.
    database.sql(&format!(
        "ALTER DATABASE {name} SET synchronous_commit = off"
    ));
    for how in [Shutdown::Immediate, Shutdown::Kill] {
        let mut operator = Operator::new(database.admin());
        let epoch = operator.switch_on("on", HOUR).unwrap();
        database.sql("SET synchronous_commit = on; CREATE TABLE flushed (); DROP TABLE flushed");
        server.restart(how).unwrap();
        let mut operator = Operator::new(database.admin());
        let status = operator.status().unwrap();
        assert!(!status.on && status.epoch == epoch, "{how:?}: {status:?}");
        let why = status.refusal.unwrap();
        assert!(why.contains("the server was started after"), "{why}");
        let off = operator.switch_off("off", HOUR).unwrap();
        assert_eq!(off, SwitchedOff::Drained);
        server.restart(how).unwrap();
        let status = Operator::new(database.admin()).status().unwrap();
        assert!(!status.on && status.why == "off", "{how:?}: {status:?}");
    }
}

/// The server's other processes are started again, and its first one stays.
#[test]
#[cfg(unix)]
fn a_lease_outlives_the_crash_of_a_session() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let database = database_on(&server);
    let pid: i32 = database.ask("SELECT pg_backend_pid()");
    let mut victim = database.admin();
    let victim: i32 = victim
        .query_one("SELECT pg_backend_pid()", &[])
        .unwrap()
        .get(0);
    assert_ne!(pid, victim);
    let killed = std::process::Command::new("kill")
        .args(["-9", &victim.to_string()])
        .status();
    assert!(killed.unwrap().success());
    let mut on = None;
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(100));
        let Ok(admin) = database.admin_config().connect(NoTls) else {
            continue;
        };
        on = Operator::new(admin).status().ok();
        if on.is_some() {
            break;
        }
    }
    assert!(on.unwrap().on);
}

#[test]
fn a_database_that_is_copied_within_its_cluster_has_no_lease() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let database = database_on(&server);
    assert!(is_on(&database));
    let mut config = server.admin();
    let mut admin = config.connect(NoTls).unwrap();
    let name = database.target.database();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    admin.execute(end, &[&name]).unwrap();
    database.until("no session is in it", |_| {
        let copy = format!("CREATE DATABASE copied TEMPLATE {name}");
        admin_of(&server).batch_execute(&copy).is_ok()
    });
    let copied = config.dbname("copied").connect(NoTls).unwrap();
    let status = Operator::new(copied).status().unwrap();
    assert!(!status.on, "{status:?}");
}

fn admin_of(server: &TestPostgres) -> postgres::Client {
    server.admin().connect(NoTls).unwrap()
}

struct Nowhere;

impl Connector for Nowhere {
    fn connect(&mut self) -> Result<Connection, ConnectError> {
        Err(ConnectError::new("there is no way"))
    }
}

#[test]
fn a_switch_that_cannot_be_read_is_not_on() {
    assert!(LeaseSwitch::new(Nowhere).read().is_err());

    let database = database();
    let switch = LeaseSwitch::new(database.connector());
    assert_eq!(switch.read().unwrap(), SwitchState::On);
    let _ = database.operator().switch_off("off", HOUR).unwrap();
    assert_eq!(switch.read().unwrap(), SwitchState::Off);
    let button = InProcessSwitch::new();
    let described = button.on_while(|| (&button, &switch).describe_off());
    assert_eq!(described.which(), WhichSwitch::OfTheDatabase);
    assert_eq!(described.reason(), Some("off"));
    let command = described.command().unwrap();
    assert!(command.contains("phasegate.switch_on("), "{command}");
    database.operator().switch_on("on", HOUR).unwrap();
    assert_eq!(switch.read().unwrap(), SwitchState::On);

    // A session that is ended is unreadable once, and then another one reads.
    let runner = database.runner.name();
    database.sql(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{runner}'"
    ));
    database.is_left_clean();
    assert!(switch.read().is_err());
    assert_eq!(switch.read().unwrap(), SwitchState::On);

    database.sql(&format!("REVOKE phasegate_runner FROM {runner}"));
    let refused = switch.read().unwrap_err().to_string();
    assert!(refused.contains("permission denied"), "{refused}");
    database.sql(&format!("GRANT phasegate_runner TO {runner}"));
    assert_eq!(switch.read().unwrap(), SwitchState::On);
    database.sql("DROP SCHEMA phasegate CASCADE");
    assert!(switch.read().is_err());
}

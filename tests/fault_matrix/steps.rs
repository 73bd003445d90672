//! The client is killed, its session is ended, the server is stopped, at each step of a phase.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use phasegate::testing::{Shutdown, TestPostgres};
use phasegate::{Error, Timeouts, connect::PostgresConnector, error::RefusalReason, runner::Event};
use postgres::{Client, NoTls};

use crate::cases::{Answer, Case};
use crate::child::{Performing, name};
use crate::page;
use crate::proxy::{Fault, Proxy, Side, What};
use crate::resolving::waits_in_the_close;
use crate::rule::{committed, judge, runs_again};
use crate::server::{Database, database_on};
use crate::wire::server;

/// Where a fault can be made by who watches the run, in order.
const STEPS: [&str; 11] = [
    "SwitchOn",
    "Valid",
    "AsPlanned",
    "Connected",
    "Opened",
    "row 1",
    "row 2",
    "row 3",
    "Performed",
    "SwitchStillOn",
    "Committed",
];

/// Does `fault` when the run comes to `step`.
fn at(
    step: &'static str,
    mut fault: impl FnMut() + Send + 'static,
) -> impl FnMut(&Event<'_>) + Send {
    move |event| {
        if name(event).as_deref() == Some(step) {
            fault();
        }
    }
}

/// Sessions of this database that wait in the close.
fn waiting(database: &Database) -> i64 {
    database.ask(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
}

fn lock(database: &Database) -> Client {
    let mut holder = database.admin();
    holder.execute("SELECT pg_advisory_lock(1)", &[]).unwrap();
    holder
}

#[test]
fn a_client_that_is_killed_at_any_step_leaves_all_or_nothing() {
    let database = database_on(server());
    waits_in_the_close(&database);
    let direct = database.runner.config();
    let mut client = database.admin();
    let mut lines = page::head(&["killed at", "journal", "run again"]);
    let mut line = |step: &str, there: usize| {
        let again = ["performed", "returned"][there];
        lines.push(page::row(&[step, &there.to_string(), again]));
    };
    for step in STEPS {
        let case = Case::admitted(&database, &format!("killed at {step}"));
        let mut child = Performing::start(&case, &direct, step);
        child.until_there();
        child.kill();
        let there = committed(&mut client, &case);
        assert_eq!(there, usize::from(step == "Committed"), "{step}");
        line(step, there);
        runs_again(&mut client, &direct, &case, there);
    }

    // The close, or its answer, is on its way.
    let proxy = Proxy::new(&direct);
    let dry = Case::admitted(&database, "a dry pass");
    let close = proxy.close_of(&dry);
    for (step, side, at) in [
        (
            "in the close, which arrives later",
            Side::Client,
            close.asked,
        ),
        (
            "in the close, whose response has not arrived",
            Side::Server,
            close.answered,
        ),
    ] {
        let case = Case::admitted(&database, step);
        let what = What::Hold;
        let script = proxy.play(Some(Fault { side, at, what }));
        let child = Performing::start(&case, &proxy.config, "nowhere");
        script.until_held();
        child.kill();
        if side == Side::Client {
            // The server does not know of the death, and who runs the plan again is told who has it.
            assert_eq!(committed(&mut client, &case), 0);
            let runner = case.live(PostgresConnector::no_tls(direct.clone()));
            let timeouts = Timeouts::default().lock(Duration::from_millis(200));
            let again = case.perform(runner.timeouts(timeouts).retries(0));
            assert!(
                matches!(
                    again.as_ref().err().and_then(Error::reason),
                    Some(RefusalReason::Held { holder: Some(_) })
                ),
                "{again:?}"
            );
        }
        script.release();
        database.until("its session is gone", |database| database.sessions() == 0);
        let there = committed(&mut client, &case);
        assert_eq!(there, 1, "{step}");
        line(step, there);
        runs_again(&mut client, &direct, &case, there);
    }

    // The server has the close, and is at it when its client dies.
    let step = "in the close, which the server is performing: it goes on";
    let case = Case::admitted(&database, "killed, the close may wait");
    let mut holder = lock(&database);
    let child = Performing::start(&case, &direct, "nowhere");
    database.until("the close waits", |database| waiting(database) == 1);
    child.kill();
    assert_eq!(committed(&mut client, &case), 0);
    holder.execute("SELECT pg_advisory_unlock(1)", &[]).unwrap();
    database.until("its session is gone", |database| database.sessions() == 0);
    let there = committed(&mut client, &case);
    assert_eq!(there, 1);
    line(step, there);
    runs_again(&mut client, &direct, &case, there);
    page::has("client killed", &lines);
}

/// What is done to the server's side of a run.
#[derive(Clone, Copy)]
enum Ending {
    Backend,
    Server(Shutdown),
}

/// Performs `case` while `ending` happens at `step`.
fn stopped(
    server: &Arc<TestPostgres>,
    database: &Arc<Database>,
    case: &Case,
    step: &'static str,
    ending: Ending,
) -> Answer {
    let runner = case.live(PostgresConnector::no_tls(database.runner.config()));
    let end = {
        let (server, database) = (Arc::clone(server), Arc::clone(database));
        move || match ending {
            Ending::Backend => end_backends(&database),
            Ending::Server(how) => server.restart(how).unwrap(),
        }
    };
    if STEPS.contains(&step) {
        return case.perform(runner.observer(at(step, end)));
    }
    let holder = lock(database);
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            database.until("the close waits", |database| waiting(database) == 1);
            end();
        });
        case.perform(runner)
    });
    drop(holder);
    answer
}

/// Ends the sessions of the runner, and waits until they have ended.
fn end_backends(database: &Database) {
    database.sql(&format!(
        "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE usename = '{}'",
        database.runner.name()
    ));
}

const IN_THE_CLOSE: &str = "in the close, which the server is performing";

#[test]
fn a_session_or_a_server_that_is_ended_at_any_step_leaves_all_or_nothing() {
    let endings = [
        ("backend ended", Ending::Backend),
        (
            "server stopped at once",
            Ending::Server(Shutdown::Immediate),
        ),
        ("server killed", Ending::Server(Shutdown::Kill)),
    ];
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let server = Arc::new(server);
    let database = Arc::new(database_on(&server));
    waits_in_the_close(&database);
    let direct = database.runner.config();
    let steps: Vec<_> = STEPS[..10]
        .iter()
        .chain([&IN_THE_CLOSE, &STEPS[10]])
        .collect();
    // The operator's session does not outlive the first of them.
    let cases: Vec<Vec<Case>> = steps
        .iter()
        .map(|step| {
            let wait = if **step == IN_THE_CLOSE {
                "may wait"
            } else {
                ""
            };
            let case = |(what, _): &(&str, Ending)| {
                Case::admitted(&database, &format!("{what} {step} {wait}"))
            };
            endings.iter().map(case).collect()
        })
        .collect();
    let late = Case::admitted(&database, "stopped and started later, may wait");
    let columns: Vec<&str> = endings.iter().map(|(what, _)| *what).collect();
    let mut lines = page::head(&[&["at"], columns.as_slice()].concat());
    for (step, cases) in steps.iter().zip(&cases) {
        let mut cells = vec![(**step).to_owned()];
        for (case, (_, ending)) in cases.iter().zip(endings) {
            let answer = stopped(&server, &database, case, step, ending);
            let mut client = database.admin();
            cells.push(judge(&mut client, &direct, case, answer).to_string());
        }
        let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
        lines.push(page::row(&cells));
    }

    // Nobody is there to resolve with, until later.
    let timeouts = Timeouts::default().resolve(Duration::from_millis(300));
    let runner = late
        .live(PostgresConnector::no_tls(direct.clone()))
        .timeouts(timeouts);
    let holder = lock(&database);
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            database.until("the close waits", |database| waiting(database) == 1);
            server.shut_down(Shutdown::Immediate).unwrap();
        });
        late.perform(runner)
    });
    drop(holder);
    assert!(direct.connect(NoTls).is_err(), "the server is there");
    server.start_again().unwrap();
    let mut client = database.admin();
    let judged = judge(&mut client, &direct, &late, answer).to_string();
    let step = format!("{IN_THE_CLOSE}, and started again when the run has ended");
    lines.push(page::row(&[&step, "", &judged, ""]));
    page::has("session or server ended", &lines);
}

//! The primary is lost in the middle of a run, and its standby is promoted.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use phasegate::{
    Error, Timeouts,
    audit::Durability,
    connect::PostgresConnector,
    error::{InDoubt, RefusalReason, Resolution},
    runner::{Event, Step},
};
use postgres::Config;

use crate::cases::{Answer, Case};
use crate::page;
use crate::proxy::{Fault, Proxy, Side, What};
use crate::replica::{Pair, until};
use crate::rule::{PATIENCE, before_again, committed, runs_again};

fn skipped(what: &str) {
    println!("SKIPPED: {what}: this server comes without pg_basebackup");
}

/// Does `fault` when the second phase comes to `step`.
fn at(step: Step, fault: impl Fn() + Send + 'static) -> impl FnMut(&Event<'_>) + Send {
    move |event| {
        if let Event::Passed {
            phase: "again",
            step: now,
            ..
        } = event
            && *now == step
        {
            fault();
        }
    }
}

fn case_of_two(pair: &Pair, name: &str) -> Case {
    let case = Case::two(&pair.database.target, name);
    pair.database.admit(&case.plan);
    case
}

/// Judges on the new primary. The lease does not hold there, until an operator says so.
fn judged_after(pair: &Pair, case: &Case, answer: Answer) -> String {
    let (mut client, direct) = (pair.admin_on_standby(), pair.runner_on_standby());
    let judged = before_again(&mut client, &direct, case, answer);
    if judged.journalled < case.phases().len() {
        let again = case.perform(case.live(pair.connector()));
        let refused = again.as_ref().err().and_then(Error::reason);
        let Some(RefusalReason::LeaseElsewhere { said }) = refused else {
            panic!("not refused: {again:?}")
        };
        assert_eq!(said.sqlstate().unwrap().code(), "ZG004");
    }
    pair.switch_on();
    runs_again(&mut client, &direct, case, judged.journalled);
    judged.to_string()
}

/// The second phase of `case`, whose answer to the close is lost.
fn answer_lost(
    pair: &Pair,
    case: &Case,
    observer: impl FnMut(&Event<'_>) + Send + 'static,
) -> InDoubt {
    let proxy = Proxy::new(&pair.database.runner.config());
    let dry = case_of_two(pair, "a dry pass");
    let at = proxy.close_of(&dry).answered;
    proxy.play(Some(Fault {
        side: Side::Server,
        at,
        what: What::CutBefore,
    }));
    let runner = case
        .live(PostgresConnector::no_tls(proxy.config.clone()))
        .timeouts(Timeouts::default().resolve(Duration::ZERO))
        .observer(observer);
    match case.perform(runner) {
        Err(Error::InDoubt(doubt)) => doubt,
        other => panic!("not in doubt: {other:?}"),
    }
}

#[test]
fn what_an_asynchronous_promotion_loses_is_resolved_as_rolled_back() {
    let mut lines = page::head(&["the primary is lost at", "the run returns, journal there"]);
    for step in [Step::AsPlanned, Step::Opened, Step::SwitchStillOn] {
        let Some(pair) = Pair::new() else {
            return skipped("the promotion of an asynchronous standby");
        };
        let pair = Arc::new(pair);
        let case = case_of_two(&pair, &format!("lost at {step:?}"));
        let lost = {
            let pair = Arc::clone(&pair);
            move || {
                pair.caught_up();
                pair.promote();
            }
        };
        let answer = case.perform(case.live(pair.connector()).observer(at(step, lost)));
        let judged = judged_after(&pair, &case, answer);
        lines.push(page::row(&[&format!("{step:?}"), &judged]));
    }

    let pair = Arc::new(Pair::new().unwrap());
    let case = case_of_two(&pair, "lost with its commit");
    // Before the transaction begins: the standby knows of no number of it, and gives it to others.
    let before_the_phase = {
        let pair = Arc::clone(&pair);
        move || {
            pair.caught_up();
            pair.cut_off();
        }
    };
    let doubt = answer_lost(&pair, &case, at(Step::AsPlanned, before_the_phase));
    assert_eq!(
        committed(&mut pair.database.admin(), &case),
        2,
        "on the old primary"
    );
    pair.promote();
    // Others' transactions come to have its number, and are committed.
    let mut client = pair.admin_on_standby();
    let mut status = |xid: &str| -> Option<String> {
        let passed = format!("SELECT pg_current_xact_id() > '{xid}'");
        until(&mut client, &passed);
        let status = format!("SELECT pg_xact_status('{xid}')");
        client.query_one(&status, &[]).unwrap().get(0)
    };
    assert_eq!(status(doubt.xid()).as_deref(), Some("committed"));
    let judged = judged_after(&pair, &case, Err(doubt.into()));
    assert_eq!(judged, "in doubt, rolled back, 1");
    let place = "in the close, which the standby has not received; its xid says `committed`";
    lines.push(page::row(&[place, &judged]));
    page::has("asynchronous", &lines);
}

/// Waits until the commit waits for its standby, and answers whose it is.
fn waiting_for_the_standby(pair: &Pair) -> i32 {
    let sql = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()";
    let mut admin = pair.database.admin();
    until(&mut admin, &format!("SELECT count(*) = 1 {sql}"));
    pair.database.ask(&format!("SELECT pid {sql}"))
}

/// Performs `case` while the synchronous standby is cut off, and has `meanwhile` do something to
/// the commit that waits for it.
fn alone(
    pair: &Pair,
    case: &Case,
    timeouts: Timeouts,
    meanwhile: impl FnOnce(i32) + Send,
) -> Answer {
    thread::scope(|scope| {
        scope.spawn(|| meanwhile(waiting_for_the_standby(pair)));
        let connector = PostgresConnector::no_tls(pair.database.runner.config());
        case.perform(case.live(connector).timeouts(timeouts))
    })
}

#[test]
fn what_a_synchronous_promotion_was_acknowledged_for_is_there() {
    let mut lines = page::head(&["the primary is lost at", "the run returns, journal there"]);
    let Some(pair) = Pair::new() else {
        return skipped("the promotion of a synchronous standby");
    };
    let pair = Arc::new(pair);
    pair.synchronous();
    let case = case_of_two(&pair, "acknowledged");
    let lost = {
        let pair = Arc::clone(&pair);
        move || pair.promote()
    };
    let answer = case.perform(
        case.live(pair.connector())
            .observer(at(Step::Committed, lost)),
    );
    assert!(matches!(&answer, Ok(done) if *done[1].durability() == Durability::AsConfigured));
    let judged = judged_after(&pair, &case, answer);
    assert_eq!(judged, "performed, 2");
    lines.push(page::row(&["Committed", &judged]));

    let pair = Pair::new().unwrap();
    pair.synchronous();
    let case = case_of_two(&pair, "unanswered");
    let doubt = answer_lost(&pair, &case, |_| ());
    pair.promote();
    let judged = judged_after(&pair, &case, Err(doubt.into()));
    assert_eq!(judged, "in doubt, committed, 2");
    lines.push(page::row(&[
        "in the close, whose response is lost",
        &judged,
    ]));

    let pair = Pair::new().unwrap();
    pair.synchronous();
    let case = Case::admitted(&pair.database, "waits");
    pair.caught_up();
    pair.cut_off();
    let timeouts = Timeouts::default().resolve(Duration::ZERO);
    let answer = alone(&pair, &case, timeouts, |_| pair.promote());
    let judged = judged_after(&pair, &case, answer);
    assert_eq!(judged, "in doubt, rolled back, 0");
    let place = "in the close, which waits for a standby that does not receive it";
    lines.push(page::row(&[place, &judged]));
    page::has("synchronous", &lines);
}

#[test]
fn a_commit_that_its_synchronous_standby_has_not_heard_of_says_so() {
    let Some(pair) = Pair::new() else {
        return skipped("a synchronous standby that is cut off");
    };
    let database = &pair.database;
    let direct: Config = database.runner.config();
    let mut client = database.admin();
    let mut lines = page::head(&["what happens", "the run returns, journal", "durability"]);
    pair.synchronous();
    let proxy = Proxy::new(&direct);
    let close = proxy.close_of(&Case::admitted(database, "a dry pass"));
    let names = ["cancelled", "out of time", "ended", "lost"];
    let cases = names.map(|name| Case::admitted(database, name));
    let [cancelled, out_of_time, ended, lost] = &cases;
    pair.cut_off();
    // The administrator's own commits wait for nobody.
    client
        .execute("SET synchronous_commit = local", &[])
        .unwrap();
    let mut line = |what: &str, judged: &str, durability: &str| {
        lines.push(page::row(&[what, judged, durability]));
    };

    let by = |function: &'static str| {
        move |pid: i32| {
            let done: bool = database.ask(&format!("SELECT {function}({pid})"));
            assert!(done);
        }
    };
    let patient = Timeouts::default();
    let brief = patient.phase(Duration::from_secs(1));
    let happens = [
        ("the commit is cancelled", cancelled, patient, true),
        ("the phase's time is over", out_of_time, brief, false),
    ];
    for (what, case, timeouts, cancels) in happens {
        let answer = alone(&pair, case, timeouts, |pid| {
            if cancels {
                by("pg_cancel_backend")(pid);
            }
        });
        let durability = answer.as_ref().unwrap()[0].durability();
        let Durability::LocalOnly(said) = durability else {
            panic!("{durability:?}")
        };
        assert!(said.contains("synchronous replication"), "{said}");
        let judged = before_again(&mut client, &direct, case, answer);
        line(what, &judged.to_string(), "`LocalOnly`");
    }

    let answer = alone(&pair, ended, patient, by("pg_terminate_backend"));
    let durability = answer.as_ref().unwrap()[0].durability().clone();
    assert_eq!(durability, Durability::Unknown);
    let judged = before_again(&mut client, &direct, ended, answer);
    line("its session is ended", &judged.to_string(), "`Unknown`");

    // To claim the nonce is a commit too, which waits for the standby: not for ever.
    proxy.play(Some(Fault {
        side: Side::Client,
        at: close.asked,
        what: What::CutBefore,
    }));
    let runner = lost
        .live(PostgresConnector::no_tls(proxy.config.clone()))
        .timeouts(Timeouts::default().resolve(Duration::ZERO));
    let Err(Error::InDoubt(doubt)) = lost.perform(runner) else {
        panic!("not in doubt")
    };
    let begun = Instant::now();
    let still = doubt.resolve(
        PostgresConnector::no_tls(direct.clone()),
        Duration::from_secs(1),
    );
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(
        still.is_err(),
        "a claim that a promotion could lose: {still:?}"
    );
    let set = "ALTER SYSTEM RESET synchronous_standby_names";
    client.execute(set, &[]).unwrap();
    client.execute("SELECT pg_reload_conf()", &[]).unwrap();
    let resolved = doubt
        .resolve(PostgresConnector::no_tls(direct.clone()), PATIENCE)
        .unwrap();
    assert_eq!(resolved, Resolution::RolledBack);
    assert_eq!(committed(&mut client, lost), 0);
    line(
        "the close is lost: in doubt, and to be resolved when the standby is back, or given up",
        "in doubt, rolled back, 0",
        "",
    );
    for (case, there) in cases.iter().zip([1, 1, 1, 0]) {
        runs_again(&mut client, &direct, case, there);
    }
    page::has("standby not reached", &lines);
}

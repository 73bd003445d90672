//! The connection is cut, or delayed, at every message of a phase, in both directions.

use std::sync::OnceLock;
use std::time::Duration;

use phasegate::testing::TestPostgres;
use phasegate::{Timeouts, connect::PostgresConnector};

use crate::cases::Case;
use crate::page;
use crate::proxy::{At, Fault, Message, Proxy, Side, What};
use crate::rule::judge;
use crate::server::{Database, database_on};
use crate::workers::each;

/// Every cell of this file has a plan of its own in one database.
pub(crate) fn server() -> &'static TestPostgres {
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        TestPostgres::builder()
            .ignore_database_url()
            // Several tests at once, each with workers of its own, whose lost sessions live on for a while.
            .setting("max_connections", "400")
            .start()
            .unwrap()
    })
}

/// A little later.
const DELAY: Duration = Duration::from_millis(20);

/// Later than [`a_message_that_is_late_for_its_phase_leaves_all_or_nothing`] gives a phase.
const LATE: What = What::Delay(Duration::from_secs(5));

const FAULTS: [(&str, What); 4] = [
    ("cut before", What::CutBefore),
    ("cut in half", What::CutHalf),
    ("cut after", What::CutAfter),
    ("delayed", What::Delay(DELAY)),
];

/// The messages of one phase, with the connection's index among those of its side.
fn messages(database: &Database) -> Vec<(usize, Message)> {
    let proxy = Proxy::new(&database.runner.config());
    let case = Case::admitted(database, "a dry pass");
    let script = proxy.play(None);
    let answer = case.perform(case.live(PostgresConnector::no_tls(proxy.config.clone())));
    assert_eq!(answer.unwrap().len(), 1);
    let heard = script.heard();
    assert!(heard.iter().all(|message| message.connection == 0));
    [Side::Client, Side::Server]
        .into_iter()
        .flat_map(|side| {
            let of_side = heard.iter().filter(move |message| message.side == side);
            of_side.cloned().enumerate().collect::<Vec<_>>()
        })
        .collect()
}

/// What the exchange is for.
fn exchange(message: &Message) -> String {
    match message.exchange {
        0 => "connect".to_owned(),
        1 => "opening".to_owned(),
        2 => "prepare".to_owned(),
        row @ 3..=5 => format!("row {}", row - 2),
        6 => "statement closed".to_owned(),
        7 => "closing".to_owned(),
        8 => "end".to_owned(),
        more => panic!("exchange {more}"),
    }
}

/// Where the outcome is a race between the cut and what goes on behind it: what it may be.
fn may_be(message: &Message, what: What, resolved_by_run: bool) -> Option<&'static [&'static str]> {
    let last = message.name() == "ReadyForQuery";
    let cut = !matches!(what, What::Delay(_));
    let passed_on = what == What::CutAfter;
    // By the run, by hand.
    let both: [&[&str]; 2] = match (message.side, message.exchange) {
        // The answer is there, and the end of the connection may be seen with it or later.
        (Side::Server, 1) if last && passed_on => [&["refused, 0", "rolled back, 0"]; 2],
        (Side::Server, 5) if last && passed_on => [
            &["rolled back, 0"],
            &["rolled back, 0", "in doubt, rolled back, 0"],
        ],
        (Side::Server, 7) if last && passed_on => [
            &["performed, 1", "performed, resolved, 1"],
            &["performed, 1", "in doubt, committed, 1"],
        ],
        // The client does not wait for this response: the closing message may be on its way.
        (Side::Server, 6) if cut => [
            &["rolled back, 0", "performed, resolved, 1"],
            &["in doubt, rolled back, 0", "in doubt, committed, 1"],
        ],
        // The server has all of it; the resolver may end it before its commit.
        (Side::Client, 7) if passed_on => [
            &["rolled back, 0", "performed, resolved, 1"],
            &["in doubt, rolled back, 0", "in doubt, committed, 1"],
        ],
        // It is committed, and the session is ended; the answer and that arrive together.
        (Side::Server, 6 | 7) if what == LATE => [&["performed, 1", "performed, resolved, 1"]; 2],
        _ => return None,
    };
    Some(both[usize::from(!resolved_by_run)])
}

/// One table: a line for each message, a column for each fault.
fn table(name: &str, threads: usize, timeouts: Timeouts, faults: &[(&str, What)]) {
    let by_run = timeouts != timeouts.resolve(Duration::ZERO);
    let database = database_on(server());
    let direct = database.runner.config();
    let messages = messages(&database);
    let cells: Vec<_> = messages
        .iter()
        .flat_map(|message| faults.iter().map(move |fault| (message, fault)))
        .collect();
    let judged = each(
        threads,
        &cells,
        || (Proxy::new(&direct), database.admin()),
        |(proxy, client), at, ((index, message), (_, what))| {
            let case = Case::admitted(&database, &format!("{name} {at}"));
            proxy.play(Some(Fault {
                side: message.side,
                at: At::Message(0, *index),
                what: *what,
            }));
            let connector = PostgresConnector::no_tls(proxy.config.clone());
            let answer = case.perform(case.live(connector).timeouts(timeouts));
            let judged = judge(client, &direct, &case, answer).to_string();
            match may_be(message, *what, by_run) {
                Some(these) => {
                    assert!(these.contains(&&*judged), "{judged}, and not {these:?}");
                    these.join(" *or* ")
                }
                None => judged,
            }
        },
    );
    let columns = faults.iter().map(|(fault, _)| *fault);
    let columns: Vec<&str> = ["side", "exchange", "message"]
        .into_iter()
        .chain(columns)
        .collect();
    let mut lines = page::head(&columns);
    for ((_, message), judged) in messages.iter().zip(judged.chunks(faults.len())) {
        let side = match message.side {
            Side::Client => "client",
            Side::Server => "server",
        };
        let (exchange, message) = (exchange(message), message.name());
        let mut cells = vec![side, &exchange, &message];
        cells.extend(judged.iter().map(String::as_str));
        let line = page::row(&cells);
        // One line for a message that is there several times, which differs between releases.
        if lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    println!("{name}: {} cells", cells.len());
    page::has(name, &lines);
}

#[test]
fn a_cut_or_delay_at_any_message_is_resolved_by_the_run() {
    table("wire, resolved by the run", 4, Timeouts::default(), &FAULTS);
}

#[test]
fn after_a_cut_or_delay_at_any_message_two_resolvers_agree() {
    let timeouts = Timeouts::default().resolve(Duration::ZERO);
    table("wire, resolved by hand", 4, timeouts, &FAULTS);
}

#[test]
fn a_message_that_is_late_for_its_phase_leaves_all_or_nothing() {
    // A second after the phase's time is over, its session is ended.
    let timeouts = Timeouts::default().phase(Duration::from_secs(2));
    table("wire, late", 32, timeouts, &[("late", LATE)]);
}

//! Resolving itself: for every resolver, and every state of the attempt's owner, there is
//! one result.

use std::thread;
use std::time::Duration;

use phasegate::{
    Error, Timeouts,
    connect::PostgresConnector,
    error::{InDoubt, Resolution, ResolveError},
};
use postgres::{Client, NoTls};

use crate::cases::Case;
use crate::page;
use crate::proxy::{Close, Fault, Proxy, Side, What};
use crate::rule::{PATIENCE, committed, resolved_by_two, runs_again};
use crate::server::{Database, database_on};
use crate::wire::server;

/// The rows of the phase wait in the close for the advisory lock 1, or are refused there.
pub(crate) fn waits_in_the_close(database: &Database) {
    database.at_commit(
        "IF new.name LIKE '%wait%' THEN PERFORM pg_advisory_xact_lock(1); END IF; \
         IF new.name LIKE '%refuse%' THEN RAISE 'refused'; END IF",
    );
}

/// What the owner of an attempt is at when two resolve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Alive, and the close never reaches it.
    Idle,
    /// Alive, in the close.
    Closing,
    /// Alive, in the close, and about to commit.
    Committing,
    Dead,
    Committed,
    RolledBack,
}

const OWNERS: [(Owner, &str); 6] = [
    (Owner::Idle, "alive, and never receives the close"),
    (Owner::Closing, "alive, waits in the close"),
    (
        Owner::Committing,
        "alive, let go in the close at this moment",
    ),
    (Owner::Dead, "dead before the close"),
    (Owner::Committed, "committed"),
    (Owner::RolledBack, "refused in the close, and rolled back"),
];

struct Scene {
    database: Database,
    proxy: Proxy,
    close: Close,
}

impl Scene {
    fn new() -> Self {
        let database = database_on(server());
        waits_in_the_close(&database);
        let proxy = Proxy::new(&database.runner.config());
        let case = Case::admitted(&database, "a dry pass");
        let close = proxy.close_of(&case);
        Scene {
            database,
            proxy,
            close,
        }
    }

    /// A phase in doubt: this happens to the closing message, or to its answer.
    fn doubt(&self, case: &Case, side: Side, what: What) -> (InDoubt, impl Fn()) {
        let at = match side {
            Side::Client => self.close.asked,
            Side::Server => self.close.answered,
        };
        let script = self.proxy.play(Some(Fault { side, at, what }));
        let runner = case.live(PostgresConnector::no_tls(self.proxy.config.clone()));
        let answer = case.perform(runner.timeouts(Timeouts::default().resolve(Duration::ZERO)));
        match answer {
            Err(Error::InDoubt(doubt)) => (doubt, move || script.release()),
            other => panic!("not in doubt: {other:?}"),
        }
    }

    fn waiting(&self) -> i64 {
        self.database.ask(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
    }
}

#[test]
fn thirty_pairs_of_resolvers_agree_at_every_state_of_the_owner() {
    let scene = Scene::new();
    let database = &scene.database;
    let direct = database.runner.config();
    let (mut client, mut holder) = (database.admin(), database.admin());
    let mut lines = page::head(&["the owner is", "both resolvers say"]);
    for (owner, described) in OWNERS {
        let mut said = Vec::new();
        for pair in 0..5 {
            let waits = matches!(owner, Owner::Closing | Owner::Committing);
            let kind = match owner {
                _ if waits => "wait",
                Owner::RolledBack => "refuse",
                _ => "pass",
            };
            let case = Case::admitted(database, &format!("{kind} {owner:?} {pair}"));
            if waits {
                holder.execute("SELECT pg_advisory_lock(1)", &[]).unwrap();
            }
            let (side, what) = match owner {
                Owner::Idle => (Side::Client, What::LoseClient),
                Owner::Closing | Owner::Committing => (Side::Client, What::LoseClientAfter),
                Owner::Dead => (Side::Client, What::CutBefore),
                Owner::Committed | Owner::RolledBack => (Side::Server, What::CutBefore),
            };
            let (doubt, release) = scene.doubt(&case, side, what);
            if waits {
                database.until("the close waits", |_| scene.waiting() == 1);
            }
            let alive: bool = database.ask(&format!(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {} AND backend_start = '{}')",
                doubt.backend_pid(),
                doubt.backend_start()
            ));
            assert!(
                alive || !matches!(owner, Owner::Idle | Owner::Closing | Owner::Committing),
                "{owner:?} is dead"
            );
            let let_go = |holder: &mut Client| {
                let unlock = "SELECT pg_advisory_unlock_all()";
                holder.execute(unlock, &[]).unwrap();
            };
            let resolved = thread::scope(|scope| {
                if owner == Owner::Committing {
                    scope.spawn(|| let_go(&mut holder));
                }
                resolved_by_two(&direct, &doubt)
            });
            release();
            if owner == Owner::Closing {
                let_go(&mut holder);
            }
            let there = committed(&mut client, &case);
            said.push(match resolved {
                Resolution::Committed(_) => {
                    assert_eq!(there, 1, "{owner:?}");
                    "committed"
                }
                Resolution::RolledBack => {
                    assert_eq!(there, 0, "{owner:?}");
                    "rolled back"
                }
            });
            if kind == "refuse" {
                database.sql("ALTER TABLE item DISABLE TRIGGER at_commit");
                runs_again(&mut client, &direct, &case, there);
                database.sql("ALTER TABLE item ENABLE TRIGGER at_commit");
            } else {
                runs_again(&mut client, &direct, &case, there);
            }
            // Resolution once is resolved for good, also now that the plan is performed.
            assert_eq!(resolved_by_two(&direct, &doubt), resolved);
        }
        // Either may be first.
        let said = if owner == Owner::Committing {
            "committed *or* rolled back"
        } else {
            let same = said.iter().all(|one| *one == said[0]);
            assert!(same, "{owner:?}: {said:?}");
            said[0]
        };
        lines.push(page::row(&[described, said]));
    }
    page::has("resolvers", &lines);
}

#[test]
fn a_fatal_response_to_the_close_does_not_tell_of_its_commit() {
    let scene = Scene::new();
    let database = &scene.database;
    let direct = database.runner.config();
    for (name, there) in [("pass", 1), ("refuse", 0)] {
        let case = Case::admitted(database, name);
        let (doubt, _) = scene.doubt(&case, Side::Server, What::Fatal);
        assert!(doubt.to_string().contains("57P01"), "{doubt}");
        let committed_one = matches!(resolved_by_two(&direct, &doubt), Resolution::Committed(_));
        assert_eq!(committed_one, there == 1, "{name}");
        assert_eq!(committed(&mut database.admin(), &case), there);
    }
}

/// Resolves by the server's function itself, as if the attempt had been opened `opened`.
fn resolve_sql(client: &mut Client, doubt: &InDoubt, opened: &str) -> Result<String, String> {
    let sql = format!(
        "SELECT phasegate.resolve(decode('{}', 'hex'), '{}', {opened}, {}, '{}', interval '1 second')",
        doubt.plan(),
        doubt.nonce(),
        doubt.backend_pid(),
        doubt.backend_start()
    );
    match client.query_one(&sql, &[]) {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(error.code().unwrap().code().to_owned()),
    }
}

#[test]
fn forgetting_attempts_does_not_make_resolving_lie() {
    let scene = Scene::new();
    let database = &scene.database;
    let mut admin = database.admin();
    let mut runner = database.runner.config().connect(NoTls).unwrap();
    let (there, gone) = (
        Case::admitted(database, "pass, there"),
        Case::admitted(database, "pass, gone"),
    );
    let (committed_one, _) = scene.doubt(&there, Side::Server, What::CutBefore);
    let (lost_one, _) = scene.doubt(&gone, Side::Client, What::CutBefore);

    // Two days pass for the attempts, and they are forgotten.
    let two_days_ago = "clock_timestamp() - interval '2 days'";
    database.sql(&format!(
        "UPDATE phasegate.attempt SET opened_at = {two_days_ago}"
    ));
    let day = Duration::from_hours(24);
    assert!(database.operator().housekeep(day).unwrap().attempts >= 2);
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM phasegate.attempt"),
        0
    );

    let said = resolve_sql(&mut runner, &committed_one, two_days_ago).unwrap();
    assert!(said.contains(r#""state": "committed""#), "{said}");
    let said = resolve_sql(&mut runner, &lost_one, two_days_ago).unwrap_err();
    assert_eq!(said, "ZG022");

    // The same through the crate, when the horizon has passed the doubt itself.
    database.sql("UPDATE phasegate.retention SET horizon = clock_timestamp() + interval '1 hour'");
    let resolve = |doubt: &InDoubt, patience| -> Result<Resolution, ResolveError> {
        doubt.resolve(database.connector(), patience)
    };
    assert!(matches!(
        resolve(&committed_one, PATIENCE),
        Ok(Resolution::Committed(_))
    ));
    let still = resolve(&lost_one, Duration::from_millis(300)).unwrap_err();
    assert!(still.to_string().contains("ZG022"), "{still}");
    assert_eq!(
        database.ask::<i64>("SELECT count(*) FROM phasegate.attempt"),
        0
    );
    let rows: i64 = admin
        .query_one(
            "SELECT count(*) FROM item WHERE name = ANY ($1)",
            &[&gone.draft.rows],
        )
        .unwrap()
        .get(0);
    assert_eq!(rows, 0);
}

//! Runs of two phases, each with a fault that chance picks: a thousand where long runs are asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use phasegate::{Target, Timeouts, audit::Committed, connect::PostgresConnector};
use postgres::{Client, Config, NoTls};

use crate::cases::Case;
use crate::proxy::{At, Fault, Proxy, Side, What};
use crate::random::{self, Random};
use crate::rule::{before_again, committed, runs_again};
use crate::server::{Database, database_on};
use crate::wire::server;
use crate::workers::each;

const THREADS: usize = 6;

fn millis(random: &mut Random, bound: usize) -> Duration {
    Duration::from_micros(random.below(bound * 1000) as u64)
}

#[derive(Debug, Clone, Copy)]
enum Happens {
    /// To the connection.
    Fault(Fault),
    /// To its sessions, which are all ended after so long.
    Ended(Duration),
    /// To its time, which is over after so long.
    Over(Duration),
}

/// What one run says: of each message, by whom, and where it begins and ends among that side's bytes.
struct Said(Vec<(Side, Range<usize>)>);

impl Said {
    fn new(database: &Database) -> Self {
        let proxy = Proxy::new(&database.runner.config());
        let case = Case::two(&database.target, "a dry pass");
        database.admit(&case.plan);
        let script = proxy.play(None);
        let runner = case.live(PostgresConnector::no_tls(proxy.config.clone()));
        case.perform(runner).unwrap();
        let mut so_far = [0; 2];
        let messages = script.heard().into_iter().map(|message| {
            let end = &mut so_far[message.side as usize];
            let begin = *end;
            *end += message.bytes.len();
            (message.side, begin..*end)
        });
        Said(messages.collect())
    }

    /// Half of the time any byte is as likely as any other; half of the time any message is, since
    /// most bytes are said before anything is done.
    fn pick(&self, random: &mut Random) -> (Side, At) {
        let mut at = random.below(self.0.len());
        if random.below(2) == 0 {
            let mut byte = random.below(self.0.iter().map(|(_, bytes)| bytes.len()).sum());
            at = 0;
            while byte >= self.0[at].1.len() {
                byte -= self.0[at].1.len();
                at += 1;
            }
        }
        let (side, bytes) = &self.0[at];
        (*side, At::Byte(bytes.start + random.below(bytes.len())))
    }
}

impl Happens {
    fn pick(random: &mut Random, said: &Said) -> Self {
        let (side, at) = said.pick(random);
        let what = match random.below(10) {
            0..6 => What::CutHalf,
            6 => What::Delay(millis(random, 30)),
            7..9 => return Happens::Ended(millis(random, 100)),
            _ => return Happens::Over(millis(random, 60)),
        };
        Happens::Fault(Fault { side, at, what })
    }
}

/// What each thread has: among others a role, so that its sessions can be told from the others'.
struct Worker {
    role: String,
    direct: Config,
    target: Target,
    proxy: Proxy,
    client: Client,
    ends: Client,
}

impl Worker {
    fn new(database: &Database) -> Self {
        // One grant on a table at a time: the server refuses two at once.
        static ROLES: Mutex<u32> = Mutex::new(0);
        let mut roles = ROLES.lock().unwrap();
        *roles += 1;
        let role = format!("chance_{roles}");
        database.sql(&format!(
            "CREATE ROLE {role} LOGIN; GRANT phasegate_runner TO {role}; \
             GRANT SELECT, INSERT ON item TO {role}"
        ));
        let mut direct = database.runner.config();
        direct.user(&role);
        let target = Target::identify(&mut direct.connect(NoTls).unwrap()).unwrap();
        Worker {
            role,
            target,
            proxy: Proxy::new(&direct),
            direct,
            client: database.admin(),
            ends: database.admin(),
        }
    }
}

/// Performs a case of two phases while something happens, judges it, and says how it ended.
fn run(
    database: &Database,
    worker: &mut Worker,
    number: usize,
    (happens, by_hand): (Happens, bool),
) -> String {
    let case = Case::two(&worker.target, &format!("run {number}"));
    database.admit(&case.plan);
    let fault = match happens {
        Happens::Fault(fault) => Some(fault),
        Happens::Ended(_) | Happens::Over(_) => None,
    };
    worker.proxy.play(fault);
    let mut timeouts = Timeouts::default();
    if by_hand {
        timeouts = timeouts.resolve(Duration::ZERO);
    }
    if let Happens::Over(after) = happens {
        timeouts = timeouts.phase(after);
    }
    // This file does not test the role, and checking its privileges takes most of the time.
    let runner = case
        .live(PostgresConnector::no_tls(worker.proxy.config.clone()))
        .dangerously_allow_privileged_role()
        .timeouts(timeouts);
    let (ends, role) = (&mut worker.ends, &worker.role);
    let answer = thread::scope(|scope| {
        if let Happens::Ended(after) = happens {
            scope.spawn(move || {
                thread::sleep(after);
                let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = $1";
                ends.execute(sql, &[role]).unwrap();
            });
        }
        case.perform(runner)
    });
    let judged = before_again(&mut worker.client, &worker.direct, &case, answer);
    runs_again(&mut worker.client, &worker.direct, &case, judged.journalled);
    judged.to_string()
}

#[test]
fn faults_that_chance_picks_leave_all_or_nothing() {
    let seed = random::seed();
    let runs = random::runs(250, 1000);
    println!("PHASEGATE_SEED={seed}");
    let database = database_on(server());
    let said = Said::new(&database);
    let mut random = Random::new(seed);
    let happens: Vec<_> = (0..runs)
        .map(|_| (Happens::pick(&mut random, &said), random.below(2) == 0))
        .collect();
    let ended = each(
        THREADS,
        &happens,
        || Worker::new(&database),
        |worker, number, happens| run(&database, worker, number, *happens),
    );
    let mut counted = BTreeMap::<_, usize>::new();
    for ending in ended {
        *counted.entry(ending).or_default() += 1;
    }
    println!(
        "{runs} runs, by what they answered and how many phases the journal had: {counted:#?}"
    );
    for ending in [
        "refused, 0",
        "rolled back, 0",
        "rolled back, 1",
        "in doubt, committed, 1",
        "performed, resolved, 2",
        "performed, 2",
    ] {
        assert!(counted.contains_key(ending), "chance never made: {ending}");
    }
}

#[test]
fn of_two_runs_of_one_plan_each_phase_is_performed_by_one() {
    let rivals = random::runs(25, 100);
    let seed = random::seed();
    println!("PHASEGATE_SEED={seed}");
    let database = database_on(server());
    let said = Said::new(&database);
    let mut random = Random::new(seed);
    let faults: Vec<_> = (0..rivals).map(|_| said.pick(&mut random)).collect();
    each(
        THREADS,
        &faults,
        || Worker::new(&database),
        |worker, number, (side, at)| {
            let case = Case::two(&worker.target, &format!("rivals {number}"));
            database.admit(&case.plan);
            worker.proxy.play(Some(Fault {
                side: *side,
                at: *at,
                what: What::CutHalf,
            }));
            let perform = |config: &Config| {
                let runner = case.live(PostgresConnector::no_tls(config.clone()));
                case.perform(runner.dangerously_allow_privileged_role())
            };
            let (one, other) = thread::scope(|scope| {
                let other = scope.spawn(|| perform(&worker.direct));
                (perform(&worker.proxy.config), other.join().unwrap())
            });
            let other = other.unwrap();
            assert_eq!(committed(&mut worker.client, &case), 2);
            if let Ok(one) = one {
                let nonces = |all: &[Committed]| -> Vec<String> {
                    all.iter().map(|one| one.nonce().to_owned()).collect()
                };
                assert_eq!(nonces(&one), nonces(&other), "they have the same receipts");
            }
        },
    );
}

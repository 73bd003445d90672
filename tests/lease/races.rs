//! Once the switch is off and drained, no later commit passes.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use phasegate::operator::{Operator, SwitchedOff};
use postgres::Client;

use crate::hand::{Hand, Task, code, tasks_that_change};
use crate::random;
use crate::server::{Database, database};

/// In each of three levels of isolation.
const COMMITTERS: usize = 4;

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(20);

/// Delays, the same again for the same seed.
struct Delays(u64);

impl Delays {
    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let part = u32::try_from(self.0 % 1024).expect("below 1024");
        most.mul_f64(f64::from(part) / 1024.0)
    }
}

/// A trigger that puts itself off to the commit fires after the interlock: it makes the moment between
/// the check and the commit longer than turning the switch off takes, or nothing would be late.
const PAUSE_AFTER_THE_CHECK: &str = "
    CREATE TABLE pause ();
    SELECT phasegate.protect('pause');
    CREATE FUNCTION pauses() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN PERFORM pg_sleep(random() * 0.05); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER pauses AFTER INSERT ON pause DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION pauses();
    CREATE FUNCTION puts_off() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN SET CONSTRAINTS public.pauses DEFERRED; INSERT INTO public.pause DEFAULT VALUES; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER puts_off AFTER INSERT ON item DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION puts_off()";

/// The ways in which a committer may lose.
const LOST: [&str; 6] = ["ZG002", "ZG004", "40001", "57P01", "08P01", ""];

#[test]
fn once_off_is_drained_no_later_commit_passes() {
    let isolation = "READ COMMITTED";
    let races = random::runs(60, 170);
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = u64::from(seed.subsec_nanos()) | 1;
    eprintln!("{isolation}: seed {seed}");
    let database = database();
    database.sql(PAUSE_AFTER_THE_CHECK);
    let tasks = tasks_that_change(
        &database,
        races * COMMITTERS,
        &["public.item", "public.pause"],
    );
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel();
        let start = |(committer, tasks)| {
            let delays = Delays(seed ^ (committer as u64 + 2) << 17);
            let mut committer = Committer::new(&database, isolation, delays, done.clone());
            let (go, gone) = mpsc::channel();
            scope.spawn(move || committer.race(tasks, &gone));
            go
        };
        let committers: Vec<Sender<()>> = tasks.chunks(races).enumerate().map(start).collect();
        // A committer that panicked is missed, which ends the others.
        let go = || {
            for go in &committers {
                go.send(()).expect("a committer");
            }
        };
        let all_done = || {
            for _ in 0..COMMITTERS {
                is_done.recv_timeout(BOUND).expect("every committer");
            }
        };
        let mut operator = Operator::new(database.admin());
        let mut looks_on = database.admin();
        let mut delays = Delays(seed);
        let mut head_start = Duration::from_millis(10);
        let mut before = 0;
        for race in 0..races {
            let on = operator.switch_on("a race", Duration::from_mins(5));
            on.expect("on");
            go();
            all_done();
            go();
            thread::sleep(head_start / 2 + delays.up_to(head_start));
            let off = operator.switch_off("a race", BOUND);
            let then = journalled(&mut looks_on);
            assert_eq!(off.expect("off"), SwitchedOff::Drained, "race {race}");
            all_done();
            let at_the_end = journalled(&mut looks_on);
            assert_eq!(at_the_end, then, "race {race}, seed {seed}");
            // However fast the machine is, half of them shall win.
            let won = at_the_end.0 - before;
            before = at_the_end.0;
            let later = won * 2 <= i64::try_from(COMMITTERS).expect("a few");
            head_start = head_start
                .mul_f64(if later { 1.2 } else { 0.85 })
                .min(Duration::from_millis(120));
        }
        let all = i64::try_from(races * COMMITTERS).expect("a few hundred");
        eprintln!("{isolation}: {before} of {all} committed");
        assert!(
            all <= 3 * before && 10 * before <= 9 * all,
            "no races: {before} of {all}"
        );
    });
}

struct Committer<'a> {
    database: &'a Database,
    isolation: &'a str,
    delays: Delays,
    hand: Hand,
    done: Sender<()>,
}

impl<'a> Committer<'a> {
    fn new(database: &'a Database, isolation: &'a str, delays: Delays, done: Sender<()>) -> Self {
        Committer {
            database,
            isolation,
            delays,
            hand: Hand::of(database),
            done,
        }
    }

    fn race(&mut self, tasks: &[Task], go: &Receiver<()>) {
        for (race, task) in tasks.iter().enumerate() {
            go.recv().expect("the switch is on");
            if self.hand.client.batch_execute("").is_err() {
                self.hand = Hand::of(self.database);
            }
            // In every fourth race, the opening takes part.
            let open_before = race % 4 > 0;
            if open_before {
                self.begin(task).expect("an open phase");
            }
            self.done.send(()).expect("a judge");
            go.recv().expect("a start");
            thread::sleep(self.delays.up_to(Duration::from_millis(4)));
            let mut open = open_before;
            // One that only failed to be serialized goes on.
            while let Err(error) = self.commit(task, open) {
                assert!(LOST.contains(&code(&error)), "{error:?}");
                // The session may be gone, and its transaction with it.
                let _ = self.hand.client.batch_execute("ROLLBACK");
                open = false;
                if code(&error) != "40001" {
                    break;
                }
            }
            self.done.send(()).expect("a judge");
        }
    }

    fn commit(&mut self, task: &Task, open: bool) -> Result<(), postgres::Error> {
        if !open {
            self.begin(task)?;
        }
        self.hand.close_with("COMMIT")
    }

    fn begin(&mut self, task: &Task) -> Result<(), postgres::Error> {
        self.hand.open_at(self.isolation, task)?;
        let write = "INSERT INTO item VALUES (gen_random_uuid(), 'by hand')";
        self.hand.client.batch_execute(write)
    }
}

/// What a fresh snapshot sees: rows of the journal, and rows that were written.
fn journalled(client: &mut Client) -> (i64, i64) {
    let count = "SELECT (SELECT count(*) FROM phasegate.journal), (SELECT count(*) FROM item)";
    let row = client.query_one(count, &[]).expect(count);
    (row.get(0), row.get(1))
}

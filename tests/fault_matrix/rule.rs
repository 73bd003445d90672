//! The rule, and how a cell is judged by it.

use std::fmt;
use std::thread;
use std::time::Duration;

use phasegate::{
    Error,
    audit::{CommitEvidence, Committed, Journal},
    connect::PostgresConnector,
    error::{InDoubt, Resolution},
};
use postgres::{Client, Config};

use crate::cases::{Answer, Case, ROWS};

/// How long resolving may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The content of a cell of the matrix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    /// The run's result, and its resolution.
    pub(crate) said: &'static str,
    /// How many rows the journal had before the plan was run again.
    pub(crate) journalled: usize,
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.said, self.journalled)
    }
}

/// How many phases of the case are committed. Panics if for any of them data and journal disagree.
pub(crate) fn committed(client: &mut Client, case: &Case) -> usize {
    let plan = case.plan.digest();
    let key = plan.as_bytes().as_slice();
    let (mut journalled, mut over) = (0, false);
    for (place, (rows, planned)) in (1_i32..).zip(case.phases().iter().zip(case.plan.phases())) {
        // One statement is one snapshot.
        let row = client
            .query_one(
                "SELECT (SELECT count(*) FROM item WHERE name = ANY ($1)), \
                        (SELECT count(*) FROM phasegate.journal WHERE plan = $2 AND position = $3), \
                        (SELECT count(*) FROM phasegate.attempt WHERE plan = $2 AND position = $3 AND state = 'finished'), \
                        (SELECT count(*) FROM phasegate.attempt WHERE plan = $2 AND position = $3), \
                        (SELECT count(*) FROM phasegate.approval_spent JOIN phasegate.approval USING (nonce) \
                          WHERE plan = $2 AND position = $3)",
                &[rows, &key, &place],
            )
            .unwrap();
        let seen: [i64; 5] = std::array::from_fn(|column| row.get(column));
        let gates = i64::try_from(planned.gates().len()).unwrap();
        let there = seen[1];
        assert_eq!(
            seen,
            [ROWS * there, there, there, there, gates * there],
            "{}, phase {place}: rows of data, rows of the journal, attempts finished, attempts, approvals spent",
            rows[0]
        );
        assert!(there == 0 || !over, "{}: a gap before {place}", rows[0]);
        over = there == 0;
        journalled += usize::try_from(there).unwrap();
    }
    let journal = Journal::read(client, plan).unwrap().verify().unwrap();
    assert_eq!(journal.len(), journalled, "the journal that verifies");
    for entry in &journal {
        assert_eq!(
            entry.effects.of("public.item").inserted,
            ROWS.unsigned_abs(),
            "{entry:?}"
        );
    }
    journalled
}

/// Judges what a run answered: data and journal agree with each other and with the answer; and the
/// same plan, run again, ends with every phase committed, each exactly once.
///
/// `direct` connects to the server without the proxy.
pub(crate) fn judge(client: &mut Client, direct: &Config, case: &Case, answer: Answer) -> Judged {
    let judged = before_again(client, direct, case, answer);
    runs_again(client, direct, case, judged.journalled);
    judged
}

/// The receipts say what the journal says.
fn receipts_are_the_journals(client: &mut Client, case: &Case, receipts: &[Committed]) {
    let journal = Journal::read(client, case.plan.digest()).unwrap();
    let journal = journal.verify().unwrap();
    assert_eq!(receipts.len(), journal.len());
    for (receipt, entry) in receipts.iter().zip(&journal) {
        assert_eq!(
            (receipt.nonce(), receipt.xid(), receipt.timeline()),
            (&*entry.nonce, &*entry.xid, &*entry.timeline)
        );
        assert_eq!(receipt.place(), entry.place);
    }
}

/// The first half of [`judge`]: the answer, resolved if it is in doubt.
pub(crate) fn before_again(
    client: &mut Client,
    direct: &Config,
    case: &Case,
    answer: Answer,
) -> Judged {
    let all = case.phases().len();
    let place_of = |error: &Error| {
        let phase = error.phase().expect("it is about a phase");
        let mut places = case.plan.phases().iter();
        places.position(|planned| planned.name() == phase).unwrap()
    };
    let (said, should_be) = match answer {
        Ok(committed) => {
            receipts_are_the_journals(client, case, &committed);
            let resolved = committed
                .iter()
                .any(|one| one.evidence() == CommitEvidence::Resolved);
            let said = if resolved {
                "performed, resolved"
            } else {
                "performed"
            };
            (said, all)
        }
        Err(error) => {
            let before = place_of(&error);
            match error {
                Error::Refused(_) => ("refused", before),
                Error::RolledBack(rollback) => {
                    assert_eq!(rollback.committed().len(), before, "{rollback}");
                    ("rolled back", before)
                }
                Error::InDoubt(doubt) => match resolved_by_two(direct, &doubt) {
                    Resolution::Committed(one) => {
                        assert_eq!(one.nonce(), doubt.nonce());
                        ("in doubt, committed", before + 1)
                    }
                    Resolution::RolledBack => ("in doubt, rolled back", before),
                },
                other => panic!("{other}"),
            }
        }
    };
    let journalled = committed(client, case);
    assert_eq!(journalled, should_be, "the run answered: {said}");
    Judged { said, journalled }
}

/// The second half: the same plan again, without a fault.
pub(crate) fn runs_again(client: &mut Client, direct: &Config, case: &Case, before: usize) {
    // A lease ends with the server, where the fault was to end that.
    let on = "SELECT phasegate.switch_on('run again', '1 day') FROM phasegate.switch_status() WHERE NOT is_on";
    client.execute(on, &[]).expect("the switch");
    let runner = case.live(PostgresConnector::no_tls(direct.clone()));
    // Checking the role's privileges takes longer than all the rest, and is not tested here.
    let again = case.perform(runner.dangerously_allow_privileged_role());
    let again = again.unwrap_or_else(|error| panic!("run again: {error}"));
    for (place, one) in again.iter().enumerate() {
        let learnt = if place < before {
            CommitEvidence::Before
        } else {
            CommitEvidence::Answered
        };
        assert_eq!(one.evidence(), learnt, "phase {} run again", place + 1);
    }
    receipts_are_the_journals(client, case, &again);
    assert_eq!(committed(client, case), case.phases().len());
}

/// What two who resolve at once both say.
pub(crate) fn resolved_by_two(direct: &Config, doubt: &InDoubt) -> Resolution {
    let resolve = || doubt.resolve(PostgresConnector::no_tls(direct.clone()), PATIENCE);
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(resolve);
        (resolve().unwrap(), other.join().unwrap().unwrap())
    });
    assert_eq!(one, other, "two resolvers");
    one
}

//! Random statements, rehearsed and performed: the rehearsal, the live run, the journal and the row versions say the
//! same of every phase, or the phase is refused and leaves nothing.

use std::collections::BTreeMap;
use std::slice;
use std::sync::{Arc, Mutex};

use phasegate::testing::{ApprovesEverything, ScriptedSwitch};
use phasegate::{
    Effects, Error, LiveRunner, Plan, RehearsalRunner,
    audit::Journal,
    error::RollbackCause,
    plan::RowCounts,
    runner::{Event, Step},
};
use postgres::Client;

use crate::change::{Change, Performs, Seen, perform_all};
use crate::diff::{Snapshot, Tables, Versioned};
use crate::random::{self, seed};
use crate::schema::{EVENTS, LEDGER, ODD_NAMES, SHOP, Schema, TENANTS, sequences};
use crate::server::{Database, PIPELINE};
use crate::statements::Chance;

/// How many phases are performed in each schema, rehearsed ones and live ones.
const PHASES_OF_A_PLAN: usize = 12;

/// What came of all phases of one schema.
#[derive(Debug, Default)]
struct Tally {
    performed: usize,
    failed: usize,
    exact: usize,
    rows: u64,
    statements: usize,
    statements_failed: usize,
}

struct Trial<'a> {
    database: &'a Database,
    admin: Client,
    tables: Tables,
    seed: u64,
    tally: Tally,
}

#[test]
fn what_a_shop_does_is_counted_or_refused() {
    try_out(&SHOP, 1);
}

#[test]
fn what_a_ledger_does_is_counted_or_refused() {
    try_out(&LEDGER, 2);
}

#[test]
fn what_events_in_partitions_do_is_counted_or_refused() {
    try_out(&EVENTS, 3);
}

#[test]
fn what_tenants_do_is_counted_or_refused() {
    try_out(&TENANTS, 4);
}

#[test]
fn what_tables_of_odd_names_do_is_counted_or_refused() {
    try_out(&ODD_NAMES, 5);
}

fn try_out(schema: &Schema, nth: u64) {
    let seed = seed();
    eprintln!("PHASEGATE_SEED={seed}");
    let mut chance = Chance::new(seed ^ (nth << 40));
    let database = schema.build();
    let mut admin = database.admin();
    let tables = Tables::of(&mut admin);
    let mut trial = Trial {
        database: &database,
        admin,
        tables,
        seed,
        tally: Tally::default(),
    };
    let mut number = 0;
    let phases = random::runs(120, 420);
    while trial.tally.performed < phases {
        let changes: Vec<_> = (0..PHASES_OF_A_PLAN)
            .map(|_| {
                number += 1;
                chance.change(schema, number)
            })
            .collect();
        trial.one(&changes);
    }
    let tally = &trial.tally;
    eprintln!("{}: {tally:?}", schema.name);
    // Or nothing of the above says anything.
    assert!(tally.failed * 4 < tally.performed, "{tally:?}");
    assert!(tally.exact * 4 > tally.performed / 2, "{tally:?}");
    assert!(tally.statements_failed * 2 < tally.statements, "{tally:?}");
    assert!(tally.rows > 2 * phases as u64, "{tally:?}");
}

impl Trial<'_> {
    fn one(&mut self, changes: &[Change]) {
        let before = self.tables.snapshot(&mut self.admin);
        let counted = sequences(&mut self.admin);
        let rehearsal = RehearsalRunner::new(PIPELINE)
            .connector(self.database.connector())
            .adapter(Performs)
            .run(|run, on| Ok(perform_all(run, on, changes)));
        let rehearsed = match rehearsal {
            Ok(rehearsed) => rehearsed,
            // Not one of them could be performed.
            Err(error) => {
                assert!(matches!(error, Error::Refused(_)), "{}", self.told(&error));
                self.tally.failed += changes.len();
                return;
            }
        };
        let after = self.tables.snapshot(&mut self.admin);
        assert_eq!(
            before,
            after,
            "{}",
            self.told(&"a rehearsal left something")
        );
        self.admin.batch_execute(&counted).unwrap();

        let (mut live, mut expected) = (Vec::new(), Vec::new());
        for (change, seen) in changes.iter().zip(rehearsed.value) {
            match seen {
                Ok(seen) => {
                    live.push(change.clone());
                    expected.push(seen);
                }
                Err(error) => {
                    assert!(
                        matches!(error, Error::RolledBack(_)),
                        "{}",
                        self.told(&error)
                    );
                    self.tally.failed += 1;
                }
            }
        }
        for phase in &rehearsed.phases {
            assert!(phase.unguarded.is_empty(), "{}", self.told(phase));
        }
        self.tally.performed += live.len();
        let measured = rehearsed.phases.iter().map(|phase| &phase.effects);
        let measured: Vec<Effects> = measured.cloned().collect();
        self.live(&rehearsed.plan, &live, &expected, &measured, before);
    }

    fn live(
        &mut self,
        plan: &Plan,
        changes: &[Change],
        expected: &[Seen],
        measured: &[Effects],
        before: Snapshot,
    ) {
        self.database.admit(plan);
        let snapshots = Arc::new(Mutex::new(vec![before]));
        let mut done = Vec::new();
        let answer = LiveRunner::new(PIPELINE)
            .plan(plan.clone())
            .kill_switch(ScriptedSwitch::always_on())
            .authority(ApprovesEverything)
            .connector(self.database.connector())
            .adapter(Performs)
            .observer(self.after_each(&snapshots))
            .run(|run, on| {
                for change in changes {
                    let seen = perform_all(run, on, slice::from_ref(change)).remove(0)?;
                    done.push(seen);
                }
                Ok(())
            });
        match answer {
            Ok(ran) => assert_eq!(ran.performed, changes.len()),
            // In which order the server goes through the rows of a key that moves decides whether it meets another one.
            Err(Error::RolledBack(rollback))
                if matches!(rollback.cause(), RollbackCause::EffectsDiffer(_)) =>
            {
                self.tally.failed += 1;
                let last = snapshots.lock().unwrap().last().cloned();
                let now = Some(self.tables.snapshot(&mut self.admin));
                assert_eq!(last, now, "{}", self.told(&rollback));
            }
            Err(error) => panic!("{}: {changes:#?}", self.told(&error)),
        }
        let journal = Journal::read(&mut self.admin, plan.digest()).unwrap();
        let entries = journal.verify().unwrap();
        let snapshots = snapshots.lock().unwrap();
        assert_eq!(entries.len(), done.len(), "{}", self.told(&"journal"));
        for (place, (seen, change)) in done.iter().zip(changes).enumerate() {
            let said = |what: &str| self.told(&format!("{what}: {change:#?}"));
            let expected = &expected[place];
            if seen.is_exact && expected.is_exact {
                assert_eq!(seen.tags, expected.tags, "{}", said("rehearsed and live"));
            }
            let entry = &entries[place];
            assert_eq!(
                entry.effects,
                measured[place],
                "{}",
                said("rehearsal and journal")
            );
            let versions = self
                .tables
                .between(&snapshots[place], &snapshots[place + 1]);
            self.agree(&entry.effects, &versions, seen, &said);
            self.tally.rows += entry
                .effects
                .tables()
                .map(|(_, rows)| total(rows))
                .sum::<u64>();
        }
        for seen in &done {
            self.tally.performed += 1;
            self.tally.exact += usize::from(seen.is_exact);
            self.tally.statements += seen.tags.len();
            self.tally.statements_failed += seen.tags.iter().filter(|tag| tag.is_none()).count();
        }
    }

    /// An observer that takes a snapshot once a phase is committed.
    fn after_each(
        &self,
        snapshots: &Arc<Mutex<Vec<Snapshot>>>,
    ) -> impl FnMut(&Event<'_>) + Send + 'static {
        let mut admin = self.database.admin();
        let tables = Tables::of(&mut admin);
        let snapshots = Arc::clone(snapshots);
        move |event| {
            if let Event::Passed {
                step: Step::Committed,
                ..
            } = event
            {
                snapshots.lock().unwrap().push(tables.snapshot(&mut admin));
            }
        }
    }

    /// What was counted agrees with the row versions; and exactly with the statistics, where nothing was undone.
    fn agree(
        &self,
        effects: &Effects,
        versions: &BTreeMap<String, Versioned>,
        seen: &Seen,
        said: &impl Fn(&str) -> String,
    ) {
        let mut counted: BTreeMap<&str, RowCounts> = BTreeMap::new();
        for (table, rows) in effects.tables() {
            let sum = counted.entry(self.tables.top_of_named(table)).or_default();
            sum.inserted += rows.inserted;
            sum.updated += rows.updated;
            sum.deleted += rows.deleted;
        }
        for table in versions.keys() {
            assert!(
                counted.contains_key(table.as_str()),
                "{}",
                said(&format!("{table} is not counted"))
            );
        }
        let mut tried: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
        for (oid, rows) in &seen.tried {
            let sum = tried.entry(self.tables.top_of(*oid)).or_default();
            for (sum, rows) in sum.iter_mut().zip(rows) {
                *sum += rows;
            }
        }
        for (table, rows) in &counted {
            let Versioned { came, went } = versions.get(*table).copied().unwrap_or_default();
            let (inserted, updated, deleted) = (rows.inserted, rows.updated, rows.deleted);
            let text = || {
                said(&format!(
                    "{table}: counted {rows}, {came} versions came and {went} went, tried {tried:?}"
                ))
            };
            assert_eq!(inserted + went, deleted + came, "{}", text());
            assert!(
                inserted + updated >= came && updated + deleted >= went,
                "{}",
                text()
            );
            if seen.is_exact {
                // Counted by statements, a row that moves to another partition is updated; it was deleted and inserted.
                let [physically_inserted, physically_updated, physically_deleted] =
                    tried.get(table).copied().unwrap_or_default();
                let moved = physically_inserted
                    .checked_sub(inserted)
                    .unwrap_or_else(|| panic!("{}", text()));
                assert_eq!(physically_deleted, deleted + moved, "{}", text());
                assert_eq!(physically_updated + moved, updated, "{}", text());
            }
        }
        if seen.is_exact {
            for table in tried.keys() {
                assert!(
                    counted.contains_key(table),
                    "{}",
                    said(&format!("{table} is not counted"))
                );
            }
        }
    }

    fn told(&self, what: &dyn std::fmt::Display) -> String {
        format!("PHASEGATE_SEED={}: {what}", self.seed)
    }
}

fn total(rows: RowCounts) -> u64 {
    rows.inserted + rows.updated + rows.deleted
}

//! The parts that show the database enforcement: the guard, the kill switch, a commit that is resolved.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phasegate::{
    Error, Execute, Failure, PhaseSpec, PhaseTx, Plan, Prior, Timeouts,
    audit::Journal,
    connect::PostgresConnector,
    error::{Resolution, RollbackCause},
    operator::SwitchedOff,
};
use postgres::NoTls;

use super::{Outcome, Shown, dry_run, runner};
use crate::lossy::Lossy;
use crate::phases::{Document, cut_and_enact};
use crate::register::Register;
use crate::terminal;
use crate::test_database::TestDatabase;

impl Shown {
    /// Calls the register's function as the same role, without a phase.
    pub(super) fn by_hand(&mut self, database: &TestDatabase, document: &Document) -> Outcome<()> {
        let unit = document.units.first().ok_or("the document has no unit")?;
        let unit = serde_json::json!({
            "document": document.name,
            "address": unit.address,
            "title": unit.title,
            "body": unit.body,
            "digest": unit.digest(),
        });
        let mut client = database.runner().connect(NoTls)?;
        match client.query("SELECT iu.fn_iu_create($1)", &[&unit]) {
            Err(error) => {
                let error = Failure::new(error);
                terminal::said(&error);
                let guarded = error
                    .sqlstate()
                    .is_some_and(|state| state.code() == "ZG007");
                self.check(guarded, "the database refuses it");
            }
            Ok(_) => self.check(false, "the database refuses it"),
        }
        Ok(())
    }

    pub(super) fn switched_off(
        &mut self,
        database: &mut TestDatabase,
        document: &Document,
    ) -> Outcome<()> {
        terminal::part("8. The kill switch of the database, turned off while a phase is performed");
        let document = named(document, "a second reading");
        let plan = dry_run(database, &document)?;
        database.admit(&plan)?;
        let approvals = database.admitted();
        let before = database.fingerprint()?;
        let config = database.runner();
        let operator = &mut database.operator;
        let began = AtomicBool::new(false);
        let (result, off) = thread::scope(|scope| {
            let off = scope.spawn(|| {
                while !began.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
                let pressed = Instant::now();
                let off = operator.switch_off("shown to a visitor", Duration::from_secs(5));
                (off, pressed)
            });
            let result = self.on_while(|switch| {
                runner(&plan, switch, approvals, PostgresConnector::no_tls(config))
                    .adapter(Slow(&began))
                    .run(|run, on| cut_and_enact(run, on, &document))
            });
            let ended = Instant::now();
            // In case the phase never began.
            began.store(true, Ordering::SeqCst);
            // An error of `join` means that the thread has panicked.
            let off = off
                .join()
                .map(|(off, pressed)| (off, ended.saturating_duration_since(pressed)));
            (result, off)
        });
        let (off, took) = off.map_err(|_| "the operator's thread panicked")?;
        let drained = off? == SwitchedOff::Drained;
        self.check(drained, "switched off, and no commit is in flight");
        match result? {
            Err(Error::RolledBack(rollback)) => {
                terminal::said(&rollback);
                terminal::hint(rollback.hint());
                let off = matches!(rollback.cause(), RollbackCause::SwitchOff(_));
                let what = format!(
                    "a phase that would have slept for an hour ended after {} ms",
                    took.as_millis()
                );
                self.check(off, &what);
            }
            other => {
                self.stop_if_interrupted()?;
                self.check(false, &format!("the phase was stopped: {other:?}"));
            }
        }
        self.check(
            database.fingerprint()? == before,
            "the tables are as they were",
        );
        database
            .operator
            .switch_on("the demonstration goes on", Duration::from_hours(1))?;
        self.stop_if_interrupted()
    }

    pub(super) fn resolved(
        &mut self,
        database: &mut TestDatabase,
        document: &Document,
    ) -> Outcome<()> {
        terminal::part("9. A connection that is lost in the middle of a commit");
        let document = named(document, "a third reading");
        let plan = dry_run(database, &document)?;
        database.admit(&plan)?;
        let lossy = Lossy::to(&database.runner())?;
        // A run resolves by itself; here that is turned off, to show the phase in doubt.
        let unresolved = Timeouts::default().resolve(Duration::ZERO);
        let result = self.on_while(|switch| {
            runner(
                &plan,
                switch,
                database.admitted(),
                PostgresConnector::no_tls(lossy.config.clone()),
            )
            .adapter(Register)
            .timeouts(unresolved)
            .run(|run, on| cut_and_enact(run, on, &document))
        })?;
        let Err(Error::InDoubt(doubt)) = result else {
            self.stop_if_interrupted()?;
            self.check(false, &format!("in doubt: {result:?}"));
            return Ok(());
        };
        terminal::said(&doubt);
        terminal::hint(Some(doubt.hint()));
        let connector = || PostgresConnector::no_tls(database.runner());
        let patience = Duration::from_secs(10);
        let resolved = doubt.resolve(connector(), patience)?;
        let again = doubt.resolve(connector(), patience)?;
        self.check(
            matches!(resolved, Resolution::Committed(_)) && resolved == again,
            "resolved: it was committed, and resolving it again returns the same",
        );
        println!("  The same plan, run again:");
        let again = self.on_while(|switch| {
            runner(&plan, switch, database.admitted(), connector())
                .adapter(Register)
                .run(|run, on| cut_and_enact(run, on, &document))
        })?;
        match again {
            Ok(ran) => {
                let all = ran.value.units == document.units.len() as u64;
                self.check(
                    all,
                    "it went on where it had stopped, and performed nothing twice",
                );
            }
            Err(error) => {
                terminal::said(&error);
                terminal::hint(error.hint());
                self.stop_if_interrupted()?;
                self.check(false, "the plan is performed to its end");
            }
        }
        self.verified(database, &plan)?;
        terminal::fact("tables", database.fingerprint()?);
        self.stop_if_interrupted()
    }

    /// What an auditor does: recompute the chain, and read.
    fn verified(&mut self, database: &mut TestDatabase, plan: &Plan) -> Outcome<()> {
        let entries = Journal::read(database.admin(), plan.digest())?.verify()?;
        for entry in &entries {
            let effects: Vec<_> = entry
                .effects
                .tables()
                .map(|(table, rows)| format!("{table}: {rows}"))
                .collect();
            let effects = match effects.as_slice() {
                [] => "changes nothing".to_owned(),
                effects => effects.join("; "),
            };
            terminal::fact(
                &format!("{}.", entry.place),
                format!("{:<16} {effects}", entry.phase),
            );
        }
        self.check(
            entries.len() == plan.phases().len(),
            "the journal has every phase once, and its chain holds",
        );
        Ok(())
    }
}

/// An adapter that sleeps in the first phase.
struct Slow<'a>(&'a AtomicBool);

impl<S: PhaseSpec> Execute<S> for Slow<'_>
where
    Register: Execute<S>,
{
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        let output = Register.execute(spec, prior, tx)?;
        self.0.store(true, Ordering::SeqCst);
        tx.execute("SELECT pg_sleep(3600)", &[])?;
        Ok(output)
    }
}

/// The same units, as another document.
fn named(document: &Document, name: &str) -> Document {
    Document {
        name: name.to_owned(),
        units: document.units.clone(),
    }
}

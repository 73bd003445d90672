//! The parts of the demonstration, each of which checks what it shows.

mod approved;
mod audited;
mod interlock;

use std::error::Error as StdError;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use phasegate::testing::{Calls, Recorder};
use phasegate::{
    DryRunner, Error, LiveRunner, Plan,
    approval::Authority,
    connect::{Connector, PostgresConnector},
    error::{ApprovalRefusal, Refusal, RefusalReason, RollbackCause},
    runner::{Given, LiveReport, NoAdapter, StopHandle},
    switch::{InProcessSwitch, KillSwitch},
};

use crate::approvers::SCRIBE;
use crate::markdown;
use crate::phases::{Document, Enacted, PIPELINE, cut_and_enact};
use crate::register::Register;
use crate::simulator::Simulator;
use crate::terminal;
use crate::test_database::TestDatabase;

/// The document that the register refuses, and the unit that it refuses, counted from 1.
const AMENDMENT: &str = include_str!("../amendment.md");
const REFUSED_UNIT: u64 = 6;

type Outcome<T> = Result<T, Box<dyn StdError>>;

/// Shows everything, and returns whether every check held.
pub fn show(document: &Document, left_out: &str, save_plan: Option<&Path>) -> Outcome<bool> {
    let switch = InProcessSwitch::new();
    let interrupted = stop_button(&switch)?;

    terminal::part("phasegate: the IU cutter");
    let mut database = terminal::while_waiting(
        "looking for a PostgreSQL, or starting one",
        TestDatabase::found,
    )?;
    let (server, name) = database.describe();
    terminal::fact("server", server);
    terminal::fact(
        "database",
        format!("{name}, created for this demonstration"),
    );
    terminal::fact(
        "document",
        format!(
            "{}: {}{left_out}",
            document.name,
            terminal::counted(document.units.len(), "unit")
        ),
    );

    let mut shown = Shown {
        switch,
        interrupted,
        held: true,
    };
    let plan = shown.dry_run(&database, document, save_plan)?;
    shown.rehearsed(&mut database, document, &plan)?;
    shown.signed(&database, &plan)?;
    shown.refusals(&mut database, document, &plan)?;
    shown.live_run(&mut database, document, &plan)?;
    shown.rolled_back(&mut database)?;
    shown.effects_differ(&mut database)?;
    shown.switched_off(&mut database, document)?;
    shown.resolved(&mut database, document)?;
    shown.audited(&mut database, &plan)?;
    Ok(shown.conclude())
}

/// What Ctrl-C stops: the run, and the statement that it is in.
static STOP: LazyLock<StopHandle> = LazyLock::new(StopHandle::new);

/// Ctrl-C stops what is running, turns the kill switch OFF, and lets the demonstration end in order: the
/// database is dropped, the server stopped.
fn stop_button(switch: &InProcessSwitch) -> Outcome<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let (flag, button) = (Arc::clone(&interrupted), switch.clone());
    ctrlc::set_handler(move || {
        flag.store(true, Ordering::SeqCst);
        button.off();
        STOP.stop("a signal came");
    })?;
    Ok(interrupted)
}

struct Shown {
    switch: InProcessSwitch,
    interrupted: Arc<AtomicBool>,
    held: bool,
}

impl Shown {
    fn dry_run(
        &mut self,
        database: &TestDatabase,
        document: &Document,
        save: Option<&Path>,
    ) -> Outcome<Plan> {
        terminal::part("1. The dry run, and the plan that it leaves");
        let plan = dry_run(database, document)?;
        terminal::plan(&plan);
        if let Some(path) = save {
            std::fs::write(path, plan.bytes())
                .map_err(|error| format!("{}: the plan was not saved: {error}", path.display()))?;
            terminal::fact(
                "saved",
                format!("{}; check it with sha256sum", path.display()),
            );
        }
        let saved = Plan::from_saved(plan.bytes(), plan.digest())?;
        self.check(saved == plan, "the plan comes back from its own bytes");
        self.stop_if_interrupted()?;
        Ok(plan)
    }

    fn refusals(
        &mut self,
        database: &mut TestDatabase,
        document: &Document,
        plan: &Plan,
    ) -> Outcome<()> {
        terminal::part("4. What is refused, before anything is touched");
        let before = database.fingerprint()?;
        let calls = Calls::new();

        println!("  The kill switch is OFF, which is its default:");
        let never_on = InProcessSwitch::new();
        let approvals = database.approvers.both(plan)?;
        let refused = live(database, document, plan, &never_on, approvals, &calls);
        self.refused(refused, |refusal| {
            matches!(refusal.reason(), RefusalReason::SwitchOff { .. })
        });

        println!("  No gate is approved:");
        let none = database.approvers.none(plan);
        let refused = self
            .switch
            .clone()
            .on_while(|| live(database, document, plan, &self.switch, none, &calls));
        self.refused(refused, |refusal| {
            let denied = |reason: &_| matches!(reason, ApprovalRefusal::Denied(_));
            matches!(refusal.reason(), RefusalReason::Approval { reason, .. } if denied(reason))
        });

        println!("  The plan that was approved is of another document:");
        let other = dry_run(database, &amendment()?)?;
        let approvals = database.approvers.both(&other)?;
        let refused = self
            .switch
            .clone()
            .on_while(|| live(database, document, &other, &self.switch, approvals, &calls));
        self.refused(refused, |refusal| {
            matches!(refusal.reason(), RefusalReason::InputChanged { .. })
        });

        println!("  The role that runs phases, in a session of its own, without opening one:");
        self.by_hand(database, document)?;

        let untouched = calls.count("connect") == 0 && calls.count("execute") == 0;
        self.check(
            untouched,
            "no run connected to the database, and the adapter was not called",
        );
        self.check(
            database.fingerprint()? == before,
            "the tables are as they were",
        );
        self.stop_if_interrupted()
    }

    fn live_run(
        &mut self,
        database: &mut TestDatabase,
        document: &Document,
        plan: &Plan,
    ) -> Outcome<()> {
        terminal::part("5. The live run: switched on, approved, as planned");
        let calls = Calls::new();
        database.admit(plan)?;
        let approvals = database.admitted();
        match self.on_while(|switch| live(database, document, plan, switch, approvals, &calls))? {
            Ok(enacted) => {
                let units = document.units.len();
                let all = enacted.units == units as u64 && enacted.log_entries == 2 * enacted.units;
                self.check(
                    all,
                    &format!(
                        "in force: {}; the log is complete",
                        terminal::counted(units, "unit")
                    ),
                );
            }
            Err(error) => {
                terminal::said(&error);
                terminal::hint(error.hint());
                self.stop_if_interrupted()?;
                self.check(false, "the document is in force");
            }
        }
        terminal::fact("tables", database.fingerprint()?);
        self.check(!self.switch.is_on(), "the kill switch is OFF again");
        self.stop_if_interrupted()
    }

    fn rolled_back(&mut self, database: &mut TestDatabase) -> Outcome<()> {
        terminal::part("6. A second document, of which the server refuses one unit");
        let document = amendment()?;
        let plan = dry_run(database, &document)?;
        let before = database.fingerprint()?;
        terminal::fact("before", &before);
        let calls = Calls::new();
        database.admit(&plan)?;
        let approvals = database.admitted();
        match self.on_while(|switch| live(database, &document, &plan, switch, approvals, &calls))? {
            Err(Error::RolledBack(rollback)) => {
                terminal::said(&rollback);
                terminal::hint(rollback.hint());
                let row = rollback.row().map(phasegate::error::InputRow::ordinal);
                let by_the_server = matches!(rollback.cause(), RollbackCause::Failed(_));
                self.check(
                    row == Some(REFUSED_UNIT) && by_the_server,
                    &format!("rolled back, and row {REFUSED_UNIT} is named"),
                );
            }
            Err(error) => {
                terminal::said(&error);
                terminal::hint(error.hint());
                self.check(false, "the server refused one unit");
            }
            Ok(_) => self.check(false, "the server refused one unit"),
        }
        let after = database.fingerprint()?;
        terminal::fact("after", &after);
        self.check(after == before, "the tables are as they were");
        self.stop_if_interrupted()
    }

    /// Performs `f` with the switch ON. Ctrl-C before that holds.
    fn on_while<T>(
        &self,
        f: impl FnOnce(&InProcessSwitch) -> Result<T, Error>,
    ) -> Outcome<Result<T, Error>> {
        self.switch.on_while(|| {
            self.stop_if_interrupted()?;
            Ok(f(&self.switch))
        })
    }

    fn conclude(self) -> bool {
        println!();
        if self.held {
            terminal::held(
                "everything held: what was refused touched nothing, five phases were committed as planned and approved, one that failed at a row left nothing, one that did something else was not committed, one was stopped, one whose commit was not answered was resolved, and the evidence fits together",
            );
        } else {
            terminal::broke("something did not hold; see above");
        }
        self.held
    }

    fn check(&mut self, holds: bool, what: &str) {
        if holds {
            terminal::held(what);
        } else {
            terminal::broke(what);
            self.held = false;
        }
    }

    fn refused(&mut self, result: Result<Enacted, Error>, as_expected: impl Fn(&Refusal) -> bool) {
        match result {
            Err(Error::Refused(refusal)) if as_expected(&refusal) => {
                terminal::held("refused, as it must be:");
                terminal::said(&refusal);
                terminal::hint(refusal.hint());
            }
            Err(error) => {
                terminal::said(&error);
                terminal::hint(error.hint());
                self.check(false, "refused for the expected reason");
            }
            Ok(_) => self.check(false, "refused"),
        }
    }

    fn stop_if_interrupted(&self) -> Outcome<()> {
        if self.interrupted.load(Ordering::SeqCst) {
            Err("interrupted: the kill switch is OFF; what was running was rolled back, and the database of this demonstration is dropped".into())
        } else {
            Ok(())
        }
    }
}

fn dry_run(database: &TestDatabase, document: &Document) -> Result<Plan, Error> {
    let planned = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .author(SCRIBE)
        .simulator(Simulator)
        .run(|run, on| cut_and_enact(run, on, document))?;
    Ok(planned.plan)
}

fn live(
    database: &TestDatabase,
    document: &Document,
    plan: &Plan,
    switch: &impl KillSwitch,
    authority: impl Authority,
    calls: &Calls,
) -> Result<Enacted, Error> {
    let connector = PostgresConnector::no_tls(database.runner());
    runner(plan, switch, authority, Recorder::new(connector, calls))
        .adapter(Recorder::new(Register, calls))
        .run(|run, on| cut_and_enact(run, on, document))
        .map(LiveReport::into_value)
}

/// A live run that lacks nothing but its adapter.
fn runner<'a, K: KillSwitch, A: Authority, C: Connector>(
    plan: &Plan,
    switch: &'a K,
    authority: A,
    connector: C,
) -> LiveRunner<Given<Plan>, Given<&'a K>, Given<A>, Given<C>, NoAdapter> {
    LiveRunner::new(PIPELINE)
        .plan(plan.clone())
        .kill_switch(switch)
        .authority(authority)
        .connector(connector)
        .observer(terminal::watch())
        .stop_handle(&STOP)
}

fn amendment() -> Result<Document, markdown::CutError> {
    let name = "crates/iu-cutter/amendment.md".to_owned();
    let units = markdown::cut(&name, AMENDMENT, false)?.units;
    Ok(Document { name, units })
}

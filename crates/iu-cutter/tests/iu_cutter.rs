//! The five phases of the IU cutter, as the example has them, on a real register.
#![allow(dead_code, unreachable_pub)]

#[path = "../src"]
mod example {
    pub mod document;
    pub mod install;
    pub mod markdown;
    pub mod phases;
    pub mod register;
    pub mod simulator;
}

mod test_database;

// The example names its modules from its root.
use example::{install, markdown, phases, register, simulator};

use std::time::Duration;

use phasegate::testing::{
    ApprovesEverything, Calls, Recorder, ScriptedSwitch, TripwireAdapter, TripwireConnector,
    TripwireSimulator,
};
use phasegate::{
    DryRunner, Effects, Execute, Failure, PhaseSpec, PhaseTx, Plan, Prior, RehearsalRunner, Sg1,
    Sg2, Simulate, Target,
    approval::UnsignedApprovals,
    error::{ApprovalRefusal, InputRow, Refusal, RefusalReason, RollbackCause},
};

use markdown::Unit;
use phases::{PIPELINE, cut_and_enact};
use register::Register;
use simulator::Simulator;
use test_database::{
    AMENDMENT, CHARTER, PHASES, TestDatabase, document, live, plan, refusal, rollback,
    test_database, three_units,
};

/// Can play both parts: live it is the register's adapter, and as a simulator it is a tripwire.
struct Both(Register, TripwireSimulator);

impl<S: PhaseSpec> Execute<S> for Both
where
    Register: Execute<S>,
{
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        self.0.execute(spec, prior, tx)
    }
}

impl<S: PhaseSpec> Simulate<S> for Both {
    fn simulate(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure> {
        self.1.simulate(spec, prior, effects)
    }
}

#[test]
fn live_each_of_five_phases_calls_its_adapter_and_no_simulator() {
    let database = test_database();
    let calls = Calls::new();
    let document = three_units();
    let both = Recorder::new(Both(Register, TripwireSimulator), &calls);
    let result = live(
        database.plan(&document),
        &document,
        ScriptedSwitch::always_on(),
        ApprovesEverything,
        database.connector(),
        both,
    );
    result.unwrap();
    assert_eq!(
        calls.so_far(),
        PHASES.map(|phase| format!("execute {phase}"))
    );
}

/// The other way round: in a dry run it is the simulator, and as an adapter it is a tripwire.
struct Reversed(Simulator, TripwireAdapter);

impl<S: PhaseSpec> Simulate<S> for Reversed
where
    Simulator: Simulate<S>,
{
    fn simulate(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure> {
        self.0.simulate(spec, prior, effects)
    }
}

impl<S: PhaseSpec> Execute<S> for Reversed {
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        self.1.execute(spec, prior, tx)
    }
}

#[test]
fn dry_each_of_five_phases_calls_its_simulator_and_no_adapter() {
    let calls = Calls::new();
    let document = three_units();
    let dry = DryRunner::new(PIPELINE)
        .target(Target::new("0", "nowhere", "nobody"))
        .simulator(Recorder::new(Reversed(Simulator, TripwireAdapter), &calls))
        .run(|run, on| cut_and_enact(run, on, &document))
        .unwrap();
    assert_eq!(
        calls.so_far(),
        PHASES.map(|phase| format!("simulate {phase}"))
    );
    let gates = dry
        .plan
        .phases()
        .iter()
        .map(|phase| phase.gates().join(" and "));
    assert_eq!(gates.collect::<Vec<_>>(), ["SG_1", "", "SG_1", "SG_2", ""]);
}

#[test]
fn with_the_switch_off_all_five_live_phases_are_refused() {
    let document = three_units();
    for (place, phase) in PHASES.iter().enumerate() {
        let database = test_database();
        let calls = Calls::new();
        let connector = Recorder::new(database.connector(), &calls);
        // One reading when the run begins, and two for each phase that passes.
        let switch = ScriptedSwitch::on_for(1 + 2 * place);
        let result = live(
            database.plan(&document),
            &document,
            switch,
            ApprovesEverything,
            connector,
            Recorder::new(Register, &calls),
        );
        let refusal = refusal(result);
        assert!(
            matches!(refusal.reason(), RefusalReason::SwitchOff { .. }),
            "{refusal}"
        );
        assert_eq!(refusal.phase(), Some(*phase));
        assert_eq!(calls.count(&format!("execute {phase}")), 0);
        assert_eq!(
            (calls.count("execute"), calls.count("connect")),
            (place, place.min(1)),
            "the phases share a session"
        );
    }
}

#[test]
fn with_the_switch_off_from_the_start_nothing_is_called() {
    let document = three_units();
    let plan = plan(&Target::new("0", "nowhere", "nobody"), &document);
    let result = live(
        plan,
        &document,
        ScriptedSwitch::on_for(0),
        ApprovesEverything,
        TripwireConnector,
        TripwireAdapter,
    );
    assert!(matches!(
        refusal(result).reason(),
        RefusalReason::SwitchOff { .. }
    ));
}

/// Runs live with the approval of one gate only, and returns the refusal.
fn approved_for<G: phasegate::Gate>(missing: &str) -> (Refusal, Vec<String>) {
    let database = test_database();
    let calls = Calls::new();
    let document = three_units();
    let plan = database.plan(&document);
    let mut approvals = UnsignedApprovals::new();
    approvals.approve::<G>(&plan, "ada", "one of two", Duration::from_hours(1));
    database.admit(&approvals);
    let result = live(
        plan,
        &document,
        ScriptedSwitch::always_on(),
        approvals,
        database.connector(),
        Recorder::new(Register, &calls),
    );
    let refusal = refusal(result);
    let RefusalReason::Approval { gate, reason, .. } = refusal.reason() else {
        panic!("{refusal}");
    };
    assert_eq!(gate, missing);
    assert!(matches!(reason, ApprovalRefusal::Denied(_)), "{reason}");
    (refusal, calls.so_far())
}

#[test]
fn live_cut_leg_a_needs_sg_1_before_its_adapter_is_called() {
    let (refusal, calls) = approved_for::<Sg2>("SG_1");
    assert_eq!(refusal.phase(), Some("cut_leg_a"));
    assert_eq!(calls, [""; 0]);
}

#[test]
fn live_lifecycle_enact_needs_sg_2_before_its_adapter_is_called() {
    let (refusal, calls) = approved_for::<Sg1>("SG_2");
    assert_eq!(refusal.phase(), Some("lifecycle_enact"));
    assert_eq!(
        calls,
        [
            "execute cut_leg_a",
            "execute write_verify",
            "execute cut_leg_b"
        ]
    );
}

#[test]
fn three_units_are_created_linked_enacted_and_surveyed() {
    let database = test_database();
    let calls = Calls::new();
    let enacted = database.live(&three_units(), &calls).unwrap();
    assert_eq!((enacted.units, enacted.log_entries), (3, 6));
    assert_eq!(enacted.triggers, ["unit_lifecycle"]);
    assert_eq!(database.tables(), (3, 3, 6));
    assert_eq!(calls.count("connect"), 1, "the phases share a session");
    let mut admin = database.admin();
    let written = admin.query(
        "SELECT DISTINCT entry > 3, xmin::text FROM iu.lifecycle_log",
        &[],
    );
    assert_eq!(
        written.unwrap().len(),
        2,
        "creating was one transaction, enacting another"
    );
}

#[test]
fn creating_that_fails_at_unit_2_names_the_row_and_leaves_none() {
    let database = test_database();
    let mut document = three_units();
    document.units[1].body = "As the Chamber of Sealed\nLedgers has it.".to_owned();
    let rollback = rollback(database.live(&document, &Calls::new()));
    assert_eq!(rollback.phase(), "cut_leg_a");
    let (row, failure) = (rollback.row().unwrap(), rollback.failure().unwrap());
    assert_eq!((row.ordinal(), row.key()), (2, "1.1, three.md:5"));
    assert_eq!(
        failure.sqlstate().map(postgres::error::SqlState::code),
        Some("IU003")
    );
    assert!(
        rollback.to_string().contains("uses the withdrawn term"),
        "{rollback}"
    );
    assert_eq!(database.tables(), (0, 0, 0));
}

#[test]
fn a_unit_without_title_or_body_is_refused_with_its_line() {
    let planned = three_units();
    let blank_title = |unit: &mut Unit| unit.title = " ".to_owned();
    let no_body = |unit: &mut Unit| unit.body.clear();
    let spoils: [fn(&mut Unit); 2] = [blank_title, no_body];
    for (spoil, what) in spoils.into_iter().zip(["title", "body"]) {
        let mut document = planned.clone();
        spoil(&mut document.units[2]);
        let plan = plan(&Target::new("0", "nowhere", "nobody"), &planned);
        let result = live(
            plan,
            &document,
            ScriptedSwitch::always_on(),
            ApprovesEverything,
            TripwireConnector,
            TripwireAdapter,
        );
        let refusal = refusal(result);
        assert_eq!(refusal.row().map(InputRow::ordinal), Some(3));
        let expected = format!("three.md:9: the unit has no {what}");
        assert!(refusal.to_string().contains(&expected), "{refusal}");
    }
}

#[test]
fn enacting_that_fails_at_unit_2_names_the_row_and_enacts_none() {
    let database = test_database();
    database.sql(
        "CREATE FUNCTION iu.refuse() RETURNS trigger LANGUAGE plpgsql \
           AS $$ BEGIN RAISE 'not this one' USING ERRCODE = 'ZZ002'; END $$; \
         CREATE TRIGGER refuse BEFORE UPDATE OF state ON iu.unit FOR EACH ROW \
           WHEN (NEW.address = '1.1') EXECUTE FUNCTION iu.refuse()",
    );
    let rollback = rollback(database.live(&three_units(), &Calls::new()));
    assert_eq!(rollback.phase(), "lifecycle_enact");
    assert_eq!(
        rollback.committed(),
        ["cut_leg_a", "write_verify", "cut_leg_b"]
    );
    let (row, failure) = (rollback.row().unwrap(), rollback.failure().unwrap());
    assert_eq!((row.ordinal(), row.key()), (2, "1.1"));
    assert_eq!(
        failure.sqlstate().map(postgres::error::SqlState::code),
        Some("ZZ002")
    );
    // The three phases before it are committed: three drafts, logged once each.
    assert_eq!(database.tables(), (3, 0, 3));
}

#[test]
fn a_register_that_does_not_log_does_not_do_what_was_planned() {
    let database = test_database();
    database.sql("ALTER TABLE iu.unit DISABLE TRIGGER unit_lifecycle");
    let rollback = rollback(database.live(&three_units(), &Calls::new()));
    assert_eq!(rollback.phase(), "cut_leg_a");
    let RollbackCause::EffectsDiffer(differ) = rollback.cause() else {
        panic!("{rollback}");
    };
    let differing: Vec<_> = differ
        .tables()
        .iter()
        .filter(|table| table.differs())
        .map(|table| (table.table.as_str(), table.seen))
        .collect();
    assert_eq!(
        differing,
        [("iu.lifecycle_log", phasegate::plan::RowCounts::new(0, 0, 0))]
    );
    assert_eq!(database.tables(), (0, 0, 0));
}

/// Performs as the register does, and disables its trigger before it enacts.
struct Silenced<'a>(&'a TestDatabase);

impl<S: PhaseSpec> Execute<S> for Silenced<'_>
where
    Register: Execute<S>,
{
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        if S::NAME == "lifecycle_enact" {
            self.0
                .sql("ALTER TABLE iu.unit DISABLE TRIGGER unit_lifecycle");
        }
        Register.execute(spec, prior, tx)
    }
}

#[test]
fn a_register_whose_lifecycle_trigger_is_off_enacts_nothing() {
    let database = test_database();
    let document = three_units();
    let rollback = rollback(live(
        database.plan(&document),
        &document,
        ScriptedSwitch::always_on(),
        ApprovesEverything,
        database.connector(),
        Silenced(&database),
    ));
    assert_eq!(rollback.phase(), "lifecycle_enact");
    assert!(
        rollback
            .to_string()
            .contains("unit_lifecycle is not active"),
        "{rollback}"
    );
    assert_eq!(database.tables(), (3, 0, 3));
}

#[test]
fn the_whole_charter_is_cut_and_enacted() {
    let database = test_database();
    let charter = document("charter.md", CHARTER);
    let units = charter.units.len();
    assert!(units >= 40, "{units}");
    let enacted = database.live(&charter, &Calls::new()).unwrap();
    assert_eq!(
        (enacted.units, enacted.log_entries),
        (units as u64, 2 * units as u64)
    );
    let units = i64::try_from(units).unwrap();
    assert_eq!(database.tables(), (units, units, 2 * units));
}

#[test]
fn the_amendment_fails_at_unit_6_and_the_charter_stays_as_it_is() {
    let database = test_database();
    database
        .live(&document("charter.md", CHARTER), &Calls::new())
        .unwrap();
    let before = database.tables();
    let rollback = rollback(database.live(&document("amendment.md", AMENDMENT), &Calls::new()));
    assert_eq!(rollback.phase(), "cut_leg_a");
    assert_eq!(rollback.row().map(InputRow::ordinal), Some(6));
    assert_eq!(database.tables(), before);
}

#[test]
fn a_rehearsal_has_the_effects_that_the_simulator_predicts() {
    let database = test_database();
    let before = database.tables();
    for document in [three_units(), document("charter.md", CHARTER)] {
        let rehearsal = RehearsalRunner::new(PIPELINE)
            .connector(database.connector())
            .adapter(Register);
        let rehearsed = rehearsal.run(|run, on| cut_and_enact(run, on, &document));
        let rehearsed = rehearsed.unwrap();
        let dry = database.plan(&document);
        let effects = |plan: &Plan| -> Vec<_> {
            let phases = plan.phases().iter();
            phases
                .map(|phase| {
                    (
                        phase.name().to_owned(),
                        phase.input(),
                        phase.effects().clone(),
                    )
                })
                .collect()
        };
        assert_eq!(effects(&rehearsed.plan), effects(&dry));
        if let Err(stale) = rehearsed.gates.compare("gates.json") {
            panic!("a rehearsal has other gates than the committed ones: {stale}");
        }
        assert_eq!(database.tables(), before);
    }
}

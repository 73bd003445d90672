//! The input of a phase: what is performed is what its bytes say, and a spec that bytes cannot carry is refused.

mod pipeline;
mod server;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, Mode, Perform, PhaseSpec, PhaseTx, Receipt,
    RehearsalRunner, Run, Simulate, Start, Switch, Ungated,
    error::{NotCanonical, RefusalReason},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use server::{PIPELINE, database, nowhere, refusal};

/// Carries more than its bytes say.
#[derive(Serialize, Deserialize)]
struct Smuggler {
    rows: u64,
    #[serde(skip)]
    hidden: String,
    #[serde(skip)]
    changing: Cell<u64>,
    #[serde(skip)]
    shared: Rc<RefCell<Vec<u64>>>,
}

impl PhaseSpec for Smuggler {
    const NAME: &'static str = "smuggler";
    type Gate = Ungated;
    type After = Start;
    type Output = (u64, String, u64, Vec<u64>);
}

struct Customs;

impl Customs {
    fn declared(spec: &Smuggler) -> (u64, String, u64, Vec<u64>) {
        let shared = spec.shared.borrow().clone();
        (spec.rows, spec.hidden.clone(), spec.changing.get(), shared)
    }
}

impl Simulate<Smuggler> for Customs {
    fn simulate(
        &mut self,
        spec: &Smuggler,
        (): (),
        _: &mut Effects,
    ) -> Result<<Smuggler as PhaseSpec>::Output, Failure> {
        Ok(Customs::declared(spec))
    }
}

impl Execute<Smuggler> for Customs {
    fn execute(
        &mut self,
        spec: &Smuggler,
        (): (),
        _: &mut PhaseTx<'_>,
    ) -> Result<<Smuggler as PhaseSpec>::Output, Failure> {
        Ok(Customs::declared(spec))
    }
}

#[test]
fn the_input_is_decoded_from_the_approved_bytes_only() {
    let database = database();
    let smuggler = |hidden: &str| Smuggler {
        rows: 3,
        hidden: hidden.to_owned(),
        changing: Cell::new(7),
        shared: Rc::new(RefCell::new(vec![1, 2])),
    };
    let declared = (3, String::new(), 0, Vec::new());
    let dry = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Customs)
        .run(|run, on| {
            let receipt = run.phase(smuggler("dry")).perform(on, Ungated, Start)?;
            Ok(receipt.into_output())
        })
        .unwrap();
    assert_eq!(dry.value, declared);
    let answer = database.live_by(dry.plan, Customs).run(|run, on| {
        let spec = smuggler("live");
        spec.changing.set(8);
        Ok(run.phase(spec).perform(on, Ungated, Start)?.into_output())
    });
    assert_eq!(answer.unwrap().value, declared);
}

/// Leaves a number that can be changed where it is shown, and one that its bytes do not have.
#[derive(Serialize, Deserialize)]
struct Leaves;

#[derive(Serialize, Deserialize)]
struct Left {
    number: Cell<u64>,
    #[serde(skip)]
    hidden: Cell<u64>,
}

impl PhaseSpec for Leaves {
    const NAME: &'static str = "leaves";
    type Gate = Ungated;
    type After = Start;
    type Output = Left;
}

#[derive(Serialize, Deserialize)]
struct Finds(u32);

impl PhaseSpec for Finds {
    const NAME: &'static str = "finds";
    type Gate = Ungated;
    type After = Leaves;
    type Output = (u64, u64);

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// After two phases: their outputs are lent as a tuple.
#[derive(Serialize, Deserialize)]
struct FindsBoth;

impl PhaseSpec for FindsBoth {
    const NAME: &'static str = "finds both";
    type Gate = Ungated;
    type After = (Leaves, Finds);
    type Output = (u64, u64);
}

struct Changes;

impl Changes {
    fn leave() -> Left {
        Left {
            number: Cell::new(1),
            hidden: Cell::new(1),
        }
    }

    /// What it was given, which it changes there.
    fn find(left: &Left) -> (u64, u64) {
        (left.number.replace(8), left.hidden.replace(8))
    }
}

macro_rules! performs {
    ($role:ident, $method:ident, $with:ty) => {
        impl $role<Leaves> for Changes {
            fn $method(&mut self, _: &Leaves, (): (), _: &mut $with) -> Result<Left, Failure> {
                Ok(Changes::leave())
            }
        }

        impl $role<Finds> for Changes {
            fn $method(
                &mut self,
                _: &Finds,
                left: &Left,
                _: &mut $with,
            ) -> Result<(u64, u64), Failure> {
                Ok(Changes::find(left))
            }
        }

        impl $role<FindsBoth> for Changes {
            fn $method(
                &mut self,
                _: &FindsBoth,
                (left, _): (&Left, &(u64, u64)),
                _: &mut $with,
            ) -> Result<(u64, u64), Failure> {
                Ok(Changes::find(left))
            }
        }
    };
}

performs!(Simulate, simulate, Effects);
performs!(Execute, execute, PhaseTx<'_>);

/// What each of the later phases found, although the pipeline and the phases before it changed what they were shown.
fn finding<'run, M: Mode, W>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<[(u64, u64); 3], Error>
where
    W: Perform<M, Leaves> + Perform<M, Finds> + Perform<M, FindsBoth>,
{
    let left = run.phase(Leaves).perform(on, Ungated, Start)?;
    left.output().number.set(7);
    left.output().hidden.set(7);
    let one = run.phase(Finds(1)).perform(on, Ungated, &left)?;
    let other = run.phase(Finds(2)).perform(on, Ungated, &left)?;
    let both = run.phase(FindsBoth).perform(on, Ungated, (&left, &one))?;
    Ok([*one.output(), *other.output(), *both.output()])
}

#[test]
fn a_phase_is_given_what_the_journal_has_of_those_before_it() {
    let database = database();
    let found = [(1, 0); 3];
    let dry = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Changes)
        .run(finding)
        .unwrap();
    assert_eq!(dry.value, found);
    let rehearsed = RehearsalRunner::new(PIPELINE)
        .connector(database.connector())
        .adapter(Changes)
        .run(finding)
        .unwrap();
    assert_eq!(rehearsed.value, found);
    // Performed, and then returned out of the journal.
    for performed in [4, 0] {
        let ran = database
            .live_by(dry.plan.clone(), Changes)
            .run(finding)
            .unwrap();
        assert_eq!((ran.value, ran.performed), (found, performed));
    }
}

/// An input with a number in it.
#[derive(Serialize, Deserialize)]
struct Account(u64);

impl PhaseSpec for Account {
    const NAME: &'static str = "account";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;
}

struct Accounts;

impl Simulate<Account> for Accounts {
    fn simulate(&mut self, account: &Account, (): (), _: &mut Effects) -> Result<u64, Failure> {
        Ok(account.0)
    }
}

#[test]
fn a_number_that_json_would_change_is_refused_in_a_spec() {
    let plan = |number| {
        DryRunner::new(PIPELINE)
            .target(nowhere())
            .simulator(Accounts)
            .run(|run, on| {
                run.phase(Account(number))
                    .perform(on, Ungated, Start)
                    .map(Receipt::into_output)
            })
    };
    assert_eq!(plan(1 << 53).unwrap().value, 1 << 53);
    let refusal = refusal(plan((1 << 53) + 1));
    let RefusalReason::NotCanonical(source) = refusal.reason() else {
        panic!("{refusal}");
    };
    assert!(matches!(source, NotCanonical::Number { .. }), "{source}");
    assert!(source.hint().unwrap().contains("as a string"), "{source}");
}

/// Calls itself otherwise, or not at all, once its phase is committed.
#[derive(Serialize, Deserialize)]
struct Fickle;

thread_local! {
    static PERFORMED: Cell<bool> = const { Cell::new(false) };
}

impl PhaseSpec for Fickle {
    const NAME: &'static str = "fickle";
    type Gate = Ungated;
    type After = Start;
    type Output = ();

    fn instance(&self) -> Option<String> {
        assert!(
            !PERFORMED.get(),
            "it is asked for its name after it was performed"
        );
        Some("1".to_owned())
    }
}

struct Performs;

impl Simulate<Fickle> for Performs {
    fn simulate(&mut self, _: &Fickle, (): (), _: &mut Effects) -> Result<(), Failure> {
        Ok(())
    }
}

impl Execute<Fickle> for Performs {
    fn execute(&mut self, _: &Fickle, (): (), _: &mut PhaseTx<'_>) -> Result<(), Failure> {
        PERFORMED.set(true);
        Ok(())
    }
}

#[test]
fn a_spec_is_not_asked_for_its_name_once_its_phase_is_committed() {
    let database = database();
    let dry = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Performs)
        .run(|run, on| run.phase(Fickle).perform(on, Ungated, Start).map(drop));
    let live = database.live_by(dry.unwrap().plan, Performs);
    let named = live.run(|run, on| {
        let receipt = run.phase(Fickle).perform(on, Ungated, Start)?;
        Ok(receipt.phase().to_owned())
    });
    assert_eq!(named.unwrap().value, "fickle[1]");
}

thread_local! {
    static ALIVE: Cell<u32> = const { Cell::new(0) };
}

/// Counts the values of the spec that exist.
struct Counted;

impl Counted {
    fn new() -> Self {
        ALIVE.set(ALIVE.get() + 1);
        assert_eq!(ALIVE.get(), 1, "another value exists");
        Counted
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Counted::new())
    }
}

/// A large input.
#[derive(Serialize, Deserialize)]
struct Large(Counted);

impl PhaseSpec for Large {
    const NAME: &'static str = "large";
    type Gate = Ungated;
    type After = Start;
    type Output = ();
}

impl Simulate<Large> for Performs {
    fn simulate(&mut self, _: &Large, (): (), _: &mut Effects) -> Result<(), Failure> {
        Ok(())
    }
}

impl Execute<Large> for Performs {
    fn execute(&mut self, _: &Large, (): (), _: &mut PhaseTx<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn one_value_of_a_spec_exists_at_a_time() {
    let database = database();
    let dry = DryRunner::new(PIPELINE)
        .target(database.target.clone())
        .simulator(Performs)
        .run(|run, on| {
            let large = Large(Counted::new());
            run.phase(large).perform(on, Ungated, Start).map(drop)
        });
    let live = database.live_by(dry.unwrap().plan, Performs);
    let done = live.run(|run, on| {
        let large = Large(Counted::new());
        run.phase(large).perform(on, Ungated, Start).map(drop)
    });
    assert_eq!(done.unwrap().performed, 1);
}

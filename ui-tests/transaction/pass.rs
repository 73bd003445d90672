//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Execute, Failure, PhaseTx};
use pipeline::{Draft};

fn commit_inside_a_phase() {
    struct Patient;

    impl Execute<Draft> for Patient {
        fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
            tx.execute("SELECT 1", &[])?;
            Ok(1)
        }
    }
}

fn roll_back_inside_a_phase() {
    struct Patient;

    impl Execute<Draft> for Patient {
        fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
            tx.execute("SELECT 1", &[])?;
            Err(Failure::new("not today"))
        }
    }
}

fn several_statements_in_one_message() {
    struct Patient;

    impl Execute<Draft> for Patient {
        fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
            tx.execute("SELECT 1", &[])?;
            tx.execute("SELECT 2", &[])?;
            Ok(0)
        }
    }
}

fn keep_the_transaction() {
    struct Patient {
        kept: Option<u64>,
    }

    impl Execute<Draft> for Patient {
        fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
            self.kept = Some(tx.execute("SELECT 1", &[])?);
            Ok(0)
        }
    }
}

fn swap_two_transactions() {
    struct Inner<'outer, 'tx> {
        outer: &'outer mut PhaseTx<'tx>,
    }

    impl Execute<Draft> for Inner<'_, '_> {
        fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
            tx.execute("SELECT 1", &[])?;
            Ok(self.outer.execute("SELECT 1", &[])?)
        }
    }
}

fn transaction_of_another_phase(one: &mut PhaseTx<'_>, other: &mut PhaseTx<'_>) {
    fn any(_: &mut PhaseTx<'_>, _: &mut PhaseTx<'_>) {}
    any(one, other);
}

fn raw_statement_of_the_driver(tx: &mut PhaseTx<'_>) {
    if let Ok(here) = tx.prepare("SELECT 1") {
        let _ = tx.execute(&here, &[]);
    }
}

fn statement_of_another_phase() {
    struct Keeper;

    impl Execute<Draft> for Keeper {
        fn execute(&mut self, _: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
            let prepared = tx.prepare("SELECT 1")?;
            Ok(tx.execute(&prepared, &[])?)
        }
    }
}

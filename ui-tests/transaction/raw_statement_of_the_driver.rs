//! A statement is prepared in the phase that sends it.

use phasegate::PhaseTx;

fn sends(tx: &mut PhaseTx<'_>, elsewhere: &postgres::Statement) {
    let _ = tx.execute(elsewhere, &[]);
}

fn main() {}

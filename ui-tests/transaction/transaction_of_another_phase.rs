//! The transaction of one phase cannot stand in for that of another.

use phasegate::PhaseTx;

fn same<'tx>(_: &mut PhaseTx<'tx>, _: &mut PhaseTx<'tx>) {}

fn mixes(one: &mut PhaseTx<'_>, other: &mut PhaseTx<'_>) {
    same(one, other);
}

fn main() {}

//! An approval of a gate does not open another one of which its type is a subtype.

#![allow(coherence_leak_check)] // two gates of one type constructor

use std::marker::PhantomData;

use phasegate::{Live, Approval, Gate, KillSwitchOn, Phase, PhaseSpec, Start};
use serde::{Deserialize, Serialize};

struct Level<T>(PhantomData<T>);
type Low = Level<for<'a> fn(&'a ())>;
type High = Level<fn(&'static ())>;

impl Gate for Low {
    const NAME: &'static str = "LOW";
}

impl Gate for High {
    const NAME: &'static str = "HIGH";
}

#[derive(Serialize, Deserialize)]
struct Sweep;

impl PhaseSpec for Sweep {
    const NAME: &'static str = "sweep";
    type Gate = High;
    type After = Start;
    type Output = ();
}

fn subtype<'run>(on: &KillSwitchOn<'run>, low: Approval<'run, Low, Live>) {
    let _ = Phase::live(Sweep, on, low, Start);
}

fn main() {}

//! The legal twin of each mistake in this folder, under the mistake's name.
#![allow(dead_code)]

#[path = "../../tests/pipeline/mod.rs"]
mod pipeline;

use phasegate::{Gate, Live, Mode, Phase, PhaseSpec, Start, Ungated, runner::ErasedPhase};
use pipeline::{Adapter, Check, Draft};
use serde::{Deserialize, Serialize};

fn new_mode<M: Mode>() -> &'static str {
    M::NAME
}

fn requirement_of_ones_own() {
    enum Privacy {}

    impl Gate for Privacy {
        const NAME: &'static str = "PRIVACY";
    }
}

fn order_of_ones_own() {
    #[derive(Serialize, Deserialize)]
    struct Later;

    impl PhaseSpec for Later {
        const NAME: &'static str = "later";
        type Gate = Ungated;
        type After = (Draft, Check);
        type Output = ();
    }
}

fn order_that_is_none() {
    #[derive(Serialize, Deserialize)]
    struct First;

    impl PhaseSpec for First {
        const NAME: &'static str = "first";
        type Gate = Ungated;
        type After = Start;
        type Output = ();
    }
}

fn erased_phase_of_ones_own<'r, 'run>(
    phase: Phase<'r, 'run, Draft, Live>,
) -> Box<dyn ErasedPhase<'run, Live, Adapter> + 'r> {
    phase.erase()
}

// The phases of the programs in compile-errors.md, and those that perform them.
use phasegate::prelude::*;
use phasegate::{approval::AdmittedApprovals, connect::PostgresConnector, switch::FileSwitch};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Load;
impl PhaseSpec for Load {
    const NAME: &'static str = "load";
    type Gate = Ungated;
    type After = Start;
    type Output = u64;
}

#[derive(Serialize, Deserialize)]
struct Post;
impl PhaseSpec for Post {
    const NAME: &'static str = "post";
    type Gate = Sg1;
    type After = Load;
    type Output = u64;
}

struct Bank;
impl Execute<Load> for Bank {
    fn execute(&mut self, _: &Load, _: (), _: &mut PhaseTx<'_>) -> Result<u64, Failure> { Ok(1) }
}
impl Execute<Post> for Bank {
    fn execute(&mut self, _: &Post, loaded: &u64, _: &mut PhaseTx<'_>) -> Result<u64, Failure> { Ok(*loaded) }
}

struct Predict;
impl Simulate<Load> for Predict {
    fn simulate(&mut self, _: &Load, _: (), _: &mut Effects) -> Result<u64, Failure> { Ok(1) }
}
impl Simulate<Post> for Predict {
    fn simulate(&mut self, _: &Post, loaded: &u64, _: &mut Effects) -> Result<u64, Failure> { Ok(*loaded) }
}

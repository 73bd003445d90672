//! The five phases, and the pipeline that performs them: written once, run dry and live.
//!
//! Read the five `impl PhaseSpec` blocks: name, gate, order and output of every phase are there.

use std::collections::BTreeMap;

use phasegate::{Error, Invalid, Mode, Perform, PhaseSpec, Run, Sg1, Sg2, Start, Switch, Ungated};
use serde::{Deserialize, Serialize};

use crate::markdown::Unit;

/// The name that plans and approvals know this pipeline by.
pub const PIPELINE: &str = "iu_cutter";

/// A document, cut into units, and where it came from.
#[derive(Debug, Clone)]
pub struct Document {
    /// What the register calls it.
    pub name: String,
    /// Its units, parents first.
    pub units: Vec<Unit>,
}

/// Writes every unit as a draft.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CutLegA {
    pub document: String,
    pub units: Vec<Unit>,
}

/// Reads every unit back and compares its digest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WriteVerify {
    pub document: String,
}

/// Gives every draft its parent and its place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CutLegB {
    pub document: String,
    pub links: Vec<Link>,
}

/// Where one unit stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Link {
    pub address: String,
    pub parent: Option<String>,
    pub position: u32,
}

/// Puts every unit into force, parents first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LifecycleEnact {
    pub document: String,
    pub addresses: Vec<String>,
}

/// Checks that every unit is in force, and that the log records it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnactVerify {
    pub document: String,
}

/// The digest of each unit, by address.
pub type Digests = BTreeMap<String, String>;

/// What enacting left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enacted {
    /// How many units are in force.
    pub units: u64,
    /// The triggers that watched it happen.
    pub triggers: Vec<String>,
    /// How many entries the lifecycle log has for it.
    pub log_entries: u64,
}

/// One line for those who approve. Of a long name, its end.
fn about(document: &str, what: &str) -> String {
    const SHOWN: usize = 60;
    let hidden = document.chars().count().saturating_sub(SHOWN);
    let end: String = document.chars().skip(hidden).collect();
    let dots = if hidden > 0 { "..." } else { "" };
    format!("{dots}{end}: {what}")
}

impl PhaseSpec for CutLegA {
    const NAME: &'static str = "cut_leg_a";
    type Gate = Sg1;
    type After = Start;
    type Output = Digests;

    fn summary(&self) -> String {
        about(
            &self.document,
            &format!("{} units are written as drafts", self.units.len()),
        )
    }

    fn validate(&self) -> Result<(), Invalid> {
        for (unit, ordinal) in self.units.iter().zip(1..) {
            let invalid = |what: &str| {
                let reason = format!("{}:{}: the unit has no {what}", self.document, unit.line);
                Invalid::new(reason).at_row(ordinal, &unit.address)
            };
            if unit.title.trim().is_empty() {
                return Err(invalid("title"));
            }
            if unit.body.trim().is_empty() {
                return Err(invalid("body"));
            }
        }
        Ok(())
    }
}

impl PhaseSpec for WriteVerify {
    const NAME: &'static str = "write_verify";
    type Gate = Ungated;
    type After = CutLegA;
    type Output = u64;

    fn summary(&self) -> String {
        about(&self.document, "what was written is read back and compared")
    }
}

impl PhaseSpec for CutLegB {
    const NAME: &'static str = "cut_leg_b";
    type Gate = Sg1;
    type After = WriteVerify;
    type Output = u64;

    fn summary(&self) -> String {
        about(
            &self.document,
            &format!("{} units are given their places", self.links.len()),
        )
    }
}

impl PhaseSpec for LifecycleEnact {
    const NAME: &'static str = "lifecycle_enact";
    type Gate = Sg2;
    type After = CutLegB;
    type Output = Enacted;

    fn summary(&self) -> String {
        about(
            &self.document,
            &format!("{} units come into force", self.addresses.len()),
        )
    }
}

impl PhaseSpec for EnactVerify {
    const NAME: &'static str = "enact_verify";
    type Gate = Ungated;
    type After = LifecycleEnact;
    type Output = u64;

    fn summary(&self) -> String {
        about(&self.document, "what is in force is read back, and its log")
    }
}

/// Whoever performs all five phases in mode `M`: the simulator dry, the register's adapter live.
pub trait PerformsAll<M: Mode>:
    Perform<M, CutLegA>
    + Perform<M, WriteVerify>
    + Perform<M, CutLegB>
    + Perform<M, LifecycleEnact>
    + Perform<M, EnactVerify>
{
}

impl<M: Mode, W> PerformsAll<M> for W where
    W: Perform<M, CutLegA>
        + Perform<M, WriteVerify>
        + Perform<M, CutLegB>
        + Perform<M, LifecycleEnact>
        + Perform<M, EnactVerify>
{
}

/// Cuts a document into the register, and enacts it.
///
/// # Errors
///
/// The first phase that was refused, rolled back or left in doubt; those before it are committed.
pub fn cut_and_enact<'run, M: Mode, W: PerformsAll<M>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    document: &Document,
) -> Result<Enacted, Error> {
    let sg1 = run.approval()?;
    let cut = run.phase(document.cut_leg_a()).perform(on, sg1, Start)?;

    let verify = document.write_verify();
    let written = run.phase(verify).perform(on, Ungated, &cut)?;

    let sg1 = run.approval()?;
    let linked = run.phase(document.cut_leg_b()).perform(on, sg1, &written)?;

    let sg2 = run.approval()?;
    let enact = document.lifecycle_enact();
    let enacted = run.phase(enact).perform(on, sg2, &linked)?;

    let verify = document.enact_verify();
    run.phase(verify).perform(on, Ungated, &enacted)?;
    Ok(enacted.into_output())
}

impl Document {
    pub fn cut_leg_a(&self) -> CutLegA {
        CutLegA {
            document: self.name.clone(),
            units: self.units.clone(),
        }
    }

    pub fn write_verify(&self) -> WriteVerify {
        WriteVerify {
            document: self.name.clone(),
        }
    }

    pub fn cut_leg_b(&self) -> CutLegB {
        let link = |unit: &Unit| Link {
            address: unit.address.clone(),
            parent: unit.parent.clone(),
            position: unit.position,
        };
        CutLegB {
            document: self.name.clone(),
            links: self.units.iter().map(link).collect(),
        }
    }

    pub fn lifecycle_enact(&self) -> LifecycleEnact {
        LifecycleEnact {
            document: self.name.clone(),
            addresses: self.units.iter().map(|unit| unit.address.clone()).collect(),
        }
    }

    pub fn enact_verify(&self) -> EnactVerify {
        EnactVerify {
            document: self.name.clone(),
        }
    }
}

//! Performs the five phases in a dry run: predicts what the register would return, and touches
//! nothing.

use phasegate::{Effects, Failure, Simulate};

use crate::phases::{CutLegA, CutLegB, Digests, EnactVerify, Enacted, LifecycleEnact, WriteVerify};

/// The register's tables. Its trigger writes the log.
const UNITS: &str = "iu.unit";
const LOG: &str = "iu.lifecycle_log";

/// Knows the register's rules as far as they can be known without it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Simulator;

impl Simulate<CutLegA> for Simulator {
    fn simulate(
        &mut self,
        cut: &CutLegA,
        (): (),
        effects: &mut Effects,
    ) -> Result<Digests, Failure> {
        let mut digests = Digests::new();
        for (unit, ordinal) in cut.units.iter().zip(1..) {
            if digests
                .insert(unit.address.clone(), unit.digest())
                .is_some()
            {
                let twice = format!("{}:{}: the address is taken", cut.document, unit.line);
                return Err(Failure::new(twice).at_row(ordinal, &unit.address));
            }
        }
        let units = cut.units.len() as u64;
        effects.insert(UNITS, units).insert(LOG, units);
        Ok(digests)
    }
}

impl Simulate<WriteVerify> for Simulator {
    fn simulate(
        &mut self,
        _: &WriteVerify,
        written: &Digests,
        _: &mut Effects,
    ) -> Result<u64, Failure> {
        Ok(written.len() as u64)
    }
}

impl Simulate<CutLegB> for Simulator {
    fn simulate(
        &mut self,
        cut: &CutLegB,
        verified: &u64,
        effects: &mut Effects,
    ) -> Result<u64, Failure> {
        let linked = cut.links.len() as u64;
        if linked == *verified {
            effects.update(UNITS, linked);
            Ok(linked)
        } else {
            let differ = format!("{verified} units are written, and {linked} would be linked");
            Err(Failure::new(differ))
        }
    }
}

impl Simulate<LifecycleEnact> for Simulator {
    fn simulate(
        &mut self,
        enact: &LifecycleEnact,
        _: &u64,
        effects: &mut Effects,
    ) -> Result<Enacted, Failure> {
        let units = enact.addresses.len() as u64;
        effects.update(UNITS, units).insert(LOG, units);
        Ok(Enacted {
            units,
            triggers: vec!["unit_lifecycle".to_owned()],
            log_entries: 2 * units,
        })
    }
}

impl Simulate<EnactVerify> for Simulator {
    fn simulate(
        &mut self,
        _: &EnactVerify,
        enacted: &Enacted,
        _: &mut Effects,
    ) -> Result<u64, Failure> {
        Ok(enacted.units)
    }
}

//! Resolves a commit whose response was lost: whether the phase was committed.

use std::time::Duration;

use super::job::Done;
use super::live::LiveEngine;
use crate::database::{Fate, resolve};
use crate::observer::{Event, Step, Waiting};
use crate::outcome::{
    CommitEvidence, Committed, Failure, InDoubt, PhaseError, Rollback, RollbackCause,
};

impl LiveEngine<'_> {
    /// Resolves an in-doubt phase of this run, and returns what performing the phase would have returned.
    pub(crate) fn resolve(
        &mut self,
        doubt: InDoubt,
        patience: Duration,
    ) -> Result<Done<Committed>, PhaseError> {
        let phase = doubt.phase().to_owned();
        (self.observer)(&Event::Waits {
            phase: &phase,
            why: Waiting::Resolving { most: patience },
        });
        match resolve(self.connector, &doubt, patience) {
            Err(_) => Err(doubt.into()),
            Ok(Fate::RolledBack) => {
                self.in_doubt = None;
                let said = Failure::new(doubt.to_string());
                let cause = RollbackCause::NotCommitted { said };
                Err(Rollback::new(&phase, Self::MODE, cause)
                    .after(self.committed())
                    .into())
            }
            Ok(Fate::Committed { entry, hash }) => {
                self.in_doubt = None;
                self.performed += 1;
                self.passed(&phase, Step::Committed);
                Ok(Done {
                    output: entry.output.as_bytes().to_vec(),
                    evidence: entry.committed(hash, CommitEvidence::Resolved),
                })
            }
        }
    }
}

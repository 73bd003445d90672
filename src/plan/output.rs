//! The outputs that the phases of a dry run or a rehearsal left, for a preflight.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use super::Plan;
use super::input::{InputsError, file_name, write_new};
use crate::base::digest::Digest;
use crate::base::files::{self, ReadFileError};

/// The greatest size of the output of one phase, in bytes; a larger one is refused unread.
const LARGEST: usize = 64 * 1024 * 1024;

/// What the phases of a dry run or a rehearsal returned, as canonical JSON.
///
/// A [`Preflight`](crate::runner::Preflight) lets the pipeline go on with them where a live run would perform a phase. They
/// bind nothing, and no live run reads them.
#[derive(Clone, PartialEq, Eq)]
pub struct PlanOutputs {
    plan: Digest,
    outputs: Vec<Option<Vec<u8>>>,
}

impl PlanOutputs {
    /// Returns the outputs of the phases of a plan that was made with them.
    pub(crate) fn of(plan: &Plan, outputs: Vec<Vec<u8>>) -> Self {
        PlanOutputs {
            plan: plan.digest(),
            outputs: outputs.into_iter().map(Some).collect(),
        }
    }

    /// Returns the same outputs as those of another plan of the same phases.
    pub(crate) fn of_plan(mut self, plan: &Plan) -> Self {
        self.plan = plan.digest();
        self
    }

    /// Returns the digest of their plan.
    #[must_use]
    pub fn plan(&self) -> Digest {
        self.plan
    }

    /// Returns the output of the phase at `place`, counted from 1; `None` if it is not here.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&[u8]> {
        self.outputs.get(place.checked_sub(1)?)?.as_deref()
    }

    /// Writes each output into a file of its own in `directory`, which is created if it is missing. Only the owner may
    /// read the files (on Unix): outputs are data of the database.
    ///
    /// # Errors
    ///
    /// Returns an error if the outputs are those of another plan, or if a file cannot be written. A file that is there
    /// already is not replaced, unless it has the same bytes.
    pub fn save(&self, plan: &Plan, directory: impl AsRef<Path>) -> Result<(), InputsError> {
        if self.plan != plan.digest() {
            return Err(InputsError::AnotherPlan {
                plan: plan.digest(),
                inputs: self.plan,
            });
        }
        let directory = directory.as_ref();
        let not_written = |path: &Path| {
            let path = path.to_owned();
            move |error| ReadFileError::NotWritten { path, error }
        };
        fs::create_dir_all(directory).map_err(not_written(directory))?;
        for ((phase, output), place) in plan.phases().iter().zip(&self.outputs).zip(1..) {
            let Some(output) = output else { continue };
            let path = directory.join(file_name(place, phase.name()));
            write_new(&path, output, true).map_err(not_written(&path))?;
        }
        Ok(())
    }

    /// Reads the outputs of the phases of `plan` from the files in `directory`; one that is missing stays so.
    ///
    /// # Errors
    ///
    /// Returns an error if a file that is there cannot be read.
    pub fn read(plan: &Plan, directory: impl AsRef<Path>) -> Result<Self, InputsError> {
        let read = |(phase, place): (&super::PlannedPhase, usize)| {
            let path = directory.as_ref().join(file_name(place, phase.name()));
            match files::read(&path, LARGEST) {
                Ok(output) => Ok(Some(output)),
                Err(ReadFileError::NotRead { error, .. })
                    if error.kind() == io::ErrorKind::NotFound =>
                {
                    Ok(None)
                }
                Err(error) => Err(InputsError::from(error)),
            }
        };
        let outputs = plan.phases().iter().zip(1..).map(read);
        Ok(PlanOutputs {
            plan: plan.digest(),
            outputs: outputs.collect::<Result<_, _>>()?,
        })
    }
}

/// Does not print the outputs, which are data of the database.
impl fmt::Debug for PlanOutputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PlanOutputs({} of plan {})",
            self.outputs.len(),
            self.plan
        )
    }
}

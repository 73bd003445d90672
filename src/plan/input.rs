//! The inputs of a plan's phases, as files beside the plan.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Plan, PlannedPhase};
use crate::base::digest::Digest;
use crate::base::files::{self, ReadFileError};
use crate::base::printable::{Printable, first_unprintable};

/// The most characters of an input that are shown.
const SHOWN: usize = 600;

/// Holding one proves that each of its inputs has the digest that its plan names: the inputs of the plan's phases, as
/// canonical JSON.
///
/// A dry run and a rehearsal return it beside their plan. [`save`](PlanInputs::save) writes a file for each phase, for
/// people to read and for the live run, whose pipeline gets them by [`Run::input`](crate::Run::input).
#[derive(Clone, PartialEq, Eq)]
pub struct PlanInputs {
    plan: Digest,
    /// In the order of the plan's phases; `None` for an input that was left out.
    inputs: Vec<Option<Vec<u8>>>,
}

/// Why the inputs of a plan were not read, or not saved. One variant for each reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputsError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// A file is not the approved input.
    #[error("the input of phase `{}` is refused: {} has the digest {found}, and {planned} is planned", Printable(.phase), Printable(&.path.to_string_lossy()))]
    NotPlanned {
        /// The phase.
        phase: String,
        /// The path of the file.
        path: PathBuf,
        /// The digest in the plan.
        planned: Digest,
        /// The digest of the file.
        found: Digest,
    },
    /// The inputs belong to another plan.
    #[error("the inputs are those of plan {inputs}, and not of plan {plan}")]
    AnotherPlan {
        /// The plan that was named.
        plan: Digest,
        /// The plan of the inputs.
        inputs: Digest,
    },
}

impl InputsError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            InputsError::File(error) => error.code(),
            InputsError::NotPlanned { .. } => "input_file_not_planned",
            InputsError::AnotherPlan { .. } => "inputs_of_another_plan",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            InputsError::File(error) => return error.hint(),
            InputsError::NotPlanned { .. } => {
                "Restore the file as the plan's maker saved it, or make a new plan from the input and have it approved."
            }
            InputsError::AnotherPlan { .. } => "Read the inputs again, with the plan that is run.",
        };
        Some(hint.to_owned())
    }
}

impl PlanInputs {
    /// Returns the inputs of a plan that was made of them.
    pub(crate) fn of(plan: &Plan, inputs: Vec<Vec<u8>>) -> Self {
        PlanInputs {
            plan: plan.digest(),
            inputs: inputs.into_iter().map(Some).collect(),
        }
    }

    /// Returns the same inputs as those of another plan of the same phases.
    pub(crate) fn of_plan(mut self, plan: &Plan) -> Self {
        self.plan = plan.digest();
        self
    }

    /// Returns the digest of their plan.
    #[must_use]
    pub fn plan(&self) -> Digest {
        self.plan
    }

    /// Returns the input of the phase at `place`, counted from 1; `None` if there is no such phase or its input was left
    /// out.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&[u8]> {
        self.inputs.get(place.checked_sub(1)?)?.as_deref()
    }

    /// Writes each input into a file of its own in `directory`, which is created if it is missing: `01-close_accounts.json`.
    /// Only the owner may read the files of [personal](PlannedPhase::is_personal) inputs (on Unix).
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs are those of another plan, or if a file cannot be written. A file that is there
    /// already is not replaced, unless it has the same bytes.
    pub fn save(&self, plan: &Plan, directory: impl AsRef<Path>) -> Result<(), InputsError> {
        self.ensure_of(plan)?;
        let directory = directory.as_ref();
        let not_written = |path: &Path| {
            let path = path.to_owned();
            move |error| ReadFileError::NotWritten { path, error }
        };
        fs::create_dir_all(directory).map_err(not_written(directory))?;
        for ((phase, input), place) in plan.phases().iter().zip(&self.inputs).zip(1..) {
            let Some(input) = input else { continue };
            let path = directory.join(file_name(place, phase.name()));
            write_new(&path, input, phase.is_personal()).map_err(not_written(&path))?;
        }
        Ok(())
    }

    /// Reads the inputs of `plan` from the files in `directory`, and compares the digest of each with the plan. The input
    /// of a personal phase may be missing.
    ///
    /// # Errors
    ///
    /// Returns an error if a file is missing, cannot be read, or is not the planned input.
    pub fn read(plan: &Plan, directory: impl AsRef<Path>) -> Result<Self, InputsError> {
        let read = |(phase, place): (&PlannedPhase, usize)| {
            let path = directory.as_ref().join(file_name(place, phase.name()));
            let limit = usize::try_from(phase.input_bytes()).unwrap_or(usize::MAX);
            let input = match files::read(&path, limit) {
                Ok(input) => input,
                Err(ReadFileError::NotRead { error, .. })
                    if phase.is_personal() && error.kind() == io::ErrorKind::NotFound =>
                {
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            };
            match Digest::of(&input) {
                found if found == phase.input() => Ok(Some(input)),
                found => Err(InputsError::NotPlanned {
                    phase: phase.name().to_owned(),
                    path,
                    planned: phase.input(),
                    found,
                }),
            }
        };
        let inputs = plan.phases().iter().zip(1..).map(read);
        Ok(PlanInputs {
            plan: plan.digest(),
            inputs: inputs.collect::<Result<_, _>>()?,
        })
    }

    /// Returns a copy without the inputs of [personal](PlannedPhase::is_personal) phases.
    ///
    /// # Errors
    ///
    /// Returns an error if the inputs are those of another plan.
    pub fn without_personal(&self, plan: &Plan) -> Result<Self, InputsError> {
        self.ensure_of(plan)?;
        let inputs = plan.phases().iter().zip(&self.inputs);
        let inputs = inputs.map(|(phase, input)| input.clone().filter(|_| !phase.is_personal()));
        Ok(PlanInputs {
            plan: self.plan,
            inputs: inputs.collect(),
        })
    }

    pub(crate) fn ensure_of(&self, plan: &Plan) -> Result<(), InputsError> {
        if self.plan == plan.digest() {
            return Ok(());
        }
        Err(InputsError::AnotherPlan {
            plan: plan.digest(),
            inputs: self.plan,
        })
    }

    /// Returns the beginning of the input of the phase at `place`, counted from 1, for people, on one line.
    pub(super) fn beginning(&self, place: usize) -> Option<String> {
        let input = String::from_utf8_lossy(self.at(place)?);
        let mut beginning: String = input.chars().take(SHOWN).collect();
        if let Some(character) = first_unprintable(&beginning) {
            // JSON escapes control characters; what is left changes the direction of the text, or is invisible.
            beginning = beginning.replace(character, &character.escape_default().to_string());
        }
        Some(match input.chars().count().saturating_sub(SHOWN) {
            0 => beginning,
            more => format!("{beginning}.. ({more} more characters)"),
        })
    }
}

/// Returns the name of the file of an input: its place, and the phase's name as far as a file name can have it.
pub(crate) fn file_name(place: usize, phase: &str) -> String {
    let name: String = phase
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' | '.' => c,
            _ => '-',
        })
        .take(80)
        .collect();
    format!("{place:02}-{name}.json")
}

/// Writes a file that is not there yet, or that has these bytes already.
pub(super) fn write_new(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    match options.open(path) {
        Ok(mut file) => file.write_all(bytes).and_then(|()| file.sync_all()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::read(path) {
            Ok(there) if there == bytes => Ok(()),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Does not print the inputs, which may be personal data.
impl fmt::Debug for PlanInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanInputs({} of plan {})", self.inputs.len(), self.plan)
    }
}

//! The change directory: how a plan, its input and its signatures travel.
//!
//! | file | what it holds |
//! |---|---|
//! | `change.toml` | label, author, whether git has the input; nothing that is executed |
//! | `input.json` | the pipeline's input, canonical JSON, readable by its owner only; ignored by git unless `commit_input` |
//! | `phases/` | the input of each phase that is not personal; the plan has its digest |
//! | `plan.json` | the plan, a line for each member; the SHA-256 of its canonical form is the digest that people sign |
//! | `plan.md` | the plan for reviewers |
//! | `rehearsal.json` | what a rehearsal of the plan measured |
//! | `approvals/` | statements and signatures |
//! | `evidence/` | the evidence of the run |

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::answer::Failed;
use super::error::ProgramError;
use crate::base::files::{self, ReadFileError};
use crate::plan::{Plan, PlanInputs};

/// The largest input and plan that are read.
const LARGEST: usize = 1 << 30;
/// The largest `change.toml`.
const LARGEST_TOML: usize = 64 << 10;

/// What `change.toml` has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    pub(super) pipeline: String,
    pub(super) author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    /// A name of the ticket, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ticket: Option<String>,
    /// Whether git has the input.
    #[serde(default)]
    pub(super) commit_input: bool,
}

/// A change directory.
pub(super) struct Change {
    dir: PathBuf,
}

impl Change {
    pub(super) fn at(dir: &Path) -> Self {
        Change {
            dir: dir.to_owned(),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Refuses a directory that has files: a plan, or what another program keeps there.
    pub(super) fn ensure_new(&self) -> Result<(), Failed> {
        let is_empty = match fs::read_dir(&self.dir) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if !is_empty {
            return Err(ProgramError::ChangeExists(self.dir.clone()).into());
        }
        Ok(())
    }

    /// Writes a new change. The plan is written last: a directory without one is no change.
    pub(super) fn create(
        &self,
        about: &About,
        input: &[u8],
        plan: &Plan,
        inputs: &PlanInputs,
    ) -> Result<(), Failed> {
        self.ensure_new()?;
        fs::create_dir_all(&self.dir).map_err(|error| not_written(&self.dir, error))?;
        let ignored = if about.commit_input {
            ""
        } else {
            "/input.json\n"
        };
        self.write(".gitignore", ignored.as_bytes())?;
        self.write_private("input.json", input)?;
        let toml = toml::to_string(about).map_err(|error| ProgramError::ChangeMalformed {
            path: self.path("change.toml"),
            error: error.into(),
        })?;
        self.write("change.toml", toml.as_bytes())?;
        inputs
            .without_personal(plan)?
            .save(plan, self.path("phases"))?;
        self.write("plan.md", super::commands::markdown(plan).as_bytes())?;
        self.write("plan.json", &plan.saved())?;
        Ok(())
    }

    /// Reads the plan. Its digest is what its approvals, and the database, compare.
    pub(super) fn plan(&self) -> Result<Plan, Failed> {
        let bytes = files::read(&self.path("plan.json"), LARGEST)?;
        // Whether it is the approved one is for the approvals to say, which name its digest.
        let digest = Plan::inspect(&bytes)?.digest();
        Ok(Plan::from_saved(&bytes, digest)?)
    }

    /// Reads the input. It is not trusted: a run refuses phases whose input is not that of the plan.
    pub(super) fn input(&self) -> Result<Vec<u8>, Failed> {
        Ok(files::read(&self.path("input.json"), LARGEST)?)
    }

    pub(super) fn has_input(&self) -> bool {
        self.path("input.json").is_file()
    }

    pub(super) fn about(&self) -> Result<About, Failed> {
        let path = self.path("change.toml");
        let text = files::read(&path, LARGEST_TOML)?;
        let text = String::from_utf8_lossy(&text);
        let malformed = |error: toml::de::Error| ProgramError::ChangeMalformed {
            path,
            error: error.into(),
        };
        Ok(toml::from_str(&text).map_err(malformed)?)
    }

    /// Returns whether `plan.md` is that of the plan.
    pub(super) fn is_page_current(&self, plan: &Plan) -> bool {
        let page = files::read(&self.path("plan.md"), LARGEST);
        page.is_ok_and(|page| page == super::commands::markdown(plan).as_bytes())
    }

    pub(super) fn approvals(&self) -> PathBuf {
        self.path("approvals")
    }

    pub(super) fn evidence(&self) -> PathBuf {
        self.path("evidence")
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, ReadFileError> {
        let path = self.path(name);
        fs::write(&path, bytes).map_err(|error| not_written(&path, error))?;
        Ok(path)
    }

    /// Writes a new file that only its owner can read.
    fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), ReadFileError> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options
            .open(&path)
            .and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| not_written(&path, error))
    }
}

pub(super) fn not_written(path: &Path, error: std::io::Error) -> ReadFileError {
    ReadFileError::NotWritten {
        path: path.to_owned(),
        error,
    }
}

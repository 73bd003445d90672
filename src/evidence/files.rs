use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::EvidenceBundle;
use super::bundle::Admitted;
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::database::Journal;
use crate::plan::input_file_name;

/// The directory was not written; nothing is left of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleNotWritten {
    /// The path exists and is not an empty directory; it was not changed.
    #[error("the evidence is not written: {} is there already, and is not an empty directory", Printable(&.0.to_string_lossy()))]
    NotEmpty(PathBuf),
    /// The operating system refused an operation.
    #[error("the evidence is not written: {}: {error}", Printable(&path.to_string_lossy()))]
    Io {
        /// The path of that operation.
        path: PathBuf,
        /// The error of the operating system.
        error: io::Error,
    },
}

impl BundleNotWritten {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            BundleNotWritten::NotEmpty(_) => "bundle_not_empty",
            BundleNotWritten::Io { .. } => "bundle_not_written",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            BundleNotWritten::NotEmpty(_) => {
                Some("Give a directory that is new, or empty.".to_owned())
            }
            BundleNotWritten::Io { .. } => None,
        }
    }
}

/// The script that performs the steps of the page; the same in every bundle.
pub(crate) const SCRIPT: &str = include_str!("verify.sh");

impl EvidenceBundle {
    /// Writes the bundle into a new or empty directory: completely, or not at all.
    ///
    /// | in it | |
    /// |---|---|
    /// | `plan.json` | the plan, byte for byte: its SHA-256 is the plan's digest |
    /// | `approvals/01-GATE/` | an approval that was spent: its statements and signatures, and the policy, allowed signers and revoked keys that they were judged by |
    /// | `unspent/`, `rejections/` | the same, of approvals that no phase has spent, and of rejections |
    /// | `inputs/01-PHASE.json`, .. | the inputs, if they were [added](EvidenceBundle::with_inputs): the SHA-256 of each is in the plan |
    /// | `journal/0001.json`, .. | the rows of the journal, each the exact text that was hashed |
    /// | `journal/chain` | the hash that the chain begins with, and that of each row |
    /// | `run.intoto.json` | [the in-toto statement](EvidenceBundle::statement) about the run |
    /// | `VERIFY.md`, `verify.sh` | how to verify the bundle: step by step, and by one command |
    /// | `SHA256SUMS` | the digests of all other files |
    ///
    /// Names that people chose are made safe for file names, and stand unchanged inside the files.
    ///
    /// # Errors
    ///
    /// Returns an error if the path exists and is not an empty directory, or the operating system refuses an
    /// operation. Nothing is left behind then.
    pub fn write_to(&self, directory: &Path) -> Result<(), BundleNotWritten> {
        refuse_unless_empty(directory)?;
        let beside = sibling(directory)?;
        let written = write_all(&beside, &self.files());
        let moved = written.and_then(|()| put_in_place(&beside, directory));
        if moved.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_dir_all(&beside);
        }
        moved?;
        let parent = directory.parent().filter(|parent| *parent != Path::new(""));
        sync(parent.unwrap_or(Path::new(".")))
    }

    /// Returns every file, by its path in the bundle: the paths consist of safe names, so that none leaves the
    /// directory.
    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = vec![("plan.json".to_owned(), self.plan_bytes.clone())];
        let mut chain = format!("{}\n", Journal::first_head(self.plan));
        for (place, (body, hash)) in (1..).zip(self.journal.stored()) {
            files.push((row_file(place), body.as_bytes().to_vec()));
            chain.push_str(&format!("{hash}\n"));
        }
        files.push(("journal/chain".to_owned(), chain.into_bytes()));
        for (directory, admitted) in self.directories() {
            add_evidence(&mut files, &directory, admitted);
        }
        for (place, phase) in (1..).zip(&self.planned.phases) {
            if let Some(input) = self.inputs.as_ref().and_then(|inputs| inputs.at(place)) {
                let name = input_file_name(place, &phase.name);
                files.push((format!("inputs/{name}"), input.to_vec()));
            }
        }
        files.push(("run.intoto.json".to_owned(), self.statement().to_json()));
        files.push(("verify.sh".to_owned(), SCRIPT.as_bytes().to_vec()));
        files.push(("VERIFY.md".to_owned(), self.page().into_bytes()));
        files.sort();
        let sums: Vec<String> = files
            .iter()
            .map(|(path, bytes)| format!("{}  ./{path}\n", Digest::of(bytes)))
            .collect();
        files.push(("SHA256SUMS".to_owned(), sums.concat().into_bytes()));
        files
    }

    /// Returns the approvals and rejections, each with the directory that it is in.
    pub(super) fn directories(&self) -> Vec<(String, &Admitted)> {
        let (spent, unspent): (Vec<_>, Vec<_>) =
            (self.approvals.iter()).partition(|approval| !approval.spent.is_empty());
        let named = |kind: &'static str, all: Vec<_>| {
            let signed = all.into_iter().filter(|a: &&Admitted| a.evidence.is_some());
            let numbered = (1..).zip(signed);
            let name =
                move |(n, a): (u32, &'_ Admitted)| format!("{kind}/{n:02}-{}", safe(&a.gate));
            numbered
                .map(|(n, admitted)| (name((n, admitted)), admitted))
                .collect::<Vec<_>>()
        };
        let mut all = named("approvals", spent);
        all.extend(named("unspent", unspent));
        all.extend(named("rejections", self.rejections.iter().collect()));
        all
    }
}

pub(super) fn row_file(place: u32) -> String {
    format!("journal/{place:04}.json")
}

/// Returns the path of the nth statement's files in a directory, without the extension.
pub(super) fn statement_stem(directory: &str, n: usize) -> String {
    format!("{directory}/{n:02}")
}

fn add_evidence(files: &mut Vec<(String, Vec<u8>)>, directory: &str, admitted: &Admitted) {
    let Some(evidence) = &admitted.evidence else {
        return;
    };
    let mut add = |path: String, text: &str| files.push((path, text.as_bytes().to_vec()));
    add(format!("{directory}/policy.json"), &evidence.policy);
    add(
        format!("{directory}/allowed_signers"),
        &evidence.allowed_signers,
    );
    if let Some(revoked) = &evidence.revoked_keys {
        add(format!("{directory}/revoked_keys"), revoked);
    }
    if admitted.spent.is_empty() {
        add(format!("{directory}/admitted_at"), &admitted.admitted_at);
    }
    for (n, signed) in (1..).zip(&evidence.statements) {
        let stem = statement_stem(directory, n);
        add(format!("{stem}.approver"), &signed.approver);
        add(format!("{stem}.statement.json"), &signed.statement);
        add(format!("{stem}.statement.json.sig"), &signed.signature);
    }
}

/// Returns a name like `name` that is valid in any shell and any file system.
fn safe(name: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    };
    name.chars().take(40).map(kept).collect()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BundleNotWritten {
    let path = path.to_owned();
    |error| BundleNotWritten::Io { path, error }
}

fn refuse_unless_empty(directory: &Path) -> Result<(), BundleNotWritten> {
    match fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(directory)(error)),
        Ok(found) if !found.is_dir() => return Err(BundleNotWritten::NotEmpty(directory.into())),
        Ok(_) => {}
    }
    match fs::read_dir(directory).map_err(failed(directory))?.next() {
        None => Ok(()),
        Some(_) => Err(BundleNotWritten::NotEmpty(directory.into())),
    }
}

/// Creates a new directory beside the target, on the same file system.
fn sibling(directory: &Path) -> Result<PathBuf, BundleNotWritten> {
    if directory.file_name().is_none() {
        return Err(failed(directory)(io::ErrorKind::InvalidInput.into()));
    }
    let nonce = crate::base::secret::nonce().map_err(|e| failed(directory)(io::Error::other(e)))?;
    let beside = directory.with_file_name(format!(".phasegate-evidence-{nonce}"));
    fs::create_dir(&beside).map_err(failed(&beside))?;
    Ok(beside)
}

fn write_all(directory: &Path, files: &[(String, Vec<u8>)]) -> Result<(), BundleNotWritten> {
    let mut directories = BTreeSet::from([directory.to_owned()]);
    for (name, bytes) in files {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        if !directories.contains(parent) {
            fs::create_dir_all(parent).map_err(failed(parent))?;
            directories.insert(parent.to_owned());
        }
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(&path)?;
            file.write_all(bytes)?;
            file.sync_all()
        };
        write().map_err(failed(&path))?;
    }
    directories.iter().try_for_each(|directory| sync(directory))
}

/// Makes the names in a directory durable, so that they survive a crash.
fn sync(directory: &Path) -> Result<(), BundleNotWritten> {
    let synced = fs::File::open(directory).and_then(|open| open.sync_all());
    synced.map_err(failed(directory))
}

/// Moves `beside` to `directory`, replacing only an empty directory.
fn put_in_place(beside: &Path, directory: &Path) -> Result<(), BundleNotWritten> {
    fs::rename(beside, directory).map_err(|source| match source.kind() {
        io::ErrorKind::DirectoryNotEmpty
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::AlreadyExists => BundleNotWritten::NotEmpty(directory.into()),
        _ => failed(directory)(source),
    })
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn any_name_becomes_one_that_stays_in_its_directory() {
        for (name, expected) in [
            ("SG_1", "SG_1"),
            ("ada@example.org", "ada_example_org"),
            ("../../etc/passwd", "______etc_passwd"),
            ("a b\n$(rm -rf ~)`'\"", "a_b___rm_-rf______"),
            ("", ""),
            (".", "_"),
            ("é\u{202e}", "__"),
        ] {
            assert_eq!(safe(name), expected);
        }
        assert_eq!(safe(&"x".repeat(1000)).len(), 40);
    }
}

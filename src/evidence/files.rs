use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::EvidenceBundle;
use super::bundle::Admitted;
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::database::Journal;

/// The directory was not written; nothing of it is there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleNotWritten {
    /// There is something at that path already, and it is kept.
    #[error("the evidence is not written: {} is there already, and is not an empty directory", Printable(&.0.to_string_lossy()))]
    NotEmpty(PathBuf),
    /// The operating system refused it.
    #[error("the evidence is not written: {}: {error}", Printable(&path.to_string_lossy()))]
    Io {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
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

/// What does the same as the page, in every bundle alike.
const SCRIPT: &str = include_str!("verify.sh");

impl EvidenceBundle {
    /// Writes the bundle into a directory that is new, or empty: all of it, or nothing.
    ///
    /// | in it | |
    /// |---|---|
    /// | `plan.json` | the plan, byte for byte: its SHA-256 is the plan's digest |
    /// | `approvals/01-GATE/` | an approval that was spent: its statements and signatures, and the policy, allowed signers and revoked keys that they were judged by |
    /// | `unspent/`, `rejections/` | the same, of approvals that no phase has spent, and of rejections |
    /// | `journal/0001.json`, .. | the rows of the journal, each the exact text that was hashed |
    /// | `journal/chain` | the hash that the chain begins with, and that of each row |
    /// | `run.intoto.json` | [the statement](EvidenceBundle::statement) of all this |
    /// | `VERIFY.md`, `verify.sh` | how it is verified: by hand, and at once |
    /// | `SHA256SUMS` | every other file |
    ///
    /// Names that came from people are made safe, and stand unchanged in the files.
    ///
    /// # Errors
    ///
    /// Returns an error if something is there already, or the operating system refuses it. Nothing is left behind then.
    pub fn write_to(&self, directory: &Path) -> Result<(), BundleNotWritten> {
        refuse_unless_empty(directory)?;
        let beside = sibling(directory)?;
        let written = write_all(&beside, &self.files());
        let moved = written.and_then(|()| put_in_place(&beside, directory));
        if moved.is_err() {
            // What failed is what is to be told.
            let _ = fs::remove_dir_all(&beside);
        }
        moved?;
        let parent = directory.parent().filter(|parent| *parent != Path::new(""));
        sync(parent.unwrap_or(Path::new(".")))
    }

    /// Every file, by its path in the bundle: safe names alone, so that nothing leaves the directory.
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

    /// What was signed, each with the directory that it is in.
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

/// The files of the nth statement in a directory, without what comes after the dot.
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

/// A name that is one in any shell and any file system, and looks like `name`.
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

/// A new directory beside the one that is to be, on the same file system.
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
    let mut directories = vec![directory.to_owned()];
    for (name, bytes) in files {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        fs::create_dir_all(parent).map_err(failed(parent))?;
        if !directories.iter().any(|known| known == parent) {
            directories.push(parent.to_owned());
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

/// Names are to be there after a crash too.
fn sync(directory: &Path) -> Result<(), BundleNotWritten> {
    let synced = fs::File::open(directory).and_then(|open| open.sync_all());
    synced.map_err(failed(directory))
}

/// Replaces an empty directory, and nothing else.
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
    fn a_name_of_anybody_becomes_one_that_stays_where_it_is() {
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

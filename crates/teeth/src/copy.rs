use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::ran::{Ran, first_error, without_colours};
use crate::switched;

/// The longest time that one test may take, in seconds: one that does not end is caught.
pub(crate) const PATIENCE: &str = "900";

/// A copy of the sources.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) path: PathBuf,
    pub(crate) target: PathBuf,
    /// The test binaries that were built of it.
    binaries: RefCell<BTreeMap<String, PathBuf>>,
}

impl Copy {
    /// Copies the sources that are under version control, each file with a change. A file that is the same already is
    /// left: its time is what the compiler goes by.
    ///
    /// # Errors
    ///
    /// Returns an error if `git` fails, or a file cannot be copied.
    pub(crate) fn of(
        root: &Path,
        path: PathBuf,
        target: PathBuf,
        change: impl Fn(&str, Vec<u8>) -> Result<Vec<u8>, String>,
    ) -> Result<Self, String> {
        let listed = Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output()
            .map_err(|error| format!("git: {error}"))?;
        for file in String::from_utf8_lossy(&listed.stdout).lines() {
            let (from, to) = (root.join(file), path.join(file));
            let Ok(bytes) = fs::read(&from) else {
                continue; // removed, and still listed
            };
            let bytes = change(file, bytes)?;
            if fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            fs::create_dir_all(to.parent().unwrap_or(&path))
                .and_then(|()| fs::write(&to, bytes))
                .and_then(|()| fs::set_permissions(&to, fs::metadata(&from)?.permissions()))
                .map_err(|error| format!("{}: {error}", to.display()))?;
        }
        Ok(Copy {
            path,
            target,
            binaries: RefCell::default(),
        })
    }

    /// Returns the test binary that a weakening names, built from this copy.
    pub(crate) fn binary(&self, test: &str) -> Result<PathBuf, String> {
        let name = test.split_once(':').map_or(test, |(name, _)| name);
        if let Some(built) = self.binaries.borrow().get(name) {
            return Ok(built.clone());
        }
        let mut build = arguments(name);
        build.push("--no-run".to_owned());
        let ran = self.cargo(&build)?;
        // `  Executable tests/lease/main.rs (target/debug/deps/lease-0123456789abcdef)`
        let path = ran.text.lines().find_map(|line| {
            let line = line.trim().strip_prefix("Executable ")?;
            Some(line.rsplit_once('(')?.1.trim_end_matches(')').to_owned())
        });
        let Some(path) = path.filter(|_| !ran.failed) else {
            return Err(format!("{name}: {}", first_error(&ran.text)));
        };
        let path = self.path.join(path);
        self.binaries
            .borrow_mut()
            .insert(name.to_owned(), path.clone());
        Ok(path)
    }

    /// Runs a test binary as `cargo test` does.
    pub(crate) fn test(
        &self,
        binary: &Path,
        weakening: &str,
        arguments: &[&str],
    ) -> Result<Ran, String> {
        self.command(
            Command::new("timeout")
                .args(["--kill-after=10", PATIENCE])
                .arg(binary)
                .args(arguments)
                .env("CARGO_MANIFEST_DIR", &self.path)
                .env("RUST_TEST_THREADS", "4")
                .env(switched::VARIABLE, weakening),
        )
    }

    pub(crate) fn cargo<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Ran, String> {
        self.command(
            Command::new("timeout")
                .args(["--kill-after=10", PATIENCE, "cargo"])
                .args(arguments)
                .env("CARGO_TARGET_DIR", &self.target)
                .env("CARGO_TERM_COLOR", "never"),
        )
    }

    /// Runs a command, and ends it with all that it started when the first test has failed.
    fn command(&self, command: &mut Command) -> Result<Ran, String> {
        let failed = |error| format!("timeout: {error}");
        let command = command.current_dir(&self.path).stdin(Stdio::null());
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(failed)?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let mut text = String::new();
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes))?;
            io::Result::Ok(String::from_utf8_lossy(&bytes).into_owned())
        });
        for line in stdout
            .into_iter()
            .flat_map(|pipe| BufReader::new(pipe).split(b'\n'))
        {
            let line = String::from_utf8_lossy(&line.map_err(failed)?).into_owned();
            if line.starts_with("test ") && line.ends_with("... FAILED") {
                // `timeout` passes the signal on to its process group.
                let pid = child.id().to_string();
                Command::new("kill").arg(pid).status().map_err(failed)?;
            }
            text.push_str(&line);
            text.push('\n');
        }
        let status = child.wait().map_err(failed)?;
        let errors = errors.join().map_err(|_| "a reader panicked".to_owned())?;
        text.push_str(&errors.map_err(failed)?);
        Ok(Ran {
            failed: !status.success(),
            timed_out: status.code() == Some(124),
            text: without_colours(&text),
        })
    }
}

/// Returns the filter of a test as weakenings name it; empty if it is a whole binary.
pub(crate) fn filter(test: &str) -> &str {
    test.split_once(':').map_or("", |(_, filter)| filter)
}

/// Returns the arguments of `cargo` for a test as weakenings name it.
pub(crate) fn arguments(test: &str) -> Vec<String> {
    let (binary, filter) = (test.split(':').next().unwrap_or(test), filter(test));
    let mut arguments: Vec<String> = ["test", "-p", "phasegate"].map(str::to_owned).into();
    let mut add = |more: &[&str]| arguments.extend(more.iter().map(|one| (*one).to_owned()));
    match binary {
        "lib" => add(&["--lib"]),
        binary => add(&["--test", binary]),
    }
    match (binary, filter) {
        ("ui", "") => add(&["--", "illegal"]),
        ("ui", folder) => add(&["--", "illegal", &format!("trybuild={folder}")]),
        (_, "") => {}
        (_, filter) => add(&["--", filter]),
    }
    arguments
}

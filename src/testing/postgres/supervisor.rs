//! The shell script between this process and a private server; it outlives this process until everything is cleaned
//! up.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::account::Account;
use super::directory::Directory;
use super::error::ServerError;

const SCRIPT: &str = include_str!("supervisor.sh");

/// Passes the script in a variable, so that the list of processes stays readable.
const START: &str = "script=$PHASEGATE_SUPERVISOR; unset PHASEGATE_SUPERVISOR; eval \"$script\"";

/// The time to wait for the script's end; the script's own limits add up to 24 s.
const END: Duration = Duration::from_secs(40);

const POLL: Duration = Duration::from_millis(5);

/// A command of the script.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    Ready,
    Initdb,
    Start,
    Fast,
    Immediate,
    Kill,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Initdb => "initdb",
            Self::Start => "start",
            Self::Fast => "fast",
            Self::Immediate => "immediate",
            Self::Kill => "kill",
        }
    }
}

/// Holds the writing end of a pipe. When it closes, even by SIGKILL, the script ends the server and removes its
/// directory.
pub(super) struct Supervisor {
    child: Child,
    /// `None` once the script was told to end. Rust opens it close-on-exec: no other child of this process keeps it
    /// open.
    commands: Option<ChildStdin>,
    sent: u32,
    directory: PathBuf,
    account: Account,
}

impl Supervisor {
    /// Starts the script, which creates `directory` and removes it at its end, without a server so far.
    ///
    /// `libraries` is where the server finds its shared libraries, if that is not the system's default.
    pub(super) fn spawn(
        directory: Directory,
        bin_dir: &Path,
        arguments: &[String],
        libraries: Option<&Path>,
    ) -> Result<Self, ServerError> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", START, "phasegate-pg"])
            .arg(&directory.path)
            .arg(bin_dir)
            .args(arguments);
        // PGDATA, PGOPTIONS, LANG, LD_LIBRARY_PATH and the like must not reach the server.
        command
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", &directory.path)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("PHASEGATE_SUPERVISOR", SCRIPT);
        if let Some(libraries) = libraries {
            command
                .env("LD_LIBRARY_PATH", libraries)
                .env("OLIPHAUNT_INTERNAL_SKIP_ICU_DISCOVERY", "1");
        }
        // A process group of its own: Ctrl-C in a terminal reaches only this process's group.
        command.process_group(0).current_dir("/");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        directory.account.run(&mut command);
        let mut child = command.spawn().map_err(|error| ServerError::Program {
            doing: "supervise the server",
            program: "/bin/sh".into(),
            reason: format!("{error}, as {}", directory.account),
        })?;
        let commands = child.stdin.take();
        let Directory {
            path: directory,
            account,
        } = directory;
        Ok(Self {
            child,
            commands,
            sent: 0,
            directory,
            account,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Performs `verb`; returns after the script has performed it.
    pub(super) fn command(&mut self, verb: Verb, limit: Duration) -> Result<(), ServerError> {
        self.sent += 1;
        let line = format!("{} {}\n", verb.word(), self.sent);
        let written = self
            .commands
            .as_mut()
            .map(|pipe| pipe.write_all(line.as_bytes()));
        let expected = self.sent.to_string();
        let deadline = Instant::now() + limit;
        // A broken pipe is reported below, by the status of the script.
        while self.read("done").as_deref() != Some(&expected) {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.gone(status));
            }
            if Instant::now() > deadline {
                let reason = match written {
                    Some(Ok(())) => format!("`{}` took longer than {limit:?}", verb.word()),
                    _ => "it takes no commands".into(),
                };
                return Err(Self::failed(reason));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Returns the exit status of the script's last child, if that has ended.
    pub(super) fn exited(&self) -> Option<i32> {
        self.read("exited")?.parse().ok()
    }

    /// Returns the process id of the script's last child.
    pub(super) fn pid(&self) -> Option<u32> {
        self.read("pid")?.parse().ok()
    }

    /// Returns the last lines of the server's log.
    pub(super) fn log(&self) -> String {
        let text = fs::read(self.directory.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(15)..];
        if tail.is_empty() {
            "  (empty)".into()
        } else {
            format!("  {}", tail.join("\n  "))
        }
    }

    /// Ends the server and removes the directory; both are done when it returns `Ok`. May be called again.
    pub(super) fn end(&mut self) -> Result<(), ServerError> {
        self.commands = None;
        let deadline = Instant::now() + END;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                return Err(self.unended(format!(
                    "its supervisor (process {}) is still at it",
                    self.child.id()
                )));
            }
            thread::sleep(POLL);
        }
        // The script does the rest, unless the script itself was killed.
        self.end_server(deadline);
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.unended(error.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Ends a server whose script was killed and could not end it.
    fn end_server(&self, deadline: Instant) {
        let Some(pid) = self.pid().filter(|_| self.exited().is_none()) else {
            return;
        };
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("kill -s QUIT {pid}")]);
        self.account.run(&mut command);
        let sent = command.stderr(Stdio::null()).status();
        while sent.as_ref().is_ok_and(ExitStatus::success)
            && self.exited().is_none()
            && Instant::now() < deadline
        {
            thread::sleep(POLL);
        }
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(file))
            .ok()
            .map(|text| text.trim_end().to_owned())
    }

    fn gone(&mut self, status: ExitStatus) -> ServerError {
        let mut complaint = String::new();
        // Reads only what the script prints before it redirects its output to the log; if that cannot be read, there
        // is nothing to report.
        let _ = self
            .child
            .stderr
            .take()
            .map(|mut pipe| pipe.read_to_string(&mut complaint));
        let complaint = complaint.trim_end().to_owned();
        match (status.code(), status.signal()) {
            (Some(91), _) => {
                let (path, account) = (self.directory.clone(), self.account.to_string());
                ServerError::Directory {
                    path,
                    reason: complaint,
                    account,
                }
            }
            (_, Some(signal)) => Self::failed(format!("the script was ended by signal {signal}")),
            _ => Self::failed(format!("the script ended with {status}: {complaint}")),
        }
    }

    fn failed(reason: String) -> ServerError {
        ServerError::Program {
            doing: "supervise the server",
            program: "/bin/sh".into(),
            reason,
        }
    }

    fn unended(&self, reason: String) -> ServerError {
        ServerError::Stop {
            path: self.directory.clone(),
            reason,
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // There is no caller to report an error to; `TestPostgres::stop` reports it.
        let _ = self.end();
    }
}

/// Returns the search path for `sleep`, `mv` and `rm`: this process's own first, since not every system has them in
/// `/bin`.
fn search_path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(if path.is_empty() { "" } else { ":" });
    path.push("/usr/bin:/bin:/usr/sbin:/sbin");
    path
}

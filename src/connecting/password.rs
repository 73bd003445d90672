//! Finds the password of a connection.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::error::EndpointError;
use crate::base::files;

const LIMIT: usize = 64 << 10;
const COMMAND: Duration = Duration::from_secs(30);

/// Where the password comes from. It is read again for each session, because a token expires.
#[derive(Clone)]
pub(super) enum PasswordSource {
    /// None is configured, and none is sent.
    Nowhere,
    Text {
        place: String,
        password: String,
    },
    File {
        place: String,
        path: PathBuf,
    },
    Command {
        place: String,
        argv: Vec<String>,
        directory: PathBuf,
    },
}

impl PasswordSource {
    /// Returns the password, or `None` if no source is configured.
    pub(super) fn read(&self) -> Result<Option<String>, EndpointError> {
        match self {
            PasswordSource::Nowhere => Ok(None),
            PasswordSource::Text { password, .. } => Ok(Some(password.clone())),
            PasswordSource::File { place, path } => {
                let bytes = files::read(path, LIMIT)?;
                first_line(place, bytes).map(Some)
            }
            PasswordSource::Command {
                place,
                argv,
                directory,
            } => first_line(place, output(place, argv, directory, COMMAND)?).map(Some),
        }
    }
}

/// Names the place, and not the password.
impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PasswordSource::Nowhere => f.write_str("nowhere"),
            PasswordSource::Text { place, .. }
            | PasswordSource::File { place, .. }
            | PasswordSource::Command { place, .. } => f.write_str(place),
        }
    }
}

impl fmt::Debug for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordSource({self})")
    }
}

/// Returns the content without the end of its line. Several lines are refused: a password has one.
fn first_line(place: &str, bytes: Vec<u8>) -> Result<String, EndpointError> {
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| EndpointError::password(place, "it is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(EndpointError::password(place, "it is empty"));
    }
    if line.contains(['\n', '\0']) {
        return Err(EndpointError::password(place, "it has several lines"));
    }
    Ok(line.to_owned())
}

/// Returns what the command prints. It has no shell and no standard input, and its messages go to those of this
/// process.
fn output(
    place: &str,
    argv: &[String],
    directory: &Path,
    limit: Duration,
) -> Result<Vec<u8>, EndpointError> {
    let failed = |why: String| EndpointError::password(place, why);
    let (program, arguments) = argv
        .split_first()
        .ok_or_else(|| failed("the command is empty".to_owned()))?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("the command was not started: {error}")))?;
    let (tell, told) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let most = u64::try_from(LIMIT).unwrap_or(u64::MAX) + 1;
            let read = stdout.take(most).read_to_end(&mut bytes);
            // The receiver is gone if the command took too long.
            let _ = tell.send(read.map(|_| bytes));
        });
    }
    let deadline = Instant::now() + limit;
    let read = told.recv_timeout(limit);
    // Before its status is asked for: a command whose output is not read to its end may fail for that reason.
    if matches!(&read, Ok(Ok(bytes)) if bytes.len() > LIMIT) {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!("it is longer than {LIMIT} bytes")));
    }
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < deadline && read.is_ok() => {
                thread::sleep(Duration::from_millis(5));
            }
            Ok(None) | Err(_) => break None,
        }
    };
    let Some(status) = status else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(failed(format!("the command took longer than {limit:?}")));
    };
    if !status.success() {
        return Err(failed(format!("the command failed, {status}")));
    }
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Err(_) => Err(failed("the command left its output open".to_owned())),
    }
}

/// Returns the file of the systemd credential, if there is one.
pub(super) fn credential(directory: Option<PathBuf>, role: &str) -> Option<PathBuf> {
    let file = directory?.join(format!("phasegate-{role}-password"));
    fs::exists(&file).is_ok_and(|exists| exists).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> Result<Vec<u8>, String> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        output("a test", &argv, Path::new("/"), limit).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_gives_the_password_without_its_newline() {
        let bytes = run("printf 'a b\\n'", COMMAND).unwrap();
        assert_eq!(first_line("a test", bytes).unwrap(), "a b");
    }

    #[test]
    fn a_command_that_fails_gives_none_and_is_not_quoted() {
        let why = run("printf hunter2; exit 3", COMMAND).unwrap_err();
        assert!(
            why.contains("status: 3") && !why.contains("hunter2"),
            "{why}"
        );
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        let begin = Instant::now();
        let why = run("exec sleep 60", Duration::from_millis(200)).unwrap_err();
        assert!(why.contains("took longer"), "{why}");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn an_empty_or_a_long_text_is_no_password() {
        for text in ["", "\n", "a\nb\n"] {
            let error = first_line("a test", text.into()).unwrap_err();
            assert_eq!(error.code(), "endpoint_no_password");
        }
        let why = run("head -c 70000 /dev/zero", COMMAND).unwrap_err();
        assert!(why.contains("longer than"), "{why}");
    }
}

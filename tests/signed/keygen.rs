//! The real `ssh-keygen` and `ssh-agent`, with keys in a directory of their own.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A directory of keys.
pub(crate) struct Keys {
    directory: TempDir,
}

/// A key in a file, without a passphrase.
pub(crate) struct Key {
    pub(crate) private: PathBuf,
    /// As in the file `.pub`.
    pub(crate) public: String,
}

impl Key {
    /// The signature that `ssh-keygen -Y sign` makes of this text.
    pub(crate) fn sign(&self, namespace: &str, text: &[u8]) -> Vec<u8> {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]);
        let output = run(command.arg(&self.private), text);
        did(&output);
        output.stdout
    }
}

fn run(command: &mut Command, stdin: &[u8]) -> Output {
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = there(spawned);
    // One that refuses before it has read everything closes its end.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}

fn there<T>(spawned: io::Result<T>) -> T {
    spawned.unwrap_or_else(|error| {
        panic!(
            "ssh-keygen, ssh-add and ssh-agent are needed, and there is none ({error}): apt-get install openssh-client"
        )
    })
}

fn did(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

impl Keys {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Keys { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a key: `ssh-keygen ARGUMENTS`.
    pub(crate) fn make(&self, name: &str, arguments: &[&str]) -> Key {
        let private = self.path(name);
        let mut command = Command::new("ssh-keygen");
        command
            .args(["-q", "-N", "", "-C", name, "-f"])
            .arg(&private);
        did(&run(command.args(arguments), b""));
        let public = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        let public = public.trim().to_owned();
        Key { private, public }
    }

    /// `ssh-keygen -Y sign` of this file; returns the file of the signature.
    pub(crate) fn sign_file(&self, key: &Key, namespace: &str, file: &str) -> PathBuf {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]);
        command.arg(&key.private).arg(self.path(file));
        did(&run(&mut command, b""));
        self.path(&format!("{file}.sig"))
    }

    /// Whether `ssh-keygen -Y verify` takes a signature; what it says if it does not.
    pub(crate) fn verify(
        &self,
        (name, allowed, revoked): (&str, &str, Option<&str>),
        namespace: &str,
        text: &[u8],
        signature: &[u8],
    ) -> Result<(), String> {
        let (allowed_signers, sig) = (self.path("allowed_signers"), self.path("verify.sig"));
        fs::write(&allowed_signers, allowed).unwrap();
        fs::write(&sig, signature).unwrap();
        let mut command = Command::new("ssh-keygen");
        command.args(["-Y", "verify", "-n", namespace, "-I", name, "-f"]);
        command.arg(&allowed_signers).arg("-s").arg(&sig);
        if let Some(revoked) = revoked {
            fs::write(self.path("revoked"), revoked).unwrap();
            command.arg("-r").arg(self.path("revoked"));
        }
        let output = run(&mut command, text);
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// An agent that holds this key, whose file is then gone.
    pub(crate) fn agent(&self, key: &Key) -> Agent {
        let socket = self.path("agent");
        let mut command = Command::new("ssh-agent");
        command
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null());
        let agent = Agent {
            child: there(command.spawn()),
            socket,
        };
        let start = Instant::now();
        let mut add = Command::new("ssh-add");
        add.env("SSH_AUTH_SOCK", &agent.socket).arg(&key.private);
        // Its socket is there a moment before it listens.
        let mut added = run(&mut add, b"");
        while !added.status.success() && start.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(20));
            added = run(&mut add, b"");
        }
        did(&added);
        fs::remove_file(&key.private).unwrap();
        agent
    }
}

/// An agent, which ends with this.
pub(crate) struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    /// The signature that the agent makes, for the key in this file.
    pub(crate) fn sign(&self, public: &PathBuf, namespace: &str, text: &[u8]) -> Vec<u8> {
        let mut command = Command::new("ssh-keygen");
        command.env("SSH_AUTH_SOCK", &self.socket);
        command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]);
        let output = run(command.arg(public), text);
        did(&output);
        output.stdout
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

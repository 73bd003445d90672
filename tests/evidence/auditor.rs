//! A third party, with a directory, a shell, and the tools that the page asks for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use phasegate::audit::EvidenceBundle;
use tempfile::TempDir;

use super::signing::tool;

/// All that an auditor needs.
const TOOLS: [&str; 16] = [
    "sh",
    "sha256sum",
    "ssh-keygen",
    "cut",
    "sed",
    "grep",
    "find",
    "sort",
    "uniq",
    "tr",
    "cat",
    "wc",
    "dirname",
    "basename",
    "cmp",
    "tail",
];

/// The script as it is released.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/evidence/verify.sh");

/// A written bundle, and a machine that has those tools and no others.
pub(crate) struct Auditor {
    place: TempDir,
}

impl Auditor {
    pub(crate) fn with(bundle: &EvidenceBundle) -> Self {
        let place = tempfile::tempdir().unwrap();
        bundle
            .write_to(&place.path().join("bundle"))
            .expect("a directory");
        let bin = place.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let auditor = Auditor { place };
        for name in TOOLS {
            auditor.also_has(name);
        }
        auditor
    }

    /// Gives the machine one more tool.
    pub(crate) fn also_has(&self, name: &str) {
        let path = tool(Command::new("sh").args(["-c", &format!("command -v {name}")]));
        let path = String::from_utf8(path).unwrap();
        symlink(path.trim_end(), self.place.path().join("bin").join(name)).unwrap();
    }

    pub(crate) fn bundle(&self) -> PathBuf {
        self.place.path().join("bundle")
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.bundle().join(file)
    }

    pub(crate) fn text(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).expect(file)
    }

    /// Every file of the bundle, by its path in it.
    pub(crate) fn files(&self) -> Vec<String> {
        fn walk(from: &Path, at: &Path, files: &mut Vec<String>) {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(from, &path, files);
                } else {
                    let path = path.strip_prefix(from).unwrap();
                    files.push(path.to_str().unwrap().to_owned());
                }
            }
        }
        let mut files = Vec::new();
        walk(&self.bundle(), &self.bundle(), &mut files);
        files.sort();
        files
    }

    /// Writes the list of sums again, as an attacker would.
    pub(crate) fn sum_again(&self) {
        let mut sums = Command::new("sh");
        sums.args([
            "-c",
            "rm SHA256SUMS; find . -type f -exec sha256sum {} + >../sums; mv ../sums SHA256SUMS",
        ]);
        tool(sums.current_dir(self.bundle()));
    }

    /// A shell that has the tools, and nothing else of this machine.
    pub(crate) fn shell(&self) -> Command {
        let mut shell = Command::new(self.place.path().join("bin/sh"));
        shell.env_clear().env("PATH", self.place.path().join("bin"));
        shell.current_dir(self.bundle());
        shell
    }

    /// What the script says.
    pub(crate) fn script(&self, arguments: &[&str]) -> Result<String, String> {
        // The auditor's own copy: that of the bundle may be forged.
        let own = self.place.path().join("verify.sh");
        fs::copy(SCRIPT, &own).unwrap();
        said(
            &self
                .shell()
                .arg(own)
                .args(arguments)
                .arg(".")
                .output()
                .unwrap(),
        )
    }

    /// What all the commands of the page say, one after the other.
    pub(crate) fn page(&self) -> Result<String, String> {
        self.commands(|_| true)
    }

    /// What they say without the script.
    pub(crate) fn by_hand(&self) -> Result<String, String> {
        self.commands(|line| line != "sh verify.sh .")
    }

    fn commands(&self, which: impl Fn(&str) -> bool) -> Result<String, String> {
        let page = self.text("VERIFY.md");
        let mut commands = String::from("set -e\n");
        let mut inside = false;
        for line in page.lines() {
            match line {
                "```sh" => inside = true,
                "```" => inside = false,
                line if inside && which(line) => commands.push_str(&format!("{line}\n")),
                _ => {}
            }
        }
        said(&self.shell().args(["-c", &commands]).output().unwrap())
    }

    /// What the script says that is wrong.
    #[track_caller]
    pub(crate) fn objection(&self) -> String {
        self.script(&[]).expect_err("the script has found nothing")
    }
}

fn said(output: &Output) -> Result<String, String> {
    let all = [&*output.stdout, &*output.stderr].concat();
    let all = String::from_utf8(all).expect("text");
    if output.status.success() {
        Ok(all)
    } else {
        Err(all)
    }
}

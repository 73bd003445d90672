//! A private server does not outlive its program, however that ends.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::child::Program;
use crate::processes::{self, assert_gone, descendants, eventually, runs};

/// The supervisor counts its waits, and each takes longer on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn it_ends_when_its_program_is_killed() {
    ended_by("KILL");
}

#[test]
fn it_ends_when_its_program_is_interrupted() {
    ended_by("INT");
}

#[test]
fn it_ends_when_its_program_is_terminated() {
    ended_by("TERM");
}

fn ended_by(signal: &str) {
    let mut program = Program::start("wait", &[]);
    let directory = program.directory();
    program.told("ready");
    let family = descendants(program.child.id());
    assert!(family.len() > 3, "{family:?}");
    program.signal(signal);
    if is_ignored(signal) {
        program.signal("TERM");
    }
    let begun = Instant::now();
    program.wait();
    assert_gone(&directory, &family, LIMIT);
    println!("{signal}: gone after {:?}", begun.elapsed());
}

#[test]
fn a_server_in_a_static_ends_with_its_program() {
    let mut program = Program::start("keep for ever", &[]);
    let directory = program.directory();
    program.told("ready");
    program.wait();
    eventually("the directory is gone", LIMIT, || !directory.exists());
}

#[test]
fn another_child_of_the_program_does_not_keep_it() {
    let mut program = Program::start("wait beside a child", &[]);
    let directory = program.directory();
    let other: u32 = program.told("other").parse().expect("a number");
    program.told("ready");
    let family: Vec<u32> = descendants(program.child.id())
        .into_iter()
        .filter(|pid| *pid != other)
        .collect();
    program.signal("KILL");
    program.wait();
    assert_gone(&directory, &family, LIMIT);
    assert!(runs(other), "the child was to outlive its program");
    processes::signal(other, "TERM");
}

#[test]
fn its_supervisor_ends_it_on_a_signal() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut program = Program::start("wait", &[]);
        let directory = program.directory();
        program.told("ready");
        let family = descendants(program.child.id());
        processes::signal(family[0], signal);
        if is_ignored(signal) {
            // No shell can undo that.
            processes::signal(family[0], "TERM");
        }
        assert_gone(&directory, &family, LIMIT);
    }
}

/// Whether the parent of these tests has this signal ignored, as `nohup` does, and a script with its background
/// processes.
fn is_ignored(signal: &str) -> bool {
    let number = match signal {
        "HUP" => 1,
        "INT" => 2,
        _ => 15,
    };
    let status = fs::read_to_string("/proc/self/status").expect("it is there");
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .expect("it is in it");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("it is a number");
    ignored & 1 << (number - 1) != 0
}

#[test]
fn it_ends_when_its_program_is_killed_while_it_is_made() {
    for delay in [0, 1, 2, 5, 20, 100, 250, 500, 800] {
        let place = Place::new();
        let mut program = Program::start("wait", &[("TMPDIR", place.path())]);
        eventually("a directory is made", LIMIT, || !place.entries().is_empty());
        std::thread::sleep(Duration::from_millis(delay));
        let family = descendants(program.child.id());
        program.signal("KILL");
        let begun = Instant::now();
        program.wait();
        eventually("the directory is gone", LIMIT, || {
            place.entries().is_empty()
        });
        for pid in family {
            eventually(&format!("process {pid} is gone"), LIMIT, || !runs(pid));
        }
        println!(
            "killed {delay} ms after its directory was made: gone after {:?}",
            begun.elapsed()
        );
    }
}

/// A directory that every account may use, as `/tmp` is.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir_in("/tmp").expect("/tmp can be written");
        fs::set_permissions(place.path(), Permissions::from_mode(0o1777)).expect("it is ours");
        Self(place)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.path().to_str().expect("it is text")
    }

    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(self.0.path())
            .expect("it is there")
            .flatten()
            .map(|entry| entry.path())
            .collect()
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        self.0.path()
    }
}

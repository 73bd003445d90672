//! The disk is full: a private server whose files are on a small file system.

use std::env;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use phasegate::testing::{Shutdown, TestPostgres};
use phasegate::{
    Execute, Failure, PhaseTx, Timeouts,
    connect::PostgresConnector,
    runner::{Event, Step},
};

use crate::cases::{Again, Case};
use crate::page;
use crate::pipeline::{Adapter, Draft};
use crate::rule::{before_again, runs_again};
use crate::server::{Database, database_on};

const TASK: &str = "PHASEGATE_FAULT_DISK";

/// Enough for a cluster, its log, and what is tried.
const SIZE: &str = "size=256m";

/// A file system of its own, for as long as this value lives.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new() -> Result<Self, String> {
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(directory.path())
            .output();
        match mount {
            Ok(done) if done.status.success() => {}
            Ok(done) => return Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
            Err(error) => return Err(format!("mount: {error}")),
        }
        let mounted = Mounted(directory);
        fs::set_permissions(mounted.0.path(), Permissions::from_mode(0o1777)).unwrap();
        Ok(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.0.path()).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!(
                "left behind: the file system at {}",
                self.0.path().display()
            );
        }
    }
}

#[test]
fn a_disk_that_is_full_leaves_all_or_nothing() {
    let place = match Mounted::new() {
        Ok(place) => place,
        Err(why) => {
            println!("SKIPPED: a disk that is full: no small file system can be mounted: {why}");
            return;
        }
    };
    // Where a private server puts its files is a matter of the program's environment.
    let done = Command::new(env::current_exe().unwrap())
        .args(["--exact", "disk::is_full", "--ignored", "--nocapture"])
        .env(TASK, "1")
        .env("TMPDIR", place.0.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}\n{errors}");
    let mut lines = page::head(&["what does not fit", "the run returns, journal"]);
    let rows = said.lines().filter_map(|line| line.split_once("cell: "));
    lines.extend(rows.map(|(_, row)| row.to_owned()));
    page::has("disk full", &lines);
}

/// Takes what is left of the disk; dropped, gives it back.
struct Filler(PathBuf);

impl Filler {
    fn new() -> Self {
        let path = env::temp_dir().join("filler");
        let mut file = File::create(&path).unwrap();
        let mut block = vec![7; 1 << 20];
        while !block.is_empty() {
            if file.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
        Filler(path)
    }

    /// Leaves this much room.
    fn leaving(bytes: u64) -> Self {
        let filler = Filler::new();
        let file = File::options().write(true).open(&filler.0).unwrap();
        let full = file.metadata().unwrap().len();
        file.set_len(full - bytes).unwrap();
        filler
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// Inserts its rows, and does something else besides.
struct And(&'static str);

impl Execute<Draft> for And {
    fn execute(&mut self, draft: &Draft, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let done = Adapter.execute(draft, (), tx)?;
        tx.query(self.0, &[])?;
        Ok(done)
    }
}

impl Execute<Again> for And {
    fn execute(
        &mut self,
        again: &Again,
        prior: &u64,
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        Adapter.execute(again, prior, tx)
    }
}

/// How three small rows may end: whether a page that is there has room is not ours to say.
const MAY_BE: [&str; 3] = ["performed, 1", "rolled back, 0", "refused, 0"];

const NOTHING: &str = "SELECT";

/// Eight megabytes that do not compress, in rows that are there already.
const LARGE: &str = "UPDATE ballast SET text = (SELECT string_agg(md5(random()::text || g), '') \
                     FROM generate_series(1, 250000) AS g)";

/// More of the log than its files have room for, and no row.
const LOG: &str = "SELECT count(pg_logical_emit_message(true, 'ballast', repeat('x', 1000000))) \
                   FROM generate_series(1, 150)";

/// Runs only when [`a_disk_that_is_full_leaves_all_or_nothing`] starts it.
#[test]
#[ignore = "a part of another test"]
fn is_full() {
    if env::var(TASK).is_err() {
        return;
    }
    let server = TestPostgres::builder()
        .ignore_database_url()
        .setting("max_wal_size", "32MB")
        .setting("min_wal_size", "32MB")
        .start()
        .unwrap();
    assert!(server.directory().unwrap().starts_with(env::temp_dir()));
    let database = database_on(&server);
    let runner = database.runner.name().to_owned();
    database.sql(&format!(
        "CREATE TABLE ballast (text text); INSERT INTO ballast VALUES (''); \
         GRANT SELECT, UPDATE ON ballast TO {runner}"
    ));
    database.at_commit(&format!(
        "IF new.name LIKE 'at the end%' THEN PERFORM ({LOG}); END IF"
    ));
    let cells = [
        ("rows, in a statement", "rows", LARGE, false),
        ("the log, in a statement", "log", LOG, false),
        ("the log, in the close", "at the end", NOTHING, false),
        (
            "the log, in the close, and the run resolves",
            "at the end, and resolved",
            NOTHING,
            true,
        ),
    ];
    let cases: Vec<Case> = cells
        .iter()
        .map(|(_, name, ..)| Case::admitted(&database, name))
        .collect();
    let small: Vec<Case> = (0..20)
        .map(|number| Case::admitted(&database, &format!("small {number}")))
        .collect();
    for ((what, _, sql, by_run), case) in cells.into_iter().zip(&cases) {
        let judged = filled(&server, &database, case, And(sql), by_run);
        println!("cell: {}", page::row(&[what, &judged]));
    }
    let mut seen = Vec::new();
    for case in &small {
        seen.push(filled(&server, &database, case, And(NOTHING), false));
    }
    assert!(seen.iter().all(|one| MAY_BE.contains(&&**one)), "{seen:?}");
    println!(
        "cell: {}",
        page::row(&["three small rows", &MAY_BE.join(" *or* ")])
    );
    drop(database);
    server.stop().unwrap();
}

/// Performs the case on a disk that fills up when the phase has been opened.
fn filled(
    server: &TestPostgres,
    database: &Database,
    case: &Case,
    adapter: And,
    by_run: bool,
) -> String {
    let direct = database.runner.config();
    database.sql("CHECKPOINT");
    let timeouts = Timeouts::default().resolve(if by_run {
        Duration::from_millis(300)
    } else {
        Duration::ZERO
    });
    let (tell, told) = std::sync::mpsc::channel();
    let runner = case
        .live_by(PostgresConnector::no_tls(direct.clone()), adapter)
        .timeouts(timeouts)
        .observer(move |event| {
            if let Event::Passed {
                step: Step::Opened, ..
            } = event
            {
                tell.send(Filler::leaving(64 << 10)).unwrap();
            }
        });
    let answer = case.perform(runner);
    // A server that could not write its log has ended itself, and needs room to start again.
    drop(told.try_iter().collect::<Vec<_>>());
    server.restart(Shutdown::Immediate).unwrap();
    let mut client = database.admin();
    let judged = before_again(&mut client, &direct, case, answer);
    database.sql("ALTER TABLE item DISABLE TRIGGER at_commit");
    runs_again(&mut client, &direct, case, judged.journalled);
    database.sql("ALTER TABLE item ENABLE TRIGGER at_commit");
    database.sql("VACUUM");
    judged.to_string()
}

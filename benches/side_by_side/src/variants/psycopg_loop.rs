//! The Python program that is being replaced, and its clock.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::work::{Call, Charter, Job, Outcome, Times};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/variants/psycopg_loop.py");

/// One interpreter for all measurements, warm as we are.
pub struct Psycopg {
    child: Child,
    jobs: Option<ChildStdin>,
    times: BufReader<ChildStdout>,
}

impl Psycopg {
    /// Starts `python` with the first `most` rows, which it reads before any clock runs.
    pub fn start(python: &Path, charter: &Charter, most: u64) -> Outcome<Self> {
        let rows = python.with_file_name("rows.jsonl");
        let mut file = BufWriter::new(File::create(&rows)?);
        for input in charter.inputs(Call::Create, most) {
            serde_json::to_writer(&mut file, &input)?;
            writeln!(file)?;
        }
        file.flush()?;
        let mut child = Command::new(python)
            .arg(PROGRAM)
            .arg(rows)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let jobs = child.stdin.take();
        let times = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Psycopg { child, jobs, times })
    }

    pub fn perform(&mut self, job: &Job<'_>, call: Call) -> Outcome<Times> {
        let jobs = self.jobs.as_mut().ok_or("no input")?;
        writeln!(jobs, "{} {} {}", call.function(), job.n, job.site.runner)?;
        let mut line = String::new();
        self.times.read_line(&mut line)?;
        let (connecting, session) = line
            .trim()
            .split_once(' ')
            .ok_or("the Python program failed; see above")?;
        Ok(Times {
            connecting: Duration::from_secs_f64(connecting.parse()?),
            session: Duration::from_secs_f64(session.parse()?),
        })
    }
}

impl Drop for Psycopg {
    fn drop(&mut self) {
        // It ends with its input.
        self.jobs = None;
        let _ = self.child.wait();
    }
}

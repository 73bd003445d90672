//! `watch`: a run, as an auditor sees it from outside.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::super::answer::{self, About, Answer, Failed};
use super::super::args::Watch;
use super::super::change::Change;
use super::super::connect::{Role, client};
use super::super::error::ProgramError;
use super::super::exit;
use super::auditing::digest_of;
use super::{Context, short, stamp};
use crate::base::digest::Digest;
use crate::base::printable::Printable;
use crate::base::timestamp::Timestamp;
use crate::database::{Neighbour, Watched, watched, watched_plan};

/// The time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The longest silence where no terminal is drawn.
const SILENCE: Duration = Duration::from_secs(10);

/// The time over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(30);

/// For how long a lost connection is tried again.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) fn watch(context: &Context<'_>, watch: &Watch) -> Result<Answer, Failed> {
    let mut session = client(Role::Auditor, context.io)?;
    let plan = plan_of(&mut session, watch.plan.as_deref())?;
    let about = || About::digest(plan);
    let mut pace = Pace::default();
    let mut screen = Screen::of(context);
    let mut seen = None;
    let mut said = Instant::now();
    let mut lost = None;
    loop {
        let looked = look(&mut session, plan);
        let run = match looked {
            Ok(run) => run,
            Err(failed) if watch.once || failed.exit() != exit::NO_SERVER => {
                return Err(failed.about(about()));
            }
            Err(failed) => {
                if lost.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    return Err(failed.about(about()));
                }
                context.say(&format!(
                    "no connection, trying again: {}",
                    failed.message()
                ));
                std::thread::sleep(BETWEEN_LOOKS);
                if let Ok(again) = client(Role::Auditor, context.io) {
                    session = again;
                }
                continue;
            }
        };
        lost = None;
        pace.see(&run);
        let state = State::of(&run, &pace, context.name);
        let is_over = run.next.is_none() || run.standing.rejection.is_some();
        let is_new = seen.as_ref() != Some(&state.key);
        if watch.once || is_over {
            screen.clear();
            return Ok(Answer::new(about(), &state.json, state.text()));
        }
        if screen.is_drawn || is_new || said.elapsed() >= SILENCE {
            said = Instant::now();
            let written = if context.json {
                answer::stream("watch", Answer::new(about(), &state.json, ""), context.io)
            } else {
                screen.show(&state)
            };
            if written.is_err() {
                // The reader has closed the stream.
                return Ok(Answer::new(about(), &state.json, ""));
            }
        }
        seen = Some(state.key);
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn plan_of(session: &mut ::postgres::Client, given: Option<&str>) -> Result<Digest, Failed> {
    match given {
        Some(dir) if Path::new(dir).join("plan.json").is_file() => {
            Ok(Change::at(Path::new(dir)).plan()?.digest())
        }
        Some(digits) => digest_of(session, digits),
        None => watched_plan(session)?.ok_or_else(|| {
            ProgramError::NoSuchPlan {
                given: String::new(),
                plans: 0,
            }
            .into()
        }),
    }
}

fn look(session: &mut ::postgres::Client, plan: Digest) -> Result<Watched, Failed> {
    watched(session, plan)?.ok_or_else(|| {
        ProgramError::NoSuchPlan {
            given: short(plan),
            plans: 0,
        }
        .into()
    })
}

/// The rows that were seen, for the rate.
#[derive(Default)]
struct Pace {
    /// The place of the phase, and its session.
    of: Option<(usize, i32)>,
    seen: VecDeque<(SystemTime, u64)>,
}

impl Pace {
    fn see(&mut self, run: &Watched) {
        let of = run
            .holder
            .as_ref()
            .map(|holder| (run.committed, holder.pid));
        let rows = run.holder.as_ref().and_then(|holder| holder.rows);
        let (now, done) = (run.standing.now, rows.map_or(0, |(done, _)| done));
        // Another phase, another session, or another loop of the same phase counts from the beginning.
        if of != self.of || self.seen.back().is_some_and(|(_, before)| done < *before) {
            self.seen.clear();
            self.of = of;
            let since = run.holder.as_ref().and_then(|holder| holder.since);
            self.seen.extend(since.map(|since| (since, 0)));
        }
        self.seen.push_back((now, done));
        let is_old =
            |(at, _): &(SystemTime, u64)| now.duration_since(*at).is_ok_and(|past| past > WINDOW);
        // The first one that is older than the window is where it begins.
        while self.seen.len() > 2 && self.seen.get(1).is_some_and(is_old) {
            self.seen.pop_front();
        }
    }

    /// Returns the rows of a second.
    fn rate(&self) -> Option<f64> {
        let ((began, first), (ended, last)) = (self.seen.front()?, self.seen.back()?);
        let seconds = ended.duration_since(*began).ok()?.as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // shown with no more digits than it has
        let rows = last.saturating_sub(*first) as f64;
        (seconds >= 1.0 && rows > 0.0).then(|| rows / seconds)
    }
}

/// What is shown of a run.
struct State {
    /// What changes when it becomes another state, rather than another number.
    key: String,
    lines: Vec<String>,
    json: Value,
}

impl State {
    fn of(run: &Watched, pace: &Pace, name: &str) -> Self {
        let now = run.standing.now;
        let ends = ends(run, name);
        let mut lines = vec![format!(
            "plan {} of {}: {} of {} phases committed",
            short(run.plan),
            Printable(&run.pipeline),
            run.committed,
            run.phases,
        )];
        let rate = pace.rate();
        let mut rows = Value::Null;
        if let (Some((phase, _)), Some(holder)) = (&run.next, &run.holder) {
            let role = holder.role.as_deref().unwrap_or("unknown");
            lines.push(format!(
                "{}/{} {}: open{}, process {} of {}",
                run.committed + 1,
                run.phases,
                Printable(phase),
                since(holder.since, now),
                holder.pid,
                Printable(role),
            ));
            if let Some((done, total)) = holder.rows {
                let progress = Progress::of(done, total, rate);
                lines.push(progress.to_string());
                rows = json!({
                    "done": done, "total": total, "per_second": rate.map(f64::round),
                    "seconds_left": progress.left.map(|left| left.as_secs()),
                });
            }
        }
        let listed = [("waits for", &run.waits_for), ("holds up", &run.holds_up)];
        for (what, sessions) in listed {
            for session in sessions.iter().take(5) {
                lines.push(format!("{what} {}", described(session, now)));
            }
            if sessions.len() > 5 {
                lines.push(format!("{what} {} more", sessions.len() - 5));
            }
        }
        let until = run.standing.switch_until;
        lines.push(match (&run.standing.switch, until) {
            (Ok(()), Some(until)) => format!(
                "switch ON until {}, {} left (by {}: {})",
                Timestamp::of(until),
                length(until.duration_since(now).unwrap_or_default()),
                Printable(&run.standing.switch_by.0),
                Printable(&run.standing.switch_by.1),
            ),
            (Ok(()), None) => "switch ON".to_owned(),
            (Err(why), _) => format!("switch OFF: {}", Printable(why)),
        });
        lines.push(format!("ends: {ends}"));
        let pids = |sessions: &[Neighbour]| {
            let pids = sessions.iter().map(|session| session.pid.to_string());
            pids.collect::<Vec<_>>().join(",")
        };
        let holder = run.holder.as_ref();
        State {
            key: format!(
                "{} {:?} {} {} {ends}",
                run.committed,
                holder.map(|holder| holder.pid),
                pids(&run.waits_for),
                pids(&run.holds_up),
            ),
            lines,
            json: json!({
                "pipeline": run.pipeline,
                "phases": run.phases,
                "committed": run.committed,
                "last_committed_at": run.last_committed_at.map(stamp),
                "next": run.next.as_ref().map(|(phase, gates)| json!({ "phase": phase, "gates": gates })),
                "holder": holder.map(|holder| json!({
                    "pid": holder.pid, "role": holder.role, "since": holder.since.map(stamp),
                })),
                "rows": rows,
                "waits_for": listed_json(&run.waits_for),
                "holds_up": listed_json(&run.holds_up),
                "switch": { "on": run.standing.switch.is_ok(), "until": until.map(stamp) },
                "ends": ends,
            }),
        }
    }

    fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// The state in one line, for a file.
    fn line(&self, at: SystemTime) -> String {
        format!("{} {}", Timestamp::of(at), self.lines.join("; "))
    }
}

/// How far a phase is.
struct Progress {
    done: u64,
    total: Option<u64>,
    rate: Option<f64>,
    left: Option<Duration>,
}

impl Progress {
    #[allow(clippy::cast_precision_loss)] // shown with no more digits than they have
    fn of(done: u64, total: Option<u64>, rate: Option<f64>) -> Self {
        // Before the first hundredth, a rate says little.
        let left = total
            .filter(|total| done.saturating_mul(100) >= *total)
            .and_then(|total| Some(total.saturating_sub(done) as f64 / rate?))
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Progress {
            done,
            total,
            rate,
            left,
        }
    }
}

impl std::fmt::Display for Progress {
    #[allow(clippy::cast_precision_loss)] // shown with no more digits than they have
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rows {}", self.done)?;
        if let Some(total) = self.total {
            let percent = 100.0 * self.done as f64 / total.max(1) as f64;
            write!(f, " of {total}, {percent:.1} %")?;
        }
        if let Some(rate) = self.rate {
            write!(f, ", {rate:.0} a second")?;
        }
        match self.left {
            Some(left) => write!(f, ", {} left", length(left)),
            None => Ok(()),
        }
    }
}

/// Returns what ends the state that a run is in: one sentence, which always has an answer.
fn ends(run: &Watched, name: &str) -> String {
    let digits = short(run.plan);
    let Some((phase, gates)) = &run.next else {
        return "it has ended: every phase is committed".to_owned();
    };
    let phase = Printable(phase);
    if let Some((by, _)) = &run.standing.rejection {
        return format!(
            "it has ended: {} rejected the plan; make another one",
            Printable(by)
        );
    }
    if run.holder.is_some() {
        if let Some(blocker) = run.waits_for.first() {
            return format!(
                "when {} ends its transaction, or {phase} is rolled back by its lock timeout, and tried again",
                named(blocker)
            );
        }
        return match run.standing.switch_until {
            Some(until) => format!(
                "when {phase} commits or is rolled back, at the latest at the end of the lease, {}; at once: {name} switch off",
                Timestamp::of(until)
            ),
            None => format!("when {phase} commits or is rolled back"),
        };
    }
    if run.valid_until <= run.standing.now {
        return format!(
            "it has ended: the plan expired at {}; make another one",
            Timestamp::of(run.valid_until)
        );
    }
    let lacks = gates.iter().find(|gate| {
        !(run.standing.approvals.iter())
            .any(|given| given.gate == **gate && given.expires > run.standing.now)
    });
    if let Some(gate) = lacks {
        return format!(
            "when an operator admits an approval of {} for {phase}: {name} admit DIR",
            Printable(gate)
        );
    }
    match &run.standing.switch {
        Err(_) => format!(
            "when an operator turns the switch on, and the runner performs plan {digits}: {name} switch on --why REASON"
        ),
        Ok(()) => format!(
            "when the runner performs plan {digits}: no session performs it; the same `run DIR` goes on at {phase}"
        ),
    }
}

fn described(session: &Neighbour, now: SystemTime) -> String {
    let role = session.role.as_deref();
    let role = role
        .map(|role| format!(" of {}", Printable(role)))
        .unwrap_or_default();
    format!("{}{role}{}", named(session), since(session.since, now))
}

fn named(session: &Neighbour) -> String {
    match (session.pid, session.application_name.as_deref()) {
        (0, _) => "a prepared transaction".to_owned(),
        (pid, None | Some("")) => format!("process {pid}"),
        (pid, Some(name)) => format!("process {pid} ({})", Printable(name)),
    }
}

fn listed_json(sessions: &[Neighbour]) -> Vec<Value> {
    let listed = sessions.iter().map(|session| {
        json!({
            "pid": session.pid, "role": session.role,
            "application_name": session.application_name, "since": session.since.map(stamp),
        })
    });
    listed.collect()
}

fn since(since: Option<SystemTime>, now: SystemTime) -> String {
    let past = since.and_then(|since| now.duration_since(since).ok());
    past.map(|past| format!(" for {}", length(past)))
        .unwrap_or_default()
}

/// Returns a length of time in whole seconds.
fn length(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

/// Where the states are shown: redrawn in a terminal, else line by line.
struct Screen<'a> {
    context: &'a Context<'a>,
    is_drawn: bool,
    /// The lines that are shown, which the next state replaces.
    shown: usize,
}

impl<'a> Screen<'a> {
    fn of(context: &'a Context<'a>) -> Self {
        Screen {
            context,
            is_drawn: context.is_drawn(),
            shown: 0,
        }
    }

    fn show(&mut self, state: &State) -> std::io::Result<()> {
        let mut out = self.context.io.out();
        if !self.is_drawn {
            return writeln!(out, "{}", state.line(SystemTime::now()));
        }
        self.clear();
        self.shown = state.lines.len();
        // A line that the terminal wraps would be more than one to clear, so that wrapping is off while it is drawn.
        write!(out, "\x1b[?7l{}\n\x1b[?7h", state.text())?;
        out.flush()
    }

    /// Removes what is shown, so that what comes next stands in its place.
    fn clear(&mut self) {
        if self.shown > 0 {
            // A closed stream shows nothing.
            let _ = write!(self.context.io.out(), "\x1b[{}A\x1b[J", self.shown);
            self.shown = 0;
        }
    }
}

//! Makes valgrind count the instructions of this program, which performs a kind of work a number of times, and twice
//! as many times; the difference is the instructions of the work.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use phasegate::Target;
use postgres::config::Host;
use postgres::{Config, NoTls};

use crate::work::{bare, guarded, in_session, plan_of};
use crate::{Answer, Place};

/// The variable that names the work that is counted.
pub(crate) const WORK: &str = "PHASEGATE_CLIENT_WORK";

/// The number of times that each work is performed; then twice as many.
const TIMES: u32 = 20;

/// Instructions for each time.
pub(crate) struct Counted {
    pub(crate) bare: f64,
    pub(crate) in_session: f64,
    pub(crate) connecting: f64,
    pub(crate) guarded: f64,
}

pub(crate) fn refuse_without_valgrind() -> Answer<()> {
    match Command::new("valgrind").arg("--version").output() {
        Ok(answer) if answer.status.success() => Ok(()),
        _ => Err(
            "valgrind counts the instructions, and does not run here: apt-get install valgrind"
                .into(),
        ),
    }
}

pub(crate) fn instructions(place: &mut Place) -> Answer<Counted> {
    Ok(Counted {
        bare: each(place, "bare")?,
        in_session: each(place, "in_session")?,
        connecting: each(place, "connecting")?,
        guarded: each(place, "guarded")?,
    })
}

fn each(place: &mut Place, work: &str) -> Answer<f64> {
    let once = total(place, work, TIMES)?;
    let twice = total(place, work, 2 * TIMES)?;
    #[allow(clippy::cast_precision_loss)] // some 10^8
    Ok((twice as f64 - once as f64) / f64::from(TIMES))
}

/// What the whole program takes that performs the work so many times, and prepares for twice `TIMES`.
fn total(place: &mut Place, work: &str, times: u32) -> Answer<u64> {
    let first = match work {
        "guarded" => place.admit(2 * TIMES)?,
        _ => 0,
    };
    let (config, target) = (&place.config, &place.target);
    let Some(Host::Unix(directory)) = config.get_hosts().first() else {
        return Err("the server has no Unix socket".into());
    };
    let password = config.get_password().unwrap_or_default();
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let asked = serde_json::json!({
        "work": work, "times": times, "first": first, "directory": directory, "port": port,
        "user": config.get_user(), "password": String::from_utf8_lossy(password),
        "system": target.system_identifier(), "database": target.database(), "role": target.role(),
    });
    let counts = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("callgrind.{work}.{times}"));
    let answer = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(env::current_exe()?)
        .env(WORK, asked.to_string())
        .output()?;
    if !answer.status.success() {
        let said = String::from_utf8_lossy(&answer.stderr).into_owned();
        return Err(format!("callgrind of {work}: {said}").into());
    }
    let text = fs::read_to_string(&counts)?;
    let totals = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: "));
    let totals = totals.ok_or("callgrind counted nothing")?;
    Ok(totals.trim().parse()?)
}

/// Performs the work that is counted.
pub(crate) fn perform(asked: &str) -> Answer<()> {
    let asked: serde_json::Value = serde_json::from_str(asked)?;
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let number = |name: &str| u32::try_from(asked[name].as_u64().unwrap_or_default());
    let mut config = Config::new();
    config
        .host_path(text("directory"))
        .port(u16::try_from(number("port")?)?)
        .user(text("user"))
        .dbname(text("database"));
    if !text("password").is_empty() {
        config.password(text("password"));
    }
    let target = Target::new(text("system"), text("database"), text("role"));
    let (times, first) = (number("times")?, number("first")?);
    match text("work") {
        "bare" => (0..times).try_for_each(|note| bare(&config, note)),
        "in_session" => {
            let mut client = config.connect(NoTls)?;
            (0..times).try_for_each(|note| in_session(&mut client, note))
        }
        "connecting" => (0..times).try_for_each(|_| Ok(config.connect(NoTls)?.close()?)),
        "guarded" => {
            // As many are planned as will ever be performed, so that the difference has none of it.
            let plans = (first..first + 2 * TIMES).map(|note| plan_of(&target, note));
            let plans = plans.collect::<Answer<Vec<_>>>()?;
            let mut notes = plans.into_iter().zip(first..).take(times as usize);
            notes.try_for_each(|(plan, note)| guarded(&config, plan, note).map(drop))
        }
        other => Err(format!("no such work: {other}").into()),
    }
}

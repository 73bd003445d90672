//! The page of tables.

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

use crate::results::{CONNECTING, Of, Results, SESSION, spread};
use crate::site::SETTINGS;
use crate::ways::Way;
use crate::work::Call;

/// The largest document that the loops are asked to write.
const LOOPS_END: u64 = 100_000;

const LOCK: &str = include_str!("../Cargo.lock");

pub fn page(results: &Results, server: &str, took: Duration) -> String {
    let mut page = format!(
        "# Side by side: results\n\n\
         Written by `benches/run`; what is measured, and how, is in [README.md](README.md). Every single measurement is \
         in `side_by_side/results/raw.csv` after a run; the repository does not keep it.\n\n\
         {}\n\n{}\n",
        made(server, took),
        goals(results)
    );
    for (title, of) in [
        ("From connecting to the response to the commit", CONNECTING),
        ("Within the session", SESSION),
    ] {
        for call in Call::BOTH {
            let _ = write!(
                page,
                "## {title}: {}\n\n{}\n",
                call.name(),
                table(results, call, of)
            );
        }
    }
    let missing = results.missing();
    let missing = missing.map(|(n, way)| format!("{} rows by {}", grouped(n), way.label()));
    let missing = missing.collect::<Vec<_>>().join("; ");
    if !missing.is_empty() {
        let _ = writeln!(page, "Left out for want of time: {missing}.\n");
    }
    page + &digest(results) + &memory(results)
}

fn made(server: &str, took: Duration) -> String {
    let crates = ["postgres", "tokio-postgres", "sqlx", "diesel"].map(|name| {
        let at = format!("name = \"{name}\"\nversion = \"");
        let version = LOCK
            .split_once(&at)
            .and_then(|(_, after)| after.split('"').next());
        format!("{name} {}", version.unwrap_or("?"))
    });
    let settings = SETTINGS.map(|(name, value)| format!("`{name} = {value}`"));
    format!(
        "Made on {} in {} s, on {} processors ({}); {server}, on a Unix socket, with {}; {}; psycopg 3.3.9 on {}; {}.",
        says("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        took.as_secs(),
        says("nproc", &[]),
        processor(),
        settings.join(", "),
        says("rustc", &["--version"]),
        says("python3", &["--version"]),
        crates.join(", ")
    )
}

fn says(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or("?".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

fn processor() -> String {
    let known = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = known.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": "));
    model
        .map_or("of an unknown model", |(_, model)| model)
        .to_owned()
}

/// Microseconds for each row, and how many times faster than the loop that is replaced.
fn table(results: &Results, call: Call, of: Of) -> String {
    let scales = results.scales();
    let mut table = "Microseconds for each row: median (least to most), and how many times faster than psycopg's loop.\n\n|  |".to_owned();
    for n in &scales {
        let _ = write!(table, " {} |", grouped(*n));
    }
    let _ = writeln!(table, "\n|---|{}", "---|".repeat(scales.len()));
    for way in Way::ALL {
        let _ = write!(table, "| {} |", way.label());
        for &n in &scales {
            let _ = write!(table, " {} |", cell(results, n, way, call, of));
        }
        table.push('\n');
    }
    if scales.iter().any(|&n| n > LOOPS_END) {
        let end = grouped(LOOPS_END);
        let _ = writeln!(
            table,
            "\n- : not measured. One by one, a million rows would take many minutes: what a row takes psycopg with \
             {end} rows stands for it in the ratios, which are then marked with ~."
        );
    }
    table
}

fn cell(results: &Results, n: u64, way: Way, call: Call, of: Of) -> String {
    let Some(times) = spread(&results.times(n, way, call, of)) else {
        return "-".to_owned();
    };
    let [median, least, most] = times.map(|time| per_row(time, n));
    let spread = if least < most {
        format!(" ({least:.0} to {most:.0})")
    } else {
        String::new()
    };
    let faster = match faster(results, n, way, call, of) {
        Some((ratio, "")) => format!(", **{ratio:.2}**"),
        Some((ratio, mark)) => format!(", {mark}{ratio:.2}"),
        None => String::new(),
    };
    format!("{median:.0}{spread}{faster}")
}

/// How many times faster than psycopg's loop; estimated where that was not measured.
fn faster(results: &Results, n: u64, way: Way, call: Call, of: Of) -> Option<(f64, &'static str)> {
    if let Some(ratio) = results.ratio(n, call, of, Way::Psycopg, way) {
        return Some((ratio, ""));
    }
    let [replaced, ..] = spread(&results.times(LOOPS_END, Way::Psycopg, call, of))?;
    let [median, ..] = spread(&results.times(n, way, call, of))?;
    Some((per_row(replaced, LOOPS_END) / per_row(median, n), "~"))
}

#[allow(clippy::cast_precision_loss)] // a million rows
fn per_row(time: Duration, n: u64) -> f64 {
    time.as_secs_f64() * 1e6 / n as f64
}

/// What was aimed at, and whether it was reached.
fn goals(results: &Results) -> String {
    let mut goals = "## Goals\n\n\
        Ratios of times from connecting to the response to the commit; guards, effects, journal and interlock are \
        included for phasegate and for no other variant. Each is the median of the rounds' own ratios.\n\n\
        | goal | rows | create | enact |\n|---|---|---|---|\n"
        .to_owned();
    let many = |n: &u64| *n >= 1_000;
    let few = |n: &u64| *n == 3;
    let against = |goal: &str, chosen: &dyn Fn(&u64) -> bool, divisor: Way, most: f64| {
        let rows = results.scales().into_iter().filter(chosen);
        rows.fold(String::new(), |table, n| {
            let [create, enact] = Call::BOTH.map(|call| {
                let ratio = results.ratio(n, call, CONNECTING, Way::Phasegate, divisor);
                judged(ratio, "", |ratio| ratio <= most)
            });
            table + &format!("| {goal} | {} | {create} | {enact} |\n", grouped(n))
        })
    };
    goals += &against(
        "no slower than psycopg's loop: 1.00 at most",
        &few,
        Way::Psycopg,
        1.0,
    );
    goals += &against(
        "within 20 % of unguarded set-based SQL by hand: 1.20 at most",
        &many,
        Way::SetBased,
        1.2,
    );
    goals += &against(
        "within 20 % of the limit, which is the same function in the server without guards: 1.20 at most",
        &many,
        Way::InServer,
        1.2,
    );
    if let Some(growth) = growth(results, Way::Phasegate) {
        let judged = judged(Some(growth), "", |growth| growth <= 1.1);
        let _ = writeln!(
            goals,
            "| client memory flat: peak of 1,000,000 rows over that of 100,000, 1.10 at most | | {judged} | |"
        );
    }
    let beside = "\nWhat the guards cost, and what the row calls: set-based SQL by hand in a guarded phase, over the same unguarded; \
        row calls over set-based SQL by hand, and over a loop, all in a guarded phase.\n\n\
        | rows | guards, create | guards, enact | row calls, create | row calls, enact | over a loop, create | over a loop, enact |\n\
        |---|---|---|---|---|---|---|\n";
    goals += beside;
    for n in results.scales() {
        let _ = write!(goals, "| {} |", grouped(n));
        for (dividend, divisor) in [
            (Way::GuardedByHand, Way::SetBased),
            (Way::Phasegate, Way::GuardedByHand),
            (Way::Phasegate, Way::GuardedLoop),
        ] {
            for call in Call::BOTH {
                let ratio = results.ratio(n, call, CONNECTING, dividend, divisor);
                let ratio = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
                let _ = write!(goals, " {ratio} |");
            }
        }
        goals.push('\n');
    }
    goals
}

fn judged(ratio: Option<f64>, mark: &str, passes: impl Fn(f64) -> bool) -> String {
    match ratio {
        None => "not measured".to_owned(),
        Some(ratio) if passes(ratio) => format!("{mark}{ratio:.2}, pass"),
        Some(ratio) => format!("{mark}{ratio:.2}, **falls short**"),
    }
}

fn digest(results: &Results) -> String {
    let mut table = "## Digesting the plan's input\n\n\
        A dry run of one phase whose input holds every row: canonical JSON, read back from it, SHA-256. A live run does it once \
        more, before it connects. The phases measured above name their rows by a digest and stream them instead.\n\n\
        | rows | milliseconds, median (least to most) | microseconds for each row |\n|---|---|---|\n"
        .to_owned();
    for n in results.scales() {
        if let Some(times) = spread(results.digesting(n)) {
            let [median, least, most] = times.map(|time| time.as_secs_f64() * 1e3);
            let _ = writeln!(
                table,
                "| {} | {median:.2} ({least:.2} to {most:.2}) | {:.2} |",
                grouped(n),
                per_row(times[0], n)
            );
        }
    }
    table + "\n"
}

fn growth(results: &Results, way: Way) -> Option<f64> {
    let [few, many] = [100_000, 1_000_000].map(|n| results.peak(n, way));
    #[allow(clippy::cast_precision_loss)] // of a machine's memory, in KiB
    let [few, many] = [few? as f64, many? as f64];
    Some(many / few)
}

fn memory(results: &Results) -> String {
    let mut table = String::new();
    for way in Way::ALL {
        let peaks = [100_000, 1_000_000].map(|n| results.peak(n, way));
        if peaks.iter().any(Option::is_some) {
            let [few, many] = peaks.map(|peak| {
                #[allow(clippy::cast_precision_loss)] // of a machine's memory, in KiB
                peak.map_or("-".to_owned(), |peak| {
                    format!("{:.1}", peak as f64 / 1024.0)
                })
            });
            let grown =
                growth(results, way).map_or("-".to_owned(), |growth| format!("{growth:.2}"));
            let _ = writeln!(table, "| {} | {few} | {many} | {grown} |", way.label());
        }
    }
    if table.is_empty() {
        return table;
    }
    "## Client memory\n\n\
     Peak resident memory (`VmHWM`), in MiB, of a process that does nothing but create and enact these rows, from an \
     iterator, and keeps no answer.\n\n\
     | | 100,000 | 1,000,000 | ratio |\n|---|---|---|---|\n"
        .to_owned()
        + &table
}

/// `1,000,000`
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

//! The cost of the types in compile time: a pipeline of 5, 50 and 500 phases, checked cleanly and again after a
//! change, beside the same code over `postgres::Transaction` without them. `cargo bench --bench compile_time`. It
//! counts processor time, which other programs on the machine hardly change.

#![allow(clippy::print_stdout)]

mod generate;

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use generate::{Crate, Kind, SIZES};

type Answer<T> = Result<T, Box<dyn StdError>>;

/// How often each crate is checked, in turns with the others.
const RUNS: usize = 3;

fn main() -> Answer<()> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_time");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = generate::all();
    lay_out(&place, root, &crates)?;
    // Everything that is not the user's own is there before anything is timed.
    cargo(&place, &["check", "--workspace"])?;

    let mut clean = vec![Vec::new(); crates.len()];
    let mut changed = vec![Vec::new(); crates.len()];
    for run in 0..RUNS {
        for (at, one) in crates.iter().enumerate() {
            let name = one.name();
            cargo(&place, &["clean", "--package", &name])?;
            clean[at].push(cargo(&place, &["check", "--package", &name])?);
            // The body of one phase, in the middle.
            fs::write(source(&place, one), one.text(run + 1))?;
            changed[at].push(cargo(&place, &["check", "--package", &name])?);
        }
    }

    let time = |times: &[Vec<f64>], size: usize, kind: Kind| {
        let at = crates
            .iter()
            .position(|one| one.phases == size && one.kind == kind);
        at.map_or(f64::NAN, |at| median(&times[at]))
    };
    println!(
        "| processor time of `cargo check` | phases | plain | typed | ratio | plain, each phase | typed, each phase |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (what, times) in [("clean", &clean), ("after a change of one body", &changed)] {
        for size in SIZES {
            let [plain, typed] = [Kind::Plain, Kind::Typed].map(|kind| time(times, size, kind));
            let [each_plain, each_typed] = [Kind::Plain, Kind::Typed].map(|kind| {
                #[allow(clippy::cast_precision_loss)] // 500
                let phases = size as f64;
                (time(times, size, kind) - time(times, 0, kind)) / phases * 1e3
            });
            let each = |each: f64| match size {
                0 => String::new(),
                _ => format!("{each:.1} ms"),
            };
            println!(
                "| {what} | {size} | {plain:.2} s | {typed:.2} s | {:.2} | {} | {} |",
                typed / plain,
                each(each_plain),
                each(each_typed)
            );
        }
    }
    println!();
    for (what, times) in [("clean", &clean), ("after a change", &changed)] {
        for (name, kind) in [("plain", Kind::Plain), ("typed", Kind::Typed)] {
            let above = |size| time(times, size, kind) - time(times, 0, kind);
            println!(
                "{what}, {name}: 500 phases take {:.1} times what 50 take, without what no phase takes (linear: 10)",
                above(500) / above(50)
            );
        }
    }
    Ok(())
}

fn lay_out(place: &Path, root: &Path, crates: &[Crate]) -> Answer<()> {
    let members: Vec<String> = crates
        .iter()
        .map(|one| format!("\"{}\"", one.name()))
        .collect();
    fs::create_dir_all(place)?;
    fs::write(
        place.join("Cargo.toml"),
        format!(
            "[workspace]\nresolver = \"3\"\nmembers = [{}]\n",
            members.join(", ")
        ),
    )?;
    fs::copy(root.join("Cargo.lock"), place.join("Cargo.lock"))?;
    for one in crates {
        let source = source(place, one);
        fs::create_dir_all(source.parent().ok_or("a directory")?)?;
        fs::write(&source, one.text(0))?;
        fs::write(
            place.join(one.name()).join("Cargo.toml"),
            format!(
                "[package]\nname = \"{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n\
                 phasegate = {{ path = \"{}\" }}\npostgres = \"0.19\"\nserde = {{ version = \"1\", features = [\"derive\"] }}\n",
                one.name(),
                root.display()
            ),
        )?;
    }
    Ok(())
}

fn source(place: &Path, one: &Crate) -> PathBuf {
    place.join(one.name()).join("src/lib.rs")
}

/// How much processor time cargo and all that it started took, in seconds.
fn cargo(place: &Path, arguments: &[&str]) -> Answer<f64> {
    let answer = Command::new("bash")
        .args(["-c", "TIMEFORMAT='took %U %S'; time cargo \"$@\"", "bash"])
        .args(arguments)
        .arg("--quiet")
        .current_dir(place)
        .env("CARGO_TARGET_DIR", place.join("target"))
        .env("LC_ALL", "C")
        .output()?;
    let said = String::from_utf8_lossy(&answer.stderr);
    if !answer.status.success() {
        return Err(format!("cargo {arguments:?}: {said}").into());
    }
    let took = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("took "));
    let took = took.ok_or("bash did not say how long that took")?;
    let seconds: Result<Vec<f64>, _> = took.split_whitespace().map(str::parse).collect();
    Ok(seconds?.iter().sum())
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

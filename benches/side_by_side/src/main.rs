//! Rows through the IU cutter's own functions, by row calls of phasegate and by everything else, side by
//! side. `benches/run` sets up what it needs and starts it.

mod alone;
mod digesting;
mod picture;
mod report;
mod results;
mod site;
mod variants;
mod ways;
mod work;

#[allow(dead_code, unreachable_pub)] // as the example has it
#[path = "../../../crates/iu-cutter/src/install.rs"]
mod install;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use alone::{ALONE, Measured};
use results::Results;
use site::Server;
use ways::Way;
use work::{Charter, Job, Outcome, Variant};

/// So many rounds of so many rows, by whom. Where time is short the first come first.
struct Scale {
    n: u64,
    rounds: usize,
    ways: &'static [Way],
}

const fn scale(n: u64, rounds: usize, ways: &'static [Way]) -> Scale {
    Scale { n, rounds, ways }
}

/// Those that do not wait for each row: a million rows take them a minute or two.
const FAST: [Way; 4] = [
    Way::Phasegate,
    Way::SetBased,
    Way::InServer,
    Way::GuardedByHand,
];

const FULL: [Scale; 9] = [
    scale(3, 15, &Way::ALL),
    scale(100, 15, &Way::ALL),
    scale(1_000, 7, &Way::ALL),
    scale(10_000, 2, &Way::ALL),
    scale(100_000, 1, &FAST),
    scale(100_000, 1, &[Way::Psycopg, Way::Pipelined]),
    scale(1_000_000, 1, &FAST),
    scale(
        100_000,
        1,
        &[Way::GuardedLoop, Way::Postgres, Way::Diesel, Way::Sqlx],
    ),
    scale(100_000, 2, &FAST),
];

const QUICK: [Scale; 3] = [
    scale(3, 5, &Way::ALL),
    scale(100, 5, &Way::ALL),
    scale(1_000, 3, &Way::ALL),
];

/// What would take longer than this, from the start of the program, is left out, and the page names it. The
/// digests of a million rows, and the build, come on top.
const MINUTES: u64 = 11;

/// From here on each Rust variant has a process of its own, whose memory is then measured.
const ALONE_FROM: u64 = 100_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [first, rest @ ..] if first == ALONE => alone::child(rest),
        [python, place] => compare(python, place, &FULL, MINUTES),
        [python, place, quick] if quick == "--quick" => compare(python, place, &QUICK, MINUTES),
        [python, place, minutes, number] if minutes == "--minutes" => match number.parse() {
            Ok(minutes) => compare(python, place, &FULL, minutes),
            Err(error) => Err(error.into()),
        },
        _ => {
            eprintln!("started by benches/run");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side_by_side: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn compare(python: &str, place: &str, scales: &[Scale], minutes: u64) -> Outcome<()> {
    let place = Path::new(place);
    let (begun, until) = (Instant::now(), Duration::from_mins(minutes));
    let charter = Charter::new();
    let server = Server::start()?;
    let of_psycopg = scales
        .iter()
        .filter(|scale| scale.ways.contains(&Way::Psycopg));
    let most = of_psycopg.map(|scale| scale.n).max().unwrap_or(0);
    let mut variants = BTreeMap::new();
    for way in Way::ALL {
        let variant = match way.variant() {
            Some(variant) => variant,
            None => ways::psycopg(Path::new(python), &charter, most)?,
        };
        variants.insert(way, variant);
    }

    // Once for nothing: then every client has used all that it uses.
    let mut staged = 3;
    server.bare.stage(&charter, staged)?;
    for (way, variant) in &mut variants {
        measure(&server, &charter, 3, *way, &mut **variant)?;
    }

    let mut results = Results::default();
    for Scale { n, rounds, ways } in scales {
        for round in 0..*rounds {
            // No variant is always the first.
            let first = round % ways.len();
            for way in ways[first..].iter().chain(&ways[..first]) {
                let took = begun.elapsed();
                if took + results.expected(*n, *way) > until {
                    eprintln!("{:>4} s: {n} rows, no time for {way:?}", took.as_secs());
                    results.left_out(*n, *way);
                } else if let Some(variant) = variants.get_mut(way) {
                    let (now, of) = (round + 1, rounds);
                    eprintln!(
                        "{:>4} s: {n} rows, round {now} of {of}, {way:?}",
                        took.as_secs()
                    );
                    if *way == Way::InServer && staged != *n {
                        server.bare.stage(&charter, *n)?;
                        staged = *n;
                    }
                    let measured = measure(&server, &charter, *n, *way, &mut **variant)?;
                    results.add(*n, *way, measured);
                }
            }
            results.end_round();
        }
        // Kept if a later one fails.
        fs::write(place.join("raw.csv"), results.raw())?;
    }
    for n in results.scales() {
        for _ in 0..if n < 1_000_000 { 3 } else { 1 } {
            results.digested(n, digesting::digest(&charter, n)?);
        }
    }
    let took = begun.elapsed();
    fs::write(place.join("raw.csv"), results.raw())?;
    let page = report::page(&results, &server.version(), took);
    fs::write(place.join("results.md"), &page)?;
    if let Some(picture) = picture::picture(&results) {
        fs::write(place.join("results.svg"), picture)?;
    }
    println!("{page}");
    Ok(())
}

fn measure(
    server: &Server,
    charter: &Charter,
    n: u64,
    way: Way,
    variant: &mut dyn Variant,
) -> Outcome<Measured> {
    let site = if way.is_guarded() {
        &server.guarded
    } else {
        &server.bare
    };
    let measured = if n >= ALONE_FROM && way != Way::Psycopg {
        alone::in_a_process(way, n, site)
    } else {
        alone::here(variant, &Job { n, charter, site })
    };
    measured.inspect_err(|_| eprintln!("failed: {n} rows by {}", way.label()))
}

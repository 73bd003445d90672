//! Tries weakenings of phasegate: `--all`, `--quick`, `--missing` (those without an outcome), or those that are named.
//! `--control` runs the tests that caught one on the sources as they are; `--page` writes the page again.
#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use phasegate_teeth::{Mutants, Outcome, Results, Trials, Weakening, all, page, root};

fn main() -> ExitCode {
    match run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tries the weakenings that the arguments name; returns whether each was caught, or has a reason why it is not.
fn run(arguments: &[String]) -> Result<bool, String> {
    let root = root();
    let weakenings = all(&root)?;
    let mutants = Mutants::read(&root)?;
    let mut results = Results::read(&root)?;
    results
        .0
        .retain(|id, _| weakenings.iter().any(|one| one.id == *id));
    let named = |one: &Weakening| arguments.contains(&one.id);
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let chosen: Vec<_> = weakenings
        .iter()
        .filter(|one| {
            has("--all")
                || has("--quick") && one.quick
                || has("--missing") && !results.0.contains_key(&one.id)
                || named(one)
        })
        .collect();
    if has("--control") {
        let failed = Trials::begin(&root, true, &weakenings)?.control(&results)?;
        for test in &failed {
            println!("{test}");
        }
        return Ok(failed.is_empty());
    }
    if chosen.is_empty() && !has("--page") && !has("--missing") {
        return Err(
            "name a weakening, or give --all, --missing, --quick, --control or --page".to_owned(),
        );
    }
    // A run of a few does not change what was recorded of all.
    let records = !has("--quick");
    let trials = if chosen.is_empty() {
        None
    } else {
        Some(Trials::begin(&root, records, &weakenings)?)
    };
    let mut all_caught = true;
    for (weakening, trials) in chosen.iter().zip(trials.iter().cycle()) {
        let outcome = trials.try_one(weakening)?;
        println!("{}: {outcome:?}", weakening.id);
        let caught = matches!(outcome, Outcome::Caught(_) | Outcome::RefusedByTheCompiler);
        all_caught &= caught || weakening.survives_because.is_some();
        if records {
            results.0.insert(weakening.id.clone(), outcome);
            results.write(&root)?;
        }
    }
    if records {
        let path = root.join("docs/teeth.md");
        std::fs::write(path, page(&weakenings, &results, &mutants))
            .map_err(|error| error.to_string())?;
    }
    Ok(all_caught)
}

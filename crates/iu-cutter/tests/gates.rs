//! The committed gate table is that of the pipeline. `PHASEGATE_RECORD=1 cargo test -p iu-cutter --test gates` writes it again.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[path = "../src"]
mod example {
    pub mod document;
    pub mod markdown;
    pub mod phases;
    pub mod simulator;
}

// The example names its modules from its root.
use example::{markdown, phases};

use phasegate::{DryRunner, Target, gates::GateTable, gates::GatesFileError};

use example::simulator::Simulator;

fn gates() -> GateTable {
    let name = "charter.md".to_owned();
    let text = include_str!("../charter.md");
    let units = markdown::cut(&name, text, false).unwrap().units;
    let document = phases::Document { name, units };
    DryRunner::new(phases::PIPELINE)
        .target(Target::new("1", "register", "runner"))
        .simulator(Simulator)
        .run(|run, on| phases::cut_and_enact(run, on, &document))
        .unwrap()
        .gates
}

#[test]
fn the_committed_gates_are_those_of_the_pipeline() {
    for file in ["gates.md", "gates.json", "gates.svg", "gates.txt"] {
        if let Err(stale) = gates().compare(file) {
            panic!("{stale}\n{}", stale.hint().unwrap_or_default());
        }
    }
}

#[test]
fn a_stale_copy_is_found_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gates.md");
    let changed = gates().markdown().replace("SG_2", "SG_1");
    std::fs::write(&path, changed).unwrap();
    if std::env::var_os("PHASEGATE_RECORD").is_none() {
        let stale = gates().compare(&path).unwrap_err();
        let GatesFileError::Stale {
            line,
            found,
            expected,
            ..
        } = stale
        else {
            panic!("{stale}");
        };
        assert_eq!(line, 10);
        assert!(found.contains("SG_1") && expected.contains("SG_2"));
    }
}

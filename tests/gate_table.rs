//! The gate table is what the pipeline did: its phases, gates, order, types and tables, in four forms.

#![allow(clippy::unwrap_used)]

mod pipeline;

use phasegate::gates::{GateTable, GatedPhase, GatesFileError, PhaseKind};
use phasegate::prelude::*;
use phasegate::testing::Calls;
use pipeline::{Draft, Simulator};
use serde::{Deserialize, Serialize};

fn dry<W, F>(simulator: W, pipeline: F) -> GateTable
where
    F: for<'run> FnOnce(&mut Run<'run, DryRun, W>, &Switch<'run, DryRun>) -> Result<(), Error>,
{
    let runner = DryRunner::new("items").simulator(simulator);
    let runner = runner.target(Target::new("1", "items", "runner"));
    runner.run(pipeline).unwrap().gates
}

fn items() -> GateTable {
    dry(Simulator, |run, on| {
        pipeline::pipeline(run, on, Draft::of(&["a"])).map(drop)
    })
}

#[test]
fn each_phase_has_gates_order_and_types_of_its_spec() {
    let table = items();
    let rows: Vec<_> = table
        .phases()
        .iter()
        .map(|phase| {
            (
                phase.name(),
                phase.gates().join("+"),
                phase.after().join("+"),
                phase.input(),
                phase.output(),
            )
        })
        .collect();
    let row = |name, gates: &str, after: &str, input, output| {
        (name, gates.to_owned(), after.to_owned(), input, output)
    };
    assert_eq!(
        rows,
        [
            row("draft", "SG_1", "", "Draft", "u64"),
            row("check", "", "draft", "Check", "u64"),
            row("enact", "SG_2", "check", "Enact", "u64"),
            row("publish", "SG_1+SG_2", "draft+enact", "Publish", "()"),
        ]
    );
    assert_eq!(table.phases()[0].kind(), PhaseKind::Transaction);
    let tables: Vec<_> = table.phases()[2]
        .tables()
        .map(|(name, kinds)| (name.to_owned(), kinds.collect::<Vec<_>>()))
        .collect();
    assert_eq!(tables, [("public.item".to_owned(), vec!["updated"])]);
}

#[test]
fn the_input_does_not_change_the_table() {
    let more = dry(Simulator, |run, on| {
        pipeline::pipeline(run, on, Draft::of(&["a", "b", "c"])).map(drop)
    });
    assert_eq!(more, items());
}

/// Several of a type, in regions.
#[derive(Serialize, Deserialize)]
struct Batch(u32);

/// After all of them.
#[derive(Serialize, Deserialize)]
struct Close;

impl PhaseSpec for Batch {
    const NAME: &'static str = "batch";
    type Gate = Sg1;
    type After = Start;
    type Output = Vec<Option<String>>;

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

impl PhaseSpec for Close {
    const NAME: &'static str = "close";
    type Gate = Ungated;
    type After = Vec<Batch>;
    type Output = ();
}

impl Simulate<Batch> for Calls {
    fn simulate(
        &mut self,
        batch: &Batch,
        (): (),
        effects: &mut Effects,
    ) -> Result<Vec<Option<String>>, Failure> {
        effects.insert("public.item", 1);
        if batch.0 == 2 {
            effects.delete("public.old", 1);
        }
        Ok(Vec::new())
    }
}

impl Simulate<Close> for Calls {
    fn simulate(
        &mut self,
        _: &Close,
        _: &[Vec<Option<String>>],
        _: &mut Effects,
    ) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn phases_of_one_type_are_one_row_with_all_their_tables() {
    let table = dry(Calls::new(), |run, on| {
        let mut done = Vec::new();
        for n in 1..=3 {
            let sg1 = run.approval()?;
            done.push(run.phase(Batch(n)).perform(on, sg1, Start)?);
        }
        run.phase(Close).perform(on, Ungated, &done)?;
        Ok(())
    });
    let names: Vec<_> = table.phases().iter().map(GatedPhase::name).collect();
    assert_eq!(names, ["batch[..]", "close"]);
    assert_eq!(table.phases()[0].output(), "Vec<Option<String>>");
    assert_eq!(table.phases()[0].tables().count(), 2);
    assert_eq!(table.phases()[1].after(), ["batch[..]"]);
}

#[test]
fn the_drawing_has_each_phase_gate_and_arrow() {
    let drawn = items().svg();
    for text in [
        ">draft<",
        ">SG_1 and SG_2<",
        ">no gate<",
        ">Check \u{2192} u64<",
    ] {
        assert!(drawn.contains(text), "{text}");
    }
    // From the start, and each of the four `after`; the arrows from gates to boxes have a head.
    assert_eq!(drawn.matches("<path class=\"arrow\" d=").count(), 5);
    assert_eq!(drawn.matches("marker-end").count(), 4);
    // `enact` is between `draft` and `publish`: the long arrow passes it.
    assert!(!drawn.contains("NaN"));
}

#[test]
fn json_and_text_and_markdown_have_the_same_phases() {
    let table = items();
    let json: serde_json::Value = serde_json::from_str(&table.json()).unwrap();
    assert_eq!(json["schema"], "phasegate/gates/1");
    assert_eq!(
        json["phases"][3]["gates"],
        serde_json::json!(["SG_1", "SG_2"])
    );
    for phase in table.phases() {
        assert!(
            table
                .markdown()
                .contains(&format!("| `{}` |", phase.name()))
        );
        assert!(table.to_string().contains(&format!(". {}: ", phase.name())));
    }
}

#[test]
fn a_file_of_another_extension_is_no_copy() {
    let error = items().compare("gates.docx").unwrap_err();
    assert!(matches!(error, GatesFileError::UnknownFormat { .. }));
    assert_eq!(error.code(), "gates_unknown_format");
}

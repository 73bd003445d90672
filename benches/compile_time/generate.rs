//! Writes the crates: the same structs, the same bodies, with the types and without.
//!
//! A long pipeline is split, as one would: a module for each ten phases, with a function that performs them and
//! one trait that says what a performer of them can do. Each phase comes after the one before it.

use std::fmt::Write as _;

/// 0 is what a crate of this kind takes before it has any phase.
pub(crate) const SIZES: [usize; 4] = [0, 5, 50, 500];

/// How many phases a module has at most.
const PART: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Typed,
}

pub(crate) struct Crate {
    pub(crate) kind: Kind,
    pub(crate) phases: usize,
}

pub(crate) fn all() -> Vec<Crate> {
    let each = |phases| [Kind::Plain, Kind::Typed].map(|kind| Crate { kind, phases });
    SIZES.into_iter().flat_map(each).collect()
}

impl Crate {
    pub(crate) fn name(&self) -> String {
        let kind = match self.kind {
            Kind::Plain => "plain",
            Kind::Typed => "typed",
        };
        format!("{kind}_{}", self.phases)
    }

    /// The whole crate; a phase in the middle does what it did before, and `change`.
    pub(crate) fn text(&self, change: usize) -> String {
        let changed = self.phases / 2;
        let mut text = String::from(match self.kind {
            Kind::Plain => PLAIN,
            Kind::Typed => TYPED,
        });
        let parts: Vec<Vec<usize>> = (0..self.phases)
            .collect::<Vec<_>>()
            .chunks(PART)
            .map(<[usize]>::to_vec)
            .collect();
        for (part, phases) in parts.iter().enumerate() {
            let _ = writeln!(text, "pub mod part{part} {{\nuse super::*;");
            for &phase in phases {
                let change = if phase == changed { change } else { 0 };
                text += &match self.kind {
                    Kind::Plain => plain(phase, change),
                    Kind::Typed => typed(phase, change),
                };
            }
            text += &match self.kind {
                Kind::Plain => plain_part(phases),
                Kind::Typed => typed_part(phases),
            };
            text += "}\n";
        }
        text += &match self.kind {
            Kind::Plain => plain_whole(parts.len()),
            Kind::Typed => typed_whole(parts.len()),
        };
        text
    }
}

const PLAIN: &str = "\
use postgres::{Client, Transaction};
use serde::{Deserialize, Serialize};
pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub struct Effects(pub Vec<(&'static str, u64)>);
";

const TYPED: &str = "\
use phasegate::{*, approval::UnsignedApprovals, connect::PostgresConnector, switch::FileSwitch};
use serde::{Deserialize, Serialize};
pub struct Adapter;
pub struct Simulator;
";

/// The spec, which is the same with and without the types.
fn spec(phase: usize) -> String {
    format!(
        "#[derive(Serialize, Deserialize)]\npub struct Spec{phase} {{ pub titles: Vec<String>, pub limit: u32 }}\n\
         pub fn spec{phase}() -> Spec{phase} {{ Spec{phase} {{ titles: vec![\"row {phase}\".to_owned()], limit: {phase} }} }}\n"
    )
}

/// What is done live.
fn body(phase: usize, change: usize) -> String {
    format!(
        "let mut changed = {change};
         for title in spec.titles.iter().take(spec.limit as usize) {{
             changed += tx.execute(\"INSERT INTO t{phase} (title, prior) VALUES ($1, $2)\", &[title, &(prior as i64)])?;
         }}
         Ok(changed)"
    )
}

/// What is predicted dry.
fn prediction(phase: usize) -> String {
    format!(
        "let rows = spec.titles.len() as u64 + prior; effects.insert(\"public.t{phase}\", rows); Ok(rows)"
    )
}

fn plain(phase: usize, change: usize) -> String {
    format!(
        "{}pub fn execute{phase}(spec: &Spec{phase}, prior: u64, tx: &mut Transaction<'_>) -> Result<u64, Error> {{ {} }}\n\
         pub fn simulate{phase}(spec: &Spec{phase}, prior: u64, effects: &mut Effects) -> Result<u64, Error> {{ {} }}\n",
        spec(phase),
        body(phase, change),
        prediction(phase)
            .replace("effects.insert(", "effects.0.push((")
            .replace(", rows);", ", rows));")
    )
}

fn plain_part(phases: &[usize]) -> String {
    let mut text = String::from(
        "pub fn perform(client: &mut Client, dry: bool, effects: &mut Effects, mut prior: u64) -> Result<u64, Error> {\n",
    );
    for phase in phases {
        let _ = writeln!(
            text,
            "let spec = spec{phase}();\n\
             prior = if dry {{ simulate{phase}(&spec, prior, effects)? }} else {{\n\
             let mut tx = client.transaction()?; let done = execute{phase}(&spec, prior, &mut tx)?; tx.commit()?; done }};"
        );
    }
    text + "Ok(prior)\n}\n"
}

fn plain_whole(parts: usize) -> String {
    let mut text = String::from(
        "pub fn pipeline(client: &mut Client, dry: bool) -> Result<u64, Error> {\n\
         let (mut effects, mut prior) = (Effects(Vec::new()), 0);\n",
    );
    for part in 0..parts {
        let _ = writeln!(
            text,
            "prior = part{part}::perform(client, dry, &mut effects, prior)?;"
        );
    }
    text + "prior += effects.0.len() as u64; Ok(prior)\n}\n"
}

fn typed(phase: usize, change: usize) -> String {
    let (after, prior, taken) = if phase == 0 {
        ("Start".to_owned(), "()", "let prior = 0_u64;")
    } else {
        let before = phase - 1;
        let part = before / PART;
        (
            format!("super::part{part}::Spec{before}"),
            "&u64",
            "let prior = *prior;",
        )
    };
    let gate = ["Sg1", "Sg2", "Ungated"][phase % 3];
    let name = if phase == 0 { "(): " } else { "prior: " };
    format!(
        "{}impl PhaseSpec for Spec{phase} {{ const NAME: &'static str = \"phase{phase}\"; type Gate = {gate}; type After = {after}; type Output = u64; }}\n\
         impl Execute<Spec{phase}> for Adapter {{ fn execute(&mut self, spec: &Spec{phase}, {name}{prior}, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {{ {taken} {} }} }}\n\
         impl Simulate<Spec{phase}> for Simulator {{ fn simulate(&mut self, spec: &Spec{phase}, {name}{prior}, effects: &mut Effects) -> Result<u64, Failure> {{ {taken} {} }} }}\n",
        spec(phase),
        body(phase, change),
        prediction(phase)
    )
}

fn typed_part(phases: &[usize]) -> String {
    let bounds: Vec<String> = phases
        .iter()
        .map(|phase| format!("Perform<M, Spec{phase}>"))
        .collect();
    let bounds = bounds.join(" + ");
    let (first, last) = (phases[0], phases[phases.len() - 1]);
    let prior = match first {
        0 => "Start".to_owned(),
        _ => format!(
            "&Receipt<'run, super::part{}::Spec{}, M>",
            (first - 1) / PART,
            first - 1
        ),
    };
    let mut text = format!(
        "pub trait Performs<M: Mode>: {bounds} {{}}\nimpl<M: Mode, W: {bounds}> Performs<M> for W {{}}\n\
         pub fn perform<'run, M: Mode, W: Performs<M>>(run: &mut Run<'run, M, W>, on: &Switch<'run, M>, prior: {prior}) -> Result<Receipt<'run, Spec{last}, M>, Error> {{\n"
    );
    for phase in phases {
        let approved = match phase % 3 {
            2 => "let approved = Ungated;",
            _ => "let approved = run.approval()?;",
        };
        let after = if *phase == first { "prior" } else { "&receipt" };
        let _ = writeln!(
            text,
            "{approved} let receipt = run.phase(spec{phase}()).perform(on, approved, {after})?;"
        );
    }
    text + "Ok(receipt)\n}\n"
}

fn typed_whole(parts: usize) -> String {
    let bounds: Vec<String> = (0..parts)
        .map(|part| format!("part{part}::Performs<M>"))
        .collect();
    let bounds = if bounds.is_empty() {
        "Sized".to_owned()
    } else {
        bounds.join(" + ")
    };
    let mut text = format!(
        "pub fn pipeline<'run, M: Mode, W: {bounds}>(run: &mut Run<'run, M, W>, on: &Switch<'run, M>) -> Result<u64, Error> {{\n"
    );
    for part in 0..parts {
        let (binding, prior) = match part {
            0 => ("receipt".to_owned(), "Start"),
            _ => ("receipt".to_owned(), "&receipt"),
        };
        let _ = writeln!(
            text,
            "let {binding} = part{part}::perform(run, on, {prior})?;"
        );
    }
    text += if parts == 0 {
        "let _ = (run, on); Ok(0)\n}\n"
    } else {
        "Ok(receipt.into_output())\n}\n"
    };
    text + "pub fn rehearse(target: Target) -> Result<Plan, Error> {\n\
         Ok(DryRunner::new(\"long\").target(target).simulator(Simulator).run(|run, on| pipeline(run, on))?.plan)\n}\n\
         pub fn live(plan: Plan, switch: FileSwitch, approvals: UnsignedApprovals, server: PostgresConnector) -> Result<u64, Error> {\n\
         LiveRunner::new(\"long\").plan(plan).kill_switch(switch).authority(approvals).connector(server).adapter(Adapter)\n\
         .run(|run, on| pipeline(run, on)).map(phasegate::runner::LiveReport::into_value)\n}\n"
}

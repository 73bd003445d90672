//! The evidence of a run whose phases are all behind one gate: the processor's time that this process takes to perform
//! them, and to collect, verify and write the evidence, and how much the database keeps of each phase; for 1,000 phases
//! and for 10,000. `cargo bench --bench signed_phases`.

#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::error::Error as StdError;
use std::fs;
use std::time::Duration;

use phasegate::testing::{ScriptedSwitch, SshSigner, TestPostgres};
use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx,
    Run, Sg1, Simulate, Start, Switch, Target,
    approval::ApprovalStatement,
    audit::EvidenceBundle,
    connect::PostgresConnector,
    ssh::{AllowedSigners, GateRule, Policy, SignedApprovals},
};
use postgres::{Client, NoTls};
use serde::{Deserialize, Serialize};

type Outcome<T> = Result<T, Box<dyn StdError>>;

#[derive(Serialize, Deserialize)]
struct Note(usize);

impl PhaseSpec for Note {
    const NAME: &'static str = "note";
    type Gate = Sg1;
    type After = Start;
    type Output = ();

    fn instance(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

struct Notes;

impl Simulate<Note> for Notes {
    fn simulate(&mut self, _: &Note, (): (), _: &mut Effects) -> Result<(), Failure> {
        Ok(())
    }
}

impl Execute<Note> for Notes {
    fn execute(&mut self, _: &Note, (): (), _: &mut PhaseTx<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

fn notes<'run, M: Mode, W: Perform<M, Note>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    phases: usize,
) -> Result<(), Error> {
    for n in 0..phases {
        let sg1 = run.approval()?;
        run.phase(Note(n)).perform(on, sg1, Start)?;
    }
    Ok(())
}

struct Measured {
    phases: usize,
    live: Duration,
    collected: Duration,
    verified: Duration,
    written: Duration,
    bytes: i64,
}

fn main() -> Outcome<()> {
    let all = [measure(1_000)?, measure(10_000)?];
    println!("| phases | live | collected | verified | written | bytes of the schema for each |");
    println!("|---|---|---|---|---|---|");
    for measured in &all {
        let Measured {
            phases,
            live,
            collected,
            verified,
            written,
            bytes,
        } = measured;
        println!(
            "| {phases} | {live:.2?} | {collected:.2?} | {verified:.2?} | {written:.2?} | {bytes} |"
        );
    }
    let [small, large] = &all;
    let times = |of: fn(&Measured) -> Duration| of(large).as_secs_f64() / of(small).as_secs_f64();
    println!(
        "| times | {:.1} | {:.1} | {:.1} | {:.1} | |",
        times(|m| m.live),
        times(|m| m.collected),
        times(|m| m.verified),
        times(|m| m.written)
    );
    Ok(())
}

fn measure(phases: usize) -> Outcome<Measured> {
    let server = TestPostgres::builder().ignore_database_url().start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("runner")?;
    let mut admin = database.admin().connect(NoTls)?;
    let plan = DryRunner::new("bench")
        .target(Target::identify(&mut runner.config().connect(NoTls)?)?)
        .simulator(Notes)
        .run(|run, on| notes(run, on, phases))?
        .plan;
    let _ = operator.admit_plan(&plan)?;
    let ada = SshSigner::new("ada@example.org");
    let rule = GateRule::of([ada.name()]).author_may_approve();
    let policy = Policy::builder().gate::<Sg1>(rule).build()?;
    // A team of twenty, whose keys are all in the evidence.
    let others = (0..19).map(|n| SshSigner::new(&format!("person-{n:02}@example.org")));
    let lines = others.map(|other| other.allowed_signers_line());
    let lines: String = std::iter::once(ada.allowed_signers_line())
        .chain(lines)
        .collect();
    let signers = AllowedSigners::parse(&lines)?;
    let mut approvals = SignedApprovals::new(&plan, policy, signers);
    let statement = ApprovalStatement::for_gate::<Sg1>(&plan)
        .lasting(Duration::from_hours(24))
        .build()?;
    let (text, signature) = ada.sign(&statement)?;
    approvals.add(&text, &signature)?;
    operator.admit_approval(&approvals.attestation("SG_1")?)?;

    let before = size(&mut admin)?;
    let begun = processor()?;
    let done = LiveRunner::new("bench")
        .plan(&plan)
        .kill_switch(ScriptedSwitch::always_on())
        .authority(approvals)
        .connector(PostgresConnector::no_tls(runner.config()))
        .adapter(Notes)
        .run(|run, on| notes(run, on, phases))?;
    let live = since(begun)?;
    assert_eq!(done.performed, phases);
    let bytes = (size(&mut admin)? - before) / i64::try_from(phases)?;

    let begun = processor()?;
    let bundle = EvidenceBundle::collect(&mut admin, plan.digest())?;
    let collected = since(begun)?;
    let begun = processor()?;
    bundle.verify()?;
    let verified = since(begun)?;
    let directory = tempfile::tempdir()?;
    let begun = processor()?;
    bundle.write_to(&directory.path().join("evidence"))?;
    let written = since(begun)?;
    Ok(Measured {
        phases,
        live,
        collected,
        verified,
        written,
        bytes,
    })
}

fn size(admin: &mut Client) -> Outcome<i64> {
    let sizes = "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c \
                 WHERE c.relnamespace = 'phasegate'::regnamespace AND c.relkind IN ('r', 'S')";
    admin.batch_execute("VACUUM")?;
    Ok(admin.query_one(sizes, &[])?.get(0))
}

fn since(begun: Duration) -> Outcome<Duration> {
    Ok(processor()?.saturating_sub(begun))
}

/// Returns how long this thread was on a processor: what others do on the machine does not count.
fn processor() -> Outcome<Duration> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = statistics.split(' ').next().unwrap_or_default();
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

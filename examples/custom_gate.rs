//! A custom gate and a policy for it, with signed approvals: `cargo run --example custom_gate`.
//!
//! Two of three people have to approve, and the author of the plan is not one of them. They sign
//! with SSH keys; here `SshSigner` stands for `ssh-keygen -Y sign`.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use phasegate::prelude::*;
use phasegate::testing::{SshSigner, TestPostgres};
use phasegate::{
    adapter_fn,
    approval::{AdmittedApprovals, ApprovalStatement},
    connect::PostgresConnector,
    ssh::{AllowedSigners, GateRule, Policy, SignedApprovals},
    switch::LeaseSwitch,
};
use postgres::NoTls;
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_hours(1);

/// The data protection officers agree. A gate is a type without values; its name is what people
/// approve.
enum Privacy {}

impl Gate for Privacy {
    const NAME: &'static str = "PRIVACY";
}

/// Deletes the visitors of a year.
#[derive(Serialize, Deserialize)]
struct ForgetVisitors {
    year: i32,
}

impl PhaseSpec for ForgetVisitors {
    const NAME: &'static str = "forget_visitors";
    type Gate = Privacy; // `And<Sg1, Privacy>` would need both
    type After = Start;
    type Output = u64;

    fn summary(&self) -> String {
        format!("deletes the visitors of {}", self.year)
    }
}

fn pipeline<'run, M: Mode, W: Perform<M, ForgetVisitors>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<u64, Error> {
    let privacy = run.approval::<Privacy>()?;
    let spec = ForgetVisitors { year: 2019 };
    Ok(run.phase(spec).perform(on, privacy, Start)?.into_output())
}

/// Deletes the visitors, live and in the rehearsal.
fn forget(spec: &ForgetVisitors, (): (), tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
    Ok(tx.execute("DELETE FROM visitor WHERE year = $1", &[&spec.year])?)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = TestPostgres::find_or_start()?;
    let database = server.create_database()?;
    let mut operator = database.install()?;
    let runner = database.create_runner("forgetting")?;
    let mut admin = database.admin().connect(NoTls)?;
    admin.batch_execute(&format!(
        "CREATE TABLE visitor (name text, year integer);
         INSERT INTO visitor SELECT 'visitor ' || n, 2015 + n % 10 FROM generate_series(1, 100) AS n;
         SELECT phasegate.protect('visitor');
         GRANT SELECT, DELETE ON visitor TO {}",
        runner.name()
    ))?;
    let connector = || PostgresConnector::no_tls(runner.config());

    let plan = RehearsalRunner::new("privacy")
        .author("grace")
        .connector(connector())
        .adapter(adapter_fn(forget))
        .run(pipeline)?
        .plan;
    println!("{plan}");

    // The policy is usually a file, `policy.json`, and the keys are in `allowed_signers`.
    let policy = Policy::builder()
        .gate::<Privacy>(
            GateRule::of(["ada", "grace", "mary"])
                .needs(2)
                .longest_life(HOUR),
        )
        .build()?;
    let people = ["ada", "grace", "mary"].map(SshSigner::new);
    let lines: String = people.iter().map(SshSigner::allowed_signers_line).collect();
    let mut approvals = SignedApprovals::new(&plan, policy, AllowedSigners::parse(&lines)?);
    for person in &people {
        // In a shell: ssh-keygen -Y sign -n phasegate -f ~/.ssh/id_ed25519 approvals/PRIVACY.json
        let statement = ApprovalStatement::for_gate::<Privacy>(&plan).lasting(HOUR);
        let (text, signature) = person.sign(&statement.comment("read the plan").build()?)?;
        match approvals.add(&text, &signature) {
            Ok(()) => println!("{} signed", person.name()),
            Err(refused) => {
                println!("{} signed: {refused}", person.name());
                if let Some(hint) = refused.hint() {
                    println!("  hint: {hint}");
                }
            }
        }
        match approvals.attestation("PRIVACY") {
            Ok(_) => println!("  PRIVACY is approved"),
            Err(denied) => {
                println!("  {denied}");
                if let Some(hint) = denied.hint() {
                    println!("  hint: {hint}");
                }
            }
        }
    }

    // The operator admits what was verified, which is all that the role of the run can read.
    println!("\n{}", operator.admit_plan(&plan)?);
    operator.admit_approval(&approvals.attestation("PRIVACY")?)?;
    let ran = LiveRunner::new("privacy")
        .plan(plan)
        .kill_switch(LeaseSwitch::new(connector()))
        .authority(AdmittedApprovals::through(connector()))
        .connector(connector())
        .adapter(adapter_fn(forget))
        .run(pipeline)?;
    println!("{ran}; visitors deleted: {}", ran.value);
    assert_eq!(ran.value, 10);
    Ok(())
}

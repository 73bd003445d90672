//! Names come from people. None of them is a path, a command, or an end of anything.

use phasegate::{
    DryRunner, Effects, Error, Execute, Failure, Gate, LiveRunner, Mode, Perform, PhaseSpec,
    PhaseTx, Run, Simulate, Start, Switch,
    ssh::{GateRule, Policy},
};
use serde::{Deserialize, Serialize};

use super::Signed;
use super::auditor::Auditor;
use super::signing::{HandsOut, People, Rules};

const COMMAND: &str = "../../x';touch pwned;'$(touch pwned)`touch pwned`\"|\\\n";

struct Evil;

impl Gate for Evil {
    const NAME: &'static str =
        "../..';touch pwned;'$(touch pwned)`touch pwned`\"\\, {\"gate\": \"x\", \"nonce\": ```";
}

#[derive(Serialize, Deserialize)]
struct Quiet;

impl PhaseSpec for Quiet {
    const NAME: &'static str = "../p';touch pwned;'$(touch pwned)`touch pwned`\"opened_at\": \"2001-01-01T00:00:00+00:00\"";
    type Gate = Evil;
    type After = Start;
    type Output = String;
}

struct Speaks;

impl Simulate<Quiet> for Speaks {
    fn simulate(&mut self, _: &Quiet, (): (), _: &mut Effects) -> Result<String, Failure> {
        Ok(COMMAND.to_owned())
    }
}

impl Execute<Quiet> for Speaks {
    fn execute(&mut self, _: &Quiet, (): (), _: &mut PhaseTx<'_>) -> Result<String, Failure> {
        Ok(format!(
            "{COMMAND}\", \"digests\": null, {{\"gate\": \"SG_1\", \"plan\": \"x\""
        ))
    }
}

fn quiet<'run, M: Mode, W: Perform<M, Quiet>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
) -> Result<String, Error> {
    let evil = run.approval()?;
    Ok(run.phase(Quiet).perform(on, evil, Start)?.into_output())
}

#[test]
fn no_name_leaves_the_directory_or_reaches_the_shell() {
    let pipeline = "../l';touch pwned;'$(touch pwned)`touch pwned`";
    // What OpenSSH takes as the name of a principal: no blank, quote or comma.
    let approver = "-n';touch${IFS}pwned;'$(touch${IFS}pwned)`touch${IFS}pwned`/../..\\";
    let database = crate::server::database();
    let dry = DryRunner::new(pipeline)
        .target(database.target.clone())
        .simulator(Speaks);
    let plan = dry.run(quiet).expect("a dry run").plan;
    let _ = database.operator().admit_plan(&plan).unwrap();
    let people = People::new(&[approver]);
    let rule = GateRule::of([approver]).author_may_approve();
    let policy = Policy::builder().gate::<Evil>(rule).build().unwrap();
    let rules = Rules {
        policy: policy.to_json(),
        allowed_signers: people.allowed_signers(""),
        revoked_keys: None,
    };
    let approval = people.approve(&plan, Evil::NAME, &[approver], &rules);
    database.operator().admit_approval(&approval).unwrap();
    let _ = LiveRunner::new(pipeline)
        .plan(plan.clone())
        .kill_switch(phasegate::testing::ScriptedSwitch::always_on())
        .authority(HandsOut(vec![approval]))
        .connector(database.connector())
        .adapter(Speaks)
        .run(quiet)
        .expect("a live run");
    let bundle = Signed {
        database,
        plan,
        people,
        rules,
    }
    .collect();
    bundle.verify().expect("it is consistent");
    let auditor = Auditor::with(&bundle);
    // What would be done, could be done.
    auditor.also_has("touch");
    let said = auditor.script(&[]).expect("the script");
    assert!(said.contains(approver), "{said}");
    let said = auditor.page().expect("the page");
    assert!(said.contains("Good \"phasegate\" signature"), "{said}");
    let files = auditor.files();
    assert_eq!(files.len(), 5 + 5 + 2, "{files:?}");
    for file in &files {
        let safe = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
        assert!(file.chars().all(safe) && !file.contains(".."), "{file}");
    }
    let beside: Vec<_> = std::fs::read_dir(auditor.path("..")).unwrap().collect();
    assert_eq!(beside.len(), 3, "{beside:?}");
}

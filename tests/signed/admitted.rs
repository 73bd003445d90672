//! Who performs a plan needs no keys and no policy: what an operator has admitted stands in the database.

use phasegate::testing::{ScriptedSwitch, SshSigner, TripwireAdapter};
use phasegate::{
    Error, LiveRunner, Plan, Receipt, Sg2, Ungated,
    approval::{AdmittedApprovals, ApprovalStatement, Evidence, UnsignedApprovals},
    audit::Journal,
    connect::{Connector, PostgresConnector},
    error::{ApprovalRefusal, Refusal, RefusalReason},
    runner::ReadyRunner,
};
use postgres::NoTls;

use crate::pipeline::{Adapter, Check, Draft, Enact, pipeline};
use crate::server::{Database, PIPELINE, all, database, drafting, drafting_plan, refusal};
use crate::{HOUR, admit, all_sign, anyone, signers};

/// A live run that has nothing but what an operator has admitted.
fn by_what_was_admitted<W>(
    database: &Database,
    plan: &Plan,
    adapter: W,
) -> ReadyRunner<ScriptedSwitch, AdmittedApprovals, PostgresConnector, W> {
    LiveRunner::new(PIPELINE)
        .plan(plan.clone())
        .kill_switch(ScriptedSwitch::always_on())
        .authority(AdmittedApprovals::through(database.connector()))
        .connector(database.connector())
        .adapter(adapter)
}

#[test]
fn a_plan_is_performed_by_what_was_admitted_of_it() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = database.plan(&draft);
    let (ada, grace) = (SshSigner::new("ada"), SshSigner::new("grace"));
    let approvals = all_sign(&plan, &[&ada, &grace]);
    admit(&database, &plan, &approvals);
    let live = || by_what_was_admitted(&database, &plan, Adapter);
    assert_eq!(
        live()
            .run(|run, on| pipeline(run, on, draft.clone()))
            .unwrap()
            .value,
        1
    );
    assert_eq!(
        live()
            .run(|run, on| pipeline(run, on, draft.clone()))
            .unwrap()
            .value,
        1
    );
    assert_eq!(database.items(), all(&["a"], "published"));
    let journal = Journal::read(&mut database.admin(), plan.digest()).unwrap();
    for entry in journal.verify().unwrap() {
        for spent in &entry.approvals {
            let approved = approvals.attestation(&spent.gate).unwrap();
            assert_eq!(spent.digests, approved.evidence().map(Evidence::digests));
            assert_eq!(spent.nonce, approved.statement().nonce);
            assert_eq!(spent.approver, approved.approver());
        }
    }
}

#[test]
fn an_unadmitted_approval_is_denied_with_who_admits_it() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let _ = database.operator().admit_plan(&plan).unwrap();
    let live = by_what_was_admitted(&database, &plan, TripwireAdapter);
    let answer = live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let denied = reason(refusal(answer));
    let (said, hint) = (denied.to_string(), denied.hint().unwrap());
    assert!(said.contains("no approval of gate `SG_1`"), "{said}");
    assert!(hint.contains("Operator::admit_approval"), "{hint}");
}

#[test]
fn an_unadmitted_plan_and_another_role_are_distinguished() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let denied = |authority: AdmittedApprovals| {
        let live = LiveRunner::new(PIPELINE)
            .plan(plan.clone())
            .kill_switch(ScriptedSwitch::always_on())
            .authority(authority)
            .connector(database.connector())
            .adapter(TripwireAdapter);
        let answer = live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        let denied = reason(refusal(answer));
        format!("{denied}; {}", denied.hint().unwrap())
    };
    let text = denied(AdmittedApprovals::through(database.connector()));
    assert!(text.contains("is not admitted in the database"), "{text}");
    assert!(text.contains("Operator::admit_plan"), "{text}");

    let ada = SshSigner::new("ada");
    admit(&database, &plan, &all_sign(&plan, &[&ada]));
    // Another runner is not told what was admitted.
    let other = database.role("other");
    database.sql(&format!("GRANT phasegate_runner TO {}", other.name()));
    let text = denied(AdmittedApprovals::through(PostgresConnector::no_tls(
        other.config(),
    )));
    let said = format!(
        "is read as role `{}`, and the plan is for role `{}`",
        other.name(),
        database.runner.name()
    );
    assert!(text.contains(&said), "{text}");
    // An auditor may read it, and is no reason to deny.
    let auditor = database.role("auditor");
    database.sql(&format!("GRANT phasegate_auditor TO {}", auditor.name()));
    let authority = AdmittedApprovals::through(PostgresConnector::no_tls(auditor.config()));
    let answer = LiveRunner::new(PIPELINE)
        .plan(plan.clone())
        .kill_switch(ScriptedSwitch::always_on())
        .authority(authority)
        .connector(database.connector())
        .adapter(Adapter)
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    assert_eq!(answer.unwrap().value, 1);
}

fn reason(refused: Refusal) -> ApprovalRefusal {
    match refused.into_reason() {
        RefusalReason::Approval { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn a_gate_may_be_approved_while_earlier_phases_are_performed() -> Result<(), Error> {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = database.plan(&draft);
    let ada = SshSigner::new("ada");
    let all = all_sign(&plan, &[&ada]);
    let approve = |gate| {
        let approval = all.attestation(gate).unwrap();
        database.operator().admit_approval(&approval).unwrap();
    };
    let _ = database.operator().admit_plan(&plan).unwrap();
    approve("SG_1");
    let live = by_what_was_admitted(&database, &plan, Adapter);
    let ran = live.run(|run, on| {
        let drafted = drafting(run, on, &draft)?;
        let checked = run.phase(Check).perform(on, Ungated, &drafted)?;
        assert!(run.approval::<Sg2>().is_err(), "it is not approved");
        approve("SG_2");
        let sg2 = run.approval()?;
        let enacted = run.phase(Enact).perform(on, sg2, &checked)?;
        let both = run.approval()?.and(run.approval()?);
        run.phase(crate::pipeline::Publish)
            .perform(on, both, (&drafted, &enacted))?;
        Ok(())
    });
    ran.map(phasegate::runner::LiveReport::into_value)
}

#[test]
fn a_rejection_that_was_admitted_denies_with_its_reason() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let ada = SshSigner::new("ada");
    admit(&database, &plan, &all_sign(&plan, &[&ada]));
    let mut approvals =
        phasegate::ssh::SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let no = ApprovalStatement::for_gate_named("SG_1", &plan)
        .rejecting()
        .lasting(HOUR);
    let (text, signature) = ada.sign(&no.comment("too late").build().unwrap()).unwrap();
    approvals.add(&text, &signature).unwrap();
    for rejection in approvals.rejections() {
        let _ = database
            .operator()
            .admit_rejection(&rejection, std::time::Duration::from_secs(2))
            .unwrap();
    }
    let live = by_what_was_admitted(&database, &plan, TripwireAdapter);
    let answer = live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let reason = reason(refusal(answer));
    let rejected = matches!(&reason, ApprovalRefusal::Rejected { by, comment } if by == "ada" && comment == "too late");
    assert!(rejected, "{reason}");
}

#[test]
fn a_database_that_cannot_be_asked_means_no() {
    struct Nowhere;
    impl Connector for Nowhere {}
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let live = database.live_by(plan, TripwireAdapter);
    let live = live.authority(AdmittedApprovals::through(Nowhere));
    let answer = live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
    let denied = reason(refusal(answer)).to_string();
    assert!(denied.contains("cannot be read"), "{denied}");
}

#[test]
fn an_unsigned_approval_is_read_as_unsigned() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let mut unsigned = UnsignedApprovals::new();
    unsigned.approve::<phasegate::Sg1>(&plan, "ada", "by word of mouth", HOUR);
    let mut operator = database.operator();
    let _ = operator.admit_plan(&plan).unwrap();
    operator
        .admit_approval(&unsigned.attestations()[0])
        .unwrap();
    drop(operator);
    let live = by_what_was_admitted(&database, &plan, Adapter);
    let _ = live
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .unwrap();
    let journal = Journal::read(&mut database.admin(), plan.digest()).unwrap();
    let entries = journal.verify().unwrap();
    assert_eq!(entries[0].approvals[0].digests, None);
    assert_eq!(entries[0].approvals[0].comment, "by word of mouth");
}

#[test]
fn the_runner_admits_nothing_and_reads_what_was_admitted() {
    let database = database();
    let mut runner = database.runner.config().connect(NoTls).unwrap();
    for statement in [
        "SELECT phasegate.admit_plan('')",
        "SELECT phasegate.admit_approval('n', '', 'SG_1', 'me', 'infinity', '')",
        "SELECT phasegate.admit_approval('n', '', 'SG_1', 'me', 'infinity', '', '{}', 'approve')",
        "SELECT phasegate.admit_rejection('n', '', 'SG_1', 'me', 'infinity', '', '{}', 'reject')",
        "SELECT phasegate.ensure_evidence('{}', 'approve', '', 'SG_1', 'me', 'infinity')",
        "SELECT phasegate.ensure_not_rejected('')",
        "SELECT * FROM phasegate.rejection",
        "DELETE FROM phasegate.rejection",
        "INSERT INTO phasegate.rejection VALUES ('n', '', 'me', '', NULL)",
        "SELECT * FROM phasegate.approval",
        "UPDATE phasegate.approval SET expires = 'infinity'",
    ] {
        let refused = runner.batch_execute(statement).unwrap_err();
        assert_eq!(
            refused.code().map(postgres::error::SqlState::code),
            Some("42501"),
            "{statement}: {refused}"
        );
    }
    runner
        .batch_execute("SELECT * FROM phasegate.approvals_of('')")
        .unwrap();
}

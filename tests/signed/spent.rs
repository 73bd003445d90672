//! An approval is spent in the transaction of the phase that it allows, and only once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use phasegate::testing::SshSigner;
use phasegate::{
    Error, Failure, Receipt, Sg1,
    approval::{ApprovalRequest, ApprovalStatement, Attestation, Authority, Denied},
    audit::Journal,
    error::{ApprovalRefusal, RefusalReason},
    ssh::SignedApprovals,
};

use crate::pipeline::Draft;
use crate::server::{Database, all, database, does, drafting, drafting_plan, refusal};
use crate::{HOUR, admit, all_sign, anyone, signers};

fn spent(database: &Database) -> i64 {
    database.ask("SELECT count(*) FROM phasegate.approval_spent")
}

#[test]
fn an_approval_is_spent_by_a_commit_and_not_by_a_rollback() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let (ada, grace) = (SshSigner::new("ada"), SshSigner::new("grace"));
    let approvals = || all_sign(&plan, &[&ada, &grace]);
    let first = approvals();
    admit(&database, &plan, &first);
    let calls = AtomicUsize::new(0);
    let run = |approvals: SignedApprovals, fails: bool| {
        let adapter = does(|draft, tx| {
            calls.fetch_add(1, Ordering::Relaxed);
            let done = tx.execute("INSERT INTO item VALUES ($1, 'draft')", &[&draft.rows[0]])?;
            if fails {
                Err(Failure::new("not now"))
            } else {
                Ok(done)
            }
        });
        let live = database.live_by(plan.clone(), adapter).authority(approvals);
        live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    };
    let nonce = first.attestation("SG_1").unwrap().statement().nonce.clone();
    let again = || {
        let mut again = SignedApprovals::new(&plan, policy_of(&first), signers(&[&ada, &grace]));
        for one in &first
            .attestation("SG_1")
            .unwrap()
            .evidence()
            .unwrap()
            .statements
        {
            again
                .add(one.statement.as_bytes(), one.signature.as_bytes())
                .unwrap();
        }
        again
    };
    let answer = run(again(), true);
    assert!(matches!(answer, Err(Error::RolledBack(_))), "{answer:?}");
    assert_eq!(spent(&database), 0);
    assert_eq!(run(again(), false).unwrap().value, 1);
    assert_eq!(spent(&database), 1);
    // The same statements, and others for the same gate: what is committed is not performed again.
    let others = approvals();
    admit(&database, &plan, &others);
    for approvals in [again(), others] {
        assert_eq!(run(approvals, false).unwrap().value, 1);
        assert_eq!(spent(&database), 1);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    let journal = Journal::read(&mut database.admin(), plan.digest()).unwrap();
    let entries = journal.verify().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].approvals[0].nonce, nonce);
    assert_eq!(database.items(), all(&["a"], "draft"));
}

fn policy_of(approvals: &SignedApprovals) -> phasegate::ssh::Policy {
    let attestation = approvals.attestation("SG_1").unwrap();
    phasegate::ssh::Policy::from_json(attestation.evidence().unwrap().policy.as_bytes()).unwrap()
}

#[test]
fn of_runners_that_race_one_spends_it() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let ada = SshSigner::new("ada");
    let (signers, policy) = (signers(&[&ada]), anyone(&[&ada]));
    let statement = ApprovalStatement::for_gate::<Sg1>(&plan)
        .lasting(HOUR)
        .build()
        .unwrap();
    let (text, signature) = ada.sign(&statement).unwrap();
    let approvals = || {
        let mut approvals = SignedApprovals::new(&plan, policy.clone(), signers.clone());
        approvals.add(&text, &signature).unwrap();
        approvals
    };
    admit(&database, &plan, &approvals());
    let calls = AtomicUsize::new(0);
    let race = || {
        let adapter = does(|draft, tx| {
            calls.fetch_add(1, Ordering::Relaxed);
            Ok(tx.execute("INSERT INTO item VALUES ($1, 'draft')", &[&draft.rows[0]])?)
        });
        let live = database
            .live_by(plan.clone(), adapter)
            .authority(approvals());
        live.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
    };
    std::thread::scope(|scope| {
        let runners: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
        for runner in runners {
            assert_eq!(runner.join().unwrap().unwrap().value, 1);
        }
    });
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(spent(&database), 1);
    assert_eq!(database.items(), all(&["a"], "draft"));
}

#[test]
fn one_that_is_admitted_for_one_plan_is_spent_by_no_other() {
    let database = database();
    let drafts = [Draft::of(&["a"]), Draft::of(&["b"])];
    let plans = drafts
        .each_ref()
        .map(|draft| drafting_plan(&database.target, draft));
    let ada = SshSigner::new("ada");
    let approvals = all_sign(&plans[0], &[&ada]);
    admit(&database, &plans[0], &approvals);
    let approved = approvals.attestation("SG_1").unwrap();
    let _ = database.operator().admit_plan(&plans[1]).unwrap();
    // By a custom authority, so that the attestation reaches the database.
    let authority = Says(move |request: &ApprovalRequest<'_>| {
        let mut statement = approved.statement().clone();
        statement.plan = request.plan();
        statement
    });
    let live = database.live_by(plans[1].clone(), does(|_, _| Ok(1)));
    let answer = live
        .authority(authority)
        .run(|run, on| drafting(run, on, &drafts[1]).map(Receipt::into_output));
    not_admitted(answer);
    assert_eq!(spent(&database), 0);
}

#[test]
fn an_approval_expires_by_the_servers_clock_not_the_runners() {
    let database = database();
    let draft = Draft::of(&["a"]);
    let plan = drafting_plan(&database.target, &draft);
    let ada = SshSigner::new("ada");
    let brief = ApprovalStatement::for_gate::<Sg1>(&plan).lasting(Duration::from_secs(2));
    let brief = brief.build().unwrap();
    let mut approvals = SignedApprovals::new(&plan, anyone(&[&ada]), signers(&[&ada]));
    let (text, signature) = ada.sign(&brief).unwrap();
    approvals.add(&text, &signature).unwrap();
    admit(&database, &plan, &approvals);
    database.until("the approval is over", |database| {
        database.ask("SELECT bool_and(expires <= clock_timestamp()) FROM phasegate.approval")
    });
    let statement = brief.clone();
    let authority = Says(move |_: &ApprovalRequest<'_>| {
        let mut late = statement.clone();
        late.expires += HOUR;
        late
    });
    let live = database.live_by(plan.clone(), does(|_, _| Ok(1)));
    let answer = live.authority(authority);
    not_admitted(answer.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output)));
    // Nor is it admitted any more, by an operator whose clock is behind.
    let behind = approvals.by_clock(move || brief.valid_from);
    let approval = behind.attestations().unwrap().remove(0);
    let refused = database
        .operator()
        .admit_approval(&approval)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("the approval expired at"), "{refused}");
    assert_eq!(spent(&database), 0);
}

/// Returns the attestation of its closure.
struct Says<F>(F);

impl<F: FnMut(&ApprovalRequest<'_>) -> ApprovalStatement> Authority for Says<F> {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        Ok(Attestation::assert_verified((self.0)(request), "ada"))
    }
}

#[track_caller]
fn not_admitted<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let refused = refusal(answer);
    let RefusalReason::Approval { reason, .. } = refused.reason() else {
        panic!("{refused}");
    };
    assert!(matches!(reason, ApprovalRefusal::NotAdmitted), "{reason}");
}

//! The evidence of a run: verified by tools that every auditor has; every change of it is detected.
#![allow(clippy::unwrap_used)]

#[path = "../pipeline/mod.rs"]
mod pipeline;
#[path = "../server/mod.rs"]
mod server;

mod auditor;
mod browser;
mod inputs;
mod judged_again;
mod names;
mod report;
mod runs;
mod signing;
mod stopped;
mod tampering;
mod written;

use phasegate::{
    Plan, RehearsalRunner, Sg1, Sg2,
    audit::EvidenceBundle,
    plan::{PlanInputs, ProgramIdentity},
    ssh::{GateRule, Policy},
};
use postgres::NoTls;

use pipeline::{Adapter, Draft, pipeline};
use server::{Database, database};
use signing::{HandsOut, People, Rules};

/// A policy by which two people approve `SG_1`, and another one `SG_2`.
fn policy() -> String {
    let any_of = |names: &[&str]| GateRule::of(names.iter().copied()).author_may_approve();
    let policy = Policy::builder()
        .gate::<Sg1>(any_of(&["ada@example.org", "bob", "eve"]).needs(2))
        .gate::<Sg2>(any_of(&["cat"]).other_people_than::<Sg1>());
    policy.build().unwrap().to_json()
}

/// A run whose approvals were signed, and its plan.
struct Signed {
    database: Database,
    plan: Plan,
    people: People,
    rules: Rules,
}

impl Signed {
    /// A plan, admitted, and people who have signed nothing yet.
    fn planned() -> Self {
        let database = database();
        let plan = database.plan(&draft());
        Signed::with(database, plan)
    }

    /// As `planned`, with the plan of a rehearsal, and its inputs.
    fn rehearsed() -> (Self, PlanInputs) {
        let database = database();
        let rehearsed = RehearsalRunner::new(server::PIPELINE)
            .program(ProgramIdentity::of_this_process().unwrap())
            .connector(database.connector())
            .adapter(Adapter)
            .run(|run, on| pipeline(run, on, draft()))
            .unwrap();
        (Signed::with(database, rehearsed.plan), rehearsed.inputs)
    }

    fn with(database: Database, plan: Plan) -> Self {
        let _ = database.operator().admit_plan(&plan).unwrap();
        let people = People::new(&["ada@example.org", "bob", "cat", "eve"]);
        let rules = Rules {
            policy: policy(),
            allowed_signers: people.allowed_signers(""),
            revoked_keys: Some(format!("{}\n", people.key("eve"))),
        };
        Signed {
            database,
            plan,
            people,
            rules,
        }
    }

    /// Every gate approved, and every phase performed.
    fn performed() -> Self {
        let signed = Signed::planned();
        signed.perform(|_| ()).expect("a live run");
        signed
    }

    /// Approves both gates, has `meddle` do something to the approvals, admits and performs.
    fn perform(
        &self,
        meddle: impl Fn(&mut Vec<phasegate::approval::Attestation>),
    ) -> Result<u64, phasegate::Error> {
        let sg1 = self
            .people
            .approve(&self.plan, "SG_1", &["ada@example.org", "bob"], &self.rules);
        let sg2 = self
            .people
            .approve(&self.plan, "SG_2", &["cat"], &self.rules);
        let mut approvals = vec![sg1, sg2];
        meddle(&mut approvals);
        for approval in &approvals {
            self.database.operator().admit_approval(approval).unwrap();
        }
        phasegate::LiveRunner::new(server::PIPELINE)
            .plan(self.plan.clone())
            .kill_switch(phasegate::testing::ScriptedSwitch::always_on())
            .authority(HandsOut(approvals))
            .connector(self.database.connector())
            .adapter(Adapter)
            .run(|run, on| pipeline(run, on, draft()))
            .map(phasegate::runner::LiveReport::into_value)
    }

    /// What an auditor collects, who may read and nothing else.
    fn collect(&self) -> EvidenceBundle {
        let auditor = self.database.role("auditor");
        self.database
            .sql(&format!("GRANT phasegate_auditor TO {}", auditor.name()));
        let mut client = auditor.config().connect(NoTls).unwrap();
        EvidenceBundle::collect(&mut client, self.plan.digest()).expect("a bundle")
    }
}

fn draft() -> Draft {
    Draft::of(&["a", "b"])
}

//! The parts that show that what was approved is what runs: rehearsal, signatures, effects.

use std::fs;
use std::path::Path;

use phasegate::testing::Calls;
use phasegate::{
    Error, Execute, Failure, PhaseSpec, PhaseTx, Plan, Prior, RehearsalRunner, Sg1, Sg2,
    connect::PostgresConnector,
    error::RollbackCause,
    ssh::{SignedApprovals, VerifyApprovalError},
};

use super::{Outcome, Shown, amendment, dry_run, runner};
use crate::approvers::{CLERK, COUNCIL, SCRIBE, approval, rejection};
use crate::phases::{Document, LifecycleEnact, PIPELINE, cut_and_enact};
use crate::register::Register;
use crate::terminal;
use crate::test_database::TestDatabase;

impl Shown {
    /// The real adapter, in a transaction that is always rolled back.
    pub(super) fn rehearsed(
        &mut self,
        database: &mut TestDatabase,
        document: &Document,
        plan: &Plan,
    ) -> Outcome<()> {
        terminal::part(
            "2. The rehearsal: performed by the real adapter, measured, and rolled back",
        );
        let before = database.fingerprint()?;
        let rehearsed = RehearsalRunner::new(PIPELINE)
            .connector(PostgresConnector::no_tls(database.runner()))
            .adapter(Register)
            .run(|run, on| cut_and_enact(run, on, document));
        let rehearsed = match rehearsed {
            Ok(rehearsed) => rehearsed,
            Err(error) => {
                terminal::said(&error);
                terminal::hint(error.hint());
                self.check(false, "the rehearsal comes to its end");
                return self.stop_if_interrupted();
            }
        };
        let mut as_predicted = true;
        for (phase, planned) in rehearsed.phases.iter().zip(plan.phases()) {
            let effects: Vec<_> = phase
                .effects
                .tables()
                .map(|(table, rows)| format!("{table}: {rows}"))
                .collect();
            let effects = match effects.as_slice() {
                [] => "changes nothing".to_owned(),
                effects => effects.join("; "),
            };
            println!("  {:<16} {effects}", phase.name);
            let predicted = planned
                .effects()
                .iter()
                .map(|(table, rows)| (table.as_str(), rows.counts()));
            as_predicted &= predicted.eq(phase.effects.tables());
        }
        let stays: Vec<_> = rehearsed
            .phases
            .iter()
            .flat_map(|phase| phase.sequences.iter().cloned())
            .collect();
        terminal::fact("not undone", stays.join(", "));
        self.check(
            as_predicted,
            "what the server counted is what the simulator predicted",
        );
        self.check(
            database.fingerprint()? == before,
            "the tables are as they were",
        );
        self.stop_if_interrupted()
    }

    /// The approvals that a reader would try first to get through without.
    pub(super) fn signed(&mut self, database: &TestDatabase, plan: &Plan) -> Outcome<()> {
        terminal::part("3. The approvals: statements, each signed with its signer's own SSH key");
        let approvers = &database.approvers;
        terminal::fact("signed by", approvers.tool());
        let statement = approval::<Sg1>(plan, "the cut may be written")?;
        terminal::fact("statement", String::from_utf8(statement.bytes()?)?);
        let clerks = approvers.signed_by(CLERK, &statement)?;

        println!("  The scribe, who made the plan, approves it:");
        let own = approval::<Sg1>(plan, "my own work, and it is good")?;
        let own = approvers.signed_by(SCRIBE, &own)?;
        self.not_counted(approvers.none(plan), &own, |why| {
            matches!(why, VerifyApprovalError::Author { .. })
        });

        println!("  The clerk's statement with one byte of it changed:");
        let changed = clerks.with_file_name("changed.json");
        let text = fs::read_to_string(&clerks)?.replacen("may be written", "may be Written", 1);
        fs::write(&changed, text)?;
        fs::copy(
            clerks.with_extension("json.sig"),
            changed.with_extension("json.sig"),
        )?;
        self.not_counted(approvers.none(plan), &changed, |why| {
            matches!(why, VerifyApprovalError::DoesNotFit { .. })
        });

        println!("  The clerk's approval, for the plan of another document:");
        let other = dry_run(database, &amendment()?)?;
        self.not_counted(approvers.none(&other), &clerks, |why| {
            matches!(why, VerifyApprovalError::AnotherPlan { .. })
        });

        println!("  The council, at the gate that is the clerk's:");
        let meddling = approval::<Sg1>(plan, "let us be quick")?;
        let meddling = approvers.signed_by(COUNCIL, &meddling)?;
        self.not_counted(approvers.none(plan), &meddling, |why| {
            matches!(why, VerifyApprovalError::NotEntitled { .. })
        });

        println!("  The clerk alone, at both gates:");
        let mut alone = approvers.none(plan);
        alone.add_file(&clerks)?;
        let second = approval::<Sg2>(plan, "the units may come into force")?;
        alone.add_file(approvers.signed_by(CLERK, &second)?)?;
        match alone.attestation("SG_2") {
            Err(denied) => {
                terminal::held("does not count:");
                terminal::said(&denied);
                terminal::hint(denied.hint());
            }
            Ok(_) => self.check(false, "two gates need two people"),
        }

        println!("  Both have approved, and the council has second thoughts:");
        let mut stopped = approvers.both(plan)?;
        let both = stopped.attestations()?.len() == 2;
        let no = rejection::<Sg2>(plan, "article 7 is missing")?;
        stopped.add_file(approvers.signed_by(COUNCIL, &no)?)?;
        match stopped.attestations() {
            Err(denied) if both => {
                terminal::held("the plan is stopped:");
                terminal::said(&denied);
                terminal::hint(denied.hint());
            }
            _ => self.check(false, "a rejection stops the plan"),
        }
        self.stop_if_interrupted()
    }

    fn not_counted(
        &mut self,
        mut approvals: SignedApprovals,
        statement: &Path,
        as_expected: impl Fn(&VerifyApprovalError) -> bool,
    ) {
        match approvals.add_file(statement) {
            Err(why) if as_expected(&why) => {
                terminal::held("does not count:");
                terminal::said(&why);
                terminal::hint(why.hint());
            }
            Err(why) => {
                terminal::said(&why);
                terminal::hint(why.hint());
                self.check(false, "refused for the expected reason");
            }
            Ok(()) => self.check(false, "refused"),
        }
    }

    /// The right plan, the right approvals, and a register that does something else.
    pub(super) fn effects_differ(&mut self, database: &mut TestDatabase) -> Outcome<()> {
        terminal::part("7. A register that does not do what was approved");
        let document = Document {
            name: "the charter, repealed".to_owned(),
            units: amendment()?.units.into_iter().take(5).collect(),
        };
        let plan = dry_run(database, &document)?;
        database.admit(&plan)?;
        println!("  It enacts every unit, rolls that back in a savepoint, and returns success:");
        let calls = Calls::new();
        let authority = database.admitted();
        let result = self.on_while(|switch| {
            runner(
                &plan,
                switch,
                authority,
                PostgresConnector::no_tls(database.runner()),
            )
            .adapter(Forgetful(&calls))
            .run(|run, on| cut_and_enact(run, on, &document))
        })?;
        match result {
            Err(Error::RolledBack(rollback)) => {
                terminal::quoted(&rollback);
                terminal::hint(rollback.hint());
                let differ = matches!(rollback.cause(), RollbackCause::EffectsDiffer(_));
                self.check(
                    differ && calls.count("enacted and rolled back") == 1,
                    "the phase said that all was well, and was not committed",
                );
            }
            other => {
                self.stop_if_interrupted()?;
                self.check(false, &format!("rolled back: {other:?}"));
            }
        }
        self.stop_if_interrupted()
    }
}

/// An adapter that enacts every unit, rolls it back, and returns success.
struct Forgetful<'a>(&'a Calls);

impl<S: PhaseSpec> Execute<S> for Forgetful<'_>
where
    Register: Execute<S>,
{
    fn execute(
        &mut self,
        spec: &S,
        prior: Prior<'_, S>,
        tx: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        if S::NAME != LifecycleEnact::NAME {
            return Register.execute(spec, prior, tx);
        }
        let mut output = None;
        let forgotten = tx.savepoint(|tx| {
            output = Some(Register.execute(spec, prior, tx)?);
            Err::<(), _>(Failure::new("forgotten"))
        });
        self.0.record("enacted and rolled back");
        match (output, forgotten) {
            (Some(output), Err(_)) => Ok(output),
            (_, forgotten) => Err(Failure::new(format!("not even begun: {forgotten:?}"))),
        }
    }
}

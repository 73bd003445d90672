//! What stands between a plan and its live run: all of it at once, before anything is touched.

use std::collections::BTreeMap;

use super::adapter::Simulate;
use super::brand::Brand;
use super::mode::DryRun;
use super::preflight_report::{PreflightReport, Readiness};
use super::run::Run;
use super::spec::{PhaseSpec, Prior, full_name};
use super::switch::Switch;
use crate::base::canonical;
use crate::database::{Connector, Preflighted, Session, preflight};
use crate::engine::DryEngine;
use crate::observer::Observer;
use crate::outcome::{Error, Failure};
use crate::plan::{
    Effects, EffectsSource, Plan, PlanInputs, PlanOutputs, PlannedPhase, ProgramIdentity,
};

/// Finds everything that a live run of a plan would be refused for, and reports it as one list, each with its remedy.
///
/// Nothing is opened, performed or spent, and no other session waits. [`check`](Preflight::check) asks the database:
/// admission, rejections, approvals and their ends, the lease, the guards of the tables, the definitions that the
/// statements use, the role. [`run`](Preflight::run) also lets the pipeline run, performing nothing: where a phase would be
/// performed, the pipeline gets the output that the rehearsal had, and goes on; its phases are compared with the plan's.
///
/// ```no_run
/// # use phasegate::{*, connect::PostgresConnector, plan::PlanOutputs, runner::Preflight};
/// # fn pipeline<M: Mode, W>(_: &mut Run<'_, M, W>, _: &Switch<'_, M>) -> Result<(), Error> { Ok(()) }
/// # fn example(plan: &Plan, outputs: PlanOutputs, mut connector: PostgresConnector) {
/// let report = Preflight::of(plan)
///     .outputs(outputs)
///     .run("closing", &mut connector, |run, on| pipeline(run, on));
/// println!("{report}");
/// assert!(report.is_ready());
/// # }
/// ```
///
/// A preflight proves nothing for a run that comes later, which checks all of it again.
#[derive(Debug)]
#[must_use = "a preflight does nothing until `check` or `run`"]
pub struct Preflight<'p> {
    plan: &'p Plan,
    inputs: Option<PlanInputs>,
    outputs: Option<PlanOutputs>,
    program: Option<ProgramIdentity>,
}

/// Stands for the live adapter in a [`Preflight`]: returns, for each phase, the output that the rehearsal had.
#[derive(Debug)]
pub struct Replayed {
    outputs: BTreeMap<String, Vec<u8>>,
}

#[diagnostic::do_not_recommend]
impl<S: PhaseSpec> Simulate<S> for Replayed {
    fn simulate(
        &mut self,
        spec: &S,
        _: Prior<'_, S>,
        _: &mut Effects,
    ) -> Result<S::Output, Failure> {
        match self.outputs.get(&full_name(spec)) {
            Some(output) => canonical::decode(output).map_err(Failure::new),
            None => Err(Failure::new(
                "the output that its rehearsal had is not known, so that the phases after it cannot be looked at",
            )),
        }
    }
}

impl<'p> Preflight<'p> {
    /// Returns the preflight of a plan.
    pub fn of(plan: &'p Plan) -> Self {
        Preflight {
            plan,
            inputs: None,
            outputs: None,
            program: None,
        }
    }

    /// Gives it the inputs that the live run will be given; see [`Run::input`](crate::Run::input).
    pub fn inputs(mut self, inputs: PlanInputs) -> Self {
        self.inputs = Some(inputs);
        self
    }

    /// Gives it what the phases of the rehearsal returned. Without them the pipeline ends at its first phase.
    pub fn outputs(mut self, outputs: PlanOutputs) -> Self {
        self.outputs = Some(outputs);
        self
    }

    /// Has it compare the program that made the plan with this one. A difference is a warning, unless the live run demands
    /// the same ([`LiveRunner::same_program`](crate::LiveRunner::same_program)).
    pub fn program(mut self, program: ProgramIdentity) -> Self {
        self.program = Some(program);
        self
    }

    /// Asks the database, as the runner, an operator or an auditor.
    pub fn check(&self, connector: &mut dyn Connector) -> PreflightReport {
        let mut report = PreflightReport::of(self.plan);
        self.check_plan(&mut report);
        self.check_database(connector, &mut report);
        report
    }

    /// Asks the database, and lets the pipeline of this name run without performing anything.
    pub fn run<V, F>(
        self,
        name: &str,
        connector: &mut dyn Connector,
        pipeline: F,
    ) -> PreflightReport
    where
        F: for<'run> FnOnce(
            &mut Run<'run, DryRun, Replayed>,
            &Switch<'run, DryRun>,
        ) -> Result<V, Error>,
    {
        let mut report = PreflightReport::of(self.plan);
        self.check_plan(&mut report);
        if name != self.plan.pipeline() {
            let message = format!(
                "the plan is for pipeline `{}`, and this is `{name}`",
                self.plan.pipeline()
            );
            report.missing("another_pipeline", None, message, None);
        }
        self.check_pipeline(pipeline, &mut report);
        self.check_database(connector, &mut report);
        report
    }

    fn check_plan(&self, report: &mut PreflightReport) {
        if self.plan.made_by() == EffectsSource::Prediction {
            let message = "its effects are predicted, and its statements are not known: it was made by a dry run";
            report.warning("not_rehearsed", message, "Rehearse the pipeline.");
        }
        let planned = self.plan.program().map(ProgramIdentity::sha256);
        let running = self.program.as_ref().map(ProgramIdentity::sha256);
        match (planned, running) {
            (Some(planned), Some(running)) if planned != running => {
                let message =
                    format!("the program that made it is {planned}, and this is {running}");
                report.warning(
                    "another_program",
                    &message,
                    "Run the program that made the plan.",
                );
            }
            (Some(_), Some(_)) => report.ready("program", "it was made by this program"),
            _ => {}
        }
        let given = [
            self.inputs.as_ref().map(PlanInputs::plan),
            self.outputs.as_ref().map(PlanOutputs::plan),
        ];
        if given
            .iter()
            .flatten()
            .any(|plan| *plan != self.plan.digest())
        {
            let message = "the inputs or outputs that were given are those of another plan";
            report.missing("inputs_of_another_plan", None, message.to_owned(), None);
        }
    }

    fn check_pipeline<V, F>(&self, pipeline: F, report: &mut PreflightReport)
    where
        F: for<'run> FnOnce(
            &mut Run<'run, DryRun, Replayed>,
            &Switch<'run, DryRun>,
        ) -> Result<V, Error>,
    {
        let planned = self.plan.phases();
        let outputs = self.outputs.as_ref();
        let replayed = planned.iter().zip(1..).filter_map(|(phase, place)| {
            let output = outputs.and_then(|outputs| outputs.at(place))?;
            Some((phase.name().to_owned(), output.to_vec()))
        });
        let replayed = Replayed {
            outputs: replayed.collect(),
        };
        let mut observer: Box<Observer<'_>> = Box::new(|_| ());
        let engine = DryEngine::replaying(&mut *observer, self.plan, self.inputs.as_ref());
        let on = Switch::mint(Brand::mint());
        let mut run = Run::new(engine, replayed);
        let ended = pipeline(&mut run, &on);
        let presented = run.into_engine().presented();
        let before = report.len();
        for (place, presented) in presented.iter().enumerate() {
            compare(planned.get(place), presented, report);
        }
        match ended {
            Err(error) => {
                report.missing(
                    error.code(),
                    planned.get(presented.len()).map(PlannedPhase::name),
                    format!("the pipeline ended: {error}"),
                    error.hint(),
                );
            }
            Ok(_) if presented.len() < planned.len() => {
                let missing = planned[presented.len()..].iter().map(PlannedPhase::name);
                let message = format!(
                    "the pipeline does not perform all of the plan: {}",
                    missing.collect::<Vec<_>>().join(", ")
                );
                report.missing("incomplete", None, message, None);
            }
            Ok(_) if report.len() == before => {
                let phases = presented.len();
                report.ready(
                    "pipeline",
                    &format!("its {phases} phases are those of the plan"),
                );
            }
            Ok(_) => {}
        }
    }

    fn check_database(&self, connector: &mut dyn Connector, report: &mut PreflightReport) {
        let found = Session::connect(connector)
            .map_err(Into::into)
            .and_then(|mut session| preflight(session.client(), self.plan.digest()));
        match found {
            Ok(found) => self.judge(&found, report),
            Err(error) => {
                let hint = Failure::new(error);
                let message = format!("the database cannot be asked: {hint}");
                report.missing("not_connected", None, message, hint.hint());
            }
        }
    }

    fn judge(&self, found: &Preflighted, report: &mut PreflightReport) {
        let phases = self.plan.phases().len();
        let Some(admitted) = &found.admitted else {
            let hint = "An operator admits it: `Operator::admit_plan`.";
            let message = format!("plan {} is not admitted here", self.plan.digest());
            report.missing("not_admitted", None, message, Some(hint.to_owned()));
            return;
        };
        let committed = match found.committed {
            0 => "nothing committed yet".to_owned(),
            all if all == phases => {
                "performed: all phases are committed, and a run changes nothing".to_owned()
            }
            some => format!("{some} of {phases} phases are committed"),
        };
        let message = format!(
            "admitted at {} by {}; {committed}",
            admitted.at, admitted.by
        );
        report.ready("admitted", &message);
        if found.committed == phases {
            return;
        }
        for (check, raised) in &found.checks {
            match raised {
                Some(raised) => report.missing(
                    code_of(&raised.sqlstate),
                    None,
                    raised.message.clone(),
                    Some(raised.hint.clone()).filter(|hint| !hint.is_empty()),
                ),
                None => report.ready(check, &holds(check, found)),
            }
        }
        if !found.checks.contains_key("role") {
            let message = format!(
                "the role and the target were not checked: this session is not of role {}",
                self.plan.target().role()
            );
            report.warning("not_the_runner", &message, "Ask as the runner.");
        }
    }
}

/// Compares a phase of the pipeline with the plan's phase at its place.
fn compare(planned: Option<&PlannedPhase>, presented: &PlannedPhase, report: &mut PreflightReport) {
    let name = presented.name();
    let mut differs = |code, message: String| report.missing(code, Some(name), message, None);
    let Some(planned) = planned.filter(|planned| planned.name() == name) else {
        let next = planned.map_or("no further phase".to_owned(), |planned| {
            format!("phase `{}`", planned.name())
        });
        return differs(
            "not_next_in_plan",
            format!("the plan has {next} at its place"),
        );
    };
    if planned.gates() != presented.gates() {
        let (was, is) = (
            planned.gates().join(" and "),
            presented.gates().join(" and "),
        );
        differs(
            "gate_changed",
            format!("it was planned behind `{was}`, and is behind `{is}`"),
        );
    }
    if planned.after() != presented.after() {
        let (was, is) = (planned.after().join(", "), presented.after().join(", "));
        differs(
            "order_changed",
            format!("it was planned after `{was}`, and comes after `{is}`"),
        );
    }
    if planned.input() != presented.input() {
        let (was, is) = (planned.input(), presented.input());
        differs(
            "input_changed",
            format!("its input was planned as {was}, and is {is}"),
        );
    }
}

/// Returns the code of the refusal that a run would have for this SQLSTATE.
fn code_of(sqlstate: &str) -> &'static str {
    use crate::base::sqlstate as known;
    match sqlstate {
        known::SWITCH_OFF => "switch_off",
        known::LEASE_OVER => "lease_over",
        known::LEASE_ELSEWHERE => "lease_elsewhere",
        known::NOT_APPROVED => "approval_not_admitted",
        known::PRIVILEGED_ROLE => "privileged_role",
        known::PLAN_EXPIRED => "plan_expired",
        known::REJECTED => "rejected",
        known::MEANS_CHANGED => "means_changed",
        known::ANOTHER_TARGET => "another_target",
        _ => "not_opened",
    }
}

/// Returns what a check of the server says where its condition holds.
fn holds(check: &str, found: &Preflighted) -> String {
    match check {
        "role" => "the role has no privilege that bypasses the interlock".to_owned(),
        "target" => "the server, the database and the role are the plan's".to_owned(),
        "validity" => "the plan has not expired".to_owned(),
        "rejections" => "no approver has rejected it".to_owned(),
        "definitions" => "what its statements use is as it was".to_owned(),
        "tables" => "the tables that it changes are under guard".to_owned(),
        "approvals" => {
            let gates = found.approvals.iter();
            let gates: Vec<_> = gates
                .map(|(gate, until)| format!("{gate} until {until}"))
                .collect();
            match gates.as_slice() {
                [] => "no gate is left to be approved".to_owned(),
                gates => format!("approved: {}", gates.join(", ")),
            }
        }
        "switch" => match found.lease_left {
            Some(left) => format!(
                "the switch of the database is ON for {:.0} more seconds",
                left.max(0.0)
            ),
            None => "the switch of the database is ON".to_owned(),
        },
        other => other.to_owned(),
    }
}

impl Readiness {
    /// Returns the word for people.
    pub(super) fn word(self) -> &'static str {
        match self {
            Readiness::Ready => "ok",
            Readiness::Missing => "MISSING",
            Readiness::Warning => "warning",
        }
    }
}

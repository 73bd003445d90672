use std::collections::BTreeMap;
use std::fmt;

use crate::{Effects, Execute, Failure, PhaseSpec, PhaseTx, Prior, Simulate};

/// A simulator and a live adapter of every phase, with canned results: it does nothing, and returns what the test has
/// put into it. Of several results for one phase, each call takes the next, and the last is repeated.
///
/// A phase without a result fails, and names itself. As an adapter it sends no statement, so that on a real server a
/// phase that was planned with effects is rolled back.
///
/// ```
/// use phasegate::{testing::Canned, *};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Serialize, Deserialize)] struct Close;
/// # impl PhaseSpec for Close {
/// #     const NAME: &'static str = "close"; type Gate = Sg1; type After = Start; type Output = u64;
/// # }
/// let simulator = Canned::new()
///     .returns::<Close>(&2)
///     .predicts::<Close>(|effects| { effects.update("bank.account", 2); });
/// let adapter = Canned::new().fails_at_row::<Close>(2, "4711", "the account is frozen");
/// ```
#[derive(Clone, Default)]
pub struct Canned {
    phases: BTreeMap<&'static str, Phase>,
}

#[derive(Debug, Clone, Default)]
struct Phase {
    results: Vec<Outcome>,
    calls: usize,
    effects: Effects,
}

#[derive(Debug, Clone)]
enum Outcome {
    /// The output as JSON, so that it is made for each call.
    Returns(String),
    Fails {
        row: Option<(u64, String)>,
        reason: String,
    },
}

impl Canned {
    /// Creates a double without any result.
    #[must_use]
    pub fn new() -> Self {
        Canned::default()
    }

    /// Adds an output of phase `S`.
    ///
    /// # Panics
    ///
    /// Panics if the output has no form in JSON; a run would fail on it too.
    #[must_use]
    pub fn returns<S: PhaseSpec>(self, output: &S::Output) -> Self {
        let json = serde_json::to_string(output);
        let json = json.unwrap_or_else(|error| panic!("the output of `{}`: {error}", S::NAME));
        self.add::<S>(Outcome::Returns(json))
    }

    /// Sets the effects that phase `S` has in a dry run; none if this is not called.
    #[must_use]
    pub fn predicts<S: PhaseSpec>(mut self, predict: impl FnOnce(&mut Effects)) -> Self {
        predict(&mut self.phases.entry(S::NAME).or_default().effects);
        self
    }

    /// Adds a failure of phase `S`.
    #[must_use]
    pub fn fails<S: PhaseSpec>(self, reason: &str) -> Self {
        let reason = reason.to_owned();
        self.add::<S>(Outcome::Fails { row: None, reason })
    }

    /// Adds a failure of phase `S` at a row, by its place, counted from 1, and its name.
    #[must_use]
    pub fn fails_at_row<S: PhaseSpec>(self, ordinal: u64, key: &str, reason: &str) -> Self {
        let (row, reason) = (Some((ordinal, key.to_owned())), reason.to_owned());
        self.add::<S>(Outcome::Fails { row, reason })
    }

    fn add<S: PhaseSpec>(mut self, outcome: Outcome) -> Self {
        self.phases
            .entry(S::NAME)
            .or_default()
            .results
            .push(outcome);
        self
    }

    fn next<S: PhaseSpec>(&mut self) -> Result<S::Output, Failure> {
        let none = || {
            let name = S::NAME;
            Failure::new(format!(
                "the test has canned no result for phase `{name}`: `Canned::returns`"
            ))
        };
        let phase = self.phases.get_mut(S::NAME).ok_or_else(none)?;
        phase.calls += 1;
        let results = &phase.results;
        match results
            .get(phase.calls - 1)
            .or(results.last())
            .ok_or_else(none)?
        {
            Outcome::Returns(json) => Ok(serde_json::from_str(json)?),
            Outcome::Fails { row, reason } => {
                let failure = Failure::new(reason.clone());
                Err(match row {
                    Some((ordinal, key)) => failure.at_row(*ordinal, key.clone()),
                    None => failure,
                })
            }
        }
    }
}

impl<S: PhaseSpec> Simulate<S> for Canned {
    fn simulate(
        &mut self,
        _: &S,
        _: Prior<'_, S>,
        effects: &mut Effects,
    ) -> Result<S::Output, Failure> {
        if let Some(phase) = self.phases.get(S::NAME) {
            effects.clone_from(&phase.effects);
        }
        self.next::<S>()
    }
}

impl<S: PhaseSpec> Execute<S> for Canned {
    fn execute(
        &mut self,
        _: &S,
        _: Prior<'_, S>,
        _: &mut PhaseTx<'_>,
    ) -> Result<S::Output, Failure> {
        self.next::<S>()
    }
}

impl fmt::Debug for Canned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.phases.keys()).finish()
    }
}

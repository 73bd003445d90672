use std::sync::atomic::{AtomicUsize, Ordering};

use crate::switch::{KillSwitch, SwitchState, SwitchUnreadable};

/// A kill switch that reads from a list, one entry for each reading; the last entry is repeated.
///
/// `None` is a reading that fails. An empty list is OFF.
#[derive(Debug)]
pub struct ScriptedSwitch {
    answers: Vec<Option<SwitchState>>,
    readings: AtomicUsize,
}

impl ScriptedSwitch {
    /// Returns a switch that reads as `answers`, in order.
    pub fn new(answers: impl IntoIterator<Item = Option<SwitchState>>) -> Self {
        ScriptedSwitch {
            answers: answers.into_iter().collect(),
            readings: AtomicUsize::new(0),
        }
    }

    /// Returns a switch that is always ON.
    #[must_use]
    pub fn always_on() -> Self {
        ScriptedSwitch::new([Some(SwitchState::On)])
    }

    /// Returns a switch that is ON for `readings` readings, and then OFF.
    #[must_use]
    pub fn on_for(readings: usize) -> Self {
        let on = std::iter::repeat_n(Some(SwitchState::On), readings);
        ScriptedSwitch::new(on.chain([Some(SwitchState::Off)]))
    }

    /// Returns a switch that is ON for `readings` readings, and then cannot be read.
    #[must_use]
    pub fn unreadable_after(readings: usize) -> Self {
        let on = std::iter::repeat_n(Some(SwitchState::On), readings);
        ScriptedSwitch::new(on.chain([None]))
    }

    /// Returns how often the switch was read.
    #[must_use]
    pub fn readings(&self) -> usize {
        self.readings.load(Ordering::SeqCst)
    }
}

impl KillSwitch for ScriptedSwitch {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        let reading = self.readings.fetch_add(1, Ordering::SeqCst);
        match self.answers.get(reading).or(self.answers.last()) {
            Some(Some(state)) => Ok(*state),
            Some(None) => Err(SwitchUnreadable::new("the script says so")),
            None => Ok(SwitchState::Off),
        }
    }
}

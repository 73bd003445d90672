//! What is known about a kill switch that is OFF.

use std::fmt;
use std::time::SystemTime;

use crate::base::printable::Printable;
use crate::base::timestamp::Timestamp;

/// Which kill switch was OFF: a live phase needs both to be ON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichSwitch {
    /// The switch that the runner was given.
    OfTheRun,
    /// The lease in the database, which an operator turns on.
    OfTheDatabase,
}

/// A kill switch that is OFF: which one, and, as far as known, since when, by whom, for which reason, and how to turn
/// it on.
///
/// ```
/// use phasegate::switch::{KillSwitch, SwitchOff};
///
/// /// ON while a change window is open.
/// struct ChangeWindow;
///
/// impl KillSwitch for ChangeWindow {
///     fn describe_off(&self) -> SwitchOff {
///         SwitchOff::new("the change window").because("closed on weekends").turned_on_by("open one in the calendar")
///     }
/// }
///
/// assert_eq!(
///     ChangeWindow.describe_off().to_string(),
///     "the change window is OFF (why: closed on weekends)"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchOff {
    which: WhichSwitch,
    name: String,
    since: Option<SystemTime>,
    by: Option<String>,
    why: Option<String>,
    turned_on_by: Option<String>,
}

impl SwitchOff {
    /// Describes the switch of this name that a runner was given.
    pub fn new(name: impl Into<String>) -> Self {
        SwitchOff {
            which: WhichSwitch::OfTheRun,
            name: name.into(),
            since: None,
            by: None,
            why: None,
            turned_on_by: None,
        }
    }

    /// Describes the lease in the database.
    pub(crate) fn of_the_database() -> Self {
        SwitchOff {
            which: WhichSwitch::OfTheDatabase,
            ..SwitchOff::new("the kill switch of the database")
                .turned_on_by("as an operator, SELECT phasegate.switch_on('why', '1 hour')")
        }
    }

    /// Adds since when it is OFF.
    #[must_use]
    pub fn since(mut self, moment: SystemTime) -> Self {
        self.since = Some(moment);
        self
    }

    /// Adds who turned it off.
    #[must_use]
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.by = Some(actor.into());
        self
    }

    /// Adds the reason why it is OFF.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.why = Some(reason.into());
        self
    }

    /// Adds the command, or the action, that turns it on.
    #[must_use]
    pub fn turned_on_by(mut self, command: impl Into<String>) -> Self {
        self.turned_on_by = Some(command.into());
        self
    }

    /// Returns which of the two switches of a live run this is.
    #[must_use]
    pub fn which(&self) -> WhichSwitch {
        self.which
    }

    /// Returns the switch's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the reason, if it is known.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Returns who turned it off, if it is known.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        self.by.as_deref()
    }

    /// Returns the command, or the action, that turns it on, if it is known.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.turned_on_by.as_deref()
    }

    /// Returns since when it is OFF, if it is known.
    #[must_use]
    pub fn moment(&self) -> Option<SystemTime> {
        self.since
    }
}

impl fmt::Display for SwitchOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is OFF", Printable(&self.name))?;
        let known = [
            (
                "since",
                self.since.map(|moment| Timestamp::of(moment).to_string()),
            ),
            ("by", self.by.clone()),
            ("why", self.why.clone()),
        ];
        let mut opening = " (";
        for (label, text) in known {
            if let Some(text) = text {
                write!(f, "{opening}{label}: {}", Printable(&text))?;
                opening = "; ";
            }
        }
        f.write_str(if opening == "; " { ")" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kill_switch::{FileSwitch, InProcessSwitch, KillSwitch, SwitchState};

    #[test]
    fn of_several_the_one_that_is_off_is_described() {
        let on = InProcessSwitch::new();
        let file = FileSwitch::new("/no/such/file");
        let named = |off: SwitchOff| off.name().to_owned();
        on.on_while(|| {
            assert_eq!(
                named((&on, &file).describe_off()),
                named(file.describe_off())
            );
            assert_eq!(
                named((&file, &on).describe_off()),
                named(file.describe_off())
            );
            let list: [&dyn KillSwitch; 2] = [&on, &file];
            assert_eq!(named(list[..].describe_off()), named(file.describe_off()));
        });
        assert_eq!(named((&on, &file).describe_off()), named(on.describe_off()));
        let none: Vec<InProcessSwitch> = Vec::new();
        assert_eq!(named(none.describe_off()), "an empty list of kill switches");
    }

    #[test]
    fn eight_are_on_together_and_each_is_missed() {
        let switches: [InProcessSwitch; 8] = std::array::from_fn(|_| InProcessSwitch::new());
        let [one, two, three, four, five, six, seven, eight] = &switches;
        let all = (one, two, three, four, five, six, seven, eight);
        let mut all_but = vec![None];
        all_but.extend((0..8).map(Some));
        for off in all_but {
            let on = switches.iter().enumerate();
            let on: Vec<_> = on.filter(|(place, _)| Some(*place) != off).collect();
            let nested = on.iter().fold(
                Box::new(|| all.read().unwrap()) as Box<dyn Fn() -> SwitchState>,
                |inner, (_, switch)| Box::new(move || switch.on_while(&inner)),
            );
            let expected = if off.is_none() {
                SwitchState::On
            } else {
                SwitchState::Off
            };
            assert_eq!(nested(), expected, "all but {off:?}");
        }
    }

    #[test]
    fn a_switch_that_is_not_configured_is_off() {
        let none: Option<InProcessSwitch> = None;
        assert_eq!(none.read().unwrap(), SwitchState::Off);
        assert!(none.describe_off().name().contains("not configured"));
        let on = InProcessSwitch::new();
        on.on_while(|| {
            assert_eq!(Some(&on).read().unwrap(), SwitchState::On);
            assert_eq!((&on, none.as_ref()).read().unwrap(), SwitchState::Off);
        });
    }

    #[test]
    fn a_switch_that_says_nothing_is_named_by_its_type() {
        struct Nothing;
        impl KillSwitch for Nothing {}
        let text = Nothing.describe_off().to_string();
        assert!(text.ends_with("::Nothing is OFF"), "{text}");
    }

    #[test]
    fn what_others_wrote_is_printed_on_one_line() {
        let off = SwitchOff::new("s").by("eve\u{1b}[2J").because("a\nb");
        assert_eq!(off.to_string(), "s is OFF (by: eve\\u{1b}[2J; why: a\\nb)");
    }
}

//! The kill switch: it must be ON for anything live.
//!
//! **ON means that execution is allowed.** The term comes from the field of this crate's first users, where a run is
//! *armed*. A reader who thinks of an emergency stop reads it the other way round: pressing that button is
//! [`off`](InProcessSwitch::off) here.
//!
//! OFF is the default, and every failure to read a switch counts as OFF.

mod file;
mod in_process;
mod off;

use std::any::type_name;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::printable::Printable;

pub use file::FileSwitch;
pub use in_process::InProcessSwitch;
pub use off::{SwitchOff, WhichSwitch};

/// The state of a kill switch when it was read. There is no third value: reading a switch that cannot be read returns
/// [`SwitchUnreadable`], which counts as OFF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SwitchState {
    /// Nothing live may happen.
    #[default]
    Off,
    /// Live execution is allowed.
    On,
}

/// A kill switch could not be read, and therefore counts as OFF.
#[derive(Debug, thiserror::Error)]
#[error("the kill switch cannot be read, so it counts as OFF: {reason}", reason = Printable(.reason))]
pub struct SwitchUnreadable {
    reason: String,
    hint: Option<String>,
}

impl SwitchUnreadable {
    /// Creates an error with the reason why the switch could not be read.
    pub fn new(reason: impl Into<String>) -> Self {
        SwitchUnreadable {
            reason: reason.into(),
            hint: None,
        }
    }

    /// Adds the remedy, as full sentences.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "kill_switch_unreadable"
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = self.hint.as_deref()?;
        Some(Printable(hint).to_string())
    }
}

/// A kill switch: decides whether live execution is allowed.
///
/// The engine reads it when a live run begins, before every phase, between the rows of
/// [`PhaseTx::for_each_row`](crate::PhaseTx::for_each_row), the chunks of [`PhaseTx::batch`](crate::PhaseTx::batch)
/// and the mebibytes of [`PhaseTx::copy_in`](crate::PhaseTx::copy_in), and again before every commit. A switch need
/// not remember anything: it should return its state at this moment, and quickly.
///
/// Open for implementation. The provided body returns OFF, so that an empty `impl` allows nothing. Several switches
/// compose as a tuple of two to eight or as a slice: all must be ON. An empty slice is OFF, and so is `None`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a kill switch",
    label = "nothing here says that live execution is allowed",
    note = "`LeaseSwitch` is the database's, `FileSwitch` a file, `InProcessSwitch` a value of the program; a tuple is ON where all of its switches are",
    note = "explained at https://github.com/phasegate/phasegate/blob/main/docs/compile-errors.md#not-a-kill-switch"
)]
pub trait KillSwitch {
    /// Reads the switch now.
    ///
    /// # Errors
    ///
    /// Returns an error if the switch cannot be read; the engine then behaves as if it were OFF.
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        Ok(SwitchState::Off)
    }

    /// Returns which switch this is, and what is known about why it is OFF, for the message of the refusal or the
    /// rollback. Called after `read` returned OFF; only the message depends on it. The provided body names the type.
    fn describe_off(&self) -> SwitchOff {
        SwitchOff::new(type_name::<Self>())
    }
}

#[diagnostic::do_not_recommend]
impl<K: KillSwitch + ?Sized> KillSwitch for &K {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        (**self).read()
    }

    fn describe_off(&self) -> SwitchOff {
        (**self).describe_off()
    }
}

#[diagnostic::do_not_recommend]
impl<K: KillSwitch + ?Sized> KillSwitch for Box<K> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        (**self).read()
    }

    fn describe_off(&self) -> SwitchOff {
        (**self).describe_off()
    }
}

#[diagnostic::do_not_recommend]
impl<K: KillSwitch + ?Sized> KillSwitch for Rc<K> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        (**self).read()
    }

    fn describe_off(&self) -> SwitchOff {
        (**self).describe_off()
    }
}

#[diagnostic::do_not_recommend]
impl<K: KillSwitch + ?Sized> KillSwitch for Arc<K> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        (**self).read()
    }

    fn describe_off(&self) -> SwitchOff {
        (**self).describe_off()
    }
}

macro_rules! all_of {
    ($($switch:ident $place:tt),+; $last:ident $end:tt) => {
        #[diagnostic::do_not_recommend]
        impl<$($switch: KillSwitch,)+ $last: KillSwitch> KillSwitch for ($($switch,)+ $last) {
            fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
                $(
                    if self.$place.read()? == SwitchState::Off {
                        return Ok(SwitchState::Off);
                    }
                )+
                self.$end.read()
            }

            fn describe_off(&self) -> SwitchOff {
                $(
                    if !matches!(self.$place.read(), Ok(SwitchState::On)) {
                        return self.$place.describe_off();
                    }
                )+
                self.$end.describe_off()
            }
        }
    };
}

all_of!(A 0; B 1);
all_of!(A 0, B 1; C 2);
all_of!(A 0, B 1, C 2; D 3);
all_of!(A 0, B 1, C 2, D 3; E 4);
all_of!(A 0, B 1, C 2, D 3, E 4; F 5);
all_of!(A 0, B 1, C 2, D 3, E 4, F 5; G 6);
all_of!(A 0, B 1, C 2, D 3, E 4, F 5, G 6; H 7);

/// `None` is OFF: a switch that was not configured allows nothing.
#[diagnostic::do_not_recommend]
impl<K: KillSwitch> KillSwitch for Option<K> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        self.as_ref().map_or(Ok(SwitchState::Off), KillSwitch::read)
    }

    fn describe_off(&self) -> SwitchOff {
        match self {
            Some(switch) => switch.describe_off(),
            None => SwitchOff::new("a kill switch that is not configured (`None`)"),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<K: KillSwitch> KillSwitch for Vec<K> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        self.as_slice().read()
    }

    fn describe_off(&self) -> SwitchOff {
        self.as_slice().describe_off()
    }
}

#[diagnostic::do_not_recommend]
impl<K: KillSwitch> KillSwitch for [K] {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        for switch in self {
            if switch.read()? == SwitchState::Off {
                return Ok(SwitchState::Off);
            }
        }
        Ok(if self.is_empty() {
            SwitchState::Off
        } else {
            SwitchState::On
        })
    }

    fn describe_off(&self) -> SwitchOff {
        let off = |switch: &&K| !matches!(switch.read(), Ok(SwitchState::On));
        match self.iter().find(off).or(self.last()) {
            Some(switch) => switch.describe_off(),
            None => SwitchOff::new("an empty list of kill switches"),
        }
    }
}

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ::postgres::Client;

use super::connector::Connector;
use super::session::first_value;
use crate::kill_switch::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable};
use crate::outcome::{message_of, server_hint};

/// Reads the kill switch of the database, through a session of its own.
///
/// The server itself checks the lease, in the message that opens a phase and again inside the commit of that phase,
/// independently of the other switches of a run. This switch reads the lease earlier: before a run begins, before each
/// phase, between rows, and before each close. Each reading is one round trip, on a session that the switch keeps.
/// Where that costs too much, use another switch: the server requires the lease to be ON in any case.
/// Where that is too much, any other switch does: the lease must be ON all the same.
pub struct LeaseSwitch<C> {
    state: Mutex<State<C>>,
}

struct State<C> {
    connector: C,
    client: Option<Client>,
}

impl<C: Connector> LeaseSwitch<C> {
    /// Reads through sessions of `connector`; their role must be one that performs phases, or an auditor's.
    pub fn new(connector: C) -> Self {
        LeaseSwitch {
            state: Mutex::new(State {
                connector,
                client: None,
            }),
        }
    }
}

impl<C: Connector> KillSwitch for LeaseSwitch<C> {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.client.as_ref().is_none_or(Client::is_closed) {
            let connection = state
                .connector
                .connect()
                .map_err(|error| unreadable(error.to_string(), error.hint()))?;
            state.client = Some(connection.into_parts().0);
        }
        let client = state
            .client
            .as_mut()
            .ok_or_else(|| SwitchUnreadable::new("there is no session"))?;
        let answer = client.simple_query("SELECT is_on FROM phasegate.switch_status()");
        match answer.as_deref().map(first_value) {
            Ok(Some("t")) => Ok(SwitchState::On),
            Ok(_) => Ok(SwitchState::Off),
            Err(error) => {
                state.client = None;
                Err(unreadable(message_of(error), server_hint(error)))
            }
        }
    }

    fn describe_off(&self) -> SwitchOff {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.client.as_mut() {
            Some(client) => read_off(client),
            None => SwitchOff::of_the_database(),
        }
    }
}

fn unreadable(reason: String, hint: Option<String>) -> SwitchUnreadable {
    let unreadable = SwitchUnreadable::new(reason);
    match hint {
        Some(hint) => unreadable.with_hint(hint),
        None => unreadable,
    }
}

/// Reads who turned the database's switch off, when, and for which reason. A part that cannot be read is left out.
pub(crate) fn read_off(client: &mut Client) -> SwitchOff {
    try_read_off(client).unwrap_or_else(SwitchOff::of_the_database)
}

/// Reads the same after a phase that found it off: while an operator is turning the switch off, OFF counts before its row is
/// committed, so that it may have to be read again. Half a second later it is left out.
pub(crate) fn read_off_once_committed(client: &mut Client) -> SwitchOff {
    for _ in 0..10 {
        if let Some(off) = try_read_off(client) {
            return off;
        }
        thread::sleep(Duration::from_millis(50));
    }
    SwitchOff::of_the_database()
}

fn try_read_off(client: &mut Client) -> Option<SwitchOff> {
    let sql = "SELECT actor, reason, at FROM phasegate.switch_status() \
               WHERE until OPERATOR(pg_catalog.=) '-infinity'::pg_catalog.timestamptz";
    let row = client.query_opt(sql, &[]).ok()??;
    let text = |column| row.try_get::<_, String>(column).ok();
    let (by, why) = (text("actor")?, text("reason")?);
    let at = row.try_get("at").ok()?;
    Some(SwitchOff::of_the_database().by(by).because(why).since(at))
}

/// Returns whether an operator has turned the switch off since `epoch`; `false` if the server cannot be asked.
pub(crate) fn switched_off_since(client: &mut Client, epoch: i64) -> bool {
    let answer = client.query_one("SELECT phasegate.switched_off_since($1)", &[&epoch]);
    answer.and_then(|row| row.try_get(0)).unwrap_or(false)
}

/// Returns how long the lease of `epoch` lasts from now; `None` if the lease is over, or the server cannot be asked.
pub(crate) fn lease_left(client: &mut Client, epoch: i64) -> Option<Duration> {
    let left = "SELECT pg_catalog.date_part('epoch', until OPERATOR(pg_catalog.-) pg_catalog.clock_timestamp()) \
                FROM phasegate.switch_status() WHERE is_on AND epoch OPERATOR(pg_catalog.=) $1";
    let row = client.query_one(left, &[&epoch]).ok()?;
    Duration::try_from_secs_f64(row.try_get(0).ok()?).ok()
}

/// The state of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseState {
    On,
    Over,
    Off,
}

/// Returns the state of the lease of `epoch`; `None` if the server cannot be asked.
pub(crate) fn lease_state(client: &mut Client, epoch: i64) -> Option<LeaseState> {
    // OFF counts before its row is committed.
    let row = client
        .query_one(
            "SELECT is_on AND epoch OPERATOR(pg_catalog.=) $1, \
                    epoch OPERATOR(pg_catalog.=) $1 AND until OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp() \
             FROM phasegate.switch_status()",
            &[&epoch],
        )
        .ok()?;
    match (row.try_get(0).ok()?, row.try_get(1).ok()?) {
        (_, true) => Some(LeaseState::Over),
        (false, false) => Some(LeaseState::Off),
        (true, false) => Some(LeaseState::On),
    }
}

impl<C> fmt::Debug for LeaseSwitch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseSwitch(..)")
    }
}

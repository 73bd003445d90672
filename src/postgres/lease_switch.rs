use std::fmt;
use std::sync::{Mutex, PoisonError};

use ::postgres::Client;

use super::connector::Connector;
use super::session::first_value;
use crate::kill_switch::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable};
use crate::outcome::describe;

/// Reads the kill switch of the database, through a session of its own.
///
/// The lease is checked by the server itself, in the message that opens a phase and again inside its
/// commit, whatever other switches a run has. This one reads it earlier: before a run begins, before
/// each phase, between rows, and before each close. That is one round trip each, on a session that it keeps.
///
/// Where that is too much, any other switch does: the lease must be ON all the same.
pub struct LeaseSwitch<C> {
    state: Mutex<State<C>>,
}

struct State<C> {
    connector: C,
    client: Option<Client>,
}

impl<C: Connector> LeaseSwitch<C> {
    /// Reads through sessions of `connector`; the role must be one that performs phases, or an
    /// auditor's.
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
                .map_err(|error| SwitchUnreadable::new(error.to_string()))?;
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
                Err(SwitchUnreadable::new(describe(error)))
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

/// Reads who turned the database's switch off, when and why. What cannot be read is left out.
pub(crate) fn read_off(client: &mut Client) -> SwitchOff {
    let off = SwitchOff::of_the_database();
    // While an operator is at it, OFF counts before its row says so.
    let sql = "SELECT actor, reason, at FROM phasegate.switch_status() \
               WHERE until OPERATOR(pg_catalog.=) '-infinity'::pg_catalog.timestamptz";
    let Ok(Some(row)) = client.query_opt(sql, &[]) else {
        return off;
    };
    let text = |column| row.try_get::<_, String>(column);
    match (text("actor"), text("reason"), row.try_get("at")) {
        (Ok(by), Ok(why), Ok(at)) => off.by(by).because(why).since(at),
        _ => off,
    }
}

impl<C> fmt::Debug for LeaseSwitch<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseSwitch(..)")
    }
}

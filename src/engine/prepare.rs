//! Prepares a session ahead of a run: it plans what the opening and the close of a phase need.

use std::rc::Rc;

use super::live::LiveEngine;
use crate::base::secret::{Secret, nonce};
use crate::database::Session;
use crate::outcome::{Refusal, RefusalReason};

impl LiveEngine<'_> {
    /// Returns a session in which the first phase was opened, finished without its adapter, and rolled back; `None` if
    /// sessions are not kept for the next phase.
    pub(crate) fn prepare(mut self) -> Result<Option<Session>, Refusal> {
        let Some(first) = self.plan.phases().first() else {
            return Ok(None);
        };
        if self.options.new_session_per_phase {
            return Ok(None);
        }
        let not_connected = |error| Refusal::of_run(RefusalReason::NotConnected(error));
        let mut session =
            Session::connect(self.connector).map_err(|error| not_connected(error.into()))?;
        if !session.is_reusable {
            return Ok(None);
        }
        let secret = Secret::new().map_err(|error| not_connected(error.into()))?;
        let nonce = nonce().map_err(|error| not_connected(error.into()))?;
        for gate in first.gates() {
            // What is refused here, the run says.
            let _ = self.approve(gate);
        }
        let approvals: Vec<_> = self.granted.iter().map(Rc::clone).collect();
        let timeouts = self.options.timeouts;
        let request = self.request(first.name(), &nonce, secret.lock(), &approvals, &timeouts);
        if session
            .open(&request)
            .is_ok_and(|opened| opened.committed.is_none())
        {
            session.finish_nothing(&secret);
        }
        session
            .roll_back()
            .map_err(|error| not_connected(error.into()))?;
        Ok(Some(session))
    }
}

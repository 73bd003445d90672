//! `switch`: the kill switch of the database. ON means that execution is allowed.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::answer::{About, Answer, Failed};
use super::super::args::Turn;
use super::super::connect::{Role, client};
use super::{Context, moment, stamp};
use crate::base::printable::Printable;
use crate::database::{self, Operator, SwitchedOff};
use crate::outcome::BlockingSession;

/// How long `off` waits for commits that had passed their check.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn turn(context: &Context<'_>, turn: Turn) -> Result<Answer, Failed> {
    let mut session = client(Role::Operator, context.io)?;
    let about = About::default();
    if let Turn::History = turn {
        let turns = database::switch_turns(&mut session)?;
        let mut text = String::new();
        for turn in &turns {
            let state = if turn.on { "ON " } else { "OFF" };
            text.push_str(&format!(
                "{} {state} {}: {}\n",
                stamp(turn.at),
                Printable(&turn.who),
                Printable(&turn.why)
            ));
        }
        let listed: Vec<Value> = (turns.iter())
            .map(|turn| {
                json!({
                    "at": stamp(turn.at), "on": turn.on, "epoch": turn.epoch,
                    "until": turn.until.map(stamp), "who": turn.who, "why": turn.why,
                })
            })
            .collect();
        return Ok(Answer::new(about, json!({ "turns": listed }), text));
    }
    let mut operator = Operator::new(session);
    match turn {
        Turn::On { why, lasting } => {
            let epoch = operator.switch_on(&why, *lasting)?;
            let until = operator.status()?.until;
            let result = json!({ "on": true, "epoch": epoch, "until": until.map(stamp) });
            let text = format!(
                "ON until {}: execution is allowed",
                until.map(moment).unwrap_or_default()
            );
            Ok(Answer::new(about, result, text))
        }
        Turn::Extend { why, lasting } => {
            let until = operator.extend(&why, *lasting)?;
            let result = json!({ "on": true, "until": stamp(until) });
            Ok(Answer::new(
                about,
                result,
                format!("ON until {}", moment(until)),
            ))
        }
        Turn::Off { why } => {
            let (drained, pending) = match operator.switch_off(&why, PATIENCE)? {
                SwitchedOff::Drained => (true, Vec::new()),
                SwitchedOff::Pending(pending) => (false, pending),
            };
            let text = if drained {
                "OFF: no later commit passes".to_owned()
            } else {
                let mut text = "OFF: no further commit passes the check. These had passed it, and have not ended:\n".to_owned();
                for session in &pending {
                    text.push_str(&format!("  {session}\n"));
                }
                text.push_str(
                    "To end their sessions, in psql: SELECT phasegate.end_commits_in_flight()",
                );
                text
            };
            let result = json!({ "on": false, "drained": drained, "pending": sessions(&pending) });
            Ok(Answer::new(about, result, text))
        }
        Turn::Status | Turn::History => {
            let status = operator.status()?;
            let mut text = match (&status.refusal, status.until) {
                (None, Some(until)) => format!("ON until {}", moment(until)),
                (Some(why), _) => format!("OFF: {}", Printable(why)),
                (None, None) => "OFF".to_owned(),
            };
            text.push_str(&format!(
                "\nlast turned by {} {}: {}\n",
                Printable(&status.who),
                moment(status.at),
                Printable(&status.why)
            ));
            for phase in &status.phases {
                text.push_str(&format!("open: {phase}\n"));
            }
            let result = json!({
                "on": status.on, "refusal": status.refusal, "epoch": status.epoch,
                "until": status.until.map(stamp), "who": status.who, "why": status.why,
                "at": stamp(status.at), "drained": status.drained, "open": sessions(&status.phases),
            });
            Ok(Answer::new(about, result, text))
        }
    }
}

fn sessions(sessions: &[BlockingSession]) -> Vec<Value> {
    let listed = sessions.iter().map(|session| {
        json!({
            "pid": session.pid, "role": session.role, "application_name": session.application_name,
            "since": session.since.map(stamp), "prepared": session.prepared,
        })
    });
    listed.collect()
}

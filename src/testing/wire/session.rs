//! One session of a fake server: the messages of its client, one after the other.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Instant;

use postgres::types::Type;

use super::decode::{self, Message, Startup};
use super::encode::{Column, Outgoing};
use super::refusal::SqlRefusal;
use super::sql;
use super::state::State;
use super::transaction::Transaction;
use super::value::SqlValue;
use super::world::{Interruption, World};

/// A statement that was parsed.
#[derive(Clone)]
struct Parsed {
    sql: String,
    types: Vec<Type>,
    columns: Vec<Column>,
}

/// A statement with its parameters.
struct Portal {
    parsed: Parsed,
    params: Vec<SqlValue>,
    binary: Vec<bool>,
}

/// The session ends, without another message.
struct Dropped;

pub(super) struct Session {
    world: Arc<World>,
    state: State,
    out: Outgoing,
    parsed: HashMap<String, Parsed>,
    portals: HashMap<String, Portal>,
    /// Whether a message has failed, so that the rest up to `Sync` is skipped.
    skipping: bool,
}

/// Serves one connection until either side ends it.
pub(super) fn serve(world: Arc<World>, pid: i32, mut stream: &UnixStream) -> io::Result<()> {
    let role = loop {
        match decode::startup(&mut stream)? {
            Startup::Encryption => stream.write_all(b"N")?,
            // Every statement ends by itself.
            Startup::Cancel => return Ok(()),
            Startup::Begin { role } => break role,
        }
    };
    let mut session = Session {
        world,
        state: State {
            pid,
            role,
            began: Instant::now(),
            transaction: Transaction::default(),
            phase: None,
        },
        out: Outgoing::default(),
        parsed: HashMap::new(),
        portals: HashMap::new(),
        skipping: false,
    };
    session.greet();
    stream.write_all(&session.out.take())?;
    loop {
        let message = match decode::message(&mut stream)? {
            Message::Terminate => return Ok(()),
            message => message,
        };
        let dropped = session.handle(message).is_err();
        if dropped {
            session.out.discard();
            return Ok(());
        }
        stream.write_all(&session.out.take())?;
    }
}

impl Session {
    fn greet(&mut self) {
        self.out.authenticated();
        let settings = [
            ("server_version", "17.0 (fake)"),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("TimeZone", "UTC"),
            ("integer_datetimes", "on"),
            ("standard_conforming_strings", "on"),
        ];
        for (name, value) in settings {
            self.out.parameter(name, value);
        }
        self.out.backend_key(self.state.pid);
        self.out.ready(self.state.transaction.status());
    }

    fn handle(&mut self, message: Message) -> Result<(), Dropped> {
        match message {
            Message::Query(sql) => return self.simple(&sql),
            Message::Sync => {
                self.skipping = false;
                self.end_message();
                return Ok(());
            }
            _ if self.skipping => return Ok(()),
            _ => {}
        }
        match self.extended(message) {
            Ok(()) => Ok(()),
            Err(Interruption::Refused(refusal)) => {
                self.state.transaction.fail();
                self.out.error(&refusal);
                self.skipping = true;
                Ok(())
            }
            Err(Interruption::Dropped) => Err(Dropped),
        }
    }

    fn end_message(&mut self) {
        self.world.message_ends(&mut self.state);
        self.out.ready(self.state.transaction.status());
    }

    /// Performs the statements of a message of the simple protocol, up to the first that fails.
    fn simple(&mut self, message: &str) -> Result<(), Dropped> {
        let statements = sql::split(message);
        if statements.is_empty() {
            self.out.empty_query();
        }
        for statement in statements {
            match self.simple_statement(statement) {
                Ok(()) => {}
                Err(Interruption::Refused(refusal)) => {
                    self.state.transaction.fail();
                    self.out.error(&refusal);
                    break;
                }
                Err(Interruption::Dropped) => return Err(Dropped),
            }
        }
        self.end_message();
        Ok(())
    }

    fn simple_statement(&mut self, statement: &str) -> Result<(), Interruption> {
        let answer = self.world.perform(&mut self.state, statement, &[])?;
        if let Some(warning) = &answer.warning {
            self.out.warning(warning);
        }
        if !answer.columns.is_empty() {
            self.out.columns(&answer.columns, false);
            for row in &answer.rows {
                let row = encoded(row, &answer.columns, &[])?;
                self.out.row(&row);
            }
        }
        if let Some(failed) = answer.failed {
            return Err(failed.into());
        }
        self.out.complete(&answer.tag);
        let forgets = ["DEALLOCATE", "DISCARD"].contains(&&*sql::word(statement, 0));
        if forgets && sql::word(statement, 1) == "ALL" {
            self.parsed.clear();
        }
        Ok(())
    }

    fn extended(&mut self, message: Message) -> Result<(), Interruption> {
        match message {
            Message::Parse { name, sql, types } => {
                let sql = sql.trim().trim_end_matches(';').trim_end().to_owned();
                if let [_, _, ..] = sql::split(&sql).as_slice() {
                    let message = "cannot insert multiple commands into a prepared statement";
                    return Err(SqlRefusal::new("42601", message).into());
                }
                let (types, columns) = self.world.describe(&self.state, &sql, &types)?;
                let parsed = Parsed {
                    sql,
                    types,
                    columns,
                };
                self.parsed.insert(name, parsed);
                self.out.parse_complete();
            }
            Message::Bind {
                portal,
                statement,
                binary_params,
                params,
                binary_results,
            } => {
                let parsed = self.parsed(&statement)?.clone();
                if params.len() != parsed.types.len() {
                    let (sent, needed) = (params.len(), parsed.types.len());
                    let message = format!(
                        "bind message supplies {sent} parameters, but the statement requires {needed}"
                    );
                    return Err(SqlRefusal::new("08P01", message).into());
                }
                let read = |(place, (ty, raw)): (usize, (&Type, &Option<Vec<u8>>))| {
                    SqlValue::decode(ty, format_of(&binary_params, place), raw.as_deref())
                };
                let params = parsed
                    .types
                    .iter()
                    .zip(&params)
                    .enumerate()
                    .map(read)
                    .collect();
                let bound = Portal {
                    parsed,
                    params,
                    binary: binary_results,
                };
                self.portals.insert(portal, bound);
                self.out.bind_complete();
            }
            Message::Describe {
                is_statement: true,
                name,
            } => {
                let Parsed { types, columns, .. } = self.parsed(&name)?.clone();
                self.out.parameters(&types);
                self.describe_columns(&columns);
            }
            Message::Describe { name, .. } => {
                let columns = self.portal(&name)?.parsed.columns.clone();
                self.describe_columns(&columns);
            }
            Message::Execute { portal, most_rows } => self.execute(&portal, most_rows)?,
            Message::Close { is_statement, name } => {
                if is_statement {
                    self.parsed.remove(&name);
                } else {
                    self.portals.remove(&name);
                }
                self.out.close_complete();
            }
            Message::Unknown(tag) => {
                let message = format!(
                    "the fake does not know the message `{}` (COPY, or a function call)",
                    char::from(tag)
                );
                let hint = "Run this test on a `TestPostgres`.";
                return Err(SqlRefusal::new("0A000", message).hint(hint).into());
            }
            Message::Flush | Message::Query(_) | Message::Sync | Message::Terminate => {}
        }
        Ok(())
    }

    fn describe_columns(&mut self, columns: &[Column]) {
        if columns.is_empty() {
            self.out.no_data();
        } else {
            self.out.columns(columns, false);
        }
    }

    fn execute(&mut self, name: &str, most_rows: u32) -> Result<(), Interruption> {
        if most_rows > 0 {
            let message = "the fake returns all rows of a portal at once";
            return Err(SqlRefusal::new("0A000", message).into());
        }
        let portal = self
            .portals
            .get(name)
            .ok_or_else(|| no_such("portal", name))?;
        let answer = self
            .world
            .perform(&mut self.state, &portal.parsed.sql, &portal.params)?;
        if let Some(warning) = &answer.warning {
            self.out.warning(warning);
        }
        for row in &answer.rows {
            let row = encoded(row, &answer.columns, &portal.binary)?;
            self.out.row(&row);
        }
        if let Some(failed) = answer.failed {
            return Err(failed.into());
        }
        self.out.complete(&answer.tag);
        Ok(())
    }

    fn parsed(&self, name: &str) -> Result<&Parsed, SqlRefusal> {
        self.parsed
            .get(name)
            .ok_or_else(|| no_such("prepared statement", name))
    }

    fn portal(&self, name: &str) -> Result<&Portal, SqlRefusal> {
        self.portals
            .get(name)
            .ok_or_else(|| no_such("portal", name))
    }
}

fn no_such(what: &str, name: &str) -> SqlRefusal {
    SqlRefusal::new("26000", format!("{what} \"{name}\" does not exist"))
}

/// Whether the value at this place is binary: there is one format for each, or one for all, or none for text.
fn format_of(formats: &[bool], place: usize) -> bool {
    match formats {
        [] => false,
        [all] => *all,
        each => each.get(place).copied().unwrap_or(false),
    }
}

fn encoded(
    row: &[SqlValue],
    columns: &[Column],
    binary: &[bool],
) -> Result<Vec<Option<Vec<u8>>>, SqlRefusal> {
    if row.len() != columns.len() {
        let (values, columns) = (row.len(), columns.len());
        let message = format!("the script returns a row of {values} values for {columns} columns");
        return Err(SqlRefusal::new("XX000", message));
    }
    let each = row.iter().zip(columns).enumerate();
    let each = each.map(|(place, (value, (_, ty)))| value.encode(ty, format_of(binary, place)));
    let row: Result<_, String> = each.collect();
    row.map_err(|unfit| SqlRefusal::new("XX000", unfit))
}

//! Which statements are the crate's own.
//!
//! A statement is known by the function of the schema `phasegate` that it calls, or by another function that only the
//! crate calls, and not by its text, so that a message may have other statements before and after it.

use postgres::types::Type;

use crate::testing::wire::encode::Column;
use crate::testing::wire::refusal::SqlRefusal;
use crate::testing::wire::sql;
use crate::testing::wire::value::SqlValue;

/// A known statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::testing::wire) enum Known {
    Open,
    Seal,
    Finish,
    Resolve,
    Committed,
    SwitchedOffSince,
    SwitchIsOn,
    SwitchOffBy,
    LeaseLeft,
    LeaseState,
    Identify,
    EndBackend,
    /// Whether a privilege is there that the crate needs to send many rows at once: it is not, so that each row is a
    /// statement.
    MayBatch,
    /// A function that only changes the session, and returns nothing of interest.
    Void,
    /// A statement that only changes the session.
    Command,
}

impl Known {
    pub(in crate::testing::wire) fn of(statement: &str) -> Option<Self> {
        let has = |part: &str| statement.contains(part);
        if let Some(function) = sql::schema_function(statement) {
            return match function {
                "open" => Some(Known::Open),
                "seal" => Some(Known::Seal),
                "finish" => Some(Known::Finish),
                "resolve" => Some(Known::Resolve),
                "journal_of" => Some(Known::Committed),
                "switched_off_since" => Some(Known::SwitchedOffSince),
                "switch_status" if has("-infinity") => Some(Known::SwitchOffBy),
                "switch_status" if has("date_part") => Some(Known::LeaseLeft),
                "switch_status" if has("clock_timestamp") => Some(Known::LeaseState),
                "switch_status" => Some(Known::SwitchIsOn),
                "before_savepoint" | "after_rollback" => Some(Known::Void),
                _ => None,
            };
        }
        if has("pg_control_system()") {
            return Some(Known::Identify);
        }
        if has("pg_terminate_backend(") || has("pg_cancel_backend(") {
            return Some(Known::EndBackend);
        }
        if has("pg_catalog.has_function_privilege(") || has("pg_catalog.has_schema_privilege(") {
            return Some(Known::MayBatch);
        }
        if has("pg_catalog.pg_advisory_unlock_all()") || has("pg_catalog.set_config(") {
            return Some(Known::Void);
        }
        let command = ["SET", "RESET", "CLOSE", "DISCARD", "DEALLOCATE", "UNLISTEN"];
        command
            .contains(&&*sql::word(statement, 0))
            .then_some(Known::Command)
    }

    /// Returns the types of the parameters, if their number is known, and the columns.
    pub(in crate::testing::wire) fn description(self) -> (Option<Vec<Type>>, Vec<Column>) {
        let column = |name: &str, ty: Type| vec![(name.to_owned(), ty)];
        let (params, columns) = match self {
            Known::Open => return (None, column("open", Type::TEXT)),
            Known::Seal => return (None, column("seal", Type::VOID)),
            Known::Finish => return (None, column("finish", Type::TEXT)),
            Known::Void => return (None, column("void", Type::VOID)),
            Known::Command => (vec![], vec![]),
            Known::Resolve => {
                let texts = [Type::TEXT, Type::TEXT];
                let params = [
                    &[Type::BYTEA],
                    &texts[..],
                    &[Type::INT4, Type::TEXT, Type::FLOAT8],
                ];
                (params.concat(), column("resolve", Type::TEXT))
            }
            Known::Committed => (vec![Type::BYTEA], column("count", Type::INT8)),
            Known::SwitchedOffSince => (vec![Type::INT8], column("is_off", Type::BOOL)),
            Known::SwitchIsOn => (vec![], column("is_on", Type::BOOL)),
            Known::SwitchOffBy => {
                let texts = [column("actor", Type::TEXT), column("reason", Type::TEXT)];
                (
                    vec![],
                    [texts.concat(), column("at", Type::TIMESTAMPTZ)].concat(),
                )
            }
            Known::LeaseLeft => (vec![Type::INT8], column("left", Type::FLOAT8)),
            Known::LeaseState => {
                let columns = [column("is_on", Type::BOOL), column("is_over", Type::BOOL)];
                (vec![Type::INT8], columns.concat())
            }
            Known::Identify => {
                let names = ["system_identifier", "current_database", "session_user"];
                let mut columns: Vec<_> = names
                    .iter()
                    .map(|name| ((*name).to_owned(), Type::TEXT))
                    .collect();
                columns.extend(column("pg_is_in_recovery", Type::BOOL));
                columns.extend(column("acting", Type::TEXT));
                (vec![], columns)
            }
            Known::EndBackend => (vec![Type::INT4, Type::TEXT], column("ended", Type::BOOL)),
            Known::MayBatch => return (None, column("may", Type::BOOL)),
        };
        (Some(params), columns)
    }
}

/// Returns the call of a function for one row, of the query by which the crate calls it for many: its parameters are one
/// array for each parameter of the call.
pub(in crate::testing::wire) fn call_of_each_row(statement: &str) -> Option<String> {
    let call = statement.strip_prefix("SELECT r.place, ")?;
    let (function, _) = call.split_once("(r.c1")?;
    let parameters = sql::placeholders(statement);
    let parameters: Vec<_> = (1..=parameters).map(|n| format!("${n}")).collect();
    statement
        .contains("WITH ORDINALITY AS u(")
        .then(|| format!("SELECT {function}({})", parameters.join(", ")))
}

/// Returns the bytes that a function is given: decoded in the statement, or as its first parameter.
pub(super) fn argument(statement: &str, params: &[SqlValue]) -> Result<Vec<u8>, SqlRefusal> {
    let given = sql::decoded(statement).or_else(|| match params.first()? {
        SqlValue::Bytes(bytes) => Some(bytes.clone()),
        SqlValue::Text(text) => Some(text.clone().into_bytes()),
        _ => None,
    });
    given.ok_or_else(|| {
        let message = format!("the fake found no argument of bytes in: {statement}");
        SqlRefusal::new("22023", message)
    })
}

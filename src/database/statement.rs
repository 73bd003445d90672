use std::borrow::Cow;
use std::marker::PhantomData;

use ::postgres::types::Type;

use crate::base::printable::Printable;
use crate::outcome::{BoxError, STATEMENT_NOT_PLANNED, server_hint};

/// A statement that [`PhaseTx::prepare`](super::PhaseTx::prepare) has prepared in the transaction of a phase, and that
/// ends with that transaction.
#[derive(Clone)]
pub struct PreparedStatement<'tx> {
    pub(super) driver: ::postgres::Statement,
    pub(super) transaction: PhantomData<&'tx ()>,
}

impl PreparedStatement<'_> {
    /// Returns the types of the statement's parameters.
    #[must_use]
    pub fn params(&self) -> &[Type] {
        self.driver.params()
    }
}

impl std::fmt::Debug for PreparedStatement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PreparedStatement(..)")
    }
}

/// Why a statement of a phase was not performed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The statement would have ended the transaction, or begun another; it was not sent.
    #[error("`{word}` is transaction control and was not sent")]
    TransactionControl {
        /// The statement's first word.
        word: String,
    },
    /// The statement would have copied rows through the connection, without a reader or writer for them; it was not
    /// sent.
    #[error("`COPY` was not sent: nothing would read or write its rows")]
    Copy,
    /// A statement that was passed to a copy method is not `COPY`; it was not sent.
    #[error("`{}` is not `COPY`, and was not sent", Printable(.word))]
    NotCopy {
        /// The statement's first word.
        word: String,
    },
    /// The plan of the phase does not have the statement; it was not sent, and the phase is rolled back.
    #[error("the plan of this phase has no such statement, and it was not sent: `{}`", Printable(.statement))]
    NotPlanned {
        /// The text of the statement.
        statement: String,
    },
    /// In a [`ReadOnlySession`](crate::connect::ReadOnlySession), the statement would have ended the transaction,
    /// begun another, or copied; it was not sent.
    #[error("`{word}` was not sent: a read-only session is one transaction, asked by queries")]
    ReadOnly {
        /// The statement's first word.
        word: String,
    },
    /// The [`ReadOnlySession`](crate::connect::ReadOnlySession) has ended, and could not begin again.
    #[error("it was not sent: the read-only session has ended and could not begin again")]
    Ended,
    /// The statement takes another number of parameters.
    #[error("the statement takes {expected} parameters and was given {given}; it was not sent")]
    ParameterCount {
        /// The number that the statement takes.
        expected: usize,
        /// The number that was passed.
        given: usize,
    },
    /// The statement copies in the other direction, or not through the connection; the session is unusable after that.
    #[error("it copies in another direction: the session is closed, and the phase is rolled back")]
    CopyOtherWay,
    /// The server broke off a copy, and the closure that read it did not return that error.
    #[error("the server broke the copy off, and the error was dropped")]
    CopyBrokenOff,
    /// The text that was passed as the function to call for each row is not a name in SQL; it was not sent.
    #[error(
        "`{}` is not the name of a function in SQL; nothing was sent",
        Printable(.name)
    )]
    NotAFunction {
        /// The text that was passed.
        name: String,
    },
    /// A function that is called for each row did not return exactly one value for this row.
    #[error("the function returned {answers} values for this row, and not one")]
    NotOneAnswer {
        /// The number of values that it returned, as far as they were read.
        answers: usize,
    },
    /// A function that is called for each row returned null for this row, and the Rust type has no null.
    #[error("the function returned null for this row")]
    NullAnswer,
    /// A function that is called for each row returns `void`, and the Rust type needs a value.
    #[error("the function returns nothing")]
    AnswersNothing,
    /// A function that is called for each row returned a value of another type, or one that cannot be decoded.
    #[error("the function's result cannot be decoded: {0}")]
    Answer(BoxError),
    /// A parameter is not of the type that the statement takes, or could not be encoded.
    #[error("a parameter was not accepted: {0}")]
    Parameter(BoxError),
    /// The server refused the statement, or the connection is lost.
    #[error("the statement was not performed{}", .0.code().map(|code| format!(" (SQLSTATE {})", code.code())).unwrap_or_default())]
    Database(#[source] ::postgres::Error),
}

impl SqlError {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SqlError::TransactionControl { .. } => "sql_transaction_control",
            SqlError::Copy => "sql_copy",
            SqlError::NotCopy { .. } => "sql_not_copy",
            SqlError::NotPlanned { .. } => "sql_not_planned",
            SqlError::ReadOnly { .. } => "sql_read_only",
            SqlError::Ended => "sql_session_ended",
            SqlError::ParameterCount { .. } => "sql_parameter_count",
            SqlError::CopyOtherWay => "sql_copy_other_way",
            SqlError::CopyBrokenOff => "sql_copy_broken_off",
            SqlError::NotAFunction { .. } => "sql_not_a_function",
            SqlError::NotOneAnswer { .. } => "sql_not_one_answer",
            SqlError::NullAnswer => "sql_null_answer",
            SqlError::AnswersNothing => "sql_answers_nothing",
            SqlError::Answer(_) => "sql_answer",
            SqlError::Parameter(_) => "sql_parameter",
            SqlError::Database(_) => "sql_failed",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            SqlError::TransactionControl { word } if word == "PREPARE" => {
                "Use `PhaseTx::prepare`: a phase is one transaction, which nothing prepares for another session."
            }
            SqlError::TransactionControl { .. } => {
                "A phase is one transaction, and what the adapter returns ends it. For a part that may fail, use `PhaseTx::savepoint`."
            }
            SqlError::Copy => "Use `PhaseTx::copy_in` or `PhaseTx::copy_out`.",
            SqlError::NotCopy { .. } => "Use `PhaseTx::execute`.",
            SqlError::NotPlanned { .. } => STATEMENT_NOT_PLANNED,
            SqlError::ReadOnly { .. } => {
                "To look at a later moment, use `ReadOnlySession::refresh`."
            }
            SqlError::Ended => "Open another: `ReadOnlySession::open`.",
            SqlError::CopyOtherWay => {
                "Give `PhaseTx::copy_in` a `COPY .. FROM STDIN`, and `PhaseTx::copy_out` a `COPY .. TO STDOUT`."
            }
            SqlError::CopyBrokenOff => {
                "Return the error of the copy: it says why the server broke it off."
            }
            SqlError::NotAFunction { .. } => {
                "Write the name as SQL has it, such as `register.create_unit`."
            }
            SqlError::NotOneAnswer { .. } => {
                "Call a function that returns one value, and not a set."
            }
            SqlError::NullAnswer => "Take an `Option`: `|row, id: Option<i64>|`.",
            SqlError::AnswersNothing => "Take `Discard`: `|row, Discard|`.",
            SqlError::Database(error) => return server_hint(error),
            SqlError::ParameterCount { .. } | SqlError::Answer(_) | SqlError::Parameter(_) => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}

impl From<::postgres::Error> for SqlError {
    fn from(error: ::postgres::Error) -> Self {
        SqlError::Database(error)
    }
}

/// A statement that a phase can send. Sealed.
///
/// | statement | round trips |
/// |---|---|
/// | a text without parameters | 1 |
/// | a text with parameters: the server is asked for their types first | 2 |
/// | a text with the types of its parameters: `&(sql, [Type::INT8])` | 1 |
/// | a [`PreparedStatement`] | 1, and 2 to prepare it and let go of it |
///
/// A column of a type that the driver does not know (an enum, a domain) takes further round trips, once in a session.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a statement that a phase can send",
    label = "not a text, not a `phasegate::connect::PreparedStatement`",
    note = "a phase prepares its statements in its own transaction: `tx.prepare(sql)?`"
)]
pub trait Sql: sealed::Sql {}

impl Sql for str {}
impl Sql for String {}
impl Sql for (&str, &[Type]) {}
impl<const N: usize> Sql for (&str, [Type; N]) {}
impl Sql for PreparedStatement<'_> {}

pub(super) mod sealed {
    use ::postgres::types::Type;

    use super::PreparedStatement;

    /// Seals [`Sql`]: a text, or a prepared statement.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is not a statement that a phase can send",
        label = "not a text, not a `phasegate::connect::PreparedStatement`",
        note = "a phase prepares its statements in its own transaction: `tx.prepare(sql)?`"
    )]
    pub trait Sql {
        fn form(&self) -> Form<'_>;
    }

    #[allow(missing_debug_implementations)]
    pub enum Form<'a> {
        Text(&'a str),
        Typed(&'a str, &'a [Type]),
        Prepared(&'a ::postgres::Statement),
    }

    impl Sql for str {
        fn form(&self) -> Form<'_> {
            Form::Text(self)
        }
    }

    impl Sql for String {
        fn form(&self) -> Form<'_> {
            Form::Text(self)
        }
    }

    impl Sql for (&str, &[Type]) {
        fn form(&self) -> Form<'_> {
            Form::Typed(self.0, self.1)
        }
    }

    impl<const N: usize> Sql for (&str, [Type; N]) {
        fn form(&self) -> Form<'_> {
            Form::Typed(self.0, &self.1)
        }
    }

    impl Sql for PreparedStatement<'_> {
        fn form(&self) -> Form<'_> {
            Form::Prepared(&self.driver)
        }
    }
}

/// The first words of the statements that begin, end, or divide a transaction. `SET TRANSACTION` and `SET CONSTRAINTS`
/// are allowed: they do not change who ends the transaction.
const TRANSACTION_CONTROL: [&str; 9] = [
    "ABORT",
    "BEGIN",
    "COMMIT",
    "END",
    "PREPARE",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "START",
];

/// Refuses a statement that must not be sent. After a `ROLLBACK` that reached the server, every later statement of the
/// phase would commit by itself.
///
/// The extended protocol sends one statement per message, so that the first word decides. `PREPARE` is refused as a
/// whole: `PREPARE TRANSACTION` makes the transaction available to any session, and for the other form there is
/// [`PhaseTx::prepare`](super::PhaseTx::prepare).
pub(super) fn refuse_unsendable(sql: &str) -> Result<(), SqlError> {
    let word = first_word(sql).to_ascii_uppercase();
    match word.as_str() {
        "COPY" => Err(SqlError::Copy),
        control if TRANSACTION_CONTROL.contains(&control) => {
            Err(SqlError::TransactionControl { word })
        }
        _ => Ok(()),
    }
}

/// Returns the text under which a statement stands in a plan: what is sent, and the types of the parameters where the
/// caller names them, since they choose among functions of one name.
pub(super) fn planned_text<'q>(sql: &'q str, types: &[Type]) -> Cow<'q, str> {
    if types.is_empty() {
        return Cow::Borrowed(sql);
    }
    let name = |type_: &Type| match type_.schema() {
        "pg_catalog" => type_.name().to_owned(),
        schema => format!("{schema}.{}", type_.name()),
    };
    let types: Vec<_> = types.iter().map(name).collect();
    Cow::Owned(format!("{sql}\n-- parameters: {}", types.join(", ")))
}

/// Refuses a statement that is not `COPY`.
pub(super) fn refuse_unless_copy(sql: &str) -> Result<(), SqlError> {
    match refuse_unsendable(sql) {
        Err(SqlError::Copy) => Ok(()),
        Err(refused) => Err(refused),
        Ok(()) => {
            let word = first_word(sql).to_owned();
            Err(SqlError::NotCopy { word })
        }
    }
}

/// Returns the first word of a statement, as the server's lexer finds it: after white space, comments (which nest) and
/// empty statements.
pub(super) fn first_word(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c', ';']);
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if rest.starts_with("/*") {
            rest = after_block_comment(rest);
        } else {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$' && c.is_ascii())
                .unwrap_or(rest.len());
            return &rest[..end];
        }
    }
}

fn after_block_comment(sql: &str) -> &str {
    let bytes = sql.as_bytes();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < bytes.len() {
        match &bytes[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                at += 2;
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return &sql[at..];
                }
            }
            _ => at += 1,
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_control_is_refused_however_it_is_dressed() {
        for sql in [
            "COMMIT",
            "commit",
            "  \n\tCoMmIt;",
            "\x0b\x0ccommit",
            "; ;COMMIT",
            "-- why not\nCOMMIT",
            "-- why not\rCOMMIT",
            "/* a /* nested */ one */ COMMIT",
            "/**/COMMIT",
            "/* a */ -- b\n /* c */ rollback to savepoint x",
            "ROLLBACK",
            "ABORT",
            "END",
            "END/**/WORK",
            "BEGIN",
            "START TRANSACTION",
            "SAVEPOINT s",
            "RELEASE s",
            "PREPARE TRANSACTION 'x'",
        ] {
            let refused = refuse_unsendable(sql);
            assert!(
                matches!(refused, Err(SqlError::TransactionControl { .. })),
                "{sql:?}"
            );
        }
    }

    #[test]
    fn everything_else_passes() {
        for sql in [
            "",
            ";",
            "SELECT 'COMMIT'",
            "INSERT INTO commit VALUES (1)",
            "commitment",
            "commit_all",
            "commité",
            "/* COMMIT */ SELECT 1",
            "-- COMMIT",
            "/* unterminated COMMIT",
            "/* /* */ COMMIT",
            "SET TRANSACTION READ ONLY",
            "SET CONSTRAINTS ALL IMMEDIATE",
            "DO $$ BEGIN END $$",
            "WITH t AS (SELECT 1) SELECT * FROM t",
        ] {
            assert!(refuse_unsendable(sql).is_ok(), "{sql:?}");
        }
    }

    #[test]
    fn the_hint_says_what_to_do() {
        let error = refuse_unsendable("end").unwrap_err();
        let (said, hint) = (error.to_string(), error.hint().unwrap());
        assert!(said.starts_with("`END` is transaction control"), "{said}");
        assert!(hint.contains("PhaseTx::savepoint"), "{hint}");
        let hint = refuse_unsendable("prepare x as select 1")
            .unwrap_err()
            .hint()
            .unwrap();
        assert!(hint.contains("Use `PhaseTx::prepare`"), "{hint}");
        assert!(!hint.contains("savepoint"), "{hint}");
    }
}

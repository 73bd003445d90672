//! What a fake server returns for the statements of a test.

use std::fmt;
use std::sync::Arc;

use postgres::types::Type;

use super::refusal::SqlRefusal;
use super::sql;
use super::value::SqlValue;

type Rows = Vec<Vec<SqlValue>>;
type ChangesBy = Arc<dyn Fn(&[SqlValue]) -> u64 + Send + Sync>;
type FitsBy = Arc<dyn Fn(&[SqlValue]) -> bool + Send + Sync>;
type ReturnsBy = Arc<dyn Fn(&[SqlValue]) -> Rows + Send + Sync>;

/// A statement that a [`FakePostgres`](super::FakePostgres) knows, by its first words, and what it returns for it.
///
/// Without [`changes`](ScriptedStatement::changes) or [`returns`](ScriptedStatement::returns), it only adds failures
/// to a statement that the server knows by itself, such as `COMMIT`.
///
/// ```
/// use phasegate::testing::{ScriptedStatement, SqlRefusal};
/// use postgres::types::Type;
///
/// let insert = ScriptedStatement::beginning("INSERT INTO item")
///     .takes([Type::TEXT])
///     .changes(1)
///     .fails_at(2, SqlRefusal::new("23514", "the row violates a check constraint").constraint("no_secrets"));
/// let count = ScriptedStatement::beginning("SELECT count(*) FROM item")
///     .returns([("count", Type::INT8)], [vec![3.into()]]);
/// let commit = ScriptedStatement::beginning("COMMIT").drops_after(1);
/// ```
#[derive(Clone)]
#[must_use = "it is known to a fake server that is given it"]
pub struct ScriptedStatement {
    /// The first words, in the normal form.
    beginning: String,
    pub(super) types: Vec<Type>,
    pub(super) reply: Option<Reply>,
    faults: Vec<(u64, Fault)>,
    refuses: Vec<(FitsBy, SqlRefusal)>,
    /// How often the statement was performed.
    calls: u64,
}

/// The result of a statement.
#[derive(Clone)]
pub(super) enum Reply {
    Changes(ChangesBy),
    Returns(Vec<(String, Type)>, ReturnsBy),
}

/// What happens at one of the calls of a statement.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    Refuse(SqlRefusal),
    DropBefore,
    DropAfter,
}

impl ScriptedStatement {
    /// Knows each statement that begins with these words; letter case and white space do not count. Of several that
    /// fit, the longest counts, and of equal ones the last.
    pub fn beginning(words: &str) -> Self {
        ScriptedStatement {
            beginning: sql::normal(words),
            types: Vec::new(),
            reply: None,
            faults: Vec::new(),
            refuses: Vec::new(),
            calls: 0,
        }
    }

    /// Sets the types of the parameters `$1`, `$2`, .. A statement with another number of parameters is refused.
    pub fn takes(mut self, types: impl IntoIterator<Item = Type>) -> Self {
        self.types = types.into_iter().collect();
        self
    }

    /// Returns no rows, and says that `rows` were changed.
    pub fn changes(self, rows: u64) -> Self {
        self.changes_by(move |_| rows)
    }

    /// As [`changes`](ScriptedStatement::changes), with a number that depends on the parameters.
    pub fn changes_by(mut self, rows: impl Fn(&[SqlValue]) -> u64 + Send + Sync + 'static) -> Self {
        self.reply = Some(Reply::Changes(Arc::new(rows)));
        self
    }

    /// Returns these rows, each with a value for each column.
    pub fn returns<'a>(
        self,
        columns: impl IntoIterator<Item = (&'a str, Type)>,
        rows: impl IntoIterator<Item = Vec<SqlValue>>,
    ) -> Self {
        let rows: Rows = rows.into_iter().collect();
        self.returns_by(columns, move |_| rows.clone())
    }

    /// As [`returns`](ScriptedStatement::returns), with rows that depend on the parameters.
    pub fn returns_by<'a>(
        mut self,
        columns: impl IntoIterator<Item = (&'a str, Type)>,
        rows: impl Fn(&[SqlValue]) -> Rows + Send + Sync + 'static,
    ) -> Self {
        let columns = columns.into_iter().map(|(name, ty)| (name.to_owned(), ty));
        self.reply = Some(Reply::Returns(columns.collect(), Arc::new(rows)));
        self
    }

    /// Refuses the call with this number, counted from 1 since the server was started.
    pub fn fails_at(self, call: u64, refusal: SqlRefusal) -> Self {
        self.fault(call, Fault::Refuse(refusal))
    }

    /// Refuses each call whose parameters fit, as a constraint of the table would.
    pub fn fails_if(
        mut self,
        fits: impl Fn(&[SqlValue]) -> bool + Send + Sync + 'static,
        refusal: SqlRefusal,
    ) -> Self {
        self.refuses.push((Arc::new(fits), refusal));
        self
    }

    /// Drops the connection at the call with this number, before the statement is performed.
    pub fn drops_before(self, call: u64) -> Self {
        self.fault(call, Fault::DropBefore)
    }

    /// Performs the call with this number, and drops the connection in place of the response.
    pub fn drops_after(self, call: u64) -> Self {
        self.fault(call, Fault::DropAfter)
    }

    fn fault(mut self, call: u64, fault: Fault) -> Self {
        self.faults.push((call, fault));
        self
    }

    /// Counts a call, and returns what happens at it.
    pub(super) fn called(&mut self, params: &[SqlValue]) -> Option<Fault> {
        self.calls += 1;
        let fault = self.faults.iter().find(|(call, _)| *call == self.calls);
        let refused = || self.refuses.iter().find(|(fits, _)| fits(params));
        match fault {
            Some((_, fault)) => Some(fault.clone()),
            None => refused().map(|(_, refusal)| Fault::Refuse(refusal.clone())),
        }
    }
}

/// Returns the scripted statement that fits, by its place.
pub(super) fn find(script: &[ScriptedStatement], sql: &str) -> Option<usize> {
    let sql = sql::normal(sql);
    let fits = script
        .iter()
        .enumerate()
        .filter(|(_, known)| sql.starts_with(&known.beginning));
    fits.max_by_key(|(_, known)| known.beginning.len())
        .map(|(place, _)| place)
}

/// Returns the command tag of a statement that changed or returned `rows` rows.
pub(super) fn tag(sql: &str, rows: u64, returned: bool) -> String {
    match &*sql::word(sql, 0) {
        "INSERT" => format!("INSERT 0 {rows}"),
        word @ ("UPDATE" | "DELETE" | "MERGE" | "SELECT") => format!("{word} {rows}"),
        _ if returned => format!("SELECT {rows}"),
        word => word.to_owned(),
    }
}

impl fmt::Debug for ScriptedStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScriptedStatement({})", self.beginning)
    }
}

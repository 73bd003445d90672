//! The state of a session's transaction, as a server keeps it.

use super::record::RecordedStatement;
use super::refusal::SqlRefusal;
use super::sql;

/// A statement that begins, ends or divides a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    Release(String),
    RollbackTo(String),
}

impl Control {
    /// Returns `None` for every other statement, and for two-phase commits and chained transactions, which a fake
    /// server does not know.
    pub(super) fn of(statement: &str) -> Option<Self> {
        let mut words = sql::normal(statement);
        words.retain(|c| c.is_alphanumeric() || c == '_' || c == ' ');
        let words: Vec<_> = words.split(' ').collect();
        let plain = |words: &[&str]| matches!(words, [] | ["WORK" | "TRANSACTION"]);
        let name = |name: &str| name.to_owned();
        match words.as_slice() {
            ["BEGIN", ..] | ["START", "TRANSACTION", ..] => Some(Control::Begin),
            ["COMMIT" | "END", rest @ ..] if plain(rest) => Some(Control::Commit),
            ["ROLLBACK" | "ABORT", rest @ ..] if plain(rest) => Some(Control::Rollback),
            ["SAVEPOINT", point] => Some(Control::Savepoint(name(point))),
            ["RELEASE", point] | ["RELEASE", "SAVEPOINT", point] => {
                Some(Control::Release(name(point)))
            }
            ["ROLLBACK", rest @ ..] => {
                let rest = rest
                    .strip_prefix(&["WORK"])
                    .or(rest.strip_prefix(&["TRANSACTION"]))
                    .unwrap_or(rest);
                match rest {
                    ["TO", point] | ["TO", "SAVEPOINT", point] => {
                        Some(Control::RollbackTo(name(point)))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Whether a transaction that has failed accepts it.
    pub(super) fn ends_failure(&self) -> bool {
        matches!(
            self,
            Control::Commit | Control::Rollback | Control::RollbackTo(_)
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Block {
    /// Each message is a transaction of its own.
    #[default]
    None,
    Open,
    Failed,
}

/// The transaction of a session, with the statements in it that stand.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    block: Block,
    statements: Vec<RecordedStatement>,
    /// The savepoints, each with the number of statements before it.
    savepoints: Vec<(String, usize)>,
}

/// How a transaction ended.
#[derive(Debug)]
pub(super) enum Ended {
    Committed(Vec<RecordedStatement>),
    RolledBack,
}

/// The result of a [`Control`].
#[derive(Debug)]
pub(super) struct Controlled {
    pub(super) tag: &'static str,
    pub(super) warning: Option<SqlRefusal>,
    pub(super) ended: Option<Ended>,
}

impl Transaction {
    /// The status in the message `ReadyForQuery`.
    pub(super) fn status(&self) -> u8 {
        match self.block {
            Block::None => b'I',
            Block::Open => b'T',
            Block::Failed => b'E',
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.block == Block::Open
    }

    pub(super) fn has_failed(&self) -> bool {
        self.block == Block::Failed
    }

    /// Adds a statement that was performed.
    pub(super) fn add(&mut self, statement: RecordedStatement) {
        self.statements.push(statement);
    }

    /// A statement has failed: the block has failed, or the message without a block is rolled back.
    pub(super) fn fail(&mut self) {
        match self.block {
            Block::None => self.statements.clear(),
            Block::Open | Block::Failed => self.block = Block::Failed,
        }
    }

    /// A message has ended: what it did outside of a block is committed.
    pub(super) fn message_ends(&mut self) -> Vec<RecordedStatement> {
        match self.block {
            Block::None => std::mem::take(&mut self.statements),
            Block::Open | Block::Failed => Vec::new(),
        }
    }

    /// Rolls back, as at the end of the connection.
    pub(super) fn abandon(&mut self) {
        *self = Transaction::default();
    }

    pub(super) fn control(&mut self, control: &Control) -> Result<Controlled, SqlRefusal> {
        let done = |tag, warning| Controlled {
            tag,
            warning,
            ended: None,
        };
        let warning = |code, message: &str| Some(SqlRefusal::new(code, message));
        let none_open = || warning("25P01", "there is no transaction in progress");
        match (control, self.block) {
            (Control::Begin, Block::None) => {
                self.block = Block::Open;
                Ok(done("BEGIN", None))
            }
            (Control::Begin, _) => {
                let message = "there is already a transaction in progress";
                Ok(done("BEGIN", warning("25001", message)))
            }
            (Control::Commit, Block::None) => Ok(done("COMMIT", none_open())),
            (Control::Rollback, Block::None) => {
                self.statements.clear();
                Ok(done("ROLLBACK", none_open()))
            }
            (Control::Commit, Block::Open) => {
                let ended = Some(Ended::Committed(std::mem::take(&mut self.statements)));
                self.abandon();
                Ok(Controlled {
                    tag: "COMMIT",
                    warning: None,
                    ended,
                })
            }
            (Control::Commit | Control::Rollback, _) => {
                self.abandon();
                Ok(Controlled {
                    tag: "ROLLBACK",
                    warning: None,
                    ended: Some(Ended::RolledBack),
                })
            }
            (_, Block::None) => Err(SqlRefusal::new(
                "25P01",
                "a savepoint can only be used in transaction blocks",
            )),
            (Control::Savepoint(name), _) => {
                self.savepoints.push((name.clone(), self.statements.len()));
                Ok(done("SAVEPOINT", None))
            }
            (Control::Release(name), _) => {
                let at = self.savepoint(name)?;
                self.savepoints.truncate(at);
                Ok(done("RELEASE", None))
            }
            (Control::RollbackTo(name), _) => {
                let at = self.savepoint(name)?;
                self.statements.truncate(self.savepoints[at].1);
                self.savepoints.truncate(at + 1);
                self.block = Block::Open;
                Ok(done("ROLLBACK", None))
            }
        }
    }

    fn savepoint(&self, name: &str) -> Result<usize, SqlRefusal> {
        let at = self.savepoints.iter().rposition(|(known, _)| known == name);
        at.ok_or_else(|| SqlRefusal::new("3B001", format!("savepoint \"{name}\" does not exist")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(sql: &str) -> Control {
        Control::of(sql).expect(sql)
    }

    #[test]
    fn transaction_control_is_known_in_each_spelling() {
        assert_eq!(
            control("begin isolation level read committed, read write"),
            Control::Begin
        );
        assert_eq!(control("END"), Control::Commit);
        assert_eq!(
            control("rollback to savepoint \"a\""),
            Control::RollbackTo("A".to_owned())
        );
        for other in [
            "COMMIT PREPARED 'x'",
            "COMMIT AND CHAIN",
            "PREPARE TRANSACTION 'x'",
            "SELECT 1",
        ] {
            assert_eq!(Control::of(other), None, "{other}");
        }
    }

    #[test]
    fn a_commit_after_a_failed_statement_rolls_back() {
        let mut transaction = Transaction::default();
        transaction.control(&Control::Begin).expect("it begins");
        transaction.fail();
        assert_eq!(transaction.status(), b'E');
        let ended = transaction.control(&Control::Commit).expect("it ends");
        assert_eq!(ended.tag, "ROLLBACK");
        assert_eq!(transaction.status(), b'I');
    }

    #[test]
    fn a_rollback_to_a_savepoint_goes_on_and_forgets_what_came_after() {
        let statement = || RecordedStatement::new(1, "INSERT", &[]);
        let mut transaction = Transaction::default();
        transaction.control(&Control::Begin).expect("it begins");
        transaction.add(statement());
        transaction
            .control(&control("SAVEPOINT a"))
            .expect("a savepoint");
        transaction.add(statement());
        transaction.fail();
        assert!(transaction.control(&control("RELEASE b")).is_err());
        transaction
            .control(&control("ROLLBACK TO a"))
            .expect("it is there");
        let ended = transaction
            .control(&Control::Commit)
            .expect("it ends")
            .ended;
        assert!(matches!(ended, Some(Ended::Committed(statements)) if statements.len() == 1));
    }
}

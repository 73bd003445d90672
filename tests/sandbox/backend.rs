//! The two servers of the suite.

use std::sync::OnceLock;

use phasegate::testing::{
    FakePostgres, PreparedDatabase, ScriptedStatement, SqlRefusal, SqlValue, TestPostgres,
};
use phasegate::{Plan, Target, connect::PostgresConnector};
use postgres::types::Type;

use crate::phases::{COUNT, ENACT, INSERT, LINK};
use crate::proxy::{Proxy, Verdict};

/// What a check needs of a server.
pub trait Backend {
    fn target(&self) -> Target;

    fn connector(&self) -> PostgresConnector;

    /// Admits the plan, with every approval of the double.
    fn admit(&self, plan: &Plan);

    /// Returns the messages so far, in order.
    fn messages(&self) -> Vec<String>;

    /// Returns the units that are committed, each with its state.
    fn units(&self) -> Vec<(String, String)>;
}

/// A server whose unit may not be named `secret`, nor be enacted if it is named `cursed`.
pub fn fake() -> FakePostgres {
    let named = |name: &'static str| {
        move |params: &[SqlValue]| params.first() == Some(&SqlValue::from(name))
    };
    let check = |constraint: &str| {
        SqlRefusal::new("23514", "the new row violates a check constraint").constraint(constraint)
    };
    let script = [
        ScriptedStatement::beginning(INSERT)
            .takes([Type::TEXT, Type::TEXT])
            .changes(1)
            .fails_if(named("secret"), check("no_secrets")),
        ScriptedStatement::beginning(LINK)
            .takes([Type::TEXT])
            .changes(1),
        ScriptedStatement::beginning(ENACT)
            .takes([Type::TEXT])
            .changes(1)
            .fails_if(named("cursed"), check("no_curses")),
        ScriptedStatement::beginning(COUNT)
            .takes([Type::TEXT])
            .returns([("count", Type::INT8)], [vec![3.into()]]),
    ];
    FakePostgres::start(script).expect("a socket")
}

impl Backend for FakePostgres {
    fn target(&self) -> Target {
        self.target().clone()
    }

    fn connector(&self) -> PostgresConnector {
        self.connector()
    }

    fn admit(&self, plan: &Plan) {
        self.admit(plan);
    }

    fn messages(&self) -> Vec<String> {
        self.texts()
    }

    fn units(&self) -> Vec<(String, String)> {
        let mut units = Vec::new();
        for statement in self.committed() {
            let title = statement.params().first().map(SqlValue::to_string);
            match title {
                Some(title) if statement.text() == INSERT => {
                    units.push((title, "draft".to_owned()));
                }
                Some(title) if statement.text() == ENACT => {
                    let unit = units.iter_mut().find(|(known, _)| *known == title);
                    "enacted".clone_into(&mut unit.expect("it was created").1);
                }
                _ => {}
            }
        }
        units
    }
}

const TABLES: &str = "
    CREATE TABLE unit (
        title text PRIMARY KEY, body text NOT NULL, state text NOT NULL,
        CONSTRAINT no_secrets CHECK (title <> 'secret'),
        CONSTRAINT no_curses CHECK (title <> 'cursed' OR state = 'draft'));
    CREATE TABLE link (title text REFERENCES unit);
    SELECT phasegate.protect('unit'), phasegate.protect('link');
    GRANT SELECT, INSERT, UPDATE ON unit, link TO {runner};
";

/// A real server, with a proxy that records the messages.
pub struct Real {
    database: PreparedDatabase,
    proxy: Proxy,
}

pub fn real() -> Real {
    static SERVER: OnceLock<TestPostgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| TestPostgres::find_or_start().expect("a server"));
    let database = server.prepare(TABLES).expect("a database");
    let proxy = Proxy::new(&database.config(), |_| Verdict::Pass);
    Real { database, proxy }
}

impl Backend for Real {
    fn target(&self) -> Target {
        self.database.target().clone()
    }

    fn connector(&self) -> PostgresConnector {
        PostgresConnector::no_tls(self.proxy.config.clone())
    }

    fn admit(&self, plan: &Plan) {
        self.database.admit(plan).expect("an operator admits");
    }

    fn messages(&self) -> Vec<String> {
        let messages = self.proxy.messages.so_far();
        messages
            .iter()
            .flat_map(|text| text.split("; "))
            .map(str::to_owned)
            .collect()
    }

    fn units(&self) -> Vec<(String, String)> {
        let mut admin = self.database.admin().expect("the owner");
        let units = admin.query("SELECT title, state FROM unit ORDER BY title", &[]);
        let units = units.expect("the units");
        units.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

//! A phase in which one statement after another is tried, and rolled back.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use phasegate::{Failure, PhaseTx};
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::pipeline::Draft;
use crate::server::{Database, database};

/// What a row can meet in a register.
const REGISTER: &str = "
CREATE TYPE mood AS ENUM ('calm', 'storm');
CREATE DOMAIN short AS varchar(5);
CREATE DOMAIN padded AS char(5);
CREATE DOMAIN small AS integer CHECK (VALUE < 100);
CREATE TABLE shelf (id bigint PRIMARY KEY);
INSERT INTO shelf VALUES (1), (2);
CREATE TABLE book (id bigint UNIQUE, shelf bigint REFERENCES shelf, title text NOT NULL CHECK (title <> 'burnt'),
    later bigint REFERENCES shelf DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE log (said text);
CREATE FUNCTION mind() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.title = 'banned' THEN RAISE EXCEPTION 'it is banned' USING ERRCODE = 'BK001'; END IF;
    INSERT INTO log VALUES (new.title);
    RETURN new;
END $$;
CREATE TRIGGER mind AFTER INSERT OR UPDATE ON book FOR EACH ROW EXECUTE FUNCTION mind();
CREATE FUNCTION shelve(deed text, id bigint, title text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE answered jsonb := jsonb_build_object('ok', true, 'books', (SELECT count(*) FROM book));
BEGIN
    CASE deed
    WHEN 'insert' THEN INSERT INTO book VALUES (id, 1, title);
    WHEN 'on' THEN INSERT INTO book VALUES (id, id, title);
    WHEN 'later' THEN INSERT INTO book VALUES (id, 1, title, 999);
    WHEN 'shelf' THEN INSERT INTO shelf VALUES (id);
    WHEN 'unshelve' THEN DELETE FROM shelf AS s WHERE s.id = shelve.id;
    WHEN 'cast' THEN INSERT INTO book VALUES (id, 1, title::integer::text);
    WHEN 'next' THEN INSERT INTO book SELECT max(b.id) + 1, 1, shelve.title FROM book AS b;
    WHEN 'after' THEN
        IF NOT EXISTS (SELECT FROM book AS b WHERE b.id = shelve.id) THEN
            RAISE EXCEPTION 'there is no book %', id USING ERRCODE = 'BK002';
        END IF;
    WHEN 'try' THEN
        BEGIN
            INSERT INTO book VALUES (id, 1, title);
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO log VALUES ('not ' || title);
        END;
    WHEN 'rename' THEN UPDATE book AS b SET title = shelve.title WHERE b.id % 3 = shelve.id % 3;
    WHEN 'remove' THEN DELETE FROM book AS b WHERE b.id = shelve.id;
    WHEN 'divide' THEN answered := answered || jsonb_build_object('part', 100 / id);
    WHEN 'no' THEN answered := jsonb_build_object('ok', false, 'why', title);
    WHEN 'nothing' THEN RETURN NULL;
    END CASE;
    RETURN answered;
END $$;
";

/// Lets `f` try things in a phase, each by [`undone`]. What it finds wrong, it panics with.
pub(crate) fn in_a_phase(more: &str, mut f: impl FnMut(&mut PhaseTx<'_>)) -> Database {
    let database = database();
    let runner = database.runner.name().to_owned();
    database.sql(&format!(
        "{REGISTER} {more} GRANT ALL ON ALL TABLES IN SCHEMA public TO {runner}; \
         REVOKE TRUNCATE, TRIGGER ON ALL TABLES IN SCHEMA public FROM {runner}"
    ));
    let mut panicked = None;
    let answer = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        match catch_unwind(AssertUnwindSafe(|| f(tx))) {
            Ok(()) => Ok(0),
            Err(panic) => {
                panicked = Some(panic);
                Err(Failure::new("it was tried"))
            }
        }
    });
    if let Some(panic) = panicked {
        resume_unwind(panic);
    }
    answer.expect("everything was rolled back");
    database
}

/// Returns the result of `f` and the tables after it, and rolls all of it back.
pub(crate) fn undone<T>(
    tx: &mut PhaseTx<'_>,
    f: impl FnOnce(&mut PhaseTx<'_>) -> Result<T, Failure>,
) -> Seen<T> {
    let mut seen = None;
    let back = tx.savepoint(|tx| -> Result<(), Failure> {
        let answer = tx.savepoint(f);
        let tables: String = tx
            .query_one(
                "SELECT jsonb_build_object('book', (SELECT jsonb_agg(b ORDER BY b.id, b.title) FROM book AS b), 'log', (SELECT jsonb_agg(l ORDER BY l.said) FROM log AS l), \
                        'shelf', (SELECT jsonb_agg(s ORDER BY s.id) FROM shelf AS s))::text",
                &[],
            )?
            .try_get(0)?;
        seen = Some(Seen {
            answer: answer.map_err(|failure| Blame::of(&failure)),
            tables,
        });
        Err(Failure::new("rolled back"))
    });
    assert_eq!(back.unwrap_err().to_string(), "rolled back");
    seen.unwrap()
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen<T> {
    pub answer: Result<T, Blame>,
    pub tables: String,
}

/// Whose fault it was, and whose the server says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Blame {
    pub row: Option<(u64, String)>,
    pub sqlstate: Option<String>,
    pub constraint: Option<String>,
    pub says: String,
}

impl Blame {
    pub(crate) fn of(failure: &Failure) -> Self {
        Blame {
            row: failure
                .row()
                .map(|row| (row.ordinal(), row.key().to_owned())),
            sqlstate: failure.sqlstate().map(|code| code.code().to_owned()),
            constraint: failure.constraint().map(str::to_owned),
            says: failure.to_string(),
        }
    }
}

/// Bytes that are sent unchanged, for any type.
#[derive(Debug, Clone)]
pub(crate) struct Raw(pub Option<Vec<u8>>);

impl ToSql for Raw {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.0 {
            Some(bytes) => out.extend_from_slice(bytes),
            None => return Ok(IsNull::Yes),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

//! The guard of a table: who may perform phases writes it inside an open one, and nowhere else.

use std::io::Write as _;

use postgres::NoTls;

use crate::hand::{
    Attempt, INSERT, WAYS, does, held_by_hand, nothing_committed, psql, refuses, say,
};
use crate::pipeline::Draft;
use crate::server::{Database, all, database};

const WRITES: [&str; 10] = [
    INSERT,
    "INSERT INTO item SELECT 'x' WHERE false",
    "INSERT INTO item VALUES ('x') ON CONFLICT DO NOTHING",
    "INSERT INTO item VALUES ('x') ON CONFLICT (name) DO UPDATE SET state = 'x'",
    "UPDATE item SET state = 'x'",
    "UPDATE item SET state = 'x' WHERE false",
    "DELETE FROM item",
    "MERGE INTO item USING (VALUES ('x')) AS s (n) ON name = n WHEN NOT MATCHED THEN INSERT VALUES (n)",
    "MERGE INTO item USING (VALUES ('x')) AS s (n) ON name = n WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM item RETURNING *) SELECT count(*) FROM gone",
];

#[test]
fn no_kind_of_write_passes_outside_a_phase() {
    let database = database();
    for write in WRITES {
        refuses(&mut psql(&database), write, "ZG007");
        for way in WAYS {
            let refused = say(&mut psql(&database), way, &["BEGIN", write, "COMMIT"]);
            assert_eq!(refused, ["ZG007"], "{write}");
        }
    }
    nothing_committed(&database);
}

#[test]
fn every_kind_of_write_passes_inside_one() {
    let database = database();
    let done = database.draft_by(&Draft::of(&["a"]), |_, tx| {
        for write in WRITES {
            tx.execute(write, &[])?;
        }
        Ok(tx.execute("INSERT INTO item VALUES ('last', 'draft')", &[])?)
    });
    assert_eq!(done.unwrap(), 1);
    assert_eq!(database.items(), all(&["last"], "draft"));
}

#[test]
fn a_copy_does_not_pass_outside_a_phase() {
    let database = database();
    let mut session = psql(&database);
    let mut copy = session.copy_in("COPY item FROM STDIN").unwrap();
    // The refusal may come before the rows are asked for, at which the driver wonders.
    let written = copy.write_all(b"smuggled\tdraft\n");
    let finished = copy.finish();
    assert!(finished.is_err(), "{written:?} {finished:?}");
    drop(session);
    nothing_committed(&database);
}

#[test]
fn truncate_passes_nowhere() {
    let database = database();
    database.sql(&format!(
        "GRANT TRUNCATE ON item TO {}",
        database.runner.name()
    ));
    refuses(&mut psql(&database), "TRUNCATE item", "ZG006");
    crate::hand::held(&database, &["TRUNCATE item"], "ZG006", "ZG006");
}

#[test]
fn a_view_a_function_and_a_rule_of_the_owners_do_not_lead_past_the_guard() {
    let database = database();
    database.sql(&format!(
        "CREATE VIEW seen AS SELECT * FROM item; \
         CREATE TABLE ruled (name text); \
         CREATE RULE ruled AS ON INSERT TO ruled DO ALSO INSERT INTO item VALUES (new.name); \
         CREATE FUNCTION writes() RETURNS void LANGUAGE sql SECURITY DEFINER \
           AS $$ INSERT INTO public.item VALUES ('smuggled') $$; \
         CREATE PROCEDURE calls() LANGUAGE plpgsql SECURITY DEFINER \
           AS $$ BEGIN INSERT INTO public.item VALUES ('smuggled'); END $$; \
         CREATE FUNCTION copies() RETURNS void LANGUAGE plpgsql SECURITY DEFINER \
           AS $$ BEGIN COPY public.item FROM PROGRAM 'echo smuggled,draft' (FORMAT csv); END $$; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON seen, ruled TO {}",
        database.runner.name()
    ));
    for statement in [
        "INSERT INTO seen VALUES ('smuggled')",
        "UPDATE seen SET state = 'x'",
        "DELETE FROM seen",
        "INSERT INTO ruled VALUES ('smuggled')",
        "SELECT writes()",
        "CALL calls()",
        "SELECT copies()",
    ] {
        refuses(&mut psql(&database), statement, "ZG007");
        held_by_hand(&database, &["ROLLBACK", statement], "ZG007");
    }
    nothing_committed(&database);
}

#[test]
fn a_foreign_key_does_not_carry_a_write_past_the_guard() {
    let database = database();
    database.sql(&format!(
        "CREATE TABLE town (name text PRIMARY KEY); INSERT INTO town VALUES ('a'), ('b'), ('c'); \
         CREATE TABLE gone (town text REFERENCES town ON DELETE CASCADE ON UPDATE CASCADE); \
         CREATE TABLE blank (town text REFERENCES town ON DELETE SET NULL ON UPDATE SET DEFAULT); \
         INSERT INTO gone VALUES ('a'); INSERT INTO blank VALUES ('b'); \
         SELECT phasegate.protect('gone'), phasegate.protect('blank'); \
         GRANT SELECT, UPDATE, DELETE, TRUNCATE ON town TO {}",
        database.runner.name()
    ));
    for statement in [
        "DELETE FROM town WHERE name = 'a'",
        "UPDATE town SET name = 'd' WHERE name = 'a'",
        "DELETE FROM town WHERE name = 'b'",
        "UPDATE town SET name = 'd' WHERE name = 'b'",
    ] {
        refuses(&mut psql(&database), statement, "ZG007");
    }
    // Needs to be allowed on each of them.
    refuses(&mut psql(&database), "TRUNCATE town CASCADE", "42501");
    database.sql(&format!(
        "GRANT TRUNCATE ON gone, blank TO {}",
        database.runner.name()
    ));
    refuses(&mut psql(&database), "TRUNCATE town CASCADE", "ZG006");
    let towns: i64 = database.ask("SELECT count(*) FROM town");
    assert_eq!(towns, 3);
}

#[test]
fn another_connection_does_not_write_while_a_phase_is_open() {
    let database = database();
    let attempt = Attempt::admitted(&database);
    let mut phase = psql(&database);
    does(&mut phase, &attempt.begin());
    does(&mut phase, INSERT);
    for write in ["INSERT INTO item VALUES ('other')", "DELETE FROM item"] {
        refuses(&mut psql(&database), write, "ZG007");
    }
    // The phase itself is not disturbed.
    does(&mut phase, "UPDATE item SET state = 'enacted'");
    drop(phase);
    nothing_committed(&database);
}

#[test]
fn other_roles_are_not_concerned() {
    let database = database();
    let other = database.role("other");
    database.sql(&format!(
        "GRANT SELECT, INSERT, DELETE ON item TO {}",
        other.name()
    ));
    let mut session = other.config().connect(NoTls).unwrap();
    does(&mut session, "INSERT INTO item VALUES ('theirs', 'draft')");
    assert_eq!(database.items(), all(&["theirs"], "draft"));
    does(&mut session, "DELETE FROM item");
    database.sql("INSERT INTO item VALUES ('ours', 'draft')");
    assert_eq!(database.items(), all(&["ours"], "draft"));
}

#[test]
fn an_indirect_member_and_one_that_acts_as_another_role_are_concerned() {
    let database = database();
    let (member, writer) = (database.role("member"), database.role("writer"));
    database.sql(&format!(
        "GRANT SELECT, INSERT ON item TO {writer}; GRANT {runner}, {writer} TO {member}; \
         GRANT {writer} TO {runner}; ALTER ROLE {member} NOINHERIT",
        runner = database.runner.name(),
        writer = writer.name(),
        member = member.name()
    ));
    for config in [member.config(), database.runner.config()] {
        let mut session = config.connect(NoTls).unwrap();
        does(&mut session, &format!("SET ROLE {}", writer.name()));
        refuses(&mut session, INSERT, "ZG007");
    }
    let mut session = member.config().connect(NoTls).unwrap();
    does(
        &mut session,
        &format!("SET ROLE {}", database.runner.name()),
    );
    refuses(&mut session, INSERT, "ZG007");
    drop(session);
    nothing_committed(&database);
    // Not a member of the runners, though a runner is one of it.
    let mut session = writer.config().connect(NoTls).unwrap();
    does(&mut session, INSERT);
}

#[test]
fn protecting_twice_changes_nothing_and_unprotecting_takes_the_guard_off() {
    let database = database();
    let guards = |database: &Database| -> i64 {
        database.ask("SELECT count(*) FROM phasegate.guarded_tables()")
    };
    let mut admin = database.admin();
    for _ in 0..2 {
        phasegate::schema::protect(&mut admin, "item").unwrap();
        assert_eq!(guards(&database), 1);
        refuses(&mut psql(&database), INSERT, "ZG007");
    }
    for _ in 0..2 {
        phasegate::schema::unprotect(&mut admin, "item").unwrap();
        assert_eq!(guards(&database), 0);
    }
    does(&mut psql(&database), INSERT);
    phasegate::schema::protect(&mut admin, "item").unwrap();
    refuses(&mut psql(&database), "DELETE FROM item", "ZG007");
}

#[test]
fn only_its_owner_protects_a_table_and_only_a_table_is_protected() {
    let database = database();
    database.sql(
        "CREATE VIEW seen AS SELECT * FROM item; CREATE SEQUENCE numbers; CREATE TABLE bare (n int)",
    );
    for statement in [
        "SELECT phasegate.unprotect('item')",
        "SELECT phasegate.protect('item')",
        "SELECT phasegate.protect('bare')",
    ] {
        refuses(&mut psql(&database), statement, "42501");
    }
    for other in ["seen", "numbers"] {
        let protect = format!("SELECT phasegate.protect('{other}')");
        refuses(&mut database.admin(), &protect, "ZG020");
    }
    let owner = database.role("owner");
    database.sql(&format!(
        "CREATE TABLE theirs (name text); ALTER TABLE theirs OWNER TO {}; GRANT INSERT ON theirs TO {}",
        owner.name(),
        database.runner.name()
    ));
    let mut session = owner.config().connect(NoTls).unwrap();
    phasegate::schema::protect(&mut session, "theirs").unwrap();
    refuses(
        &mut psql(&database),
        "INSERT INTO theirs VALUES ('x')",
        "ZG007",
    );
    does(&mut session, "INSERT INTO theirs VALUES ('mine')");
}

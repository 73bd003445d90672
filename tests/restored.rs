//! A database that lives on: dumped, restored and copied. In the copy the switch is OFF, the guard holds, the journal
//! verifies, and a second install has nothing to do.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod pipeline;
mod server;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use phasegate::testing::{Source, TestPostgres};
use phasegate::{Journal, Operator, Plan, Ran, Receipt, install};
use postgres::{Client, Config, NoTls};

use pipeline::Draft;
use server::{Database, database_on, drafting, drafting_plan};

const HOUR: Duration = Duration::from_hours(1);

/// A server with its client programs, and a database in which a phase is committed and the switch is ON.
struct Place {
    server: TestPostgres,
    database: Database,
    plan: Plan,
    bin: PathBuf,
}

impl Place {
    /// None where the server came without client programs, as the embedded one does.
    fn new() -> Option<Self> {
        let server = TestPostgres::builder()
            .ignore_database_url()
            .start()
            .unwrap();
        let bin = match server.source() {
            Source::Installed { bin_dir, .. } => bin_dir.clone(),
            _ => PathBuf::new(),
        };
        if !bin.join("pg_dump").exists() {
            eprintln!("not tried: this server has no pg_dump beside it");
            return None;
        }
        let database = database_on(&server);
        let draft = Draft::of(&["a"]);
        let plan = drafting_plan(&database.target, &draft);
        let ran = database.live(plan.clone());
        let ran = ran.run(|run, on| drafting(run, on, &draft).map(Receipt::into_output));
        assert_eq!(ran.unwrap().performed, 1);
        assert!(database.operator().status().unwrap().on);
        Some(Place {
            server,
            database,
            plan,
            bin,
        })
    }

    fn name(&self) -> &str {
        self.database.target.database()
    }

    /// Runs a client program of the server, as its administrator, and returns what it said if it failed.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let admin = self.server.admin();
        let postgres::config::Host::Unix(socket) = &admin.get_hosts()[0] else {
            panic!("a private server has a socket");
        };
        let mut command = Command::new(self.bin.join(program));
        command
            .env("PGHOST", socket)
            .env("PGUSER", admin.get_user().unwrap())
            .args(arguments);
        if let Some(port) = admin.get_ports().first() {
            command.env("PGPORT", port.to_string());
        }
        if let Some(password) = admin.get_password() {
            command.env("PGPASSWORD", String::from_utf8_lossy(password).into_owned());
        }
        let output = command.output().unwrap();
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn dump(&self, arguments: &[&str]) -> (tempfile::NamedTempFile, String) {
        let dump = self
            .run("pg_dump", &[arguments, &[self.name()]].concat())
            .unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), dump).unwrap();
        let path = file.path().display().to_string();
        (file, path)
    }

    fn empty(&self, name: &str) -> Config {
        let mut admin = self.server.admin();
        let create = format!("CREATE DATABASE {name}");
        admin
            .connect(NoTls)
            .unwrap()
            .batch_execute(&create)
            .unwrap();
        admin.dbname(name);
        admin
    }

    /// What has to hold in a copy: the switch is OFF and says why, and the rest is as it was.
    #[track_caller]
    fn is_whole_and_off(&self, copy: &Config, why: &str) {
        let mut admin = copy.connect(NoTls).unwrap();
        let status = Operator::new(copy.connect(NoTls).unwrap())
            .status()
            .unwrap();
        assert!(!status.on, "{status:?}");
        let refusal = status.refusal.unwrap();
        assert!(refusal.contains(why), "{refusal}");
        self.is_whole(copy);
        let again = install(&mut admin).unwrap();
        assert!(
            again.applied.is_empty() && again.repaired.is_empty(),
            "{again:?}"
        );
    }

    #[track_caller]
    fn is_whole(&self, copy: &Config) {
        let mut admin = copy.connect(NoTls).unwrap();
        let journal = Journal::read(&mut admin, self.plan.digest()).unwrap();
        assert_eq!(journal.verify().unwrap().len(), 1);
        self.is_guarded(copy);
    }

    #[track_caller]
    fn is_guarded(&self, copy: &Config) {
        let mut runner: Config = self.database.runner.config();
        runner.dbname(copy.get_dbname().unwrap());
        let mut runner: Client = runner.connect(NoTls).unwrap();
        let refused = runner
            .batch_execute("UPDATE public.item SET state = 'x'")
            .unwrap_err();
        assert_eq!(refused.code().unwrap().code(), "ZG007", "{refused}");
    }
}

#[test]
fn a_dump_is_restored_in_one_transaction_and_off() {
    let Some(place) = Place::new() else { return };
    place.database.sql(&format!(
        "GRANT CONNECT ON DATABASE {} TO PUBLIC",
        place.name()
    ));
    let (_custom, custom) = place.dump(&["-Fc"]);
    let (_plain, plain) = place.dump(&[]);
    let copy = place.empty("by_pg_restore");
    place
        .run("pg_restore", &["-1", "-d", "by_pg_restore", &custom])
        .unwrap();
    place.is_whole_and_off(
        &copy,
        "turned on in another database, of which this is a copy",
    );
    let copy = place.empty("by_psql");
    let restore = [
        "-qX1",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        "by_psql",
        "-f",
        &plain,
    ];
    place.run("psql", &restore).unwrap();
    place.is_whole_and_off(&copy, "of which this is a copy");
}

/// Into the same database, whose switch was turned off since the dump was made.
#[test]
fn a_dump_that_replaces_what_it_was_made_of_is_off_and_a_run_goes_on_exactly_once() {
    let Some(place) = Place::new() else { return };
    let (_file, dump) = place.dump(&["-Fc"]);
    let _ = place
        .database
        .operator()
        .switch_off("an incident", HOUR)
        .unwrap();
    place
        .run("pg_restore", &["-1", "--clean", "-d", place.name(), &dump])
        .unwrap();
    let copy = place.database.admin_config();
    place.is_whole_and_off(&copy, "before this database was restored from a dump");
    // An operator turns it on, and the plan is not performed twice.
    let mut operator = Operator::new(copy.connect(NoTls).unwrap());
    operator.switch_on("restored", HOUR).unwrap();
    let draft = Draft::of(&["a"]);
    let live = place.database.live(place.plan.clone());
    let ran: Ran<u64> = live
        .run(|run, on| drafting(run, on, &draft).map(Receipt::into_output))
        .unwrap();
    assert_eq!((ran.performed, ran.before), (0, 1));
    assert_eq!(place.database.items().len(), 1);
}

#[test]
fn a_dump_of_the_definitions_alone_is_off_and_keeps_the_guard() {
    let Some(place) = Place::new() else { return };
    let (_file, dump) = place.dump(&["-Fc", "-s"]);
    let copy = place.empty("definitions");
    place
        .run("pg_restore", &["-1", "-d", "definitions", &dump])
        .unwrap();
    // The row of the switch is data, which this dump has not: what is not there is OFF.
    let status = copy.connect(NoTls).unwrap();
    let off = "SELECT NOT coalesce((SELECT is_on FROM phasegate.switch_status()), false)";
    let mut status = status;
    assert!(status.query_one(off, &[]).unwrap().get::<_, bool>(0));
    place.is_guarded(&copy);
}

/// The guard's triggers are dumped with their tables, and need the schema.
#[test]
fn a_dump_of_the_tables_alone_is_restored_where_the_schema_is_installed() {
    let Some(place) = Place::new() else { return };
    let (_file, dump) = place.dump(&["-Fc", "-t", "public.item"]);
    let copy = place.empty("tables");
    let restore = [
        "-1",
        "--clean",
        "--if-exists",
        "-d",
        "tables",
        dump.as_str(),
    ];
    let refused = place.run("pg_restore", &restore).unwrap_err();
    assert!(refused.contains("phasegate"), "{refused}");
    install(&mut copy.connect(NoTls).unwrap()).unwrap();
    place.run("pg_restore", &restore).unwrap();
    place.is_guarded(&copy);
}

/// `-O -x` leaves owners and grants out: everything is the administrator's, which install names.
#[test]
fn a_dump_without_owners_and_grants_is_named_by_install() {
    let Some(place) = Place::new() else { return };
    let (_file, dump) = place.dump(&["-Fc"]);
    let copy = place.empty("without_owners");
    place
        .run(
            "pg_restore",
            &["-1", "-O", "-x", "-d", "without_owners", &dump],
        )
        .unwrap();
    let refused = install(&mut copy.connect(NoTls).unwrap()).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("the schema belongs to"), "{said}");
}

#[test]
fn a_dump_into_a_cluster_without_the_roles_is_refused_whole_and_install_makes_them() {
    let Some(place) = Place::new() else { return };
    let (_file, dump) = place.dump(&["-Fc"]);
    let other = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let elsewhere = Place {
        server: other,
        database: place.database,
        plan: place.plan,
        bin: place.bin,
    };
    let copy = elsewhere.empty("elsewhere");
    let restore = ["-1", "-x", "-d", "elsewhere", dump.as_str()];
    let refused = elsewhere.run("pg_restore", &restore).unwrap_err();
    assert!(refused.contains("phasegate_owner"), "{refused}");
    let mut admin = copy.connect(NoTls).unwrap();
    let there = "SELECT count(*) FROM pg_namespace WHERE nspname = 'phasegate'";
    assert_eq!(admin.query_one(there, &[]).unwrap().get::<_, i64>(0), 0);
    // The roles are the cluster's: an install makes them, in any database of it.
    let scratch = elsewhere.empty("for_the_roles");
    install(&mut scratch.connect(NoTls).unwrap()).unwrap();
    elsewhere.run("pg_restore", &restore).unwrap();
    let status = Operator::new(copy.connect(NoTls).unwrap())
        .status()
        .unwrap();
    assert!(!status.on && status.refusal.unwrap().contains("another cluster"));
    let journal = Journal::read(&mut admin, elsewhere.plan.digest()).unwrap();
    assert_eq!(journal.verify().unwrap().len(), 1);
    // And the grants that -x left out.
    let again = install(&mut admin).unwrap();
    assert!(
        again.applied.is_empty() && !again.repaired.is_empty(),
        "{again:?}"
    );
}

//! What a dump leaves, restored: the messages and the states that the table of the page does not show.

use std::time::Duration;

use phasegate::testing::TestPostgres;
use phasegate::{audit::Journal, operator::Operator, runner::LiveReport, schema::install};
use postgres::{Client, Config, NoTls};

use crate::pipeline::pipeline;
use crate::place::{Place, drafted};

const HOUR: Duration = Duration::from_hours(1);

impl Place {
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
fn a_dump_over_its_origin_is_off_and_a_run_goes_on_once() {
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
    let live = place.database.live(place.plan.clone());
    let ran: LiveReport<u64> = live.run(|run, on| pipeline(run, on, drafted())).unwrap();
    assert_eq!((ran.performed, ran.committed_before), (3, 1));
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
fn a_dump_of_tables_is_restored_where_the_schema_is_installed() {
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
fn a_dump_into_a_cluster_without_the_roles_needs_install_first() {
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

/// Where the schema is not wanted, the list of the dump is restored without its triggers.
#[test]
fn a_dump_of_tables_is_restored_without_schema_and_triggers() {
    let Some(place) = Place::new() else { return };
    let (_file, dump) = place.dump(&["-Fc", "-t", "public.item"]);
    let list = place.run("pg_restore", &["-l", &dump]).unwrap();
    let list = String::from_utf8(list).unwrap();
    let (triggers, rest): (Vec<_>, Vec<_>) = list
        .lines()
        .partition(|line| line.contains(" TRIGGER ") && line.contains(" phasegate_"));
    assert_eq!(triggers.len(), 1, "{list}");
    let kept = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(kept.path(), rest.join("\n")).unwrap();
    let copy = place.empty("without_schema");
    let kept = kept.path().to_str().unwrap();
    let restore = ["-1", "-L", kept, "-d", "without_schema", dump.as_str()];
    place.run("pg_restore", &restore).unwrap();
    let mut admin = copy.connect(NoTls).unwrap();
    let rows = admin.query("SELECT name FROM public.item", &[]).unwrap();
    assert_eq!(rows.len(), 1);
}

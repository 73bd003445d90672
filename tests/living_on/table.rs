//! The tables of the page.

use phasegate::schema::install;
use phasegate::testing::{Shutdown, TestPostgres};
use postgres::{Config, NoTls};

use crate::judged::{PAGE, head, line, refused};
use crate::page;
use crate::place::{Place, programs_of};

/// The first line of what a program said that is an error.
fn first_error(said: &str) -> String {
    let line = said
        .lines()
        .find(|line| line.contains("ERROR") || line.contains("error:"));
    let line = line.unwrap_or(said);
    let text = line.split("ERROR:").last().unwrap_or(line).trim();
    format!("refused: {text}")
}

/// Restores into a new database of the server.
fn restored(place: &Place, how: &str, name: &str, program: &str, arguments: &[&str]) -> String {
    let copy = place.empty(name);
    let arguments = [arguments, &["-d", name]].concat();
    match place.run(program, &arguments) {
        Ok(_) => line(how, place, &copy),
        Err(said) => refused(how, &first_error(&said)),
    }
}

#[test]
fn what_a_dump_leaves_is_what_the_page_says() {
    let Some(place) = Place::new() else { return };
    let mut lines = head();
    let (_custom, custom) = place.dump(&["-Fc"]);
    let (_plain, plain) = place.dump(&[]);
    let (_schema, schema) = place.dump(&["-Fc", "-s"]);

    let psql = ["-qX1", "-v", "ON_ERROR_STOP=1", "-f", plain.as_str()];
    lines.push(restored(
        &place,
        "`pg_dump`, `psql -1`",
        "by_psql",
        "psql",
        &psql,
    ));
    let one = |how: &str, name: &str, arguments: &[&str]| {
        restored(&place, how, name, "pg_restore", arguments)
    };
    lines.push(one(
        "`pg_dump -Fc`, `pg_restore -1`",
        "by_restore",
        &["-1", &custom],
    ));
    lines.push(one(
        "`pg_restore -1 -O -x`",
        "no_owners",
        &["-1", "-O", "-x", &custom],
    ));
    lines.push(one(
        "`pg_restore -1 -x`",
        "no_grants",
        &["-1", "-x", &custom],
    ));
    lines.push(one(
        "`pg_dump -s`: definitions alone",
        "definitions",
        &["-1", &schema],
    ));

    // Into the database itself.
    let itself = place.database.admin_config();
    let arguments = ["-1", "--clean", "-d", place.name(), custom.as_str()];
    place.run("pg_restore", &arguments).unwrap();
    lines.push(line(
        "`pg_restore -1 --clean`, into the database itself",
        &place,
        &itself,
    ));
    page::part_of(PAGE, "dumps", &lines);
}

#[test]
fn what_a_dump_of_the_tables_alone_leaves_is_what_the_page_says() {
    let Some(place) = Place::new() else { return };
    let mut lines = head();
    let (_public, public) = place.dump(&["-Fc", "-n", "public"]);
    let (_data, data) = place.dump(&["-Fc", "-a", "-n", "public"]);
    let replace = ["-1", "--clean", "--if-exists", public.as_str()];
    lines.push(restored(
        &place,
        "`pg_dump -n public`, into nothing",
        "alone",
        "pg_restore",
        &replace,
    ));

    let copy = place.empty("installed");
    install(&mut copy.connect(NoTls).unwrap()).unwrap();
    let arguments = [&replace[..], &["-d", "installed"]].concat();
    place.run("pg_restore", &arguments).unwrap();
    let how = "`pg_dump -n public`, where the schema is installed";
    lines.push(line(how, &place, &copy));

    let mut admin = copy.connect(NoTls).unwrap();
    admin.batch_execute("DELETE FROM item").unwrap();
    let rows = ["-1", "--disable-triggers", "-d", "installed", data.as_str()];
    place.run("pg_restore", &rows).unwrap();
    let how = "`pg_dump -a -n public`, `pg_restore --disable-triggers`";
    lines.push(line(how, &place, &copy));
    admin
        .batch_execute("SELECT phasegate.protect('item')")
        .unwrap();
    lines.push(line("the same, and `protect`", &place, &copy));
    page::part_of(PAGE, "tables", &lines);
}

#[test]
fn what_another_cluster_does_with_a_dump_is_what_the_page_says() {
    let Some(place) = Place::new() else { return };
    let (_custom, custom) = place.dump(&["-Fc"]);
    let roles = place.run("pg_dumpall", &["--roles-only"]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), roles).unwrap();
    let elsewhere = Place {
        server: TestPostgres::builder()
            .ignore_database_url()
            .start()
            .unwrap(),
        ..place
    };
    let mut lines = head();
    let one = |how: &str, name: &str, arguments: &[&str]| {
        restored(&elsewhere, how, name, "pg_restore", arguments)
    };
    lines.push(one(
        "`pg_restore -1`, without the roles",
        "without",
        &["-1", &custom],
    ));
    // The administrator is there already, which psql says and goes on.
    let roles = ["-qX", "-d", "postgres", "-f", file.path().to_str().unwrap()];
    elsewhere.run("psql", &roles).unwrap();
    lines.push(one(
        "`pg_dumpall --roles-only`, then `pg_restore -1`",
        "with_roles",
        &["-1", &custom],
    ));
    page::part_of(PAGE, "another cluster", &lines);
}

/// The database of `place`, as a server has it that was made of its files.
fn in_server(place: &Place, server: &TestPostgres) -> Config {
    let mut admin = server.admin();
    admin.dbname(place.name());
    admin
}

/// A server whose files are a base backup of the one of `place`.
fn from_backup(place: &Place, standby: bool) -> TestPostgres {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    server.shut_down(Shutdown::Fast).unwrap();
    let data = server.directory().unwrap().join("data");
    std::fs::remove_dir_all(&data).unwrap();
    let from = format!(
        "host={} user=postgres",
        place.server.directory().unwrap().display()
    );
    let data = data.display().to_string();
    let mut arguments = vec![
        "--checkpoint=fast",
        "--no-sync",
        "--pgdata",
        &data,
        "--dbname",
        &from,
    ];
    if standby {
        arguments.push("--write-recovery-conf");
    }
    Place::run_as_server(&server, &place.bin.join("pg_basebackup"), &arguments).unwrap();
    server.start_again().unwrap();
    server
}

#[test]
fn what_a_copy_of_the_files_does_is_what_the_page_says() {
    let Some(place) = Place::new() else { return };
    let mut lines = head();

    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL";
    place
        .server
        .admin()
        .connect(NoTls)
        .unwrap()
        .execute(others, &[])
        .unwrap();
    let copied = format!("CREATE DATABASE from_template TEMPLATE {}", place.name());
    place
        .server
        .admin()
        .connect(NoTls)
        .unwrap()
        .batch_execute(&copied)
        .unwrap();
    let mut template = place.server.admin();
    template.dbname("from_template");
    lines.push(line("`CREATE DATABASE .. TEMPLATE`", &place, &template));

    let backup = from_backup(&place, false);
    lines.push(line(
        "`pg_basebackup`, started by itself",
        &place,
        &in_server(&place, &backup),
    ));

    let standby = from_backup(&place, true);
    let promoted = in_server(&place, &standby);
    let mut admin = promoted.connect(NoTls).unwrap();
    assert!(
        admin
            .query_one("SELECT pg_promote(true, 60)", &[])
            .unwrap()
            .get::<_, bool>(0)
    );
    lines.push(line("a standby, promoted", &place, &promoted));

    place.server.restart(Shutdown::Kill).unwrap();
    lines.push(line(
        "the server itself, after a crash",
        &place,
        &in_server(&place, &place.server),
    ));
    page::part_of(PAGE, "files", &lines);
}

/// `PHASEGATE_UPGRADE_BINS`: directories of whole distributions, the oldest first, with colons between.
#[test]
fn what_an_upgrade_leaves_is_what_the_page_says() {
    let Ok(bins) = std::env::var("PHASEGATE_UPGRADE_BINS") else {
        eprintln!("SKIPPED: PHASEGATE_UPGRADE_BINS names no distributions; `.ci/upgrades` does");
        return;
    };
    let bins: Vec<&str> = bins.split(':').collect();
    assert!(
        bins.len() > 1,
        "PHASEGATE_UPGRADE_BINS names one distribution: {bins:?}"
    );
    let mut lines = head();
    for pair in bins.windows(2) {
        for link in [false, true] {
            lines.push(upgraded(pair[0], pair[1], link));
        }
    }
    page::part_of(PAGE, "upgrades", &lines);
}

fn server_of(bin: &str) -> TestPostgres {
    TestPostgres::builder().bin_dir(bin).start().unwrap()
}

fn upgraded(from: &str, to: &str, link: bool) -> String {
    let (place, new) = (Place::on(server_of(from)).unwrap(), server_of(to));
    let major = |server: &TestPostgres| -> i32 {
        let mut admin = server.admin().connect(NoTls).unwrap();
        let number = admin.query_one(
            "SELECT current_setting('server_version_num')::integer / 10000",
            &[],
        );
        number.unwrap().get(0)
    };
    let how = format!(
        "`pg_upgrade{}`, {} to {}",
        if link { " --link" } else { "" },
        major(&place.server),
        major(&new)
    );
    place.server.shut_down(Shutdown::Fast).unwrap();
    new.shut_down(Shutdown::Fast).unwrap();
    let bin = programs_of(&new).unwrap();
    let data = |server: &TestPostgres| {
        server
            .directory()
            .unwrap()
            .join("data")
            .display()
            .to_string()
    };
    let (old_data, new_data) = (data(&place.server), data(&new));
    // From 18 on they are the default; a cluster without them is upgraded into one without.
    let _ = Place::run_as_server(
        &new,
        &bin.join("pg_checksums"),
        &["--disable", "-D", &new_data],
    );
    let socket = new.directory().unwrap().display().to_string();
    let to = bin.display().to_string();
    let mut arguments = vec![
        "-b", from, "-B", &to, "-d", &old_data, "-D", &new_data, "-U", "postgres", "-s", &socket,
    ];
    if link {
        arguments.push("--link");
    }
    if let Err(said) = Place::run_as_server(&new, &bin.join("pg_upgrade"), &arguments) {
        panic!("{how}: {said}");
    }
    new.start_again().unwrap();
    line(&how, &place, &in_server(&place, &new))
}

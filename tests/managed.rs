//! The set-up of the README without a superuser, by the administrators that managed services give their customers.
//! The roles are those of the services, on a community server; `docs/managed.md` has the steps.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};
use std::time::Duration;

use phasegate::testing::{Source, TestPostgres};
use phasegate::{
    Error, Execute, Failure, LiveRunner, Mode, Perform, PhaseSpec, PhaseTx, Plan, RehearsalRunner,
    Run, Sg1, Start, Switch,
    approval::{AdmittedApprovals, UnsignedApprovals},
    audit::Journal,
    connect::PostgresConnector,
    error::{RefusalReason, RollbackCause},
    operator::{Operator, SwitchedOff},
    schema::{InstallError, Installed, install, protect},
    switch::LeaseSwitch,
};
use postgres::{Client, Config, NoTls};
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_hours(1);

/// As Amazon RDS: ADMIN OPTION on predefined roles through a role of all administrators.
const RDS: &str = "
    CREATE ROLE rds_superuser;
    GRANT pg_monitor, pg_signal_backend, pg_read_all_data, pg_write_all_data TO rds_superuser WITH ADMIN OPTION;
    CREATE ROLE administrator LOGIN CREATEROLE CREATEDB;
    GRANT rds_superuser TO administrator WITH ADMIN OPTION;";

/// As Supabase: attributes next to those of a superuser, and ADMIN OPTION on two predefined roles.
const SUPABASE: &str = "
    CREATE ROLE administrator LOGIN CREATEROLE CREATEDB REPLICATION BYPASSRLS;
    GRANT pg_monitor, pg_signal_backend TO administrator WITH ADMIN OPTION;
    GRANT pg_read_all_data TO administrator;";

/// As Neon: members of `neon_superuser`.
const NEON: &str = "
    CREATE ROLE neon_superuser CREATEROLE CREATEDB REPLICATION BYPASSRLS;
    GRANT pg_read_all_data, pg_write_all_data TO neon_superuser;
    GRANT pg_monitor TO neon_superuser WITH ADMIN OPTION;
    CREATE ROLE administrator LOGIN CREATEROLE CREATEDB;
    GRANT neon_superuser TO administrator;";

/// As NEON, with the right to end sessions.
const NEON_THAT_SIGNALS: &str = "GRANT pg_signal_backend TO neon_superuser WITH ADMIN OPTION;";

const NO_PREDEFINED: &str = "CREATE ROLE administrator LOGIN CREATEROLE;";

/// How an administrator joins the role that owns the schema: before PostgreSQL 16, and since.
const JOINS: [&str; 2] = [
    "GRANT phasegate_owner TO administrator",
    "GRANT phasegate_owner TO administrator WITH INHERIT TRUE, SET TRUE",
];

const TABLES: &str = "
    CREATE SCHEMA bank;
    CREATE TABLE bank.account (number text PRIMARY KEY, closed boolean NOT NULL DEFAULT false);
    INSERT INTO bank.account SELECT n::text FROM generate_series(1, 3) AS n;
    GRANT USAGE ON SCHEMA bank TO closer; GRANT SELECT, UPDATE ON bank.account TO closer;
    REVOKE TEMPORARY ON DATABASE bank FROM PUBLIC";

/// A server whose superuser belongs to the service.
struct Service {
    server: TestPostgres,
}

impl Service {
    /// With the database `bank`, which belongs to the role `owner`.
    fn new(roles: &str, owner: &str) -> Self {
        let server = TestPostgres::builder()
            .ignore_database_url()
            .start()
            .unwrap();
        let mut client = server.admin().connect(NoTls).unwrap();
        client.batch_execute(roles).unwrap();
        for sql in [
            &format!("CREATE DATABASE bank TEMPLATE template0 ENCODING 'UTF8' OWNER {owner}"),
            "CREATE ROLE grace LOGIN",
        ] {
            client.batch_execute(sql).unwrap();
        }
        Service { server }
    }

    fn config(&self, role: &str) -> Config {
        let mut config = self.server.admin();
        config.user(role).dbname("bank");
        config
    }

    fn session(&self, role: &str) -> Client {
        self.config(role).connect(NoTls).unwrap()
    }

    fn sql(&self, role: &str, sql: &str) {
        let done = self.session(role).batch_execute(sql);
        done.unwrap_or_else(|error| panic!("{role}: {sql}: {:?}", error.as_db_error()));
    }

    /// The SQLSTATE of a refusal, or an empty text.
    fn refusal(&self, role: &str, sql: &str) -> String {
        let done = self.session(role).batch_execute(sql);
        done.err()
            .and_then(|error| error.code().map(|code| code.code().to_owned()))
            .unwrap_or_default()
    }

    fn ask<T: for<'a> postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.session("postgres")
            .query_one(sql, &[])
            .expect(sql)
            .get(0)
    }

    fn is_16(&self) -> bool {
        self.ask("SELECT current_setting('server_version_num')::int >= 160000")
    }

    fn connector(&self, role: &str) -> PostgresConnector {
        PostgresConnector::no_tls(self.config(role))
    }

    /// What `pg_dump` says of the database, or none if the server came without it.
    fn dump(&self, role: &str) -> Option<Output> {
        let Source::Installed { bin_dir, .. } = self.server.source() else {
            return None;
        };
        let program = bin_dir.join("pg_dump");
        let mut dump = Command::new(&program);
        dump.arg("--host").arg(self.server.directory().unwrap());
        dump.args(["--username", role, "bank"]);
        program.exists().then(|| dump.output().unwrap())
    }

    /// Whether the role may change the schema now.
    fn acts_as_owner(&self, role: &str) -> bool {
        let how = if self.is_16() { "USAGE, SET" } else { "MEMBER" };
        self.ask(&format!(
            "SELECT pg_has_role('{role}', 'phasegate_owner', '{how}')"
        ))
    }
}

#[derive(Serialize, Deserialize)]
struct CloseAccounts {
    numbers: Vec<String>,
}

impl PhaseSpec for CloseAccounts {
    const NAME: &'static str = "close_accounts";
    type Gate = Sg1;
    type After = Start;
    type Output = u64;
}

/// The adapter, and what happens in the middle of its phase.
struct Bank<F>(F);

impl<F: FnMut()> Execute<CloseAccounts> for Bank<F> {
    fn execute(
        &mut self,
        spec: &CloseAccounts,
        (): (),
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        let sql = "UPDATE bank.account SET closed = true WHERE number = $1";
        let closed = tx.for_each_row(
            &spec.numbers,
            |number| *number,
            |tx, number| Ok(tx.execute(sql, &[number])?),
        )?;
        (self.0)();
        Ok(closed.len() as u64)
    }
}

fn pipeline<'run, M: Mode, W: Perform<M, CloseAccounts>>(
    run: &mut Run<'run, M, W>,
    on: &Switch<'run, M>,
    numbers: &[&str],
) -> Result<u64, Error> {
    let sg1 = run.approval::<Sg1>()?;
    let numbers = numbers.iter().map(|&number| number.to_owned()).collect();
    Ok(run
        .phase(CloseAccounts { numbers })
        .perform(on, sg1, Start)?
        .into_output())
}

fn rehearsed(service: &Service, numbers: &[&str]) -> Plan {
    RehearsalRunner::new("closing")
        .author("grace")
        .connector(service.connector("closer"))
        .adapter(Bank(|| {}))
        .run(|run, on| pipeline(run, on, numbers))
        .unwrap()
        .plan
}

fn admit(ada: &mut Operator, plan: &Plan) {
    let _ = ada.admit_plan(plan).unwrap();
    let mut approvals = UnsignedApprovals::new();
    approvals.approve::<Sg1>(plan, "vera", "read all of it", HOUR);
    for approval in approvals.attestations() {
        ada.admit_approval(approval).unwrap();
    }
}

fn live(
    service: &Service,
    plan: Plan,
    numbers: &[&str],
    in_the_middle: impl FnMut(),
) -> Result<u64, Error> {
    LiveRunner::new("closing")
        .plan(plan)
        .kill_switch(LeaseSwitch::new(service.connector("closer")))
        .authority(AdmittedApprovals::through(service.connector("closer")))
        .connector(service.connector("closer"))
        .adapter(Bank(in_the_middle))
        .run(|run, on| pipeline(run, on, numbers))
        .map(phasegate::runner::LiveReport::into_value)
}

/// What the README does after `install`, which `administrator` has called. `maker` may create roles.
fn readme(service: &Service, administrator: &str, maker: &str, installed: &Installed) {
    assert!(!installed.applied.is_empty());
    service.sql(
        maker,
        "CREATE ROLE closer LOGIN; CREATE ROLE ada LOGIN; CREATE ROLE vera LOGIN; \
         GRANT phasegate_runner TO closer; GRANT phasegate_operator TO ada; GRANT phasegate_auditor TO vera",
    );
    service.sql(administrator, TABLES);
    protect(&mut service.session(administrator), "bank.account").unwrap();
    for lacking in &installed.lacking {
        assert!(
            lacking.contains("GRANT runner TO phasegate_owner"),
            "{lacking}"
        );
    }
    if !installed.lacking.is_empty() {
        service.sql(maker, "GRANT closer TO phasegate_owner");
    }

    // Rehearse, switch on, admit, perform, read the journal.
    let plan = rehearsed(service, &["1", "2"]);
    let mut ada = Operator::new(service.session("ada"));
    ada.switch_on("ticket 1207", HOUR).unwrap();
    admit(&mut ada, &plan);
    assert_eq!(live(service, plan.clone(), &["1", "2"], || {}).unwrap(), 2);
    let journal = Journal::read(&mut service.session("vera"), plan.digest()).unwrap();
    assert_eq!(journal.verify().unwrap()[0].role, "closer");

    // Off in mid-phase.
    let plan = rehearsed(service, &["3"]);
    admit(&mut ada, &plan);
    let stopped = live(service, plan, &["3"], || {
        let off = ada.switch_off("wrong accounts", Duration::from_secs(2));
        assert!(matches!(off.unwrap(), SwitchedOff::Drained));
        let left =
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'closer' AND state <> 'idle'";
        for _ in 0..1000 {
            if service.ask::<i64>(left) == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the session of the phase is still there");
    });
    let Err(Error::RolledBack(rollback)) = &stopped else {
        panic!("{stopped:?}")
    };
    let cause = rollback.cause();
    assert!(matches!(cause, RollbackCause::SwitchOff(_)), "{cause:?}");
    assert!(!ada.status().unwrap().on);
    let closed = "SELECT count(*) FROM bank.account WHERE closed";
    assert_eq!(service.ask::<i64>(closed), 2);

    // The runner writes in a phase alone, and the application beside it at any time.
    let write = "UPDATE bank.account SET closed = false";
    assert_eq!(service.refusal("closer", write), "ZG007");
    service.sql(
        administrator,
        "GRANT USAGE ON SCHEMA bank TO grace; GRANT UPDATE ON bank.account TO grace",
    );
    service.sql("grace", write);

    let again = install(&mut service.session(administrator)).unwrap();
    assert!(
        again.applied.is_empty() && again.repaired.is_empty(),
        "{again:?}"
    );
    assert_eq!(again.lacking.is_empty(), installed.lacking.is_empty());
}

/// With a role that may create roles: it does everything by itself.
fn by_an_administrator(roles: &str) -> (Service, Installed) {
    let service = Service::new(roles, "administrator");
    let installed = install(&mut service.session("administrator")).unwrap();
    readme(&service, "administrator", "administrator", &installed);
    // It acts as the owner while it installs, and is no runner by what it has granted.
    assert!(!service.acts_as_owner("administrator"));
    service.sql("administrator", "UPDATE bank.account SET closed = false");
    (service, installed)
}

#[test]
fn the_administrator_of_rds_needs_nothing_else() {
    let (service, installed) = by_an_administrator(RDS);
    assert_eq!(installed.lacking, [""; 0]);

    // A runner that is also one of the administrators is told to be no longer, and not to take anything from them.
    service.sql("administrator", "GRANT rds_superuser TO closer");
    let privileges =
        "SELECT string_agg(DISTINCT remedy, '; ') FROM phasegate.bypass_privileges('closer')";
    let remedy: String = service.ask(privileges);
    assert!(
        remedy.starts_with("REVOKE rds_superuser FROM closer") && !remedy.contains(';'),
        "{remedy}"
    );
    service.sql("administrator", &remedy);
    assert!(service.ask::<Option<String>>(privileges).is_none());
    // And the administrator, to use another role.
    let privileges =
        "SELECT string_agg(privilege, '; ') FROM phasegate.bypass_privileges('administrator')";
    assert_eq!(
        service.ask::<String>(privileges),
        "it is an administrator, and another role has to be the runner"
    );
}

#[test]
fn the_administrator_of_supabase_needs_nothing_else() {
    let (_, installed) = by_an_administrator(SUPABASE);
    assert_eq!(installed.lacking, [""; 0]);
}

#[test]
fn the_administrator_of_neon_needs_only_to_end_sessions() {
    let (_, installed) = by_an_administrator(&format!("{NEON}{NEON_THAT_SIGNALS}"));
    assert_eq!(installed.lacking, [""; 0]);
}

#[test]
fn an_administrator_without_predefined_roles_grants_the_runner() {
    for (roles, lacking) in [(NEON, 1), (NO_PREDEFINED, 2)] {
        let (service, installed) = by_an_administrator(roles);
        // Before PostgreSQL 16 a role that may create roles may grant these too.
        let lacking = if service.is_16() { lacking } else { 0 };
        assert_eq!(installed.lacking.len(), lacking, "{installed:?}");
    }
}

#[test]
fn a_database_owner_installs_after_another_role_made_the_four() {
    let service = Service::new(
        "CREATE ROLE owner LOGIN; CREATE ROLE maker LOGIN CREATEROLE",
        "owner",
    );
    let refused = install(&mut service.session("owner")).unwrap_err();
    assert!(matches!(refused, InstallError::Privilege(_)), "{refused}");
    // What the refusal says.
    let hint = refused.hint().unwrap();
    let commands = hint.split_once("CREATEROLE does: ").unwrap().1;
    let commands = commands.trim_end_matches('.');
    service.sql("maker", commands);
    let installed = install(&mut service.session("owner")).unwrap();
    assert_eq!(installed.lacking.len(), 2, "{installed:?}");
    readme(&service, "owner", "maker", &installed);

    // It stays a member of the schema's owner: with a runner granted to that, it is under guard as a runner is.
    assert!(service.acts_as_owner("owner"));
    let write = "UPDATE bank.account SET closed = false";
    assert_eq!(service.refusal("owner", write), "ZG007");
    // Predefined roles have no such price, where there is someone to grant them.
    service.sql(
        "postgres",
        "REVOKE closer FROM phasegate_owner GRANTED BY maker; \
         GRANT pg_signal_backend, pg_read_all_stats TO phasegate_owner",
    );
    service.sql("owner", write);
}

#[test]
fn without_statistics_the_refusal_of_a_phase_names_the_grant() {
    let service = Service::new(
        "CREATE ROLE owner LOGIN; CREATE ROLE phasegate_owner; CREATE ROLE phasegate_operator; \
         CREATE ROLE phasegate_runner; CREATE ROLE phasegate_auditor; GRANT phasegate_owner TO owner; \
         CREATE ROLE closer LOGIN; GRANT phasegate_runner TO closer",
        "owner",
    );
    let _ = install(&mut service.session("owner")).unwrap();
    service.sql("owner", TABLES);
    protect(&mut service.session("owner"), "bank.account").unwrap();
    let refused = RehearsalRunner::new("closing")
        .connector(service.connector("closer"))
        .adapter(Bank(|| {}))
        .run(|run, on| pipeline(run, on, &["1"]))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("GRANT closer TO phasegate_owner"),
        "{refused}"
    );
}

#[test]
fn two_administrators_take_turns() {
    let service = Service::new(
        "CREATE ROLE first LOGIN CREATEROLE; CREATE ROLE second LOGIN CREATEROLE",
        "first",
    );
    let mut first = service.session("first");
    let mut second = service.session("second");
    assert!(!install(&mut first).unwrap().applied.is_empty());
    if service.is_16() {
        let refused = install(&mut second).unwrap_err();
        assert!(matches!(refused, InstallError::Privilege(_)), "{refused}");
        assert!(
            refused
                .hint()
                .unwrap()
                .contains("GRANT phasegate_owner TO second"),
            "{refused}"
        );
        service.sql("first", "GRANT phasegate_owner TO second WITH ADMIN OPTION");
    }
    for _ in 0..2 {
        assert!(install(&mut second).unwrap().applied.is_empty());
        assert!(install(&mut first).unwrap().applied.is_empty());
    }
    // A member that could not make itself one is refused as ever.
    service.sql(
        "first",
        "CREATE ROLE third LOGIN; GRANT phasegate_owner TO third",
    );
    let refused = install(&mut first).unwrap_err();
    let refused = format!("{refused}; {}", refused.hint().unwrap());
    assert!(
        refused.contains("third can change the schema")
            && refused.contains("GRANT phasegate_owner TO third WITH ADMIN OPTION"),
        "{refused}"
    );
}

#[test]
fn an_administrator_that_joins_its_own_roles_installs_too() {
    let service = Service::new(NO_PREDEFINED, "administrator");
    for grants in ["set", "inherit", "set, inherit"] {
        let mut client = service.session("administrator");
        if service.is_16() {
            client
                .batch_execute(&format!("SET createrole_self_grant = '{grants}'"))
                .unwrap();
        }
        assert!(
            !install(&mut client).unwrap().applied.is_empty(),
            "{grants}"
        );
        assert!(install(&mut client).unwrap().applied.is_empty(), "{grants}");
        assert!(!service.acts_as_owner("administrator"), "{grants}");
        service.sql(
            "postgres",
            "DROP SCHEMA phasegate CASCADE; DROP OWNED BY phasegate_owner; DROP ROLE phasegate_owner, \
             phasegate_operator, phasegate_runner, phasegate_auditor",
        );
    }
}

#[test]
fn an_administrator_dumps_the_schema_by_reading_or_membership() {
    for (roles, reads_all) in [(SUPABASE, true), (NO_PREDEFINED, false)] {
        let service = Service::new(roles, "administrator");
        let _ = install(&mut service.session("administrator")).unwrap();
        let Some(dump) = service.dump("administrator") else {
            eprintln!("SKIPPED: a dump: this server has no pg_dump beside it");
            return;
        };
        let said = String::from_utf8_lossy(&dump.stderr);
        assert_eq!(dump.status.success(), reads_all, "{said}");
        if !reads_all {
            assert!(said.contains("permission denied"), "{said}");
            service.sql("administrator", JOINS[usize::from(service.is_16())]);
            assert!(service.dump("administrator").unwrap().status.success());
            // Which the next install leaves as it is.
            let _ = install(&mut service.session("administrator")).unwrap();
            assert!(service.acts_as_owner("administrator"));
        }
    }
}

/// What tells a copy of the server's files from the original, which has the same system identifier.
#[test]
fn a_plan_is_refused_in_a_database_that_was_renamed() {
    let service = Service::new(NO_PREDEFINED, "administrator");
    let _ = install(&mut service.session("administrator")).unwrap();
    service.sql(
        "postgres",
        "CREATE ROLE closer LOGIN; GRANT phasegate_runner TO closer; GRANT closer TO phasegate_owner",
    );
    service.sql("administrator", TABLES);
    protect(&mut service.session("administrator"), "bank.account").unwrap();
    let plan = rehearsed(&service, &["1"]);
    admit(&mut Operator::new(service.session("postgres")), &plan);
    let rename = "ALTER DATABASE bank RENAME TO bank_copy";
    let mut superuser = service.server.admin().connect(NoTls).unwrap();
    superuser.batch_execute(rename).unwrap();
    let mut config = service.config("postgres");
    config.dbname("bank_copy");
    Operator::new(config.connect(NoTls).unwrap())
        .switch_on("a copy", HOUR)
        .unwrap();
    let connector = || PostgresConnector::no_tls(config.clone().user("closer").clone());
    let refused = LiveRunner::new("closing")
        .plan(plan)
        .kill_switch(LeaseSwitch::new(connector()))
        .authority(AdmittedApprovals::through(connector()))
        .connector(connector())
        .adapter(Bank(|| {}))
        .run(|run, on| pipeline(run, on, &["1"]))
        .unwrap_err();
    assert!(
        matches!(refused.reason(), Some(RefusalReason::AnotherTarget { .. })),
        "{refused}"
    );
}

/// The limit that `docs/managed.md` names.
#[test]
fn before_16_a_role_that_creates_roles_makes_itself_an_operator() {
    let service = Service::new(NO_PREDEFINED, "administrator");
    let _ = install(&mut service.session("administrator")).unwrap();
    service.sql("postgres", "CREATE ROLE other LOGIN CREATEROLE");
    let grants = service.refusal("other", "GRANT phasegate_operator TO other");
    assert_eq!(grants, if service.is_16() { "42501" } else { "" });
}

#[test]
fn a_server_that_is_too_old_is_refused_by_name() {
    let server = TestPostgres::builder()
        .ignore_database_url()
        .start()
        .unwrap();
    let mut client = server.admin().connect(NoTls).unwrap();
    let version: i32 = client
        .query_one("SELECT current_setting('server_version_num')::int", &[])
        .unwrap()
        .get(0);
    match install(&mut client) {
        Ok(_) => assert!(version >= 150_000, "{version}"),
        Err(InstallError::OldServer { found }) => {
            assert!(version < 150_000, "{version}");
            assert!(
                found.starts_with(&(version / 10_000).to_string()),
                "{found}"
            );
        }
        Err(other) => panic!("{other}"),
    }
}

use phasegate::connect::{Connect, Endpoint, EndpointError, Environment, Role};

use crate::{PASSWORD, write};

struct Place {
    directory: tempfile::TempDir,
    env: Environment,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let env = Environment::empty(directory.path()).var("HOME", directory.path());
        Place { directory, env }
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.env = self.env.var(name, value);
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        write(&self.directory.path().join(name), text, 0o600);
        self
    }

    fn find(&self, role: Role) -> Result<Endpoint, EndpointError> {
        Connect::within(self.env.clone()).role(role).endpoint()
    }

    fn runner(&self) -> String {
        self.find(Role::Runner).unwrap().to_string()
    }

    fn refused(&self) -> EndpointError {
        self.find(Role::Runner).unwrap_err()
    }
}

#[test]
fn the_sources_are_asked_in_order() {
    let place = Place::new()
        .var("PGHOST", "localhost")
        .var("PGPORT", "1")
        .var("PGUSER", "from_variables")
        .var("PGDATABASE", "bank");
    let found = place.runner();
    assert!(
        found.starts_with("localhost port 1, database bank, user from_variables"),
        "{found}"
    );

    let place = place
        .file(
            ".pg_service.conf",
            "[other]\nuser=no\n# c\n[bank-closer]\nuser = from_service\nport=2\n[x]\nport=9\n",
        )
        .var("PGSERVICE", "bank-closer");
    assert!(
        place
            .runner()
            .starts_with("localhost port 2, database bank, user from_service")
    );

    let place = place.var("DATABASE_URL", "postgres://from_database_url@localhost:3");
    assert!(
        place
            .runner()
            .contains("port 3, database bank, user from_database_url")
    );

    let place = place.file(
        "phasegate.toml",
        "[connect.operator]\nuser = \"no\"\n[connect.runner]\nuser = \"from_toml\"\nport = 4\n",
    );
    assert!(
        place
            .runner()
            .contains("port 4, database bank, user from_toml")
    );
    let auditor = place.find(Role::Auditor).unwrap().to_string();
    assert!(auditor.contains("user from_database_url"), "{auditor}");

    let place = place.var(
        "PHASEGATE_RUNNER_URL",
        "host=localhost user=from_role port=5",
    );
    assert!(
        place
            .runner()
            .contains("port 5, database bank, user from_role")
    );

    let given = Connect::within(place.env.clone())
        .role(Role::Runner)
        .url("postgresql://from_flag@localhost:6/")
        .setting("dbname", "given");
    let found = given.endpoint().unwrap().to_string();
    assert!(
        found.contains("port 6, database given, user from_flag"),
        "{found}"
    );
}

#[test]
fn nothing_at_all_is_a_socket_of_this_user() {
    let found = Place::new().find(Role::Reader).unwrap();
    let text = found.to_string();
    assert!(
        text.starts_with('/') && text.contains("port 5432"),
        "{text}"
    );
    assert!(
        text.ends_with("sslmode disable, password from nowhere"),
        "{text}"
    );
    assert_eq!(
        found.config().unwrap().get_application_name(),
        Some("phasegate")
    );
}

#[test]
fn the_project_file_is_found_upward_and_its_paths_begin_there() {
    let place = Place::new().file(
        "phasegate.toml",
        "[project]\nchanges = \"changes\"\n[connect.runner]\nurl = \"postgres://u@localhost/d\"\npassword_file = \"secret\"\n",
    );
    let place = place.file("secret", "from the file\n");
    let below = place.directory.path().join("a/b");
    std::fs::create_dir_all(&below).unwrap();
    let found = Connect::within(Environment::empty(below))
        .role(Role::Runner)
        .endpoint()
        .unwrap();
    assert_eq!(
        found.config().unwrap().get_password(),
        Some(&b"from the file"[..])
    );
}

#[test]
fn a_key_that_does_not_exist_names_the_nearest() {
    for (file, key, nearest) in [
        ("[connects.runner]\n", "connects", "connect"),
        ("[connect.runer]\n", "runer", "runner"),
        ("[connect.runner]\nsslmod = \"x\"\n", "sslmod", "sslmode"),
        (
            "[connect.reader]\nservices = \"x\"\n",
            "services",
            "service",
        ),
    ] {
        let error = Place::new().file("phasegate.toml", file).refused();
        assert!(error.to_string().contains(&format!("`{key}`")), "{error}");
        assert_eq!(error.hint().unwrap(), format!("Did you mean `{nearest}`?"));
    }
    let url = Place::new().var("DATABASE_URL", "postgres://localhost/?sslrotcert=x");
    assert_eq!(url.refused().code(), "endpoint_unknown_key");
    let none = Place::new().var("PGSERVICE", "nowhere");
    assert_eq!(none.refused().code(), "endpoint_unknown_service");
}

#[test]
fn a_password_in_the_project_file_or_in_an_argument_is_refused() {
    let url = format!("url = \"postgres://u:{}@h\"", PASSWORD.replace(' ', "%20"));
    for line in [&format!("password = \"{PASSWORD}\""), &url] {
        let place = Place::new().file("phasegate.toml", &format!("[connect.runner]\n{line}\n"));
        let error = place.refused();
        assert_eq!(error.code(), "endpoint_password_exposed");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
    let given = Connect::within(Place::new().env);
    for given in [
        given.clone().url("postgres://u:hunter2@h"),
        given.setting("password", "hunter2"),
    ] {
        let error = given.endpoint().unwrap_err();
        assert_eq!(error.code(), "endpoint_password_exposed");
        assert!(!format!("{error} {error:?} {given:?}").contains("hunter2"));
    }
}

#[test]
fn a_malformed_source_is_not_quoted() {
    let toml = Place::new().file(
        "phasegate.toml",
        &format!("[connect.runner]\nuser = {PASSWORD}\n"),
    );
    let error = toml.refused();
    assert!(error.to_string().contains("line 2"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    let url = Place::new().var("PHASEGATE_RUNNER_URL", "host=localhost password='hunter2");
    let error = url.refused();
    assert!(
        error.to_string().starts_with("PHASEGATE_RUNNER_URL"),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    assert!(!format!("{:?} {:?}", url.env, toml.env).contains("hunter2"));
    for (variable, value) in [
        ("PGPORT", "x"),
        ("PGSSLMODE", "full"),
        ("PGCONNECT_TIMEOUT", "x"),
    ] {
        let error = Place::new().var(variable, value).refused();
        assert!(error.to_string().starts_with(variable), "{error}");
    }
}

#[test]
fn a_remote_host_is_verified_unless_another_mode_is_set() {
    let remote = || Place::new().var("PGHOST", "db.example").var("PGUSER", "u");
    assert!(remote().runner().contains("sslmode verify-full"));
    for host in ["localhost", "127.0.0.1", "::1"] {
        let local = Place::new().var("PGHOST", host);
        assert!(local.runner().contains("sslmode prefer"), "{host}");
    }
    // One that is not this machine is enough, and an address counts more than a name.
    let mixed = Place::new().var("PGHOST", "localhost,db.example");
    assert!(mixed.runner().contains("sslmode verify-full"));
    let address = Place::new()
        .var("PGHOST", "localhost")
        .var("PGHOSTADDR", "192.0.2.1");
    assert!(address.runner().contains("sslmode verify-full"));
    let socket = Place::new()
        .var("PGHOST", "/run/x")
        .var("PGSSLMODE", "verify-full");
    assert!(socket.runner().contains("sslmode disable"));

    for mode in ["prefer", "allow"] {
        let weak = remote().var("PGSSLMODE", mode);
        assert_eq!(weak.refused().code(), "endpoint_weak_sslmode");
        assert_eq!(weak.find(Role::Reader).unwrap().warnings().len(), 1);
    }
    for mode in ["disable", "require"] {
        let warned = remote().var("PGSSLMODE", mode).find(Role::Runner).unwrap();
        assert_eq!(warned.warnings().len(), 1, "{mode}");
    }
    let verified = remote().find(Role::Runner).unwrap();
    assert!(verified.warnings().is_empty());
}

#[test]
fn what_would_restrict_the_connection_is_not_ignored() {
    for (variable, value) in [
        ("PGREQUIREPEER", "postgres"),
        ("PGREQUIREAUTH", "scram-sha-256"),
        ("PGSSLCRL", "/x"),
        ("PGGSSENCMODE", "require"),
    ] {
        let error = Place::new().var(variable, value).refused();
        assert_eq!(error.code(), "endpoint_unsupported", "{variable}");
    }
}

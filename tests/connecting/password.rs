use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use phasegate::connect::{Connect, Endpoint, EndpointError, Environment, Role};

use crate::{PASSWORD, write};

fn find(env: &Environment) -> Result<Endpoint, EndpointError> {
    Connect::within(env.clone()).role(Role::Runner).endpoint()
}

fn password(env: &Environment) -> Option<String> {
    let config = find(env).unwrap().config().unwrap();
    let password = config.get_password()?;
    Some(String::from_utf8(password.to_vec()).unwrap())
}

fn within(directory: &Path) -> Environment {
    Environment::empty(directory)
        .var("HOME", directory)
        .var("PGHOST", "localhost")
        .var("PGUSER", "closer")
}

#[test]
fn the_first_source_counts() {
    let directory = tempfile::tempdir().unwrap();
    let env = within(directory.path());
    assert_eq!(password(&env), None);
    write(
        &directory.path().join(".pgpass"),
        "localhost:5432:*:closer:1\n",
        0o600,
    );
    assert_eq!(password(&env).as_deref(), Some("1"));
    let env = env.var("PGPASSWORD", "2");
    assert_eq!(password(&env).as_deref(), Some("2"));
    let credentials = tempfile::tempdir().unwrap();
    write(
        &credentials.path().join("phasegate-runner-password"),
        "3\n",
        0o400,
    );
    let env = env.var("CREDENTIALS_DIRECTORY", credentials.path());
    assert_eq!(password(&env).as_deref(), Some("3"));
    // That of another role is not used.
    let reader = Connect::within(env.clone()).endpoint().unwrap();
    assert_eq!(reader.config().unwrap().get_password(), Some(&b"2"[..]));
    let toml = "[connect.runner]\npassword_command = [\"printf\", \"4\\n\"]\n";
    write(&directory.path().join("phasegate.toml"), toml, 0o600);
    assert_eq!(password(&env).as_deref(), Some("4"));
    let env = env.var("PHASEGATE_RUNNER_URL", "postgres://closer:5@localhost");
    assert_eq!(password(&env).as_deref(), Some("5"));
}

#[test]
fn a_password_file_that_others_can_read_is_ignored_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pass");
    write(&file, &format!("*:*:*:*:{PASSWORD}\n"), 0o640);
    let env = within(directory.path()).var("PGPASSFILE", &file);
    let found = find(&env).unwrap();
    assert!(found.config().unwrap().get_password().is_none());
    assert!(found.warnings()[0].contains("chmod 0600"), "{found:?}");
    write(&file, &format!("*:*:*:*:{PASSWORD}\n"), 0o600);
    assert_eq!(password(&env).as_deref(), Some(PASSWORD));
    assert!(find(&env).unwrap().warnings().is_empty());
}

#[test]
fn a_command_runs_for_each_session_and_not_before() {
    let directory = tempfile::tempdir().unwrap();
    let toml =
        "[connect.runner]\npassword_command = [\"sh\", \"-c\", \"echo x >>ran; wc -l <ran\"]\n";
    write(&directory.path().join("phasegate.toml"), toml, 0o644);
    let found = find(&within(directory.path())).unwrap();
    assert!(!directory.path().join("ran").exists());
    let read = || String::from_utf8(found.config().unwrap().get_password().unwrap().to_vec());
    assert_eq!(read().unwrap().trim(), "1");
    assert_eq!(read().unwrap().trim(), "2");
}

#[test]
fn a_command_of_a_file_that_others_can_change_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("phasegate.toml");
    let toml = "[connect.runner]\npassword_command = [\"touch\", \"ran\"]\n";
    write(&file, toml, 0o666);
    let error = find(&within(directory.path())).unwrap_err();
    assert_eq!(error.code(), "endpoint_file_untrusted");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(find(&within(directory.path())).is_ok());
}

#[test]
fn one_password_is_not_sent_to_two_hosts() {
    let directory = tempfile::tempdir().unwrap();
    let lines = "localhost:*:*:*:a\n127.0.0.1:*:*:*:b\n";
    write(&directory.path().join(".pgpass"), lines, 0o600);
    let env = within(directory.path()).var("PGHOST", "localhost,127.0.0.1");
    assert_eq!(find(&env).unwrap_err().code(), "endpoint_no_password");
}

#[test]
fn no_output_shows_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let env = within(directory.path());
    let url = format!("host=localhost password='{PASSWORD}'");
    for env in [
        env.clone().var("PGPASSWORD", PASSWORD),
        env.clone().var("PHASEGATE_RUNNER_URL", url),
    ] {
        let connect = Connect::within(env.clone()).role(Role::Runner);
        let found = connect.endpoint().unwrap();
        let config = found.config().unwrap();
        assert_eq!(config.get_password(), Some(PASSWORD.as_bytes()));
        let shown = format!("{env:?} {connect:?} {found} {found:?} {config:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

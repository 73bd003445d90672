//! A private server with TLS, SCRAM and the certificates of an authority that this test makes.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use phasegate::connect::{Connect, Connector as _, Endpoint, Environment, Role};
use phasegate::testing::TestPostgres;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::{PASSWORD, write};

struct Server {
    port: u16,
    files: PathBuf,
    _running: TestPostgres,
    _directory: tempfile::TempDir,
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    (certificate, Issuer::new(params, key))
}

fn certificate(of: &Issuer<'_, KeyPair>, common: &str, names: &[&str]) -> (String, String) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, common);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, of).unwrap().pem();
    (certificate, key.serialize_pem())
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = TestPostgres::builder()
            .ignore_database_url()
            .listen_on_loopback(port)
            .start()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (ca, issuer) = authority("the authority");
        let (other, _) = authority("another authority");
        // For the name, and not for the address.
        let (certificate_of_server, key) = certificate(&issuer, "server", &["localhost"]);
        let (of_client, key_of_client) = certificate(&issuer, "with_certificate", &[]);
        let files = directory.path().to_owned();
        write(&files.join("root.crt"), &ca, 0o644);
        write(&files.join("other.crt"), &other, 0o644);
        write(&files.join("client.crt"), &of_client, 0o644);
        write(&files.join("client.key"), &key_of_client, 0o600);
        let data = server.directory().unwrap().join("data");
        let owner = fs::metadata(&data).unwrap();
        for (name, text) in [
            ("server.crt", certificate_of_server.as_str()),
            ("server.key", &key),
            ("ca.crt", &ca),
            (
                "pg_hba.conf",
                "local all all trust\nhostssl all with_certificate 127.0.0.1/32 cert\n\
                 hostssl all all 127.0.0.1/32 scram-sha-256\n",
            ),
        ] {
            let file = data.join(name);
            write(&file, text, 0o600);
            chown(&file, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let mut admin = server.admin().connect(postgres::NoTls).unwrap();
        for statement in [
            "ALTER SYSTEM SET ssl_ca_file = 'ca.crt'",
            "ALTER SYSTEM SET ssl = on",
            "SET password_encryption = 'scram-sha-256'",
            &format!("CREATE ROLE closer LOGIN PASSWORD '{PASSWORD}'"),
            "CREATE ROLE with_certificate LOGIN",
            "SELECT pg_reload_conf()",
        ] {
            admin.batch_execute(statement).unwrap();
        }
        // A reload is not immediate.
        let on = (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(25));
            let on = admin.query_one("SHOW ssl", &[]).unwrap();
            on.get::<_, &str>(0) == "on"
        });
        assert!(on, "the server has no TLS: {:?}", server.log_tail());
        Server {
            port,
            files,
            _running: server,
            _directory: directory,
        }
    })
}

fn env(host: &str, mode: &str, root: &str) -> Environment {
    let server = server();
    let home = server.files.join("home");
    fs::create_dir_all(&home).unwrap();
    write(
        &home.join(".pgpass"),
        &format!("*:*:*:closer:{PASSWORD}\n"),
        0o600,
    );
    Environment::empty(&server.files)
        .var("HOME", home)
        .var("PGHOST", host)
        .var("PGPORT", server.port.to_string())
        .var("PGUSER", "closer")
        .var("PGDATABASE", "postgres")
        .var("PGSSLMODE", mode)
        .var("PGSSLROOTCERT", root)
}

/// The endpoint by each TLS library.
fn both(env: &Environment) -> [Endpoint; 2] {
    let connect = Connect::within(env.clone()).role(Role::Runner);
    [
        connect.endpoint().unwrap(),
        connect.native_tls().endpoint().unwrap(),
    ]
}

fn is_encrypted(endpoint: &Endpoint) -> bool {
    let mut client = endpoint.client().unwrap();
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    client.query_one(sql, &[]).unwrap().get(0)
}

fn refused(endpoint: &mut Endpoint) -> String {
    let error = endpoint.connect().unwrap_err();
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert!(!shown.contains("hunter2"), "{shown}");
    shown
}

#[test]
fn a_verified_connection_with_scram_and_a_password_file() {
    for endpoint in both(&env("localhost", "verify-full", "root.crt")) {
        assert!(is_encrypted(&endpoint));
    }
}

#[test]
fn another_authority_is_refused() {
    for mode in ["verify-ca", "verify-full", "require"] {
        for mut endpoint in both(&env("localhost", mode, "other.crt")) {
            refused(&mut endpoint);
        }
    }
}

#[test]
fn another_name_is_refused_by_verify_full_alone() {
    for mut endpoint in both(&env("127.0.0.1", "verify-full", "root.crt")) {
        refused(&mut endpoint);
    }
    for endpoint in both(&env("127.0.0.1", "verify-ca", "root.crt")) {
        assert!(is_encrypted(&endpoint));
    }
}

#[test]
fn the_name_counts_where_an_address_is_given_too() {
    let env = env("localhost", "verify-full", "root.crt").var("PGHOSTADDR", "127.0.0.1");
    for endpoint in both(&env) {
        assert!(is_encrypted(&endpoint));
    }
}

#[test]
fn require_without_an_authority_encrypts() {
    for endpoint in both(&env("localhost", "require", "")) {
        assert!(is_encrypted(&endpoint));
    }
}

#[test]
fn without_tls_the_server_refuses() {
    let endpoint = Connect::within(env("localhost", "disable", "")).role(Role::Runner);
    let error = refused(&mut endpoint.endpoint().unwrap());
    assert!(error.contains("no encryption"), "{error}");
}

#[test]
fn a_wrong_password_is_not_shown() {
    let env = env("localhost", "verify-full", "root.crt").var("PGPASSWORD", "not hunter2");
    for mut endpoint in both(&env) {
        let error = refused(&mut endpoint);
        assert!(error.contains("password authentication failed"), "{error}");
    }
}

#[test]
fn a_client_certificate_is_presented() {
    let env = env("localhost", "verify-full", "root.crt")
        .var("PGUSER", "with_certificate")
        .var("PGSSLCERT", "client.crt")
        .var("PGSSLKEY", "client.key");
    for endpoint in both(&env) {
        assert!(is_encrypted(&endpoint));
    }
    for mut endpoint in both(&env.var("PGSSLCERT", "").var("PGSSLKEY", "")) {
        refused(&mut endpoint);
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let server = server();
    let readable = server.files.join("readable.key");
    fs::copy(server.files.join("client.key"), &readable).unwrap();
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o644)).unwrap();
    let env = env("localhost", "verify-full", "root.crt")
        .var("PGSSLCERT", "client.crt")
        .var("PGSSLKEY", &readable);
    let error = Connect::within(env).endpoint().unwrap_err();
    assert_eq!(error.code(), "endpoint_tls");
}

#[test]
fn a_file_that_has_no_certificate_is_refused() {
    write(&server().files.join("empty.crt"), "nothing\n", 0o644);
    for root in ["empty.crt", "absent.crt"] {
        let connect = Connect::within(env("localhost", "verify-full", root));
        assert!(connect.endpoint().is_err(), "{root}");
        assert!(connect.native_tls().endpoint().is_err(), "{root}");
    }
}

#[test]
fn the_usual_files_are_found() {
    let home = tempfile::tempdir().unwrap();
    let files: &Path = &server().files;
    fs::create_dir(home.path().join(".postgresql")).unwrap();
    fs::copy(
        files.join("root.crt"),
        home.path().join(".postgresql/root.crt"),
    )
    .unwrap();
    let env = env("localhost", "verify-full", "")
        .var("HOME", home.path())
        .var("PGPASSWORD", PASSWORD);
    for endpoint in both(&env) {
        assert!(is_encrypted(&endpoint));
    }
}

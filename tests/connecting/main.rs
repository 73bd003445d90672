//! Connections are found where `psql` finds them, over TLS that is verified, and show no password.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod password;
mod sources;
mod tls;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The password in every test, to be found in no output.
const PASSWORD: &str = "correct horse hunter2";

fn write(file: &Path, text: &str, mode: u32) {
    fs::write(file, text).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

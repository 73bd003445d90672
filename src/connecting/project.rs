//! Reads the sections `[connect.ROLE]` of `phasegate.toml`.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::conninfo;
use super::environment::Environment;
use super::error::EndpointError;
use super::password::PasswordSource;
use super::settings::{keys, nearest};
use crate::base::files;

const NAME: &str = "phasegate.toml";
const LIMIT: usize = 1 << 20;

/// The sections that the file may have. Those beside `connect` are read by the program that they configure.
const SECTIONS: [&str; 7] = [
    "connect", "notify", "project", "run", "target", "throttle", "timeouts",
];
/// The keys of a role beside those of a connection.
const MORE: [&str; 3] = ["password_command", "password_file", "url"];
const PATHS: [&str; 4] = ["passfile", "sslcert", "sslkey", "sslrootcert"];

/// The section of a role.
pub(super) struct Section {
    pub(super) place: String,
    pub(super) pairs: Vec<(String, String)>,
    pub(super) password: Option<PasswordSource>,
}

/// Returns the path of the file in the working directory, or the nearest directory above it.
fn find(env: &Environment) -> Option<PathBuf> {
    let candidates = env.directory().ancestors().map(|above| above.join(NAME));
    candidates.into_iter().find(|file| file.is_file())
}

/// Returns the section of a role. `roles` are all that there are.
pub(super) fn section(
    env: &Environment,
    role: &str,
    roles: &[&str],
) -> Result<Option<Section>, EndpointError> {
    let Some(file) = find(env) else {
        return Ok(None);
    };
    let name = file.display().to_string();
    let text = String::from_utf8(files::read(&file, LIMIT)?)
        .map_err(|_| EndpointError::malformed(&name, "is not UTF-8"))?;
    // The message of the parser quotes the line, which may hold a password.
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().map_or("", |span| &text[..span.start]);
        let line = before.matches('\n').count() + 1;
        EndpointError::malformed(&name, format!("is not TOML, at line {line}"))
    })?;
    check_keys(&name, &table, || SECTIONS.into_iter())?;
    let connect = match table.get("connect") {
        None => return Ok(None),
        Some(Value::Table(connect)) => connect,
        Some(_) => {
            return Err(EndpointError::malformed(
                name,
                "has `connect`, not a section",
            ));
        }
    };
    check_keys(&format!("[connect] of {name}"), connect, || {
        roles.iter().copied()
    })?;
    let mut found = None;
    // Each is checked, so that a mistake shows before the role is needed.
    for (of, values) in connect {
        let place = format!("[connect.{of}] of {name}");
        let Value::Table(values) = values else {
            return Err(EndpointError::malformed(place, "is not a section"));
        };
        let section = read(&file, place, values)?;
        if of == role {
            found = Some(section);
        }
    }
    Ok(found)
}

fn check_keys<'a, I: Iterator<Item = &'a str>>(
    place: &str,
    table: &Table,
    known: impl Fn() -> I,
) -> Result<(), EndpointError> {
    for key in table.keys() {
        if key == "password" {
            let place = place.to_owned();
            return Err(EndpointError::PasswordExposed { place });
        }
        if !known().any(|known| known == key) {
            return Err(EndpointError::UnknownKey {
                place: place.to_owned(),
                key: key.clone(),
                nearest: nearest(key, known()),
            });
        }
    }
    Ok(())
}

fn read(file: &Path, place: String, values: &Table) -> Result<Section, EndpointError> {
    check_keys(&place, values, || {
        keys().filter(|key| *key != "password").chain(MORE)
    })?;
    let directory = file.parent().unwrap_or(Path::new("."));
    let (mut pairs, mut url, mut sources) = (Vec::new(), None, Vec::new());
    for (key, value) in values {
        match (key.as_str(), value) {
            ("password_command", value) => {
                check_trust(file)?;
                sources.push(PasswordSource::Command {
                    place: format!("`password_command` of {place}"),
                    argv: words(value)
                        .ok_or_else(|| EndpointError::malformed(&place, COMMAND_FORM))?,
                    directory: directory.to_owned(),
                });
            }
            ("password_file", Value::String(path)) => sources.push(PasswordSource::File {
                place: format!("`password_file` of {place}"),
                path: directory.join(path),
            }),
            ("url", Value::String(text)) => url = Some(text),
            (key, Value::String(text)) => {
                let is_path = PATHS.contains(&key) && text != "system";
                let text = if is_path {
                    directory.join(text).display().to_string()
                } else {
                    text.clone()
                };
                pairs.push((key.to_owned(), text));
            }
            (key, Value::Integer(number)) => pairs.push((key.to_owned(), number.to_string())),
            (key, _) => {
                let why = format!("has a `{key}` that is neither text nor a whole number");
                return Err(EndpointError::malformed(place, why));
            }
        }
    }
    if let Some(url) = url {
        let of_url = conninfo::parse(url)
            .map_err(|why| EndpointError::malformed(format!("`url` of {place}"), why))?;
        if of_url.iter().any(|(key, _)| key == "password") {
            return Err(EndpointError::PasswordExposed { place });
        }
        let more = of_url
            .into_iter()
            .filter(|(key, _)| !values.contains_key(key));
        pairs.extend(more.collect::<Vec<_>>());
    }
    if sources.len() > 1 {
        let why = "has both `password_file` and `password_command`";
        return Err(EndpointError::malformed(place, why));
    }
    Ok(Section {
        place,
        pairs,
        password: sources.pop(),
    })
}

const COMMAND_FORM: &str = "has a `password_command` that is not a list of texts";

fn words(value: &Value) -> Option<Vec<String>> {
    let words = value.as_array()?.iter();
    let words: Option<Vec<String>> = words.map(|word| Some(word.as_str()?.to_owned())).collect();
    words.filter(|words| !words.is_empty())
}

/// Returns an error if a user other than this one and root can change the file, whose command would be executed.
#[cfg(unix)]
fn check_trust(file: &Path) -> Result<(), EndpointError> {
    use std::os::unix::fs::MetadataExt as _;
    let trusted = file.metadata().is_ok_and(|metadata| {
        let owner = metadata.uid();
        let own = owner == 0 || owner == rustix::process::geteuid().as_raw();
        own && metadata.mode() & 0o022 == 0
    });
    if trusted {
        return Ok(());
    }
    Err(EndpointError::Untrusted {
        file: file.display().to_string(),
    })
}

#[cfg(not(unix))]
fn check_trust(_: &Path) -> Result<(), EndpointError> {
    Ok(())
}

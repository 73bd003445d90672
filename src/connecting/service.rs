//! Reads `pg_service.conf`.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::EndpointError;
use crate::base::files;

const LIMIT: usize = 1 << 20;
/// Where Debian's libpq looks; PGSYSCONFDIR names another directory.
const SYSTEM: &str = "/etc/postgresql-common";

/// The settings of a service, and the name of the place that they are from.
pub(super) struct Service {
    pub(super) place: String,
    pub(super) pairs: Vec<(String, String)>,
}

/// Returns the settings of the service: from PGSERVICEFILE, or else `~/.pg_service.conf`, and if that has no such
/// section, from the system's file.
pub(super) fn find(env: &Environment, name: &str) -> Result<Service, EndpointError> {
    let named = env.path("PGSERVICEFILE");
    let own = named.clone().or_else(|| env.home(".pg_service.conf"));
    let system = env.path("PGSYSCONFDIR").unwrap_or_else(|| SYSTEM.into());
    let files: [Option<PathBuf>; 2] = [own, Some(system.join("pg_service.conf"))];
    for file in files.into_iter().flatten() {
        if named.as_ref() != Some(&file) && !file.exists() {
            continue;
        }
        if let Some(service) = read(&file, name)? {
            return Ok(service);
        }
    }
    Err(EndpointError::UnknownService {
        service: name.to_owned(),
    })
}

fn read(file: &Path, name: &str) -> Result<Option<Service>, EndpointError> {
    let place = format!("[{name}] of {}", file.display());
    let text = String::from_utf8(files::read(file, LIMIT)?)
        .map_err(|_| EndpointError::malformed(file.display().to_string(), "is not UTF-8"))?;
    let mut pairs = Vec::new();
    let mut found = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            if found {
                break;
            }
            found = section.strip_suffix(']') == Some(name);
        } else if found {
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| EndpointError::malformed(&place, "has a line without `=`"))?;
            let key = key.trim();
            if key == "service" {
                let why = "names another service, which is not supported";
                return Err(EndpointError::malformed(&place, why));
            }
            pairs.push((key.to_owned(), value.trim().to_owned()));
        }
    }
    Ok(found.then_some(Service { place, pairs }))
}

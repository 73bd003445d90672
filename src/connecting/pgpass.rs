//! Reads `.pgpass`.

use std::path::Path;

use super::error::EndpointError;
use crate::base::files;

const LIMIT: usize = 1 << 20;

/// What a line of the file is compared with.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// Returns the content of the file, or else why it is ignored: it is not there (no reason), is not a file, or other
/// users can read it.
pub(super) fn read(file: &Path) -> Result<Result<String, Option<String>>, EndpointError> {
    let Ok(metadata) = file.metadata() else {
        return Ok(Err(None));
    };
    let ignored = |why: &str| Ok(Err(Some(format!("{} is ignored: {why}", file.display()))));
    if !metadata.is_file() {
        return ignored("it is no regular file");
    }
    if readable_by_others(&metadata) {
        return ignored("other users can read it; run `chmod 0600` on it");
    }
    match String::from_utf8(files::read(file, LIMIT)?) {
        Ok(text) => Ok(Ok(text)),
        Err(_) => ignored("it is not UTF-8"),
    }
}

#[cfg(unix)]
pub(super) fn readable_by_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
pub(super) fn readable_by_others(_: &std::fs::Metadata) -> bool {
    false
}

/// Returns the password of the first line that matches.
pub(super) fn password(text: &str, wanted: &Wanted<'_>) -> Option<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(fields).find_map(|fields| {
        let [host, port, database, user, password] = <[String; 5]>::try_from(fields).ok()?;
        let matches = |field: &str, value: &str| field == "*" || field == value;
        let all = matches(&host, wanted.host)
            && matches(&port, wanted.port)
            && matches(&database, wanted.database)
            && matches(&user, wanted.user);
        all.then_some(password)
    })
}

/// Returns the five fields of a line. The fifth is the rest of the line.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        let (end, c) = match c {
            '\\' => (false, characters.next().unwrap_or('\\')),
            ':' => (fields.len() < 5, ':'),
            c => (false, c),
        };
        if end {
            fields.push(String::new());
        } else if let Some(field) = fields.last_mut() {
            field.push(c);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_matches_counts() {
        let text =
            "# a:1:d:u:comment\nother:*:*:*:no\na:1:d:u:p\\:w\\\\:x\n*:*:*:*:last\nshort:line";
        let of = |host, user| {
            let (port, database) = ("1", "d");
            let wanted = Wanted {
                host,
                port,
                database,
                user,
            };
            password(text, &wanted)
        };
        assert_eq!(of("a", "u").as_deref(), Some("p:w\\:x"));
        assert_eq!(of("a", "v").as_deref(), Some("last"));
        assert_eq!(of("other", "v").as_deref(), Some("no"));
    }

    #[test]
    fn no_line_is_no_password() {
        let wanted = Wanted {
            host: "a",
            port: "1",
            database: "d",
            user: "u",
        };
        assert_eq!(password("b:1:d:u:p\na:1:d\n", &wanted), None);
    }
}

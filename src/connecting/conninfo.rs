//! Reads connection strings: URLs, and `key = 'value'` pairs, as libpq does. An error quotes nothing: the text may
//! contain a password.

use percent_encoding::percent_decode_str;

type Pairs = Vec<(String, String)>;

/// Returns the settings of a connection string, in order. The error is what is wrong.
pub(super) fn parse(text: &str) -> Result<Pairs, &'static str> {
    let url = ["postgres://", "postgresql://"];
    match url.iter().find_map(|scheme| text.strip_prefix(scheme)) {
        Some(rest) => parse_url(rest),
        None => parse_pairs(text),
    }
}

fn parse_url(rest: &str) -> Result<Pairs, &'static str> {
    let mut pairs = Pairs::new();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = match authority.rsplit_once('@') {
        Some((user, hosts)) => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            add(&mut pairs, "user", &decoded(user)?);
            add(&mut pairs, "password", &decoded(password)?);
            hosts
        }
        None => authority,
    };
    let (mut names, mut ports) = (Vec::new(), Vec::new());
    for host in hosts.split(',') {
        let (name, port) = match host.strip_prefix('[') {
            Some(v6) => {
                let (name, after) = v6.split_once(']').ok_or("has an unclosed `[`")?;
                let port = after.strip_prefix(':').unwrap_or("");
                if !after.is_empty() && !after.starts_with(':') {
                    return Err("has text after `]`");
                }
                (name, port)
            }
            None => host.split_once(':').unwrap_or((host, "")),
        };
        names.push(decoded(name)?);
        ports.push(port.to_owned());
    }
    if ports.iter().any(|port| !port.is_empty()) {
        let ports = ports.iter().map(|port| match port.as_str() {
            "" => "5432",
            port => port,
        });
        pairs.push(("port".to_owned(), ports.collect::<Vec<_>>().join(",")));
    }
    if names.iter().any(|name| !name.is_empty()) {
        pairs.push(("host".to_owned(), names.join(",")));
    }
    add(&mut pairs, "dbname", &decoded(database)?);
    for parameter in query.split('&').filter(|it| !it.is_empty()) {
        let (key, value) = parameter
            .split_once('=')
            .ok_or("has a parameter without `=`")?;
        match (key, value) {
            ("ssl", "true") => add(&mut pairs, "sslmode", "require"),
            _ => pairs.push((decoded(key)?, decoded(value)?)),
        }
    }
    Ok(pairs)
}

fn add(pairs: &mut Pairs, key: &str, value: &str) {
    if !value.is_empty() {
        pairs.push((key.to_owned(), value.to_owned()));
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "has escapes that are not UTF-8")?;
    if decoded.contains('\0') {
        return Err("contains a null character");
    }
    Ok(decoded.into_owned())
}

fn parse_pairs(text: &str) -> Result<Pairs, &'static str> {
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest
            .split_once('=')
            .ok_or("is neither a URL nor pairs of `key=value`")?;
        let key = key.trim_end();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err("has a key without `=`");
        }
        let after = after.trim_start();
        let quoted = after.starts_with('\'');
        let mut characters = after.char_indices().skip(usize::from(quoted));
        let mut value = String::new();
        let mut end = None;
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => match characters.next() {
                    Some((_, escaped)) => value.push(escaped),
                    None => return Err("ends within an escape"),
                },
                '\'' if quoted => {
                    end = Some(at + 1);
                    break;
                }
                c if !quoted && c.is_whitespace() => {
                    end = Some(at);
                    break;
                }
                c => value.push(c),
            }
        }
        if quoted && end.is_none() {
            return Err("has an unclosed quote");
        }
        pairs.push((key.to_owned(), value));
        rest = after[end.unwrap_or(after.len())..].trim_start();
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let pairs = parse(text).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(" ")
    }

    #[test]
    fn urls_are_read_as_by_libpq() {
        for (url, pairs) in [
            ("postgres://", ""),
            (
                "postgresql://ada:p%40ss@db.example:7/bank?sslmode=verify-full",
                "user=ada password=p@ss port=7 host=db.example dbname=bank sslmode=verify-full",
            ),
            ("postgres://a,b:7/x", "port=5432,7 host=a,b dbname=x"),
            ("postgres://[::1]:7", "port=7 host=::1"),
            ("postgres://%2Frun%2Fpg/x", "host=/run/pg dbname=x"),
            ("postgres:///x?host=/run/pg", "dbname=x host=/run/pg"),
            ("postgres://h/?ssl=true", "host=h sslmode=require"),
        ] {
            assert_eq!(read(url), pairs, "{url}");
        }
    }

    #[test]
    fn pairs_are_read_as_by_libpq() {
        for (text, pairs) in [
            ("", ""),
            (" host = a  port=7 ", "host=a port=7"),
            (r"password='it\'s' user=a\ b", "password=it's user=a b"),
            ("host='' user=a", "host= user=a"),
        ] {
            assert_eq!(read(text), pairs, "{text}");
        }
    }

    #[test]
    fn an_error_quotes_nothing() {
        for text in [
            "hunter2",
            "a b=hunter2",
            "password='hunter2",
            "password=hunter2\\",
            "postgres://u:%ffhunter2@h",
            "postgres://u:hunter2@[::1",
            "postgres://u:hunter2@[::1]x",
            "postgres://h/?hunter2",
        ] {
            let why = parse(text).unwrap_err();
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}

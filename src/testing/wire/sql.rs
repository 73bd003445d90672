//! The statements of a message, as far as a fake server has to read them.

/// Splits a message into its statements, at each semicolon that is in neither a literal, a quoted name, a comment nor
/// a dollar-quoted text. Statements are trimmed; empty ones are left out.
pub(super) fn split(sql: &str) -> Vec<&str> {
    let bytes = sql.as_bytes();
    let (mut statements, mut from, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        let rest = &sql[at..];
        at += match bytes[at] {
            b';' => {
                statements.push(&sql[from..at]);
                from = at + 1;
                1
            }
            quote @ (b'\'' | b'"') => {
                1 + until(&rest[1..], char::from(quote).encode_utf8(&mut [0; 4]))
            }
            b'-' if rest.starts_with("--") => until(rest, "\n"),
            b'/' if rest.starts_with("/*") => until(rest, "*/"),
            b'$' => dollar_quoted(rest),
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    statements.push(sql.get(from..).unwrap_or_default());
    let trimmed = statements.into_iter().map(str::trim);
    trimmed.filter(|statement| !statement.is_empty()).collect()
}

/// The length up to and with `end`, or of everything.
fn until(text: &str, end: &str) -> usize {
    text.find(end).map_or(text.len(), |at| at + end.len())
}

/// The length of the dollar-quoted text that begins here; 1 if none does, as for `$1`.
fn dollar_quoted(text: &str) -> usize {
    let Some(close) = text[1..].find('$') else {
        return 1;
    };
    let tag = &text[1..=close];
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !tag.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return 1;
    }
    let quote = &text[..close + 2];
    quote.len() + until(&text[quote.len()..], quote)
}

/// Returns the words of a statement in capital letters with single spaces, by which statements are compared.
pub(super) fn normal(sql: &str) -> String {
    let words: Vec<_> = sql.split_whitespace().collect();
    words.join(" ").trim_end_matches(';').to_uppercase()
}

/// Returns the first words, in capital letters.
pub(super) fn word(sql: &str, place: usize) -> String {
    let mut words = sql
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty());
    words.nth(place).unwrap_or_default().to_uppercase()
}

/// Returns the first function that a statement calls in the schema `phasegate`.
pub(super) fn schema_function(sql: &str) -> Option<&str> {
    let (_, rest) = sql.split_once("phasegate.")?;
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    rest[end..]
        .trim_start()
        .starts_with('(')
        .then_some(&rest[..end])
}

/// Returns the bytes of the first `decode('..', 'hex')` of a statement.
pub(super) fn decoded(sql: &str) -> Option<Vec<u8>> {
    let (_, rest) = sql.split_once("decode('")?;
    let (hex, _) = rest.split_once('\'')?;
    from_hex(hex)
}

pub(super) fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits
        .map(|pair| byte(pair).filter(|_| pair.len() == 2))
        .collect()
}

/// Returns the greatest `$n` of a statement.
pub(super) fn placeholders(sql: &str) -> usize {
    let numbers = sql.split('$').skip(1).filter_map(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    numbers.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split_where_the_server_splits_them() {
        let sql =
            "BEGIN; SELECT 'a;b', \"c;d\", $$e;f$$, $t$g;h$t$ -- i;j\n, /* k;l */ $1;; COMMIT ;";
        let split = split(sql);
        assert_eq!(split.len(), 3, "{split:?}");
        assert_eq!((split[0], split[2]), ("BEGIN", "COMMIT"));
        assert_eq!(super::split("SELECT 'it''s; 1'; SELECT 2").len(), 2);
        assert_eq!(super::split("  "), [""; 0]);
    }

    #[test]
    fn a_function_of_the_schema_and_its_argument_are_found() {
        let sql = "SELECT phasegate.open(pg_catalog.decode('7b7d', 'hex'))";
        assert_eq!(schema_function(sql), Some("open"));
        assert_eq!(decoded(sql), Some(b"{}".to_vec()));
        assert_eq!(schema_function("SELECT * FROM phasegate.run"), None);
        assert_eq!(from_hex("7b7"), None);
        assert_eq!(placeholders("SELECT $2, $10::text"), 10);
        assert_eq!(normal(" select\n 1; "), "SELECT 1");
    }
}

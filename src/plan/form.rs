//! The two forms of a saved plan: canonical JSON, which is hashed, and the same text indented, which people compare.

/// Returns a canonical JSON text with a line for each member and item, indented by two spaces, and with a final
/// newline: the form in which a plan is saved, so that a version control system shows what has changed.
///
/// It adds white space between the tokens and nothing else.
pub(super) fn indented(canonical: &[u8]) -> Vec<u8> {
    let mut indented = Vec::with_capacity(canonical.len() * 5 / 4);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut bytes = canonical.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if in_string {
            indented.push(byte);
            match byte {
                b'\\' => indented.extend(bytes.next()),
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'{' | b'[' => {
                indented.push(byte);
                // An empty object or array stays on its line.
                if let Some(&end @ (b'}' | b']')) = bytes.peek() {
                    bytes.next();
                    indented.push(end);
                } else {
                    depth += 1;
                    new_line(&mut indented, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut indented, depth);
                indented.push(byte);
            }
            b',' => {
                indented.push(byte);
                new_line(&mut indented, depth);
            }
            b':' => indented.extend(b": "),
            _ => {
                in_string = byte == b'"';
                indented.push(byte);
            }
        }
    }
    indented.push(b'\n');
    indented
}

fn new_line(text: &mut Vec<u8>, depth: usize) {
    text.push(b'\n');
    text.resize(text.len() + 2 * depth, b' ');
}

/// Returns whether `saved` is one of the two forms of a canonical text. The lines of the indented one may end with CR LF,
/// as some checkouts write them.
pub(super) fn is_form_of(saved: &[u8], canonical: &[u8]) -> bool {
    if saved == canonical {
        return true;
    }
    let mut lines = indented(canonical);
    if saved.contains(&b'\r') {
        // A string of JSON holds no line break, so these are the ones between the tokens.
        let text = saved.strip_suffix(b"\r\n").or(saved.strip_suffix(b"\n"));
        lines.pop();
        return text.is_some_and(|text| {
            let ends = text
                .split(|&byte| byte == b'\n')
                .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
            ends.eq(lines.split(|&byte| byte == b'\n'))
        });
    }
    saved == lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_indented_form_is_what_serde_json_writes() {
        for text in [
            r#"{"a":[],"b":{},"c":[1,[2,{"d":"x, y: {z} \" [ \\"}]],"é":null}"#,
            "[]",
            r#""text\\""#,
        ] {
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            let mut expected = serde_json::to_vec_pretty(&value).unwrap();
            expected.push(b'\n');
            assert_eq!(indented(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn two_forms_and_no_other_are_accepted() {
        let canonical = br#"{"a":[1,2],"b":"x"}"#;
        let lines = indented(canonical);
        let text = String::from_utf8(lines.clone()).unwrap();
        assert!(is_form_of(canonical, canonical));
        assert!(is_form_of(&lines, canonical));
        assert!(is_form_of(text.replace('\n', "\r\n").as_bytes(), canonical));
        for other in [
            text.replace("  ", "\t"),
            text.replace('\n', "\n\n"),
            text.replace("\"x\"", "\"y\""),
            text.replace('\n', "\r"),
            format!("{text}\n"),
            text.trim_end().to_owned(),
            " {\"a\":[1,2],\"b\":\"x\"}".to_owned(),
        ] {
            assert!(!is_form_of(other.as_bytes(), canonical), "{other:?}");
        }
    }
}

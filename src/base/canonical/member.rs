//! The members of an object in canonical text: where each begins, and the order of their keys.

use std::cmp::Ordering;

/// Returns the order of RFC 8785 for the literals of two keys, quotes included: that of their UTF-16 code units.
pub(super) fn key_order(left: &[u8], right: &[u8]) -> Ordering {
    let (left, right) = (unquoted(left), unquoted(right));
    // Without escapes, UTF-8 has the order of code points. That is the order of UTF-16, but for surrogates, which sort
    // before U+E000 to U+FFFF; all of these begin with 0xEE or more.
    let plain = |key: &[u8]| key.iter().all(|&byte| byte < 0xEE && byte != b'\\');
    if plain(left) && plain(right) {
        left.cmp(right)
    } else {
        code_units(left).cmp(code_units(right))
    }
}

/// Returns the text that the literal of a key stands for.
pub(super) fn key_text(literal: &[u8]) -> String {
    let characters = char::decode_utf16(code_units(unquoted(literal)));
    characters
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn unquoted(literal: &[u8]) -> &[u8] {
    literal
        .get(1..literal.len().saturating_sub(1))
        .unwrap_or_default()
}

/// Returns the UTF-16 code units of a string, without quotes, in which canonical JSON has escaped what it must.
fn code_units(escaped: &[u8]) -> impl Iterator<Item = u16> {
    let mut characters = str::from_utf8(escaped).unwrap_or_default().chars();
    let unescaped = std::iter::from_fn(move || {
        let character = characters.next()?;
        if character != '\\' {
            return Some(character);
        }
        match characters.next()? {
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'u' => {
                let digits = characters.by_ref().take(4);
                let code = digits.fold(0, |code, digit| {
                    code * 16 + digit.to_digit(16).unwrap_or_default()
                });
                char::from_u32(code)
            }
            itself => Some(itself),
        }
    });
    unescaped.flat_map(|character| {
        let mut units = [0; 2];
        let length = character.encode_utf16(&mut units).len();
        units.into_iter().take(length)
    })
}

/// Returns the literal of the key of the member at `at`, which is the place of the `{` or the comma before it.
pub(super) fn key_at(text: &[u8], at: usize) -> &[u8] {
    text.get(at + 1..string_end(text, at + 1))
        .unwrap_or_default()
}

/// Returns where each member of the object at `start` begins, which is at the `{` or the comma before it, and where the
/// last one ends: at the `}`, or at the end of the text.
pub(super) fn members(text: &[u8], start: usize) -> (Vec<usize>, usize) {
    let mut starts = Vec::new();
    let mut at = start;
    while text.get(at + 1) == Some(&b'"') {
        starts.push(at);
        let colon = string_end(text, at + 1);
        at = value_end(text, colon + 1);
        if text.get(at) != Some(&b',') {
            return (starts, at);
        }
    }
    (starts, at + 1)
}

/// Returns the end of the string whose first quote is at `at`.
fn string_end(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return text.len(),
        }
    }
}

fn value_end(text: &[u8], at: usize) -> usize {
    let mut at = at;
    let mut depth = 0_usize;
    loop {
        match text.get(at) {
            Some(b'"') => {
                at = string_end(text, at);
                continue;
            }
            Some(b'{' | b'[') => depth += 1,
            Some(b'}' | b']' | b',') if depth == 0 => return at,
            Some(b'}' | b']') => depth -= 1,
            Some(_) => {}
            None => return text.len(),
        }
        at += 1;
    }
}

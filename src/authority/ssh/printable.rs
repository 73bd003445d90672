//! Texts that are safe to show to people: every character is visible as it is.

use crate::base::printable;

/// Why a text cannot be shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPlain {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than allowed, in bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// The text has a character that moves the cursor, changes the direction of the text, or is invisible.
    #[error("holds the character U+{:04X}, which a reader does not see", u32::from(*.0))]
    Character(char),
}

/// Checks a name: printable, and not empty.
pub(super) fn name(text: &str) -> Result<(), NotPlain> {
    if text.is_empty() {
        return Err(NotPlain::Empty);
    }
    of_at_most(200, text)
}

/// Checks a text of at most `limit` bytes, which may be empty.
pub(super) fn of_at_most(limit: usize, text: &str) -> Result<(), NotPlain> {
    if text.len() > limit {
        return Err(NotPlain::TooLong(limit));
    }
    printable::first_unprintable(text).map_or(Ok(()), |c| Err(NotPlain::Character(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_plain() {
        for text in [
            "",
            "read it, all of it",
            "geprüft — ½ von 2 ✔",
            "読みました",
        ] {
            assert_eq!(of_at_most(100, text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_a_terminal_would_obey_or_a_reader_would_not_see_is_not() {
        for c in [
            '\n',
            '\r',
            '\t',
            '\0',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{ad}',
            '\u{200b}',
            '\u{200d}',
            '\u{2028}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            let text = format!("fine{c}fine");
            assert_eq!(of_at_most(100, &text), Err(NotPlain::Character(c)));
        }
    }

    #[test]
    fn its_length_is_bounded() {
        assert_eq!(of_at_most(3, "äb"), Ok(()));
        assert_eq!(of_at_most(3, "äbc"), Err(NotPlain::TooLong(3)));
        assert_eq!(name(""), Err(NotPlain::Empty));
    }
}

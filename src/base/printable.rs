//! Text from outside that reaches a terminal, a log or a file: every character is visible as it is.

use std::fmt::{self, Write as _};

/// The most members of a list that a message names.
const LISTED: usize = 20;

/// The most characters of one text that a message shows.
const SHOWN: usize = 2_000;

/// Returns the first character of `text` that makes it unprintable: one that breaks the line, moves the cursor,
/// changes the direction of the text, or is invisible.
pub(crate) fn first_unprintable(text: &str) -> Option<char> {
    text.chars().find(|&c| is_unprintable(c))
}

fn is_unprintable(c: char) -> bool {
    c.is_control() || is_format(c)
}

/// Returns whether Unicode classifies the character as a format or a line separator: directions, joiners, tags.
fn is_format(c: char) -> bool {
    matches!(
        u32::from(c),
        0xAD | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2 | 0x180E
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB
            | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF
    )
}

/// Displays a text on one line, with escapes (`\n`, `\u{1b}`) for characters that are not visible, and at most its
/// first 2,000 characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() {
            // Padded, for a column of a table.
            return f.pad(&Printable(self.0).to_string());
        }
        let mut characters = self.0.chars();
        for c in characters.by_ref().take(SHOWN) {
            if is_unprintable(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        match characters.count() {
            0 => Ok(()),
            more => write!(f, ".. ({more} more characters)"),
        }
    }
}

/// Displays a list of texts, each as [`Printable`]: the first 20, and how many more there are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a, T> {
    items: &'a [T],
    quote: &'static str,
    separator: &'static str,
}

impl<'a, T: AsRef<str>> Listed<'a, T> {
    /// Shows each of `items` as it is, with `separator` between them.
    pub(crate) fn new(items: &'a [T], separator: &'static str) -> Self {
        Listed {
            items,
            quote: "",
            separator,
        }
    }

    /// Shows each of `items` between backquotes, with `separator` between them.
    pub(crate) fn quoted(items: &'a [T], separator: &'static str) -> Self {
        Listed {
            items,
            quote: "`",
            separator,
        }
    }
}

impl<T: AsRef<str>> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = self.quote;
        for (item, place) in self.items.iter().take(LISTED).zip(0..) {
            if place > 0 {
                f.write_str(self.separator)?;
            }
            write!(f, "{quote}{}{quote}", Printable(item.as_ref()))?;
        }
        match self.items.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_found_and_escaped() {
        let harmless = "Article 5, paragraph 2: “déjà vu” 😀 \\";
        assert_eq!(first_unprintable(harmless), None);
        assert_eq!(Printable(harmless).to_string(), harmless);
        for bad in ['\n', '\u{1b}', '\0', '\u{85}', '\u{202e}', '\u{2028}'] {
            let text = format!("seems {bad} harmless");
            assert_eq!(first_unprintable(&text), Some(bad));
            let shown = Printable(&text).to_string();
            assert_eq!(first_unprintable(&shown), None, "{shown}");
            assert!(shown.starts_with("seems \\"), "{shown}");
        }
        assert_eq!(Printable("\u{1b}[2J\r\n").to_string(), "\\u{1b}[2J\\r\\n");
    }

    #[test]
    fn long_texts_are_cut_with_a_count() {
        let shown = Printable(&"ä".repeat(SHOWN + 3)).to_string();
        assert!(shown.ends_with("ä.. (3 more characters)"), "{shown}");
        assert_eq!(
            Printable(&"ä".repeat(SHOWN)).to_string().chars().count(),
            SHOWN
        );
    }

    #[test]
    fn lists_are_bounded_and_their_members_escaped() {
        let few = ["a".to_owned(), "b\u{1b}".to_owned()];
        assert_eq!(Listed::quoted(&few, ", ").to_string(), "`a`, `b\\u{1b}`");
        assert_eq!(Listed::new(&few, "; ").to_string(), "a; b\\u{1b}");
        let many: Vec<String> = (1..=517).map(|n| n.to_string()).collect();
        let shown = Listed::new(&many, ", ").to_string();
        assert!(shown.ends_with("19, 20 and 497 more"), "{shown}");
    }

    #[test]
    fn columns_keep_their_width() {
        assert_eq!(format!("{:6}|", Printable("a\n")), "a\\n   |");
    }
}

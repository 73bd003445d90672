//! What people read before they approve must be what it looks like.

/// The first character of `text` for which it is not one line that is seen as it is: one that moves
/// the cursor, turns the direction of the text, or is not seen.
pub(crate) fn illegible(text: &str) -> Option<char> {
    text.chars().find(|&c| c.is_control() || is_format(c))
}

/// What Unicode calls formats and separators of lines: directions, joiners, tags.
fn is_format(c: char) -> bool {
    matches!(
        u32::from(c),
        0xAD | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2 | 0x180E
            | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFF9..=0xFFFB
            | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_acts_on_is_found() {
        assert_eq!(illegible("Article 5, paragraph 2: “déjà vu” 😀"), None);
        for bad in ['\n', '\u{1b}', '\0', '\u{85}', '\u{202e}', '\u{2028}'] {
            assert_eq!(illegible(&format!("seems {bad} harmless")), Some(bad));
        }
    }
}

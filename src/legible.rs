//! What people read before they approve must be what it looks like.

/// Why `text` is not one line that a terminal shows as it is: the first character that a terminal
/// acts on, or that changes the order in which others are shown.
pub(crate) fn illegible(text: &str) -> Option<char> {
    text.chars().find(|character| {
        character.is_control()
            || matches!(
                character,
                // Line and paragraph separators, and what overrides the direction of writing.
                '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'
                    | '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{FEFF}'
            )
    })
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

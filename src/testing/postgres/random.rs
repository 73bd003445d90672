//! Names and passwords that are used once.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The longest label that leaves room for the rest within the 63 bytes of a name.
const LABEL: usize = 32;

/// 64 bits, from `SipHash` under a key that the operating system drew.
fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A name that needs no quotes, is at most 63 bytes long and has 64 random bits.
///
/// All names begin with `phasegate_`, so that what a killed test left in a shared server can be
/// told.
pub(super) fn name(label: &str) -> String {
    let label: String = label
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .take(LABEL)
        .collect();
    format!("phasegate_{label}_{}", word())
}

/// 64 random bits in 16 letters and digits.
pub(super) fn word() -> String {
    format!("{:016x}", bits())
}

/// 128 random bits, in letters that need no quotes.
pub(super) fn password() -> String {
    word() + &word()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_short_and_distinct() {
        let one = name(&"Ünlucky \"label\"; ".repeat(9));
        assert!(one.len() <= 63, "{one}");
        assert!(
            one.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
            "{one}"
        );
        assert_ne!(name("a"), name("a"));
        assert_ne!(password(), password());
    }
}

//! Random names and passwords.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// The greatest length of a label, so that the name fits in 63 bytes.
const LABEL: usize = 32;

/// Returns 64 bits, from `SipHash` with a random key of the operating system.
fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Returns a name that needs no quotes, has at most 63 bytes and 64 random bits.
///
/// All names begin with `phasegate_`, so that leftovers of a killed test in a shared server can be recognized.
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

/// Returns 64 random bits in 16 letters and digits.
pub(super) fn word() -> String {
    format!("{:016x}", bits())
}

/// Returns 128 random bits, in letters that need no quotes.
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

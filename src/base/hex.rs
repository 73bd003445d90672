//! Bytes as hexadecimal digits.

pub(crate) fn hex(bytes: &[u8]) -> String {
    // Formatting by `format!` would take a hundred instructions for each byte.
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn every_byte_is_two_lower_case_digits() {
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        let formatted: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let formatted = formatted.concat();
        assert_eq!(hex(&bytes), formatted);
    }
}

//! Random values: the secret that seals a phase, and the nonce of an attempt.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::digest::Digest;
use crate::base::hex::hex;

/// A secret that seals the phase that was opened with its [`lock`](Secret::lock). The server gets it in the closing
/// message, and not earlier.
pub(crate) struct Secret([u8; 32]);

impl Secret {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Secret(bytes))
    }

    pub(crate) fn lock(&self) -> Digest {
        Digest::of(&self.0)
    }

    pub(crate) fn to_hex(&self) -> String {
        hex(&self.0)
    }
}

/// Returns a nonce for an attempt: a random UUID, as the server prints it.
pub(crate) fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    // RFC 9562: version 4, and the variant.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut nonce = hex(&bytes);
    for dash in [8, 13, 18, 23] {
        nonce.insert(dash, '-');
    }
    Ok(nonce)
}

/// Returns a unique text, for names that must differ and need not be secret.
pub(crate) fn unique() -> String {
    nonce().unwrap_or_else(|_| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        format!(
            "{}-{}",
            std::process::id(),
            now.unwrap_or_default().as_nanos()
        )
    })
}

/// Returns a random time between zero and `most`.
pub(crate) fn jitter(most: Duration) -> Duration {
    // Without randomness, every process waits for the longest time.
    getrandom::u32().map_or(most, |random| {
        most.mul_f64(f64::from(random) / f64::from(u32::MAX))
    })
}

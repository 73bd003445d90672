//! Which public keys can verify signatures, and why others cannot.

use ssh_key::public::KeyData;
use ssh_key::{HashAlg, PublicKey};

use crate::base::printable::Printable;

/// The least length of an RSA key, in bits: a shorter one can be factored at an affordable cost.
const SHORTEST_RSA: usize = 2048;

/// The greatest length of an RSA key that the library verifies with, in bits.
const LONGEST_RSA: usize = 4096;

/// Why a public key cannot be used here. One variant for each reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnfitKey {
    /// The text is not a public key of OpenSSH.
    #[error("it is not a public key as `ssh-keygen` writes it")]
    Malformed,
    /// The RSA key is too short.
    #[error("it is an RSA key of {bits} bits, and {SHORTEST_RSA} is the least")]
    ShortRsa {
        /// The length of the key, in bits.
        bits: usize,
    },
    /// The RSA key is too long for the library.
    #[error("it is an RSA key of {bits} bits, and {LONGEST_RSA} is the most that can be verified")]
    LongRsa {
        /// The length of the key, in bits.
        bits: usize,
    },
    /// The key is a certificate.
    #[error(
        "it is a certificate ({}), and certificates are not verified here",
        Printable(.algorithm)
    )]
    Certificate {
        /// The algorithm of the certificate.
        algorithm: String,
    },
    /// The key's algorithm is not verified here: DSA, or an unknown one.
    #[error(
        "its algorithm `{}` is not verified here",
        Printable(.algorithm)
    )]
    Algorithm {
        /// The name of the algorithm.
        algorithm: String,
    },
}

impl UnfitKey {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            UnfitKey::Malformed => "key_malformed",
            UnfitKey::ShortRsa { .. } => "key_short_rsa",
            UnfitKey::LongRsa { .. } => "key_long_rsa",
            UnfitKey::Certificate { .. } => "key_certificate",
            UnfitKey::Algorithm { .. } => "key_algorithm",
        }
    }

    /// Returns what to do about it, as one or two sentences.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            UnfitKey::Malformed => "Take the line of the file `.pub` unchanged.",
            UnfitKey::ShortRsa { .. } | UnfitKey::LongRsa { .. } => {
                "Make another key: `ssh-keygen -t ed25519`."
            }
            UnfitKey::Certificate { .. } => "List the key itself.",
            UnfitKey::Algorithm { .. } => {
                "Use ed25519, ecdsa, rsa, or a hardware key: `ssh-keygen -t ed25519-sk`."
            }
        };
        Some(hint.to_owned())
    }
}

const ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Refuses algorithms by name.
pub(super) fn refuse_algorithm(algorithm: &str) -> Result<(), UnfitKey> {
    let algorithm = algorithm.to_owned();
    if algorithm.contains("-cert-v0") {
        return Err(UnfitKey::Certificate { algorithm });
    }
    if !ALGORITHMS.contains(&&*algorithm) {
        return Err(UnfitKey::Algorithm { algorithm });
    }
    Ok(())
}

/// Returns whether a word is the name of a key's algorithm, including algorithms that are refused.
pub(super) fn is_algorithm(word: &str) -> bool {
    ALGORITHMS.contains(&word)
        || word == "ssh-dss"
        || word.contains("-cert-v0")
        || word.contains("@openssh.com")
}

/// Reads `ALGORITHM BASE64`.
pub(super) fn read(algorithm: &str, base64: &str) -> Result<KeyData, UnfitKey> {
    refuse_algorithm(algorithm)?;
    let key = PublicKey::from_openssh(&format!("{algorithm} {base64}"))
        .map_err(|_| UnfitKey::Malformed)?;
    refuse_unfit(key.key_data())?;
    Ok(key.key_data().clone())
}

pub(super) fn refuse_unfit(key: &KeyData) -> Result<(), UnfitKey> {
    refuse_algorithm(key.algorithm().as_str())?;
    if let KeyData::Rsa(rsa) = key {
        let modulus = rsa.n.as_positive_bytes().ok_or(UnfitKey::Malformed)?;
        let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros());
        let bits = modulus.len() * 8 - zeros as usize;
        if bits < SHORTEST_RSA {
            return Err(UnfitKey::ShortRsa { bits });
        }
        if bits > LONGEST_RSA {
            return Err(UnfitKey::LongRsa { bits });
        }
    }
    Ok(())
}

/// Returns the fingerprint, `SHA256:..`, as `ssh-keygen -l` prints it.
pub(super) fn fingerprint(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

//! One signature: its armor, its header, and its verification.

use base64ct::{Base64, Encoding as _};
use ssh_key::public::KeyData;
use ssh_key::{PublicKey, SshSig};

use super::{NAMESPACE, VerifyApprovalError, key};

/// The greatest size of a signature, in bytes; a larger one is refused unread.
pub(super) const LARGEST: usize = 16 * 1024;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----\n";
const END: &str = "-----END SSH SIGNATURE-----";

/// The number of bytes that a hardware key adds to its signature: a byte of flags, and a counter.
const TRAILER: usize = 5;

/// The flag of a signature that was made with a touch.
const TOUCHED: u8 = 0x01;

/// A well-formed signature in the namespace of statements. It is not verified yet.
pub(super) struct Signature {
    signature: SshSig,
    text: String,
}

impl Signature {
    /// Parses a signature in exactly the form that `ssh-keygen -Y sign` writes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, VerifyApprovalError> {
        if bytes.is_empty() {
            return Err(VerifyApprovalError::NoSignature);
        }
        if bytes.len() > LARGEST {
            return Err(VerifyApprovalError::SignatureTooLarge { size: bytes.len() });
        }
        let malformed = || VerifyApprovalError::NotASignature;
        let text = str::from_utf8(bytes).map_err(|_| malformed())?;
        let blob = without_armor(text).ok_or_else(malformed)?;
        let head = head(&blob).ok_or_else(malformed)?;
        // The library accepts any version up to its own.
        if head.version != SshSig::VERSION {
            return Err(malformed());
        }
        key::refuse_algorithm(head.algorithm).map_err(VerifyApprovalError::Key)?;
        let signature = SshSig::from_pem(text).map_err(|_| malformed())?;
        key::refuse_unfit(signature.public_key()).map_err(VerifyApprovalError::Key)?;
        if signature.namespace() != NAMESPACE {
            return Err(VerifyApprovalError::AnotherNamespace {
                found: signature.namespace().to_owned(),
            });
        }
        Ok(Signature {
            signature,
            text: text.to_owned(),
        })
    }

    /// Returns the key that the signature names.
    pub(super) fn key(&self) -> &KeyData {
        self.signature.public_key()
    }

    /// Returns the armored text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Verifies that the key has signed `message`, as a statement.
    pub(super) fn verify(&self, message: &[u8], who: &str) -> Result<(), VerifyApprovalError> {
        let key = PublicKey::from(self.key().clone());
        key.verify(NAMESPACE, message, &self.signature)
            .map_err(|_| VerifyApprovalError::DoesNotFit {
                who: who.to_owned(),
            })?;
        let hardware = key.key_data().is_sk_ed25519() || key.key_data().is_sk_ecdsa_p256();
        let bytes = self.signature.signature_bytes();
        let flags = bytes.len().checked_sub(TRAILER).map(|at| bytes[at]);
        if hardware && flags.is_none_or(|flags| flags & TOUCHED == 0) {
            return Err(VerifyApprovalError::NotTouched {
                who: who.to_owned(),
            });
        }
        Ok(())
    }
}

/// Returns the bytes in the armor, if it is written as `ssh-keygen` writes it.
fn without_armor(text: &str) -> Option<Vec<u8>> {
    let body = text.strip_prefix(BEGIN)?;
    let body = body.strip_suffix('\n').unwrap_or(body).strip_suffix(END)?;
    Base64::decode_vec(&body.replace('\n', "")).ok()
}

/// The header of a signature, before it is verified.
struct Head<'a> {
    version: u32,
    algorithm: &'a str,
}

/// Parses the whole signature, by `PROTOCOL.sshsig`: the library ignores lengths that are too large, and bytes after
/// the end.
fn head(blob: &[u8]) -> Option<Head<'_>> {
    let rest = blob.strip_prefix(b"SSHSIG")?;
    let (version, rest) = number(rest)?;
    let (key, rest) = text(rest)?;
    let (_namespace, rest) = text(rest)?;
    let (_reserved, rest) = text(rest)?;
    let (_hash, rest) = text(rest)?;
    let (signature, rest) = text(rest)?;
    let (algorithm, fields) = text(key)?;
    let (signed_by, rest_of_it) = text(signature)?;
    let (data, trailer) = text(rest_of_it)?;
    let algorithm = str::from_utf8(algorithm).ok()?;
    let hardware = algorithm.starts_with("sk-");
    let two_numbers = signed_by.starts_with(b"ecdsa-") || signed_by.starts_with(b"sk-ecdsa-");
    let whole = rest.is_empty()
        && (algorithm.contains("-cert-") || are_texts(fields))
        && (!two_numbers || are_texts(data))
        && trailer.len() == if hardware { TRAILER } else { 0 };
    whole.then_some(Head { version, algorithm })
}

fn are_texts(mut bytes: &[u8]) -> bool {
    while let Some((_, rest)) = text(bytes) {
        bytes = rest;
    }
    bytes.is_empty()
}

/// Splits off a string or a number of any length, which has its length before it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

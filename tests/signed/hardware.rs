//! Hardware keys (`-sk`), made in software: the real ssh-keygen verifies what these sign.

use base64ct::{Base64, Encoding as _};
use p256::ecdsa::signature::Signer as _;
use phasegate::ssh::{NAMESPACE, VerifyApprovalError};
use sha2::{Digest as _, Sha256, Sha512};

use crate::interop::approvals_by;
use crate::keygen::Keys;
use crate::{plan, statement};

fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}

/// A positive number as RFC 4251 has it.
fn number(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|&b| b != 0).unwrap_or(bytes.len());
    let bytes = &bytes[first..];
    let sign: &[u8] = if bytes.first().is_some_and(|b| b & 0x80 != 0) {
        &[0]
    } else {
        &[]
    };
    text(&[sign, bytes].concat())
}

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

struct Token {
    algorithm: &'static str,
    /// The key, as it stands in a blob after the algorithm.
    key: Vec<u8>,
    sign: Sign,
}

fn ed25519() -> Token {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let public = key.verifying_key().to_bytes();
    Token {
        algorithm: "sk-ssh-ed25519@openssh.com",
        key: [text(&public), text(b"ssh:")].concat(),
        sign: Box::new(move |message| key.sign(message).to_bytes().to_vec()),
    }
}

fn ecdsa() -> Token {
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    Token {
        algorithm: "sk-ecdsa-sha2-nistp256@openssh.com",
        key: [text(b"nistp256"), text(point.as_bytes()), text(b"ssh:")].concat(),
        sign: Box::new(move |message| {
            let signature: p256::ecdsa::Signature = key.sign(message);
            let (r, s) = signature.split_bytes();
            [number(&r), number(&s)].concat()
        }),
    }
}

impl Token {
    fn blob(&self) -> Vec<u8> {
        [text(self.algorithm.as_bytes()), self.key.clone()].concat()
    }

    fn public(&self) -> String {
        format!("{} {}", self.algorithm, Base64::encode_string(&self.blob()))
    }

    /// The signature of a message by a token that was touched, or was not.
    fn signs(&self, message: &[u8], flags: u8) -> Vec<u8> {
        let head = [text(NAMESPACE.as_bytes()), text(b""), text(b"sha512")].concat();
        let signed = [b"SSHSIG", &head[..], &text(&Sha512::digest(message))].concat();
        let trailer = [flags, 0, 0, 0, 9];
        let wrapped = [
            &Sha256::digest(b"ssh:")[..],
            &trailer,
            &Sha256::digest(&signed),
        ]
        .concat();
        let signature = text(&(self.sign)(&wrapped));
        let signature = [text(self.algorithm.as_bytes()), signature, trailer.to_vec()].concat();
        let version = [0, 0, 0, 1];
        let blob = [
            b"SSHSIG",
            &version[..],
            &text(&self.blob()),
            &head,
            &text(&signature),
        ];
        let base64 = Base64::encode_string(&blob.concat());
        let mut armored = "-----BEGIN SSH SIGNATURE-----\n".to_owned();
        for line in base64.as_bytes().chunks(70) {
            armored += std::str::from_utf8(line).unwrap();
            armored += "\n";
        }
        (armored + "-----END SSH SIGNATURE-----\n").into_bytes()
    }
}

#[test]
fn a_touched_hardware_key_counts_as_it_does_for_ssh_keygen() {
    let (keys, plan) = (Keys::new(), plan());
    let message = statement(&plan).bytes().unwrap();
    for token in [ed25519(), ecdsa()] {
        let allowed = format!("ada {}\n", token.public());
        let signature = token.signs(&message, 1);
        keys.verify(("ada", &allowed, None), NAMESPACE, &message, &signature)
            .unwrap();
        let mut approvals = approvals_by(&plan, &token.public());
        approvals.add(&message, &signature).unwrap();
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1 << (at % 8);
            assert!(approvals.add(&message, &changed).is_err(), "byte {at}");
        }
    }
}

#[test]
fn what_a_hardware_key_signs_by_itself_does_not_count() {
    let plan = plan();
    let message = statement(&plan).bytes().unwrap();
    for token in [ed25519(), ecdsa()] {
        for flags in [0, 4] {
            let signature = token.signs(&message, flags);
            let refused = approvals_by(&plan, &token.public()).add(&message, &signature);
            assert!(
                matches!(refused, Err(VerifyApprovalError::NotTouched { .. })),
                "{refused:?}"
            );
        }
    }
}

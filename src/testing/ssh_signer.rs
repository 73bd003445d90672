use std::fmt;

use ssh_key::private::Ed25519Keypair;
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use crate::{
    approval::ApprovalStatement,
    ssh::{NAMESPACE, ParseApprovalError},
};

/// A signer whose key is in the memory of this process, and who signs as `ssh-keygen -Y sign` would, where that is not
/// installed. Never use it outside of a test.
///
/// ```
/// use phasegate::testing::SshSigner;
/// use phasegate::{Plan, approval::ApprovalStatement, ssh::{AllowedSigners, Policy, SignedApprovals, VerifyApprovalError}};
///
/// fn approve(plan: &Plan, policy: Policy, ada: &SshSigner, statement: &ApprovalStatement)
///     -> Result<SignedApprovals, Box<dyn std::error::Error>>
/// {
///     let signers = AllowedSigners::parse(&ada.allowed_signers_line())?;
///     let mut approvals = SignedApprovals::new(plan, policy, signers);
///     let (text, signature) = ada.sign(statement)?;
///     approvals.add(&text, &signature)?;
///     Ok(approvals)
/// }
/// ```
pub struct SshSigner {
    name: String,
    key: PrivateKey,
}

impl SshSigner {
    /// Returns a signer with a new ed25519 key.
    ///
    /// # Panics
    ///
    /// Panics if the system has no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the system has randomness");
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
        SshSigner {
            name: name.to_owned(),
            key,
        }
    }

    /// Returns the signer's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the signer's public key, as in a file `.pub`.
    ///
    /// # Panics
    ///
    /// Never panics: the key always has an OpenSSH form.
    #[must_use]
    pub fn public_key(&self) -> String {
        let key = self.key.public_key().to_openssh();
        key.expect("an ed25519 key can be written")
    }

    /// Returns the line of the allowed signers by which this key may sign approvals, and nothing else.
    #[must_use]
    pub fn allowed_signers_line(&self) -> String {
        let (name, key) = (&self.name, self.public_key());
        format!("{name} namespaces=\"{NAMESPACE}\" {key}\n")
    }

    /// Returns the content of the statement's file, and that of the signature's file.
    ///
    /// # Errors
    ///
    /// Returns an error if the statement has a value that is not allowed in a statement.
    pub fn sign(
        &self,
        statement: &ApprovalStatement,
    ) -> Result<(Vec<u8>, Vec<u8>), ParseApprovalError> {
        let text = statement.bytes()?;
        let signature = self.sign_as(NAMESPACE, &text);
        Ok((text, signature))
    }

    /// Returns the signature of any message, in any namespace.
    ///
    /// # Panics
    ///
    /// Panics if the namespace is empty.
    #[must_use]
    pub fn sign_as(&self, namespace: &str, message: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(namespace, HashAlg::Sha512, message);
        let armored = signature.and_then(|signature| signature.to_pem(LineEnding::LF));
        armored.expect("an ed25519 key signs").into_bytes()
    }

    /// Returns the private key, as in the file of `ssh-keygen`.
    ///
    /// # Panics
    ///
    /// Never panics: the key always has an OpenSSH form.
    #[must_use]
    pub fn private_key(&self) -> String {
        let key = self.key.to_openssh(LineEnding::LF);
        key.expect("an ed25519 key can be written").to_string()
    }
}

impl fmt::Debug for SshSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SshSigner({})", self.name)
    }
}

//! People with keys, who sign with the real `ssh-keygen`; and an authority that returns the approvals that they signed.

use std::fs;
use std::process::Command;
use std::time::Duration;

use phasegate::{
    Digest, Plan,
    approval::{
        ApprovalRequest, ApprovalStatement, Attestation, Authority, Decision, Denied, Evidence,
        SignedStatement,
    },
};
use tempfile::TempDir;

/// A directory with a key for each person.
pub(crate) struct People {
    directory: TempDir,
    pub(crate) names: Vec<String>,
}

/// Runs a tool that the tests here require.
pub(crate) fn tool(command: &mut Command) -> Vec<u8> {
    let output = command.output();
    let output = output.unwrap_or_else(|error| {
        panic!("{command:?}: {error}; on Debian: apt-get install openssh-client coreutils")
    });
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

impl People {
    /// Each with a key of their own.
    pub(crate) fn new(names: &[&str]) -> Self {
        let people = People {
            directory: tempfile::tempdir().unwrap(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
        };
        for n in 0..names.len() {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args([
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                "",
                "-f",
                &n.to_string(),
            ]);
            tool(keygen.current_dir(&people.directory));
        }
        people
    }

    fn number(&self, name: &str) -> usize {
        let mut names = self.names.iter();
        names.position(|known| known == name).expect(name)
    }

    /// Returns the public key of this person, in one line.
    pub(crate) fn key(&self, name: &str) -> String {
        let file = format!("{}.pub", self.number(name));
        let key = fs::read_to_string(self.directory.path().join(file)).unwrap();
        key.trim_end().to_owned()
    }

    /// Returns the file of allowed signers: all people, with these options.
    pub(crate) fn allowed_signers(&self, options: &str) -> String {
        let line = |name: &String| {
            // As `ssh-keygen` reads names: in quotes where there is a space.
            let principal = if name.contains(' ') {
                format!("\"{name}\"")
            } else {
                name.clone()
            };
            format!(
                "{principal} namespaces=\"phasegate\"{options} {}\n",
                self.key(name)
            )
        };
        self.names.iter().map(line).collect()
    }

    /// What `name` signs, signed.
    pub(crate) fn sign(&self, name: &str, statement: &str) -> SignedStatement {
        let file = self.directory.path().join("statement");
        fs::write(&file, statement).unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen.args([
            "-q",
            "-Y",
            "sign",
            "-n",
            "phasegate",
            "-f",
            &self.number(name).to_string(),
        ]);
        tool(keygen.arg("statement").current_dir(&self.directory));
        let signature = self.directory.path().join("statement.sig");
        let armored = fs::read_to_string(&signature).unwrap();
        fs::remove_file(signature).unwrap();
        SignedStatement::new(name, statement, armored)
    }

    /// The approval of `gate` by `by`, each of whom has signed.
    pub(crate) fn approve(
        &self,
        plan: &Plan,
        gate: &str,
        by: &[&str],
        rules: &Rules,
    ) -> Attestation {
        self.decide(plan, Decision::Approve, gate, by, rules)
    }

    /// What `by` have decided, each of whom has signed.
    pub(crate) fn decide(
        &self,
        plan: &Plan,
        decision: Decision,
        gate: &str,
        by: &[&str],
        rules: &Rules,
    ) -> Attestation {
        let mut said = statement(plan, decision, gate, "as each has said");
        let signed = by.iter().map(|name| {
            let comment =
                format!("read by {name}, \"decision\":\"none\", [x], {{\"gate\": \"SG_9\"");
            let each = ApprovalStatement {
                expires: said.expires,
                ..statement(plan, decision, gate, &comment)
            };
            self.sign(name, &text(&each))
        });
        let signed = signed.collect();
        let evidence = Evidence::new(
            &*rules.policy,
            &*rules.allowed_signers,
            rules.revoked_keys.clone(),
            signed,
        );
        said.nonce = Digest::of(format!("{evidence:?}").as_bytes()).to_string();
        Attestation::assert_verified(said, by.join(", ")).with_evidence(evidence)
    }
}

/// By what statements are judged.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) policy: String,
    pub(crate) allowed_signers: String,
    pub(crate) revoked_keys: Option<String>,
}

/// The file that is signed.
pub(crate) fn statement(
    plan: &Plan,
    decision: Decision,
    gate: &str,
    comment: &str,
) -> ApprovalStatement {
    let statement = ApprovalStatement::for_gate_named(gate, plan).lasting(Duration::from_hours(1));
    let mut statement = statement.comment(comment).build().unwrap();
    statement.decision = decision;
    statement
}

/// As it is signed.
pub(crate) fn text(statement: &ApprovalStatement) -> String {
    String::from_utf8(statement.bytes().unwrap()).unwrap()
}

/// Attests to what it was given, as often as it is asked.
pub(crate) struct HandsOut(pub(crate) Vec<Attestation>);

impl Authority for HandsOut {
    fn attest(&mut self, request: &ApprovalRequest<'_>) -> Result<Attestation, Denied> {
        let fits = |a: &&Attestation| a.statement().gate == request.gate();
        let found = self.0.iter().find(fits).cloned();
        found.ok_or_else(|| Denied::new(format!("`{}` is not signed", request.gate())))
    }
}

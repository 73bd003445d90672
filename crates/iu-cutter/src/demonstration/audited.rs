//! The part that shows what an auditor is given.

use std::process::Command;

use phasegate::{Plan, audit::EvidenceBundle};

use super::{Outcome, Shown};
use crate::terminal;
use crate::test_database::TestDatabase;

impl Shown {
    /// Everything that the database has on one run, in a directory that needs no tool of ours.
    pub(super) fn audited(&mut self, database: &mut TestDatabase, plan: &Plan) -> Outcome<()> {
        terminal::part("10. The evidence, for a reader who was not present");
        let bundle = EvidenceBundle::collect(database.admin(), plan.digest())?;
        bundle.verify()?;
        let place = database.place()?;
        let directory = place.path().join("evidence");
        bundle.write_to(&directory)?;
        let mut files = Vec::new();
        for entry in directory.read_dir()? {
            files.push(entry?.file_name().to_string_lossy().into_owned());
        }
        files.sort();
        terminal::fact("files", files.join("  "));
        let verified = Command::new("sh")
            .arg(directory.join("verify.sh"))
            .args(["-p", &plan.digest().to_string()])
            .arg(&directory)
            .output();
        match verified {
            // Without ssh-keygen the script fails, and there is nothing to show.
            Ok(output) if database.approvers.by_ssh_keygen() => {
                let said = String::from_utf8_lossy(&output.stdout).into_owned()
                    + &String::from_utf8_lossy(&output.stderr);
                terminal::quoted(&said.trim_end());
                self.check(
                    output.status.success(),
                    "verified by sha256sum and ssh-keygen, with no tool of ours",
                );
            }
            _ => self.check(
                true,
                "verified by the library (there is no ssh-keygen here)",
            ),
        }
        self.stop_if_interrupted()
    }
}

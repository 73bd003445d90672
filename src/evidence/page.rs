//! Writes `VERIFY.md`: the page of instructions, with the commands for this bundle.

use std::fmt::Write as _;

use serde_json::Value;

use super::EvidenceBundle;
use super::bundle::Admitted;
use super::files::{row_file, statement_stem};
use crate::authority::Evidence;

impl EvidenceBundle {
    /// Returns the page. Names that people chose are written so that neither a shell nor a reader of Markdown takes
    /// them for more than names.
    pub(super) fn page(&self) -> String {
        let target = &self.planned.target;
        let (committed, planned) = (self.journal.stored().count(), self.planned.phases.len());
        let mut page = format!(
            include_str!("page.md"),
            plan = self.plan,
            head = self.journal.head(),
            pipeline = shown(&self.planned.pipeline),
            database = shown(target.database()),
            cluster = shown(target.system_identifier()),
            role = shown(target.role()),
            outcome = self.outcome(),
            committed = committed,
            planned = planned,
            collected_at = self.collected_at,
        );
        let directories = self.directories();
        if directories.is_empty() {
            page.push_str("Nobody has signed anything.\n");
        }
        for (directory, admitted) in &directories {
            let Some(evidence) = &admitted.evidence else {
                continue;
            };
            self.tell(&mut page, directory, admitted);
            page.push_str("\n```sh\n");
            let places: Vec<i32> = admitted.spent.clone();
            for place in &places {
                let row = row_file(place.unsigned_abs());
                // The row has no digest for an empty text, which stands for a missing file.
                write_line(
                    &mut page,
                    &format!(
                        "for file in {}; do grep -qF \"_sha256\\\": \\\"$(sha256sum <\"$file\" | cut -c 1-64)\\\"\" {row} || {{ echo \"$file: {row} does not say so\"; false; }}; done",
                        judged_by(directory, evidence).join(" ")
                    ),
                );
                write_commands(&mut page, directory, evidence, &self.opened_at(*place));
            }
            if places.is_empty() {
                write_commands(&mut page, directory, evidence, &admitted.admitted_at);
            }
            page.push_str("```\n");
        }
        let unsigned = self.approvals.iter().chain(&self.rejections);
        for admitted in unsigned.filter(|admitted| admitted.evidence.is_none()) {
            self.tell(&mut page, "NOT SIGNED BY ANYBODY", admitted);
        }
        page
    }

    fn tell(&self, page: &mut String, directory: &str, admitted: &Admitted) {
        let phases: Vec<String> = (admitted.spent.iter())
            .filter_map(|&place| {
                self.planned
                    .phases
                    .get(usize::try_from(place).ok()?.checked_sub(1)?)
            })
            .map(|phase| shown(&phase.name))
            .collect();
        let spent = match phases.as_slice() {
            [] => "spent by no phase".to_owned(),
            phases => format!("spent by {}", phases.join(", ")),
        };
        write_line(
            page,
            &format!(
                "\n{directory}: gate {}, by {}, admitted by {}, {spent}; comment: {}",
                shown(&admitted.gate),
                shown(&admitted.approver),
                shown(&admitted.admitted_by),
                shown(&admitted.comment),
            ),
        );
    }

    /// Returns when the phase at this place was opened, in the form that `ssh-keygen` takes.
    pub(super) fn opened_at(&self, place: i32) -> String {
        let at = usize::try_from(place).unwrap_or_default().saturating_sub(1);
        let row = self.journal.stored_at(at);
        let row = row.map(|body| serde_json::from_str(body).unwrap_or_default());
        let row: Value = row.unwrap_or_default();
        let opened = row["opened_at"].as_str().unwrap_or_default();
        let digits: String = opened
            .chars()
            .take(19)
            .filter(char::is_ascii_digit)
            .collect();
        format!("{digits}Z")
    }
}

fn write_line(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

fn write_commands(page: &mut String, directory: &str, evidence: &Evidence, at: &str) {
    let revoked = match evidence.revoked_keys {
        Some(_) => format!(" -r {directory}/revoked_keys"),
        None => String::new(),
    };
    for (n, signed) in (1..).zip(&evidence.statements) {
        let stem = statement_stem(directory, n);
        let who = shell_word(&signed.approver, &stem);
        let _ = writeln!(
            page,
            "ssh-keygen -Y verify -n phasegate -f {directory}/allowed_signers{revoked} -O verify-time={at} \
             -I {who} -s {stem}.statement.json.sig <{stem}.statement.json"
        );
    }
}

/// Returns every file that a row refers to.
fn judged_by(directory: &str, evidence: &Evidence) -> Vec<String> {
    let mut files = vec![
        format!("{directory}/policy.json"),
        format!("{directory}/allowed_signers"),
    ];
    if evidence.revoked_keys.is_some() {
        files.push(format!("{directory}/revoked_keys"));
    }
    for n in 1..=evidence.statements.len() {
        let stem = statement_stem(directory, n);
        for ending in ["approver", "statement.json", "statement.json.sig"] {
            files.push(format!("{stem}.{ending}"));
        }
    }
    files
}

/// Returns whether the character is visible, and does not break the line.
fn is_plain(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()
}

/// Returns the name as one word of a shell: quoted, or else read from its file.
fn shell_word(name: &str, stem: &str) -> String {
    if name.chars().all(is_plain) {
        format!("'{}'", name.replace('\'', r"'\''"))
    } else {
        format!("\"$(cat {stem}.approver)\"")
    }
}

/// Returns text of an unknown author as a Markdown code span that the text cannot end.
fn shown(text: &str) -> String {
    let mut shown = String::from("`");
    for c in text.chars().take(200) {
        if is_plain(c) && c != '`' {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    shown.push('`');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_shell() {
        for (name, word) in [
            ("ada@example.org", "'ada@example.org'"),
            ("$(touch x); rm `y` \"z\"", "'$(touch x); rm `y` \"z\"'"),
            ("it's", r"'it'\''s'"),
            ("-f", "'-f'"),
            ("", "''"),
            ("a\n```\nrm", "\"$(cat d/01.approver)\""),
            ("\u{202e}ada", "\"$(cat d/01.approver)\""),
        ] {
            assert_eq!(shell_word(name, "d/01"), word);
        }
    }

    #[test]
    fn a_text_cannot_leave_its_span() {
        assert_eq!(shown("SG_1"), "`SG_1`");
        assert_eq!(shown("`\n# x"), "`\\u{60}\\u{a}# x`");
        assert_eq!(shown("\u{202e}"), "`\\u{202e}`");
    }
}

//! Every change of a bundle is detected, and named.

use std::fs;

use phasegate::{
    approval::{Attestation, Decision, Evidence},
    audit::{EvidenceFlaw, Journal},
};

use super::Signed;
use super::auditor::Auditor;
use super::signing::{statement, text};

/// Returns the new content of a file; `None` removes it.
type Tamper = dyn Fn(&str, Vec<u8>) -> Option<Vec<u8>>;

/// Has `tamper` do something to a copy of the bundle each time, and lets `see` look.
fn each(
    auditor: &Auditor,
    files: &[String],
    tamper: impl Fn(&str, Vec<u8>) -> Option<Vec<u8>>,
    see: impl Fn(&str),
) {
    for file in files {
        let path = auditor.path(file);
        let before = fs::read(&path).unwrap();
        match tamper(file, before.clone()) {
            Some(after) => fs::write(&path, after).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        see(file);
        fs::write(&path, before).unwrap();
    }
    auditor.script(&[]).expect("everything is as it was");
}

#[test]
fn a_file_that_was_changed_removed_or_added_is_named() {
    let auditor = Auditor::with(&Signed::performed().collect());
    let files = auditor.files();
    assert_eq!(files.len(), 4 + 1 + 1 + 9 + 6 + 4, "{files:#?}");
    let all = |file: &str| match auditor.objection() {
        said if file == "SHA256SUMS" => assert!(said.starts_with("verify: "), "{said}"),
        said => assert!(said.contains(file), "{file}: {said}"),
    };
    let flip = |at: fn(usize) -> usize| {
        move |_: &str, mut bytes: Vec<u8>| {
            let at = at(bytes.len());
            bytes[at] ^= 1;
            Some(bytes)
        }
    };
    each(&auditor, &files, flip(|_| 0), all);
    each(&auditor, &files, flip(|length| length / 2), all);
    each(&auditor, &files, flip(|length| length - 1), all);
    each(&auditor, &files, |_, _| None, all);
    each(&auditor, &files, flip(|length| length / 2), |file| {
        // What is between the commands of the page is for people.
        let said = auditor.by_hand().expect_err(file);
        assert!(
            file == "SHA256SUMS" || file == "VERIFY.md" || said.contains(file),
            "{file}: {said}"
        );
    });
    // sha256sum passes over a line that it cannot read, and with it over a file.
    let sums = auditor.path("SHA256SUMS");
    let list = auditor.text("SHA256SUMS");
    for unreadable in [format!("g{}", &list[1..]), list.replacen("  ./", " ./", 1)] {
        fs::write(&sums, unreadable).unwrap();
        assert!(auditor.objection().starts_with("verify: SHA256SUMS"));
        auditor.by_hand().expect_err("a line that is none");
    }
    fs::write(&sums, list).unwrap();
    for added in [
        "more",
        "approvals/01-SG_1/03.statement.json",
        "journal/0005.json",
        ".hidden",
        "approvals/a b\nc",
    ] {
        fs::write(auditor.path(added), "x").unwrap();
        let named = added.lines().next().unwrap();
        assert!(auditor.objection().contains(named), "{added}");
        auditor.by_hand().expect_err(added);
        fs::remove_file(auditor.path(added)).unwrap();
    }
    std::os::unix::fs::symlink("plan.json", auditor.path("link")).unwrap();
    assert!(auditor.objection().contains("./link: not a file"));
    auditor.by_hand().expect_err("a link");
}

#[test]
fn a_rewritten_list_of_sums_hides_nothing() {
    let auditor = Auditor::with(&Signed::performed().collect());
    let files = auditor.files();
    let listed = |file: &String| {
        // These say what the others prove.
        !["SHA256SUMS", "VERIFY.md", "verify.sh", "run.intoto.json"].contains(&&**file)
    };
    let files: Vec<_> = files.into_iter().filter(listed).collect();
    let change = |_: &str, mut bytes: Vec<u8>| {
        let at = bytes.len() / 2;
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        Some(bytes)
    };
    let objects = |file: &str| {
        auditor.sum_again();
        let said = auditor.objection();
        auditor.by_hand().expect_err(file);
        let named = match file {
            // Whatever an approval was judged by is named with its row.
            file if file.starts_with("approvals/") => "the files of the approval of gate",
            // The chain begins with the plan.
            "plan.json" => "journal/chain",
            file => file,
        };
        let missing = said.contains("missing") && said.contains(file);
        assert!(said.contains(named) || missing, "{file}: {said}");
    };
    let tamper_and_sum = |tamper: &Tamper| {
        let sums = fs::read(auditor.path("SHA256SUMS")).unwrap();
        each(&auditor, &files, tamper, |file| {
            objects(file);
            fs::write(auditor.path("SHA256SUMS"), &sums).unwrap();
        });
    };
    tamper_and_sum(&change);
    tamper_and_sum(&|_, _| None);
}

/// Changes a bundle with `tamper`, writes the sums again, and returns the script's output.
fn forged(signed: &Signed, tamper: impl Fn(&Auditor)) -> String {
    let auditor = Auditor::with(&signed.collect());
    tamper(&auditor);
    auditor.sum_again();
    auditor.by_hand().expect_err("the page has found nothing");
    auditor.objection()
}

fn replace(auditor: &Auditor, file: &str, text: &str) {
    fs::write(auditor.path(file), text).unwrap();
}

#[test]
fn rows_that_changed_places_and_a_tail_that_was_cut_are_named() {
    let signed = Signed::performed();
    let said = forged(&signed, |auditor| {
        let (second, third) = (
            auditor.text("journal/0002.json"),
            auditor.text("journal/0003.json"),
        );
        replace(auditor, "journal/0002.json", &third);
        replace(auditor, "journal/0003.json", &second);
    });
    assert!(said.contains("journal/0002.json"), "{said}");
    let said = forged(&signed, |auditor| {
        fs::remove_file(auditor.path("journal/0004.json")).unwrap();
    });
    assert!(said.contains("journal/0004.json: missing"), "{said}");
    let said = forged(&signed, |auditor| {
        fs::remove_file(auditor.path("journal/0002.json")).unwrap();
    });
    assert!(said.contains("journal/0002.json: missing"), "{said}");
    let said = forged(&signed, |auditor| {
        let rest = auditor.text("journal/chain").split_off(64);
        let other = phasegate::Digest::of(b"another plan");
        replace(auditor, "journal/chain", &format!("{other}{rest}"));
    });
    assert!(
        said.contains("journal/chain: it does not begin with this plan"),
        "{said}"
    );
    let said = forged(&signed, |auditor| {
        replace(
            auditor,
            "journal/0009.json",
            &auditor.text("journal/0004.json"),
        );
    });
    assert!(said.contains("journal/0005.json: missing"), "{said}");
    // Cut from the chain too: the statement has another head, and so have those who saw the run.
    let cut = |auditor: &Auditor| {
        fs::remove_file(auditor.path("journal/0004.json")).unwrap();
        let chain = auditor.text("journal/chain");
        let kept: Vec<_> = chain.lines().take(4).collect();
        replace(auditor, "journal/chain", &(kept.join("\n") + "\n"));
    };
    let said = forged(&signed, cut);
    assert!(
        said.contains("run.intoto.json: it is of another run"),
        "{said}"
    );
    let bundle = signed.collect();
    let auditor = Auditor::with(&bundle);
    cut(&auditor);
    let statement = auditor.text("run.intoto.json");
    let chain = auditor.text("journal/chain");
    let head = bundle.journal().head().to_string();
    let last = chain.lines().last().unwrap();
    replace(&auditor, "run.intoto.json", &statement.replace(&head, last));
    auditor.sum_again();
    let said = auditor.script(&[]).expect("nothing in it knows");
    assert!(
        said.contains("the run stopped: 3 of 4 phases are committed"),
        "{said}"
    );
    let said = auditor.script(&["-e", &head]).unwrap_err();
    assert!(said.contains(&format!("and not with {head}")), "{said}");
}

#[test]
fn a_row_must_name_its_own_plan_and_place_despite_a_valid_hash() {
    let signed = Signed::performed();
    let (plan, other) = (
        signed.plan.digest().to_string(),
        phasegate::Digest::of(b"other").to_string(),
    );
    for (from, to) in [("\"place\": 4,", "\"place\": 7,"), (&*plan, &*other)] {
        let said = forged(&signed, |auditor| {
            let row = auditor.text("journal/0004.json").replacen(from, to, 1);
            let sum = |text: &str| phasegate::Digest::of(text.as_bytes()).to_string();
            let chain = auditor.text("journal/chain");
            let heads: Vec<&str> = chain.lines().collect();
            let head = sum(&format!("{} {}", heads[3], sum(&row)));
            replace(auditor, "journal/0004.json", &row);
            replace(auditor, "journal/chain", &chain.replace(heads[4], &head));
            let statement = auditor.text("run.intoto.json");
            replace(
                auditor,
                "run.intoto.json",
                &statement.replace(heads[4], &head),
            );
        });
        assert!(
            said.contains("journal/0004.json: it is of another plan or place"),
            "{said}"
        );
    }
}

#[test]
fn a_journal_rewritten_from_a_row_on_does_not_fit_its_chain() {
    let signed = Signed::performed();
    let said = forged(&signed, |auditor| {
        let row = auditor.text("journal/0002.json");
        replace(
            auditor,
            "journal/0002.json",
            &row.replace("\"check\"", "\"chuck\""),
        );
    });
    assert!(
        said.contains("journal/0002.json: it does not make the hash"),
        "{said}"
    );
}

#[test]
fn a_statement_by_another_key_or_with_other_content_is_named() {
    let signed = Signed::performed();
    let first = "approvals/01-SG_1/01.statement.json";
    let sign_anew = |auditor: &Auditor, by: &str, text: &str| {
        let signed = signed.people.sign(by, text);
        replace(auditor, first, &signed.statement);
        replace(auditor, &format!("{first}.sig"), &signed.signature);
    };
    // Each is a good signature of a good statement, and not the one that the row speaks of.
    let said = forged(&signed, |auditor| {
        sign_anew(auditor, "eve", &auditor.text(first));
    });
    assert!(
        said.contains("journal/0001.json: the files of the approval of gate \"SG_1\""),
        "{said}"
    );
    let other = signed.database.plan(&super::Draft::of(&["other"]));
    let other = text(&statement(&other, Decision::Approve, "SG_1", "x"));
    let said = forged(&signed, |auditor| {
        sign_anew(auditor, "ada@example.org", &other);
    });
    assert!(
        said.contains("journal/0001.json: the files of the approval of gate \"SG_1\""),
        "{said}"
    );
    let said = forged(&signed, |auditor| {
        fs::remove_dir_all(auditor.path("approvals/02-SG_2")).unwrap();
    });
    assert!(
        said.contains("journal/0003.json: the files of the approval of gate \"SG_2\""),
        "{said}"
    );
    // An unspent approval, among the spent ones.
    let auditor = Auditor::with(&signed.collect());
    let from = auditor.path("approvals/02-SG_2");
    let to = auditor.path("approvals/03-SG_2");
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    replace(&auditor, "approvals/03-SG_2/policy.json", "{}");
    auditor.sum_again();
    let said = auditor.objection();
    assert!(
        said.contains("approvals/03-SG_2: no row of the journal has spent it"),
        "{said}"
    );
}

/// Performs a run whose operator admits everything. Returns the script's output, after the page and the crate's own check
/// have found a flaw too.
fn admitted(meddle: impl Fn(&Signed, &mut Attestation)) -> String {
    let signed = Signed::planned();
    signed.database.sql(
        "CREATE OR REPLACE FUNCTION phasegate.ensure_evidence(p_evidence jsonb, p_decision text, p_plan bytea, \
           p_gate text, p_approver text, p_expires timestamptz) RETURNS void LANGUAGE sql AS 'SELECT'",
    );
    let run = signed.perform(|approvals| meddle(&signed, &mut approvals[0]));
    run.expect("a live run");
    let bundle = signed.collect();
    let flaw = bundle
        .verify()
        .expect_err("our own check has found nothing");
    assert!(matches!(flaw, EvidenceFlaw::Admitted { .. }), "{flaw}");
    Auditor::with(&bundle).objection()
}

fn change(approval: &mut Attestation, change: impl Fn(&mut Evidence)) {
    let mut evidence = approval.evidence().unwrap().clone();
    change(&mut evidence);
    *approval = approval.clone().with_evidence(evidence);
}

#[test]
fn a_signature_that_was_admitted_and_is_none_is_named() {
    let first = "approvals/01-SG_1/01.statement.json.sig";
    // By a key that is not that person's.
    let said = admitted(|signed, approval| {
        change(approval, |evidence| {
            let by_eve = signed.people.sign("eve", &evidence.statements[0].statement);
            evidence.statements[0].signature = by_eve.signature;
            evidence.revoked_keys = None;
        });
    });
    assert!(said.contains(first), "{said}");
    // By a key that was revoked.
    let said = admitted(|signed, approval| {
        change(approval, |evidence| {
            evidence.revoked_keys = Some(signed.people.key("ada@example.org"));
        });
    });
    assert!(said.contains(first), "{said}");
    // By a person who is not allowed to.
    let said = admitted(|signed, approval| {
        let others = signed.rules.allowed_signers.lines().skip(1);
        let others = others.collect::<Vec<_>>().join("\n");
        change(approval, |evidence| {
            evidence.allowed_signers.clone_from(&others);
        });
    });
    assert!(said.contains(first), "{said}");
    // As something else than an approval.
    let said = admitted(|signed, approval| {
        change(approval, |evidence| {
            evidence.allowed_signers = signed
                .people
                .allowed_signers("")
                .replace("\"phasegate\"", "\"git\"");
        });
    });
    assert!(said.contains(first), "{said}");
    // Of a statement with a byte changed.
    let said = admitted(|_, approval| {
        change(approval, |evidence| {
            let statement = &mut evidence.statements[0].statement;
            *statement = statement.replace("read by", "Read by");
        });
    });
    assert!(said.contains(first), "{said}");
}

#[test]
fn good_signatures_that_do_not_count_are_named() {
    let approve = |signed: &Signed, by: &[&str]| {
        signed
            .people
            .approve(&signed.plan, "SG_1", by, &signed.rules)
    };
    let said = admitted(|signed, approval| *approval = approve(signed, &["bob"]));
    assert!(
        said.contains("approvals/01-SG_1: gate \"SG_1\" needs the approval of 2 people"),
        "{said}"
    );
    let said = admitted(|signed, approval| *approval = approve(signed, &["bob", "bob"]));
    assert!(said.contains("needs the approval of 2 people"), "{said}");
    let said = admitted(|signed, approval| *approval = approve(signed, &["bob", "cat"]));
    assert!(
        said.contains("02.statement.json: approvals/01-SG_1/policy.json does not let \"cat\""),
        "{said}"
    );
    // Each signed by the right people, and about another plan, another gate, or a rejection.
    let with = |signed: &Signed, approval: &mut Attestation, other: Attestation| {
        let nonce = approval.statement().clone();
        let evidence = other.evidence().unwrap().clone();
        *approval = Attestation::assert_verified(nonce, other.approver()).with_evidence(evidence);
        assert_eq!(approval.statement().plan, signed.plan.digest());
    };
    let by = ["bob", "ada@example.org"];
    let said = admitted(|signed, approval| {
        let other = signed.database.plan(&super::Draft::of(&["other"]));
        with(
            signed,
            approval,
            signed.people.approve(&other, "SG_1", &by, &signed.rules),
        );
    });
    assert!(
        said.contains("01.statement.json: it is of another plan"),
        "{said}"
    );
    let said = admitted(|signed, approval| {
        with(
            signed,
            approval,
            signed
                .people
                .approve(&signed.plan, "SG_2", &by, &signed.rules),
        );
    });
    assert!(
        said.contains("01.statement.json: it is of gate \"SG_2\", and not of \"SG_1\""),
        "{said}"
    );
    let said = admitted(|signed, approval| {
        let reject = Decision::Reject;
        with(
            signed,
            approval,
            signed
                .people
                .decide(&signed.plan, reject, "SG_1", &by, &signed.rules),
        );
    });
    assert!(
        said.contains("01.statement.json: its decision is not to approve"),
        "{said}"
    );
}

#[test]
fn a_flaw_in_the_database_itself_is_found_before_writing() {
    let signed = Signed::performed();
    signed.collect().verify().expect("it fits");
    let tamper = |sql: &str| {
        signed.database.sql(&format!(
            "BEGIN; ALTER TABLE phasegate.journal DISABLE TRIGGER never_changed; \
             ALTER TABLE phasegate.approval DISABLE TRIGGER never_changed; {sql}; \
             ALTER TABLE phasegate.approval ENABLE ALWAYS TRIGGER never_changed; \
             ALTER TABLE phasegate.journal ENABLE ALWAYS TRIGGER never_changed; COMMIT"
        ));
        signed.collect().verify().expect_err(sql)
    };
    let flaw = tamper("DELETE FROM phasegate.approval_spent WHERE position = 3");
    assert!(matches!(flaw, EvidenceFlaw::Row { place: 3, .. }), "{flaw}");
    signed.database.sql(
        "INSERT INTO phasegate.approval_spent (nonce, position) SELECT nonce, 3 FROM phasegate.approval WHERE gate = 'SG_2'",
    );
    signed.collect().verify().expect("it fits again");
    let flaw = tamper(
        "UPDATE phasegate.approval SET comment = comment, approver = 'eve' WHERE gate = 'SG_2'",
    );
    assert!(matches!(flaw, EvidenceFlaw::Row { place: 3, .. }), "{flaw}");
    signed
        .database
        .sql("CREATE TABLE kept AS SELECT evidence FROM phasegate.approval WHERE gate = 'SG_1'");
    let flaw = tamper(
        "UPDATE phasegate.approval SET approver = 'cat' WHERE gate = 'SG_2'; \
                       UPDATE phasegate.approval SET evidence = NULL WHERE gate = 'SG_1'",
    );
    assert!(matches!(flaw, EvidenceFlaw::Row { place: 1, .. }), "{flaw}");
    let flaw = tamper("DELETE FROM phasegate.journal WHERE position = 4");
    assert!(matches!(flaw, EvidenceFlaw::Chain(_)), "{flaw}");
    let flaw = tamper(
        "UPDATE phasegate.run AS r SET committed = 3, head = j.hash FROM phasegate.journal AS j WHERE j.position = 3; \
                       UPDATE phasegate.approval AS a SET evidence = kept.evidence FROM kept WHERE a.gate = 'SG_1'",
    );
    assert!(
        matches!(&flaw, EvidenceFlaw::Admitted { why, .. } if why.contains("place 4")),
        "{flaw}"
    );
    let journal = Journal::read(&mut signed.database.admin(), signed.plan.digest()).unwrap();
    assert_eq!(journal.verify().expect("its chain holds").len(), 3);
    let flaw = tamper(
        "UPDATE phasegate.plan SET bytes = convert_to(replace(convert_from(bytes, 'UTF8'), 'small', 'smile'), 'UTF8')",
    );
    assert!(matches!(flaw, EvidenceFlaw::AnotherPlan { .. }), "{flaw}");
}

//! What the script leaves to the library: authors, lives, and people of other gates.

use std::time::Duration;

use phasegate::{
    Sg1, Sg2,
    audit::EvidenceFlaw,
    ssh::{GateRule, Policy},
};

use super::Signed;
use super::signing::Rules;

/// What our own check finds in a run whose first approval is of these people under this policy, whom the
/// database lets pass.
fn judged_again(gate: usize, by: &[&str], rule: GateRule) -> String {
    let signed = Signed::planned();
    signed.database.sql(
        "CREATE OR REPLACE FUNCTION phasegate.ensure_evidence(p_evidence jsonb, p_decision text, p_plan bytea, \
           p_gate text, p_approver text, p_expires timestamptz) RETURNS void LANGUAGE sql AS 'SELECT'",
    );
    let other = GateRule::of(["ada@example.org", "bob"]).author_may_approve();
    let policy = match gate {
        0 => Policy::builder().gate::<Sg1>(rule).gate::<Sg2>(other),
        _ => Policy::builder().gate::<Sg1>(other).gate::<Sg2>(rule),
    };
    let rules = Rules {
        policy: policy.build().unwrap().to_json(),
        ..signed.rules.clone()
    };
    let run = signed.perform(|approvals| {
        let name = approvals[gate].statement().gate.clone();
        approvals[gate] = signed.people.approve(&signed.plan, &name, by, &rules);
    });
    run.expect("a live run");
    match signed.collect().verify() {
        Ok(()) => "it fits".to_owned(),
        Err(EvidenceFlaw::Admitted { why, .. }) => why,
        Err(flaw) => panic!("{flaw}"),
    }
}

#[test]
fn the_library_verifies_authors_validity_and_other_gates_again() {
    let hour = Duration::from_hours(1);
    let fits = || {
        GateRule::of(["bob"])
            .author_may_approve()
            .longest_life(hour)
    };
    assert_eq!(judged_again(0, &["bob"], fits()), "it fits");
    let no_author = judged_again(0, &["bob"], GateRule::of(["bob"]).longest_life(hour));
    assert!(no_author.contains("author"), "{no_author}");
    let minutes = fits().longest_life(Duration::from_mins(59));
    let too_long = judged_again(0, &["bob"], minutes);
    assert!(too_long.contains("does not count"), "{too_long}");
    // Bob is one of those who have approved the first gate.
    let same = judged_again(1, &["bob"], fits().other_people_than::<Sg1>());
    assert!(same.contains("0 people who count"), "{same}");
    assert_eq!(
        judged_again(
            1,
            &["cat"],
            GateRule::of(["cat"])
                .author_may_approve()
                .longest_life(hour)
                .other_people_than::<Sg1>()
        ),
        "it fits"
    );
}

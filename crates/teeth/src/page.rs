use std::fmt::Write as _;

use crate::{Mutants, Outcome, Results, Weakening};

/// Makes `docs/teeth.md`: each weakening, with the test that caught it, and the runs of cargo-mutants.
#[must_use]
pub fn page(weakenings: &[Weakening], results: &Results, mutants: &Mutants) -> String {
    let of = |weakening: &Weakening| results.0.get(&weakening.id);
    let count = |is: &dyn Fn(&Outcome) -> bool| {
        let found = weakenings.iter().filter(|one| of(one).is_some_and(is));
        found.count()
    };
    let caught = count(&|outcome| matches!(outcome, Outcome::Caught(_)));
    let refused = count(&|outcome| matches!(outcome, Outcome::RefusedByTheCompiler));
    let survived =
        count(&|outcome| matches!(outcome, Outcome::Survived | Outcome::DoesNotBuild(_)));
    let tried = caught + refused + survived;
    let mut page = format!(
        "# Teeth: what catches each weakening\n\n\
         A test suite is as good as the changes that it catches. Each row is one small change that makes the crate or its schema less \
         safe, applied by itself to a copy of the sources, and the first of the named tests that failed then. The changes are in \
         `crates/teeth/weakenings/`; `cargo run -p phasegate-teeth -- --all` tries them and writes this page, `--quick` tries the few that \
         the continuous integration tries, and a name tries that one. The snapshot of the schema (`sql/installed.txt`) sees every change of it, \
         and does not count.\n\n\
         Where a change only makes a condition constant, one build has all of these changes, and a variable turns on the one that is \
         tried. The SQL is a constant of the crate, so that a change of it is written into a copy of the test binary. In both, a test that \
         fails is run again by itself, with the change and without it: it counts if it fails and passes. Any other change is built; `--control` \
         runs the tests that caught one on the sources as they are.\n\n\
         {} weakenings; tried: {tried}; caught by a test: {caught}; refused by the compiler: {refused}; survived: {survived}.\n\n",
        weakenings.len()
    );
    let mut file = "";
    for weakening in weakenings {
        if weakening.file != file {
            file = &weakening.file;
            let _ = write!(
                page,
                "\n## `{file}`\n\n| weakening | caught by |\n|---|---|\n"
            );
        }
        let by = match (of(weakening), &weakening.survives_because) {
            (None, _) => "not tried".to_owned(),
            (Some(Outcome::Caught(by)), _) => format!("`{}`", by.replace('|', "\\|")),
            (Some(Outcome::RefusedByTheCompiler), _) => "the compiler".to_owned(),
            (Some(_), Some(reason)) => format!("survives: {reason}"),
            (Some(Outcome::Survived), None) => "**survived**".to_owned(),
            (Some(Outcome::DoesNotBuild(error)), None) => format!("**does not build**: `{error}`"),
        };
        let _ = writeln!(page, "| {} | {by} |", weakening.id.replace('-', " "));
    }
    page.push_str(&mutants.section());
    page
}

use std::path::Path;

use crate::Weakening;

/// The variable that turns on the weakening whose name it has.
pub(crate) const VARIABLE: &str = "PHASEGATE_WEAKENING";

/// The forms in which a weakening makes a condition constant; `@` stands for the condition that it is turned on.
const FORMS: [(&str, &str); 9] = [
    ("false && ", "!@ && "),
    (" && false", " && !@"),
    ("filter(|_| false)", "filter(|_| !@)"),
    (" || true", " || @"),
    ("true || ", "@ || "),
    ("if false {", "if !@ {"),
    ("if true {", "if @ {"),
    ("if false =>", "if !@ =>"),
    ("if true =>", "if @ =>"),
];

/// Returns the new text of a weakening that only makes a condition constant, with the condition decided at run time:
/// while the variable does not name the weakening, the text means what the old one means.
pub(crate) fn text(weakening: &Weakening) -> Option<String> {
    let by_the_compiler = weakening.refused_by_the_compiler
        || weakening.tests.iter().any(|test| test.starts_with("ui:"));
    if by_the_compiler || !weakening.file.starts_with("src/") {
        return None;
    }
    let on = format!(
        "std::env::var_os(\"{VARIABLE}\").is_some_and(|id| id == \"{}\")",
        weakening.id
    );
    FORMS.iter().find_map(|(constant, becomes)| {
        let once = weakening.new.matches(constant).count() == 1;
        (once && !weakening.old.contains(constant)).then(|| {
            weakening
                .new
                .replace(constant, &becomes.replace('@', &format!("({on})")))
        })
    })
}

/// Returns a file of the sources with each weakening of it that the variable can turn on.
///
/// # Errors
///
/// Returns an error if one of them no longer fits beside the others.
pub(crate) fn all(weakenings: &[Weakening], file: &str, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if Path::new(file)
        .extension()
        .is_none_or(|extension| extension != "rs")
    {
        return Ok(bytes);
    }
    let mut source = String::from_utf8(bytes).map_err(|error| format!("{file}: {error}"))?;
    for weakening in weakenings.iter().filter(|one| one.file == file) {
        let Some(switched) = text(weakening) else {
            continue;
        };
        if source.matches(&weakening.old).count() != 1 {
            return Err(format!("{}: it overlaps another weakening", weakening.id));
        }
        source = source.replacen(&weakening.old, &switched, 1);
    }
    Ok(source.into_bytes())
}

//! What can be wrong with a document, and how it is said.

use thiserror::Error;

/// A document that cannot be cut: everything that is wrong with it, one line each.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", one_per_line(.mistakes))]
pub struct CutError {
    /// The mistakes, in the order of their lines; never empty.
    pub mistakes: Vec<Mistake>,
}

/// One mistake, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}:{line}: {problem}")]
pub struct Mistake {
    /// What the document is called.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// There is no heading in the whole document.
    #[error("the document has no heading, and so no unit; begin it with one, such as `# Title`")]
    NoHeading,
    /// A heading has no title, or none that can be seen.
    #[error("the heading has an empty title; give it one, or delete it")]
    EmptyTitle,
    /// A heading has neither text nor headings below it.
    #[error(
        "the heading \"{title}\" has neither text nor headings below it; write its text, or leave it out with \
         --skip-empty"
    )]
    Empty {
        /// The title of the heading.
        title: String,
    },
    /// Every heading was empty, and left out.
    #[error(
        "all headings ({skipped}) are empty and were left out by --skip-empty; write the text of at least one"
    )]
    NothingLeft {
        /// How many headings were left out.
        skipped: u32,
    },
    /// A character that is no text. PostgreSQL cannot store U+0000; the others hide what a reader approves.
    #[error(
        "the control character U+{:04X} cannot be part of a unit; delete it, or the character reference that stands \
         for it",
        u32::from(*.character)
    )]
    ControlCharacter {
        /// The first one of its line.
        character: char,
    },
    /// A carriage return that is not part of a line end.
    #[error("a carriage return stands without a line feed; end the lines with LF or CRLF")]
    LoneCarriageReturn,
}

impl CutError {
    /// Sorts the problems by line, and says each only once.
    pub(super) fn new(file: &str, mut problems: Vec<(u32, Problem)>) -> Self {
        problems.sort_by_key(|(line, _)| *line);
        problems.dedup();
        let locate = |(line, problem)| Mistake {
            file: file.to_owned(),
            line,
            problem,
        };
        Self {
            mistakes: problems.into_iter().map(locate).collect(),
        }
    }
}

fn one_per_line(mistakes: &[Mistake]) -> String {
    mistakes
        .iter()
        .map(Mistake::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

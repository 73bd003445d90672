//! Lines, blanks and characters of a source text whose lines end with a line feed.

use std::ops::Range;

use super::problem::Problem;

/// Finds the line of a byte.
pub(super) struct LineIndex {
    /// Where each line but the first begins.
    starts: Vec<usize>,
}

impl LineIndex {
    /// Reads `text` once.
    pub(super) fn new(text: &str) -> Self {
        Self {
            starts: text.match_indices('\n').map(|(at, _)| at + 1).collect(),
        }
    }

    /// The line, from 1, that byte `at` is in.
    pub(super) fn line_of(&self, at: usize) -> u32 {
        to_u32(self.starts.partition_point(|&start| start <= at) + 1)
    }
}

/// A count as the `u32` in which lines and positions are stored; a document that has more is beyond every size limit.
pub(super) fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The byte of the first character in `range` that is not white space.
pub(super) fn first_text(text: &str, range: Range<usize>) -> Option<usize> {
    let start = range.start;
    text[range]
        .find(|character: char| !character.is_whitespace())
        .map(|at| start + at)
}

/// The part of `range` that begins with its first line of text and ends with its last character of text. The first
/// line keeps its indentation, which may be what makes it code.
pub(super) fn without_blank_lines(text: &str, range: Range<usize>) -> &str {
    let Some(first) = first_text(text, range.clone()) else {
        return "";
    };
    let line_start = text[range.start..first]
        .rfind('\n')
        .map_or(range.start, |at| range.start + at + 1);
    text[line_start..range.end].trim_end()
}

/// Whether a reader would see nothing: white space, and characters without width.
pub(super) fn is_invisible(text: &str) -> bool {
    let zero_width =
        |c| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    text.chars()
        .all(|character| character.is_whitespace() || zero_width(character))
}

/// Whether a character steers the terminal, or breaks the line where Markdown does not.
pub(super) fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// The control characters other than tab and line feed, at most one for each line.
pub(super) fn control_characters(text: &str) -> Vec<(u32, Problem)> {
    let first_of = |line: &str| {
        line.chars()
            .find(|&character| is_control(character) && character != '\t')
    };
    let problem = |character| match character {
        '\r' => Problem::LoneCarriageReturn,
        _ => Problem::ControlCharacter { character },
    };
    let lines = text.split('\n').enumerate();
    lines
        .filter_map(|(index, line)| Some((to_u32(index + 1), problem(first_of(line)?))))
        .collect()
}

/// The length in bytes of the front matter at the beginning of `text`, with its last line end.
///
/// `---` is also a thematic break and the underline of a heading. To take no text for front matter, this asks that
/// the second line sets a key, and that no line is blank or looks like a heading.
pub(super) fn front_matter_len(text: &str) -> usize {
    let mut lines = text
        .split_inclusive('\n')
        .map(|line| (line.len(), line.trim_end()));
    let Some((opening, fence @ ("---" | "+++"))) = lines.next() else {
        return 0;
    };
    let sets_key = |line: &str| line.contains(if fence == "---" { ':' } else { '=' });
    let mut length = opening;
    for (index, (line_length, line)) in lines.enumerate() {
        length += line_length;
        match (index, line) {
            (0, line) if !sets_key(line) => return 0,
            (_, line) if line == fence => return length,
            (_, line) if line.is_empty() || line.starts_with('#') => return 0,
            _ => {}
        }
    }
    0
}

//! Cuts a Markdown document into information units, one per heading, and one for what stands above the first.
//!
//! * The parent of a heading is the nearest shallower heading before it, so levels may be jumped over (`#`, then
//!   `###`). An address is the path of positions: `1`, `1.2`, `1.2.3`.
//! * The body is the source between a heading and the next one, without the blank lines around it; tables, code and
//!   lists stay as they were written. Only line ends are made uniform, so that a document has the same units, and the
//!   same digests, on every system.
//! * A heading inside a code block, a quotation, a list item or a footnote is part of the body around it.
//! * A heading without text of its own, but with headings below it, is a container: its body lists its children.
//! * Text above the first heading is a unit of its own, the preamble, with the address `0` and the title `Preamble`.
//! * Nothing is lost in silence. Front matter (see [`Cut::front_matter`]), and what is left out on request (see
//!   [`Cut::skipped`] and [`Cut::preamble`]), is counted.
//!
//! A document with mistakes is refused with all of them, each with its line.

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use serde::{Deserialize, Serialize};

pub use problem::{CutError, Problem};
use source::{
    LineIndex, control_characters, first_text, front_matter_len, is_control, is_invisible, to_u32,
    without_blank_lines,
};

mod problem;
mod source;
#[cfg(test)]
mod tests;

/// One information unit: what stands under one heading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The path of positions from the top of the document, such as `1.2.3`.
    pub address: String,
    /// The address of the unit that contains this one; `None` at the top.
    pub parent: Option<String>,
    /// The place among its siblings, from 1; 0 for the preamble.
    pub position: u32,
    /// The plain text of the heading, on one line.
    pub title: String,
    /// The Markdown below the heading; for a container, the list of what it contains.
    pub body: String,
    /// The line of the heading in the document, from 1; for the preamble, that of its first text.
    pub line: u32,
}

impl Unit {
    /// SHA-256 over title, line feed and body, in hexadecimal. A title is one line, so no two units share these bytes
    /// unless they share title and body.
    #[must_use]
    pub fn digest(&self) -> String {
        phasegate::Digest::of(format!("{}\n{}", self.title, self.body).as_bytes()).to_string()
    }
}

/// A document, cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The units in the order of the document, so that each comes after its parent.
    pub units: Vec<Unit>,
    /// How many headings were left out because they were empty.
    pub skipped: u32,
    /// How many lines of front matter were left out. Front matter begins in line 1 with `---` (YAML) or `+++` (TOML),
    /// ends with the same, and holds neither blank lines nor comments: anything looser could be a part of the text.
    pub front_matter: u32,
    /// How many lines above the first heading were left out because they show no text.
    pub preamble: u32,
}

/// The title of the unit that holds what stands above the first heading.
const PREAMBLE: &str = "Preamble";

/// Cuts `text` into units; `name` is what the document is called in errors.
///
/// A heading with neither text nor headings below it is a mistake, unless `skip_empty` has it left out. What is left
/// out counts for nothing: neither does it make its parent a container, nor does it take a position. `skip_empty` also
/// leaves out a preamble that shows no text: comments, badges and other HTML. A preamble with text is always a unit.
///
/// # Errors
///
/// [`CutError`] holds every mistake of the document, in the order of their lines.
pub fn cut(name: &str, text: &str, skip_empty: bool) -> Result<Cut, CutError> {
    let text = text
        .strip_prefix('\u{feff}')
        .unwrap_or(text)
        .replace("\r\n", "\n");
    let mut problems = control_characters(&text);
    let lines = LineIndex::new(&text);

    let start = front_matter_len(&text);
    let Outline {
        headings,
        has_preamble_text,
    } = outline(&text, start);
    let mut preamble = None;
    let mut preamble_left_out = 0;
    match headings.first() {
        None => problems.push((1, Problem::NoHeading)),
        Some(first) => {
            let above = start..first.source.start;
            let body = without_blank_lines(&text, above.clone());
            if skip_empty && !has_preamble_text {
                preamble_left_out = to_u32(body.lines().count());
            } else if let Some(at) = first_text(&text, above) {
                preamble = Some(Unit {
                    address: "0".to_owned(),
                    parent: None,
                    position: 0,
                    title: PREAMBLE.to_owned(),
                    body: body.to_owned(),
                    line: lines.line_of(at),
                });
            }
        }
    }

    let mut nodes = nest(&text, headings, &lines);
    for node in &nodes {
        // Character references such as `&#1;` put them where the source has none.
        let found = node.title.chars().find(|&character| is_control(character));
        problems
            .extend(found.map(|character| (node.line, Problem::ControlCharacter { character })));
    }
    let skipped = drop_empty(&mut nodes, skip_empty, &mut problems);
    if problems.is_empty() && nodes.iter().all(|node| !node.kept) {
        problems.push((1, Problem::NothingLeft { skipped }));
    }
    if !problems.is_empty() {
        return Err(CutError::new(name, problems));
    }
    Ok(Cut {
        units: preamble.into_iter().chain(number(nodes)).collect(),
        skipped,
        front_matter: lines.line_of(start) - 1,
        preamble: preamble_left_out,
    })
}

/// What divides a document.
struct Outline {
    /// The headings at the top level, in their order.
    headings: Vec<Heading>,
    /// Whether a reader sees text above the first of them, or other parts of the document refer to it.
    has_preamble_text: bool,
}

/// A heading as it stands in the source.
struct Heading {
    level: HeadingLevel,
    title: String,
    source: Range<usize>,
}

/// A heading in the tree.
struct Node<'text> {
    level: HeadingLevel,
    title: String,
    line: u32,
    parent: Option<usize>,
    body: &'text str,
    kept: bool,
}

/// Finds the headings at the top level of the document, from byte `start` on.
fn outline(text: &str, start: usize) -> Outline {
    // Tables and footnotes are switched on so that their lines are not taken for the underline of a heading or for link
    // definitions, and strikethrough so that its marks do not get into titles.
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES | Options::ENABLE_STRIKETHROUGH;
    let mut found = Vec::new();
    let mut open: Option<Heading> = None;
    let mut depth = 0_usize;
    // The text of an image is shown only where the image is not.
    let mut images = 0_usize;
    let mut has_preamble_text = false;
    let events = Parser::new_ext(&text[start..], options).into_offset_iter();
    let first_definition = events
        .reference_definitions()
        .iter()
        .map(|(_, definition)| start + definition.span.start)
        .min();
    for (event, range) in events {
        match event {
            Event::Start(tag) => {
                images += usize::from(matches!(tag, Tag::Image { .. }));
                if let (Tag::Heading { level, .. }, 0) = (tag, depth) {
                    let source = start + range.start..start + range.end;
                    open = Some(Heading {
                        level,
                        title: String::new(),
                        source,
                    });
                }
                depth += 1;
            }
            Event::End(tag) => {
                images -= usize::from(tag == TagEnd::Image);
                depth -= 1;
                if depth == 0 {
                    found.extend(open.take());
                }
            }
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut open {
                    heading.title.push_str(&words);
                } else if found.is_empty() && images == 0 {
                    has_preamble_text |= !is_invisible(&words);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut open {
                    heading.title.push(' ');
                }
            }
            _ => {}
        }
    }
    for heading in &mut found {
        // Character references such as `&#10;` can put line ends into a title.
        heading.title = heading
            .title
            .split_ascii_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
    }
    has_preamble_text |= matches!(
        (first_definition, found.first()),
        (Some(definition), Some(first)) if definition < first.source.start
    );
    Outline {
        headings: found,
        has_preamble_text,
    }
}

/// Gives every heading its body and its parent.
fn nest<'text>(text: &'text str, headings: Vec<Heading>, lines: &LineIndex) -> Vec<Node<'text>> {
    let ends: Vec<usize> = headings
        .iter()
        .skip(1)
        .map(|next| next.source.start)
        .chain([text.len()])
        .collect();
    let mut nodes: Vec<Node<'text>> = Vec::with_capacity(headings.len());
    let mut path: Vec<usize> = Vec::new();
    for (heading, end) in headings.into_iter().zip(ends) {
        path.retain(|&above| nodes[above].level < heading.level);
        nodes.push(Node {
            level: heading.level,
            title: heading.title,
            line: lines.line_of(heading.source.start),
            parent: path.last().copied(),
            body: without_blank_lines(text, heading.source.end..end),
            kept: true,
        });
        path.push(nodes.len() - 1);
    }
    nodes
}

/// Leaves out, or reports, the headings with neither text nor headings below them, and counts those left out.
///
/// Children come after their parents: going backwards, a container that has lost all its children is seen after them.
fn drop_empty(nodes: &mut [Node<'_>], skip_empty: bool, problems: &mut Vec<(u32, Problem)>) -> u32 {
    let mut has_children = vec![false; nodes.len()];
    let mut skipped = 0;
    for index in (0..nodes.len()).rev() {
        let node = &mut nodes[index];
        let empty = node.body.is_empty() && !has_children[index];
        if is_invisible(&node.title) {
            problems.push((node.line, Problem::EmptyTitle));
        } else if empty && skip_empty {
            node.kept = false;
            skipped += 1;
            continue;
        } else if empty {
            problems.push((
                node.line,
                Problem::Empty {
                    title: node.title.clone(),
                },
            ));
        }
        if let Some(parent) = node.parent {
            has_children[parent] = true;
        }
    }
    skipped
}

/// Numbers what was kept, and writes the bodies of the containers.
fn number(nodes: Vec<Node<'_>>) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::with_capacity(nodes.len());
    let mut unit_of_node: Vec<usize> = Vec::with_capacity(nodes.len());
    let mut at_top = 0_u32;
    // What each unit contains, one line per child.
    let mut contents: Vec<Vec<String>> = Vec::with_capacity(nodes.len());
    for node in nodes {
        unit_of_node.push(units.len());
        if !node.kept {
            continue;
        }
        let (position, parent, address) =
            if let Some(above) = node.parent.map(|parent| unit_of_node[parent]) {
                let position = to_u32(contents[above].len() + 1);
                let parent = units[above].address.clone();
                let address = format!("{parent}.{position}");
                contents[above].push(format!("- {address} {}", node.title));
                (position, Some(parent), address)
            } else {
                at_top += 1;
                (at_top, None, at_top.to_string())
            };
        contents.push(Vec::new());
        let (title, body, line) = (node.title, node.body.to_owned(), node.line);
        units.push(Unit {
            address,
            parent,
            position,
            title,
            body,
            line,
        });
    }
    for (unit, contents) in units.iter_mut().zip(contents) {
        if unit.body.is_empty() {
            unit.body = contents.join("\n");
        }
    }
    units
}

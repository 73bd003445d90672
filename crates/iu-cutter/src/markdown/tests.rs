//! The rules of the cut, one test each, and what holds for every document.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn units(text: &str) -> Vec<Unit> {
    cut("doc.md", text, false)
        .expect("a document without mistakes")
        .units
}

/// Address, line, title and body of every unit.
fn table(text: &str) -> Vec<(String, u32, String, String)> {
    units(text)
        .into_iter()
        .map(|unit| (unit.address, unit.line, unit.title, unit.body))
        .collect()
}

fn row(address: &str, line: u32, title: &str, body: &str) -> (String, u32, String, String) {
    (address.to_owned(), line, title.to_owned(), body.to_owned())
}

fn mistakes(text: &str, skip_empty: bool) -> String {
    cut("doc.md", text, skip_empty)
        .expect_err("a document with mistakes")
        .to_string()
}

#[test]
fn addresses_follow_the_nesting() {
    let units = units("# A\na\n## B\nb\n### C\nc\n## D\nd\n# E\ne\n");
    let places: Vec<_> = units
        .iter()
        .map(|u| (u.address.as_str(), u.parent.as_deref(), u.position))
        .collect();
    let expected = [
        ("1", None, 1),
        ("1.1", Some("1"), 1),
        ("1.1.1", Some("1.1"), 1),
        ("1.2", Some("1"), 2),
        ("2", None, 2),
    ];
    assert_eq!(places, expected);
}

#[test]
fn levels_may_be_jumped_over() {
    let text = "### A\na\n# B\nb\n##### C\nc\n### D\nd\n###### E\ne\n";
    let rows = [
        row("1", 1, "A", "a"),
        row("2", 3, "B", "b"),
        row("2.1", 5, "C", "c"),
        row("2.2", 7, "D", "d"),
    ];
    let expected: Vec<_> = rows
        .into_iter()
        .chain([row("2.2.1", 9, "E", "e")])
        .collect();
    assert_eq!(table(text), expected);
}

#[test]
fn a_body_is_kept_byte_for_byte_without_blank_lines_around_it() {
    let body = "    indented code\n\n| a | b |\n|---|:-:|\n| 1 |  2|\n\n```sh\n# no heading\n```\n\n* x\n   * y";
    assert_eq!(
        table(&format!("# A\n\n \n{body}  \n\n")),
        [row("1", 1, "A", body)]
    );
}

#[test]
fn headings_inside_other_blocks_are_text() {
    let bodies = [
        "```\n# code\n```",
        "~~~~\n# x\n===\n~~~~",
        "> # quoted",
        "- # listed\n- b",
        "    # code",
        "<pre>\n# x\n</pre>",
    ];
    for body in bodies {
        assert_eq!(
            table(&format!("# A\n\n{body}\n\n# B\n\nb\n")).len(),
            2,
            "{body}"
        );
        assert_eq!(table(&format!("# A\n\n{body}\n"))[0].3, body);
    }
}

#[test]
fn setext_headings_cut_too() {
    let text = "Top\nof it\n=====\n\na\n\nBelow\n---\nb\n";
    assert_eq!(
        table(text),
        [row("1", 1, "Top of it", "a"), row("1.1", 7, "Below", "b")]
    );
}

#[test]
fn a_title_is_plain_text() {
    let text = "#  *The* `fn main()`, [a link](x) &amp; ~~no~~ <b>more</b>&#10;end  ##\n\na\n";
    assert_eq!(
        table(text),
        [row("1", 1, "The fn main(), a link & no more end", "a")]
    );
}

#[test]
fn line_ends_make_no_difference() {
    let text = "# A\n\na\nb\n\n## B\n\nc\n";
    assert_eq!(units(&text.replace('\n', "\r\n")), units(text));
    assert_eq!(units(&format!("\u{feff}{text}")), units(text));
}

#[test]
fn a_container_lists_its_children() {
    let text = "# A\n\n## B\n\n### C\nc\n## D\nd\n### E\ne\n";
    let bodies: Vec<_> = units(text).into_iter().map(|unit| unit.body).collect();
    assert_eq!(bodies, ["- 1.1 B\n- 1.2 D", "- 1.1.1 C", "c", "d", "e"]);
}

#[test]
fn an_empty_heading_is_refused() {
    let says = "doc.md:5: the heading \"X\" has neither text nor headings below it; write its text, or leave it out with \
                --skip-empty";
    assert_eq!(mistakes("# A\na\n\n\n## X\n\n", false), says);
}

#[test]
fn empty_headings_are_left_out_on_request() {
    let text = "# A\n## Gone\n### Gone too\n#### And this\n## B\nb\n# Gone\n# C\n## D\nd\n";
    let cut = cut("doc.md", text, true).expect("cut");
    let places: Vec<_> = cut
        .units
        .iter()
        .map(|u| (u.address.as_str(), u.line, u.title.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            ("1", 1, "A"),
            ("1.1", 5, "B"),
            ("2", 8, "C"),
            ("2.1", 9, "D")
        ]
    );
    assert_eq!((cut.units[0].body.as_str(), cut.skipped), ("- 1.1 B", 4));
    let says = "doc.md:1: all headings (2) are empty and were left out by --skip-empty; write the text of at least one";
    assert_eq!(mistakes("# A\n## B\n", true), says);
}

#[test]
fn an_empty_title_is_always_refused() {
    for heading in ["#", "# <!-- x -->", "# \u{200b}&nbsp;"] {
        let says = "doc.md:3: the heading has an empty title; give it one, or delete it";
        assert_eq!(
            mistakes(&format!("# A\na\n{heading}\ntext\n"), true),
            says,
            "{heading}"
        );
        assert_eq!(
            mistakes(&format!("# A\na\n{heading}\n"), true),
            says,
            "{heading}"
        );
    }
}

#[test]
fn a_document_needs_a_heading() {
    for text in ["", "\n\n", "text\n", "> # quoted\n", "\u{feff}"] {
        let says = "doc.md:1: the document has no heading, and so no unit; begin it with one, such as `# Title`";
        assert_eq!(mistakes(text, true), says);
    }
}

#[test]
fn what_stands_above_the_first_heading_is_a_preamble() {
    const BADGE: &str = "[![version][badge]](https://example.org)";
    for above in [
        "text",
        "<!-- a comment\n# with a heading -->",
        "<p align=\"center\"><img src=\"x.svg\"></p>",
        BADGE,
        "---",
        "[badge]: https://example.org/x.svg",
        "> # quoted",
    ] {
        let text = format!("\n\n{above}\n\n# A\na\n\n[badge]: https://example.org/x.svg\n");
        let expected = [
            row("0", 3, "Preamble", above),
            row(
                "1",
                5 + to_u32(above.matches('\n').count()),
                "A",
                "a\n\n[badge]: https://example.org/x.svg",
            ),
        ];
        assert_eq!(table(&text), expected, "{above}");
    }
    let unit = &units("text\n# A\na\n")[0];
    assert_eq!((unit.parent.as_deref(), unit.position), (None, 0));
    assert_eq!(table("\n \n# A\na\n"), [row("1", 3, "A", "a")]);
}

#[test]
fn a_preamble_without_text_is_left_out_on_request_and_counted() {
    let badge = "[![version][b]](https://example.org)";
    let definition = "[b]: https://example.org/x.svg";
    for (above, lines) in [
        ("<!-- a comment\nof two lines -->", 2),
        ("<p align=\"center\">\n  <img src=\"x.svg\">\n</p>", 3),
        (badge, 1),
        ("", 0),
    ] {
        let text = format!("{above}\n\n# A\na\n\n{definition}\n");
        let cut = cut("doc.md", &text, true).expect("cut");
        assert_eq!((cut.preamble, cut.units.len()), (lines, 1), "{above}");
        assert_eq!(cut.units[0].address, "1");
    }
    // Text is never left out, nor is what the rest refers to.
    for above in [
        "<!-- a comment -->\n\ntext",
        "`code`",
        "<b>bold</b>",
        definition,
    ] {
        let cut = cut("doc.md", &format!("{above}\n\n# A\n[b]\n"), true).expect("cut");
        assert_eq!((cut.preamble, cut.units.len()), (0, 2), "{above}");
        assert_eq!(cut.units[0].body, above);
    }
}

#[test]
fn front_matter_is_left_out_and_counted() {
    for matter in ["---\ntitle: x\n---\n", "+++\ntitle = 'x'\n+++\n"] {
        let cut = cut("doc.md", &format!("{matter}# A\na\n"), false).expect("cut");
        assert_eq!(
            (cut.front_matter, cut.units.len(), cut.units[0].line),
            (3, 1, 4)
        );
    }
}

#[test]
fn what_may_be_text_is_not_taken_for_front_matter() {
    for text in [
        "---\nsome: text\n\n---\n# A\na\n",
        "---\n# A\na\n---\nb\n",
        "---\na: b\n# A\na\n---\nb\n",
        "---\n---\n# A\na\n",
    ] {
        let cut = cut("doc.md", text, false).expect("cut");
        assert_eq!((cut.front_matter, cut.units[0].line), (0, 1), "{text}");
        assert_eq!(cut.units[0].title, "Preamble");
    }
}

#[test]
fn control_characters_are_refused() {
    let says = mistakes("# A\na\0b\u{1}\n\tc\n## B\u{7f}\nd\n## C&#2;\ne\n", false);
    let lines: Vec<_> = says
        .lines()
        .map(|line| line.split(" cannot").next().unwrap_or(line))
        .collect();
    let expected = [
        "2: the control character U+0000",
        "4: the control character U+007F",
        "6: the control character U+0002",
    ];
    assert_eq!(lines, expected.map(|line| format!("doc.md:{line}")));
    assert!(mistakes("# A\na\u{2028}b\n", false).contains("2: the control character U+2028"));
    assert!(
        mistakes("# A\ra\r", false)
            .starts_with("doc.md:1: a carriage return stands without a line feed")
    );
}

#[test]
fn all_mistakes_are_said_at_once() {
    let error = cut("doc.md", "te\0xt\n# \n# A\na\0\n# B\n", false).expect_err("four mistakes");
    assert_eq!(
        error
            .mistakes
            .iter()
            .map(|mistake| mistake.line)
            .collect::<Vec<_>>(),
        [1, 2, 4, 5]
    );
    assert_eq!(error.to_string().lines().count(), 4);
}

#[test]
fn the_digest_is_over_title_and_body() {
    // printf 'Łódź\nb' | sha256sum
    let digest = "e73a69fba0e61ce0ca6b7f96f793a39bb9c9785bcca779ec7c387b451d2c02ee";
    assert_eq!(units("# Łódź\nb\n")[0].digest(), digest);
}

/// A heading with its level, the way it is underlined or not, and a body without headings.
fn section() -> impl Strategy<Value = (usize, bool, String, String)> {
    let title = "[a-zŁóźš東京]{1,6}( [a-zŁóźš東京]{1,6}){0,2}";
    let body = prop_oneof![
        "[a-zé][a-zé ,.]{0,30}",
        Just("```\n# code\n```".to_owned()),
        Just("> # quoted\n> ## again".to_owned()),
        Just("| a |\n|---|\n| b |".to_owned()),
        Just("* # listed".to_owned()),
    ];
    let bodies = vec(body, 0..3).prop_map(|bodies| bodies.join("\n\n"));
    (1..=6_usize, any::<bool>(), title, bodies)
}

/// The source of a document, and the titles it was made of. `filled` says that no heading is empty: each has text, or
/// a deeper heading after it.
fn document(filled: bool) -> impl Strategy<Value = (String, Vec<String>)> {
    vec(section(), 1..20).prop_map(move |mut sections| {
        let next_levels: Vec<usize> = sections
            .iter()
            .skip(1)
            .map(|next| next.0)
            .chain([0])
            .collect();
        let mut text = String::new();
        for ((level, setext, title, body), next) in sections.iter_mut().zip(next_levels) {
            if filled && body.is_empty() && next <= *level {
                body.push_str("filled");
            }
            text += &match (*setext, *level) {
                (true, 1) => format!("{title}\n===\n"),
                (true, 2) => format!("{title}\n---\n"),
                (_, level) => format!("{} {title}\n", "#".repeat(level)),
            };
            text += &format!("\n{body}\n\n");
        }
        (
            text,
            sections.into_iter().map(|(_, _, title, _)| title).collect(),
        )
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), skip in any::<bool>()) {
        _ = cut("any", &text, skip);
    }

    #[test]
    fn no_markdown_makes_it_panic(parts in vec("[#=>`|*\\[\\]:^~+&;<\\-\\r\\n\t a0\u{0}é]{0,9}", 0..20)) {
        _ = cut("any", &parts.concat(), true);
        _ = cut("any", &parts.concat(), false);
    }

    #[test]
    fn every_heading_becomes_a_unit((text, titles) in document(true), crlf in any::<bool>()) {
        let source = if crlf { text.replace('\n', "\r\n") } else { text.clone() };
        let units = cut("any", &source, false).map_err(|error| TestCaseError::fail(error.to_string()))?.units;
        prop_assert_eq!(units.iter().map(|unit| &unit.title).collect::<Vec<_>>(), titles.iter().collect::<Vec<_>>());
        let lines: Vec<&str> = text.lines().collect();
        let mut seen = std::collections::BTreeSet::new();
        for unit in &units {
            prop_assert!(lines[unit.line as usize - 1].contains(&unit.title));
            prop_assert!(unit.parent.as_ref().is_none_or(|parent| seen.contains(parent)), "{unit:?} before its parent");
            prop_assert!(seen.insert(unit.address.clone()), "{} twice", unit.address);
            let path = unit.parent.as_ref().map_or(String::new(), |parent| format!("{parent}."));
            prop_assert_eq!(&unit.address, &format!("{path}{}", unit.position));
            prop_assert!(text.contains(&unit.body) || unit.body.starts_with("- "));
        }
    }

    #[test]
    fn skipping_leaves_no_empty_unit((text, titles) in document(false)) {
        if let Ok(cut) = cut("any", &text, true) {
            prop_assert_eq!(cut.units.len() + cut.skipped as usize, titles.len());
            prop_assert!(cut.units.iter().all(|unit| !unit.body.is_empty()));
        }
    }
}

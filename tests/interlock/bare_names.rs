//! No function of the schema names an object of the schema without it: such a name is looked up when the function
//! runs, in the temporary schema too. `shadows` runs the functions; this reads the branches that no test reaches.

use std::collections::BTreeSet;

use crate::server::database;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Literal(String),
    Symbol(char),
}

use Token::{Literal, Symbol, Word};

/// The words, literals and signs of a body, without its comments, each with where it begins.
fn tokens(body: &str) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    let mut rest = body.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if body[at..].starts_with("--") {
            while rest.next_if(|&(_, c)| c != '\n').is_some() {}
        } else if c == '\'' {
            let mut text = String::new();
            while let Some((_, c)) = rest.next() {
                if c == '\'' && rest.next_if(|&(_, c)| c == '\'').is_none() {
                    break;
                }
                text.push(c);
            }
            found.push((at, Literal(text)));
        } else if c.is_alphabetic() || c == '_' {
            let mut word = c.to_string();
            while let Some((_, c)) = rest.next_if(|&(_, c)| c.is_alphanumeric() || c == '_') {
                word.push(c);
            }
            found.push((at, Word(word.to_lowercase())));
        } else if !c.is_whitespace() {
            found.push((at, Symbol(c)));
        }
    }
    found
}

/// What looks its argument up as the name of a relation or a function.
const LOOK_UP: [&str; 7] = [
    "setval",
    "nextval",
    "currval",
    "lastval",
    "pg_sequence_last_value",
    "to_regclass",
    "to_regproc",
];

/// The names in `ours` that the body uses without a schema.
fn bare(body: &str, ours: &BTreeSet<String>) -> Vec<String> {
    let tokens: Vec<Token> = tokens(body).into_iter().map(|(_, token)| token).collect();
    let word = |at: Option<usize>| match at.and_then(|at| tokens.get(at)) {
        Some(Word(word)) => word.as_str(),
        _ => "",
    };
    let is = |at: Option<usize>, sign| at.and_then(|at| tokens.get(at)) == Some(&Symbol(sign));
    let mut bare = Vec::new();
    // For each open parenthesis, whether a list of relations is under way in it.
    let mut from = vec![false];
    for (at, token) in tokens.iter().enumerate() {
        let back = |by: usize| at.checked_sub(by);
        match token {
            Symbol('(') => from.push(false),
            Symbol(')') => drop(from.pop()),
            Symbol(';') => from = vec![false],
            Literal(text) => {
                let looked_up = LOOK_UP.contains(&word(back(2))) && is(back(1), '(')
                    || is(Some(at + 1), ':')
                        && matches!(
                            word(Some(at + 3)),
                            "regclass" | "regproc" | "regprocedure" | "regtype"
                        );
                let name = text.split('(').next().unwrap_or_default();
                if looked_up && ours.contains(name) {
                    bare.push(text.clone());
                }
                // SQL that is put together, or words for people; to both a call is one with its schema.
                let calls = text.match_indices('(').filter_map(|(end, _)| {
                    let before = &text[..end];
                    let start = before
                        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
                        .map_or(0, |at| at + 1);
                    (ours.contains(&before[start..]) && !before[..start].ends_with('.'))
                        .then(|| before[start..].to_owned())
                });
                bare.extend(calls);
            }
            Word(name) => {
                let outside_extract = !(is(back(2), '(') && word(back(3)) == "extract");
                match name.as_str() {
                    "from" if word(back(1)) != "distinct" && outside_extract => {
                        *from.last_mut().unwrap() = true;
                    }
                    "where" | "group" | "order" | "having" | "limit" | "loop" | "on" | "into"
                    | "select" | "for" | "union" => {
                        *from.last_mut().unwrap() = false;
                    }
                    _ => {}
                }
                if !ours.contains(name) || is(back(1), '.') || is(Some(at + 1), '.') {
                    continue;
                }
                let before = word(back(1));
                let is_relation = match before {
                    "from" | "join" | "update" | "only" | "table" | "constraints" | "using" => {
                        from.last() == Some(&true) || before != "from"
                    }
                    "into" => word(back(2)) == "insert",
                    _ => is(back(1), ',') && from.last() == Some(&true),
                };
                let is_called = is(Some(at + 1), '(') && before != "as" && !is_relation;
                let is_type = is(back(1), ':')
                    || is(Some(at + 1), '%')
                    || !before.is_empty()
                        && (is(back(2), ';') || word(back(2)) == "declare")
                        && (is(Some(at + 1), ';') || is(Some(at + 1), ':'))
                        && !matches!(before, "perform" | "return" | "call" | "end" | "raise");
                if is_relation || is_called || is_type {
                    bare.push(name.clone());
                }
            }
            Symbol(_) => {}
        }
    }
    bare
}

/// The bodies that are read when they run, and the names in the schema.
fn schema() -> (Vec<(String, String)>, BTreeSet<String>) {
    let database = database();
    let mut admin = database.admin();
    let bodies = "SELECT p.proname::text, p.prosrc FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang \
         WHERE p.pronamespace = 'phasegate'::regnamespace AND p.prosqlbody IS NULL AND p.proname <> 'perform_row'";
    let bodies = admin.query(bodies, &[]).unwrap();
    let names = "SELECT c.relname::text FROM pg_class AS c WHERE c.relnamespace = 'phasegate'::regnamespace \
         UNION SELECT p.proname FROM pg_proc AS p WHERE p.pronamespace = 'phasegate'::regnamespace \
         UNION SELECT t.typname FROM pg_type AS t WHERE t.typnamespace = 'phasegate'::regnamespace \
         UNION SELECT c.conname FROM pg_constraint AS c WHERE c.connamespace = 'phasegate'::regnamespace";
    let names = admin.query(names, &[]).unwrap();
    (
        bodies.iter().map(|row| (row.get(0), row.get(1))).collect(),
        names.iter().map(|row| row.get(0)).collect(),
    )
}

#[test]
fn no_function_names_an_object_of_the_schema_without_the_schema() {
    let (bodies, mut ours) = schema();
    // The transition tables, which no schema qualifies.
    ours.remove("phasegate_rows");
    ours.remove("phasegate_old_rows");
    assert!(bodies.len() > 30, "{}", bodies.len());
    for (name, body) in &bodies {
        assert_eq!(bare(body, &ours), [""; 0], "{name}");
    }
}

#[test]
fn a_name_that_loses_its_schema_is_noticed_wherever_it_is() {
    let (bodies, mut ours) = schema();
    ours.remove("phasegate_rows");
    ours.remove("phasegate_old_rows");
    let mut tried = 0;
    for (name, body) in &bodies {
        let tokens = tokens(body);
        for (index, (at, token)) in tokens.iter().enumerate() {
            let places: Vec<usize> = match token {
                Word(word) if word == "phasegate" => vec![*at],
                // A setting is no object; and what is said to people is not looked up.
                Literal(text) => {
                    let before = index.checked_sub(2).map(|before| &tokens[before].1);
                    let setting = matches!(before, Some(Word(w)) if w == "current_setting" || w == "set_config");
                    let places = body[*at..]
                        .match_indices("phasegate.")
                        .map(|(from, _)| at + from);
                    places
                        .take_while(|place| place - at <= text.len())
                        .filter(|place| {
                            let rest = &body[place + "phasegate.".len()..];
                            let end = rest
                                .find(|c: char| !c.is_alphanumeric() && c != '_')
                                .unwrap_or(rest.len());
                            !setting
                                && ours.contains(&rest[..end])
                                && (rest[end..].starts_with('(') || !text.contains(' '))
                        })
                        .collect()
                }
                _ => continue,
            };
            for place in places {
                let mutated = format!("{}{}", &body[..place], &body[place + "phasegate.".len()..]);
                assert!(
                    !bare(&mutated, &ours).is_empty(),
                    "{name}: {}",
                    &body[place..(place + 60).min(body.len())]
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

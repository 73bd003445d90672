//! A page of tables that tests make, `docs/fault-matrix.md` or another: they are what the cells say, or the test
//! fails. With `PHASEGATE_RECORD=1` the tests write it.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

static PAGE: Mutex<()> = Mutex::new(());

/// Compares the part `name` of the page with `lines`, or writes it.
#[allow(dead_code)]
pub(crate) fn has(name: &str, lines: &[String]) {
    part_of("docs/fault-matrix.md", name, lines);
}

/// The same, of another page.
pub(crate) fn part_of(page: &str, name: &str, lines: &[String]) {
    let _page = PAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let named = page;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let page = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let from = page
        .find(&begin)
        .unwrap_or_else(|| panic!("no part {name}"))
        + begin.len();
    let to = page
        .find(&end)
        .unwrap_or_else(|| panic!("no end of {name}"));
    let table = lines.join("\n") + "\n";
    if env::var("PHASEGATE_RECORD").is_ok_and(|record| record == "1") {
        let written = format!("{}{table}{}", &page[..from], &page[to..]);
        fs::write(&path, written).unwrap();
        return;
    }
    let said: Vec<&str> = page[from..to].lines().collect();
    let missing = |these: &[&str], those: &[&str]| {
        let only: Vec<&str> = these
            .iter()
            .filter(|line| !those.contains(line))
            .copied()
            .collect();
        only.join(
            "
  ",
        )
    };
    let found: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert!(
        said == found,
        "{named}, part {name}, is not what the cells say (PHASEGATE_RECORD=1 writes it).\nfound:\n  {}\non the page:\n  {}",
        missing(&found, &said),
        missing(&said, &found),
    );
}

/// A line of a table.
pub(crate) fn row(cells: &[&str]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// The first two lines of a table.
pub(crate) fn head(cells: &[&str]) -> Vec<String> {
    let rule: Vec<&str> = cells.iter().map(|_| "---").collect();
    vec![row(cells), row(&rule).replace(' ', "")]
}

use crate::copy::PATIENCE;

/// What a command printed.
pub(crate) struct Ran {
    pub(crate) failed: bool,
    pub(crate) timed_out: bool,
    pub(crate) text: String,
}

impl Ran {
    /// Returns the first line that has this text.
    pub(crate) fn line_with(&self, text: &str) -> Option<String> {
        let line = self.text.lines().find(|line| line.contains(text))?;
        Some(line.chars().take(200).collect())
    }

    /// Returns the tests that failed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = &str> {
        let ends = ["... FAILED", "... mismatch", "... error"];
        self.text.lines().filter_map(move |line| {
            let name = line.trim().strip_prefix("test ")?;
            let name = ends.iter().find_map(|end| name.strip_suffix(end))?;
            Some(name.trim())
        })
    }

    /// Returns the first test that failed, or what failed in its place.
    pub(crate) fn failure(&self) -> String {
        if let Some(name) = self.failures().next() {
            name.to_owned()
        } else if self.timed_out {
            format!("it did not end within {PATIENCE} seconds")
        } else if self.text.contains("could not compile") {
            format!("the test does not build: {}", first_error(&self.text))
        } else {
            "it ended with an error".to_owned()
        }
    }
}

/// Returns the text without the sequences by which a terminal is told colours.
pub(crate) fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

pub(crate) fn first_error(text: &str) -> String {
    let error = text.lines().find(|line| line.starts_with("error"));
    error.unwrap_or("error").chars().take(120).collect()
}

use std::fs;
use std::path::Path;

/// Writes a copy of a test binary in which the text of one embedded file is another.
///
/// The schema is a constant of the crate, so that a change of one line of SQL needs no compiler: the binary holds each
/// file of `sql/` as it is. The new text is filled up with empty lines to the length of the old one. Returns `false` if
/// the binary does not hold the old text, or if the new one is longer.
///
/// # Errors
///
/// Returns an error if the binary cannot be read, or the copy cannot be written.
pub(crate) fn replace(binary: &Path, copy: &Path, old: &str, new: &str) -> Result<bool, String> {
    let failed = |error| format!("{}: {error}", copy.display());
    let mut bytes = fs::read(binary).map_err(failed)?;
    let places: Vec<_> = memchr::memmem::find_iter(&bytes, old).collect();
    if places.is_empty() || new.len() > old.len() {
        return Ok(false);
    }
    for place in places {
        let (text, rest) = bytes[place..place + old.len()].split_at_mut(new.len());
        text.copy_from_slice(new.as_bytes());
        rest.fill(b'\n');
    }
    fs::write(copy, bytes).map_err(failed)?;
    let permissions = fs::metadata(binary).map_err(failed)?.permissions();
    fs::set_permissions(copy, permissions).map_err(failed)?;
    Ok(true)
}

/// Returns the text without its first line, a comment: a change that no test may see.
pub(crate) fn harmless(text: &str) -> Result<&str, String> {
    let (comment, rest) = text.split_once('\n').unwrap_or_default();
    if comment.starts_with("--") {
        Ok(rest)
    } else {
        Err(format!("`{comment}` is not a comment"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_the_new_text_in_the_same_length() {
        let folder = tempfile::tempdir().unwrap();
        let (binary, copy) = (folder.path().join("binary"), folder.path().join("copy"));
        fs::write(&binary, b"\x7fELF -- a\nraise;\n rest\xff").unwrap();
        let old = "-- a\nraise;\n";
        assert!(replace(&binary, &copy, old, "-- a\nNULL;\n").unwrap());
        assert_eq!(
            fs::read(&copy).unwrap(),
            b"\x7fELF -- a\nNULL;\n\n rest\xff"
        );
        assert!(!replace(&binary, &copy, "-- b\n", "-- b").unwrap());
        assert!(!replace(&binary, &copy, old, "a longer text than that").unwrap());
        assert_eq!(harmless(old).unwrap(), "raise;\n");
        assert!(harmless("raise;\n").is_err());
    }
}

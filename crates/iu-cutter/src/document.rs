//! Reads the document that is to be cut, from a file or from standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;

/// The largest document that is read, in bytes.
pub const SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// A document that could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("{name}: there is no such file; check the path, or give `-` to read standard input")]
    Missing {
        /// The path as it was given.
        name: String,
    },
    /// The path is that of a directory.
    #[error("{name}: this is a directory; give the path of one Markdown file in it")]
    Directory {
        /// The path as it was given.
        name: String,
    },
    /// The document is larger than [`SIZE_LIMIT`].
    #[error("{name}: larger than {} MiB; check the path, or split the document", SIZE_LIMIT >> 20)]
    TooLarge {
        /// The path as it was given.
        name: String,
    },
    /// The bytes are not UTF-8.
    #[error("{name}:{line}: not UTF-8, from byte {offset} (counted from 0) on; {advice}")]
    NotUtf8 {
        /// The path as it was given.
        name: String,
        /// The line of the first bad byte, from 1.
        line: usize,
        /// How many good bytes come before it.
        offset: usize,
        /// How to convert it.
        advice: &'static str,
    },
    /// The system refused.
    #[error("{name}: cannot be read: {source}; check its permissions")]
    Io {
        /// The path as it was given.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads a document, and returns its name for errors, and its text. `-` stands for standard input.
///
/// # Errors
///
/// [`ReadError`] says what is wrong with the file or its bytes.
pub fn read_document(path: &Path) -> Result<(String, String), ReadError> {
    if path.as_os_str() == "-" {
        return read_text("<stdin>".to_owned(), io::stdin().lock());
    }
    let name = path.display().to_string();
    match File::open(path).and_then(|file| Ok((file.metadata()?.is_dir(), file))) {
        Ok((true, _)) => Err(ReadError::Directory { name }),
        Ok((false, file)) => read_text(name, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadError::Missing { name }),
        // Where a directory cannot even be opened.
        Err(_) if path.is_dir() => Err(ReadError::Directory { name }),
        Err(source) => Err(ReadError::Io { name, source }),
    }
}

/// Reads all of `input`, up to the limit.
fn read_text(name: String, input: impl Read) -> Result<(String, String), ReadError> {
    let mut bytes = Vec::new();
    match input.take(SIZE_LIMIT + 1).read_to_end(&mut bytes) {
        Ok(length) if length as u64 > SIZE_LIMIT => return Err(ReadError::TooLarge { name }),
        Ok(_) => {}
        Err(source) => return Err(ReadError::Io { name, source }),
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..offset]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count();
            let advice = match error.as_bytes() {
                [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                    "it looks like UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`"
                }
                _ => {
                    "save it as UTF-8, or convert it, for example with `iconv -f WINDOWS-1252 -t UTF-8`"
                }
            };
            Err(ReadError::NotUtf8 {
                name,
                line,
                offset,
                advice,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<(String, String), ReadError>) -> String {
        result.expect_err("must be refused").to_string()
    }

    #[test]
    fn a_file_is_read_as_it_is() {
        let path = std::env::temp_dir().join(format!("iu-cutter-{}.md", std::process::id()));
        std::fs::write(&path, "# Łódź\r\n").expect("temporary file");
        let read = read_document(&path);
        std::fs::remove_file(&path).expect("temporary file");
        assert_eq!(
            read.expect("readable"),
            (path.display().to_string(), "# Łódź\r\n".to_owned())
        );
    }

    #[test]
    fn what_is_no_file_is_named() {
        let missing = message(read_document(Path::new("/no/such.md")));
        assert_eq!(
            missing,
            "/no/such.md: there is no such file; check the path, or give `-` to read standard input"
        );
        let directory = message(read_document(&std::env::temp_dir()));
        assert!(
            directory.ends_with(": this is a directory; give the path of one Markdown file in it"),
            "{directory}"
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_located() {
        let latin = message(read_text("a.md".to_owned(), &b"# One\n\ncaf\xe9\n"[..]));
        assert!(
            latin.starts_with("a.md:3: not UTF-8, from byte 10 (counted from 0) on; save it"),
            "{latin}"
        );
        let utf16 = message(read_text("a.md".to_owned(), &b"\xff\xfe#\0"[..]));
        assert!(utf16.contains("it looks like UTF-16"), "{utf16}");
    }

    #[test]
    fn the_size_is_limited() {
        let endless = message(read_text("zero".to_owned(), io::repeat(b'a')));
        assert!(endless.starts_with("zero: larger than 64 MiB"), "{endless}");
        let most = read_text("most".to_owned(), io::repeat(b'a').take(SIZE_LIMIT));
        assert_eq!(most.expect("just small enough").1.len() as u64, SIZE_LIMIT);
    }
}

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use super::{KillSwitch, SwitchOff, SwitchState, SwitchUnreadable};

/// More bytes than any accepted text has; a longer file is unreadable.
const LONGEST: u64 = 16;

/// A kill switch that is a file: ON only while the file holds the word `ON`.
///
/// | the file | reads as |
/// |---|---|
/// | holds `ON`, with or without a newline | ON |
/// | holds `OFF`, with or without a newline, or nothing | OFF |
/// | is not there | OFF |
/// | holds anything else, is a directory, cannot be opened | unreadable, which counts as OFF |
/// | may be written by everyone (Unix) | unreadable, which counts as OFF |
///
/// `rm FILE` stops the run. The file is read again each time.
///
/// ```
/// use phasegate::switch::{FileSwitch, KillSwitch, SwitchState};
///
/// let switch = FileSwitch::new("/run/cutover/kill-switch");
/// assert_eq!(switch.read()?, SwitchState::Off); // no such file
/// # Ok::<(), phasegate::switch::SwitchUnreadable>(())
/// ```
#[derive(Debug, Clone)]
pub struct FileSwitch {
    path: PathBuf,
}

impl FileSwitch {
    /// Creates the switch at `path`, without opening it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        FileSwitch { path: path.into() }
    }

    fn unreadable(&self, reason: impl std::fmt::Display) -> SwitchUnreadable {
        SwitchUnreadable::new(format!("{}: {reason}", self.path.display()))
    }
}

impl KillSwitch for FileSwitch {
    fn read(&self) -> Result<SwitchState, SwitchUnreadable> {
        // Checked before opening: opening a named pipe would block until another process writes to it.
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SwitchState::Off),
            Err(error) => return Err(self.unreadable(error)),
        };
        if !metadata.is_file() {
            return Err(self.unreadable("not a regular file"));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if metadata.permissions().mode() & 0o002 != 0 {
                let unreadable = self.unreadable("everyone may write it, so it says nothing");
                let hint = format!("Take that away: `chmod o-w {}`.", self.path.display());
                return Err(unreadable.with_hint(hint));
            }
        }
        let mut text = String::new();
        File::open(&self.path)
            .and_then(|file| file.take(LONGEST).read_to_string(&mut text))
            .map_err(|error| self.unreadable(error))?;
        match text.strip_suffix('\n').unwrap_or(&text) {
            "ON" => Ok(SwitchState::On),
            "OFF" | "" => Ok(SwitchState::Off),
            other => Err(self
                .unreadable(format_args!("holds {other:?}, neither `ON` nor `OFF`"))
                .with_hint("Write ON or OFF into it.")),
        }
    }

    fn describe_off(&self) -> SwitchOff {
        let off = SwitchOff::new(format!("the kill switch file {}", self.path.display()))
            .turned_on_by("write ON into it");
        match fs::metadata(&self.path) {
            Ok(metadata) => match metadata.modified() {
                Ok(moment) => off.since(moment),
                Err(_) => off,
            },
            Err(_) => off.because("there is no such file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(content: Option<&str>) -> Result<SwitchState, SwitchUnreadable> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("switch");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        FileSwitch::new(path).read()
    }

    #[test]
    fn only_the_word_on_is_on() {
        assert_eq!(reading(Some("ON")).unwrap(), SwitchState::On);
        assert_eq!(reading(Some("ON\n")).unwrap(), SwitchState::On);
        for off in [Some("OFF"), Some("OFF\n"), Some(""), Some("\n"), None] {
            assert_eq!(reading(off).unwrap(), SwitchState::Off, "{off:?}");
        }
    }

    #[test]
    fn anything_else_is_unreadable() {
        for odd in [
            "on",
            " ON",
            "ON ",
            "ON\n\n",
            "ONO",
            "ON\0",
            "1",
            "true",
            "ON\nOFF",
            "ON              \n",
        ] {
            let error = reading(Some(odd)).unwrap_err().to_string();
            assert!(error.contains("counts as OFF"), "{odd:?}: {error}");
            assert!(error.contains("switch: holds"), "{odd:?}: {error}");
        }
    }

    #[test]
    fn a_directory_is_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let error = FileSwitch::new(dir.path()).read().unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_everyone_may_write_is_unreadable() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("switch");
        fs::write(&path, "ON").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let error = FileSwitch::new(&path).read().unwrap_err();
        assert!(error.hint().unwrap().contains("chmod o-w"), "{error}");
    }

    #[test]
    fn what_is_off_names_the_file_and_how_to_turn_it_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("switch");
        let switch = FileSwitch::new(&path);
        let named = format!("the kill switch file {} is OFF", path.display());
        let off = switch.describe_off();
        assert_eq!(
            off.to_string(),
            format!("{named} (why: there is no such file)")
        );
        assert_eq!(off.command(), Some("write ON into it"));
        fs::write(&path, "OFF").unwrap();
        let text = switch.describe_off().to_string();
        assert!(text.starts_with(&format!("{named} (since: 20")), "{text}");
    }

    #[test]
    fn it_is_read_anew_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("switch");
        let switch = FileSwitch::new(&path);
        fs::write(&path, "ON\n").unwrap();
        assert_eq!(switch.read().unwrap(), SwitchState::On);
        fs::remove_file(&path).unwrap();
        assert_eq!(switch.read().unwrap(), SwitchState::Off);
    }
}

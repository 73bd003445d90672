//! Times in files.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The last second of the year 9999, the last that RFC 3339 can represent.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// A time to the second, as RFC 3339 writes it in UTC: `2026-11-30T00:00:00Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Timestamp(Duration);

impl Timestamp {
    /// Rounds `time` down to the second; a time that RFC 3339 cannot represent becomes the nearest that it can.
    pub(crate) fn of(time: SystemTime) -> Self {
        let since = time
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(Duration::from_secs(since.min(LAST).as_secs()))
    }

    /// Rounds `time` down to the second; `None` if RFC 3339 cannot represent it.
    #[cfg(feature = "ssh")]
    pub(crate) fn exactly(time: SystemTime) -> Option<Self> {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let second = Duration::from_secs(since.as_secs());
        (second <= LAST).then_some(Timestamp(second))
    }

    pub(crate) fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(self.time()).fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> String {
        timestamp.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = String;

    /// Accepts only the form that `Timestamp` itself writes: one time has one text.
    fn try_from(text: String) -> Result<Self, String> {
        humantime::parse_rfc3339(&text)
            .ok()
            .map(Timestamp::of)
            .filter(|timestamp| timestamp.to_string() == text)
            .ok_or_else(|| format!("not a time like 2026-11-30T00:00:00Z: {text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_has_one_text() {
        let text = "2026-11-30T00:00:00Z";
        let time = Timestamp::try_from(text.to_owned()).unwrap();
        assert_eq!(time.to_string(), text);
        assert_eq!(
            Timestamp::of(time.time() + Duration::from_millis(999)),
            time
        );
        for other in [
            "2026-11-30T00:00:00.0Z",
            "2026-11-30 00:00:00Z",
            "2026-11-30T00:00:00+00:00",
            "2026-11-30",
            "",
            "2026-13-30T00:00:00Z",
        ] {
            assert!(Timestamp::try_from(other.to_owned()).is_err(), "{other}");
        }
    }

    #[test]
    fn what_no_calendar_shows_is_the_nearest_that_one_does() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(5);
        assert_eq!(Timestamp::of(before).to_string(), "1970-01-01T00:00:00Z");
        let after = SystemTime::UNIX_EPOCH + LAST * 4;
        assert_eq!(Timestamp::of(after).to_string(), "9999-12-31T23:59:59Z");
    }
}

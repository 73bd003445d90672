//! Times in files: RFC 3339 in statements, OpenSSH's own form in allowed signers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::timestamp::Timestamp;

/// Formats a time as `2026-11-23T07:09:19Z`: in UTC, rounded down to the second.
pub(super) fn to_rfc3339(moment: SystemTime) -> Option<String> {
    Timestamp::exactly(moment).map(String::from)
}

/// Parses a time in exactly the form that [`to_rfc3339`] writes.
pub(super) fn from_rfc3339(text: &str) -> Option<SystemTime> {
    let timestamp = Timestamp::try_from(text.to_owned()).ok()?;
    Some(timestamp.time())
}

/// Rounds a time down to the second, as statements have it.
pub(super) fn whole_seconds(moment: SystemTime) -> SystemTime {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// Why a time in OpenSSH's form is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoMoment {
    /// It has no `Z`, so that its meaning depends on the machine's time zone.
    Local,
    /// It is not a time.
    Malformed,
}

/// Parses `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`.
pub(super) fn from_openssh(text: &str) -> Result<SystemTime, NoMoment> {
    let digits = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let fits = matches!(digits.len(), 8 | 12 | 14) && digits.bytes().all(|b| b.is_ascii_digit());
    if !fits {
        return Err(NoMoment::Malformed);
    }
    let part = |from: usize| digits.get(from..from + 2).unwrap_or("00");
    let (month, day) = (part(4), part(6));
    let (hour, minute, second) = (part(8), part(10), part(12));
    let written = format!("{}-{month}-{day}T{hour}:{minute}:{second}Z", &digits[..4]);
    let moment = from_rfc3339(&written).ok_or(NoMoment::Malformed)?;
    if digits == text {
        return Err(NoMoment::Local);
    }
    Ok(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_moment_is_written_in_one_way() {
        let moment = unix(1_795_417_759) + Duration::from_millis(999);
        let text = "2026-11-23T07:09:19Z";
        assert_eq!(to_rfc3339(moment).as_deref(), Some(text));
        assert_eq!(from_rfc3339(text), Some(unix(1_795_417_759)));
        for other in [
            "2026-11-23T07:09:19+00:00",
            "2026-11-23T08:09:19+01:00",
            "2026-11-23T07:09:19.0Z",
            "2026-11-23t07:09:19z",
            "2026-11-23 07:09:19Z",
            "2026-02-30T07:09:19Z",
            "2016-12-31T23:59:60Z",
            "1969-12-31T23:59:59Z",
            "+12026-11-23T07:09:19Z",
            "2026-11-23",
            "",
        ] {
            assert_eq!(from_rfc3339(other), None, "{other}");
        }
    }

    #[test]
    fn a_moment_that_no_calendar_has_is_not_written() {
        assert_eq!(to_rfc3339(unix(u64::MAX >> 1)), None);
        assert_eq!(to_rfc3339(unix(400_000_000_000)), None);
        assert_eq!(to_rfc3339(UNIX_EPOCH - Duration::from_secs(1)), None);
    }

    #[test]
    fn the_forms_of_openssh_are_read_and_local_time_is_not() {
        assert_eq!(from_openssh("20261123Z"), Ok(unix(1_795_392_000)));
        assert_eq!(from_openssh("202611230709Z"), Ok(unix(1_795_417_740)));
        assert_eq!(from_openssh("20261123070919Z"), Ok(unix(1_795_417_759)));
        assert_eq!(from_openssh("20261123"), Err(NoMoment::Local));
        for none in [
            "",
            "Z",
            "2026112",
            "2026112307Z",
            "20261323Z",
            "20261123246000Z",
            "2026-11-23Z",
            "+0261123Z",
            "19690101Z",
            "２０２６Z",
        ] {
            assert_eq!(from_openssh(none), Err(NoMoment::Malformed), "{none}");
        }
    }
}

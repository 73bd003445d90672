//! Values as canonical JSON (RFC 8785), the form that is hashed, approved, decoded and performed.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::printable::Printable;

/// Why a value cannot be written as canonical JSON, or is changed when it is read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCanonical {
    /// `Serialize` failed.
    #[error("it cannot be written as JSON: {}", Printable(&.0.to_string()))]
    Serialize(serde_json::Error),
    /// The number would be changed when read back: JSON numbers are doubles (RFC 8785, section 3.2.2.3).
    #[error(
        "the number {number} at `{path}` is beyond 2^53 and would come back from JSON changed", number = Printable(.number), path = Printable(.path))]
    Number {
        /// The place of the number, as a JSON pointer.
        path: String,
        /// The number in the value.
        number: String,
    },
    /// `Deserialize` does not accept what `Serialize` wrote.
    #[error("it cannot be read back from its own JSON: {}", Printable(&.0.to_string()))]
    Deserialize(serde_json::Error),
    /// Read back and written again, the value has another text, so that its digest would not identify it.
    #[error("read back from its own JSON it is another value")]
    Unstable,
}

impl NotCanonical {
    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            NotCanonical::Serialize(_) => "not_serialized",
            NotCanonical::Number { .. } => "number_not_exact",
            NotCanonical::Deserialize(_) => "not_deserialized",
            NotCanonical::Unstable => "not_stable",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            NotCanonical::Number { .. } => "Carry the number as a string.",
            NotCanonical::Deserialize(_) => "Let `Deserialize` accept what `Serialize` writes.",
            NotCanonical::Unstable => {
                "Let `Serialize` and `Deserialize` fit each other, and fix the order: use `BTreeSet`, not `HashSet`."
            }
            NotCanonical::Serialize(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// Writes `value` as canonical JSON.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, NotCanonical> {
    let value = serde_json::to_value(value).map_err(NotCanonical::Serialize)?;
    refuse_inexact_numbers(&value, &mut String::new())?;
    serde_json_canonicalizer::to_vec(&value).map_err(NotCanonical::Serialize)
}

/// Writes `value` as canonical JSON, and reads it back. The result is the value of those bytes, without data that
/// `#[serde(skip)]` or interior mutability kept out of them.
pub(crate) fn round_trip<T: Serialize + DeserializeOwned>(
    value: &T,
) -> Result<(Vec<u8>, T), NotCanonical> {
    let bytes = encode(value)?;
    let back: T = decode(&bytes)?;
    if encode(&back)? != bytes {
        return Err(NotCanonical::Unstable);
    }
    Ok((bytes, back))
}

/// Decodes what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotCanonical> {
    serde_json::from_slice(bytes).map_err(NotCanonical::Deserialize)
}

fn refuse_inexact_numbers(value: &Value, path: &mut String) -> Result<(), NotCanonical> {
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Number(number) => {
            let exact = match (number.as_u64(), number.as_i64()) {
                (Some(n), _) => n <= EXACT,
                (None, Some(n)) => n.unsigned_abs() <= EXACT,
                // A double; or, where a crate of the program enables `arbitrary_precision` in serde_json, an integer
                // that is too large for both.
                (None, None) => number.to_string().contains(['.', 'e', 'E']),
            };
            if exact {
                Ok(())
            } else {
                Err(NotCanonical::Number {
                    path: path.clone(),
                    number: number.to_string(),
                })
            }
        }
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            descend(path, &index.to_string(), |path| {
                refuse_inexact_numbers(item, path)
            })
        }),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            descend(path, name, |path| refuse_inexact_numbers(member, path))
        }),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

fn descend<T>(path: &mut String, step: &str, f: impl FnOnce(&mut String) -> T) -> T {
    let length = path.len();
    path.push('/');
    path.push_str(step);
    let answer = f(path);
    path.truncate(length);
    answer
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[test]
    fn members_are_sorted_and_nothing_is_added() {
        let map: HashMap<_, _> = [("b", 1), ("a", 2), ("é", 3)].into();
        assert_eq!(encode(&map).unwrap(), r#"{"a":2,"b":1,"é":3}"#.as_bytes());
    }

    #[test]
    fn rfc_8785_section_3_2_2() {
        // The example of the RFC, as bytes: numbers in the shortest form, few escapes.
        let value: Value = serde_json::from_str(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
                "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                "literals":[null,true,false]}"#,
        )
        .unwrap();
        let expected = concat!(
            r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
            r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
        );
        assert_eq!(
            String::from_utf8(encode(&value).unwrap()).unwrap(),
            expected
        );
    }

    #[test]
    fn a_number_that_json_would_change_is_refused_with_its_place() {
        #[derive(Serialize)]
        struct Account {
            ids: Vec<u64>,
        }
        let ids = vec![1, (1 << 53) + 1];
        let error = encode(&Account { ids }).unwrap_err().to_string();
        assert!(error.contains("9007199254740993 at `/ids/1`"), "{error}");
        assert!(encode(&(1u64 << 53)).is_ok());
        assert!(encode(&-(1i64 << 53)).is_ok());
        assert!(encode(&(-(1i64 << 53) - 1)).is_err());
    }

    #[test]
    fn what_the_bytes_do_not_carry_does_not_come_back() {
        #[derive(Serialize, Deserialize)]
        struct Spec {
            rows: u32,
            #[serde(skip)]
            hidden: Cell<u32>,
        }
        let hidden = Cell::new(7);
        let (_, back) = round_trip(&Spec { rows: 3, hidden }).unwrap();
        assert_eq!((back.rows, back.hidden.get()), (3, 0));
    }

    #[test]
    fn a_value_that_changes_on_the_way_is_refused() {
        #[derive(Debug, Serialize, Deserialize)]
        struct Shifty {
            #[serde(skip_deserializing)]
            n: u32,
        }
        let error = round_trip(&Shifty { n: 1 }).unwrap_err();
        assert!(matches!(error, NotCanonical::Unstable), "{error}");
        let error = round_trip(&f64::NAN).unwrap_err();
        assert!(matches!(error, NotCanonical::Deserialize(_)), "{error}");
    }
}

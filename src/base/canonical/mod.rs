//! Values as canonical JSON (RFC 8785), the form that is hashed, approved, decoded and performed.

mod comparison;
mod compound;
mod member;
mod path;
mod serializer;
#[cfg(test)]
mod tests;
mod text;
mod writer;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::comparison::Comparison;
use self::text::Text;
use self::writer::{Sink, Writer};
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
    /// JSON has no such number.
    #[error("the number {number} at `{path}` is not finite, and JSON has finite numbers only", number = Printable(.number), path = Printable(.path))]
    NotFinite {
        /// The place of the number, as a JSON pointer.
        path: String,
        /// The number in the value.
        number: String,
    },
    /// Of two members of this name only one would come back from JSON.
    #[error("the member `{path}` is there twice, and would come back from JSON once", path = Printable(.path))]
    MemberTwice {
        /// The place of the member, as a JSON pointer.
        path: String,
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
            NotCanonical::NotFinite { .. } => "number_not_finite",
            NotCanonical::MemberTwice { .. } => "member_twice",
            NotCanonical::Deserialize(_) => "not_deserialized",
            NotCanonical::Unstable => "not_stable",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            NotCanonical::Number { .. } => "Carry the number as a string.",
            NotCanonical::NotFinite { .. } => "Carry it as an `Option`, or as a string.",
            NotCanonical::MemberTwice { .. } => {
                "Give each member a name of its own; a map that is flattened into a struct may have the name of a field."
            }
            NotCanonical::Deserialize(_) => "Let `Deserialize` accept what `Serialize` writes.",
            NotCanonical::Unstable => {
                "Let `Serialize` and `Deserialize` fit each other, and fix the order: use `BTreeSet`, not `HashSet`."
            }
            NotCanonical::Serialize(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// Writes `value` as canonical JSON. It takes the memory of its text, and a quarter of the largest object whose members
/// come in another order than that of their names.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, NotCanonical> {
    Ok(serialize(value, Text::default())?.into_bytes())
}

/// Decodes what [`encode`] wrote.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NotCanonical> {
    serde_json::from_slice(bytes).map_err(NotCanonical::Deserialize)
}

/// Decodes what [`encode`] wrote, and checks that the value has exactly this text. The result is the value of the bytes,
/// without data that `#[serde(skip)]` or interior mutability kept out of them.
pub(crate) fn decode_stable<T: Serialize + DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, NotCanonical> {
    let value: T = decode(bytes)?;
    if serialize(&value, Comparison::with(bytes))?.is_equal() {
        Ok(value)
    } else {
        Err(NotCanonical::Unstable)
    }
}

fn serialize<T: Serialize + ?Sized, S: Sink>(value: &T, sink: S) -> Result<S, NotCanonical> {
    let mut writer = Writer::new(sink);
    let written = value.serialize(&mut writer);
    written.map_err(NotCanonical::Serialize)?;
    writer.finish()
}

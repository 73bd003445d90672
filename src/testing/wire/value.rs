//! Values of a fake server, as text and in the binary form of their type.

use std::fmt;

use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type};

/// A parameter that a fake server has received, or a value that it returns.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SqlValue {
    /// NULL, of any type.
    Null,
    /// A `bool`.
    Bool(bool),
    /// An `int2`, `int4`, `int8` or `oid`.
    Int(i64),
    /// A `float4` or `float8`.
    Float(f64),
    /// A `text`, `varchar`, `bpchar`, `name`, `json` or `jsonb`.
    Text(String),
    /// A `bytea`; of a parameter of another type, the bytes as the driver has sent them.
    Bytes(Vec<u8>),
}

impl SqlValue {
    /// Returns the value in the text or binary form of `ty`; the inner `None` is NULL. The error is why it has none.
    pub(super) fn encode(&self, ty: &Type, binary: bool) -> Result<Option<Vec<u8>>, String> {
        if *self == SqlValue::Null {
            return Ok(None);
        }
        let fits = match self {
            SqlValue::Null => true,
            SqlValue::Bool(_) => *ty == Type::BOOL,
            SqlValue::Int(_) => [Type::INT2, Type::INT4, Type::INT8, Type::OID].contains(ty),
            SqlValue::Float(_) => [Type::FLOAT4, Type::FLOAT8].contains(ty),
            SqlValue::Text(_) => is_text(ty) || is_json(ty) || *ty == Type::VOID,
            SqlValue::Bytes(_) => *ty == Type::BYTEA,
        };
        let unfit = || format!("the script returns {self:?} in a column of type {ty}");
        if !fits {
            return Err(unfit());
        }
        if !binary {
            return Ok(Some(self.to_string().into_bytes()));
        }
        let mut out = BytesMut::new();
        let written = match self {
            SqlValue::Null => Ok(IsNull::Yes),
            SqlValue::Bool(value) => value.to_sql(ty, &mut out),
            SqlValue::Int(value) if *ty == Type::INT8 => value.to_sql(ty, &mut out),
            SqlValue::Int(value) if *ty == Type::INT4 => i32::try_from(*value)
                .map_err(|_| unfit())?
                .to_sql(ty, &mut out),
            SqlValue::Int(value) if *ty == Type::INT2 => i16::try_from(*value)
                .map_err(|_| unfit())?
                .to_sql(ty, &mut out),
            SqlValue::Int(value) => u32::try_from(*value)
                .map_err(|_| unfit())?
                .to_sql(ty, &mut out),
            #[allow(clippy::cast_possible_truncation)] // a `float4` has no more digits
            SqlValue::Float(value) if *ty == Type::FLOAT4 => (*value as f32).to_sql(ty, &mut out),
            SqlValue::Float(value) => value.to_sql(ty, &mut out),
            SqlValue::Text(value) => {
                if *ty == Type::JSONB {
                    // The version of the form.
                    out.extend_from_slice(&[1]);
                }
                out.extend_from_slice(value.as_bytes());
                Ok(IsNull::No)
            }
            SqlValue::Bytes(value) => value.as_slice().to_sql(ty, &mut out),
        };
        written.map_err(|error| error.to_string())?;
        Ok(Some(out.to_vec()))
    }

    /// Reads a parameter of `ty`.
    pub(super) fn decode(ty: &Type, binary: bool, raw: Option<&[u8]>) -> Self {
        let Some(raw) = raw else {
            return SqlValue::Null;
        };
        let read = if binary {
            from_binary(ty, raw)
        } else {
            from_text(ty, raw)
        };
        read.unwrap_or_else(|| SqlValue::Bytes(raw.to_vec()))
    }
}

/// Reads the elements of an array of one dimension in its binary form; `None` if it has another form.
pub(super) fn elements(array: &[u8]) -> Option<Vec<SqlValue>> {
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_be_bytes(array.get(at..at + 4)?.try_into().ok()?))
    };
    let (ty, count) = (Type::from_oid(word(8)?)?, word(12)?);
    let mut at = 20;
    let mut elements = Vec::new();
    for _ in 0..count {
        let length = word(at)?;
        at += 4;
        let raw = if length == u32::MAX {
            None
        } else {
            let raw = array.get(at..at + length as usize)?;
            at += length as usize;
            Some(raw)
        };
        elements.push(SqlValue::decode(&ty, true, raw));
    }
    Some(elements)
}

fn is_text(ty: &Type) -> bool {
    [
        Type::TEXT,
        Type::VARCHAR,
        Type::BPCHAR,
        Type::NAME,
        Type::UNKNOWN,
    ]
    .contains(ty)
}

fn is_json(ty: &Type) -> bool {
    [Type::JSON, Type::JSONB].contains(ty)
}

fn from_binary(ty: &Type, raw: &[u8]) -> Option<SqlValue> {
    Some(match *ty {
        Type::BOOL => SqlValue::Bool(bool::from_sql(ty, raw).ok()?),
        Type::INT2 => SqlValue::Int(i16::from_sql(ty, raw).ok()?.into()),
        Type::INT4 => SqlValue::Int(i32::from_sql(ty, raw).ok()?.into()),
        Type::INT8 => SqlValue::Int(i64::from_sql(ty, raw).ok()?),
        Type::OID => SqlValue::Int(u32::from_sql(ty, raw).ok()?.into()),
        Type::FLOAT4 => SqlValue::Float(f32::from_sql(ty, raw).ok()?.into()),
        Type::FLOAT8 => SqlValue::Float(f64::from_sql(ty, raw).ok()?),
        Type::JSONB => SqlValue::Text(String::from_utf8(raw.get(1..)?.to_vec()).ok()?),
        _ if is_text(ty) || is_json(ty) => SqlValue::Text(String::from_utf8(raw.to_vec()).ok()?),
        _ => return None,
    })
}

fn from_text(ty: &Type, raw: &[u8]) -> Option<SqlValue> {
    let text = std::str::from_utf8(raw).ok()?;
    Some(match *ty {
        Type::BOOL => SqlValue::Bool(text.starts_with(['t', 'T', '1'])),
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => SqlValue::Int(text.parse().ok()?),
        Type::FLOAT4 | Type::FLOAT8 => SqlValue::Float(text.parse().ok()?),
        _ if is_text(ty) || is_json(ty) => SqlValue::Text(text.to_owned()),
        _ => return None,
    })
}

/// Displays the value as the server prints it; NULL as `NULL`.
impl fmt::Display for SqlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlValue::Null => f.write_str("NULL"),
            SqlValue::Bool(value) => f.write_str(if *value { "t" } else { "f" }),
            SqlValue::Int(value) => write!(f, "{value}"),
            SqlValue::Float(value) => write!(f, "{value}"),
            SqlValue::Text(value) => f.write_str(value),
            SqlValue::Bytes(value) => {
                f.write_str("\\x")?;
                value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),+ $(,)?) => {$(
        impl From<$source> for SqlValue {
            fn from(value: $source) -> Self {
                SqlValue::$variant(value.into())
            }
        }
    )+};
}

from!(bool => Bool, i16 => Int, i32 => Int, i64 => Int, u32 => Int, f32 => Float, f64 => Float, &str => Text,
    String => Text, Vec<u8> => Bytes, &[u8] => Bytes);

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(SqlValue::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written_in_both_forms() {
        let values = [
            (SqlValue::from(true), Type::BOOL),
            (SqlValue::from(-7_i64), Type::INT2),
            (SqlValue::from(7_i64), Type::INT4),
            (SqlValue::from(7_i64), Type::INT8),
            (SqlValue::from(1.5), Type::FLOAT8),
            (SqlValue::from("a b"), Type::TEXT),
            (SqlValue::from("{}"), Type::JSONB),
            (SqlValue::Null, Type::TEXT),
        ];
        for (value, ty) in values {
            for binary in [true, false] {
                let raw = value.encode(&ty, binary).expect("it fits");
                assert_eq!(SqlValue::decode(&ty, binary, raw.as_deref()), value, "{ty}");
            }
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let refused = SqlValue::from("a").encode(&Type::INT8, true);
        assert!(refused.is_err_and(|said| said.contains("int8")));
        assert!(
            SqlValue::from(70_000_i64)
                .encode(&Type::INT2, true)
                .is_err()
        );
    }
}

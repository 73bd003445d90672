//! The values of one parameter, for many rows, as one array of the server.

use ::postgres::types::{Kind, Type};
use bytes::{BufMut, BytesMut};

use crate::database::params::Encoded;

/// The size of an array's header: number of dimensions, whether there are nulls, the type of the elements, their
/// number, and the ordinal of the first; 32 bits each.
const HEADER: usize = 20;
const COUNT_AT: usize = 12;

/// How the values of a parameter are sent.
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// The type that the parameter is encoded as.
    pub(super) encoded_as: Type,
    /// The type of the array's elements.
    element: Type,
    /// The type that each element is cast to, in the call of its own row.
    cast: Option<Type>,
    check: fn(&[u8]) -> bool,
}

/// Returns how the values of a parameter of this type are sent in an array; `None` if they have to be sent row by row.
///
/// The server reads a whole array before it calls the function for the first row. So a type is listed here only if the
/// server accepts every value of it that `check` accepts, or if it can be sent as text and cast in the call of its
/// row, so that the error belongs to that row.
pub(super) fn form(ty: &Type) -> Option<Form> {
    let form = |element: Type, check| Form {
        encoded_as: ty.clone(),
        element,
        cast: None,
        check,
    };
    let by_text = || Form {
        cast: Some(ty.clone()),
        ..form(Type::TEXT, is_text)
    };
    match *ty {
        Type::TEXT => Some(form(Type::TEXT, is_text)),
        Type::VARCHAR | Type::BPCHAR | Type::JSON | Type::JSONB => Some(by_text()),
        // A cast truncates a name that is too long.
        Type::NAME => Some(Form {
            check: |bytes| bytes.len() < 64 && is_text(bytes),
            ..by_text()
        }),
        Type::BYTEA => Some(form(Type::BYTEA, |_| true)),
        Type::BOOL | Type::CHAR => Some(form(ty.clone(), |bytes| bytes.len() == 1)),
        Type::INT2 => Some(form(ty.clone(), |bytes| bytes.len() == 2)),
        Type::INT4 | Type::OID | Type::FLOAT4 => Some(form(ty.clone(), |bytes| bytes.len() == 4)),
        Type::INT8 | Type::FLOAT8 => Some(form(ty.clone(), |bytes| bytes.len() == 8)),
        Type::UUID => Some(form(ty.clone(), |bytes| bytes.len() == 16)),
        Type::DATE => Some(form(ty.clone(), is_date)),
        Type::TIME => Some(form(ty.clone(), is_time)),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => Some(form(ty.clone(), is_timestamp)),
        Type::NUMERIC => Some(form(ty.clone(), is_numeric)),
        _ => match ty.kind() {
            Kind::Enum(_) => Some(by_text()),
            // A cast to a domain over varchar(5) truncates too.
            Kind::Domain(base) if matches!(*base, Type::VARCHAR | Type::BPCHAR | Type::NAME) => {
                None
            }
            Kind::Domain(base) => self::form(base).map(|form| Form {
                cast: Some(ty.clone()),
                ..form
            }),
            _ => None,
        },
    }
}

/// Returns the type that a parameter of this type is encoded as: the driver encodes a value of a domain as one of its
/// base type.
pub(super) fn encoded_as(ty: &Type) -> Type {
    match ty.kind() {
        Kind::Domain(base) => encoded_as(base),
        _ => ty.clone(),
    }
}

impl Form {
    /// Returns the type of the array, in SQL.
    pub(super) fn array(&self) -> String {
        format!("{}[]", quoted(&self.element))
    }

    /// Returns the parameter of one row in SQL, given the column that holds it.
    pub(super) fn argument(&self, column: &str) -> String {
        match self.cast.as_ref() {
            Some(ty @ (&Type::VARCHAR | &Type::BPCHAR | &Type::NAME)) => {
                format!("{column}::{}", quoted(ty))
            }
            // The planner must not drop a cast that may fail. It does so where it inlines the body of an SQL function
            // that does not use the parameter.
            Some(ty) => {
                let cast = format!("{column}::{}", quoted(ty));
                format!(
                    "CASE WHEN pg_catalog.clock_timestamp() IS NULL THEN {cast} ELSE {cast} END"
                )
            }
            None => column.to_owned(),
        }
    }

    /// Returns the parameter as text that the server reads as the same value under all settings of the session; `None`
    /// if there is no such text.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        match self.element {
            // A setting decides how many digits of a float are written; and a "char" can be a byte that is not a
            // character.
            Type::FLOAT4 | Type::FLOAT8 | Type::CHAR => None,
            // JSON writes times in ISO 8601, which every `DateStyle` reads.
            Type::DATE | Type::TIMESTAMP | Type::TIMESTAMPTZ => Some(format!(
                "pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb({column}), \
                 VARIADIC ARRAY[]::pg_catalog.text[])"
            )),
            _ => Some(format!("{column}::pg_catalog.text")),
        }
    }

    /// Returns the bytes of the element; `None` if the server may refuse them.
    fn element<'e>(&self, encoded: &'e Encoded) -> Option<&'e [u8]> {
        let (bytes, text) = (encoded.bytes(), encoded.is_text());
        let bytes = match (&self.encoded_as, text) {
            // The binary form is a version byte, and the text.
            (&Type::JSONB, false) => bytes.strip_prefix(&[1])?,
            (_, false) => bytes,
            (_, true) if self.element == Type::TEXT => bytes,
            (_, true) => return None,
        };
        (self.check)(bytes).then_some(bytes)
    }

    /// Returns whether the value can be sent in an array with others.
    pub(super) fn takes(&self, encoded: &Encoded) -> bool {
        encoded.is_null() || self.element(encoded).is_some()
    }
}

/// Returns the name of a type, quoted for SQL.
pub(super) fn quoted(ty: &Type) -> String {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("{}.{}", quote(ty.schema()), quote(ty.name()))
}

/// An array under construction.
pub(super) struct Column {
    form: Form,
    bytes: BytesMut,
}

impl Column {
    pub(super) fn new(form: Form) -> Self {
        Column {
            form,
            bytes: BytesMut::new(),
        }
    }

    pub(super) fn form(&self) -> &Form {
        &self.form
    }

    /// Adds a value, which [`Form::takes`] has accepted.
    pub(super) fn push(&mut self, encoded: &Encoded) {
        if self.bytes.is_empty() {
            self.bytes.put_i32(1);
            self.bytes.put_i32(1);
            self.bytes.put_u32(self.form.element.oid());
            self.bytes.put_i32(0);
            self.bytes.put_i32(1);
        }
        let element = if encoded.is_null() {
            None
        } else {
            self.form.element(encoded)
        };
        match element.map(|bytes| (i32::try_from(bytes.len()), bytes)) {
            Some((Ok(length), bytes)) => {
                self.bytes.put_i32(length);
                self.bytes.put_slice(bytes);
            }
            _ => self.bytes.put_i32(-1),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the array of its `count` values, and leaves an empty one.
    pub(super) fn take(&mut self, count: u32) -> Encoded {
        let mut bytes = self.bytes.split();
        debug_assert!(bytes.len() >= HEADER, "an array is taken after its values");
        bytes[COUNT_AT..COUNT_AT + 4].copy_from_slice(&count.to_be_bytes());
        Encoded::binary(bytes)
    }
}

/// Returns whether the server accepts these bytes as text: UTF-8 without NUL.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

/// Returns whether these are days from 2000-01-01, from 4714 BC to 5874897, or one of the infinities.
fn is_date(bytes: &[u8]) -> bool {
    <[u8; 4]>::try_from(bytes).is_ok_and(|bytes| {
        let days = i32::from_be_bytes(bytes);
        (-2_451_545..2_145_031_949).contains(&days) || days == i32::MIN || days == i32::MAX
    })
}

/// Returns whether these are microseconds from midnight to midnight.
fn is_time(bytes: &[u8]) -> bool {
    <[u8; 8]>::try_from(bytes)
        .is_ok_and(|bytes| (0..=86_400_000_000).contains(&i64::from_be_bytes(bytes)))
}

/// Returns whether these are microseconds from 2000-01-01, from 4714 BC to 294276, or one of the infinities.
fn is_timestamp(bytes: &[u8]) -> bool {
    <[u8; 8]>::try_from(bytes).is_ok_and(|bytes| {
        let at = i64::from_be_bytes(bytes);
        (-211_813_488_000_000_000..9_223_371_331_200_000_000).contains(&at)
            || at == i64::MIN
            || at == i64::MAX
    })
}

/// Returns whether these are the number of digits, the weight of the first, sign, scale, and the digits, in base
/// 10,000: 16 bits each.
fn is_numeric(bytes: &[u8]) -> bool {
    if !bytes.len().is_multiple_of(2) {
        return false;
    }
    let words: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|word| u16::from_be_bytes([word[0], word[1]]))
        .collect();
    let [count, weight, sign, scale, digits @ ..] = &*words else {
        return false;
    };
    // Far below the size that the server refuses.
    digits.len() == usize::from(*count)
        && (*weight).cast_signed().unsigned_abs() <= 1000
        && matches!(sign, 0 | 0x4000 | 0xC000)
        && *scale <= 0x1000
        && digits.iter().all(|digit| *digit < 10_000)
}

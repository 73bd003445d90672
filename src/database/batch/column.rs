//! The values of one parameter, of many rows, as one array of the server's.

use ::postgres::types::{Kind, Type};
use bytes::{BufMut, BytesMut};

use crate::database::params::Encoded;

/// Number of dimensions, whether there are nulls, the type of the elements, their number, and the
/// ordinal of the first: 32 bits each.
const HEADER: usize = 20;
const COUNT_AT: usize = 12;

/// How the values of a parameter travel.
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// What the parameter is encoded as.
    pub(super) encoded_as: Type,
    /// The type of the array's elements.
    element: Type,
    /// What each element is then made, in the row's own call.
    cast: Option<Type>,
    check: fn(&[u8]) -> bool,
}

/// How the values of a parameter of this type travel in an array; nothing if they go one by one.
///
/// The server reads a whole array before it calls anything. So a type is here only if the server
/// accepts every value of it that `check` lets pass, or if it can be sent as text and be cast in the
/// call of its row, where the error belongs.
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
        // A cast cuts off what is too long.
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
            // So would a cast to a domain over varchar(5).
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

/// What a parameter of this type is encoded as: the driver has no values of a domain, but of what it is
/// made of.
pub(super) fn encoded_as(ty: &Type) -> Type {
    match ty.kind() {
        Kind::Domain(base) => encoded_as(base),
        _ => ty.clone(),
    }
}

impl Form {
    /// The type of the array, in SQL.
    pub(super) fn array(&self) -> String {
        format!("{}[]", quoted(&self.element))
    }

    /// The parameter of one row, given the column that has it, in SQL.
    pub(super) fn argument(&self, column: &str) -> String {
        match self.cast.as_ref() {
            Some(ty @ (&Type::VARCHAR | &Type::BPCHAR | &Type::NAME)) => {
                format!("{column}::{}", quoted(ty))
            }
            // A cast that may fail is one that the planner must not leave out, as it does where it puts
            // the body of an SQL function in its place, and that has no need of the parameter.
            Some(ty) => {
                let cast = format!("{column}::{}", quoted(ty));
                format!(
                    "CASE WHEN pg_catalog.clock_timestamp() IS NULL THEN {cast} ELSE {cast} END"
                )
            }
            None => column.to_owned(),
        }
    }

    /// The same as text that the server reads as the same value, whatever the session's settings are;
    /// nothing if there is none.
    pub(super) fn text(&self, column: &str) -> Option<String> {
        match self.element {
            // How many digits are written, a setting says; and of "char", a byte that is no character is
            // a value.
            Type::FLOAT4 | Type::FLOAT8 | Type::CHAR => None,
            // JSON has moments in ISO 8601, which every style of dates reads.
            Type::DATE | Type::TIMESTAMP | Type::TIMESTAMPTZ => Some(format!(
                "pg_catalog.jsonb_extract_path_text(pg_catalog.to_jsonb({column}), \
                 VARIADIC ARRAY[]::pg_catalog.text[])"
            )),
            _ => Some(format!("{column}::pg_catalog.text")),
        }
    }

    /// The bytes of the element; nothing if the server may refuse them.
    fn element<'e>(&self, encoded: &'e Encoded) -> Option<&'e [u8]> {
        let (bytes, text) = (encoded.bytes(), encoded.is_text());
        let bytes = match (&self.encoded_as, text) {
            // Its binary form is a version, and the text.
            (&Type::JSONB, false) => bytes.strip_prefix(&[1])?,
            (_, false) => bytes,
            (_, true) if self.element == Type::TEXT => bytes,
            (_, true) => return None,
        };
        (self.check)(bytes).then_some(bytes)
    }

    /// Whether the value can go in an array with others.
    pub(super) fn takes(&self, encoded: &Encoded) -> bool {
        encoded.is_null() || self.element(encoded).is_some()
    }
}

/// The name of a type, in SQL.
pub(super) fn quoted(ty: &Type) -> String {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("{}.{}", quote(ty.schema()), quote(ty.name()))
}

/// One array, as it grows.
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

    /// Adds a value that the column takes.
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

    /// The array of `count` values; an empty one remains.
    pub(super) fn take(&mut self, count: u32) -> Encoded {
        let mut bytes = self.bytes.split();
        debug_assert!(bytes.len() >= HEADER, "an array is taken after its values");
        bytes[COUNT_AT..COUNT_AT + 4].copy_from_slice(&count.to_be_bytes());
        Encoded::binary(bytes)
    }
}

/// Text of the server's has no NUL, and it refuses what is not UTF-8.
fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

/// Days from 2000-01-01, from 4714 BC to 5874897, or one of the infinities.
fn is_date(bytes: &[u8]) -> bool {
    <[u8; 4]>::try_from(bytes).is_ok_and(|bytes| {
        let days = i32::from_be_bytes(bytes);
        (-2_451_545..2_145_031_949).contains(&days) || days == i32::MIN || days == i32::MAX
    })
}

/// Microseconds from midnight to midnight.
fn is_time(bytes: &[u8]) -> bool {
    <[u8; 8]>::try_from(bytes)
        .is_ok_and(|bytes| (0..=86_400_000_000).contains(&i64::from_be_bytes(bytes)))
}

/// Microseconds from 2000-01-01, from 4714 BC to 294276, or one of the infinities.
fn is_timestamp(bytes: &[u8]) -> bool {
    <[u8; 8]>::try_from(bytes).is_ok_and(|bytes| {
        let at = i64::from_be_bytes(bytes);
        (-211_813_488_000_000_000..9_223_371_331_200_000_000).contains(&at)
            || at == i64::MIN
            || at == i64::MAX
    })
}

/// Number of digits, weight of the first, sign, scale, and the digits, in base 10,000: 16 bits each.
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
    // Far from where the server says that it is too large.
    digits.len() == usize::from(*count)
        && (*weight).cast_signed().unsigned_abs() <= 1000
        && matches!(sign, 0 | 0x4000 | 0xC000)
        && *scale <= 0x1000
        && digits.iter().all(|digit| *digit < 10_000)
}

//! Arrays and objects of the serializer, whose items and members serde passes one by one.

use serde::ser::{self, Error as _, Serialize, SerializeMap as _, Serializer as _};
use serde_json::{Error, Value};

use super::writer::{Sink, Writer};

pub(super) struct Array<'a, S> {
    of: &'a mut Writer<S>,
    is_first: bool,
    in_variant: bool,
}

impl<'a, S: Sink> Array<'a, S> {
    pub(super) fn begin(of: &'a mut Writer<S>, in_variant: bool) -> Self {
        of.sink.write(b"[");
        of.path.push_items();
        Array {
            of,
            is_first: true,
            in_variant,
        }
    }

    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        if !self.is_first {
            self.of.sink.write(b",");
            self.of.path.next_item();
        }
        self.is_first = false;
        item.serialize(&mut *self.of)
    }

    fn finish(self) {
        self.of.path.pop();
        self.of.sink.write(b"]");
        if self.in_variant {
            self.of.end_object();
        }
    }
}

macro_rules! array {
    ($($trait:ident::$item:ident),*) => {
        $(impl<S: Sink> ser::$trait for Array<'_, S> {
            type Ok = ();
            type Error = Error;

            fn $item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
                self.item(item)
            }

            fn end(self) -> Result<(), Error> {
                self.finish();
                Ok(())
            }
        })*
    };
}

array!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

/// What an object of serde is in JSON.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Plain,
    /// The only member of another object.
    InVariant,
    /// The text of a number, or of any JSON: see `serialize_struct` of the serializer.
    Number,
    RawText,
}

pub(super) struct Object<'a, S> {
    of: &'a mut Writer<S>,
    kind: ObjectKind,
    /// Whether a key was written without its value.
    has_key: bool,
}

impl<'a, S: Sink> Object<'a, S> {
    pub(super) fn begin(of: &'a mut Writer<S>, kind: ObjectKind) -> Self {
        if matches!(kind, ObjectKind::Plain | ObjectKind::InVariant) {
            of.begin_object();
        }
        Object {
            of,
            kind,
            has_key: false,
        }
    }

    fn member<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        match self.kind {
            ObjectKind::Plain | ObjectKind::InVariant => {
                self.of.key(key);
                value.serialize(&mut *self.of)
            }
            ObjectKind::Number => self.of.number_text(&text(value)?),
            ObjectKind::RawText => {
                serde_json::from_str::<Value>(&text(value)?)?.serialize(&mut *self.of)
            }
        }
    }

    fn finish(self) -> Result<(), Error> {
        if self.has_key {
            return Err(Error::custom("a member of a map has no value"));
        }
        match self.kind {
            ObjectKind::Plain => self.of.end_object(),
            ObjectKind::InVariant => {
                self.of.end_object();
                self.of.end_object();
            }
            ObjectKind::Number | ObjectKind::RawText => {}
        }
        Ok(())
    }
}

/// Returns the text that `value` is.
fn text<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    match serde_json::to_value(value)? {
        Value::String(text) => Ok(text),
        _ => Err(Error::custom("a text was expected")),
    }
}

/// Returns a key as `serde_json` writes one, which has rules for keys that are no texts.
fn key_text<T: Serialize + ?Sized>(key: &T) -> Result<String, Error> {
    let mut map = serde_json::value::Serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, &())?;
    match map.end()? {
        Value::Object(map) => map.into_iter().next().map(|(key, _)| key),
        _ => None,
    }
    .ok_or_else(|| Error::custom("key must be a string"))
}

impl<S: Sink> ser::SerializeMap for Object<'_, S> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        if self.has_key {
            return Err(Error::custom("a member of a map has no value"));
        }
        self.of.key(&key_text(key)?);
        self.has_key = true;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.has_key) {
            return Err(Error::custom("a member of a map has no key"));
        }
        value.serialize(&mut *self.of)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

macro_rules! object {
    ($($trait:ident),*) => {
        $(impl<S: Sink> ser::$trait for Object<'_, S> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.member(key, value)
            }

            fn end(self) -> Result<(), Error> {
                self.finish()
            }
        })*
    };
}

object!(SerializeStruct, SerializeStructVariant);

//! The forms that serde has of a value, in canonical JSON.

use serde::ser::{self, Serialize};
use serde_json::Error;

use super::compound::{Array, Object, ObjectKind};
use super::writer::{Sink, Writer, write_string};

/// The names by which `serde_json` serializes a number and a raw text, where the program enables these features of it.
const NUMBER: &str = "$serde_json::private::Number";
const RAW_VALUE: &str = "$serde_json::private::RawValue";

impl<'a, S: Sink> ser::Serializer for &'a mut Writer<S> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Array<'a, S>;
    type SerializeTuple = Array<'a, S>;
    type SerializeTupleStruct = Array<'a, S>;
    type SerializeTupleVariant = Array<'a, S>;
    type SerializeMap = Object<'a, S>;
    type SerializeStruct = Object<'a, S>;
    type SerializeStructVariant = Object<'a, S>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.sink.write(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, number: i8) -> Result<(), Error> {
        self.serialize_i64(number.into())
    }

    fn serialize_i16(self, number: i16) -> Result<(), Error> {
        self.serialize_i64(number.into())
    }

    fn serialize_i32(self, number: i32) -> Result<(), Error> {
        self.serialize_i64(number.into())
    }

    fn serialize_i64(self, number: i64) -> Result<(), Error> {
        self.integer(Some(number.unsigned_abs()), number < 0, number);
        Ok(())
    }

    fn serialize_i128(self, number: i128) -> Result<(), Error> {
        self.integer(number.unsigned_abs().try_into().ok(), number < 0, number);
        Ok(())
    }

    fn serialize_u8(self, number: u8) -> Result<(), Error> {
        self.serialize_u64(number.into())
    }

    fn serialize_u16(self, number: u16) -> Result<(), Error> {
        self.serialize_u64(number.into())
    }

    fn serialize_u32(self, number: u32) -> Result<(), Error> {
        self.serialize_u64(number.into())
    }

    fn serialize_u64(self, number: u64) -> Result<(), Error> {
        self.integer(Some(number), false, number);
        Ok(())
    }

    fn serialize_u128(self, number: u128) -> Result<(), Error> {
        self.integer(number.try_into().ok(), false, number);
        Ok(())
    }

    fn serialize_f32(self, number: f32) -> Result<(), Error> {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Result<(), Error> {
        self.double(number);
        Ok(())
    }

    fn serialize_char(self, character: char) -> Result<(), Error> {
        self.serialize_str(character.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Result<(), Error> {
        write_string(text, |piece| self.sink.write(piece));
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.collect_seq(bytes)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.sink.write(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.in_variant(variant);
        value.serialize(&mut *self)?;
        self.end_object();
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Array<'a, S>, Error> {
        Ok(Array::begin(self, false))
    }

    fn serialize_tuple(self, _: usize) -> Result<Array<'a, S>, Error> {
        Ok(Array::begin(self, false))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Array<'a, S>, Error> {
        Ok(Array::begin(self, false))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Array<'a, S>, Error> {
        self.in_variant(variant);
        Ok(Array::begin(self, true))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'a, S>, Error> {
        Ok(Object::begin(self, ObjectKind::Plain))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Object<'a, S>, Error> {
        let kind = match name {
            NUMBER => ObjectKind::Number,
            RAW_VALUE => ObjectKind::RawText,
            _ => ObjectKind::Plain,
        };
        Ok(Object::begin(self, kind))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'a, S>, Error> {
        self.in_variant(variant);
        Ok(Object::begin(self, ObjectKind::InVariant))
    }
}

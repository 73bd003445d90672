//! Canonical JSON against the RFC, and against the `serde_json_canonicalizer`.

use std::cell::Cell;
use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::ser::{SerializeStruct as _, SerializeStructVariant as _, SerializeTuple as _};
use serde::ser::{SerializeTupleStruct as _, SerializeTupleVariant as _};
use serde_json::Value;

use super::*;

fn round_trip<T: Serialize + DeserializeOwned>(value: &T) -> Result<(Vec<u8>, T), NotCanonical> {
    let bytes = encode(value)?;
    let back = decode_stable(&bytes)?;
    Ok((bytes, back))
}

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
}

#[test]
fn a_number_that_is_not_finite_is_refused_with_its_place() {
    let error = encode(&[Some(1.0), Some(f64::NAN)]).unwrap_err();
    assert!(
        matches!(&error, NotCanonical::NotFinite { path, .. } if path == "/1"),
        "{error}"
    );
    assert!(encode(&f32::NEG_INFINITY).is_err());
}

#[test]
fn a_member_that_comes_twice_is_refused_with_its_place() {
    #[derive(Serialize)]
    struct Spec {
        rows: u32,
        #[serde(flatten)]
        more: HashMap<String, u32>,
    }
    let more = [("rows".to_owned(), 2)].into();
    let error = encode(&[Spec { rows: 1, more }]).unwrap_err();
    assert!(
        matches!(&error, NotCanonical::MemberTwice { path } if path == "/0/rows"),
        "{error}"
    );
}

#[test]
fn of_several_flaws_the_first_one_in_the_text_is_named() {
    #[derive(Serialize)]
    struct Spec {
        later: u64,
        earlier: u64,
    }
    let spec = Spec {
        later: u64::MAX,
        earlier: u64::MAX - 1,
    };
    let error = encode(&spec).unwrap_err();
    assert!(
        matches!(&error, NotCanonical::Number { path, .. } if path == "/earlier"),
        "{error}"
    );
}

#[test]
fn keys_have_the_order_of_utf_16_and_of_what_they_stand_for() {
    let map: HashMap<_, _> = [
        ("\u{e000}", 1),
        ("🦀", 2),
        ("\u{1}", 3),
        ("a\"", 4),
        ("a ", 5),
    ]
    .into();
    let expected = "{\"\\u0001\":3,\"a \":5,\"a\\\"\":4,\"🦀\":2,\"\u{e000}\":1}";
    assert_eq!(String::from_utf8(encode(&map).unwrap()).unwrap(), expected);
}

struct Members<'a>(&'a [(String, String)]);
impl Serialize for Members<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[test]
fn an_object_larger_than_the_spare_memory_is_put_in_order() {
    // One member is larger than a quarter, and many are out of order.
    let mut members: Vec<(String, String)> = (0..4_000)
        .map(|n| (format!("{:04}", n * 7 % 4_000), "x".repeat(n % 90)))
        .collect();
    for large in ["0000", "2000", "zzzz"] {
        members.insert(
            members.len() / 2,
            (format!("{large} "), "y".repeat(200_000)),
        );
    }
    let text = encode(&Members(&members)).unwrap();
    assert_eq!(text, reference(&Members(&members)).unwrap());
    let same = serialize(&Members(&members), Comparison::with(&text)).unwrap();
    assert!(same.is_equal());
    members[17].1.push('x');
    let other = serialize(&Members(&members), Comparison::with(&text)).unwrap();
    assert!(!other.is_equal());
}

struct Pairs<'a>(&'a [(&'a str, u32)]);

impl Serialize for Pairs<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

#[test]
fn a_comparison_out_of_order_takes_each_member_once_and_whole() {
    let expected = br#"{"a":12,"b":1,"c":1}"#;
    let is_equal = |pairs: &[(&str, u32)]| {
        let compared = serialize(&Pairs(pairs), Comparison::with(expected)).unwrap();
        compared.is_equal()
    };
    assert!(is_equal(&[("c", 1), ("a", 12), ("b", 1)]));
    // The beginning of a number, before another member and as the last one.
    assert!(!is_equal(&[("c", 1), ("a", 1), ("b", 1)]));
    assert!(!is_equal(&[("c", 1), ("b", 1), ("a", 1)]));
    // A member that is missing, another one, and one that comes twice: in order, and out of order.
    assert!(!is_equal(&[("a", 12), ("b", 1)]));
    assert!(!is_equal(&[("b", 1), ("a", 12)]));
    assert!(!is_equal(&[("b", 1), ("a", 12), ("d", 1)]));
    assert!(!is_equal(&[("c", 1), ("a", 12), ("b", 1), ("a", 12)]));
    assert!(!is_equal(&[("a", 12), ("a", 12), ("b", 1), ("c", 1)]));
    assert!(!is_equal(&[("a", 12), ("c", 1), ("a", 12), ("b", 1)]));
}

/// The same by way of a `Value` and the `serde_json_canonicalizer`, which take several times the memory.
fn reference<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let value = serde_json::to_value(value).map_err(|error| error.to_string())?;
    refuse_inexact_numbers(&value, "")?;
    serde_json_canonicalizer::to_vec(&value).map_err(|error| error.to_string())
}

fn refuse_inexact_numbers(value: &Value, path: &str) -> Result<(), String> {
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Number(number) => match number.as_i64().map(i64::unsigned_abs).or(number.as_u64()) {
            Some(amount) if amount > EXACT => Err(path.to_owned()),
            _ => Ok(()),
        },
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| refuse_inexact_numbers(item, &format!("{path}/{index}"))),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            refuse_inexact_numbers(member, &format!("{path}/{name}"))
        }),
        _ => Ok(()),
    }
}

/// Any value, in any form that serde has.
#[derive(Debug, Clone)]
enum Any {
    Bool(bool),
    I8(i8),
    I64(i64),
    I128(i128),
    U16(u16),
    U64(u64),
    U128(u128),
    F32(f32),
    F64(f64),
    Char(char),
    Str(String),
    Bytes(Vec<u8>),
    None,
    Unit,
    UnitVariant(usize),
    Some(Box<Any>),
    Newtype(Box<Any>),
    NewtypeVariant(usize, Box<Any>),
    Seq(Vec<Any>),
    Tuple(Vec<Any>),
    TupleStruct(Vec<Any>),
    TupleVariant(usize, Vec<Any>),
    Map(Vec<(Any, Any)>),
    Struct(Vec<(usize, Any)>),
    StructVariant(usize, Vec<(usize, Any)>),
}

const NAMES: [&str; 10] = [
    "", "a", "b", "ab", "a\"", "\\", "\u{1}\n", "é", "\u{ffff}", "🦀",
];

impl Serialize for Any {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Any::Bool(value) => to.serialize_bool(*value),
            Any::I8(value) => to.serialize_i8(*value),
            Any::I64(value) => to.serialize_i64(*value),
            Any::I128(value) => to.serialize_i128(*value),
            Any::U16(value) => to.serialize_u16(*value),
            Any::U64(value) => to.serialize_u64(*value),
            Any::U128(value) => to.serialize_u128(*value),
            Any::F32(value) => to.serialize_f32(*value),
            Any::F64(value) => to.serialize_f64(*value),
            Any::Char(value) => to.serialize_char(*value),
            Any::Str(value) => to.serialize_str(value),
            Any::Bytes(value) => to.serialize_bytes(value),
            Any::None => to.serialize_none(),
            Any::Unit => to.serialize_unit_struct("Any"),
            Any::UnitVariant(name) => to.serialize_unit_variant("Any", 0, NAMES[*name]),
            Any::Some(value) => to.serialize_some(value),
            Any::Newtype(value) => to.serialize_newtype_struct("Any", value),
            Any::NewtypeVariant(name, value) => {
                to.serialize_newtype_variant("Any", 0, NAMES[*name], value)
            }
            Any::Seq(items) => {
                let mut to = to.serialize_seq(None)?;
                items
                    .iter()
                    .try_for_each(|item| to.serialize_element(item))?;
                to.end()
            }
            Any::Tuple(items) => {
                let mut to = to.serialize_tuple(items.len())?;
                items
                    .iter()
                    .try_for_each(|item| to.serialize_element(item))?;
                to.end()
            }
            Any::TupleStruct(items) => {
                let mut to = to.serialize_tuple_struct("Any", items.len())?;
                items.iter().try_for_each(|item| to.serialize_field(item))?;
                to.end()
            }
            Any::TupleVariant(name, items) => {
                let mut to = to.serialize_tuple_variant("Any", 0, NAMES[*name], items.len())?;
                items.iter().try_for_each(|item| to.serialize_field(item))?;
                to.end()
            }
            Any::Map(members) => {
                let mut to = to.serialize_map(None)?;
                for (key, value) in members {
                    to.serialize_entry(key, value)?;
                }
                to.end()
            }
            Any::Struct(fields) => {
                let mut to = to.serialize_struct("Any", fields.len())?;
                for (name, value) in fields {
                    to.serialize_field(NAMES[*name], value)?;
                }
                to.end()
            }
            Any::StructVariant(name, fields) => {
                let mut to = to.serialize_struct_variant("Any", 0, NAMES[*name], fields.len())?;
                for (name, value) in fields {
                    to.serialize_field(NAMES[*name], value)?;
                }
                to.end()
            }
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(NAMES.as_slice()).prop_map(str::to_owned),
        any::<String>(),
        "[a-c]{0,3}",
    ]
}

fn any_value() -> impl Strategy<Value = Any> {
    let name = || 0..NAMES.len();
    let leaf = prop_oneof![
        any::<bool>().prop_map(Any::Bool),
        any::<i8>().prop_map(Any::I8),
        prop_oneof![any::<i64>(), -(1_i64 << 53) - 1..=-(1 << 53) + 1, -9..9_i64]
            .prop_map(Any::I64),
        prop_oneof![any::<i128>(), -9..9_i128].prop_map(Any::I128),
        any::<u16>().prop_map(Any::U16),
        prop_oneof![any::<u64>(), (1_u64 << 53) - 1..=(1 << 53) + 1, 0..9_u64].prop_map(Any::U64),
        prop_oneof![any::<u128>(), 0..9_u128].prop_map(Any::U128),
        any::<f32>().prop_map(Any::F32),
        prop_oneof![any::<f64>(), prop::num::f64::ANY].prop_map(Any::F64),
        any::<char>().prop_map(Any::Char),
        text().prop_map(Any::Str),
        vec(any::<u8>(), 0..4).prop_map(Any::Bytes),
        Just(Any::None),
        Just(Any::Unit),
        name().prop_map(Any::UnitVariant),
    ];
    // Most keys are texts, so that most maps are written.
    let key = prop_oneof![9 => text().prop_map(Any::Str), 1 => leaf.clone()];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let fields = || {
            let names = prop::sample::subsequence((0..NAMES.len()).collect::<Vec<_>>(), 0..6);
            (names.prop_shuffle(), vec(inner.clone(), 6))
                .prop_map(|(names, values)| names.into_iter().zip(values).collect::<Vec<_>>())
        };
        let twice = vec((name(), inner.clone()), 0..4);
        let boxed = || inner.clone().prop_map(Box::new);
        let items = || vec(inner.clone(), 0..4);
        prop_oneof![
            1 => boxed().prop_map(Any::Some),
            1 => boxed().prop_map(Any::Newtype),
            1 => (name(), boxed()).prop_map(|(name, value)| Any::NewtypeVariant(name, value)),
            1 => items().prop_map(Any::Seq),
            1 => items().prop_map(Any::Tuple),
            1 => items().prop_map(Any::TupleStruct),
            1 => (name(), items()).prop_map(|(name, items)| Any::TupleVariant(name, items)),
            4 => vec((key.clone(), inner.clone()), 0..6).prop_map(Any::Map),
            4 => fields().prop_map(Any::Struct),
            1 => twice.prop_map(Any::Struct),
            2 => (name(), fields()).prop_map(|(name, fields)| Any::StructVariant(name, fields)),
        ]
    })
}

/// Serializes the members of objects from the last to the first.
struct Backwards<'a>(&'a Value);

impl Serialize for Backwards<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => to.collect_seq(items.iter().map(Backwards)),
            Value::Object(members) => {
                let members = members.iter().rev();
                to.collect_map(members.map(|(key, value)| (key, Backwards(value))))
            }
            other => other.serialize(to),
        }
    }
}

/// Changes the part of the value that is the `n`-th.
fn change(value: &mut Value, n: &mut usize, to: &Value) {
    if *n == 0 {
        *value = to.clone();
    }
    *n = n.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| change(item, n, to)),
        Value::Object(members) => {
            if *n == 0
                && let Some(key) = members.keys().next().cloned()
            {
                members.remove(&key);
            }
            members
                .values_mut()
                .for_each(|member| change(member, n, to));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_written_is_what_the_reference_writes(value in any_value()) {
        match (encode(&value), reference(&value)) {
            (Ok(written), expected) => {
                prop_assert_eq!(Ok(&written), expected.as_ref());
                let same = serialize(&value, Comparison::with(&written)).unwrap();
                prop_assert!(same.is_equal());
            }
            // The reference writes null for NaN, and takes the last of two members of one name.
            (Err(NotCanonical::NotFinite { .. } | NotCanonical::MemberTwice { .. }), _) => {}
            (Err(NotCanonical::Number { path, .. }), Err(expected)) => {
                prop_assert!(expected == path || expected == "number out of range", "{} {}", path, expected);
            }
            (Err(NotCanonical::Serialize(error)), Err(expected)) => {
                let said = error.to_string();
                prop_assert!(said == expected || expected == "number out of range", "{} {}", said, expected);
            }
            (Err(error), expected) => prop_assert!(false, "{error} where {expected:?} is expected"),
        }
    }

    #[test]
    fn a_comparison_says_whether_the_texts_are_equal(
        value in any_value(),
        other in any_value(),
        n in 0..12_usize,
    ) {
        // A double beyond 2^53 is an integer of that size when it is read as a `Value`.
        let read = |value| decode::<Value>(&encode(&value).ok()?).ok();
        let (Some(value), Some(to)) = (read(value), read(other)) else {
            return Ok(());
        };
        let mut changed = value.clone();
        change(&mut changed, &mut n.clone(), &to);
        let (Ok(written), Ok(expected)) = (encode(&Backwards(&value)), encode(&changed)) else {
            return Ok(());
        };
        prop_assert_eq!(&written, &encode(&value).unwrap());
        let compared = serialize(&Backwards(&value), Comparison::with(&expected)).unwrap();
        prop_assert_eq!(compared.is_equal(), written == expected);
    }
}

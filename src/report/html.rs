//! The report as HTML.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use serde_json::Value;

use super::model::Content;
use super::timeline::{ROW, bars};
use crate::base::printable::Printable;

pub(super) fn page(content: &Content) -> String {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let bars = bars(content);
    let height = bars.len() * ROW;
    let shown = |value: Result<Value, _>| {
        minijinja::Value::from(Serde(printable(value.unwrap_or_default())))
    };
    let rendered = environment.render_str(
        include_str!("template.html"),
        context! {
            report => shown(serde_json::to_value(content)),
            bars => shown(serde_json::to_value(&bars)),
            height => height,
        },
    );
    // The template is a constant, and a test renders each of its branches.
    rendered.unwrap_or_else(|error| format!("<!doctype html><title>phasegate</title><p>{error}"))
}

/// Returns the value with each text made visible: no character changes the direction or the line, and none is longer
/// than a reader can take in.
fn printable(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(Printable(&text).to_string()),
        Value::Array(values) => values.into_iter().map(printable).collect(),
        Value::Object(values) => {
            let values = values.into_iter();
            values.map(|(key, value)| (key, printable(value))).collect()
        }
        other => other,
    }
}

//! Values as Python writes them.

use std::time::Duration;

use serde_json::Value;

/// The names of `timedelta`'s arguments and their seconds, the greatest first.
const UNITS: [(&str, u64); 4] = [("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1)];

/// A string of JSON is one of Python too: it has the same escapes, and quotes whatever could end it.
pub(super) fn text(text: &str) -> String {
    Value::from(text).to_string()
}

pub(super) fn boolean(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

pub(super) fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|one| text(one)).collect();
    format!("[{}]", texts.join(", "))
}

/// In the greatest unit that the duration is a multiple of.
pub(super) fn timedelta(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let fits = |(_, unit): &&(&str, u64)| seconds > 0 && seconds.is_multiple_of(*unit);
    let (unit, length) = UNITS.iter().find(fits).unwrap_or(&("seconds", 1));
    format!("timedelta({unit}={})", seconds / length)
}

/// Dictionaries and lists, a line each value, indented by so many steps.
pub(super) fn value(value: &Value, steps: usize) -> String {
    let (inner, outer) = ("    ".repeat(steps + 1), "    ".repeat(steps));
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(flag) => boolean(*flag).to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(string) => text(string),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        Value::Array(items) => {
            let lines: String =
                items.iter().map(|item| format!("{inner}{},\n", self::value(item, steps + 1))).collect();
            format!("[\n{lines}{outer}]")
        }
        Value::Object(entries) => {
            let line =
                |(key, item): (&String, &Value)| format!("{inner}{}: {},\n", text(key), self::value(item, steps + 1));
            let lines: String = entries.iter().map(line).collect();
            format!("{{\n{lines}{outer}}}")
        }
    }
}

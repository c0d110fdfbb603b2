//! The functions of templates: Go's own, and those that Docker adds.

use std::cmp::Ordering;

use serde_json::Value;

use super::printf::printf;
use super::render::printed;

/// What `if` and `and` take for true: anything but nothing.
pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(items) => !items.is_empty(),
    }
}

/// Calls a function.
///
/// Errors: a function that isn't known, arguments that don't fit it.
pub fn call(name: &str, arguments: Vec<Value>) -> Result<Value, String> {
    let texts: Vec<String> = arguments.iter().map(printed).collect();
    Ok(match (name, arguments.as_slice()) {
        ("json", [value]) => value.to_string().into(),
        ("upper", [_]) => texts[0].to_uppercase().into(),
        ("lower", [_]) => texts[0].to_lowercase().into(),
        ("title", [_]) => title(&texts[0]).into(),
        ("print", _) => texts.concat().into(),
        ("println", _) => (texts.join(" ") + "\n").into(),
        ("printf", [Value::String(format), values @ ..]) => printf(format, values).into(),
        ("html", [_, ..]) => html(&texts.concat()).into(),
        ("js", [_, ..]) => js(&texts.concat()).into(),
        ("urlquery", [_, ..]) => urlquery(&texts.concat()).into(),
        ("len", [value]) => length(value)?.into(),
        ("join", [Value::Array(items), Value::String(between)]) => {
            items.iter().map(printed).collect::<Vec<_>>().join(between).into()
        }
        ("join", [Value::Null, _]) => "".into(),
        ("split", [Value::String(text), Value::String(at)]) => text.split(at.as_str()).collect(),
        ("truncate", [Value::String(text), Value::Number(length)]) => {
            text.chars().take(length.as_u64().unwrap_or_default() as usize).collect::<String>().into()
        }
        ("pad", [Value::String(text), _, _]) if text.is_empty() => "".into(),
        ("pad", [Value::String(text), before, after]) => {
            let spaces = |count: &Value| " ".repeat(count.as_u64().unwrap_or_default().min(1000) as usize);
            (spaces(before) + text + &spaces(after)).into()
        }
        ("index", [value, path @ ..]) => index(value, path)?,
        ("slice", [Value::String(text), bounds @ ..]) => slice(text, bounds)?.into(),
        ("not", [value]) => (!is_true(value)).into(),
        ("and", [.., last]) => arguments.iter().find(|value| !is_true(value)).unwrap_or(last).clone(),
        ("or", [.., last]) => arguments.iter().find(|value| is_true(value)).unwrap_or(last).clone(),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            others.iter().any(|other| other == first).into()
        }
        ("ne", [first, second]) => (first != second).into(),
        ("lt" | "le" | "gt" | "ge", [first, second]) => {
            let order = compare(first, second).ok_or("incompatible types for comparison")?;
            match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }
            .into()
        }
        _ if FUNCTIONS.contains(&name) => return Err(format!("wrong arguments for {name}")),
        _ => return Err(format!("function {name:?} not defined")),
    })
}

const FUNCTIONS: [&str; 26] = [
    "json", "upper", "lower", "title", "print", "println", "printf", "len", "join", "split", "truncate",
    "pad", "index", "slice", "not", "and", "or", "eq", "ne", "lt", "le", "gt", "ge", "html", "js",
    "urlquery",
];

fn title(text: &str) -> String {
    let mut starts = true;
    let raised = text.chars().map(|character| {
        let raised = if starts { character.to_ascii_uppercase() } else { character };
        starts = character.is_whitespace();
        raised
    });
    raised.collect()
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(items) => Ok(items.len()),
        Value::Object(items) => Ok(items.len()),
        Value::Null => Ok(0),
        value => Err(format!("len of {}", printed(value))),
    }
}

/// A map gives nothing for a key that isn't there; a list has to have the place.
fn index(value: &Value, path: &[Value]) -> Result<Value, String> {
    path.iter().try_fold(value.clone(), |value, key| match (&value, key) {
        (Value::Array(items), Value::Number(at)) => {
            let at = at.as_u64().and_then(|at| usize::try_from(at).ok());
            at.and_then(|at| items.get(at)).cloned().ok_or_else(|| format!("index out of range: {key}"))
        }
        (Value::Object(items), Value::String(key)) => {
            Ok(items.get(key).cloned().unwrap_or_else(|| "".into()))
        }
        (Value::Null, _) => Ok("".into()),
        _ => Err(format!("can't index {} by {}", printed(&value), printed(key))),
    })
}

fn slice(text: &str, bounds: &[Value]) -> Result<String, String> {
    let bound = |at: usize, default: usize| match bounds.get(at) {
        Some(bound) => {
            bound.as_u64().and_then(|bound| usize::try_from(bound).ok()).ok_or("slice: not a number")
        }
        None => Ok(default),
    };
    let (from, to) = (bound(0, 0)?, bound(1, text.len())?);
    text.get(from..to).map(str::to_owned).ok_or_else(|| format!("slice: out of range: {from}:{to}"))
}

fn compare(first: &Value, second: &Value) -> Option<Ordering> {
    match (first, second) {
        (Value::Number(first), Value::Number(second)) => first.as_f64()?.partial_cmp(&second.as_f64()?),
        (Value::String(first), Value::String(second)) => Some(first.cmp(second)),
        _ => None,
    }
}

/// Text in quotes, in which what can't be printed is written as Go writes it.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            '\u{7}' => quoted += "\\a",
            '\u{8}' => quoted += "\\b",
            '\u{b}' => quoted += "\\v",
            '\u{c}' => quoted += "\\f",
            '\0'..' ' | '\u{7f}' => quoted += &format!("\\x{:02x}", u32::from(letter)),
            '\u{80}'..='\u{a0}'
            | '\u{ad}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{feff}' => {
                quoted += &format!("\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted + "\""
}

/// Text in which nothing is markup, as Go escapes it.
fn html(text: &str) -> String {
    let escaped = text.chars().map(|letter| match letter {
        '\0' => "\u{fffd}".to_owned(),
        '"' => "&#34;".to_owned(),
        '\'' => "&#39;".to_owned(),
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        letter => letter.to_string(),
    });
    escaped.collect()
}

/// Text for a string of JavaScript, as Go escapes it.
fn js(text: &str) -> String {
    let escaped = text.chars().map(|letter| match letter {
        '\\' | '\'' | '"' => format!("\\{letter}"),
        '<' | '>' | '&' | '=' | '\0'..=' ' if letter != ' ' => format!("\\u{:04X}", u32::from(letter)),
        letter => letter.to_string(),
    });
    escaped.collect()
}

/// Text for the query of a URL.
fn urlquery(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b' ' => "+".to_owned(),
        b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    escaped.collect()
}

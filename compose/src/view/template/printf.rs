//! `printf`: Go's verbs, with flags, width and precision, over JSON. What doesn't fit is said in Go's words.
//!
//! Source: Go's `fmt`.

use serde_json::Value;

use super::functions::quoted;
use super::render::printed;

/// What a width or a precision may be at most, so that nobody fills the memory.
const COLUMNS_MAX: usize = 1000;

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Debug, Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The text of a format with its values.
pub fn printf(format: &str, values: &[Value]) -> String {
    let mut values = values.iter();
    let mut text = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let (spec, after) = spec(after, &mut values);
        let Some(verb) = after.chars().next() else {
            text.push_str("%!(NOVERB)");
            rest = "";
            break;
        };
        rest = &after[verb.len_utf8()..];
        if verb == '%' {
            text.push('%');
            continue;
        }
        match values.next() {
            Some(value) => text.push_str(&of_value(value, verb, spec)),
            None => text.push_str(&format!("%!{verb}(MISSING)")),
        }
    }
    text.push_str(rest);
    let extra: Vec<String> = values.map(named).collect();
    if extra.is_empty() { text } else { format!("{text}%!(EXTRA {})", extra.join(", ")) }
}

/// Reads flags, a width and a precision, each a number or `*` for a value, and gives the text from the verb on.
fn spec<'a>(mut rest: &'a str, values: &mut std::slice::Iter<'_, Value>) -> (Spec, &'a str) {
    let mut spec = Spec::default();
    while let Some(flag) = rest.chars().next().filter(|flag| "-+# 0".contains(*flag)) {
        match flag {
            '-' => spec.minus = true,
            '+' => spec.plus = true,
            '#' => spec.sharp = true,
            ' ' => spec.space = true,
            _ => spec.zero = true,
        }
        rest = &rest[1..];
    }
    let mut number = |rest: &mut &'a str| {
        if let Some(after) = rest.strip_prefix('*') {
            *rest = after;
            return values.next().and_then(Value::as_i64);
        }
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, after) = rest.split_at(end);
        *rest = after;
        (!digits.is_empty()).then(|| digits.parse().unwrap_or(i64::MAX))
    };
    let bounded = |number: i64| usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX).min(COLUMNS_MAX);
    if let Some(width) = number(&mut rest) {
        spec.minus |= width < 0;
        spec.width = Some(bounded(width));
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = after;
        spec.precision = Some(number(&mut rest).map_or(0, bounded));
    }
    (spec, rest)
}

fn of_value(value: &Value, verb: char, spec: Spec) -> String {
    if verb == 'T' {
        return padded(kind(value), spec);
    }
    match value {
        Value::Null if verb == 'v' => padded("<nil>", spec),
        Value::Null => format!("%!{verb}(<nil>)"),
        Value::Bool(of) if "tv".contains(verb) => padded(&of.to_string(), spec),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => of_integer(integer, verb, spec),
            None => of_float(number.as_f64().unwrap_or_default(), verb, spec),
        },
        Value::String(text) => of_text(text, verb, spec),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| of_value(item, verb, spec)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(items) => {
            let key = |key: &str| of_text(key, verb, spec);
            let item =
                |(name, item): (&String, &Value)| format!("{}:{}", key(name), of_value(item, verb, spec));
            format!("map[{}]", items.iter().map(item).collect::<Vec<_>>().join(" "))
        }
        Value::Bool(_) => wrong(value, verb),
    }
}

fn of_text(text: &str, verb: char, spec: Spec) -> String {
    let cut = || text.chars().take(spec.precision.unwrap_or(usize::MAX)).collect::<String>();
    match verb {
        'v' if spec.sharp => padded(&quoted(&cut()), spec),
        's' | 'v' => padded(&cut(), spec),
        'q' if spec.sharp && !text.contains(['`', '\u{7f}']) => padded(&format!("`{}`", cut()), spec),
        'q' => padded(&quoted(&cut()), spec),
        'x' | 'X' => {
            let bytes = text.bytes().take(spec.precision.unwrap_or(usize::MAX));
            let hex =
                bytes.map(|byte| if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") });
            padded(&hex.collect::<Vec<_>>().join(if spec.space { " " } else { "" }), spec)
        }
        verb => wrong(&Value::from(text), verb),
    }
}

fn of_integer(integer: i64, verb: char, spec: Spec) -> String {
    let size = integer.unsigned_abs();
    let letter = || u32::try_from(integer).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let (before, digits) = match verb {
        'd' | 'v' => ("", size.to_string()),
        'b' => (if spec.sharp { "0b" } else { "" }, format!("{size:b}")),
        'o' => (if spec.sharp { "0" } else { "" }, format!("{size:o}")),
        'O' => ("0o", format!("{size:o}")),
        'x' => (if spec.sharp { "0x" } else { "" }, format!("{size:x}")),
        'X' => (if spec.sharp { "0X" } else { "" }, format!("{size:X}")),
        'c' => return padded(&letter().to_string(), spec),
        'q' => return padded(&format!("'{}'", letter()), spec),
        'U' => return padded(&format!("U+{size:04X}"), spec),
        verb => return wrong(&Value::from(integer), verb),
    };
    let sign = sign(integer < 0, verb, spec);
    // Zeros fill the width, unless a precision says how many digits there are.
    let of_width = spec.width.filter(|_| spec.zero && !spec.minus && spec.precision.is_none());
    let least = spec.precision.or(of_width.map(|width| width.saturating_sub(sign.len()))).unwrap_or(0);
    padded(&format!("{sign}{before}{digits:0>least$}"), Spec { zero: false, ..spec })
}

fn of_float(float: f64, verb: char, spec: Spec) -> String {
    let size = float.abs();
    let digits = match verb {
        'f' | 'F' => format!("{size:.*}", spec.precision.unwrap_or(6)),
        'e' | 'E' => with_exponent(&format!("{size:.*e}", spec.precision.unwrap_or(6))),
        'g' | 'G' | 'v' => shortest(size, spec.precision),
        verb => return wrong(&Value::from(float), verb),
    };
    let digits = if verb.is_uppercase() { digits.to_uppercase() } else { digits };
    let sign = sign(float < 0.0, verb, spec);
    let of_width = spec.width.filter(|_| spec.zero && !spec.minus).unwrap_or(0);
    let least = of_width.saturating_sub(sign.len());
    padded(&format!("{sign}{digits:0>least$}"), Spec { zero: false, ..spec })
}

/// As few digits as tell the number, or so many, with an exponent where it is far from 1.
fn shortest(size: f64, precision: Option<usize>) -> String {
    let scientific = match precision {
        Some(digits) => format!("{size:.*e}", digits.max(1) - 1),
        None => format!("{size:e}"),
    };
    let exponent: i32 =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let most = precision.map_or(21, |digits| i32::try_from(digits.max(1)).unwrap_or(21));
    let stripped = |number: &str| {
        let digits = if number.contains('.') { number.trim_end_matches('0') } else { number };
        digits.trim_end_matches('.').to_owned()
    };
    if exponent < -4 || exponent >= most {
        let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        return with_exponent(&format!("{}e{exponent}", stripped(digits)));
    }
    match precision {
        None => size.to_string(),
        Some(_) => stripped(&format!("{size:.*}", usize::try_from(most - 1 - exponent).unwrap_or(0))),
    }
}

/// Go's exponents have a sign and two digits.
fn with_exponent(number: &str) -> String {
    let (digits, exponent) = number.split_once('e').unwrap_or((number, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `%+v` says more of structures, and nothing of numbers.
fn sign(is_negative: bool, verb: char, spec: Spec) -> &'static str {
    if is_negative {
        "-"
    } else if spec.plus && verb != 'v' {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    }
}

fn padded(text: &str, spec: Spec) -> String {
    let width = spec.width.unwrap_or(0);
    match (spec.minus, spec.zero) {
        (true, _) => format!("{text:<width$}"),
        (false, true) => format!("{text:0>width$}"),
        (false, false) => format!("{text:>width$}"),
    }
}

/// What Go prints for a verb that isn't for such a value.
fn wrong(value: &Value, verb: char) -> String {
    format!("%!{verb}({})", named(value))
}

fn named(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        value => format!("{}={}", kind(value), printed(value)),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_go_prints() {
        for (format, values, text) in [
            ("%.3s|%8.3s|%-6s|%6s", json!(["0123", "0123", "ab", "é"]), "012|     012|ab    |     é"),
            ("%05d|%-5d|%+d|%5d|% d", json!([42, 42, 42, -42, 42]), "00042|42   |+42|  -42| 42"),
            ("%05d|%.5d|%8.5d", json!([-42, 42, -42]), "-0042|00042|  -00042"),
            (
                "%x|%X|%#x|%o|%b|%c|%U|%q",
                json!([255, 255, 255, 8, 5, 65, 65, 65]),
                "ff|FF|0xff|10|101|A|U+0041|'A'",
            ),
            ("%x|% X|%q|%#q|%#v", json!(["hi", "hi", "a\"\n", "a\"", "a"]), r#"6869|68 69|"a\"\n"|`a"`|"a""#),
            ("%v|%+v|%t|%v|%T", json!([1, 1, true, null, "x"]), "1|1|true|<nil>|string"),
            ("%v|%q|%d", json!([["a", "b"], ["a"], [1, 2]]), r#"[a b]|["a"]|[1 2]"#),
            ("%v|%s", json!([{"a": 1}, {"a": "b"}]), "map[a:1]|map[a:b]"),
            (
                "%f|%.2f|%8.3f|%08.3f|%e",
                json!([1.5, 1.5, -1.5, -1.5, 1234.5]),
                "1.500000|1.50|  -1.500|-001.500|1.234500e+03",
            ),
            ("%v|%g|%.3g|%.2g", json!([0.25, 1e21, 1234.5, 0.5]), "0.25|1e+21|1.23e+03|0.5"),
            ("%*d|%-*d|%.*s", json!([4, 7, 3, 7, 2, "abc"]), "   7|7  |ab"),
            ("%d%%|100%", json!([7]), "7%|100%!(NOVERB)"),
            (
                "%d|%s|%t|%y|%d",
                json!(["x", 7, 1, "a", null]),
                "%!d(string=x)|%!s(int=7)|%!t(int=1)|%!y(string=a)|%!d(<nil>)",
            ),
            ("%s %s", json!(["a"]), "a %!s(MISSING)"),
            ("%s", json!(["a", 1, null]), "a%!(EXTRA int=1, <nil>)"),
            ("%s", json!([true]), "%!s(bool=true)"),
        ] {
            assert_eq!(printf(format, values.as_array().expect("a list")), text, "{format}");
        }
    }
}

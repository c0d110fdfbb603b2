//! Files of variables: `.env`, `env_file`, `label_file`.

use super::interpolate::Variables;
use super::types::Map;

/// Reads the lines of `text`, whose variables are looked up in `outside` and then in the lines before.
///
/// Errors: `LINE: what is wrong`.
pub fn parse(text: &str, outside: &dyn Fn(&str) -> Option<String>) -> Result<Map<String>, String> {
    let mut found = Map::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(found);
        }
        let line = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let wrong = |what: String| format!("{line}: {what}");
        if rest.starts_with('#') {
            rest = after_line(rest);
            continue;
        }
        let (name, after) = name(rest).map_err(wrong)?;
        match after {
            // A name alone stands for the variable of outside.
            None => {
                if let Some(value) = outside(name) {
                    found.insert(name.to_owned(), value);
                }
                rest = after_line(rest);
            }
            Some(after) => {
                let (value, after) = value(after, &|name| outside(name).or_else(|| found.get(name).cloned()));
                found.insert(name.to_owned(), value.map_err(wrong)?);
                rest = after;
            }
        }
    }
}

/// Reads `NAME=VALUE` lines whose values are taken as they are: the format `raw` of `env_file`.
pub fn parse_raw(text: &str) -> Map<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.to_owned()))
        .collect()
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, after)| after)
}

/// The name that a line begins with, and what follows its `=` or `:`, if there is one.
fn name(text: &str) -> Result<(&str, Option<&str>), String> {
    let exported = text.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let text = exported.unwrap_or(text).trim_start_matches([' ', '\t']);
    let line = text.split('\n').next().unwrap_or_default();
    let end = line.find(['=', ':']).unwrap_or(line.len());
    let name = line[..end].trim();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
    match name.chars().find(|c| !is_part(*c)) {
        Some(c) => Err(format!("{c:?} can't be in the name of a variable: {name:?}")),
        None if name.is_empty() => Err("a variable without a name".to_owned()),
        None => Ok((name, (end < line.len()).then(|| &text[end + 1..]))),
    }
}

/// The value that `text` begins with, and what follows it.
fn value<'a>(text: &'a str, lookup: &dyn Fn(&str) -> Option<String>) -> (Result<String, String>, &'a str) {
    let text = text.trim_start_matches([' ', '\t', '\r']);
    let mut variables = Variables::new(lookup);
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => match quoted(&text[1..], quote) {
            Some((value, after)) if quote == '"' => (variables.expand(&escapes(&value)), after),
            Some((value, after)) => (Ok(value), after),
            None => (Err("a quote that isn't closed".to_owned()), ""),
        },
        _ => {
            let line = text.split('\n').next().unwrap_or_default();
            let value = line.split(" #").next().unwrap_or_default().trim_end();
            (variables.expand(value), after_line(text))
        }
    }
}

/// The text up to the closing quote, where a backslash before a quote is gone, and what follows the quote.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, &text[at + c.len_utf8()..])),
            '\\' => match chars.next() {
                Some((_, next)) if next == quote => value.push(next),
                Some((_, next)) => value.extend(['\\', next]),
                None => return None,
            },
            c => value.push(c),
        }
    }
    None
}

/// The text with its escapes carried out, and `\$` as the `$$` that isn't a variable.
fn escapes(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some('$') => out.push_str("$$"),
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn read(text: &str) -> Vec<(String, String)> {
        parse(text, &|name| (name == "OUT").then(|| "side".to_owned())).unwrap().into_iter().collect()
    }

    #[test]
    fn values_are_plain_quoted_or_inherited() {
        let text = "# comment\nA=1 # one\nexport B = \"x\\ty $A ${OUT}\"\nC='$A \\' \"'\nOUT\nGONE\nD: y\nE=\nF=a#b\n\
                    G=\"two\nlines\"\nH=\"\\$A\"\r\nI=$A-$OUT";
        let expected = [
            ("A", "1"),
            ("B", "x\ty 1 side"),
            ("C", "$A ' \""),
            ("D", "y"),
            ("E", ""),
            ("F", "a#b"),
            ("G", "two\nlines"),
            ("H", "$A"),
            ("I", "1-side"),
            ("OUT", "side"),
        ];
        let expected: Vec<_> = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(read(text), expected);
    }

    #[test]
    fn errors_name_the_line() {
        let error = |text| parse(text, &|_| None).unwrap_err();
        assert_eq!(error("A=1\n\nB='x"), "3: a quote that isn't closed");
        assert_eq!(error("A=1\nB C=1"), "2: ' ' can't be in the name of a variable: \"B C\"");
        assert_eq!(error("=1"), "1: a variable without a name");
        assert_eq!(error("A=${B:?needed}"), "1: needs the variable B: needed");
    }
}

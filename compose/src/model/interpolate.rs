//! Variables in values: `$V`, `${V}`, `${V:-default}`, `${V:?message}`, `${V:+instead}`, nested; `$$` is a `$`.

use super::node::{Node, Path, Value};
use crate::error::Result;
use serde::Serialize;
use std::collections::BTreeSet;

/// Variables within each other at most, so that no stack overflows.
const DEPTH_MAX: usize = 32;

/// Where variables are looked up, and which of them weren't there.
pub struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    /// The variables that were asked for in vain and have no default.
    pub unset: BTreeSet<String>,
}

impl<'a> Variables<'a> {
    /// Variables that `lookup` finds.
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Variables<'a> {
        Variables { lookup, unset: BTreeSet::new() }
    }

    /// Puts values in place of variables, in each text of the tree. Keys are left alone.
    ///
    /// Errors: what isn't a variable's form, and what `${V:?}` asks for and isn't there.
    pub fn fill(&mut self, node: &mut Node, path: &Path) -> Result<()> {
        match &mut node.value {
            Value::Text(text) if text.contains('$') => {
                *text = self.expand(text).map_err(|what| node.place.wrong(path, what))?;
                Ok(())
            }
            Value::List(items) => {
                items.iter_mut().enumerate().try_for_each(|(index, item)| self.fill(item, &path.index(index)))
            }
            Value::Mapping(mapping) => {
                mapping.iter_mut().try_for_each(|(key, entry)| self.fill(&mut entry.node, &path.key(key)))
            }
            _ => Ok(()),
        }
    }

    /// Puts values in place of variables in one text.
    pub fn expand(&mut self, text: &str) -> Result<String, String> {
        self.expand_within(text, 0)
    }

    fn expand_within(&mut self, text: &str, depth: usize) -> Result<String, String> {
        if depth > DEPTH_MAX {
            return Err(format!("has variables more than {DEPTH_MAX} deep in each other"));
        }
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            filled.push_str(&rest[..dollar]);
            let after = &rest[dollar + 1..];
            rest = if let Some(after) = after.strip_prefix('$') {
                filled.push('$');
                after
            } else if let Some(braced) = after.strip_prefix('{') {
                let end = closing_brace(braced).ok_or_else(|| malformed(text))?;
                filled.push_str(&self.braced(&braced[..end], depth)?);
                &braced[end + 1..]
            } else {
                let (name, after) = split_name(after);
                if name.is_empty() {
                    filled.push('$');
                } else {
                    filled.push_str(&self.value(name));
                }
                after
            };
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// The value of what stands between braces.
    fn braced(&mut self, inside: &str, depth: usize) -> Result<String, String> {
        let (name, rest) = split_name(inside);
        if name.is_empty() {
            return Err(malformed(inside));
        }
        if rest.is_empty() {
            return Ok(self.value(name));
        }
        let (strict, rest) = rest.strip_prefix(':').map_or((false, rest), |rest| (true, rest));
        let mut operators = rest.chars();
        let operator = operators.next();
        let word = operators.as_str();
        // After a colon, an empty value counts as none.
        let value = (self.lookup)(name).filter(|value| !(strict && value.is_empty()));
        match (operator, value) {
            (Some('-' | '?'), Some(value)) => Ok(value),
            (Some('-'), None) => self.expand_within(word, depth + 1),
            (Some('?'), None) => {
                let message = self.expand_within(word, depth + 1)?;
                let colon = if message.is_empty() { "" } else { ": " };
                Err(format!("needs the variable {name}{colon}{message}"))
            }
            (Some('+'), Some(_)) => self.expand_within(word, depth + 1),
            (Some('+'), None) => Ok(String::new()),
            _ => Err(malformed(inside)),
        }
    }

    fn value(&mut self, name: &str) -> String {
        (self.lookup)(name).unwrap_or_else(|| {
            self.unset.insert(name.to_owned());
            String::new()
        })
    }
}

/// A variable as a text asks for it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Asked {
    pub name: String,
    /// What stands in its place where it isn't set.
    pub default_value: String,
    /// What stands in its place where it is set.
    pub presence_value: String,
    /// Whether it has to be set.
    pub required: bool,
}

/// The variables that a text asks for, those within others too. What is no variable's form is passed over.
pub fn asked(text: &str) -> Vec<Asked> {
    let mut found = Vec::new();
    asked_within(text, 0, &mut found);
    found
}

fn asked_within(text: &str, depth: usize, found: &mut Vec<Asked>) {
    let mut rest = text;
    while let Some(dollar) = rest.find('$').filter(|_| depth <= DEPTH_MAX) {
        let after = &rest[dollar + 1..];
        rest = if let Some(after) = after.strip_prefix('$') {
            after
        } else if let Some(braced) = after.strip_prefix('{') {
            let Some(end) = closing_brace(braced) else { return };
            let (name, said) = split_name(&braced[..end]);
            let said = said.strip_prefix(':').unwrap_or(said);
            let mut asked = Asked { name: name.to_owned(), ..Asked::default() };
            match said.split_at_checked(1) {
                Some(("-", word)) => asked.default_value = word.to_owned(),
                Some(("+", word)) => asked.presence_value = word.to_owned(),
                Some(("?", _)) => asked.required = true,
                _ => {}
            }
            found.extend((!name.is_empty()).then_some(asked));
            asked_within(said, depth + 1, found);
            &braced[end + 1..]
        } else {
            let (name, after) = split_name(after);
            let asked = Asked { name: name.to_owned(), ..Asked::default() };
            found.extend((!name.is_empty()).then_some(asked));
            after
        };
    }
}

fn malformed(text: &str) -> String {
    format!("has a variable that isn't of the form ${{NAME}}: {text:?}; a `$` of its own is written `$$`")
}

fn split_name(text: &str) -> (&str, &str) {
    let is_part = |c: char| c == '_' || c.is_ascii_alphanumeric();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return ("", text);
    }
    text.split_at(text.find(|c: char| !is_part(c)).unwrap_or(text.len()))
}

/// Where the brace is closed that was opened before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Asked, Variables, asked};

    fn expand(text: &str) -> Result<String, String> {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "B" => Some("$A".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Variables::new(&lookup).expand(text)
    }

    #[test]
    fn each_form_of_a_variable_gives_its_value() {
        for (text, filled) in [
            ("$A-${A}-$$A-$", "a-a-$A-$"),
            ("$1 $.x ${B}", "$1 $.x $A"),
            ("${U-d}${EMPTY-d}${A-d}", "da"),
            ("${U:-d}${EMPTY:-d}${A:-d}", "dda"),
            ("${U+d}${EMPTY+d}${A+d}", "dd"),
            ("${U:+d}${EMPTY:+d}${A:+d}", "d"),
            ("${U:-${V:-${A}}}/${EMPTY:-$A b}", "a/a b"),
            ("${U:-{\"k\": 1}} x", "{\"k\": 1} x"),
            ("${A:-${U:?never asked}}", "a"),
            ("${A:?x}${EMPTY?x}", "a"),
            ("é$A", "éa"),
        ] {
            assert_eq!(expand(text).as_deref(), Ok(filled), "{text}");
        }
    }

    #[test]
    fn what_a_text_asks_for_is_known_with_its_defaults() {
        let of = |name: &str| Asked { name: name.to_owned(), ..Asked::default() };
        let default = |name: &str, text: &str| Asked { default_value: text.to_owned(), ..of(name) };
        let nested = vec![default("B", "${C:-d}"), default("C", "d")];
        assert_eq!(asked("$A $$X é${B:-${C:-d}}"), [vec![of("A")], nested].concat());
        let set = Asked { presence_value: "x".to_owned(), ..of("S") };
        let required = Asked { required: true, ..of("R") };
        assert_eq!(
            asked("${S:+x}${R?why}${E:?é} ${open"),
            [set, required, Asked { required: true, ..of("E") }]
        );
        assert_eq!(asked("$ $1 ${} é$"), []);
    }

    #[test]
    fn what_is_no_variable_is_an_error() {
        for text in ["${", "${}", "${A", "${A!x}", "${1}", "${A:}", "${A:x}"] {
            assert!(expand(text).is_err_and(|what| what.contains("isn't of the form")), "{text}");
        }
        assert_eq!(expand("${U:?set ${A}}"), Err("needs the variable U: set a".to_owned()));
        assert_eq!(expand("${EMPTY:?}"), Err("needs the variable EMPTY".to_owned()));
        assert!(expand(&"${U:-".repeat(100)).is_err());
        assert!(expand(&format!("{}{}", "${U:-".repeat(100), "}".repeat(100))).is_err());
    }
}

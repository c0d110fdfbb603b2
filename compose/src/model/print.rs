//! The Model → text: what `config` prints, and what loads to the same Model again.

use super::node::{Node, Value};
use super::types::Project;
use super::yaml;
use crate::error::{Error, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Serialize, Serializer};
use std::fmt::{self, Write};

/// The project in YAML.
pub fn yaml(project: &Project) -> Result<String> {
    yaml_of(&tree(project)?)
}

/// The project in JSON.
pub fn json(project: &Project) -> Result<String> {
    json_of(&tree(project)?)
}

/// A project's tree in YAML. A `$` in it is a variable.
pub fn yaml_as_written(tree: &Node) -> Result<String> {
    let mut tree = Tree::from(tree);
    leave_unsaid(&mut tree);
    yaml_of(&tree)
}

/// A project's tree in JSON. A `$` in it is a variable.
pub fn json_as_written(tree: &Node) -> Result<String> {
    let mut tree = Tree::from(tree);
    leave_unsaid(&mut tree);
    json_of(&tree)
}

/// A tree as a value of JSON.
pub fn value(tree: &Node) -> serde_json::Value {
    serde_json::to_value(Tree::from(tree)).unwrap_or_default()
}

fn yaml_of(tree: &Tree) -> Result<String> {
    let mut text = String::new();
    tree.write(&mut text, 0).map_err(unprintable)?;
    Ok(text)
}

fn json_of(tree: &Tree) -> Result<String> {
    serde_json::to_string_pretty(tree).map(|text| text + "\n").map_err(unprintable)
}

fn unprintable(error: impl fmt::Display) -> Error {
    Error::new(format!("print the project: {error}"))
}

fn tree(project: &Project) -> Result<Tree> {
    let text = serde_json::to_string(project).map_err(unprintable)?;
    let mut tree: Tree = serde_json::from_str(&text).map_err(unprintable)?;
    leave_unsaid(&mut tree);
    Ok(tree)
}

/// Makes nothing of each network of which a service says nothing but its name.
fn leave_unsaid(tree: &mut Tree) {
    let services = tree.get_mut("services").into_iter().flat_map(Tree::values_mut);
    let networks = services.filter_map(|service| service.get_mut("networks")).flat_map(Tree::values_mut);
    let unsaid = networks.filter(|network| matches!(network, Tree::Mapping(entries) if entries.is_empty()));
    unsaid.for_each(|network| *network = Tree::Null);
}

/// The Model as a tree whose fields keep their order.
enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Mapping(Vec<(String, Tree)>),
}

impl Tree {
    fn get_mut(&mut self, key: &str) -> Option<&mut Tree> {
        let Tree::Mapping(entries) = self else { return None };
        entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn values_mut(&mut self) -> impl Iterator<Item = &mut Tree> {
        let entries = if let Tree::Mapping(entries) = self { entries.as_mut_slice() } else { &mut [] };
        entries.iter_mut().map(|(_, value)| value)
    }
}

impl From<&Node> for Tree {
    fn from(node: &Node) -> Tree {
        match &node.value {
            Value::Null => Tree::Null,
            Value::Bool(truth) => Tree::Bool(*truth),
            Value::Int(number) => i64::try_from(*number).map_or(Tree::Float(*number as f64), Tree::Int),
            Value::Float(number) => Tree::Float(*number),
            Value::Text(text) => Tree::Text(text.clone()),
            Value::List(items) => Tree::List(items.iter().map(Tree::from).collect()),
            Value::Mapping(mapping) => {
                let entry =
                    |(key, entry): (&String, &super::node::Entry)| (key.clone(), Tree::from(&entry.node));
                Tree::Mapping(mapping.iter().map(entry).collect())
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Tree, D::Error> {
        from.deserialize_any(Reader)
    }
}

/// Reads the JSON of the Model.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(i64::try_from(number).map_or(Tree::Float(number as f64), Tree::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        let whole = number.fract() == 0.0 && number.abs() < 1e15;
        Ok(if whole { Tree::Int(number as i64) } else { Tree::Float(number) })
    }

    /// A `$` is doubled, so that it is no variable when the text is read again.
    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.replace('$', "$$")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    /// The extensions go back among the fields.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut mapping = Vec::new();
        while let Some((key, value)) = entries.next_entry::<String, Tree>()? {
            match value {
                Tree::Mapping(extensions) if key == "x-*" => mapping.extend(extensions),
                value => mapping.push((key, value)),
            }
        }
        Ok(Tree::Mapping(mapping))
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Tree::Null => to.serialize_unit(),
            Tree::Bool(truth) => to.serialize_bool(*truth),
            Tree::Int(number) => to.serialize_i64(*number),
            Tree::Float(number) => to.serialize_f64(*number),
            Tree::Text(text) => to.serialize_str(text),
            Tree::List(items) => to.collect_seq(items),
            Tree::Mapping(entries) => to.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}

impl Tree {
    /// Writes it as YAML, in lines of its own if it has any lines.
    fn write(&self, out: &mut String, indent: usize) -> fmt::Result {
        match self {
            Tree::List(items) => items.iter().try_for_each(|item| {
                write!(out, "{:indent$}-", "")?;
                item.write_after(out, indent, true)
            }),
            Tree::Mapping(entries) => entries.iter().try_for_each(|(key, value)| {
                write!(out, "{:indent$}{}:", "", scalar(key))?;
                value.write_after(out, indent, false)
            }),
            _ => Ok(()),
        }
    }

    /// Writes it after a `-` or a `KEY:`, which stands at `indent`.
    fn write_after(&self, out: &mut String, indent: usize, in_list: bool) -> fmt::Result {
        match self {
            Tree::Null => writeln!(out, " null"),
            Tree::Bool(truth) => writeln!(out, " {truth}"),
            Tree::Int(number) => writeln!(out, " {number}"),
            Tree::Float(number) => writeln!(out, " {number}"),
            Tree::Text(text) => match block(text) {
                Some(header) => {
                    writeln!(out, " {header}")?;
                    let mut lines = text.lines();
                    lines.try_for_each(|line| match line {
                        "" => writeln!(out),
                        line => writeln!(out, "{:1$}{line}", "", indent + 2),
                    })
                }
                None => writeln!(out, " {}", scalar(text)),
            },
            Tree::List(items) if items.is_empty() => writeln!(out, " []"),
            Tree::Mapping(entries) if entries.is_empty() => writeln!(out, " {{}}"),
            below if in_list => {
                // The first line of the item stands beside its `-`.
                let mut lines = String::new();
                below.write(&mut lines, indent + 2)?;
                write!(out, " {}", lines.trim_start())
            }
            below => {
                writeln!(out)?;
                below.write(out, indent + 2)
            }
        }
    }
}

/// The header of the literal block that a text of several lines is written as, if it can be.
fn block(text: &str) -> Option<&'static str> {
    let plain = |c: char| {
        c == '\n' || (!c.is_control() && c != '\u{feff}' && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}'))
    };
    let simple = text.chars().all(plain)
        && !text.starts_with([' ', '\n'])
        && text.lines().all(|line| !line.ends_with(' '));
    match text.strip_suffix('\n') {
        _ if !simple => None,
        Some(text) if text.ends_with('\n') || text.is_empty() => None,
        Some(_) => Some("|"),
        None if text.contains('\n') => Some("|-"),
        None => None,
    }
}

/// A scalar, in quotes if it were something else without.
fn scalar(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_./@+=,-:$ {}()*'\"\\%;|&<>!?[]".contains(c);
    let is_first = |c: char| c.is_ascii_alphanumeric() || "_./$+".contains(c);
    let number_like = |c: char| c.is_ascii_digit() || ".:-_+TZ ".contains(c);
    let plain = text.starts_with(is_first)
        && text.chars().all(is_part)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.chars().all(number_like)
        && !["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str())
        && yaml::is_text(text);
    if plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

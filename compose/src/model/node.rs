//! A Compose file as a tree, each node with its place in the file.

use crate::error::Error;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// How it meets what an earlier file says.
    pub merging: Merging,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing, a truth, a number.
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// Text, quoted or plain.
    Text(String),
    List(Vec<Node>),
    Mapping(Mapping),
}

/// Keys and values. Their order means nothing in a Compose file.
pub type Mapping = BTreeMap<String, Entry>;

/// A value of a mapping, and where its key is.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key begins.
    pub key: Place,
    /// The value.
    pub node: Node,
}

/// How a node meets what an earlier file, or a service that is extended, says in its place.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Merging {
    /// Merged by the rules of its field.
    #[default]
    Ordinary,
    /// `!reset`: what was said before is dropped, and the node with it.
    Reset,
    /// `!override`: the node stands in its place.
    Override,
}

/// A place in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The file, as the user is told of it.
    pub file: Rc<str>,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Place {
    /// The error that the field `path`, here, is wrong.
    pub fn wrong(&self, path: &Path, what: impl fmt::Display) -> Error {
        if path.is_root() {
            Error::new(format!("{self}: {what}"))
        } else {
            Error::new(format!("{self}: {path}: {what}"))
        }
    }
}

/// What is wrong with a key that isn't among those that are known in its place.
pub fn unknown_key(key: &str, known: &[&str]) -> String {
    let likeness = |known: &&str| strsim::jaro_winkler(key, known);
    let likest = known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    match likest.filter(|likest| likeness(likest) > 0.85) {
        Some(likest) => format!("is not a key that is known here; is `{likest}` meant?"),
        None => "is not a key that is known here".to_owned(),
    }
}

/// Two nodes are the same when they say the same, wherever they are.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.value == other.value && self.merging == other.merging
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.node == other.node
    }
}

impl Node {
    /// A node of this value in place of this one.
    pub fn becomes(&self, value: Value) -> Node {
        Node { place: self.place.clone(), merging: self.merging, value }
    }

    /// A node of this value, which stands for a part of this one.
    pub fn part(&self, value: Value) -> Node {
        Node { place: self.place.clone(), merging: Merging::Ordinary, value }
    }

    /// Text that stands for a part of this node.
    pub fn text(&self, text: impl Into<String>) -> Node {
        self.part(Value::Text(text.into()))
    }

    /// A mapping in place of this node, whose keys are where their values are.
    pub fn mapping<K: Into<String>>(&self, entries: impl IntoIterator<Item = (K, Node)>) -> Node {
        let entry = |(key, node): (K, Node)| (key.into(), Entry { key: node.place.clone(), node });
        self.becomes(Value::Mapping(entries.into_iter().map(entry).collect()))
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping().and_then(|mapping| mapping.get(key)).map(|entry| &entry.node)
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub fn as_mapping_mut(&mut self) -> Option<&mut Mapping> {
        match &mut self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// What it is, in an error's words.
    pub fn kind(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Text(text) => format!("{text:?}"),
            Value::List(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.scalar_text().unwrap_or_default(),
        }
    }

    /// The text that docker compose makes of a truth, a number or text where it wants text.
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Int(number) => Some(number.to_string()),
            Value::Float(number) => Some(float_text(*number)),
            Value::Text(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Mapping(_) => None,
        }
    }

    /// The place of the field `path`, or of the nearest field above it.
    pub fn locate(&self, path: &Path) -> Place {
        let mut node = self;
        let mut place = &self.place;
        for step in &path.0 {
            let next = match (step, &node.value) {
                (Step::Key(key), Value::Mapping(mapping)) => {
                    mapping.get(key).map(|entry| (&entry.key, &entry.node))
                }
                (Step::Index(index), Value::List(items)) => items.get(*index).map(|item| (&item.place, item)),
                _ => None,
            };
            let Some((found, below)) = next else { break };
            (place, node) = (found, below);
        }
        place.clone()
    }
}

/// A number as Go prints it, for docker compose hands it on like this: `3.10` is `3.1`, `1e30` is `1e+30`.
fn float_text(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..21).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => number.to_string(),
    }
}

/// The way from the root of the tree to a field: `services.web.ports[0]`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    /// The path of keys.
    pub fn of(keys: &[&str]) -> Path {
        Path(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    /// The path of a key below.
    pub fn key(&self, key: &str) -> Path {
        self.with(Step::Key(key.to_owned()))
    }

    /// The path of an item below.
    pub fn index(&self, index: usize) -> Path {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Path {
        Path(self.0.iter().cloned().chain([step]).collect())
    }

    /// Tells whether it is the root's.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The service that it is in.
    pub fn service(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Step::Key(section), Step::Key(name), ..] if section == "services" => Some(name),
            _ => None,
        }
    }

    /// Tells whether it is of the form `pattern`, where `*` is any key or item: `services.*.ports.*`.
    pub fn matches(&self, pattern: &str) -> bool {
        // From the end, where most patterns differ: each node is compared with all of them.
        let mut steps = self.0.iter().rev();
        let all = pattern.rsplit('.').all(|part| match steps.next() {
            Some(Step::Key(key)) => part == "*" || part == key,
            Some(Step::Index(_)) => part == "*",
            None => false,
        });
        all && steps.next().is_none()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if number == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Path, float_text};

    #[test]
    fn numbers_are_printed_as_go_prints_them() {
        for (number, text) in [
            (3.10, "3.1"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (-0.5, "-0.5"),
            (1000.0, "1000"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float_text(number), text);
        }
    }

    #[test]
    fn a_path_is_matched_step_by_step() {
        let path = Path::of(&["services", "web", "ports"]).index(0);
        assert_eq!(path.to_string(), "services.web.ports[0]");
        assert!(path.matches("services.*.ports.*"));
        assert!(!path.matches("services.*.ports"));
        assert!(!path.matches("services.*.ports.*.target"));
    }
}

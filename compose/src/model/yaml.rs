//! Text → tree: YAML as docker compose reads it, which is YAML 1.2 with a few numbers of YAML 1.1.

use super::node::{Entry, Mapping, Merging, Node, Path, Place, Value};
use crate::error::{Error, Result};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use std::collections::HashMap;
use std::rc::Rc;

/// Nodes of a file at most, with each alias counted as often as it is used: what stops an alias bomb.
const NODES_MAX: usize = 500_000;
/// Collections within each other at most, so that no stack overflows.
const DEPTH_MAX: usize = 64;

/// Reads the documents of a file. Documents without content are left out.
///
/// Errors: what isn't YAML, keys that aren't text or are there twice, unknown aliases, too deep or too much.
pub fn parse(file: &str, text: &str) -> Result<Vec<Node>> {
    let mut reader = Reader {
        file: file.into(),
        events: Parser::new_from_str(text),
        anchors: HashMap::new(),
        nodes: 0,
        path: Path::default(),
    };
    let mut documents = Vec::new();
    while let Some((event, _)) = reader.next()? {
        if let Event::DocumentStart(_) = event {
            let document = reader.document()?;
            if document.value != Value::Null {
                documents.push(document);
            }
        }
    }
    Ok(documents)
}

/// What has been read so far.
struct Reader<'a> {
    file: Rc<str>,
    events: Parser<'a, StrInput<'a>>,
    /// The nodes with a name, and how many nodes each is made of.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    path: Path,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>> {
        let event = self.events.next_event().transpose();
        event.map_err(|error| self.place(*error.marker()).wrong(&Path::default(), error.info()))
    }

    /// The next event, which YAML's grammar promises.
    fn expect(&mut self) -> Result<(Event<'a>, Place)> {
        let (event, span) =
            self.next()?.ok_or_else(|| Error::new(format!("{}: ends too early", self.file)))?;
        Ok((event, self.place(span.start)))
    }

    fn place(&self, mark: Marker) -> Place {
        Place { file: self.file.clone(), line: mark.line(), column: mark.col() + 1 }
    }

    fn document(&mut self) -> Result<Node> {
        self.anchors.clear();
        let (event, place) = self.expect()?;
        self.node(event, place, 0)
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node> {
        let before = self.nodes;
        self.nodes += 1;
        if depth > DEPTH_MAX {
            return Err(place.wrong(&self.path, format_args!("is more than {DEPTH_MAX} levels deep")));
        }
        let (node, anchor) = match event {
            Event::Alias(anchor) => (self.alias(anchor, &place)?, 0),
            Event::Scalar(text, style, anchor, tag) => {
                let value =
                    scalar(&text, style, tag.as_deref()).map_err(|what| place.wrong(&self.path, what))?;
                (Node { place, merging: merging(tag.as_deref()), value }, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                let value = Value::List(self.list(depth)?);
                (Node { place, merging: merging(tag.as_deref()), value }, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                let value = Value::Mapping(self.mapping(depth)?);
                (Node { place, merging: merging(tag.as_deref()), value }, anchor)
            }
            _ => (Node { place, merging: Merging::Ordinary, value: Value::Null }, 0),
        };
        if self.nodes > NODES_MAX {
            return Err(node
                .place
                .wrong(&self.path, format_args!("has more than {NODES_MAX} values, aliases counted")));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> Result<Node> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(place.wrong(&self.path, "is an alias of what it is part of"));
        };
        self.nodes += size;
        // Before it is copied: the bomb is in the copies.
        if self.nodes > NODES_MAX {
            return Err(
                place.wrong(&self.path, format_args!("has more than {NODES_MAX} values, aliases counted"))
            );
        }
        Ok(node.clone())
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>> {
        let here = self.path.clone();
        let mut items = Vec::new();
        loop {
            let (event, place) = self.expect()?;
            if event == Event::SequenceEnd {
                self.path = here;
                return Ok(items);
            }
            self.path = here.index(items.len());
            items.push(self.node(event, place, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Mapping> {
        let here = self.path.clone();
        let mut entries = Mapping::new();
        let mut merged = Vec::new();
        loop {
            let (event, key) = self.expect()?;
            if event == Event::MappingEnd {
                break;
            }
            let name = self.key(event, &key, depth)?;
            self.path = here.key(name.text());
            let (event, place) = self.expect()?;
            let node = self.node(event, place, depth + 1)?;
            match name {
                Key::Merge => merged.push(node),
                Key::Text(name) => {
                    if let Some(earlier) = entries.get(&name) {
                        let line = earlier.key.line;
                        return Err(key.wrong(&self.path, format_args!("is already there on line {line}")));
                    }
                    entries.insert(name, Entry { key, node });
                }
            }
            self.path = here.clone();
        }
        for node in merged {
            self.merge(&mut entries, node, true)?;
        }
        Ok(entries)
    }

    fn key(&mut self, event: Event<'a>, place: &Place, depth: usize) -> Result<Key> {
        let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, _, _));
        let node = self.node(event, place.clone(), depth + 1)?;
        match node.value {
            Value::Text(text) if text == "<<" && plain => Ok(Key::Merge),
            Value::Text(text) => Ok(Key::Text(text)),
            _ => Err(place
                .wrong(&self.path, format_args!("has the key {}, which isn't text: quote it", node.kind()))),
        }
    }

    /// Takes over, from what stands after `<<`, the keys that aren't there yet.
    fn merge(&self, entries: &mut Mapping, node: Node, many: bool) -> Result<()> {
        match node.value {
            Value::Mapping(mapping) => {
                for (name, entry) in mapping {
                    entries.entry(name).or_insert(entry);
                }
                Ok(())
            }
            Value::List(items) if many => {
                items.into_iter().try_for_each(|item| self.merge(entries, item, false))
            }
            _ => Err(node.place.wrong(&self.path.key("<<"), "must be a mapping, or a list of mappings")),
        }
    }
}

enum Key {
    Merge,
    Text(String),
}

impl Key {
    fn text(&self) -> &str {
        match self {
            Key::Merge => "<<",
            Key::Text(text) => text,
        }
    }
}

fn merging(tag: Option<&Tag>) -> Merging {
    match tag.map(|tag| (tag.handle.as_str(), tag.suffix.as_str())) {
        Some(("!", "reset")) => Merging::Reset,
        Some(("!", "override")) => Merging::Override,
        _ => Merging::Ordinary,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    let value = match (core, tag) {
        (Some("str"), _) => return Ok(Value::Text(text.to_owned())),
        (Some(_), _) => plain(text),
        // Tags of others are no business of ours, and their text stays text.
        (None, Some(_)) if merging(tag) == Merging::Ordinary => return Ok(Value::Text(text.to_owned())),
        (None, _) if style == ScalarStyle::Plain => return Ok(plain(text)),
        (None, _) => return Ok(Value::Text(text.to_owned())),
    };
    match (core, value) {
        (Some("float"), Value::Int(number)) => Ok(Value::Float(number as f64)),
        (Some("int"), value @ Value::Int(_))
        | (Some("float"), value @ Value::Float(_))
        | (Some("bool"), value @ Value::Bool(_))
        | (Some("null"), value @ Value::Null) => Ok(value),
        (Some(core), _) => Err(format!("must be of the type !!{core}, not {text:?}")),
        (None, value) => Ok(value),
    }
}

/// Tells whether a scalar without quotes is text, so that it needs none.
pub fn is_text(text: &str) -> bool {
    matches!(plain(text), Value::Text(_))
}

/// What a scalar without quotes is. `yes`, `on`, `22:22` are text; `0440`, `1_000` are numbers, as Go's YAML has it.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Value::Text(text.to_owned());
    }
    let digits = text.replace('_', "");
    match integer(&digits) {
        Some(number) if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number) => Value::Int(number),
        _ if is_float(&digits) => digits.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Float),
        _ => Value::Text(text.to_owned()),
    }
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok().map(|number| sign * number)
}

/// Tells whether it is `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (number, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(n, e)| (n, Some(e)));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = exponent.map(|exponent| exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

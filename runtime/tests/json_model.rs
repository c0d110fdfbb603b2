//! JSON is read as Go's `encoding/json` reads it: random texts of config.json, process.json and `linux.resources`, read
//! by the runtime and by a small model of Go's rules. Both read the same, or both refuse.
//!
//! A text is written from a tree, in which each key and each string says what it means beside how it is written. So the
//! model is spared escapes, bad bytes and the case of keys: it reads the tree. `json_model.json` has the fields as Go's
//! types have them. A star is a pointer, which tells an absent value from zero; words with bars between are all that
//! may stand there. PROPTEST_CASES says how many texts of each kind there are.

use std::collections::BTreeMap;
use std::fmt;

use corten::error::Result as Reading;
use corten::internals::spec::parse;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde::Serialize;
use serde_json::{Map, Value, json};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn config_json_is_read_as_go_reads_it(text in text("config")) {
        assert_read_alike(&text, parse::config(&text.bytes).map(|(config, _)| config))?;
    }

    #[test]
    fn process_json_is_read_as_go_reads_it(text in text("process")) {
        assert_read_alike(&text, parse::process(&text.bytes).map(|(process, _)| process))?;
    }

    #[test]
    fn resources_are_read_as_go_reads_them(text in text("resources")) {
        assert_read_alike(&text, parse::resources(&text.bytes))?;
    }
}

/// The property would hold of texts that are all refused, and of texts that are all good.
#[test]
fn there_are_texts_of_each_kind() {
    let texts = text("config");
    let mut runner = TestRunner::deterministic();
    let mut refused = 0;
    for _ in 0..400 {
        let text = texts.new_tree(&mut runner).expect("a text").current();
        refused += usize::from(parse::config(&text.bytes).is_err());
    }
    assert!((100..300).contains(&refused), "{refused} of 400 are refused");
}

fn assert_read_alike(text: &Text, ours: Reading<impl Serialize>) -> TestCaseResult {
    let shape = Shape::named(text.of);
    let ours = ours.map(|value| without_zeros(&shape, serde_json::to_value(value).expect("JSON")));
    let mut read = Read::Nothing;
    let go = read_over(&shape, &text.tree, &mut read).and_then(|()| finished(&shape, &read));
    match (ours, go) {
        (Ok(ours), Some(go)) => prop_assert_eq!(ours, go, "ours, Go's: {:?}", text),
        (Ok(ours), None) => prop_assert!(false, "Go refuses what we read as {}: {:?}", ours, text),
        (Err(err), Some(go)) => prop_assert!(false, "{}, but Go reads {}: {:?}", err, go, text),
        (Err(_), None) => {}
    }
    Ok(())
}

/// What a place may hold, by Go's type of it.
enum Shape {
    Bool,
    Integer(fn(&str) -> Option<Value>),
    Text,
    Word(Vec<String>),
    Capability,
    List(Box<Shape>),
    /// Keys are anybody's.
    Map(Box<Shape>),
    Struct(Vec<Field>),
}

struct Field {
    name: String,
    is_pointer: bool,
    shape: Shape,
}

impl Shape {
    fn named(name: &str) -> Shape {
        let all = serde_json::from_str(include_str!("json_model.json")).expect("JSON");
        Shape::of(&json!(name), &all)
    }

    fn of(shape: &Value, all: &Value) -> Shape {
        match shape {
            Value::String(name) => match name.as_str() {
                "bool" => Shape::Bool,
                "u16" => Shape::Integer(|digits| digits.parse::<u16>().ok().map(Value::from)),
                "u32" => Shape::Integer(|digits| digits.parse::<u32>().ok().map(Value::from)),
                "u64" => Shape::Integer(|digits| digits.parse::<u64>().ok().map(Value::from)),
                "i32" => Shape::Integer(|digits| digits.parse::<i32>().ok().map(Value::from)),
                "i64" => Shape::Integer(|digits| digits.parse::<i64>().ok().map(Value::from)),
                "text" => Shape::Text,
                "capability" => Shape::Capability,
                words if words.contains('|') => Shape::Word(words.split('|').map(String::from).collect()),
                name => Shape::of(&all[name], all),
            },
            Value::Array(list) => Shape::List(Box::new(Shape::of(&list[0], all))),
            Value::Object(fields) => match fields.get("<any>") {
                Some(value) => Shape::Map(Box::new(Shape::of(value, all))),
                None => {
                    let field = |(name, shape): (&String, &Value)| Field {
                        name: name.trim_start_matches('*').into(),
                        is_pointer: name.starts_with('*'),
                        shape: Shape::of(shape, all),
                    };
                    Shape::Struct(fields.iter().map(field).collect())
                }
            },
            other => panic!("{other} is no shape"),
        }
    }
}

// --- Go's rules ---

/// What has been read of a place so far.
#[derive(Default)]
enum Read {
    #[default]
    Nothing,
    Scalar(Value),
    /// What lies behind the end of a list comes up again if a later one is longer.
    List(Vec<Read>, usize),
    Map(BTreeMap<String, Value>),
    Struct(BTreeMap<String, Read>),
}

/// Reads `tree` over what an earlier key has said of the same place. None: it is refused.
///
/// In one thing the runtime differs from Go on purpose: null never takes back what was said.
fn read_over(shape: &Shape, tree: &Tree, into: &mut Read) -> Option<()> {
    *into = match (shape, tree, std::mem::take(into)) {
        (_, Tree::Null, known) => known,
        (Shape::Bool, Tree::Bool(value), _) => Read::Scalar(json!(value)),
        (Shape::Integer(parse), Tree::Number(digits), _) => Read::Scalar(parse(digits)?),
        (Shape::Text | Shape::Word(_) | Shape::Capability, Tree::Text(text), _) => {
            Read::Scalar(json!(text.meant))
        }
        (Shape::List(element), Tree::List(list), known) => {
            let mut slots = match known {
                Read::List(slots, _) if !list.is_empty() => slots,
                _ => Vec::new(),
            };
            slots.resize_with(slots.len().max(list.len()), Read::default);
            for (tree, slot) in list.iter().zip(&mut slots) {
                read_over(element, tree, slot)?;
            }
            Read::List(slots, list.len())
        }
        (Shape::Map(value), Tree::Object(members), known) => {
            let mut map = if let Read::Map(map) = known { map } else { BTreeMap::new() };
            for (key, tree) in members {
                let mut fresh = Read::Nothing;
                read_over(value, tree, &mut fresh)?;
                let fresh = finished(value, &fresh)?;
                if !matches!(tree, Tree::Null) || !map.contains_key(&key.meant) {
                    map.insert(without_nul(&key.meant)?.into(), fresh);
                }
            }
            Read::Map(map)
        }
        (Shape::Struct(fields), Tree::Object(members), known) => {
            let mut object = if let Read::Struct(object) = known { object } else { BTreeMap::new() };
            for (key, tree) in members {
                if let Some(field) = fields.iter().find(|field| field.name == key.meant) {
                    read_over(&field.shape, tree, object.entry(field.name.clone()).or_default())?;
                }
            }
            Read::Struct(object)
        }
        _ => return None,
    };
    Some(())
}

/// The value of a place when the text is at its end. None: the runtime refuses what Go would let pass, an unknown word
/// or a NUL.
fn finished(shape: &Shape, read: &Read) -> Option<Value> {
    Some(match (shape, read) {
        (Shape::Struct(fields), read) => {
            let mut object = Map::new();
            for field in fields {
                let read = match read {
                    Read::Struct(object) => object.get(&field.name).unwrap_or(&Read::Nothing),
                    _ => &Read::Nothing,
                };
                if !field.is_pointer || says_something(&field.name, read)? {
                    object.insert(field.name.clone(), finished(&field.shape, read)?);
                }
            }
            without_zeros(shape, object.into())
        }
        (Shape::List(element), Read::List(slots, len)) => {
            let list: Option<Vec<Value>> = slots[..*len].iter().map(|slot| finished(element, slot)).collect();
            without_zeros(shape, list?.into())
        }
        (Shape::List(_), _) => json!([]),
        (Shape::Map(_), Read::Map(map)) => json!(map),
        (Shape::Map(_), _) => json!({}),
        (Shape::Bool, Read::Nothing) => json!(false),
        (Shape::Integer(_), Read::Nothing) => json!(0),
        (Shape::Bool | Shape::Integer(_), Read::Scalar(value)) => value.clone(),
        (Shape::Text | Shape::Word(_) | Shape::Capability, read) => {
            let text = if let Read::Scalar(Value::String(text)) = read { text } else { "" };
            match shape {
                Shape::Word(words) if !words.iter().any(|word| word == text) => return None,
                Shape::Capability => json!(text),
                _ => json!(without_nul(text)?),
            }
        }
        _ => unreachable!("what was read has the shape"),
    })
}

/// Whether a pointer points to something. To runc, two objects without what counts in them are absent.
fn says_something(field: &str, read: &Read) -> Option<bool> {
    let Read::Struct(object) = read else { return Some(!matches!(read, Read::Nothing)) };
    let says = |name: &str| match object.get(name) {
        None | Some(Read::Nothing | Read::List(_, 0)) => false,
        Some(Read::Scalar(value)) => *value != json!(""),
        Some(_) => true,
    };
    match field {
        "pids" => Some(says("limit")),
        "seccomp" if !says("defaultAction") => {
            if says("syscalls") {
                None
            } else {
                Some(false)
            }
        }
        _ => Some(true),
    }
}

fn without_nul(text: &str) -> Option<&str> {
    (!text.contains('\0')).then_some(text)
}

/// The value without what is as good as absent to Go: zeros that no pointer points to. Capabilities are a set of those
/// that the runtime knows.
fn without_zeros(shape: &Shape, value: Value) -> Value {
    match (shape, value) {
        (Shape::Struct(fields), Value::Object(mut object)) => {
            for field in fields {
                let Some(value) = object.remove(&field.name) else { continue };
                let value = without_zeros(&field.shape, value);
                let zeros = [json!(false), json!(0), json!(""), json!([]), json!({})];
                let is_zero = value.is_null() || !field.is_pointer && zeros.contains(&value);
                if !is_zero {
                    object.insert(field.name.clone(), value);
                }
            }
            object.into()
        }
        (Shape::List(element), Value::Array(mut list)) => {
            if matches!(**element, Shape::Capability) {
                list.retain(|name| KNOWN_CAPABILITIES.iter().any(|known| name == known));
                list.sort_by_key(Value::to_string);
                list.dedup();
            }
            list.into_iter().map(|value| without_zeros(element, value)).collect()
        }
        (Shape::Map(element), Value::Object(map)) => {
            map.into_iter().map(|(key, value)| (key, without_zeros(element, value))).collect()
        }
        (_, value) => value,
    }
}

// --- Random texts ---

/// A text, and what it means.
struct Text {
    /// The name of its shape.
    of: &'static str,
    tree: Tree,
    bytes: Vec<u8>,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

/// A value. An object has its members in their order, a key as often as it is given.
#[derive(Clone, Debug)]
enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(Literal),
    List(Vec<Tree>),
    Object(Vec<(Literal, Tree)>),
}

/// A string of JSON. As a struct's key it means the field's name.
#[derive(Clone, Debug, Default)]
struct Literal {
    written: Vec<u8>,
    meant: String,
}

/// How pieces of a string are written, and what each means wherever it stands.
const PIECES: [(&[u8], &str); 18] = [
    (b"a", "a"),
    (b"/", "/"),
    (b"\\/", "/"),
    (b" {\\\"", " {\""),
    (b"\\u0041", "A"),
    (b"\\\\", "\\"),
    (br"\\ud800", r"\ud800"),
    (b"\\b\\f\\n\\r\\t", "\u{8}\u{c}\n\r\t"),
    ("é\u{7f}\u{2028}".as_bytes(), "é\u{7f}\u{2028}"),
    (br"\u00e9\ufFfD", "é\u{fffd}"),
    ("😀".as_bytes(), "😀"),
    (br"\ud83d\uDE00", "😀"),
    (br"\uD800", "\u{fffd}"),
    (br"x\udc00", "x\u{fffd}"),
    (br"\ud800\u0041", "\u{fffd}A"),
    (b"\xff", "\u{fffd}"),
    (b"\xe2\x82z", "\u{fffd}\u{fffd}z"),
    (b"\xed\xa0\x80z", "\u{fffd}\u{fffd}\u{fffd}z"),
];

/// The bounds of all types, and numbers that are no integers to Go.
const NUMBERS: &str = "0 -0 -1 65535 65536 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296 \
    9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809 \
    18446744073709551615 18446744073709551616 99999999999999999999999 1.0 0.0 1e3 1E+2 1e400 \
    -1.5e-3";

const KNOWN_CAPABILITIES: [&str; 3] = ["CAP_KILL", "CAP_CHOWN", "CAP_BPF"];
const OTHER_CAPABILITIES: [&str; 4] = ["KILL", "cap_kill", "CAP_TELEPORT", ""];

/// How the values of a text are chosen.
#[derive(Clone, Copy)]
enum Style {
    /// As most callers write: each key once, by its name.
    Plain,
    /// Keys in any case and several times, unknown keys, null.
    Odd,
}

/// A text of which at most one value isn't what belongs there.
fn text(of: &'static str) -> impl Strategy<Value = Text> {
    let shape = Shape::named(of);
    let tree = prop_oneof![tree(&shape, Style::Plain), tree(&shape, Style::Odd)];
    let misfit = prop::option::of((any::<Index>(), misfit()));
    let spaces = prop::collection::vec(select(vec!["", "", " ", "\n", "\t\r "]), 1..9);
    (tree, misfit, spaces).prop_map(move |(mut tree, misfit, spaces)| {
        if let Some((at, misfit)) = misfit {
            let mut nodes = 0;
            for_each(&mut tree, &mut |_| nodes += 1);
            let (at, mut seen) = (at.index(nodes), 0);
            for_each(&mut tree, &mut |node| {
                if seen == at {
                    node.clone_from(&misfit);
                }
                seen += 1;
            });
        }
        let mut writer = Writer { spaces: spaces.into_iter().cycle(), text: Vec::new() };
        writer.value(&tree);
        Text { of, tree, bytes: writer.text }
    })
}

fn tree(shape: &Shape, style: Style) -> BoxedStrategy<Tree> {
    let said = match shape {
        Shape::Bool => any::<bool>().prop_map(Tree::Bool).boxed(),
        Shape::Integer(_) => (0..900_u16).prop_map(|number| Tree::Number(number.to_string())).boxed(),
        Shape::Text => string(),
        Shape::Word(words) => select(words.clone()).prop_map(|word| Tree::Text(verbatim(&word))).boxed(),
        Shape::Capability => select([&KNOWN_CAPABILITIES[..], &OTHER_CAPABILITIES].concat())
            .prop_map(|name| Tree::Text(verbatim(name)))
            .boxed(),
        Shape::List(element) => {
            prop::collection::vec(tree(element, style), 0..4).prop_map(Tree::List).boxed()
        }
        Shape::Map(value) => {
            let key = select(vec!["a", "b", "A", "\u{e9}"]).prop_map(verbatim);
            prop::collection::vec((key, tree(value, style)), 0..4).prop_map(Tree::Object).boxed()
        }
        Shape::Struct(fields) => members(fields, style).prop_map(Tree::Object).boxed(),
    };
    match style {
        Style::Plain => said,
        Style::Odd => prop_oneof![1 => Just(Tree::Null), 15 => said].boxed(),
    }
}

/// A struct's members. A word that may not be empty is nearly always there.
fn members(fields: &[Field], style: Style) -> BoxedStrategy<Vec<(Literal, Tree)>> {
    let is_demanded = |field: &Field| matches!(&field.shape, Shape::Word(words) if !words[0].is_empty());
    let once = |field: &Field| {
        let member = (Just(verbatim(&field.name)), tree(&field.shape, Style::Plain));
        prop::option::weighted(if is_demanded(field) { 0.99 } else { 0.3 }, member)
    };
    let any = |field: &Field| (spelled(field.name.clone()), tree(&field.shape, Style::Odd)).boxed();
    match style {
        Style::Plain => {
            let members: Vec<_> = fields.iter().map(once).collect();
            members
                .prop_map(|members| members.into_iter().flatten().collect::<Vec<_>>())
                .prop_shuffle()
                .boxed()
        }
        Style::Odd => {
            let demanded: Vec<_> = fields.iter().filter(|field| is_demanded(field)).map(once).collect();
            let any = Union::new(fields.iter().map(any));
            let others = prop::collection::vec(prop_oneof![9 => any, 1 => unknown(fields)], 0..8);
            (demanded, others)
                .prop_map(|(demanded, others)| {
                    demanded.into_iter().flatten().chain(others).collect::<Vec<_>>()
                })
                .prop_shuffle()
                .boxed()
        }
    }
}

/// A member that is nobody's: its key is nearly a field's name.
fn unknown(fields: &[Field]) -> impl Strategy<Value = (Literal, Tree)> + use<> {
    let near = |field: &Field| {
        let name = &field.name;
        [
            format!("{name}s"),
            format!("{name} "),
            name.replace('i', "ı"),
            name.replace('e', "é"),
            name[1..].into(),
        ]
    };
    let is_nobodys = |key: &String| !fields.iter().any(|field| field.name.eq_ignore_ascii_case(key));
    let keys: Vec<String> = fields.iter().flat_map(near).filter(is_nobodys).collect();
    (select(keys).prop_map(|key| verbatim(&key)), misfit())
}

/// A value that belongs in few places.
fn misfit() -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![
        1 => Just(Tree::Null),
        1 => any::<bool>().prop_map(Tree::Bool),
        6 => select(NUMBERS.split(' ').collect::<Vec<_>>()).prop_map(|number| Tree::Number(number.into())),
        1 => string(),
        1 => Just(Tree::Text(Literal { written: br"\u0000".into(), meant: "\0".into() })),
    ];
    leaf.prop_recursive(3, 6, 2, |inner| {
        let member = (select(vec!["a", "limit"]).prop_map(verbatim), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Tree::List),
            prop::collection::vec(member, 0..3).prop_map(Tree::Object),
        ]
    })
    .boxed()
}

fn string() -> BoxedStrategy<Tree> {
    let pieces = prop::collection::vec(select(&PIECES[..]), 0..4);
    let literal = pieces.prop_map(|pieces| Literal {
        written: pieces.iter().flat_map(|(written, _)| *written).copied().collect(),
        meant: pieces.iter().map(|(_, meant)| *meant).collect(),
    });
    literal.prop_map(Tree::Text).boxed()
}

fn verbatim(text: &str) -> Literal {
    Literal { written: text.into(), meant: text.into() }
}

/// A field's name: half of them as it is, the others with letters in the other case, escaped, or as the letter beyond
/// ASCII that is the same to Go.
fn spelled(name: String) -> impl Strategy<Value = Literal> {
    let letter = |letter: char| {
        let mut ways = vec![
            letter.to_string(),
            letter.to_ascii_uppercase().to_string(),
            letter.to_ascii_lowercase().to_string(),
            format!("\\u{:04x}", u32::from(letter)),
        ];
        match letter {
            's' | 'S' => ways.extend(["ſ".to_string(), "\\u017F".to_string()]),
            'k' | 'K' => ways.extend(["\u{212a}".to_string(), "\\u212a".to_string()]),
            _ => {}
        }
        select(ways)
    };
    let letters: Vec<_> = name.chars().map(letter).collect();
    let odd = letters.prop_map(|letters| letters.concat().into_bytes());
    let written = prop_oneof![Just(name.clone().into_bytes()), odd];
    written.prop_map(move |written| Literal { written, meant: name.clone() })
}

fn for_each(tree: &mut Tree, act: &mut dyn FnMut(&mut Tree)) {
    match tree {
        Tree::List(list) => list.iter_mut().for_each(|tree| for_each(tree, act)),
        Tree::Object(members) => members.iter_mut().for_each(|(_, tree)| for_each(tree, act)),
        Tree::Null | Tree::Bool(_) | Tree::Number(_) | Tree::Text(_) => {}
    }
    act(tree);
}

/// Writes a text, with space of some kind after each token.
struct Writer {
    spaces: std::iter::Cycle<std::vec::IntoIter<&'static str>>,
    text: Vec<u8>,
}

impl Writer {
    fn value(&mut self, tree: &Tree) {
        match tree {
            Tree::Null => self.token(b"null"),
            Tree::Bool(value) => self.token(value.to_string().as_bytes()),
            Tree::Number(digits) => self.token(digits.as_bytes()),
            Tree::Text(literal) => self.literal(literal),
            Tree::List(list) => self.several(b"[", list, b"]", Writer::value),
            Tree::Object(members) => self.several(b"{", members, b"}", |this, (key, value)| {
                this.literal(key);
                this.token(b":");
                this.value(value);
            }),
        }
    }

    fn several<T>(&mut self, open: &[u8], items: &[T], close: &[u8], item: fn(&mut Writer, &T)) {
        self.token(open);
        for (at, one) in items.iter().enumerate() {
            if at > 0 {
                self.token(b",");
            }
            item(self, one);
        }
        self.token(close);
    }

    fn literal(&mut self, literal: &Literal) {
        self.token(&[b"\"", &literal.written[..], b"\""].concat());
    }

    fn token(&mut self, token: &[u8]) {
        self.text.extend(token);
        self.text.extend(self.spaces.next().unwrap_or_default().as_bytes());
    }
}

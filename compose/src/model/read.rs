//! Tree → Model: serde's reader of a tree in its long form, whose errors name the place and the field.

use super::node::{Entry, Mapping, Merging, Node, Path, Place, Value, unknown_key};
use crate::error::{Error, Result};
use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use std::fmt;

/// Reads what the node at `path` means.
///
/// Errors: unknown keys, and values of another type.
pub fn read<'de, T: Deserialize<'de>>(node: &'de Node, path: &Path) -> Result<T> {
    let reader = Reader { node, path: path.clone(), own_name: false };
    reader.read(std::marker::PhantomData).map_err(|fault| match fault.at {
        Some((place, path)) => place.wrong(&path, fault.what),
        None => Error::new(fault.what),
    })
}

/// What is wrong, and where, once that is known.
#[derive(Debug)]
struct Fault {
    at: Option<(Place, Path)>,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(what: T) -> Fault {
        Fault { at: None, what: what.to_string() }
    }

    fn invalid_type(unexpected: Unexpected, expected: &dyn Expected) -> Fault {
        match unexpected {
            Unexpected::Unit | Unexpected::Option => {
                Fault::custom(format_args!("must be {expected}, not nothing"))
            }
            _ => Fault::custom(format_args!("must be {expected}, not {unexpected}")),
        }
    }

    fn invalid_value(unexpected: Unexpected, expected: &dyn Expected) -> Fault {
        Fault::custom(format_args!("must be {expected}, not {unexpected}"))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Fault {
        Fault::custom(format_args!("must be one of {}, not {variant:?}", expected.join(", ")))
    }
}

/// A node to read.
struct Reader<'de> {
    node: &'de Node,
    path: Path,
    /// Whether it is the value of a name of the user's own, such as a variable, where nothing and "" mean something.
    own_name: bool,
}

impl<'de> Reader<'de> {
    /// Reads the node. An error without a place is here.
    fn read<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let (node, path) = (self.node, self.path.clone());
        seed.deserialize(self).map_err(|fault| {
            let at = fault.at.or_else(|| Some((node.place.clone(), path)));
            Fault { at, what: fault.what }
        })
    }

    fn must_be<T>(&self, what: impl fmt::Display) -> Result<T, Fault> {
        Err(de::Error::custom(format_args!("must be {what}, not {}", self.node.kind())))
    }

    /// Reads a whole number, of text too, for variables are text.
    fn whole<V: Visitor<'de>>(self, visitor: V, least: i128, most: i128) -> Result<V::Value, Fault> {
        let number: Option<i128> = match &self.node.value {
            Value::Int(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return self.must_be("a whole number") };
        if !(least..=most).contains(&number) {
            return self.must_be(format_args!("from {least} to {most}"));
        }
        match (i64::try_from(number), u64::try_from(number)) {
            (Ok(number), _) => visitor.visit_i64(number),
            (_, Ok(number)) => visitor.visit_u64(number),
            _ => self.must_be("a smaller number"),
        }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::Int(_) => self.whole(visitor, i128::MIN, i128::MAX),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Mapping(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.whole(visitor, i64::MIN.into(), i64::MAX.into())
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.whole(visitor, 0, u64::MAX.into())
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.whole(visitor, 0, u32::MAX.into())
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.whole(visitor, 0, u16::MAX.into())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.node.as_text().map(str::to_ascii_lowercase);
        let truth = match (&self.node.value, text.as_deref()) {
            (Value::Bool(truth), _) => *truth,
            // Variables have no other type than text, and YAML 1.1 has these words.
            (_, Some("true" | "y" | "yes" | "on")) => true,
            (_, Some("false" | "n" | "no" | "off")) => false,
            _ => return self.must_be("true or false"),
        };
        visitor.visit_bool(truth)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let number = match &self.node.value {
            Value::Float(number) => Some(*number),
            Value::Int(number) => Some(*number as f64),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => visitor.visit_f64(number),
            None => self.must_be("a number"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => self.must_be("text, in quotes"),
            _ => self.must_be("text"),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            // A field that an empty variable fills is unset.
            Value::Text(text) if text.is_empty() && !self.own_name => visitor.visit_none(),
            Value::Null if self.own_name => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::List(items) => visitor.visit_seq(Items { items, path: &self.path, next: 0 }),
            _ => self.must_be("a list"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Mapping(mapping) => visitor.visit_map(Entries::own_names(mapping, &self.path)),
            _ => self.must_be("a mapping"),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Value::Mapping(mapping) = &self.node.value else { return self.must_be("a mapping") };
        let unknown = |key: &str| !key.starts_with("x-") && !fields.contains(&key);
        if let Some((key, entry)) = mapping.iter().find(|(key, _)| unknown(key)) {
            let at = Some((entry.key.clone(), self.path.key(key)));
            return Err(Fault { at, what: unknown_key(key, fields) });
        }
        visitor.visit_map(Entries::fields(mapping, &self.path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Some(text) = self.node.as_text() else { return self.must_be("text") };
        let variant: StrDeserializer<'_, Fault> = text.into_deserializer();
        visitor.visit_enum(variant)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u128 f32 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct identifier
        ignored_any
    }
}

/// The items of a list.
struct Items<'de, 'a> {
    items: &'de [Node],
    path: &'a Path,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.items.get(self.next) else { return Ok(None) };
        let path = self.path.index(self.next);
        self.next += 1;
        Reader { node, path, own_name: false }.read(seed).map(Some)
    }
}

/// The entries of a mapping: fields of a structure, or names of the user's own.
struct Entries<'de, 'a> {
    entries: Box<dyn Iterator<Item = (&'de str, &'de Node)> + 'de>,
    /// The whole mapping, for its extensions, until they are read.
    extensions: Option<&'de Mapping>,
    value: Option<(&'de str, Content<'de>)>,
    path: &'a Path,
    own_names: bool,
}

enum Content<'de> {
    Node(&'de Node),
    Extensions(&'de Mapping),
}

/// Whether the value says something.
fn is_read(entry: &Entry) -> bool {
    entry.node.merging != Merging::Reset
}

fn is_extension(key: &str) -> bool {
    key.starts_with("x-")
}

impl<'de, 'a> Entries<'de, 'a> {
    fn own_names(mapping: &'de Mapping, path: &'a Path) -> Entries<'de, 'a> {
        let names = mapping.iter().filter(|(_, entry)| is_read(entry));
        let entries = Box::new(names.map(|(key, entry)| (key.as_str(), &entry.node)));
        Entries { entries, extensions: None, value: None, path, own_names: true }
    }

    /// The fields, and all extensions together under their key in the Model.
    fn fields(mapping: &'de Mapping, path: &'a Path) -> Entries<'de, 'a> {
        let fields = mapping.iter().filter(|(key, entry)| !is_extension(key) && is_read(entry));
        let entries = Box::new(fields.map(|(key, entry)| (key.as_str(), &entry.node)));
        let extensions = mapping.keys().any(|key| is_extension(key)).then_some(mapping);
        Entries { entries, extensions, value: None, path, own_names: false }
    }

    fn extensions(mapping: &'de Mapping, path: &'a Path) -> Entries<'de, 'a> {
        let extensions = mapping.iter().filter(|(key, _)| is_extension(key));
        let entries = Box::new(extensions.map(|(key, entry)| (key.as_str(), &entry.node)));
        Entries { entries, extensions: None, value: None, path, own_names: true }
    }
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = match self.entries.next() {
            Some((key, node)) => Some((key, Content::Node(node))),
            None => self.extensions.take().map(|mapping| ("x-*", Content::Extensions(mapping))),
        };
        let key = self.value.as_ref().map(|(key, _)| *key);
        let deserializer = |key: &'de str| -> de::value::BorrowedStrDeserializer<'de, Fault> {
            de::value::BorrowedStrDeserializer::new(key)
        };
        key.map(|key| seed.deserialize(deserializer(key))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        match self.value.take() {
            Some((key, Content::Node(node))) => {
                Reader { node, path: self.path.key(key), own_name: self.own_names }.read(seed)
            }
            Some((_, Content::Extensions(mapping))) => seed
                .deserialize(de::value::MapAccessDeserializer::new(Entries::extensions(mapping, self.path))),
            None => Err(de::Error::custom("a value without a key")),
        }
    }
}

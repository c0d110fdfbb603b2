//! `oci-spec`'s types from any text that Go's `encoding/json` takes for the same types, with Go's meaning.
//!
//! - A key that isn't a field's name is the field whose name differs in case alone.
//! - A key given twice: objects are merged member by member, lists element by element, and the length is the last
//!   list's. Of everything else the last value counts.
//! - null says nothing, at every depth. (In Go it takes back what an earlier key has said of a pointer, a list or a
//!   map. No caller means that, and a protection would go.) A map's null is a zero value only if nothing else is said.
//! - What isn't said is Go's zero value: 0, false, an empty text, list or object; also within a list or a map.
//! - What doesn't fit is refused, even where a later key hides it.
//! - Only an object is an object, only a string is a word of an enumeration.
//!
//! A value is read from *layers*: all that the text says of one place, the oldest first.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::value::RawValue;

use super::{exact, oci};
use crate::json::{self, Members};

/// Reads `bytes`, and says what was passed over: capabilities that this version doesn't know.
///
/// Errors: with the JSON path of what is wrong.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, Vec<String>), Fault> {
    let text = json::text(bytes);
    let whole: &RawValue = serde_json::from_str(&text).map_err(de::Error::custom)?;
    // The types would take an absent class for best effort.
    let mut unsaid = BTreeSet::from([("LinuxIOPriority", "class")]);
    loop {
        let mut warnings = Vec::new();
        let mut reading =
            Reading { unsaid: &unsaid, warnings: &mut warnings, in_capabilities: None, is_hidden: false };
        match T::deserialize(Value { layers: said([whole]), reading: reading.again() }) {
            // The types demand the field, Go doesn't: it is there from now on.
            Err(Fault { what: What::Missing { object: Some(object), field }, .. })
                if !unsaid.contains(&(object, field)) =>
            {
                unsaid.insert((object, field));
            }
            result => return Ok((result?, warnings)),
        }
    }
}

/// What doesn't fit, and where.
#[derive(Debug)]
pub struct Fault {
    /// The innermost segment first.
    path: Vec<String>,
    what: What,
}

#[derive(Debug)]
enum What {
    Missing { object: Option<&'static str>, field: &'static str },
    Other(String),
}

impl Fault {
    fn within(mut self, segment: impl Into<String>) -> Fault {
        self.path.push(segment.into());
        self
    }

    /// A part of the text is wrong in itself. Where it stands in the part says nothing to a reader of the whole.
    fn of_part(err: &serde_json::Error) -> Fault {
        let text = err.to_string();
        de::Error::custom(text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.path.iter().rev().enumerate() {
            let dot = if at == 0 || segment.starts_with('[') { "" } else { "." };
            write!(f, "{dot}{segment}")?;
        }
        let colon = if self.path.is_empty() { "" } else { ": " };
        match &self.what {
            What::Missing { field, .. } => write!(f, "{colon}missing field `{field}`"),
            What::Other(text) => write!(f, "{colon}{text}"),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(text: T) -> Fault {
        Fault { path: Vec::new(), what: What::Other(text.to_string()) }
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault { path: Vec::new(), what: What::Missing { object: None, field } }
    }
}

/// What the reading of a text has to do with all of its values.
struct Reading<'r> {
    /// Fields that the types demand and the text doesn't have, each with its type.
    unsaid: &'r BTreeSet<(&'static str, &'static str)>,
    warnings: &'r mut Vec<String>,
    /// The set of `process.capabilities` that is read, if one is.
    in_capabilities: Option<&'static str>,
    /// The value is read only to see whether Go would take it: a later value hides it.
    is_hidden: bool,
}

impl Reading<'_> {
    fn again(&mut self) -> Reading<'_> {
        Reading { warnings: self.warnings, ..*self }
    }
}

/// A value: what the text says of it, the oldest first, without nulls.
struct Value<'r, 'de> {
    layers: Vec<&'de RawValue>,
    reading: Reading<'r>,
}

fn said<'de>(layers: impl IntoIterator<Item = &'de RawValue>) -> Vec<&'de RawValue> {
    layers.into_iter().filter(|layer| layer.get() != "null").collect()
}

/// A JSON value begins with a byte that tells its kind.
fn kind(layer: &RawValue) -> &'static str {
    match layer.get().as_bytes().first() {
        Some(b'{') => "map",
        Some(b'[') => "sequence",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        _ => "number",
    }
}

impl<'de> Value<'_, 'de> {
    /// Errors: a layer is of another kind, even if a later layer isn't.
    fn is_all(&self, wanted: &str, expected: &dyn de::Expected) -> Result<(), Fault> {
        match self.layers.iter().map(|layer| kind(layer)).find(|kind| *kind != wanted) {
            Some(other) => Err(de::Error::custom(format_args!("invalid type: {other}, expected {expected}"))),
            None => Ok(()),
        }
    }

    /// The last layer, as text; where there is none, Go's `zero` value.
    fn last(&self, zero: &'static str) -> &'de str {
        self.layers.last().map_or(zero, |layer| layer.get())
    }

    fn string(&self, expected: &dyn de::Expected) -> Result<String, Fault> {
        self.is_all("string", expected)?;
        let text: String = serde_json::from_str(self.last("\"\"")).map_err(|err| Fault::of_part(&err))?;
        if self.reading.is_hidden { Ok(text) } else { no_nul(text) }
    }

    fn members(&self, expected: &dyn de::Expected) -> Result<Vec<(String, &'de RawValue)>, Fault> {
        self.is_all("map", expected)?;
        members(&self.layers)
    }

    /// The elements, each in its layers, and what is hidden of earlier lists. Go reads a list over the list before, and
    /// what is longer comes up again with a later list; an empty list makes an end of that.
    fn elements(&self, expected: &dyn de::Expected) -> Result<Elements<'de>, Fault> {
        self.is_all("sequence", expected)?;
        let (mut elements, mut hidden) = (Vec::<Vec<&RawValue>>::new(), Vec::new());
        let mut len = 0;
        for layer in &self.layers {
            let list: Vec<&RawValue> =
                serde_json::from_str(layer.get()).map_err(|err| Fault::of_part(&err))?;
            len = list.len();
            if list.is_empty() {
                hidden.extend(elements.drain(..).flatten());
            }
            elements.resize(elements.len().max(len), Vec::new());
            list.into_iter().zip(&mut elements).for_each(|(element, layers)| layers.push(element));
        }
        hidden.extend(elements.drain(len..).flatten());
        Ok(Elements { visible: elements.into_iter().map(said).collect(), hidden: said(hidden) })
    }
}

struct Elements<'de> {
    visible: Vec<Vec<&'de RawValue>>,
    hidden: Vec<&'de RawValue>,
}

/// The members of all `objects`, the oldest first.
fn members<'de>(objects: &[&'de RawValue]) -> Result<Vec<(String, &'de RawValue)>, Fault> {
    let mut all = Vec::new();
    for object in objects {
        all.extend(Members::of(object.get()).map_err(|err| Fault::of_part(&err))?.0);
    }
    Ok(all)
}

/// The kernel's texts end at a NUL: a text with a NUL inside would be cut there, or refused half-way.
fn no_nul(text: String) -> Result<String, Fault> {
    if text.contains('\0') { Err(de::Error::custom("has a NUL byte inside")) } else { Ok(text) }
}

/// Each with its zero value, and another spelling of zero: serde_json would take -0 for a float. Go asks of hidden
/// values too whether they fit.
macro_rules! scalars {
    ($($deserialize:ident $type:ident $kind:literal $zero:literal $(or $spelled:literal)?),*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.is_all($kind, &visitor)?;
            let mut text = $zero;
            for layer in &self.layers {
                text = match layer.get() {
                    $($spelled => $zero,)?
                    text => text,
                };
                serde_json::from_str::<$type>(text).map_err(|err| Fault::of_part(&err))?;
            }
            let mut json = serde_json::Deserializer::from_str(text);
            Deserializer::$deserialize(&mut json, visitor).map_err(|err| Fault::of_part(&err))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Fault;

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let mut by_field: Vec<_> = fields.iter().map(|field| (*field, Vec::new())).collect();
        for (key, value) in self.members(&visitor)? {
            if let Some(field) = json::field(&key, fields) {
                by_field.iter_mut().filter(|(name, _)| *name == field).for_each(|(_, all)| all.push(value));
            }
        }
        let mut present = Vec::new();
        for (field, all) in by_field {
            let layers = said(all);
            let demanded = self.reading.unsaid.contains(&(name, field));
            if demanded || (!layers.is_empty() && says_something(name, field, &layers)?) {
                present.push((field, layers));
            } else if (name, field) == ("Linux", "seccomp") {
                check_profile(layers, self.reading.again()).map_err(|err| err.within(field))?;
            }
        }
        let object = Object { name, members: present.into_iter(), value: None, reading: self.reading };
        visitor.visit_map(object).map_err(|mut err| {
            if let (What::Missing { object: object @ None, .. }, true) = (&mut err.what, err.path.is_empty())
            {
                *object = Some(name);
            }
            err
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let mut members = self.members(&visitor)?;
        let is_null = |value: &RawValue| value.get() == "null";
        let said: BTreeSet<String> =
            members.iter().filter(|(_, value)| !is_null(value)).map(|(key, _)| key.clone()).collect();
        members.retain(|(key, value)| !is_null(value) || !said.contains(key));
        visitor.visit_map(Map { members: members.into_iter(), value: None, reading: self.reading })
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        let Elements { visible, mut hidden } = self.elements(&visitor)?;
        let mut elements: Vec<_> = visible.into_iter().enumerate().collect();
        if let Some(set) = self.reading.in_capabilities {
            let warnings = &mut self.reading.warnings;
            elements.retain(|(_, layers)| is_known(set, layers, warnings));
            hidden.retain(|name| kind(name) != "string");
        }
        visitor.visit_seq(List { elements: elements.into_iter(), hidden, reading: self.reading })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.layers.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let mut word = self.string(&visitor)?;
        if self.reading.is_hidden {
            word = words.first().copied().unwrap_or_default().into();
        }
        if word.is_empty() {
            return Err(de::Error::custom("is missing or empty"));
        }
        let word: StrDeserializer<'_, Fault> = match (name, word.as_str()) {
            // The shared types misspell two flags of the spec.
            ("LinuxSchedulerFlag", "SCHED_FLAG_RESET_ON_FORK") => "SCHED_RESET_ON_FORK",
            ("LinuxSchedulerFlag", "SCHED_FLAG_DL_OVERRUN") => "SCHED_FLAG_D_L_OVERRUN",
            (_, word) => word,
        }
        .into_deserializer();
        visitor.visit_enum(word)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let text = self.string(&visitor)?;
        visitor.visit_string(text)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_string(visitor)
    }

    scalars! {
        deserialize_bool bool "boolean" "false",
        deserialize_i8 i8 "number" "0" or "-0", deserialize_i16 i16 "number" "0" or "-0",
        deserialize_i32 i32 "number" "0" or "-0", deserialize_i64 i64 "number" "0" or "-0",
        deserialize_u8 u8 "number" "0", deserialize_u16 u16 "number" "0",
        deserialize_u32 u32 "number" "0", deserialize_u64 u64 "number" "0",
        deserialize_f32 f32 "number" "0", deserialize_f64 f64 "number" "0"
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let mut json = serde_json::Deserializer::from_str(self.last("null"));
        json.deserialize_any(visitor).map_err(|err| Fault::of_part(&err))
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct identifier ignored_any
    }
}

/// Some fields are as good as absent if they say nothing that counts, as in runc. The shared types would demand an
/// action, take an absent limit for 0, or refuse an empty text.
fn says_something(object: &str, field: &str, layers: &[&RawValue]) -> Result<bool, Fault> {
    let (wanted, counts): (_, &[(&str, &str)]) = match (object, field) {
        ("Linux", "seccomp") => ("map", &[("defaultAction", "string"), ("syscalls", "sequence")]),
        ("LinuxResources", "pids") => ("map", &[("limit", "number")]),
        ("LinuxDeviceCgroup", "type") | ("ExecCPUAffinity", _) => ("string", &[]),
        _ => return Ok(true),
    };
    // What is of another kind is refused for that.
    if layers.iter().any(|layer| kind(layer) != wanted) {
        return Ok(true);
    }
    if wanted == "string" {
        return Ok(layers.last().is_some_and(|last| !is_empty(last, wanted)));
    }
    let members = members(layers)?;
    Ok(counts.iter().any(|(name, wanted)| {
        let is_it = |key: &str, value: &RawValue| json::is_key(key, name) && value.get() != "null";
        let last = members.iter().rfind(|(key, value)| is_it(key, value));
        last.is_some_and(|(_, value)| !is_empty(value, wanted))
    }))
}

/// A profile that says nothing is absent, but what stands in it has to fit.
fn check_profile(mut layers: Vec<&RawValue>, reading: Reading<'_>) -> Result<(), Fault> {
    let action = serde_json::from_str(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
    layers.push(action.map_err(de::Error::custom)?);
    oci::LinuxSeccomp::deserialize(Value { layers, reading }).map(|_| ())
}

fn is_empty(value: &RawValue, wanted: &str) -> bool {
    match wanted {
        "string" => value.get() == "\"\"",
        "sequence" => value.get().strip_prefix('[').is_some_and(|list| list.trim_start().starts_with(']')),
        _ => false,
    }
}

/// The OCI spec asks for a warning where a capability isn't known. What is no text is refused for that.
fn is_known(set: &str, layers: &[&RawValue], warnings: &mut Vec<String>) -> bool {
    if layers.iter().any(|layer| kind(layer) != "string") {
        return true;
    }
    let name = layers.last().map_or("\"\"", |name| name.get());
    let known = serde_json::from_str(name).map_or(true, |name: String| exact::is_capability(&name));
    if !known {
        warnings.push(format!("process.capabilities.{set}: {name} is not known here and is left out"));
    }
    known
}

/// The access to the members of a struct.
struct Object<'r, 'de> {
    name: &'static str,
    members: std::vec::IntoIter<(&'static str, Vec<&'de RawValue>)>,
    value: Option<(&'static str, Vec<&'de RawValue>)>,
    reading: Reading<'r>,
}

impl<'de> MapAccess<'de> for Object<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.value = self.members.next();
        let Some((field, _)) = &self.value else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(field)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some((field, layers)) = self.value.take() else { return Err(de::Error::custom("no value")) };
        let mut reading = self.reading.again();
        if self.name == exact::CAPABILITIES {
            reading.in_capabilities = Some(field);
        }
        seed.deserialize(Value { layers, reading }).map_err(|err| err.within(field))
    }
}

/// The access to a map, whose keys are anybody's. Of a key given twice the last value counts, and the map sees to that.
struct Map<'r, 'de> {
    members: std::vec::IntoIter<(String, &'de RawValue)>,
    value: Option<(String, &'de RawValue)>,
    reading: Reading<'r>,
}

impl<'de> MapAccess<'de> for Map<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some((key, value)) = self.members.next() else { return Ok(None) };
        let key = no_nul(key).map_err(|err| err.within("a key"))?;
        let (key, _) = self.value.insert((key, value));
        let read: StrDeserializer<'_, Fault> = key.as_str().into_deserializer();
        seed.deserialize(read).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some((key, value)) = self.value.take() else { return Err(de::Error::custom("no value")) };
        let value = Value { layers: said([value]), reading: self.reading.again() };
        seed.deserialize(value).map_err(|err| err.within(key))
    }
}

/// The access to a list.
struct List<'r, 'de> {
    elements: std::vec::IntoIter<(usize, Vec<&'de RawValue>)>,
    /// What earlier lists have said of elements that are no more: like the layers of one value.
    hidden: Vec<&'de RawValue>,
    reading: Reading<'r>,
}

impl<'de> SeqAccess<'de> for List<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let mut reading = self.reading.again();
        if let Some((at, layers)) = self.elements.next() {
            let value = Value { layers, reading };
            return seed.deserialize(value).map(Some).map_err(|err| err.within(format!("[{at}]")));
        }
        let layers: Vec<_> = self.hidden.drain(..).collect();
        if !layers.is_empty() {
            reading.is_hidden = true;
            seed.deserialize(Value { layers, reading }).map_err(|err| err.within("[]"))?;
        }
        Ok(None)
    }
}

//! A single pass over a good text: `oci-spec`'s types by serde_json, which refuses whatever Go's reader might read in
//! another way.
//!
//! Refused are a known key in another case, a key given twice, and null for what is no option. So are a list in the
//! place of an object, an object in the place of a word, and a capability that isn't spelled as in the spec. Then
//! [`super::go`] decides.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess,
    SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::oci;
use crate::json;

/// The name of the type of `process.capabilities`.
pub(super) const CAPABILITIES: &str = "LinuxCapabilities";

/// Errors: the text isn't JSON, doesn't fit, or is to be read as Go reads it. The error says little of where and why.
pub fn from_slice<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = T::deserialize(Exact { inner: &mut json, in_capabilities: false })?;
    json.end()?;
    Ok(value)
}

/// A value, a seed of one, or an access to several, and whether it belongs to `process.capabilities`.
struct Exact<I> {
    inner: I,
    in_capabilities: bool,
}

impl<I> Exact<I> {
    /// The same place, of another kind.
    fn with<O>(&self, inner: O) -> Exact<O> {
        Exact { inner, in_capabilities: self.in_capabilities }
    }
}

macro_rules! forward {
    ($($deserialize:ident)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$deserialize(visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Exact<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let in_capabilities = name == CAPABILITIES;
        // As a map: a list is refused.
        self.inner.deserialize_map(Object { visitor, fields, in_capabilities })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let word = self.inner.deserialize_str(Text)?;
        visitor.visit_enum(word.as_ref().into_deserializer())
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if !self.in_capabilities {
            return self.inner.deserialize_string(visitor);
        }
        let name = self.inner.deserialize_str(Text)?;
        if is_capability(&name) { visitor.visit_str(&name) } else { Err(odd()) }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_option(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.with(visitor);
        self.inner.deserialize_map(visitor)
    }

    forward! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_identifier deserialize_ignored_any
    }

    forward_to_deserialize_any! { unit_struct newtype_struct tuple tuple_struct }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Exact<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<V::Value, D::Error> {
        let value = self.with(value);
        self.inner.visit_some(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<V::Value, A::Error> {
        let list = self.with(list);
        self.inner.visit_seq(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        let map = self.with(map);
        self.inner.visit_map(map)
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Exact<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<S::Value, D::Error> {
        let value = self.with(value);
        self.inner.deserialize(value)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Exact<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.with(seed);
        self.inner.next_element_seed(seed)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Exact<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.with(seed);
        self.inner.next_value_seed(seed)
    }
}

/// The visitor of a struct, or the access to its members.
struct Object<I> {
    visitor: I,
    fields: &'static [&'static str],
    in_capabilities: bool,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Object<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        let Object { visitor, fields, in_capabilities } = self;
        visitor.visit_map(Object { visitor: members, fields, in_capabilities })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Object<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let Some(Key(key)) = self.visitor.next_key()? else { return Ok(None) };
        if json::field(&key, self.fields).is_some_and(|field| field != key) {
            return Err(odd());
        }
        let key: StrDeserializer<'_, A::Error> = key.as_ref().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.visitor.next_value_seed(Exact { inner: seed, in_capabilities: self.in_capabilities })
    }
}

struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(key: D) -> Result<Key<'de>, D::Error> {
        key.deserialize_str(Text).map(Key)
    }
}

/// Borrows a string that has no escapes.
struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

fn odd<E: Error>() -> E {
    E::custom("to be read as Go reads it")
}
/// Whether this is a capability as the spec spells it. The shared types take more: `KILL`, `cap_kill`.
pub(super) fn is_capability(name: &str) -> bool {
    let known: Result<oci::Capability, serde::de::value::Error> =
        oci::Capability::deserialize(StrDeserializer::new(name));
    name.strip_prefix("CAP_").is_some_and(|name| known.is_ok_and(|known| known.to_string() == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_write_is_read_in_one_pass() {
        let configs = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec-tests/data/engine-configs");
        let mut read = 0;
        for file in std::fs::read_dir(configs).unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read(&path).unwrap();
            from_slice::<oci::Spec>(&text).map_err(|err| format!("{}: {err}", path.display())).unwrap();
            read += 1;
        }
        assert!(read > 5);
    }

    #[test]
    fn a_capability_is_spelled_as_in_the_spec() {
        assert!(is_capability("CAP_KILL") && is_capability("CAP_SYS_ADMIN") && is_capability("CAP_BPF"));
        for name in ["KILL", "cap_kill", "CAP_CAP_KILL", "CAP_kill", "CAP_", "CAP_TELEPORT", ""] {
            assert!(!is_capability(name), "{name}");
        }
    }
}

//! What Go's `encoding/json` makes of a text before any type is known: bytes, escapes, and the case of keys.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The text with U+FFFD for each byte that is no UTF-8 and for each half of a surrogate pair.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match utf8(bytes) {
        Cow::Borrowed(text) => whole_surrogates(text),
        Cow::Owned(text) => Cow::Owned(whole_surrogates(&text).into_owned()),
    }
}

/// Unlike the standard library, Go puts one U+FFFD for each bad byte, however many begin a character together.
fn utf8(mut bytes: &[u8]) -> Cow<'_, str> {
    let mut text = String::new();
    loop {
        match std::str::from_utf8(bytes) {
            Ok(rest) if text.is_empty() => return Cow::Borrowed(rest),
            Ok(rest) => {
                text.push_str(rest);
                return Cow::Owned(text);
            }
            Err(err) => {
                let (good, bad) = bytes.split_at(err.valid_up_to());
                text.push_str(&String::from_utf8_lossy(good));
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = &bad[1..];
            }
        }
    }
}

fn whole_surrogates(text: &str) -> Cow<'_, str> {
    let mut whole = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(before) = text[at..].find('\\') {
        at += before;
        let escape = &text[at..];
        at += match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(Half::High), Some(Half::Low)) => 12,
            (Some(_), _) => {
                whole.push_str(&text[copied..at]);
                whole.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            (None, _) => escape.chars().take(2).map(char::len_utf8).sum(),
        };
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    whole.push_str(&text[copied..]);
    Cow::Owned(whole)
}

enum Half {
    High,
    Low,
}

/// Which half of a surrogate pair stands at the beginning of `text` as an escape.
fn surrogate(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

/// The field that a key means: the field of this name, or else the field whose name differs in case alone.
pub fn field(key: &str, fields: &'static [&'static str]) -> Option<&'static str> {
    let named = |same: fn(&str, &str) -> bool| fields.iter().copied().find(|field| same(key, field));
    named(|key, field| key == field).or_else(|| named(is_key))
}

/// Whether `key` is `name` but for case. Names are ASCII; two letters that aren't ASCII have an ASCII one as their
/// simple fold.
pub fn is_key(key: &str, name: &str) -> bool {
    let fold = |letter: char| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(name.chars().map(|letter| letter.to_ascii_lowercase()))
}

/// The members of an object in their order, whatever their keys: each value as text.
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of `object`.
    ///
    /// Errors: it is no object.
    pub fn of(object: &'a str) -> serde_json::Result<Members<'a>> {
        serde_json::from_str(object)
    }

    /// What `object` says at a path of keys, whatever their case. A key may be there more than once.
    ///
    /// Errors: it is no object.
    pub fn at(path: &[&str], object: &'a str) -> serde_json::Result<Vec<&'a RawValue>> {
        let Some((key, rest)) = path.split_first() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (_, value) in Members::of(object)?.0.into_iter().filter(|(name, _)| is_key(name, key)) {
            if rest.is_empty() {
                found.push(value);
            } else if value.get().starts_with('{') {
                found.extend(Members::at(rest, value.get())?);
            }
        }
        Ok(found)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Members<'a>, D::Error> {
        object.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(key) = object.next_key()? {
            let value = object.next_value().map_err(A::Error::custom)?;
            members.push((key, value));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_bytes_and_half_surrogates_become_replacement_characters() {
        for (bytes, expected) in [
            (&b"a\xe2\x82z\xff"[..], "a\u{fffd}\u{fffd}z\u{fffd}"),
            (br"\ud800x", r"\ufffdx"),
            (br"\udc00\ud800", r"\ufffd\ufffd"),
            (br"\ud83d\ude00\uD83D", r"\ud83d\ude00\ufffd"),
            (br"\ud800\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (br"\\ud800\n\\\ud800", r"\\ud800\n\\\ufffd"),
            (br"\ud8", r"\ud8"),
            ("\\é\\".as_bytes(), "\\é\\"),
        ] {
            assert_eq!(text(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn keys_fold_as_in_go() {
        for key in ["maskedPaths", "MASKEDPATHS", "maſkedPaths", "mas\u{212a}edpath\u{17f}"] {
            assert!(is_key(key, "maskedPaths"), "{key}");
        }
        assert!(!is_key("maskedPath", "maskedPaths"));
        assert!(!is_key("ünix", "unix"));
    }
}

//! The messages that several services share.

use std::collections::HashMap;

use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Context, Result};

/// No answer, or no request.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Empty {}

/// A message of a type that its URL names.
#[derive(Clone, PartialEq, Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl Any {
    /// A record as JSON, which is what runtime specs are too.
    pub fn json(type_url: &str, record: &impl Serialize) -> Result<Any> {
        Ok(Any { type_url: type_url.to_owned(), value: serde_json::to_vec(record).at(type_url)? })
    }

    /// A message.
    pub fn message(type_url: &str, message: &impl Message) -> Any {
        Any { type_url: type_url.to_owned(), value: message.encode_to_vec() }
    }

    /// The record of a value that is JSON.
    pub fn read_json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.value).at(&self.type_url)
    }
}

/// A moment, from 1970 on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Message)]
pub struct Timestamp {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// Which fields an update is about.
#[derive(Clone, PartialEq, Message)]
pub struct FieldMask {
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

impl FieldMask {
    /// These fields alone.
    pub fn of(paths: &[&str]) -> Option<FieldMask> {
        Some(FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() })
    }
}

/// A mount as `mount(8)` has it.
#[derive(Clone, PartialEq, Message)]
pub struct Mount {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub source: String,
    #[prost(string, tag = "3")]
    pub target: String,
    #[prost(string, repeated, tag = "4")]
    pub options: Vec<String>,
}

/// What a blob is, and how large.
#[derive(Clone, PartialEq, Message)]
pub struct Descriptor {
    #[prost(string, tag = "1")]
    pub media_type: String,
    #[prost(string, tag = "2")]
    pub digest: String,
    #[prost(int64, tag = "3")]
    pub size: i64,
    #[prost(map = "string, string", tag = "5")]
    pub annotations: HashMap<String, String>,
}

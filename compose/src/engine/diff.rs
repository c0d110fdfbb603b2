//! Diffs: a layer's archive laid out in a snapshot, and made of two.

use std::collections::HashMap;

use prost::Message;

use super::calls;
use super::types::{Descriptor, Mount};

calls! { "diff.v1.Diff":
    "Apply": Apply => ApplyResponse,
    "Diff": Diff => DiffResponse,
}

#[derive(Clone, PartialEq, Message)]
pub struct Apply {
    #[prost(message, optional, tag = "1")]
    pub diff: Option<Descriptor>,
    #[prost(message, repeated, tag = "2")]
    pub mounts: Vec<Mount>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ApplyResponse {
    /// The archive without its compression.
    #[prost(message, optional, tag = "1")]
    pub applied: Option<Descriptor>,
}

/// What the second tree has that the first one hasn't, as a layer's archive.
#[derive(Clone, PartialEq, Message)]
pub struct Diff {
    #[prost(message, repeated, tag = "1")]
    pub left: Vec<Mount>,
    #[prost(message, repeated, tag = "2")]
    pub right: Vec<Mount>,
    #[prost(string, tag = "3")]
    pub media_type: String,
    /// The name of the blob while it is written.
    #[prost(string, tag = "4")]
    pub reference: String,
    #[prost(map = "string, string", tag = "5")]
    pub labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DiffResponse {
    #[prost(message, optional, tag = "3")]
    pub diff: Option<Descriptor>,
}

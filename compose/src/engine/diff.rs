//! Diffs: a layer's archive laid out in a snapshot.

use prost::Message;

use super::calls;
use super::types::{Descriptor, Mount};

calls! { "diff.v1.Diff":
    "Apply": Apply => ApplyResponse,
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

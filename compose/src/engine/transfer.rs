//! Transfers: containerd 2 pulls and pushes by itself.

use std::collections::HashMap;

use prost::Message;

use super::calls;
use super::types::{Any, Descriptor, Empty, Platform};

calls! { "transfer.v1.Transfer":
    "Transfer": Transfer => Empty,
}

#[derive(Clone, PartialEq, Message)]
pub struct Transfer {
    #[prost(message, optional, tag = "1")]
    pub source: Option<Any>,
    #[prost(message, optional, tag = "2")]
    pub destination: Option<Any>,
    #[prost(message, optional, tag = "3")]
    pub options: Option<TransferOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TransferOptions {
    /// The id of a stream that takes [`Progress`].
    #[prost(string, tag = "1")]
    pub progress_stream: String,
}

/// `containerd.types.transfer.OCIRegistry`.
#[derive(Clone, PartialEq, Message)]
pub struct OciRegistry {
    #[prost(string, tag = "1")]
    pub reference: String,
    #[prost(message, optional, tag = "2")]
    pub resolver: Option<RegistryResolver>,
}

#[derive(Clone, PartialEq, Message)]
pub struct RegistryResolver {
    /// The id of a stream that asks for credentials.
    #[prost(string, tag = "1")]
    pub auth_stream: String,
    #[prost(map = "string, string", tag = "2")]
    pub headers: HashMap<String, String>,
    #[prost(string, tag = "3")]
    pub host_dir: String,
}

/// `containerd.types.transfer.ImageStore`.
#[derive(Clone, PartialEq, Message)]
pub struct ImageStore {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
    #[prost(message, repeated, tag = "3")]
    pub platforms: Vec<Platform>,
    #[prost(message, repeated, tag = "10")]
    pub unpacks: Vec<UnpackConfiguration>,
}

#[derive(Clone, PartialEq, Message)]
pub struct UnpackConfiguration {
    #[prost(message, optional, tag = "1")]
    pub platform: Option<Platform>,
    #[prost(string, tag = "2")]
    pub snapshotter: String,
}

/// `containerd.types.transfer.Progress`.
#[derive(Clone, PartialEq, Message)]
pub struct Progress {
    #[prost(string, tag = "1")]
    pub event: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(int64, tag = "4")]
    pub progress: i64,
    #[prost(int64, tag = "5")]
    pub total: i64,
    #[prost(message, optional, tag = "6")]
    pub desc: Option<Descriptor>,
}

//! Which plugins containerd has, and whether they work here.

use prost::Message;

use super::calls;

calls! { "introspection.v1.Introspection":
    "Plugins": Plugins => PluginsResponse,
    "Server": Server => ServerResponse,
}

#[derive(Clone, PartialEq, Message)]
pub struct Plugins {
    #[prost(string, repeated, tag = "1")]
    pub filters: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Server {}

#[derive(Clone, PartialEq, Message)]
pub struct ServerResponse {
    /// One for each containerd's root directory.
    #[prost(string, tag = "1")]
    pub uuid: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct PluginsResponse {
    #[prost(message, repeated, tag = "1")]
    pub plugins: Vec<Plugin>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Plugin {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "2")]
    pub id: String,
    /// Why the plugin doesn't work here.
    #[prost(message, optional, tag = "7")]
    pub init_err: Option<RpcStatus>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

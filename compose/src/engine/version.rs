//! Which containerd it is.

use prost::Message;

use super::calls;

calls! { "version.v1.Version":
    "Version": Version => VersionResponse,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Version {}

#[derive(Clone, PartialEq, Message)]
pub struct VersionResponse {
    #[prost(string, tag = "1")]
    pub version: String,
    #[prost(string, tag = "2")]
    pub revision: String,
}

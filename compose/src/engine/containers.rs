//! Containers: records that outlive their tasks.

use std::collections::HashMap;

use prost::Message;

use super::types::{Any, Empty, FieldMask, Timestamp};
use super::{Engine, calls};
use crate::error::Result;

calls! { "containers.v1.Containers":
    "Get": GetContainer => ContainerResponse,
    "ListStream": ListContainers => ListedContainer,
    "Create": CreateContainer => ContainerResponse,
    "Update": UpdateContainer => ContainerResponse,
    "Delete": DeleteContainer => Empty,
}

#[derive(Clone, PartialEq, Message)]
pub struct Container {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
    #[prost(string, tag = "3")]
    pub image: String,
    #[prost(message, optional, tag = "4")]
    pub runtime: Option<Runtime>,
    #[prost(message, optional, tag = "5")]
    pub spec: Option<Any>,
    #[prost(string, tag = "6")]
    pub snapshotter: String,
    #[prost(string, tag = "7")]
    pub snapshot_key: String,
    #[prost(message, optional, tag = "8")]
    pub created_at: Option<Timestamp>,
    #[prost(message, optional, tag = "9")]
    pub updated_at: Option<Timestamp>,
    #[prost(map = "string, message", tag = "10")]
    pub extensions: HashMap<String, Any>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Runtime {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub options: Option<Any>,
}

/// `containerd.runc.v1.Options`, of which systemd's part is all that is asked for.
#[derive(Clone, PartialEq, Message)]
pub struct RuncOptions {
    #[prost(bool, tag = "9")]
    pub systemd_cgroup: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetContainer {
    #[prost(string, tag = "1")]
    pub id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerResponse {
    #[prost(message, optional, tag = "1")]
    pub container: Option<Container>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListContainers {
    #[prost(string, repeated, tag = "1")]
    pub filters: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListedContainer {
    #[prost(message, optional, tag = "1")]
    pub container: Option<Container>,
}

impl Engine {
    /// All containers of the namespace. They come one by one: a message has room for the specs of some hundreds alone.
    pub async fn containers(&self) -> Result<Vec<Container>> {
        let mut answers = self.follow(ListContainers { filters: Vec::new() }).await?;
        let mut containers = Vec::new();
        while let Some(listed) = answers.next().await? {
            containers.extend(listed.container);
        }
        Ok(containers)
    }
}

#[derive(Clone, PartialEq, Message)]
pub struct CreateContainer {
    #[prost(message, optional, tag = "1")]
    pub container: Option<Container>,
}

#[derive(Clone, PartialEq, Message)]
pub struct UpdateContainer {
    #[prost(message, optional, tag = "1")]
    pub container: Option<Container>,
    #[prost(message, optional, tag = "2")]
    pub update_mask: Option<FieldMask>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeleteContainer {
    #[prost(string, tag = "1")]
    pub id: String,
}

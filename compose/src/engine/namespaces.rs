//! Namespaces: whose containers, images and leases are apart.

use std::collections::HashMap;

use prost::Message;

use super::calls;

calls! { "namespaces.v1.Namespaces":
    "Create": CreateNamespace => NamespaceResponse,
    "List": ListNamespaces => ListNamespacesResponse,
}

#[derive(Clone, PartialEq, Message)]
pub struct Namespace {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(map = "string, string", tag = "2")]
    pub labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CreateNamespace {
    #[prost(message, optional, tag = "1")]
    pub namespace: Option<Namespace>,
}

#[derive(Clone, PartialEq, Message)]
pub struct NamespaceResponse {
    #[prost(message, optional, tag = "1")]
    pub namespace: Option<Namespace>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListNamespaces {}

#[derive(Clone, PartialEq, Message)]
pub struct ListNamespacesResponse {
    #[prost(message, repeated, tag = "1")]
    pub namespaces: Vec<Namespace>,
}

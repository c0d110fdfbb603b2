//! Leases: what keeps the collector from things that nothing refers to yet.

use std::collections::HashMap;

use prost::Message;

use super::calls;
use super::types::Empty;

calls! { "leases.v1.Leases":
    "Create": CreateLease => CreateLeaseResponse,
    "Delete": DeleteLease => Empty,
    "List": ListLeases => ListLeasesResponse,
}

#[derive(Clone, PartialEq, Message)]
pub struct LeaseRecord {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(map = "string, string", tag = "3")]
    pub labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CreateLease {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(map = "string, string", tag = "3")]
    pub labels: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CreateLeaseResponse {
    #[prost(message, optional, tag = "1")]
    pub lease: Option<LeaseRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub struct DeleteLease {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(bool, tag = "2")]
    pub sync: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListLeases {
    #[prost(string, repeated, tag = "1")]
    pub filters: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ListLeasesResponse {
    #[prost(message, repeated, tag = "1")]
    pub leases: Vec<LeaseRecord>,
}

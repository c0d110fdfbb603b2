//! The messages of CRI (`runtime.v1`) that the scenarios need, and of their fields those that are set or looked at.
//!
//! Source: `k8s.io/cri-api`, `pkg/apis/runtime/v1/api.proto`. What a message has beside these fields is skipped when it
//! is read.

use prost::Message;

pub use self::containers::*;
pub use self::pods::*;
pub use self::stats::*;

mod containers;
mod pods;
mod stats;

/// A request: its call, and the answer to it.
pub trait Call: Message {
    const METHOD: &'static str;
    type Answer: Message + Default + std::fmt::Debug;
}

macro_rules! calls {
    ($($method:literal: $request:ident => $answer:ident,)*) => {
        $(impl Call for $request {
            const METHOD: &'static str = $method;
            type Answer = $answer;
        })*
    };
}

calls! {
    "Version": VersionRequest => VersionResponse,
    "RunPodSandbox": RunPodSandboxRequest => RunPodSandboxResponse,
    "StopPodSandbox": StopPodSandboxRequest => Nothing,
    "RemovePodSandbox": RemovePodSandboxRequest => Nothing,
    "PodSandboxStatus": PodSandboxStatusRequest => PodSandboxStatusResponse,
    "PodSandboxStats": PodSandboxStatsRequest => PodSandboxStatsResponse,
    "CreateContainer": CreateContainerRequest => CreateContainerResponse,
    "StartContainer": StartContainerRequest => Nothing,
    "StopContainer": StopContainerRequest => Nothing,
    "RemoveContainer": RemoveContainerRequest => Nothing,
    "ContainerStatus": ContainerStatusRequest => ContainerStatusResponse,
    "ContainerStats": ContainerStatsRequest => ContainerStatsResponse,
    "UpdateContainerResources": UpdateContainerResourcesRequest => Nothing,
    "ReopenContainerLog": ReopenContainerLogRequest => Nothing,
    "ExecSync": ExecSyncRequest => ExecSyncResponse,
    "GetContainerEvents": GetEventsRequest => ContainerEvent,
}

#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

#[derive(Clone, PartialEq, Message)]
pub struct VersionRequest {}

#[derive(Clone, PartialEq, Message)]
pub struct VersionResponse {
    #[prost(string, tag = "2")]
    pub runtime_name: String,
    #[prost(string, tag = "3")]
    pub runtime_version: String,
    #[prost(string, tag = "4")]
    pub runtime_api_version: String,
}

/// `Int64Value` and `UInt64Value`, which are told from nought by being there.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Number {
    #[prost(int64, tag = "1")]
    pub value: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct GetEventsRequest {}

/// `ContainerEventResponse`, one of many answers.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerEvent {
    #[prost(string, tag = "1")]
    pub container_id: String,
    #[prost(enumeration = "EventType", tag = "2")]
    pub event_type: i32,
}

/// `ContainerEventType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum EventType {
    Created = 0,
    Started = 1,
    Stopped = 2,
    Deleted = 3,
}

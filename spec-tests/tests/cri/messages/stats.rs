//! Of readings.

use prost::Message;

use super::Number;

#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatsRequest {
    #[prost(string, tag = "1")]
    pub container_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatsResponse {
    #[prost(message, required, tag = "1")]
    pub stats: ContainerStats,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct ContainerStats {
    #[prost(message, optional, tag = "2")]
    pub cpu: Option<CpuUsage>,
    #[prost(message, optional, tag = "3")]
    pub memory: Option<MemoryUsage>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct CpuUsage {
    #[prost(message, optional, tag = "2")]
    pub usage_core_nano_seconds: Option<Number>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct MemoryUsage {
    #[prost(message, optional, tag = "2")]
    pub working_set_bytes: Option<Number>,
    #[prost(message, optional, tag = "3")]
    pub available_bytes: Option<Number>,
    #[prost(message, optional, tag = "4")]
    pub usage_bytes: Option<Number>,
    #[prost(message, optional, tag = "5")]
    pub rss_bytes: Option<Number>,
    #[prost(message, optional, tag = "6")]
    pub page_faults: Option<Number>,
    #[prost(message, optional, tag = "7")]
    pub major_page_faults: Option<Number>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxStatsRequest {
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxStatsResponse {
    #[prost(message, required, tag = "1")]
    pub stats: PodStats,
}

/// `PodSandboxStats`.
#[derive(Clone, PartialEq, Message)]
pub struct PodStats {
    #[prost(message, required, tag = "2")]
    pub linux: LinuxPodStats,
}

/// `LinuxPodSandboxStats`.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxPodStats {
    #[prost(message, optional, tag = "1")]
    pub cpu: Option<CpuUsage>,
    #[prost(message, optional, tag = "2")]
    pub memory: Option<MemoryUsage>,
    #[prost(message, optional, tag = "4")]
    pub process: Option<ProcessUsage>,
    #[prost(message, repeated, tag = "5")]
    pub containers: Vec<ContainerStats>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct ProcessUsage {
    #[prost(message, optional, tag = "2")]
    pub process_count: Option<Number>,
}

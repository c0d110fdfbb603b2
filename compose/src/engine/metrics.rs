//! What a task uses, as its shim tells: a message for cgroups of v1, and one for v2.
//!
//! Source: containerd/cgroups' `metrics.proto` of both versions.

use prost::Message;

use super::types::Any;

/// What is looked at of a task's use. A counter that its cgroup doesn't have is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub cpu_nanos: u64,
    /// Without what the kernel would give up at once.
    pub memory_bytes: u64,
    pub memory_bytes_max: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub processes: u64,
    /// How often the kernel has killed one of its processes for lack of memory.
    pub oom_kills: u64,
}

impl Used {
    /// Reads what Metrics has answered. None: a message that isn't known.
    pub fn of(metrics: &Any) -> Option<Used> {
        match metrics.type_url.rsplit('/').next()? {
            "io.containerd.cgroups.v1.Metrics" => V1::decode(metrics.value.as_slice()).ok().map(Used::from),
            "io.containerd.cgroups.v2.Metrics" => V2::decode(metrics.value.as_slice()).ok().map(Used::from),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct V1 {
    #[prost(message, optional, tag = "2")]
    pids: Option<Pids>,
    #[prost(message, optional, tag = "3")]
    cpu: Option<V1Cpu>,
    #[prost(message, optional, tag = "4")]
    memory: Option<V1Memory>,
    #[prost(message, optional, tag = "5")]
    block_io: Option<V1BlockIo>,
    #[prost(message, optional, tag = "9")]
    memory_oom_control: Option<V1MemoryOomControl>,
}

#[derive(Clone, PartialEq, Message)]
struct V1MemoryOomControl {
    #[prost(uint64, tag = "3")]
    oom_kill: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Pids {
    #[prost(uint64, tag = "1")]
    current: u64,
}

#[derive(Clone, PartialEq, Message)]
struct V1Cpu {
    #[prost(message, optional, tag = "1")]
    usage: Option<V1CpuUsage>,
}

#[derive(Clone, PartialEq, Message)]
struct V1CpuUsage {
    #[prost(uint64, tag = "1")]
    total_nanos: u64,
}

#[derive(Clone, PartialEq, Message)]
struct V1Memory {
    #[prost(uint64, tag = "29")]
    total_inactive_file: u64,
    #[prost(message, optional, tag = "33")]
    usage: Option<V1MemoryEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct V1MemoryEntry {
    #[prost(uint64, tag = "1")]
    limit: u64,
    #[prost(uint64, tag = "2")]
    usage: u64,
}

#[derive(Clone, PartialEq, Message)]
struct V1BlockIo {
    #[prost(message, repeated, tag = "1")]
    service_bytes: Vec<V1BlockIoEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct V1BlockIoEntry {
    #[prost(string, tag = "1")]
    operation: String,
    #[prost(uint64, tag = "5")]
    value: u64,
}

impl From<V1> for Used {
    fn from(metrics: V1) -> Used {
        let memory = metrics.memory.unwrap_or_default();
        let usage = memory.usage.unwrap_or_default();
        let moved = metrics.block_io.unwrap_or_default().service_bytes;
        let bytes = |operation: &str| {
            let entries = moved.iter().filter(|entry| entry.operation.eq_ignore_ascii_case(operation));
            entries.map(|entry| entry.value).fold(0, u64::saturating_add)
        };
        Used {
            cpu_nanos: metrics.cpu.unwrap_or_default().usage.unwrap_or_default().total_nanos,
            memory_bytes: usage.usage.saturating_sub(memory.total_inactive_file),
            memory_bytes_max: usage.limit,
            read_bytes: bytes("read"),
            written_bytes: bytes("write"),
            processes: metrics.pids.unwrap_or_default().current,
            oom_kills: metrics.memory_oom_control.unwrap_or_default().oom_kill,
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct V2 {
    #[prost(message, optional, tag = "1")]
    pids: Option<Pids>,
    #[prost(message, optional, tag = "2")]
    cpu: Option<V2Cpu>,
    #[prost(message, optional, tag = "4")]
    memory: Option<V2Memory>,
    #[prost(message, optional, tag = "6")]
    io: Option<V2Io>,
    #[prost(message, optional, tag = "8")]
    memory_events: Option<V2MemoryEvents>,
}

#[derive(Clone, PartialEq, Message)]
struct V2MemoryEvents {
    #[prost(uint64, tag = "5")]
    oom_kill: u64,
}

#[derive(Clone, PartialEq, Message)]
struct V2Cpu {
    #[prost(uint64, tag = "1")]
    usage_micros: u64,
}

#[derive(Clone, PartialEq, Message)]
struct V2Memory {
    #[prost(uint64, tag = "13")]
    inactive_file: u64,
    #[prost(uint64, tag = "32")]
    usage: u64,
    #[prost(uint64, tag = "33")]
    usage_limit: u64,
}

#[derive(Clone, PartialEq, Message)]
struct V2Io {
    #[prost(message, repeated, tag = "1")]
    usage: Vec<V2IoEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct V2IoEntry {
    #[prost(uint64, tag = "3")]
    read_bytes: u64,
    #[prost(uint64, tag = "4")]
    written_bytes: u64,
}

impl From<V2> for Used {
    fn from(metrics: V2) -> Used {
        let memory = metrics.memory.unwrap_or_default();
        let moved = metrics.io.unwrap_or_default().usage;
        let sum = |bytes: fn(&V2IoEntry) -> u64| moved.iter().map(bytes).fold(0, u64::saturating_add);
        Used {
            cpu_nanos: metrics.cpu.unwrap_or_default().usage_micros.saturating_mul(1000),
            memory_bytes: memory.usage.saturating_sub(memory.inactive_file),
            memory_bytes_max: memory.usage_limit,
            read_bytes: sum(|entry| entry.read_bytes),
            written_bytes: sum(|entry| entry.written_bytes),
            processes: metrics.pids.unwrap_or_default().current,
            oom_kills: metrics.memory_events.unwrap_or_default().oom_kill,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_say_the_same() {
        let used = Used {
            cpu_nanos: 7000,
            memory_bytes: 60,
            memory_bytes_max: 1000,
            read_bytes: 5,
            written_bytes: 6,
            processes: 3,
            oom_kills: 2,
        };
        let entry = |operation: &str, value| V1BlockIoEntry { operation: operation.to_owned(), value };
        let v1 = V1 {
            pids: Some(Pids { current: 3 }),
            cpu: Some(V1Cpu { usage: Some(V1CpuUsage { total_nanos: 7000 }) }),
            memory: Some(V1Memory {
                total_inactive_file: 40,
                usage: Some(V1MemoryEntry { limit: 1000, usage: 100 }),
            }),
            block_io: Some(V1BlockIo {
                service_bytes: vec![entry("Read", 5), entry("Write", 6), entry("Sync", 9)],
            }),
            memory_oom_control: Some(V1MemoryOomControl { oom_kill: 2 }),
        };
        let v2 = V2 {
            pids: Some(Pids { current: 3 }),
            cpu: Some(V2Cpu { usage_micros: 7 }),
            memory: Some(V2Memory { inactive_file: 40, usage: 100, usage_limit: 1000 }),
            io: Some(V2Io {
                usage: vec![
                    V2IoEntry { read_bytes: 2, written_bytes: 6 },
                    V2IoEntry { read_bytes: 3, written_bytes: 0 },
                ],
            }),
            memory_events: Some(V2MemoryEvents { oom_kill: 2 }),
        };
        assert_eq!(Used::of(&Any::message("io.containerd.cgroups.v1.Metrics", &v1)), Some(used));
        let of_v2 = Any::message("types.containerd.io/io.containerd.cgroups.v2.Metrics", &v2);
        assert_eq!(Used::of(&of_v2), Some(used));
        assert_eq!(Used::of(&Any::default()), None);
    }
}

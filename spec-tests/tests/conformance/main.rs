//! Does the runtime do what its callers and config.json ask for? One container per question, the evidence taken
//! inside it. Every check here is judged by runc: run against it (`CORTEN_BIN=/usr/sbin/runc`), it passes, or is
//! skipped with the reason why that version can't do it.

mod apparmor;
mod capabilities;
mod cgroups;
mod command_line;
mod descriptors;
mod devices;
mod engines;
mod exec;
mod hooks;
mod host_mounts;
mod intel_rdt;
mod json;
mod kill;
mod lifecycle;
mod memory_policy;
mod mount_options;
mod mounts;
mod mounts_beside_runc;
mod namespaces;
mod net_devices;
mod notify;
mod old_kernels;
mod paths;
mod process;
mod rootfs;
mod rootless;
mod seccomp;
mod state;
mod stats;
mod sysctl;
mod terminal;
mod trace;
mod update;
mod user_namespace;

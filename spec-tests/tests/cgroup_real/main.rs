//! The cgroup layer against the kernel's own cgroups: v1 as the machine has it, and v2 in a mount namespace of its own.
//! Each test leaves no cgroup behind, and says why where it can't run.

mod fixture;
mod hybrid;
mod processes;
mod readings;
mod v1;
mod v2;

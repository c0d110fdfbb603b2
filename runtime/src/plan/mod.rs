//! Decisions: a spec and the facts of the host become a plan. Pure.

pub mod cgroup;

//! Effects: performs a finished plan.

pub mod cgroup;

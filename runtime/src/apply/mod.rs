//! 3. EFFECTS: performs a finished plan.

pub mod cgroup;
pub mod hooks;

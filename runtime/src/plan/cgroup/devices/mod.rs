//! Which devices a container may use: a policy, and the same policy as lines for the v1 controller and as an eBPF
//! program for v2.

mod policy;
mod program;

pub use policy::Policy;

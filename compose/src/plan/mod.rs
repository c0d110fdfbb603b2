//! Decision, pure: (what is wanted, what is there) → a plan, which is a graph of steps.
//!
//! Nothing here knows containerd, the clock or the disk. What `up --dry-run` prints is what `up` carries out.

pub mod actual;
pub mod down;
pub mod explain;
pub mod graph;
pub mod lifecycle;
pub mod selection;
#[cfg(test)]
mod tests;
pub mod up;
pub mod wanted;

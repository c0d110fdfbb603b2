//! EFFECTS: performs a finished plan.

pub mod hooks;

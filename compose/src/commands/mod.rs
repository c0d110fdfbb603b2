//! The commands: each loads, observes, plans, applies and prints.

pub mod config;
pub mod project;

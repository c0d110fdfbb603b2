//! Command lines: both trees, and what is meant by what was typed.

pub mod build;
pub mod compose;
pub mod container;
pub mod docker;
mod typed;

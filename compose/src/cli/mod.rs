//! Command lines: both trees, and what is meant by what was typed.

pub mod compose;
pub mod container;
pub mod docker;
pub mod inside;
mod typed;

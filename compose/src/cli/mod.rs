//! The command lines: what is typed, and what it means.

pub mod compose;

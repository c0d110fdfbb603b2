//! Command lines: both trees, and what is meant by what was typed.

pub mod attended;
pub mod build;
pub mod compose;
pub mod config;
pub mod container;
pub mod docker;
pub mod inside;
pub mod manage;
pub mod members;
pub mod mounts;
mod networks;
pub mod observe;
pub mod parse;
mod project;
pub mod pull;
pub mod start;
pub mod telling;
mod typed;
mod values_of;

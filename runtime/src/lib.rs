//! Corten's runtime as a library: the `corten` command is made of it, and other managers of containers can be.
//!
//! [`container`] is the API, with [`error`] for all that can go wrong, and [`main`] is the command itself. Everything
//! else is private. ARCHITECTURE.md at the root of the repository is the map.

pub mod container;
pub mod error;
#[doc(hidden)]
pub mod internals;
mod json;

mod apply;
mod cli;
mod commands;
mod paths;
mod plan;
mod probe;
mod report;
mod spec;
mod state;
mod sys;
mod systemd;
mod text;

pub use commands::main;

//! Corten's runtime as a library: what the `corten` command and the containerd shim are made of.
//!
//! ARCHITECTURE.md at the root of the repository is the map.

pub mod apply;
pub mod cli;
pub mod commands;
pub mod container;
pub mod error;
pub mod plan;
pub mod probe;
pub mod report;
pub mod spec;
pub mod state;
pub mod sys;

pub use commands::main;

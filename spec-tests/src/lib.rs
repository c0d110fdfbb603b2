//! Shared by the suites that judge a runtime from outside.

pub mod engine;

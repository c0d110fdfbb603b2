//! `regex-lite` under the name of `regex`.
//!
//! `oci-spec` uses one regular expression, for `execCPUAffinity`: digits, commas and dashes. The full `regex` would be a
//! fifth of the runtime's binary, and of its memory, for that.

pub use regex_lite::*;

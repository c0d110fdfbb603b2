//! The order of things, as a pure machine: `(state, input) → (state, effects)`. It knows no clock and does no I/O.

pub mod call;
pub mod operation;

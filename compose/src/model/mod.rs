//! Input, pure: Compose files → the Model.

pub mod types;
pub mod values;

//! Input, pure: Compose files → the Model.
//!
//! ```text
//! files ─load─▶ text ─yaml─▶ tree ─interpolate─▶ ─canonical─▶ long forms ─extends, include, merge─▶ one tree
//!                                                              one tree ─read, complete, check─▶ Project ─print─▶ text
//! ```

pub mod load;
pub mod print;
pub mod types;
pub mod values;

pub mod addresses;
pub mod as_written;
mod canonical;
mod check;
mod complete;
pub mod dotenv;
pub mod effective;
mod environment;
mod extends;
pub mod hash;
mod include;
pub mod interpolate;
mod merge;
mod name;
pub mod network_mode;
pub mod node;
pub mod paths;
mod read;
pub mod refused;
pub mod request;
mod required;
mod select;
pub mod short;
#[cfg(test)]
mod tests;
mod unsupported;
mod yaml;

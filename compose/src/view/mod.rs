//! Values → text or JSON. Pure.

pub mod events;
pub mod images;
pub mod inspect;
pub mod network;
pub mod ps;
pub mod stats;
pub mod table;
pub mod template;

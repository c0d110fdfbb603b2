//! Values → text or JSON. Pure.

pub mod images;
pub mod inspect;
pub mod network;
pub mod ps;
pub mod table;
pub mod template;

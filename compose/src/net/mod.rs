//! The network of containers: interfaces and addresses by CNI plugins, published ports and isolation by one table of
//! nftables that is a function of all endpoints.
//!
//! `request` is what a container asks for, `network` what it asks it of, `endpoint` what it has got. The runtime calls
//! `hook` for each start and end, so a container has its network whoever starts it.

pub mod check;
pub mod cni;
pub mod connect;
pub mod endpoint;
pub mod files;
pub mod firewall;
pub mod flows;
pub mod forward;
pub mod from_model;
mod generation;
pub mod handshake;
pub mod hook;
pub mod namespace;
pub mod network;
pub mod nft;
pub mod pool;
pub mod request;
pub mod sockets;
pub mod sweep;

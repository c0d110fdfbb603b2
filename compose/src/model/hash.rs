//! The hashes by which a thing is known to be made of what the project says now.
//!
//! In hexadecimal, as docker compose writes them into `com.docker.compose.config-hash`; the values are our own.

use super::types::{Network, Service, Volume};
use crate::error::{Context, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The hash of what a container is made of: not how its image comes to be, how many containers there are, or which
/// services go before.
pub fn service(service: &Service) -> Result<String> {
    let mut service = service.clone();
    service.build = None;
    service.develop = None;
    service.pull_policy = None;
    service.scale = None;
    service.depends_on.clear();
    service.profiles.clear();
    if let Some(deploy) = &mut service.deploy {
        deploy.replicas = None;
    }
    hash(&service)
}

/// The hash of what a network is made of.
pub fn network(network: &Network) -> Result<String> {
    hash(network)
}

/// The hash of what a volume is made of.
pub fn volume(volume: &Volume) -> Result<String> {
    hash(volume)
}

fn hash(of: &impl Serialize) -> Result<String> {
    let text = serde_json::to_vec(of).at("hash")?;
    Ok(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
}

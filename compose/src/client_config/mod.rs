//! The configuration of Docker's client, which people have already: proxies here, registries' passwords in
//! `apply/credentials.rs`.

use std::path::{Path, PathBuf};

pub mod proxies;

/// The file: `config.json` of `DOCKER_CONFIG`, or of the user's own directory.
pub fn file() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let directory = set("DOCKER_CONFIG").map(PathBuf::from);
    let home = || Path::new(&set("HOME").unwrap_or_else(|| "/root".into())).join(".docker");
    directory.unwrap_or_else(home).join("config.json")
}

//! What an image says of its containers: the config that its manifest names.
//!
//! Source: image-spec 1.1, `config.md`; the health check is Docker's own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The config blob.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Image {
    pub architecture: String,
    pub os: String,
    pub created: Option<String>,
    pub author: Option<String>,
    pub config: Config,
    pub rootfs: Rootfs,
    #[serde(deserialize_with = "or_default")]
    pub history: Vec<Step>,
}

/// A step of an image's making.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Step {
    pub created: Option<String>,
    pub created_by: String,
    pub comment: String,
    /// Whether the step made no layer.
    pub empty_layer: bool,
}

/// How containers of the image run, unless somebody says otherwise. The names are Docker's in both directions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Config {
    pub user: String,
    #[serde(deserialize_with = "or_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    pub working_dir: String,
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    pub stop_signal: String,
    pub healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "or_default")]
    pub shell: Vec<String>,
}

/// Docker's health check. Times are in nanoseconds; nought stands for the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Healthcheck {
    pub test: Vec<String>,
    pub interval: i64,
    pub timeout: i64,
    pub start_period: i64,
    pub start_interval: i64,
    pub retries: i64,
}

/// The layers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Rootfs {
    /// Digests of the archives without compression, the lowest first.
    pub diff_ids: Vec<String>,
}

/// `null` is as good as nothing: builders write it for an empty list.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    value: D,
) -> Result<T, D::Error> {
    Option::<T>::deserialize(value).map(Option::unwrap_or_default)
}

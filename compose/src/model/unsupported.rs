//! What the Compose Specification knows and we don't do.

use super::node::{Node, Path, Value};

/// A field that we don't do.
pub struct Unsupported {
    /// The field.
    pub path: Path,
    /// Why, and what happens.
    pub what: &'static str,
    /// What follows.
    pub weight: Weight,
}

/// What follows of a field that we don't do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// Whoever reads the project is told.
    Doubtful,
    /// Whoever carries the project out is told.
    LeftAlone,
    /// The project can't be run.
    Refused,
}

/// The fields that mean nothing any more.
const DOUBTFUL: &[(&str, &str)] = &[("version", "is obsolete, and is left alone")];

const SWARM: &str = "is swarm's, and is left alone";
const WINDOWS: &str = "is for Windows, and is left alone";

/// The fields that are left alone.
const IGNORED: &[(&str, &str)] = &[
    ("services.*.cpu_count", WINDOWS),
    ("services.*.cpu_percent", WINDOWS),
    ("services.*.isolation", WINDOWS),
    ("services.*.build.isolation", WINDOWS),
    ("services.*.deploy.endpoint_mode", SWARM),
    ("services.*.deploy.labels", SWARM),
    ("services.*.deploy.placement", SWARM),
    ("services.*.deploy.rollback_config", SWARM),
    ("services.*.deploy.update_config", SWARM),
    ("services.*.deploy.resources.reservations.generic_resources", SWARM),
    ("services.*.develop", "is for `watch`, which we don't have, and is left alone"),
    ("services.*.storage_opt", "is for dockerd's storage drivers, and is left alone"),
];

/// The fields without which a service would be another one.
const REFUSED: &[(&str, &str)] = &[
    ("services.*.cpuset_mems", "is a flag of `cortenctl run` alone"),
    ("services.*.credential_spec", "is for Windows"),
    ("services.*.models", "needs a model runner, which we don't have"),
    ("services.*.provider", "needs a provider's program, which we don't run"),
    ("services.*.use_api_socket", "needs the socket of an engine, which isn't there"),
    ("configs.*.template_driver", "is swarm's"),
    ("secrets.*.driver", "is swarm's"),
    ("secrets.*.template_driver", "is swarm's"),
];

/// The fields of a tree that we don't do.
pub fn unsupported(tree: &Node) -> Vec<Unsupported> {
    let mut found = Vec::new();
    walk(tree, &Path::default(), &mut found);
    found
}

fn walk(node: &Node, path: &Path, found: &mut Vec<Unsupported>) {
    let known =
        |table: &'static [(&str, &'static str)]| table.iter().find(|(pattern, _)| path.matches(pattern));
    for (table, weight) in
        [(DOUBTFUL, Weight::Doubtful), (IGNORED, Weight::LeftAlone), (REFUSED, Weight::Refused)]
    {
        if let Some((_, what)) = known(table) {
            found.push(Unsupported { path: path.clone(), what, weight });
        }
    }
    let mount = ["cluster", "npipe"].map(Some).contains(&node.get("type").and_then(Node::as_text));
    if mount && path.matches("services.*.volumes.*") {
        let what = "is a mount of a type that isn't there on Linux alone";
        found.push(Unsupported { path: path.clone(), what, weight: Weight::Refused });
    }
    match &node.value {
        Value::List(items) => {
            items.iter().enumerate().for_each(|(index, item)| walk(item, &path.index(index), found))
        }
        Value::Mapping(mapping) => {
            mapping.iter().for_each(|(key, entry)| walk(&entry.node, &path.key(key), found))
        }
        _ => {}
    }
}

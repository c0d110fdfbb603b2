//! A project's tree in which variables stand as they are written: `config --no-interpolate`.

use super::node::{Entry, Mapping, Merging, Node, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// What of a project has names on the host.
const RESOURCES: [&str; 4] = ["networks", "volumes", "secrets", "configs"];

/// Leaves of a tree what says the same whatever the variables are. A value with a variable in it may be of any type: of
/// its field only the key is read.
pub fn without_variables(node: &mut Node) {
    let is_open = |node: &Node| node.as_text().is_some_and(|text| text.contains('$'));
    match &mut node.value {
        Value::List(items) => {
            items.retain(|item| !is_open(item));
            items.iter_mut().for_each(without_variables);
        }
        Value::Mapping(mapping) => {
            for entry in mapping.values_mut() {
                if is_open(&entry.node) {
                    entry.node.merging = Merging::Reset;
                }
                without_variables(&mut entry.node);
            }
        }
        _ => {}
    }
}

/// Says the project's name.
pub fn set_name(tree: &mut Node, name: &str) {
    let text = tree.text(name);
    if let Some(root) = tree.as_mapping_mut() {
        root.remove("version");
        root.insert("name".to_owned(), Entry { key: text.place.clone(), node: text });
    }
}

/// Says in all services what has a default of the Compose Specification's.
pub fn set_defaults(tree: &mut Node) {
    let services = tree.as_mapping_mut().and_then(|root| section(root, "services"));
    for (_, entry) in services.into_iter().flatten() {
        let node = entry.node.part(Value::Null);
        if let Some(service) = entry.node.as_mapping_mut() {
            defaults_of_service(service, &node);
        }
    }
}

/// Says which networks, names, Dockerfiles and dependencies are meant where a file says nothing of them.
pub fn normalize(tree: &mut Node, name: &str, directory: &Path) {
    let empty = tree.part(Value::Null).mapping::<String>([]);
    let Some(root) = tree.as_mapping_mut() else { return };
    let mut has_default = false;
    for (_, entry) in section(root, "services").into_iter().flatten() {
        let node = entry.node.part(Value::Null);
        let Some(service) = entry.node.as_mapping_mut() else { continue };
        normalize_service(service, &node, directory);
        has_default |= service.get("networks").is_some_and(|networks| networks.node.get("default").is_some());
    }
    if has_default {
        let networks = Entry { key: empty.place.clone(), node: empty.clone() };
        root.entry("networks".to_owned()).or_insert(networks);
        if let Some(networks) = section(root, "networks") {
            put(networks, "default", empty);
        }
    }
    for resource in RESOURCES {
        for (key, entry) in section(root, resource).into_iter().flatten() {
            let is_external = entry.node.get("external").is_some_and(|is| is.value == Value::Bool(true));
            let named = entry.node.text(if is_external { key.clone() } else { format!("{name}_{key}") });
            if let Some(mapping) = entry.node.as_mapping_mut() {
                put(mapping, "name", named);
            }
        }
    }
}

/// The variables of a tree's texts.
pub fn texts(node: &Node, found: &mut Vec<String>) {
    match &node.value {
        Value::Text(text) => found.push(text.clone()),
        Value::List(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Mapping(mapping) => mapping.values().for_each(|entry| texts(&entry.node, found)),
        _ => {}
    }
}

/// The names in a section.
pub fn names(tree: &Node, section: &str) -> Vec<String> {
    let section = tree.get(section).and_then(Node::as_mapping);
    section.into_iter().flat_map(Mapping::keys).cloned().collect()
}

/// The images of the services.
pub fn images(tree: &Node, name: &str) -> Vec<String> {
    let services = tree.get("services").and_then(Node::as_mapping).into_iter().flatten();
    let image = |(service, entry): (&String, &Entry)| {
        let built = || entry.node.get("build").map(|_| format!("{name}-{service}"));
        entry.node.get("image").and_then(Node::scalar_text).or_else(built)
    };
    services.filter_map(image).collect()
}

/// The profiles of the services.
pub fn profiles(tree: &Node) -> BTreeSet<String> {
    let services = tree.get("services").and_then(Node::as_mapping).into_iter().flat_map(Mapping::values);
    let profiles = services.filter_map(|entry| entry.node.get("profiles").and_then(Node::as_list)).flatten();
    profiles.filter_map(Node::scalar_text).collect()
}

fn section<'a>(root: &'a mut Mapping, name: &str) -> Option<&'a mut Mapping> {
    root.get_mut(name).and_then(|section| section.node.as_mapping_mut())
}

/// Sets what isn't there.
fn put(mapping: &mut Mapping, key: &str, node: Node) {
    mapping.entry(key.to_owned()).or_insert(Entry { key: node.place.clone(), node });
}

/// The mappings of a list.
fn items<'a>(service: &'a mut Mapping, key: &str) -> impl Iterator<Item = &'a mut Mapping> {
    let items = match service.get_mut(key).map(|entry| &mut entry.node.value) {
        Some(Value::List(items)) => items.as_mut_slice(),
        _ => &mut [],
    };
    items.iter_mut().filter_map(Node::as_mapping_mut)
}

/// `node` is where the service is.
fn normalize_service(service: &mut Mapping, node: &Node, directory: &Path) {
    let has_no_network =
        ["networks", "network_mode", "provider"].iter().all(|key| !service.contains_key(*key));
    if has_no_network {
        let default = node.mapping([("default", node.mapping::<String>([]))]);
        put(service, "networks", default);
    }
    if let Some(build) = section(service, "build") {
        put(build, "context", node.text(directory.to_string_lossy()));
        if !build.contains_key("dockerfile_inline") {
            put(build, "dockerfile", node.text("Dockerfile"));
        }
    }
    depend(service, node);
}

/// `node` is where the service is.
fn defaults_of_service(service: &mut Mapping, node: &Node) {
    for secret in items(service, "secrets") {
        let source = secret.get("source").and_then(|source| source.node.scalar_text());
        if let Some(source) = source {
            put(secret, "target", node.text(format!("/run/secrets/{source}")));
        }
    }
    for port in items(service, "ports") {
        put(port, "mode", node.text("ingress"));
        put(port, "protocol", node.text("tcp"));
    }
    for file in items(service, "env_file") {
        put(file, "required", node.part(Value::Bool(true)));
    }
}

/// Names the services that go before by `links`, namespaces and mounts, too.
fn depend(service: &mut Mapping, node: &Node) {
    let texts = |key: &str| -> Vec<String> {
        let entry = service.get(key);
        let items = entry.map(|entry| entry.node.as_list().unwrap_or(std::slice::from_ref(&entry.node)));
        items.into_iter().flatten().filter_map(Node::scalar_text).collect()
    };
    let first = |text: &str| text.split(':').next().unwrap_or(text).to_owned();
    let mut implied: Vec<(String, bool)> = texts("links").iter().map(|link| (first(link), true)).collect();
    for mode in ["network_mode", "ipc", "pid", "uts", "cgroup"].into_iter().flat_map(texts) {
        implied.extend(mode.strip_prefix("service:").map(|name| (name.to_owned(), true)));
    }
    let mounts = texts("volumes_from").into_iter().filter(|from| !from.starts_with("container:"));
    implied.extend(mounts.map(|from| (first(&from), false)));
    if !implied.is_empty() {
        put(service, "depends_on", node.mapping::<String>([]));
    }
    let Some(depends_on) = section(service, "depends_on") else { return };
    for (name, restart) in implied {
        let restart = [("restart", node.part(Value::Bool(true)))].into_iter().filter(|_| restart);
        put(depends_on, &name, node.mapping(restart));
    }
    for entry in depends_on.values_mut() {
        if entry.node.value == Value::Null {
            entry.node = node.mapping::<String>([]);
        }
        if let Some(dependency) = entry.node.as_mapping_mut() {
            put(dependency, "condition", node.text("service_started"));
            put(dependency, "required", node.part(Value::Bool(true)));
        }
    }
}

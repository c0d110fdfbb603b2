//! One tree over another: how a later file, or a service that extends another, changes what was said before.

use super::node::{Mapping, Merging, Node, Path, Value};
use crate::error::Result;

/// The fields that a later file says anew, all of them.
const REPLACED: &[&str] = &["services.*.command", "services.*.entrypoint", "services.*.healthcheck.test"];

/// The variables whose value may be nobody's, which is something that a later file can say.
const VARIABLES: &[&str] = &["services.*.environment.*", "services.*.build.args.*"];

/// The fields of `KEY=VALUE`.
const BY_KEY: &[&str] = &[
    "services.*.annotations",
    "services.*.build.args",
    "services.*.build.labels",
    "services.*.environment",
    "services.*.labels",
    "services.*.sysctls",
];

/// Lays `over` over `base`, both in their long forms: mappings merge, lists append, the rest is replaced.
///
/// What `!reset` and `!override` say is kept for whoever merges the result: see [`settled`].
///
/// Errors: a list over a mapping, and the like.
pub fn merge(base: Node, over: Node, path: &Path) -> Result<Node> {
    let variable = VARIABLES.iter().any(|pattern| path.matches(pattern));
    if over.value == Value::Null && over.merging == Merging::Ordinary && !variable {
        return Ok(base);
    }
    if over.merging != Merging::Ordinary || base.value == Value::Null || is_replaced(&base, &over, path) {
        return Ok(over);
    }
    let (base, over) = in_one_form(base, over, path);
    let place = base.place;
    match (base.value, over.value) {
        (Value::Mapping(base), Value::Mapping(over)) => Ok(Node {
            place,
            merging: Merging::Ordinary,
            value: Value::Mapping(merge_mappings(base, over, path)?),
        }),
        (Value::List(base), Value::List(over)) if path.matches("networks.*.ipam.config") => Ok(Node {
            place,
            merging: Merging::Ordinary,
            value: Value::List(merge_subnets(base, over, path)?),
        }),
        (Value::List(mut base), Value::List(over)) => {
            base.extend(over);
            Ok(Node { place, merging: Merging::Ordinary, value: Value::List(base) })
        }
        (Value::List(_) | Value::Mapping(_), value) => {
            let over = Node { place: over.place, merging: over.merging, value };
            let what = format!("can't change what {place} says into {}", over.kind());
            Err(over.place.wrong(path, what))
        }
        (_, value) => Ok(Node { place: over.place, merging: Merging::Ordinary, value }),
    }
}

/// Variables and labels that stand as they are written may be a list in one file and a mapping in another file: both
/// become lists of `KEY=VALUE`.
fn in_one_form(base: Node, over: Node, path: &Path) -> (Node, Node) {
    let differ = matches!(
        (&base.value, &over.value),
        (Value::Mapping(_), Value::List(_)) | (Value::List(_), Value::Mapping(_))
    );
    if differ && BY_KEY.iter().any(|pattern| path.matches(pattern)) {
        (as_list(base), as_list(over))
    } else {
        (base, over)
    }
}

fn as_list(node: Node) -> Node {
    let Value::Mapping(mapping) = &node.value else { return node };
    let item = |(key, entry): (&String, &super::node::Entry)| match entry.node.scalar_text() {
        Some(text) => entry.node.text(format!("{key}={text}")),
        None => entry.node.text(key),
    };
    node.becomes(Value::List(mapping.iter().map(item).collect()))
}

fn is_replaced(base: &Node, over: &Node, path: &Path) -> bool {
    let driver = |node: &Node| node.get("driver").cloned();
    let other_driver = || driver(base).zip(driver(over)).is_some_and(|(base, over)| base != over);
    REPLACED.iter().any(|pattern| path.matches(pattern))
        || (path.matches("services.*.logging") && other_driver())
}

fn merge_mappings(mut base: Mapping, over: Mapping, path: &Path) -> Result<Mapping> {
    for (key, mut entry) in over {
        if let Some(earlier) = base.remove(&key) {
            entry.node = merge(earlier.node, entry.node, &path.key(&key))?;
        }
        base.insert(key, entry);
    }
    Ok(base)
}

/// The subnets of `over`, each over the subnet of `base` that has the same address.
fn merge_subnets(base: Vec<Node>, over: Vec<Node>, path: &Path) -> Result<Vec<Node>> {
    let mut base: Vec<Node> = base;
    let mut merged = Vec::new();
    for (index, node) in over.into_iter().enumerate() {
        match base.iter().position(|earlier| earlier.get("subnet") == node.get("subnet")) {
            Some(same) => merged.push(merge(base.swap_remove(same), node, &path.index(index))?),
            None => merged.push(node),
        }
    }
    Ok(merged)
}

/// The tree without what `!reset` drops, and without tags.
pub fn settled(mut node: Node) -> Node {
    node.merging = Merging::Ordinary;
    match &mut node.value {
        Value::List(items) => {
            let kept = std::mem::take(items).into_iter().filter(|item| item.merging != Merging::Reset);
            *items = kept.map(settled).collect();
        }
        Value::Mapping(mapping) => {
            mapping.retain(|_, entry| entry.node.merging != Merging::Reset);
            for entry in mapping.values_mut() {
                let null = entry.node.part(Value::Null);
                entry.node = settled(std::mem::replace(&mut entry.node, null));
            }
        }
        _ => {}
    }
    node
}

/// By what an item of a list is known, so that a later one takes its place.
type Name = fn(&Node) -> Option<String>;

const UNIQUE: &[(&str, Name)] = &[
    ("services.*.build.tags", text),
    ("services.*.cap_add", text),
    ("services.*.cap_drop", text),
    ("services.*.configs", config_target),
    ("services.*.devices", target),
    ("services.*.dns", text),
    ("services.*.dns_opt", text),
    ("services.*.dns_search", text),
    ("services.*.env_file", path_of_file),
    ("services.*.expose", text),
    ("services.*.extra_hosts", text),
    ("services.*.build.extra_hosts", text),
    ("services.*.links", text),
    ("services.*.networks.*.aliases", text),
    ("services.*.networks.*.link_local_ips", text),
    ("services.*.ports", port),
    ("services.*.profiles", text),
    ("services.*.secrets", secret_target),
    ("services.*.tmpfs", directory),
    ("services.*.volumes", target),
];

/// Leaves, in each list whose items have a name, the last item of a name, in the place of the first.
pub fn unique(node: &mut Node, path: &Path) {
    match &mut node.value {
        Value::List(items) => {
            if let Some((_, name)) = UNIQUE.iter().find(|(pattern, _)| path.matches(pattern)) {
                *items = last_of_each(std::mem::take(items), *name);
            } else if BY_KEY.iter().any(|pattern| path.matches(pattern)) {
                *items = last_of_each(std::mem::take(items), key);
            }
            items.iter_mut().enumerate().for_each(|(index, item)| unique(item, &path.index(index)));
        }
        Value::Mapping(mapping) => {
            mapping.iter_mut().for_each(|(key, entry)| unique(&mut entry.node, &path.key(key)));
        }
        _ => {}
    }
}

fn last_of_each(items: Vec<Node>, name: Name) -> Vec<Node> {
    let mut places = std::collections::HashMap::new();
    let mut kept: Vec<Node> = Vec::new();
    for item in items {
        match name(&item) {
            Some(name) => match places.get(&name) {
                Some(place) => kept[*place] = item,
                None => {
                    places.insert(name, kept.len());
                    kept.push(item);
                }
            },
            None => kept.push(item),
        }
    }
    kept
}

fn text(node: &Node) -> Option<String> {
    node.as_text().map(str::to_owned)
}

fn key(node: &Node) -> Option<String> {
    node.as_text().and_then(|text| text.split('=').next()).map(str::to_owned)
}

fn field(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::scalar_text)
}

fn target(node: &Node) -> Option<String> {
    field(node, "target")
}

fn path_of_file(node: &Node) -> Option<String> {
    field(node, "path")
}

fn secret_target(node: &Node) -> Option<String> {
    target(node).or_else(|| field(node, "source").map(|source| format!("/run/secrets/{source}")))
}

fn config_target(node: &Node) -> Option<String> {
    target(node).or_else(|| field(node, "source").map(|source| format!("/{source}")))
}

fn directory(node: &Node) -> Option<String> {
    node.as_text().and_then(|text| text.split(':').next()).map(str::to_owned)
}

fn port(node: &Node) -> Option<String> {
    let or = |key: &str, default: &str| field(node, key).unwrap_or_else(|| default.to_owned());
    let (address, protocol) = (or("host_ip", "0.0.0.0"), or("protocol", "tcp"));
    target(node).map(|target| format!("{address}:{}:{target}/{protocol}", or("published", "")))
}

//! The keys without which a mapping says nothing.

use super::node::{Node, Path, Value};
use crate::error::Result;

const REQUIRED: &[(&str, &[&str])] = &[
    ("models.*", &["model"]),
    ("services.*.build.secrets.*", &["source"]),
    ("services.*.build.ulimits.*", &["soft", "hard"]),
    ("services.*.configs.*", &["source"]),
    ("services.*.deploy.resources.reservations.devices.*", &["capabilities"]),
    ("services.*.develop.watch.*", &["path", "action"]),
    ("services.*.develop.watch.*.exec", &["command"]),
    ("services.*.devices.*", &["source"]),
    ("services.*.ports.*", &["target"]),
    ("services.*.post_start.*", &["command"]),
    ("services.*.pre_start.*", &["command"]),
    ("services.*.pre_stop.*", &["command"]),
    ("services.*.provider", &["type"]),
    ("services.*.secrets.*", &["source"]),
    ("services.*.ulimits.*", &["soft", "hard"]),
    ("services.*.volumes.*", &["type", "target"]),
];

/// Looks for mappings of a tree in its long form that lack a key.
///
/// Errors: the first of them.
pub fn check(node: &Node, path: &Path) -> Result<()> {
    match &node.value {
        Value::List(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| check(item, &path.index(index)))
        }
        Value::Mapping(mapping) => {
            let keys = REQUIRED.iter().find(|(pattern, _)| path.matches(pattern)).map(|(_, keys)| *keys);
            let is_missing =
                |key: &&&str| mapping.get(**key).is_none_or(|entry| says_nothing(&entry.node.value));
            match keys.into_iter().flatten().find(is_missing) {
                Some(key) => Err(node.place.wrong(path, format_args!("has no `{key}`"))),
                None => mapping.iter().try_for_each(|(key, entry)| check(&entry.node, &path.key(key))),
            }
        }
        _ => Ok(()),
    }
}

/// What is left out when it is printed would be missing when it is read again.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(items) => items.is_empty(),
        _ => false,
    }
}

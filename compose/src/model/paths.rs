//! Relative paths → absolute ones.

use super::node::{Node, Path, Value};
use std::path::{self, Component};

/// Where relative paths begin.
pub struct Base<'a> {
    /// An absolute directory.
    pub directory: &'a path::Path,
    /// The user's home, which `~` is.
    pub home: Option<&'a str>,
}

/// The fields that are paths.
const PATHS: &[&str] = &[
    "services.*.develop.watch.*.path",
    "services.*.env_file.*.path",
    "services.*.label_file.*",
    "configs.*.file",
    "secrets.*.file",
];

/// The fields that are paths or addresses of something else.
const CONTEXTS: &[&str] = &["services.*.build.context", "services.*.build.additional_contexts.*"];

impl Base<'_> {
    /// Makes each path of a tree in its long form absolute.
    pub fn apply(&self, node: &mut Node, path: &Path) {
        let is_one_of = |patterns: &[&str]| patterns.iter().any(|pattern| path.matches(pattern));
        match &mut node.value {
            Value::Text(text) if is_one_of(PATHS) => *text = self.absolute(text),
            Value::Text(text) if path.matches("services.*.build.ssh.*") => {
                if let Some((id, key)) = text.split_once('=') {
                    *text = format!("{id}={}", self.absolute(key));
                }
            }
            Value::Text(text) if is_one_of(CONTEXTS) && !is_elsewhere(text) => *text = self.absolute(text),
            Value::List(items) => {
                items.iter_mut().enumerate().for_each(|(index, item)| self.apply(item, &path.index(index)));
            }
            Value::Mapping(_) if path.matches("services.*.volumes.*") => self.bind_source(node),
            Value::Mapping(_) if path.matches("volumes.*") => self.device(node),
            Value::Mapping(mapping) => {
                mapping.iter_mut().for_each(|(key, entry)| self.apply(&mut entry.node, &path.key(key)));
            }
            _ => {}
        }
    }

    fn bind_source(&self, mount: &mut Node) {
        if mount.get("type").and_then(Node::as_text) != Some("bind") {
            return;
        }
        if let Some(Value::Text(source)) =
            mount.as_mapping_mut().and_then(|m| m.get_mut("source")).map(|e| &mut e.node.value)
        {
            *source = self.absolute(source);
        }
    }

    /// A volume of the local driver may be a directory of the host.
    fn device(&self, volume: &mut Node) {
        let is_local = volume.get("driver").is_none_or(|driver| driver.as_text() == Some("local"));
        let Some(options) = volume.as_mapping_mut().and_then(|mapping| mapping.get_mut("driver_opts")) else {
            return;
        };
        let is_bind = options.node.get("o").and_then(Node::as_text) == Some("bind");
        let device = options.node.as_mapping_mut().and_then(|mapping| mapping.get_mut("device"));
        if let (true, true, Some(Value::Text(device))) =
            (is_local, is_bind, device.map(|entry| &mut entry.node.value))
        {
            *device = self.absolute(device);
        }
    }

    /// The path, from the directory or the home.
    pub fn absolute(&self, text: &str) -> String {
        let home = self.home.and_then(|home| match text.strip_prefix('~') {
            Some("") => Some(home.to_owned()),
            Some(rest) if rest.starts_with('/') => Some(clean(&format!("{home}{rest}"))),
            _ => None,
        });
        home.unwrap_or_else(|| match text {
            "" => String::new(),
            text if text.starts_with('/') => text.to_owned(),
            text => clean(&self.directory.join(text).to_string_lossy()),
        })
    }
}

/// Tells whether it is the address of something that isn't a file here.
pub fn is_elsewhere(text: &str) -> bool {
    let prefixes = ["service:", "github.com/", "git@"];
    text.contains("://") || prefixes.iter().any(|prefix| text.starts_with(prefix))
}

/// The path without `.`, `..` and doubled slashes, by its words alone.
pub fn clean(text: &str) -> String {
    let mut clean = path::PathBuf::new();
    for component in path::Path::new(text).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => drop(clean.pop()),
                Some(Component::RootDir) => {}
                _ => clean.push(".."),
            },
            component => clean.push(component),
        }
    }
    if clean.as_os_str().is_empty() { ".".to_owned() } else { clean.to_string_lossy().into_owned() }
}

#[cfg(test)]
mod tests {
    use super::{Base, clean};

    #[test]
    fn paths_begin_at_the_directory_or_at_home() {
        let base = Base { directory: "/srv/app".as_ref(), home: Some("/root") };
        for (text, absolute) in [
            ("a", "/srv/app/a"),
            ("./a/../b//c/", "/srv/app/b/c"),
            ("../x", "/srv/x"),
            (".", "/srv/app"),
            ("~", "/root"),
            ("~/x/./y", "/root/x/y"),
            ("~user", "/srv/app/~user"),
            ("/a/../b", "/a/../b"),
            ("../../../..", "/"),
        ] {
            assert_eq!(base.absolute(text), absolute, "{text}");
        }
        assert_eq!(clean("../a/.."), "..");
        assert_eq!(clean("a/.."), ".");
    }
}

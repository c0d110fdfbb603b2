//! Short forms → long forms, so that whatever comes later meets one form of each field.

use super::node::{Entry, Merging, Node, Path, Value};
use super::{refused, short};
use crate::error::Result;

/// What becomes of a field. `None`: it says nothing, and is left out.
type Rule = fn(&Node, &Path) -> Result<Option<Node>>;

/// The fields that have more than one form, told apart by what they are.
const FORMS: &[(&str, Rule)] = &[
    ("include.*", path_of_include),
    ("include.*.path", list),
    ("include.*.env_file", list),
    ("services.*.build", context_of_build),
    ("services.*.build.additional_contexts", texts_by_key),
    ("services.*.build.secrets.*", source),
    ("services.*.build.ssh", ssh_keys),
    ("services.*.build.ulimits.*", limits),
    ("services.*.configs.*", source),
    ("services.*.depends_on", dependencies),
    ("services.*.devices.*", device),
    ("services.*.dns", list),
    ("services.*.env_file", list),
    ("services.*.env_file.*", path_of_file),
    ("services.*.extends", service_of_extends),
    ("services.*.gpus", gpus),
    ("services.*.label_file", list),
    ("services.*.models", names),
    ("services.*.models.*", nothing_is_empty),
    ("services.*.networks", names),
    ("services.*.networks.*", nothing_is_empty),
    ("services.*.ports", ports),
    ("services.*.secrets.*", source),
    ("services.*.ulimits.*", limits),
    ("services.*.volumes.*", mount),
    ("configs.*", resource),
    ("models.*", nothing_is_empty),
    ("networks.*", resource),
    ("secrets.*", resource),
    ("volumes.*", resource),
];

/// The fields of `FORMS` that name files, whatever the names are.
const FILES: &[&str] = &[
    "include.*",
    "include.*.path",
    "include.*.env_file",
    "services.*.env_file",
    "services.*.env_file.*",
    "services.*.extends",
    "services.*.label_file",
];

/// The fields whose text or items have to be read.
const TEXTS: &[(&str, Rule)] = &[
    ("services.*.annotations", texts_by_key),
    ("services.*.build.args", variables),
    ("services.*.build.extra_hosts", hosts),
    ("services.*.build.labels", texts_by_key),
    ("services.*.build.no_cache_filter", list),
    ("services.*.build.provenance", text),
    ("services.*.build.sbom", text),
    ("services.*.command", words),
    ("services.*.deploy", nothing_is_unset),
    ("services.*.deploy.labels", texts_by_key),
    ("services.*.deploy.resources.reservations.devices.*.count", count),
    ("services.*.deploy.resources.reservations.devices.*.options", texts_by_key),
    ("services.*.develop", nothing_is_unset),
    ("services.*.develop.watch.*.exec.command", words),
    ("services.*.develop.watch.*.exec.environment", variables),
    ("services.*.develop.watch.*.ignore", list),
    ("services.*.develop.watch.*.include", list),
    ("services.*.dns_search", list),
    ("services.*.entrypoint", words),
    ("services.*.environment", variables),
    ("services.*.expose.*", text),
    ("services.*.extra_hosts", hosts),
    ("services.*.gpus.*.count", count),
    ("services.*.gpus.*.options", texts_by_key),
    ("services.*.group_add.*", text),
    ("services.*.healthcheck.test", test),
    ("services.*.labels", texts_by_key),
    ("services.*.logging.options.*", text_or_nothing),
    ("services.*.networks.*.driver_opts.*", text_or_nothing),
    ("services.*.pid", nothing_is_unset),
    ("services.*.post_start.*.command", words),
    ("services.*.post_start.*.environment", variables),
    ("services.*.pre_start.*.command", words),
    ("services.*.pre_start.*.environment", variables),
    ("services.*.pre_stop.*.command", words),
    ("services.*.pre_stop.*.environment", variables),
    ("services.*.provider.options.*", texts),
    ("services.*.storage_opt.*", text_or_nothing),
    ("services.*.sysctls", texts_by_key),
    ("services.*.tmpfs", list),
    ("services.*.volumes.*.volume.labels", texts_by_key),
    ("configs.*.labels", texts_by_key),
    ("networks.*.driver_opts.*", text_or_nothing),
    ("networks.*.ipam.options.*", text_or_nothing),
    ("networks.*.labels", texts_by_key),
    ("secrets.*.driver_opts.*", text_or_nothing),
    ("secrets.*.labels", texts_by_key),
    ("volumes.*.driver_opts.*", text_or_nothing),
    ("volumes.*.labels", texts_by_key),
];

/// Brings a whole file into its long form.
///
/// Errors: what has none of a field's forms.
pub fn canonical(node: &Node) -> Result<Node> {
    let rule = |_: &Node, path: &Path| rule_of(FORMS, path).or_else(|| rule_of(TEXTS, path));
    Ok(walk(node, &Path::default(), &rule)?.unwrap_or_else(|| node.clone()))
}

/// The same for a file whose variables stand as they are written: what has one in it stays in its form.
pub fn as_written(node: &Node) -> Result<Node> {
    let is_open = |node: &Node| node.as_text().is_some_and(|text| text.contains('$'));
    let rule = |node: &Node, path: &Path| {
        let is_open = is_open(node) || node.as_list().is_some_and(|items| items.iter().any(is_open));
        let is_of_files = || FILES.iter().any(|pattern| path.matches(pattern));
        rule_of(FORMS, path).filter(|_| !is_open || is_of_files())
    };
    Ok(walk(node, &Path::default(), &rule)?.unwrap_or_else(|| node.clone()))
}

fn rule_of(rules: &[(&str, Rule)], path: &Path) -> Option<Rule> {
    rules.iter().find(|(pattern, _)| path.matches(pattern)).map(|(_, rule)| *rule)
}

fn walk(node: &Node, path: &Path, rules: &impl Fn(&Node, &Path) -> Option<Rule>) -> Result<Option<Node>> {
    if node.merging == Merging::Reset {
        return Ok(Some(node.clone()));
    }
    let rule = rules(node, path);
    let Some(mut node) = rule.map_or_else(|| Ok(Some(node.clone())), |rule| rule(node, path))? else {
        return Ok(None);
    };
    match &mut node.value {
        Value::List(items) => {
            let longer = items.iter().enumerate().map(|(index, item)| walk(item, &path.index(index), rules));
            *items = longer.filter_map(Result::transpose).collect::<Result<_>>()?;
        }
        Value::Mapping(mapping) => {
            let mut unset = Vec::new();
            for (key, entry) in mapping.iter_mut() {
                match walk(&entry.node, &path.key(key), rules)? {
                    Some(longer) => entry.node = longer,
                    None => unset.push(key.clone()),
                }
            }
            unset.iter().for_each(|key| drop(mapping.remove(key)));
        }
        _ => {}
    }
    Ok(Some(node))
}

/// What is left alone goes on as it is: whoever reads it says what is wrong with it.
fn as_it_is(node: &Node) -> Result<Option<Node>> {
    Ok(Some(node.clone()))
}

fn must_be<T>(node: &Node, path: &Path, what: &str) -> Result<T> {
    Err(node.place.wrong(path, format_args!("must be {what}, not {}", node.kind())))
}

fn nothing_is_unset(node: &Node, _: &Path) -> Result<Option<Node>> {
    Ok(Some(node.clone()).filter(|node| node.value != Value::Null))
}

fn nothing_is_empty(node: &Node, _: &Path) -> Result<Option<Node>> {
    match node.value {
        Value::Null => Ok(Some(node.mapping::<String>([]))),
        _ => as_it_is(node),
    }
}

fn text(node: &Node, path: &Path) -> Result<Option<Node>> {
    match node.scalar_text() {
        Some(text) => Ok(Some(node.becomes(Value::Text(text)))),
        None => must_be(node, path, "text"),
    }
}

fn text_or_nothing(node: &Node, path: &Path) -> Result<Option<Node>> {
    match node.value {
        Value::Null => Ok(Some(node.text(""))),
        _ => text(node, path),
    }
}

fn list(node: &Node, _: &Path) -> Result<Option<Node>> {
    match &node.value {
        Value::Text(text) => Ok(Some(node.becomes(Value::List(vec![node.text(text)])))),
        _ => as_it_is(node),
    }
}

fn texts(node: &Node, path: &Path) -> Result<Option<Node>> {
    let items = match &node.value {
        Value::List(items) => items.clone(),
        _ => vec![node.part(node.value.clone())],
    };
    let texts = items.iter().enumerate().map(|(index, item)| text(item, &path.index(index)));
    let texts = texts.filter_map(Result::transpose).collect::<Result<_>>()?;
    Ok(Some(node.becomes(Value::List(texts))))
}

/// `{KEY: VALUE}` or `["KEY=VALUE"]`. A key alone has the value `alone`.
fn by_key(node: &Node, path: &Path, alone: &Value) -> Result<Option<Node>> {
    let split =
        |(index, item): (usize, &Node)| match item.as_text().map(|text| text.split_once('=').ok_or(text)) {
            Some(Ok((key, value))) => Ok((key.to_owned(), item.text(value))),
            Some(Err(key)) => Ok((key.to_owned(), item.part(alone.clone()))),
            None => must_be(item, &path.index(index), "text as KEY=VALUE"),
        };
    match &node.value {
        Value::List(items) => {
            let entries = items.iter().enumerate().map(split).collect::<Result<Vec<_>>>()?;
            Ok(Some(node.mapping(entries)))
        }
        Value::Mapping(mapping) => {
            let mut mapping = mapping.clone();
            for (key, entry) in mapping.iter_mut().filter(|(_, entry)| entry.node.merging != Merging::Reset) {
                entry.node.value = match entry.node.scalar_text() {
                    Some(text) => Value::Text(text),
                    None if entry.node.value == Value::Null => alone.clone(),
                    None => return must_be(&entry.node, &path.key(key), "text"),
                }
            }
            Ok(Some(node.becomes(Value::Mapping(mapping))))
        }
        _ => must_be(node, path, "a mapping, or a list of KEY=VALUE"),
    }
}

fn texts_by_key(node: &Node, path: &Path) -> Result<Option<Node>> {
    by_key(node, path, &Value::Text(String::new()))
}

fn variables(node: &Node, path: &Path) -> Result<Option<Node>> {
    by_key(node, path, &Value::Null)
}

fn words(node: &Node, path: &Path) -> Result<Option<Node>> {
    match &node.value {
        Value::Null => Ok(None),
        Value::Text(text) => {
            let words = short::words(text).map_err(|what| node.place.wrong(path, what))?;
            Ok(Some(node.becomes(Value::List(words.into_iter().map(|word| node.text(word)).collect()))))
        }
        _ => as_it_is(node),
    }
}

fn test(node: &Node, _: &Path) -> Result<Option<Node>> {
    match &node.value {
        Value::Text(text) => {
            Ok(Some(node.becomes(Value::List(vec![node.text("CMD-SHELL"), node.text(text)]))))
        }
        _ => as_it_is(node),
    }
}

/// The mapping `{key: TEXT}` of a field that may be just the text.
fn text_is(key: &str, node: &Node) -> Result<Option<Node>> {
    match &node.value {
        Value::Text(text) => Ok(Some(node.mapping([(key, node.text(text))]))),
        _ => as_it_is(node),
    }
}

fn context_of_build(node: &Node, _: &Path) -> Result<Option<Node>> {
    text_is("context", node)
}

fn path_of_include(node: &Node, _: &Path) -> Result<Option<Node>> {
    text_is("path", node)
}

fn path_of_file(node: &Node, _: &Path) -> Result<Option<Node>> {
    text_is("path", node)
}

fn service_of_extends(node: &Node, _: &Path) -> Result<Option<Node>> {
    text_is("service", node)
}

fn source(node: &Node, _: &Path) -> Result<Option<Node>> {
    text_is("source", node)
}

fn names(node: &Node, path: &Path) -> Result<Option<Node>> {
    let Value::List(items) = &node.value else { return as_it_is(node) };
    let name = |(index, item): (usize, &Node)| match item.as_text() {
        Some(name) => Ok((name.to_owned(), item.mapping::<String>([]))),
        None => must_be(item, &path.index(index), "a name"),
    };
    Ok(Some(node.mapping(items.iter().enumerate().map(name).collect::<Result<Vec<_>>>()?)))
}

fn dependencies(node: &Node, path: &Path) -> Result<Option<Node>> {
    names(node, path)
}

fn ssh_keys(node: &Node, path: &Path) -> Result<Option<Node>> {
    let Value::Mapping(mapping) = &node.value else { return as_it_is(node) };
    let key = |(id, entry): (&String, &Entry)| match (&entry.node.value, entry.node.scalar_text()) {
        (Value::Null, _) => Ok(entry.node.text(id)),
        (_, Some(path)) => Ok(entry.node.text(format!("{id}={path}"))),
        _ => must_be(&entry.node, &path.key(id), "a path"),
    };
    Ok(Some(node.becomes(Value::List(mapping.iter().map(key).collect::<Result<_>>()?))))
}

/// `HOST=ADDRESS` lines, from lines with `=` or `:`, or from a mapping to one or several addresses.
fn hosts(node: &Node, path: &Path) -> Result<Option<Node>> {
    let mut lines = Vec::new();
    match &node.value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let split =
                    item.as_text().and_then(|text| text.split_once('=').or_else(|| text.split_once(':')));
                match split {
                    Some((host, address)) if !host.is_empty() => lines.push(host_line(item, host, address)),
                    _ => return must_be(item, &path.index(index), "HOST=ADDRESS"),
                }
            }
        }
        Value::Mapping(mapping) => {
            for (host, entry) in mapping {
                let addresses = entry.node.as_list().unwrap_or(std::slice::from_ref(&entry.node));
                for address in addresses {
                    match address.as_text() {
                        Some(text) => lines.push(host_line(address, host, text)),
                        None => return must_be(address, &path.key(host), "an address"),
                    }
                }
            }
        }
        _ => return must_be(node, path, "a mapping, or a list of HOST=ADDRESS"),
    }
    lines.sort_by(|one, other| one.as_text().cmp(&other.as_text()));
    Ok(Some(node.becomes(Value::List(lines))))
}

fn host_line(node: &Node, host: &str, address: &str) -> Node {
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    node.text(format!("{host}={bare}"))
}

fn limits(node: &Node, _: &Path) -> Result<Option<Node>> {
    match &node.value {
        Value::Int(_) | Value::Text(_) => {
            let limit = node.part(node.value.clone());
            Ok(Some(node.mapping([("soft", limit.clone()), ("hard", limit)])))
        }
        _ => as_it_is(node),
    }
}

fn count(node: &Node, _: &Path) -> Result<Option<Node>> {
    match node.as_text() {
        Some(text) if text.eq_ignore_ascii_case("all") => Ok(Some(node.becomes(Value::Int(-1)))),
        _ => as_it_is(node),
    }
}

fn gpus(node: &Node, path: &Path) -> Result<Option<Node>> {
    match node.as_text() {
        Some("all") => {
            let all = node.part(Value::Null).mapping([("count", node.part(Value::Int(-1)))]);
            Ok(Some(node.becomes(Value::List(vec![all]))))
        }
        Some(_) => must_be(node, path, "`all` or a list"),
        None => as_it_is(node),
    }
}

fn device(node: &Node, path: &Path) -> Result<Option<Node>> {
    match node.as_text() {
        Some(text) => short::device(node, text).map(Some).map_err(|what| node.place.wrong(path, what)),
        None => as_it_is(node),
    }
}

fn mount(node: &Node, path: &Path) -> Result<Option<Node>> {
    match node.as_text() {
        Some(text) => short::mount(node, text).map(Some).map_err(|what| node.place.wrong(path, what)),
        None => as_it_is(node),
    }
}

/// One short form may stand for many ports. A long form may have numbers for texts.
fn ports(node: &Node, path: &Path) -> Result<Option<Node>> {
    let Value::List(items) = &node.value else { return as_it_is(node) };
    let mut ports = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        match &item.value {
            Value::Int(_) | Value::Text(_) => {
                let text = item.scalar_text().unwrap_or_default();
                ports.extend(short::ports(item, &text).map_err(|what| item.place.wrong(&path, what))?);
            }
            Value::Mapping(mapping) => {
                let mut mapping = mapping.clone();
                if let Some(published) = mapping.get_mut("published") {
                    published.node =
                        text(&published.node, &path.key("published"))?.unwrap_or(published.node.clone());
                }
                ports.push(item.becomes(Value::Mapping(mapping)));
            }
            _ => return must_be(item, &path, "a port, as text or a mapping"),
        }
        refused::ports(ports.len()).map_err(|what| item.place.wrong(&path, what))?;
    }
    Ok(Some(node.becomes(Value::List(ports))))
}

/// A network, volume, secret or config: nothing at all, or one with the old `external: {name: NAME}`.
fn resource(node: &Node, path: &Path) -> Result<Option<Node>> {
    let Some(node) = nothing_is_empty(node, path)? else { return Ok(None) };
    let Some(external) = node.get("external").filter(|external| external.as_mapping().is_some()) else {
        return Ok(Some(node));
    };
    let (external, mut node) = (external.clone(), node);
    let Some(mapping) = node.as_mapping_mut() else { return Ok(Some(node)) };
    let Some(entry) = mapping.get_mut("external") else { return Ok(Some(node)) };
    entry.node = external.part(Value::Bool(true));
    let (key, name) = (entry.key.clone(), external.get("name").cloned());
    match (name, mapping.get("name")) {
        (Some(name), Some(other)) if name != other.node => {
            Err(key.wrong(&path.key("external"), "has another name than `name`: only `name` is needed"))
        }
        (Some(name), None) => {
            mapping.insert("name".to_owned(), Entry { key, node: name });
            Ok(Some(node))
        }
        _ => Ok(Some(node)),
    }
}

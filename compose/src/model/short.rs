//! The forms that are a little language of their own: commands, ports, mounts, devices.

use super::node::{Node, Value};
use std::net::IpAddr;

/// Splits a command into words as docker compose does.
///
/// Quotes and backslashes work as in a shell, and nothing else does: what follows `;`, `|`, `&`, `<` or `>` is dropped.
///
/// Errors: quotes and brackets that aren't closed, and brackets without a `$`.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    // A word may be empty: `''`.
    let mut begun = false;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', Some('\'')) => word.push(c),
            ('\\', _) => match chars.next() {
                Some(c) => {
                    begun = true;
                    word.push(c);
                }
                None => return Err("ends with a backslash".to_owned()),
            },
            ('\'' | '"', None) => (quote, begun) = (Some(c), true),
            ('\'' | '"', Some(open)) if open == c => quote = None,
            ('`' | ')', Some(open)) if open == c => {
                quote = None;
                word.push(c);
            }
            ('`', None) => {
                (quote, begun) = (Some('`'), true);
                word.push(c);
            }
            ('(', None) if word.ends_with('$') => {
                quote = Some(')');
                word.push(c);
            }
            ('(' | ')', None) => return Err(format!("has a `{c}`: quote it, or write a list")),
            (';' | '|' | '&' | '<' | '>', None) => {
                // `2>` names a descriptor.
                begun &= !(c == '>' && word.starts_with(|c: char| c.is_ascii_digit()));
                break;
            }
            (c, None) if c.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            (c, _) => {
                begun = true;
                word.push(c);
            }
        }
    }
    if let Some(quote) = quote {
        return Err(format!("has a {quote} too many, or too few"));
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

/// `[[ADDRESS:][PORT[-PORT]]:]PORT[-PORT][/PROTOCOL]` → a port each.
///
/// Errors: what isn't of that form, and more ports than can be held.
pub fn ports(node: &Node, text: &str) -> Result<Vec<Node>, String> {
    let (rest, protocol) = text.split_once('/').unwrap_or((text, ""));
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("has the protocol {protocol:?}, which isn't tcp, udp or sctp"));
    }
    let (rest, target) = rest.rsplit_once(':').map_or((None, rest), |(rest, target)| (Some(rest), target));
    let (address, published) = match rest {
        None => ("", ""),
        Some(rest) => rest.rsplit_once(':').unwrap_or(("", rest)),
    };
    let address = bare_address(address)?;
    let target = range(target)?.ok_or_else(|| format!("names no port of the container: {text:?}"))?;
    let published = range(published)?;
    let counted = |(first, last): (u16, u16)| last - first;
    let one = target.0 == target.1;
    super::refused::ports(usize::from(counted(target)) + 1)?;
    if published.is_some_and(|published| !one && counted(published) != counted(target)) {
        return Err(format!("has ranges that differ in length: {text:?}"));
    }
    let port = |port: u16| {
        let published = published.map(|(first, last)| match (one, first == last) {
            (true, false) => format!("{first}-{last}"),
            _ => (first + (port - target.0)).to_string(),
        });
        let mut entries = vec![
            ("mode", node.text("ingress")),
            ("target", node.part(Value::Int(port.into()))),
            ("protocol", node.text(&protocol)),
        ];
        entries.extend((!address.is_empty()).then(|| ("host_ip", node.text(address))));
        entries.extend(published.map(|published| ("published", node.text(published))));
        node.mapping(entries)
    };
    Ok((target.0..=target.1).map(port).collect())
}

/// The address, without the brackets that IPv6 may have.
fn bare_address(text: &str) -> Result<&str, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if bare.is_empty() || bare.parse::<IpAddr>().is_ok() {
        Ok(bare)
    } else {
        Err(format!("{bare:?} isn't an address"))
    }
}

/// `PORT` or `PORT-PORT`, or nothing.
fn range(text: &str) -> Result<Option<(u16, u16)>, String> {
    let number = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits).ok_or_else(|| format!("{text:?} isn't a port"))
    };
    let (first, last) = match text.split_once('-') {
        _ if text.is_empty() => return Ok(None),
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if first > last { Err(format!("{text:?} is a range from high to low")) } else { Ok(Some((first, last))) }
}

/// `[SOURCE:]TARGET[:OPTIONS]` → a mount.
pub fn mount(node: &Node, text: &str) -> Result<Node, String> {
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("must be [SOURCE:]TARGET[:OPTIONS], not {text:?}"));
    }
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, target, ""),
        [source, target] => (Some(*source), target, ""),
        [source, target, options] => (Some(*source), target, *options),
        _ => return Err(format!("has too many colons: {text:?}")),
    };
    let is_path = source.is_some_and(|source| source.starts_with(['.', '/', '~']));
    let yes = || node.part(Value::Bool(true));
    let mut entries = vec![
        ("type", node.text(if is_path { "bind" } else { "volume" })),
        ("target", node.text(super::paths::clean(target))),
    ];
    entries.extend(source.map(|source| ("source", node.text(source))));
    // For the sake of old files, a short form makes a source that isn't there.
    let mut bind = if is_path { vec![("create_host_path", yes())] } else { Vec::new() };
    let mut volume = Vec::new();
    for option in options.split(',') {
        match option {
            "ro" => entries.push(("read_only", yes())),
            "rw" => entries.retain(|(key, _)| *key != "read_only"),
            "z" | "Z" => bind.push(("selinux", node.text(option))),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                bind.push(("propagation", node.text(option)));
            }
            "nocopy" => volume.push(("nocopy", yes())),
            // Docker's options for other systems, and whatever else.
            _ => {}
        }
    }
    if is_path || !bind.is_empty() {
        entries.push(("bind", node.part(Value::Null).mapping(bind)));
    }
    if !is_path {
        entries.push(("volume", node.part(Value::Null).mapping(volume)));
    }
    Ok(node.mapping(entries))
}

/// `SOURCE[:TARGET[:PERMISSIONS]]` → a device.
pub fn device(node: &Node, text: &str) -> Result<Node, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (source, source, &"rwm"),
        [source, target] => (source, target, &"rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => return Err(format!("must be SOURCE[:TARGET[:PERMISSIONS]], not {text:?}")),
    };
    if source.is_empty() {
        return Err("names no device".to_owned());
    }
    Ok(node.mapping([
        ("source", node.text(*source)),
        ("target", node.text(*target)),
        ("permissions", node.text(*permissions)),
    ]))
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_command_is_split_as_docker_compose_splits_it() {
        for (text, expected) in [
            ("echo a; b", &["echo", "a"][..]),
            ("echo a|b", &["echo", "a"]),
            ("echo 2>b", &["echo"]),
            ("echo a>b", &["echo", "a"]),
            (r#"echo a\ b "c\nd" e\tf"#, &["echo", "a b", "cnd", "etf"]),
            (r#"sh -c "a 'b' \"c\"""#, &["sh", "-c", r#"a 'b' "c""#]),
            (r"a 'b\c' d", &["a", r"b\c", "d"]),
            ("echo $(ls x) `y z`", &["echo", "$(ls x)", "`y z`"]),
            (r#"a ""  b"#, &["a", "", "b"]),
            (" x\ty\n", &["x", "y"]),
            ("", &[]),
        ] {
            assert_eq!(
                words(text).as_deref(),
                Ok(&expected.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()[..])
            );
        }
        for text in ["a (b)", "a \"b", "a 'b", "a\\", "a $(b", "a )"] {
            assert!(words(text).is_err(), "{text}");
        }
    }
}

//! Docker's flags for mounts: `--volume`, `--mount`.

use super::typed::Typed;
use crate::error::{Context, Error, Result};
use crate::model::types::{BindOptions, Mount, TmpfsOptions, VolumeOptions};
use crate::model::values::MountKind;

/// The mounts of a container.
///
/// Errors: what is none, and why.
pub fn volumes(typed: &Typed) -> Result<Vec<Mount>> {
    let short = typed.texts("volume").into_iter().map(|text| volume(&text));
    let long = typed.texts("mount").into_iter().map(|text| mount(&text));
    short.chain(long).collect()
}

/// `[SOURCE:]TARGET[:OPTIONS]`
pub fn volume(text: &str) -> Result<Mount> {
    let wrong = |why: &str| Error::new(format!("invalid volume specification: '{text}': {why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err(wrong("too many colons")),
    };
    if !target.starts_with('/') || target == "/" {
        return Err(wrong("the destination must be an absolute path, not the root"));
    }
    let is_path = source.is_some_and(|source| source.starts_with(['/', '.', '~']));
    let mut made = Mount {
        kind: if is_path { MountKind::Bind } else { MountKind::Volume },
        source: source
            .map(|source| if is_path { absolute(source) } else { Ok(source.to_owned()) })
            .transpose()?,
        target: target.trim_end_matches('/').to_owned(),
        ..Mount::default()
    };
    let (mut bind, mut volume) = (BindOptions::default(), VolumeOptions::default());
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => made.read_only = true,
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" => {}
            "nocopy" => volume.nocopy = true,
            "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                bind.propagation = Some(option.to_owned());
            }
            _ => return Err(wrong(&format!("invalid mode: {option}"))),
        }
    }
    made.bind = Some(bind).filter(|_| is_path);
    made.volume = Some(volume).filter(|_| !is_path);
    Ok(made)
}

/// As Go reads it.
fn is_true(value: &str) -> std::result::Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid value: {value}: neither true nor false")),
    }
}

/// `type=TYPE,source=SOURCE,target=TARGET,…`
fn mount(text: &str) -> Result<Mount> {
    let wrong = |why: String| Error::new(format!("invalid argument \"{text}\" for \"--mount\": {why}"));
    let mut made = Mount::default();
    // A bind that is written out is not made up.
    let mut bind = BindOptions { create_host_path: Some(false), ..BindOptions::default() };
    let (mut volume, mut tmpfs) = (VolumeOptions::default(), TmpfsOptions::default());
    for field in fields(text).map_err(|why| wrong(why.to_owned()))? {
        let (key, value) = field.split_once('=').unwrap_or((&field, "true"));
        match key {
            "type" => {
                made.kind = match value {
                    "bind" => MountKind::Bind,
                    "volume" => MountKind::Volume,
                    "tmpfs" => MountKind::Tmpfs,
                    _ => return Err(wrong(format!("mount type unknown: \"{value}\""))),
                }
            }
            "source" | "src" => made.source = Some(value.to_owned()),
            "target" | "dst" | "destination" => made.target = value.to_owned(),
            "readonly" | "ro" => made.read_only = is_true(value).map_err(wrong)?,
            "bind-propagation" => bind.propagation = Some(value.to_owned()),
            "bind-recursive" => bind.recursive = Some(value.to_owned()),
            "volume-nocopy" => volume.nocopy = is_true(value).map_err(wrong)?,
            "volume-subpath" => volume.subpath = Some(value.to_owned()),
            "tmpfs-size" => tmpfs.size = Some(value.parse().map_err(wrong)?),
            "tmpfs-mode" => {
                tmpfs.mode = Some(u32::from_str_radix(value, 8).map_err(|err| wrong(err.to_string()))?)
            }
            _ => return Err(wrong(format!("unexpected key '{key}' in '{field}'"))),
        }
    }
    if !made.target.starts_with('/') {
        return Err(wrong("target is required, and absolute".to_owned()));
    }
    match made.kind {
        MountKind::Bind => {
            made.source = Some(absolute(made.source.as_deref().unwrap_or_default())?);
            made.bind = Some(bind);
        }
        MountKind::Tmpfs => made.tmpfs = Some(tmpfs),
        _ => made.volume = Some(volume),
    }
    Ok(made)
}

fn absolute(path: &str) -> Result<String> {
    let path = std::path::absolute(path).at(path)?;
    Ok(path.to_string_lossy().into_owned())
}

/// The fields of a line of CSV, as Go reads them: in quotes, a field may have commas, and each quote of its own twice.
pub fn fields(line: &str) -> std::result::Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                unquoted(quoted).ok_or("parse error: extraneous or missing \" in quoted-field")?
            }
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if field.contains('"') && !rest.starts_with('"') {
            return Err("parse error: bare \" in non-quoted-field");
        }
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// What is before the closing quote, and what follows it: a comma or nothing.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut end = 0;
    loop {
        end += text[end..].find('"')?;
        match text[end + 1..].chars().next() {
            Some('"') => end += 2,
            None | Some(',') => return Some((text[..end].replace("\"\"", "\""), &text[end + 1..])),
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_in_quotes_may_have_commas() {
        let read = |line: &str| fields(line).map(|fields| fields.join("|"));
        assert_eq!(read(r#"type=bind,"source=/a,b",ro"#), Ok("type=bind|source=/a,b|ro".to_owned()));
        assert_eq!(read(r#""a""b",,"""#), Ok(r#"a"b||"#.to_owned()));
        assert_eq!(read(""), Ok(String::new()));
        for wrong in [r#""a"#, r#""a"b"#, r#"a"b"#, r#""a"""#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}

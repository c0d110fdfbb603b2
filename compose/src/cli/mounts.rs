//! Docker's flags for mounts: `--volume`, `--mount`.

use super::typed::Typed;
use crate::error::{Context, Error, Result};
use crate::model::types::{BindOptions, ImageOptions, Mount, TmpfsOptions, VolumeOptions};
use crate::model::values::MountKind;

/// The mounts of a container.
///
/// Errors: what is none, and why.
pub fn volumes(typed: &Typed) -> Result<Vec<Mount>> {
    let short = typed.texts("volume").into_iter().map(|text| volume(&text)).collect::<Result<Vec<_>>>()?;
    let long = typed.texts("mount").into_iter().map(|text| mount(&text)).collect::<Result<Vec<_>>>()?;
    // An anonymous volume is where nothing else is, and one time only.
    let is_one_too_many = |at: usize, mount: &Mount| {
        let is_there = |other: &Mount| other.target == mount.target;
        let is_named = |other: &&Mount| other.source.is_some();
        let is_alone =
            !short[..at].iter().any(is_there) && !short.iter().filter(is_named).chain(&long).any(is_there);
        mount.source.is_none() && !is_alone
    };
    let kept = short.iter().enumerate().filter(|(at, mount)| !is_one_too_many(*at, mount));
    Ok(kept.map(|(_, mount)| mount).chain(&long).cloned().collect())
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
fn is_true(key: &str, value: &str) -> std::result::Result<bool, String> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("invalid value for {key}: {value}")),
    }
}

/// `type=TYPE,source=SOURCE,target=TARGET,…`
fn mount(text: &str) -> Result<Mount> {
    let mut parts = Parts::default();
    let mut read = || {
        if text.trim().is_empty() {
            return Err("value is empty".to_owned());
        }
        for field in fields(text.trim())? {
            parts.set(&field)?;
        }
        parts.mount()
    };
    read().map_err(|why| Error::new(format!("invalid argument \"{text}\" for \"--mount\" flag: {why}")))
}

/// What a mount that is written out says, for all kinds of mounts.
#[derive(Default)]
struct Parts {
    made: Mount,
    bind: Option<BindOptions>,
    volume: Option<VolumeOptions>,
    tmpfs: Option<TmpfsOptions>,
    image: Option<ImageOptions>,
}

impl Parts {
    fn set(&mut self, field: &str) -> std::result::Result<(), String> {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        let key = key.to_ascii_lowercase();
        if !field.contains('=') && !["readonly", "ro", "volume-nocopy"].contains(&key.as_str()) {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        }
        let wrong = || format!("invalid value for {key}: {value}");
        match key.as_str() {
            "type" => {
                self.made.kind = match value.to_ascii_lowercase().as_str() {
                    "bind" => MountKind::Bind,
                    "volume" => MountKind::Volume,
                    "tmpfs" => MountKind::Tmpfs,
                    "image" => MountKind::Image,
                    "" => return Err("type is required".to_owned()),
                    other => return Err(format!("mount type unknown: \"{other}\"")),
                }
            }
            "source" | "src" => {
                let is_relative = value.starts_with('.');
                let source =
                    if is_relative { absolute(value).map_err(|err| err.to_string())? } else { value.into() };
                self.made.source = Some(source).filter(|source| !source.is_empty());
            }
            "target" | "dst" | "destination" => self.made.target = value.to_owned(),
            "readonly" | "ro" => self.made.read_only = is_true(&key, value)?,
            // It was for hosts that share directories with a machine of their own.
            "consistency" => {}
            "bind-propagation" => self.bind().propagation = Some(value.to_ascii_lowercase()),
            "bind-recursive" => {
                if !["enabled", "disabled", "writable", "readonly"].contains(&value) {
                    let words = "must be \"enabled\", \"disabled\", \"writable\", or \"readonly\"";
                    return Err(format!("{} ({words})", wrong()));
                }
                self.bind().recursive = Some(value.to_owned());
            }
            "bind-nonrecursive" if is_true(&key, value)? => {
                self.bind().recursive = Some("disabled".to_owned());
            }
            "bind-nonrecursive" => {}
            "volume-nocopy" => self.volume().nocopy = is_true(&key, value)?,
            "volume-subpath" => self.volume().subpath = Some(value.to_owned()),
            "volume-label" => {
                let (name, value) = value.split_once('=').unwrap_or((value, ""));
                self.volume().labels.insert(name.to_owned(), value.to_owned());
            }
            "volume-driver" if matches!(value, "" | "local") => drop(self.volume()),
            "volume-driver" => {
                return Err(format!("error looking up volume plugin {value}: plugin \"{value}\" not found"));
            }
            "volume-opt" => {
                return Err("volume-opt: can't be done here: use `volume create --opt`".to_owned());
            }
            "image-subpath" => {
                let options = ImageOptions { subpath: Some(value.to_owned()), ..ImageOptions::default() };
                self.image = Some(options);
            }
            "tmpfs-size" => self.tmpfs().size = Some(value.parse().map_err(|_| wrong())?),
            "tmpfs-mode" => self.tmpfs().mode = Some(u32::from_str_radix(value, 8).map_err(|_| wrong())?),
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
        Ok(())
    }

    fn bind(&mut self) -> &mut BindOptions {
        self.bind.get_or_insert_default()
    }

    fn volume(&mut self) -> &mut VolumeOptions {
        self.volume.get_or_insert_default()
    }

    fn tmpfs(&mut self) -> &mut TmpfsOptions {
        self.tmpfs.get_or_insert_default()
    }

    /// The mount, whose kind must have all the options that are given.
    fn mount(&mut self) -> std::result::Result<Mount, String> {
        let mut made = std::mem::take(&mut self.made);
        let given = [
            (self.volume.is_some(), "volume", MountKind::Volume),
            (self.bind.is_some(), "bind", MountKind::Bind),
            (self.tmpfs.is_some(), "tmpfs", MountKind::Tmpfs),
            (self.image.is_some(), "image", MountKind::Image),
        ];
        if let Some((_, options, _)) =
            given.iter().find(|(is_given, _, kind)| *is_given && *kind != made.kind)
        {
            let kind = format!("{:?}", made.kind).to_lowercase();
            return Err(format!("cannot mix '{options}-*' options with mount type '{kind}'"));
        }
        let recursive = self.bind.as_ref().and_then(|bind| bind.recursive.as_deref());
        let needs = |what: &str| {
            let recursive = recursive.unwrap_or_default();
            format!("option 'bind-recursive={recursive}' requires '{what}' to be specified in conjunction")
        };
        if matches!(recursive, Some("writable" | "readonly")) && !made.read_only {
            return Err(needs("readonly"));
        }
        let propagation = self.bind.as_ref().and_then(|bind| bind.propagation.as_deref());
        if recursive == Some("readonly") && propagation != Some("rprivate") {
            return Err(needs("bind-propagation=rprivate"));
        }
        match made.kind {
            // A source that is written out is not made up.
            MountKind::Bind => {
                made.bind = Some(BindOptions {
                    create_host_path: Some(false),
                    ..self.bind.take().unwrap_or_default()
                });
            }
            MountKind::Image => made.image = self.image.take(),
            MountKind::Tmpfs => made.tmpfs = Some(self.tmpfs.take().unwrap_or_default()),
            _ => made.volume = Some(self.volume.take().unwrap_or_default()),
        }
        Ok(made)
    }
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
    fn options_are_of_the_mounts_kind() {
        let read =
            mount("TYPE=Volume,src=v,DST=/m,volume-label=a=b,volume-driver=local,consistency=cached,ro");
        let read = read.expect("a mount");
        assert_eq!((read.kind, read.target.as_str(), read.read_only), (MountKind::Volume, "/m", true));
        assert_eq!(read.volume.expect("options").labels["a"], "b");
        let bind = "type=bind,src=/x,dst=/m";
        let requires = "option 'bind-recursive=readonly' requires";
        for (text, why) in [
            (format!("{bind},volume-nocopy"), "cannot mix 'volume-*' options with mount type 'bind'"),
            (
                "dst=/m,bind-propagation=shared".to_owned(),
                "cannot mix 'bind-*' options with mount type 'volume'",
            ),
            (format!("{bind},tmpfs-size=1"), "cannot mix 'tmpfs-*' options with mount type 'bind'"),
            (format!("{bind},bind-recursive=readonly"), &format!("{requires} 'readonly' to be")),
            (
                format!("{bind},ro,bind-recursive=readonly"),
                &format!("{requires} 'bind-propagation=rprivate' to"),
            ),
            ("dst=/m,volume-driver=nfs".to_owned(), "plugin \"nfs\" not found"),
            ("dst=/m,volume-opt=o=x".to_owned(), "volume-opt: can't be done here"),
            ("dst=/m,x".to_owned(), "invalid field 'x' must be a key=value pair"),
            ("dst=/m,ro=maybe".to_owned(), "invalid value for ro: maybe"),
            (String::new(), "value is empty"),
        ] {
            let said = mount(&text).expect_err("it is refused").to_string();
            assert!(said.starts_with("invalid argument") && said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn an_anonymous_volume_gives_way() {
        let line = "run -v /m -v v:/m -v /n -v /n -v /o --mount type=tmpfs,dst=/o i";
        let matches =
            crate::cli::container::flags(clap::Command::new("run")).try_get_matches_from(line.split(' '));
        let made = volumes(&Typed(&matches.expect("flags"))).expect("mounts");
        let made: Vec<_> =
            made.iter().map(|mount| (mount.source.as_deref(), mount.target.as_str())).collect();
        assert_eq!(made, [(Some("v"), "/m"), (None, "/n"), (None, "/o")]);
    }

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

//! Where in a container something can be mounted. Pure. The words are Docker's.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use crate::error::{Error, Result};
use crate::model::paths::clean;
use crate::model::types::{Mount, Service};
use crate::model::values::MountKind;

/// Whether all mounts of a service can be.
///
/// Errors: the first one that can't be, in Docker's words.
pub fn check(service: &Service) -> Result<()> {
    let mut taken = BTreeSet::new();
    for mount in &service.volumes {
        self::mount(mount).map_err(|why| {
            let kind = format!("{:?}", mount.kind).to_lowercase();
            Error::new(format!("invalid mount config for type \"{kind}\": {why}"))
        })?;
        take(&mut taken, &mount.target)?;
    }
    // Of two at one place, the last one counts.
    let tmpfs = service.tmpfs.iter().map(|tmpfs| tmpfs.split(':').next().unwrap_or_default());
    for target in tmpfs.collect::<BTreeSet<_>>() {
        self::target(target).map_err(Error::new)?;
        take(&mut taken, target)?;
    }
    Ok(())
}

fn take(taken: &mut BTreeSet<String>, target: &str) -> Result<()> {
    if taken.insert(clean(target)) {
        return Ok(());
    }
    Err(Error::new(format!("Duplicate mount point: {target}")))
}

fn mount(mount: &Mount) -> Result<(), String> {
    if mount.target.is_empty() {
        return Err("field Target must not be empty".to_owned());
    }
    target(&mount.target)?;
    let source = mount.source.as_deref().unwrap_or_default();
    let subpath = mount.volume.as_ref().and_then(|options| options.subpath.as_deref()).unwrap_or_default();
    let of_image = mount.image.as_ref().and_then(|options| options.subpath.as_deref()).unwrap_or_default();
    match mount.kind {
        MountKind::Image if source.is_empty() => Err("field Source must not be empty".to_owned()),
        MountKind::Image if !stays_below(of_image) => {
            Err("subpath must be a relative path within the image".to_owned())
        }
        MountKind::Bind if source.is_empty() => Err("field Source must not be empty".to_owned()),
        MountKind::Bind => absolute(source),
        MountKind::Tmpfs if !source.is_empty() => Err("field Source must not be specified".to_owned()),
        MountKind::Volume if source.is_empty() && mount.read_only => {
            Err("must not set ReadOnly mode when using anonymous volumes".to_owned())
        }
        MountKind::Volume if source.is_empty() && !subpath.is_empty() => {
            Err("must not set Subpath when using anonymous volumes".to_owned())
        }
        MountKind::Volume if !stays_below(subpath) => {
            Err("subpath must be a relative path within the volume".to_owned())
        }
        _ => Ok(()),
    }
}

/// A place in a container.
fn target(path: &str) -> Result<(), String> {
    if clean(path) == "/" {
        return Err("invalid specification: destination can't be '/'".to_owned());
    }
    absolute(path)
}

fn absolute(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(format!("invalid mount path: '{path}' mount path must be absolute"))
}

/// Whether a path leads nowhere above where it begins.
fn stays_below(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in Path::new(path).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::types::VolumeOptions;

    fn said(volumes: Vec<Mount>, tmpfs: &[&str]) -> String {
        let tmpfs = tmpfs.iter().map(|&text| text.to_owned()).collect();
        let checked = check(&Service { volumes, tmpfs, ..Service::default() });
        checked.err().map(|err| err.to_string()).unwrap_or_default()
    }

    fn at(kind: MountKind, source: &str, target: &str) -> Mount {
        let source = Some(source.to_owned()).filter(|source| !source.is_empty());
        Mount { kind, source, target: target.to_owned(), ..Mount::default() }
    }

    #[test]
    fn a_place_has_one_mount() {
        let volume = |target: &str| at(MountKind::Volume, "v", target);
        assert_eq!(said(vec![volume("/m"), volume("/m/n")], &["/t", "/t:size=1m"]), "");
        assert_eq!(said(vec![volume("/m"), volume("/x/../m/")], &[]), "Duplicate mount point: /x/../m/");
        assert_eq!(said(vec![volume("/m")], &["/m:size=1m"]), "Duplicate mount point: /m");
    }

    #[test]
    fn a_mount_that_cannot_be_is_refused_in_dockers_words() {
        use MountKind::{Bind, Tmpfs, Volume};
        let absolute = "invalid mount path: 'm' mount path must be absolute";
        for (mount, why) in [
            (at(Bind, "", "/m"), "field Source must not be empty"),
            (at(Bind, "/x", ""), "field Target must not be empty"),
            (at(Bind, "m", "/m"), absolute),
            (at(Volume, "v", "m"), absolute),
            (at(Volume, "v", "/x/.."), "invalid specification: destination can't be '/'"),
            (at(Tmpfs, "x", "/m"), "field Source must not be specified"),
            (
                Mount { read_only: true, ..at(Volume, "", "/m") },
                "must not set ReadOnly mode when using anonymous volumes",
            ),
        ] {
            let kind = format!("{:?}", mount.kind).to_lowercase();
            assert_eq!(said(vec![mount], &[]), format!("invalid mount config for type \"{kind}\": {why}"));
        }
        assert_eq!(said(Vec::new(), &["m"]), absolute);
        assert_eq!(said(Vec::new(), &[":size=1m"]), absolute.replace("'m'", "''"));
        for (path, can) in [(".", true), ("a/../b", true), ("..", false), ("a/../..", false), ("/a", false)] {
            let subpath = VolumeOptions { subpath: Some(path.to_owned()), ..VolumeOptions::default() };
            let mount = Mount { volume: Some(subpath), ..at(Volume, "v", "/m") };
            assert_eq!(said(vec![mount], &[]).is_empty(), can, "{path}");
        }
    }
}

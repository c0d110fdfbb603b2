//! Id-mapped mounts: whose map a bind mount shows its files through.
//!
//! Three places can say it, the most exact first: `uidMappings` and `gidMappings` of the mount, the maps of the option
//! `idmap=…`, which crun's callers write, and the user namespace of the container.

use std::path::PathBuf;

use super::mount_options::{Depth, MountOptions};
use super::namespaces::{IdMap, id_maps};
use crate::error::{Error, Result};
use crate::spec::{Namespace, NamespaceSource, Spec, oci};

/// Whose map an id-mapped mount shows its files through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdMapSource {
    /// These maps.
    Maps(IdMapping),
    /// The maps of the user namespace at this path.
    Namespace(PathBuf),
}

/// Maps of users and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMapping {
    /// Lines of a `uid_map`.
    pub uids: Vec<IdMap>,
    /// Lines of a `gid_map`.
    pub gids: Vec<IdMap>,
}

/// The map of a mount, and whether the mounts below it have it too.
pub(super) fn plan(
    entry: &oci::Mount,
    options: &MountOptions,
    spec: &Spec,
    field: &str,
) -> Result<Option<(IdMapSource, bool)>> {
    let own = entry.uid_mappings().as_deref().zip(entry.gid_mappings().as_deref());
    if own.is_none() && options.id_map.is_none() {
        return Ok(None);
    }
    if options.bind.is_none() && entry.typ().as_deref() != Some("bind") {
        return Err(Error::invalid(format!("{field}: only a bind mount can be id-mapped")));
    }
    let source = match (own, options.id_map_lines) {
        (Some((uids, gids)), _) => {
            IdMapSource::Maps(IdMapping { uids: id_maps(Some(uids)), gids: id_maps(Some(gids)) })
        }
        (None, Some(text)) => IdMapSource::Maps(of_option(text, &of_container(spec), field)?),
        (None, None) => of_user_namespace(spec, field)?,
    };
    Ok(Some((source, options.id_map == Some(Depth::Tree))))
}

fn of_user_namespace(spec: &Spec, field: &str) -> Result<IdMapSource> {
    match spec.namespaces().source(Namespace::User) {
        NamespaceSource::Path(path) => Ok(IdMapSource::Namespace(path.clone())),
        NamespaceSource::New => Ok(IdMapSource::Maps(of_container(spec))),
        NamespaceSource::Host => {
            Err(Error::invalid(format!("{field}: idmap without mappings needs a user namespace")))
        }
    }
}

fn of_container(spec: &Spec) -> IdMapping {
    let linux = spec.linux();
    IdMapping {
        uids: id_maps(linux.and_then(|linux| linux.uid_mappings().as_deref())),
        gids: id_maps(linux.and_then(|linux| linux.gid_mappings().as_deref())),
    }
}

/// The maps of `idmap=uids=0-1-10#10-11-10;gids=0-1-10`: in each triplet an id on the filesystem, the id that it
/// becomes on the host, and how many. After `@` the second id is one of the container.
///
/// Source: crun(1), "idmap mount options".
fn of_option(text: &str, container: &IdMapping, field: &str) -> Result<IdMapping> {
    let mut maps = IdMapping { uids: Vec::new(), gids: Vec::new() };
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (lines, container, triplets) = if let Some(triplets) = part.strip_prefix("uids=") {
            (&mut maps.uids, &container.uids, triplets)
        } else if let Some(triplets) = part.strip_prefix("gids=") {
            (&mut maps.gids, &container.gids, triplets)
        } else {
            let text = format!("{field}.options: idmap: {part:?} is neither uids=… nor gids=…");
            return Err(Error::invalid(text));
        };
        let parsed: Result<Vec<IdMap>> =
            triplets.split('#').map(|triplet| line(triplet, container, field)).collect();
        *lines = parsed?;
    }
    if maps.uids.is_empty() || maps.gids.is_empty() {
        return Err(Error::invalid(format!("{field}.options: idmap needs both uids=… and gids=…")));
    }
    Ok(maps)
}

fn line(triplet: &str, container: &[IdMap], field: &str) -> Result<IdMap> {
    let invalid = |what: &str| Error::invalid(format!("{field}.options: idmap: {triplet:?} {what}"));
    let (numbers, is_relative) = match triplet.strip_prefix('@') {
        Some(numbers) => (numbers, true),
        None => (triplet, false),
    };
    let numbers: Vec<Option<u32>> = numbers.split('-').map(|number| number.parse().ok()).collect();
    let [Some(on_disk), Some(shown), Some(size @ 1..)] = numbers[..] else {
        return Err(invalid("is no ID-ID-COUNT"));
    };
    let host = if is_relative {
        let map = container.iter().find(|map| map.has(shown));
        let map =
            map.ok_or_else(|| invalid("names an id that the container's user namespace does not map"))?;
        map.host.checked_add(shown - map.container).ok_or_else(|| invalid("exceeds the ids of the host"))?
    } else {
        shown
    };
    Ok(IdMap { container: on_disk, host, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<IdMapping> {
        let map = || {
            vec![IdMap { container: 0, host: 100_000, size: 10 }, IdMap { container: 10, host: 7, size: 5 }]
        };
        of_option(text, &IdMapping { uids: map(), gids: map() }, "mounts[0]")
    }

    fn lines(maps: &[IdMap]) -> Vec<[u32; 3]> {
        maps.iter().map(|map| [map.container, map.host, map.size]).collect()
    }

    #[test]
    fn ranges_of_users_and_groups() {
        let maps = read("uids=0-1-10#10-11-10;gids=0-100-10").unwrap();
        assert_eq!(lines(&maps.uids), [[0, 1, 10], [10, 11, 10]]);
        assert_eq!(lines(&maps.gids), [[0, 100, 10]]);
    }

    #[test]
    fn relative_ranges_lead_to_the_container_s_ids() {
        let maps = read("gids=@5-0-2#@6-12-1;uids=@1-3-10;").unwrap();
        assert_eq!(lines(&maps.uids), [[1, 100_003, 10]]);
        assert_eq!(lines(&maps.gids), [[5, 100_000, 2], [6, 9, 1]]);
    }

    #[test]
    fn whatever_is_not_understood_is_refused_by_name() {
        let check = |text: &str, expected: &str| {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("uids=0-1", "\"0-1\" is no ID-ID-COUNT");
        check("uids=0-1-2-3", "is no ID-ID-COUNT");
        check("uids=0-1-0", "is no ID-ID-COUNT");
        check("uids=0-1-4294967296", "is no ID-ID-COUNT");
        check("uids=", "\"\" is no ID-ID-COUNT");
        check("uids=0-1-2#", "\"\" is no ID-ID-COUNT");
        check("uids=0-1-2", "needs both uids=… and gids=…");
        check("uid=0-1-2", "\"uid=0-1-2\" is neither uids=… nor gids=…");
        check("uids=@0-99-1", "does not map");
    }
}

//! `volumes_from`: a container has the volumes and binds of other containers, at the same places.

use std::collections::BTreeSet;

use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::model::types::{Mount, Service, VolumeOptions};
use crate::model::values::MountKind;
use crate::observe;
use crate::record::Record;

/// What a service takes over of other containers.
#[derive(Default)]
pub struct Inherited {
    /// The mounts. Of two at one place, the last one counts.
    pub mounts: Vec<Mount>,
    /// Which volumes go with the last of their containers, whoever that is.
    anonymous: BTreeSet<String>,
}

impl Inherited {
    /// The volumes among these mounts that go with the last of their containers.
    pub fn anonymous(&self, mounts: &[Mount]) -> Vec<String> {
        let volumes = mounts.iter().filter(|mount| mount.kind == MountKind::Volume);
        let names: BTreeSet<&String> = volumes.filter_map(|mount| mount.source.as_ref()).collect();
        self.anonymous.iter().filter(|name| names.contains(name)).cloned().collect()
    }
}

/// What a service takes over of other containers.
///
/// Errors: a container that isn't there, a mode that is none, in Docker's words.
pub async fn of(engine: &Engine, service: &Service) -> Result<Inherited> {
    let mut all = Inherited::default();
    if service.volumes_from.is_empty() {
        return Ok(all);
    }
    let observed = observe::containers(engine).await?;
    for typed in &service.volumes_from {
        let (name, read_only) = parse(typed)?;
        let record = observe::find(&observed, name)?.record()?;
        for mount in lent(record) {
            all.mounts.retain(|other| other.target != mount.target);
            all.mounts.push(Mount { read_only: mount.read_only || read_only, ..mount });
        }
        all.anonymous.extend(record.goes_along().cloned());
    }
    Ok(all)
}

/// `[container:]NAME[:ro|rw]`
fn parse(typed: &str) -> Result<(&str, bool)> {
    let wrong = |why: String| Err(Error::of_kind(Kind::Usage, why));
    let text = typed.strip_prefix("container:").unwrap_or(typed);
    match text.split_once(':').unwrap_or((text, "rw")) {
        ("", _) => wrong(format!("invalid volumes-from specification: {typed}")),
        (name, "ro") => Ok((name, true)),
        (name, "rw") => Ok((name, false)),
        (_, mode) => wrong(format!("invalid mode: {mode}")),
    }
}

/// What a container lends: its volumes, those of its image too, and its binds. What it has of others it lends, too.
fn lent(record: &Record) -> Vec<Mount> {
    let is_lent = |mount: &&Mount| matches!(mount.kind, MountKind::Bind | MountKind::Volume);
    let asked = record.service.volumes.iter().filter(is_lent);
    let is_own = |target: &str| asked.clone().any(|own| own.target == target && own.source.is_some());
    let inherited = record.inherited.iter().filter(|mount| !is_own(&mount.target));
    let mut all: Vec<Mount> = asked.clone().chain(inherited).cloned().collect();
    for (target, name) in &record.volumes {
        if !all.iter().any(|mount| mount.target == *target) {
            all.push(Mount { target: target.clone(), source: Some(name.clone()), ..Mount::default() });
        }
    }
    for mount in all.iter_mut().filter(|mount| mount.kind == MountKind::Volume) {
        mount.source = record.volumes.get(&mount.target).cloned().or(mount.source.take());
        // Its owner has filled it.
        let options = mount.volume.take().unwrap_or_default();
        mount.volume = Some(VolumeOptions { nocopy: true, ..options });
    }
    all.retain(|mount| mount.source.is_some());
    all
}

/// The service with all its mounts, and those of them that it takes over. What it asks for itself goes before, but for
/// volumes without a name.
pub fn merged(service: &Service, lent: Vec<Mount>) -> (Service, Vec<Mount>) {
    let mut merged = service.clone();
    let of_tmpfs = |target: &str| service.tmpfs.iter().any(|tmpfs| tmpfs.split(':').next() == Some(target));
    let is_anonymous = |mount: &Mount| mount.kind == MountKind::Volume && mount.source.is_none();
    let is_asked = |target: &str| {
        of_tmpfs(target) || service.volumes.iter().any(|own| own.target == target && !is_anonymous(own))
    };
    let lent: Vec<Mount> = lent.into_iter().filter(|mount| !is_asked(&mount.target)).collect();
    merged.volumes.retain(|own| !is_anonymous(own) || lent.iter().all(|mount| mount.target != own.target));
    merged.volumes.extend(lent.iter().cloned());
    (merged, lent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: MountKind, source: &str, target: &str) -> Mount {
        let source = Some(source.to_owned()).filter(|source| !source.is_empty());
        Mount { kind, source, target: target.to_owned(), ..Mount::default() }
    }

    fn places(mounts: &[Mount]) -> Vec<(&str, &str)> {
        mounts
            .iter()
            .map(|mount| (mount.target.as_str(), mount.source.as_deref().unwrap_or_default()))
            .collect()
    }

    #[test]
    fn a_container_lends_its_volumes_and_binds_and_what_it_was_lent() {
        use MountKind::{Bind, Tmpfs, Volume};
        let volumes = vec![mount(Bind, "/b", "/bind"), mount(Volume, "", "/anon"), mount(Tmpfs, "", "/t")];
        let volume = |target: &str, name: &str| (target.to_owned(), name.to_owned());
        let record = Record {
            service: Service { volumes, ..Service::default() },
            inherited: vec![mount(Volume, "v", "/lent"), mount(Bind, "/x", "/bind")],
            volumes: [volume("/anon", "1a"), volume("/image", "2b"), volume("/lent", "v")].into(),
            ..Record::default()
        };
        let all = lent(&record);
        assert_eq!(places(&all), [("/bind", "/b"), ("/anon", "1a"), ("/lent", "v"), ("/image", "2b")]);
        let is_filled = |mount: &Mount| mount.volume.as_ref().is_some_and(|options| options.nocopy);
        assert_eq!(all.iter().map(is_filled).collect::<Vec<_>>(), [false, true, true, true]);
    }

    #[test]
    fn what_a_service_asks_for_goes_before_what_it_is_lent() {
        use MountKind::{Bind, Volume};
        let service = Service {
            volumes: vec![mount(Volume, "own", "/a"), mount(Volume, "", "/b"), mount(Volume, "", "/c")],
            tmpfs: vec!["/t:size=1m".to_owned()],
            ..Service::default()
        };
        let lent = ["/a", "/b", "/t", "/d"].map(|target| mount(Bind, "/lent", target)).to_vec();
        let (merged, lent) = merged(&service, lent);
        let expected = [("/a", "own"), ("/c", ""), ("/b", "/lent"), ("/d", "/lent")];
        assert_eq!(places(&merged.volumes), expected);
        assert_eq!(places(&lent), expected[2..]);
    }

    #[test]
    fn a_mode_is_read_only_or_not() {
        assert_eq!(parse("db").expect("a name"), ("db", false));
        assert_eq!(parse("container:db:ro").expect("a name"), ("db", true));
        for (text, why) in [
            ("", "invalid volumes-from specification: "),
            ("db:z", "invalid mode: z"),
            ("db:", "invalid mode: "),
        ] {
            assert_eq!(parse(text).expect_err("wrong").to_string(), why);
        }
    }
}

//! Which namespaces are made, by whom and in which order; id maps; names; time offsets.
//!
//! Without a user namespace, the clone makes the cheap namespaces, and init unshares two by itself: the network and the
//! cgroup namespace. The network namespace is by far the most expensive, and the supervisor goes on meanwhile. The top
//! of the cgroup namespace is the cgroup that init is in by then. With a new user namespace, the clone makes the user
//! and the pid namespace alone. All others must belong to the mapped root of the user namespace, so init unshares them
//! once it is that root. With a joined user namespace, an intermediate process joins it and forks init, so that init's
//! pid namespace belongs to it. With a joined pid namespace, an intermediate process prepares everything and forks init
//! last: see `birth.rs`.

use std::fmt;
use std::path::PathBuf;

use super::birth::Birth;
use super::id_mapped::IdMapping;
use super::process::Descriptors;
use super::{Caller, ForPreparer, ForSupervisor, Host, Request, Step};
use crate::error::{Error, Result};
use crate::spec::{Namespace, Namespaces, Spec, oci};
use crate::sys::namespace::flag_names;

/// Namespaces, as `CLONE_NEW*` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceFlags(pub u64);

impl fmt::Display for NamespaceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&flag_names(self.0))
    }
}

/// How init comes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloning {
    /// The namespaces that the clone makes.
    pub namespaces: NamespaceFlags,
    /// Which of the caller's descriptors init keeps.
    pub descriptors: Descriptors,
    /// The child's files in /proc are the caller's until the child is root of its user namespace: who maps its ids has
    /// no right to write to root's files. No process but the caller's own may trace the child meanwhile.
    pub dumpable: bool,
}

/// A namespace that init joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedNamespace {
    /// Its type.
    pub namespace: Namespace,
    /// Its path on the host.
    pub path: PathBuf,
}

/// One line of a `uid_map` or `gid_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdMap {
    /// First id inside.
    pub container: u32,
    /// First id outside.
    pub host: u32,
    /// How many.
    pub size: u32,
}

/// How the ids of a new user namespace are mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedIds {
    /// The maps.
    pub maps: IdMapping,
    /// Who writes the map of users.
    pub users_by: IdMapper,
    /// Who writes the map of groups.
    pub groups_by: IdMapper,
    /// setgroups(2) is denied in the user namespace first: otherwise a user may not map even their own group, because a
    /// process that drops a group may gain access by that.
    pub groups_denied: bool,
}

/// Who writes an id map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdMapper {
    /// The supervisor has the right to.
    Supervisor,
    /// A program that has the right to, and looks up which ids are the caller's (subuid(5)).
    Helper(PathBuf),
}

/// The programs that map ids for a caller who may not, where they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMapHelpers {
    /// For users.
    pub newuidmap: Option<PathBuf>,
    /// For groups.
    pub newgidmap: Option<PathBuf>,
}

impl IdMap {
    /// Whether this id of the container is mapped by this line.
    pub(super) fn has(&self, id: u32) -> bool {
        id >= self.container && id - self.container < self.size
    }
}

/// One line of `timens_offsets`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeOffset {
    /// `monotonic` or `boottime`.
    pub clock: String,
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds beside them.
    pub nanoseconds: u32,
}

pub(super) fn steps(
    spec: &Spec,
    request: &Request,
    host: &Host,
    birth: Birth,
    is_moved: bool,
) -> Result<Vec<Step>> {
    let namespaces = spec.namespaces();
    let mut steps = joined(namespaces, birth);
    steps.extend(made(namespaces, request, host.caller, birth, is_moved));
    if let Some(linux) = spec.linux() {
        steps.extend(time(linux, namespaces));
        steps.extend(user(linux, namespaces, host)?);
    }
    if namespaces.is_new(Namespace::Network) {
        steps.push(Step::of("linux.namespaces", ForPreparer::BringLoopbackUp));
    }
    steps.extend(names(spec));
    Ok(steps)
}

fn joined(namespaces: &Namespaces, birth: Birth) -> Vec<Step> {
    let mut steps: Vec<Step> = namespaces
        .joined()
        .map(|(namespace, path)| {
            let joined = JoinedNamespace { namespace, path: path.to_path_buf() };
            Step::of(format!("linux.namespaces[{}]", namespace.name()), ForSupervisor::OpenNamespace(joined))
        })
        .collect();
    // In a user namespace, a process can no longer join a pid namespace of the host's.
    let pid_later = birth.is_final() && !namespaces.is_private(Namespace::User);
    let listed = namespaces.joined().map(|(namespace, _)| namespace);
    let at_once: Vec<Namespace> =
        listed.filter(|namespace| !(pid_later && *namespace == Namespace::Pid)).collect();
    if !at_once.is_empty() {
        steps.push(Step::of("linux.namespaces", ForPreparer::JoinNamespaces(at_once)));
    }
    if pid_later {
        steps.push(Step::of("linux.namespaces[pid]", ForPreparer::JoinPidNamespace));
    }
    steps
}

/// `is_moved`: systemd moves init into its cgroup, which is the top of a new cgroup namespace.
fn made(
    namespaces: &Namespaces,
    request: &Request,
    caller: Caller,
    birth: Birth,
    is_moved: bool,
) -> Vec<Step> {
    let new = namespaces.new_flags() & !Namespace::Time.flag();
    let (at_clone, first, later) = if namespaces.is_private(Namespace::User) {
        let at_clone = new & (Namespace::User.flag() | Namespace::Pid.flag());
        (at_clone, 0, new & !at_clone)
    } else {
        let cgroup = new & Namespace::Cgroup.flag();
        let first = new & Namespace::Network.flag();
        let at_clone = new & !(first | cgroup);
        if is_moved { (at_clone, first, cgroup) } else { (at_clone, first | cgroup, 0) }
    };
    let user = Namespace::User.flag();
    let (at_clone, at_fork, apart) = match birth {
        Birth::OfSupervisor => (at_clone, 0, 0),
        Birth::Joined => (0, at_clone, 0),
        // In a new user namespace, a process can no longer join a pid namespace of the host's.
        Birth::Final { .. } => (at_clone & !user, 0, at_clone & user),
    };
    let cloning = Cloning {
        namespaces: NamespaceFlags(at_clone),
        descriptors: Descriptors::of(request),
        dumpable: at_clone & user != 0 && !caller.owns_procfs_of_children(),
    };
    let mut steps = vec![Step::of("linux.namespaces", ForSupervisor::CloneInit(cloning))];
    steps.extend(birth.steps(NamespaceFlags(at_fork)));
    if apart != 0 {
        steps.push(Step::of("linux.namespaces", ForPreparer::UnshareUser));
        steps.push(Step::of("linux.namespaces", ForSupervisor::AwaitUserNamespace));
    }
    if first != 0 {
        steps.push(Step::of("linux.namespaces", ForPreparer::UnshareFirst(NamespaceFlags(first))));
    }
    if later != 0 {
        steps.push(Step::of("linux.namespaces", ForPreparer::UnshareNamespaces(NamespaceFlags(later))));
    }
    steps
}

fn time(linux: &oci::Linux, namespaces: &Namespaces) -> Option<Step> {
    if !namespaces.is_new(Namespace::Time) {
        return None;
    }
    let mut offsets: Vec<TimeOffset> = linux
        .time_offsets()
        .iter()
        .flatten()
        .map(|(clock, offset)| TimeOffset {
            clock: clock.clone(),
            seconds: offset.secs().unwrap_or(0),
            nanoseconds: offset.nanosecs().unwrap_or(0),
        })
        .collect();
    offsets.sort_by(|a, b| a.clock.cmp(&b.clock));
    Some(Step::of("linux.timeOffsets", ForSupervisor::NewTimeNamespace(offsets)))
}

fn user(linux: &oci::Linux, namespaces: &Namespaces, host: &Host) -> Result<Vec<Step>> {
    if !namespaces.is_private(Namespace::User) {
        return Ok(Vec::new());
    }
    let mut steps = vec![Step::of("linux.namespaces", ForPreparer::BecomeRoot)];
    if namespaces.is_new(Namespace::User) {
        let maps = IdMapping {
            uids: id_maps(linux.uid_mappings().as_deref()),
            gids: id_maps(linux.gid_mappings().as_deref()),
        };
        for (field, lines) in [("uidMappings", &maps.uids), ("gidMappings", &maps.gids)] {
            if !lines.iter().any(|line| line.container == 0) {
                return Err(Error::invalid(format!(
                    "linux.{field}: maps no id 0, which owns what is made in the container"
                )));
            }
        }
        let mapped = mapped(maps, host)?;
        steps.push(Step::of("linux.uidMappings, linux.gidMappings", ForSupervisor::MapIds(mapped)));
        steps.push(Step::always(ForSupervisor::ReleaseInit));
        steps.push(Step::always(ForPreparer::AwaitRelease));
    }
    Ok(steps)
}

/// Whose right it takes to map these ids. Whoever has none may map the own id alone.
fn mapped(maps: IdMapping, host: &Host) -> Result<MappedIds> {
    let IdMapHelpers { newuidmap, newgidmap } = &host.id_map_helpers;
    let caller = host.caller;
    let groups_by_right = caller.maps_groups();
    let own_group = is_own(&maps.gids, caller.gid);
    let users_by = if caller.maps_users() || is_own(&maps.uids, caller.uid) {
        IdMapper::Supervisor
    } else {
        helper("newuidmap", newuidmap.as_ref(), "linux.uidMappings")?
    };
    let groups_by = if groups_by_right || own_group {
        IdMapper::Supervisor
    } else {
        helper("newgidmap", newgidmap.as_ref(), "linux.gidMappings")?
    };
    Ok(MappedIds { maps, users_by, groups_by, groups_denied: own_group && !groups_by_right })
}

fn helper(name: &str, path: Option<&PathBuf>, field: &str) -> Result<IdMapper> {
    path.cloned().map(IdMapper::Helper).ok_or_else(|| {
        let text = format!("{field}: maps ids that aren't the caller's own, and {name} is not in $PATH");
        Error::unsupported(text).with_hint("the package uidmap or shadow-utils has it")
    })
}

/// Whether a map has one id, and that is the caller's own.
fn is_own(lines: &[IdMap], id: u32) -> bool {
    matches!(lines, [IdMap { host, size: 1, .. }] if *host == id)
}

/// Whether no process of the new container can change its supplementary groups, as far as is known before it starts.
pub(super) fn groups_are_denied(spec: &Spec, caller: Caller) -> bool {
    let gids = spec.linux().and_then(|linux| linux.gid_mappings().as_deref());
    let maps_own_group = spec.namespaces().is_new(Namespace::User) && is_own(&id_maps(gids), caller.gid);
    caller.groups_denied || maps_own_group && !caller.maps_groups()
}

/// The lines of an id map.
pub(super) fn id_maps(mappings: Option<&[oci::LinuxIdMapping]>) -> Vec<IdMap> {
    mappings
        .unwrap_or_default()
        .iter()
        .map(|map| IdMap { container: map.container_id(), host: map.host_id(), size: map.size() })
        .collect()
}

fn names(spec: &Spec) -> Vec<Step> {
    let given = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let hostname =
        given(spec.oci().hostname()).map(|name| Step::of("hostname", ForPreparer::SetHostname(name)));
    let domainname =
        given(spec.oci().domainname()).map(|name| Step::of("domainname", ForPreparer::SetDomainname(name)));
    hostname.into_iter().chain(domainname).collect()
}

//! Who owns a container's cgroup. On v2 a container that may write its cgroup makes cgroups below it, and so its user
//! has to own it.
//!
//! Source: runtime-spec, config-linux.md, "Cgroup ownership".

use std::path::Path;

use super::mount_options::MountOptions;
use super::namespaces::id_maps;
use super::{Caller, ForSupervisor, Step, cgroup};
use crate::paths;
use crate::spec::{Namespace, NamespaceSource, Spec};
use crate::sys::mount::MountAttr;

/// Gives the cgroup to the user whom the container's process runs as, if the container sees its own cgroup and may
/// write there. Nothing is to be done where the caller, who makes the cgroup, is this user. An ordinary user has
/// nothing to give.
pub(super) fn step(spec: &Spec, cgroup: &cgroup::Plan, caller: Caller) -> Option<Step> {
    let is_own = matches!(cgroup.driver, cgroup::Driver::Own { .. });
    let in_view = spec.namespaces().is_new(Namespace::Cgroup);
    if !(is_own && in_view && cgroup.is_v2() && caller.uid == 0) {
        return None;
    }
    let field = writable_mount(spec)?;
    let owner = host_user(spec)?;
    (owner != caller.uid).then(|| Step::of(field, ForSupervisor::DelegateCgroup(owner)))
}

fn writable_mount(spec: &Spec) -> Option<String> {
    let at = spec.mounts().iter().position(|entry| {
        let words = entry.options().as_deref().unwrap_or_default();
        let options = MountOptions::of(words.iter().map(String::as_str));
        matches!(entry.typ().as_deref(), Some("cgroup" | "cgroup2"))
            && paths::from_root(entry.destination()) == Path::new("/sys/fs/cgroup")
            && !options.attr.set.contains(MountAttr::RDONLY)
            && !options.recursive_attr.set.contains(MountAttr::RDONLY)
    })?;
    Some(format!("mounts[{at}]"))
}

/// The id outside of the container. None where it isn't known, or there is none.
fn host_user(spec: &Spec) -> Option<u32> {
    let user = spec.process()?.user().uid();
    match spec.namespaces().source(Namespace::User) {
        NamespaceSource::Host => Some(user),
        NamespaceSource::New | NamespaceSource::Path(_) => {
            let maps = id_maps(spec.linux().and_then(|linux| linux.uid_mappings().as_deref()));
            let map = maps.iter().find(|map| map.has(user))?;
            map.host.checked_add(user - map.container)
        }
    }
}

//! The procfs through which init writes sysctls and labels.

use std::path::Path;

use super::birth::Birth;
use super::{Action, ForPreparer, JoinedProcfs, Mount, MountSource, Step};
use crate::sys::mount::MountAttr;

const PROC: &str = "/proc";

/// Decides which procfs init writes through, if it writes at all.
///
/// The container's own procfs serves where it is whole and writable: init holds its mount since before it was attached,
/// and walks no path from there that leads onto another mount. Otherwise init mounts a procfs that no path leads to,
/// which costs a start a grace period of the kernel's when that mount goes.
///
/// An intermediate process that prepares everything is outside of the container's pid namespace. It finds its own label
/// in its caller's procfs alone, which it may hold since nobody in the container sees it.
pub(super) fn choose(steps: &mut Vec<Step>, birth: Birth, in_user_namespace: bool) {
    if birth.is_final() {
        show_joined_namespace(steps, JoinedProcfs { in_user_namespace });
        steps.push(Step::always(ForPreparer::HoldProcfs));
        return;
    }
    if !steps.iter().any(|step| writes(&step.action)) {
        return;
    }
    match containers_own(steps) {
        Some(mount) => mount.written_through = true,
        None => steps.push(Step::always(ForPreparer::OpenProcfs)),
    }
}

/// A new procfs shows the pid namespace of the process that mounts it, unless the process names another one.
fn show_joined_namespace(steps: &mut [Step], joined: JoinedProcfs) {
    for step in steps {
        let Action::Preparer(ForPreparer::Mount(mount)) = &mut step.action else { continue };
        if let MountSource::Filesystem(filesystem) = &mut mount.source {
            filesystem.joined = (filesystem.fstype == "proc").then_some(joined);
        }
    }
}

fn writes(action: &Action) -> bool {
    let Action::Preparer(action) = action else { return false };
    matches!(
        action,
        ForPreparer::WriteSysctl(_) | ForPreparer::SetApparmorProfile(_) | ForPreparer::SetSelinuxLabel(_)
    )
}

/// The container's procfs, if it serves. Another mount at /proc or below might change it, or stand in init's way.
fn containers_own(steps: &mut [Step]) -> Option<&mut Mount> {
    let mut mounts = steps.iter_mut().filter_map(|step| match &mut step.action {
        Action::Preparer(ForPreparer::Mount(mount)) if mount.destination.starts_with(PROC) => {
            Some(mount.as_mut())
        }
        _ => None,
    });
    let first = mounts.next()?;
    (mounts.next().is_none() && serves(first)).then_some(first)
}

/// Whether it is a procfs without options, and writable: `subset=pid` would hide the sysctls.
fn serves(mount: &Mount) -> bool {
    let MountSource::Filesystem(filesystem) = &mount.source else { return false };
    let read_only = (mount.attr.set | mount.recursive_attr.set).contains(MountAttr::RDONLY);
    filesystem.fstype == "proc"
        && filesystem.options.is_empty()
        && mount.destination == Path::new(PROC)
        && !read_only
        && !mount.sealed_later
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{FilesystemMount, Sysctl};
    use super::*;
    use crate::plan::mount_options::AttrChange;

    fn mount(fstype: &str, destination: &str) -> Mount {
        Mount {
            destination: PathBuf::from(destination),
            source: MountSource::Filesystem(FilesystemMount { fstype: fstype.into(), ..Default::default() }),
            attr: AttrChange::default(),
            recursive_attr: AttrChange::default(),
            propagation: Vec::new(),
            id_map: None,
            copy_up: false,
            built_by_supervisor: false,
            sealed_later: false,
            written_through: false,
        }
    }

    /// The mount that a sysctl is written through; without one, init opens a procfs of its own.
    fn chosen(mounts: Vec<Mount>) -> Option<usize> {
        let sysctl = ForPreparer::WriteSysctl(Sysctl { path: "net/a".into(), value: "1".into() });
        let mut steps: Vec<Step> =
            mounts.into_iter().map(|mount| Step::always(ForPreparer::Mount(Box::new(mount)))).collect();
        steps.push(Step::always(sysctl));
        choose(&mut steps, Birth::OfSupervisor, false);
        let opened =
            steps.iter().any(|step| matches!(step.action, Action::Preparer(ForPreparer::OpenProcfs)));
        let through = |step: &Step| matches!(&step.action, Action::Preparer(ForPreparer::Mount(mount)) if mount.written_through);
        let chosen = steps.iter().position(through);
        assert_ne!(opened, chosen.is_some());
        chosen
    }

    #[test]
    fn the_procfs_of_the_container_serves_where_it_is_whole_and_alone() {
        let proc = || mount("proc", "/proc");
        let with = |options: &[&str]| {
            let options = options.iter().map(ToString::to_string).collect();
            let source = FilesystemMount { fstype: "proc".into(), options, ..Default::default() };
            Mount { source: MountSource::Filesystem(source), ..proc() }
        };
        let read_only = AttrChange::of(MountAttr::RDONLY, MountAttr::NONE);
        assert_eq!(chosen(vec![mount("tmpfs", "/dev"), proc(), mount("sysfs", "/sys")]), Some(1));
        assert_eq!(chosen(vec![]), None);
        assert_eq!(chosen(vec![mount("proc", "/other")]), None);
        assert_eq!(chosen(vec![with(&["subset=pid"])]), None);
        assert_eq!(chosen(vec![Mount { attr: read_only, ..proc() }]), None);
        assert_eq!(chosen(vec![Mount { recursive_attr: read_only, ..proc() }]), None);
        assert_eq!(chosen(vec![proc(), mount("proc", "/proc/sys")]), None);
        assert_eq!(chosen(vec![proc(), proc()]), None);
    }

    #[test]
    fn nothing_is_opened_where_nothing_is_written() {
        let mut steps = vec![Step::always(ForPreparer::Mount(Box::new(mount("proc", "/proc"))))];
        let untouched = format!("{steps:?}");
        choose(&mut steps, Birth::OfSupervisor, false);
        assert_eq!(format!("{steps:?}"), untouched);
    }
}

//! The supervisor's part in namespaces: it opens those that init joins, enters some for its children, and returns to
//! its own.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::OFlag;

use super::supervisor::Supervisor;
use crate::error::{Context, Errno, Error, Result};
use crate::plan::{JoinedNamespace, TimeOffset};
use crate::spec::Namespace;
use crate::sys::{file, namespace};

impl Supervisor<'_> {
    pub(super) fn open_namespace(&mut self, joined: &JoinedNamespace) -> Result<()> {
        let fd = file::open_following_links(&joined.path, OFlag::O_RDONLY)?;
        let kind = match namespace::namespace_type(&fd) {
            Err(err) if err.is(Errno::ENOTTY) => 0,
            result => result?,
        };
        let name = joined.namespace.name();
        if kind != joined.namespace.flag() {
            let path = joined.path.display();
            return Err(Error::invalid(format!("{path} is not a {name} namespace")));
        }
        let steps = &self.plan.steps;
        if let Some(step) = steps.iter().find(|step| step.action.changes() == Some(joined.namespace)) {
            if is_own(&fd, file_name(joined.namespace))? {
                return Err(Error::invalid(format!("is the host's own, which {} would change", step.field)));
            }
        }
        match joined.namespace {
            Namespace::Mount if is_own(&fd, "mnt")? => {
                Err(Error::invalid("is the host's own: switching the root in it would switch the host's"))
            }
            namespace => {
                self.namespaces.push((namespace, fd));
                Ok(())
            }
        }
    }

    pub(super) fn new_time_namespace(&mut self, offsets: &[TimeOffset]) -> Result<()> {
        let flag = libc::CLONE_NEWTIME as u64;
        // Hooks belong in the supervisor's own.
        let own = own_namespace("time")?;
        namespace::unshare(self.alone, flag)?;
        self.own_time = Some(own);
        if offsets.is_empty() {
            return Ok(());
        }
        let line =
            |offset: &TimeOffset| format!("{} {} {}\n", offset.clock, offset.seconds, offset.nanoseconds);
        let lines: String = offsets.iter().map(line).collect();
        file::write_following_links(Path::new("/proc/self/timens_offsets"), &lines)
    }

    pub(super) fn return_to_own_time(&mut self) -> Result<()> {
        let Some(own) = self.own_time.take() else { return Ok(()) };
        namespace::setns(self.alone, &own, libc::CLONE_NEWTIME as u64)
            .doing("return to the supervisor's own time namespace")
    }
}

fn own_namespace(name: &str) -> Result<OwnedFd> {
    file::open_following_links(&Path::new("/proc/self/ns").join(name), OFlag::O_RDONLY)
}

/// The namespace's name in `/proc/PID/ns`.
fn file_name(namespace: Namespace) -> &'static str {
    let known = namespace::NAMES.iter().find(|(flag, _)| *flag == namespace.flag());
    known.map_or(namespace.name(), |(_, name)| name)
}

fn is_own(fd: &OwnedFd, name: &str) -> Result<bool> {
    let own = own_namespace(name)?;
    Ok(file::same_file(&file::stat_of(&own)?, &file::stat_of(fd)?))
}

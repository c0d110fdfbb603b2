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
            Namespace::Pid => self.enter_for_children(libc::CLONE_NEWPID as u64, "pid", fd),
            Namespace::Mount if is_own(&fd, "mnt")? => {
                Err(Error::invalid("is the host's own: switching the root in it would switch the host's"))
            }
            namespace => {
                self.namespaces.push((namespace, fd));
                Ok(())
            }
        }
    }

    /// The supervisor itself doesn't move: the namespace takes only children that it forks from now on. Its own
    /// namespace is kept open to return to, because hooks belong there.
    fn enter_for_children(&mut self, flag: u64, name: &str, fd: OwnedFd) -> Result<()> {
        let own = own_namespace(name)?;
        namespace::setns(self.alone, &fd, flag)?;
        self.own.push((flag, own));
        Ok(())
    }

    pub(super) fn new_time_namespace(&mut self, offsets: &[TimeOffset]) -> Result<()> {
        let flag = libc::CLONE_NEWTIME as u64;
        let own = own_namespace("time")?;
        namespace::unshare(self.alone, flag)?;
        self.own.push((flag, own));
        if offsets.is_empty() {
            return Ok(());
        }
        let line =
            |offset: &TimeOffset| format!("{} {} {}\n", offset.clock, offset.seconds, offset.nanoseconds);
        let lines: String = offsets.iter().map(line).collect();
        file::write_following_links(Path::new("/proc/self/timens_offsets"), &lines)
    }

    pub(super) fn return_to_own_namespaces(&mut self) -> Result<()> {
        for (flag, own) in self.own.drain(..) {
            namespace::setns(self.alone, &own, flag).doing("return to the supervisor's own namespace")?;
        }
        Ok(())
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

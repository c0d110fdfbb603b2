//! The conditions of a measure: one view of cgroups, the runtimes, and how much work is put into it.

use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use spec_tests::view::View;

use crate::Result;
use crate::container::Container;
use crate::effort::Effort;
use crate::figures::Taken;
use crate::fixture::Fixture;
use crate::runtime::Runtime;

pub struct Conditions<'a> {
    pub fixture: &'a Fixture,
    pub view: View,
    pub runtimes: &'a [Runtime],
    pub effort: &'a Effort,
}

impl Conditions<'_> {
    /// Takes a measure on a thread with a mount namespace of its own, in which cgroups are mounted as the view has it.
    pub fn take(&self, take: fn(&Conditions) -> Result<Taken>) -> Result<Taken> {
        let taken = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter_view()?;
                take(self)
            });
            thread.join()
        });
        taken.map_err(|_| "a measure panicked")?
    }

    /// A container for each runtime, all with the same bundle.
    pub fn containers(&self, measure: &str) -> Result<Vec<Container<'_>>> {
        self.runtimes.iter().map(|runtime| self.container(runtime, measure)).collect()
    }

    /// A container for one runtime, with a name that no other container of the runtime has.
    pub fn container<'a>(&self, runtime: &'a Runtime, name: &str) -> Result<Container<'a>> {
        Container::new(self.fixture, self.view, runtime, name)
    }

    fn enter_view(&self) -> Result<()> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        // In use, the states of containers are in /run, which is a tmpfs.
        mount("tmpfs", self.fixture.states(), "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)?;
        let Some(prologue) = self.view.prologue() else { return Ok(()) };
        if Command::new("sh").args(["-ec", prologue]).status()?.success() {
            Ok(())
        } else {
            Err(format!("no {} view of cgroups can be made", self.view.name()).into())
        }
    }
}

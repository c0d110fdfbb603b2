//! One view of cgroups, in which the contenders are measured.

use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use spec_tests::view::View;

use crate::Result;
use crate::contender::Contender;
use crate::lane::Lane;
use crate::measures::Taken;
use crate::options::Effort;
use crate::workshop::Workshop;

pub struct Stage<'a> {
    pub workshop: &'a Workshop,
    pub view: View,
    pub contenders: &'a [Contender],
    pub effort: &'a Effort,
}

/// The name of a view in options, table and JSON.
pub fn name(view: View) -> &'static str {
    match view {
        View::Plain => "plain",
        View::V1 => "v1",
        View::V2 => "v2",
    }
}

impl Stage<'_> {
    /// Takes a measure on a thread with a mount namespace of its own, in which cgroups are mounted as the view has it.
    pub fn perform(&self, take: fn(&Stage) -> Result<Taken>) -> Result<Taken> {
        let performed = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter_view()?;
                take(self)
            });
            thread.join()
        });
        performed.map_err(|_| "a measure panicked")?
    }

    /// A lane for each contender, all with the same bundle.
    pub fn lanes(&self, measure: &str) -> Result<Vec<Lane<'_>>> {
        self.contenders.iter().map(|contender| Lane::lay(self, contender, measure)).collect()
    }

    fn enter_view(&self) -> Result<()> {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        // Engines keep the states of their containers in /run, which is a tmpfs.
        mount("tmpfs", self.workshop.states(), "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)?;
        let Some(prologue) = self.view.prologue() else { return Ok(()) };
        match Command::new("sh").args(["-ec", prologue]).status()?.success() {
            true => Ok(()),
            false => Err(format!("no {} view of cgroups can be made", name(self.view)).into()),
        }
    }
}

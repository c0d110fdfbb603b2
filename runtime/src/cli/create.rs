//! `create` and `run`: a container from a bundle.

use std::path::PathBuf;

use super::Args;
use super::container::id;
use super::low::{LowArgs, number};
use super::table::{self, flag, value};
use crate::error::Result;
use crate::state::ContainerId;

/// `create`
#[derive(Debug)]
pub struct CreateArgs {
    /// The new container's name.
    pub id: ContainerId,
    /// `--bundle`, as it was typed; `.` if it wasn't.
    pub bundle: PathBuf,
    /// `--config`, from the working directory; without it, config.json of the bundle.
    pub config: Option<PathBuf>,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `--preserve-fds`: how many, from number 3 on.
    pub preserve_fds: u32,
}

/// `run`
#[derive(Debug)]
pub struct RunArgs {
    /// What is created.
    pub create: CreateArgs,
    /// `--detach`
    pub detach: bool,
    /// `--keep`
    pub keep: bool,
    /// `--no-subreaper`
    pub no_subreaper: bool,
}

pub(super) fn create(table: clap::Command) -> clap::Command {
    shared_flags(table)
        .about("Create a container from a bundle; its program runs once it is started")
        .arg(table::id("The name of the new container, unique on this host"))
}

pub(super) fn run(table: clap::Command) -> clap::Command {
    shared_flags(table)
        .about("Create a container and start it; wait for its end and take its exit code, unless detached")
        .arg(flag("detach").short('d').help("Come back as soon as the container runs"))
        .arg(flag("keep").help("Don't delete the container when it ends"))
        .arg(flag("no-subreaper").help("Don't become the parent of orphans among the container's processes"))
        .arg(table::id("The name of the new container, unique on this host"))
}

fn shared_flags(table: clap::Command) -> clap::Command {
    table
        .arg(table::bundle())
        .arg(
            value("config", "FILE")
                .short('f')
                .help("Read the config from FILE [default: config.json of the bundle]"),
        )
        .arg(table::console_socket())
        .arg(table::pid_file())
        .arg(table::pidfd_socket())
        .arg(
            flag("no-pivot")
                .help("Enter the root filesystem by chroot where pivot_root can't work: on a ramdisk"),
        )
        .arg(flag("no-new-keyring").help("Let the container keep the session keyring of the caller"))
        .arg(table::preserve_fds())
}

impl Args for CreateArgs {
    fn read(low: &mut LowArgs) -> Result<CreateArgs> {
        Ok(CreateArgs {
            id: id(low)?,
            bundle: bundle(low),
            config: low.path("config"),
            console_socket: low.path("console-socket"),
            pid_file: low.path("pid-file"),
            pidfd_socket: low.path("pidfd-socket"),
            no_pivot: low.flag("no-pivot"),
            no_new_keyring: low.flag("no-new-keyring"),
            preserve_fds: low.parsed("preserve-fds", number)?.unwrap_or(0),
        })
    }

    fn container(&self) -> Option<&ContainerId> {
        Some(&self.id)
    }
}

impl Args for RunArgs {
    fn read(low: &mut LowArgs) -> Result<RunArgs> {
        Ok(RunArgs {
            create: CreateArgs::read(low)?,
            detach: low.flag("detach"),
            keep: low.flag("keep"),
            no_subreaper: low.flag("no-subreaper"),
        })
    }

    fn container(&self) -> Option<&ContainerId> {
        self.create.container()
    }
}

/// The bundle, as it was typed; the working directory if none was.
pub(super) fn bundle(low: &mut LowArgs) -> PathBuf {
    low.path("bundle").unwrap_or_else(|| PathBuf::from("."))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Command;
    use super::super::testing::command;
    use super::*;

    #[test]
    fn flags_of_create() {
        let words = "create --bundle /b --pid-file /b/init.pid --console-socket /tmp/s --no-pivot --no-new-keyring c1";
        let Command::Create(create) = command(words) else { panic!("not create") };
        assert_eq!(create.id.as_str(), "c1");
        assert_eq!(create.bundle, Path::new("/b"));
        assert_eq!(create.pid_file, Some(PathBuf::from("/b/init.pid")));
        assert_eq!(create.console_socket, Some(PathBuf::from("/tmp/s")));
        assert!(create.no_pivot && create.no_new_keyring);
    }

    #[test]
    fn flags_of_run() {
        let Command::Run(run) = command("run -no-subreaper --detach --bundle /b c1") else {
            panic!("not run")
        };
        assert!(run.no_subreaper && run.detach && !run.keep);
    }
}

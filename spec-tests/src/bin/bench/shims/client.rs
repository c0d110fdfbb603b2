//! `ctr`, led to the bench's containerd.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use spec_tests::engine::Engine;
use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::role::Role;

use super::Shim;
use crate::effort::Effort;
use crate::{Result, process};

pub struct Client<'a> {
    pub shims: &'a [Shim],
    pub effort: &'a Effort,
    /// Where a measure may keep files.
    pub dir: PathBuf,
    pub namespace: &'a str,
    rootfs: String,
    environment: Vec<(OsString, OsString)>,
    /// How many names were given.
    names: AtomicUsize,
}

impl<'a> Client<'a> {
    pub fn new(containerd: &'a Containerd, shims: &'a [Shim], effort: &'a Effort) -> Client<'a> {
        let ctr = containerd.call(Role::Tested);
        let set = ctr.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        Client {
            shims,
            effort,
            dir: containerd.dir().to_owned(),
            namespace: containerd.namespace(),
            rootfs: containerd.rootfs(),
            environment: set.collect(),
            names: AtomicUsize::new(0),
        }
    }

    /// A name that no other container of this bench has.
    pub fn fresh_name(&self) -> String {
        format!("bench{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// `ctr ARGS…`
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("ctr");
        command.env_clear().envs(self.environment.iter().cloned()).args(args);
        command
    }

    /// Times `ctr ARGS…`, whose complaints are kept under `name`.
    pub fn time<S: AsRef<OsStr>>(&self, name: &str, args: impl IntoIterator<Item = S>) -> Result<Duration> {
        process::time(self.command(args), &self.dir.join(format!("{name}.errors")))
    }

    /// Times `ctr run FLAGS… ROOTFS ID PROGRAM…`.
    pub fn run(&self, shim: &Shim, flags: &[&str], id: &str, program: &[&str]) -> Result<Duration> {
        let mut args = vec!["run"];
        args.extend(flags.iter().copied().chain(shim.flags.iter().map(String::as_str)));
        args.extend(["--env", "PATH=/bin", "--rootfs", &self.rootfs, id]);
        args.extend(program);
        self.time(id, args)
    }
}

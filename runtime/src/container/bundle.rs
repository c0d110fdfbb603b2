//! A bundle, loaded, and what creating a container from it means on this host.

use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use super::create::PlannedContainer;
use super::fresh::check_preserved;
use super::options::CreateOptions;
use crate::error::{Context, Errno, Error, Result};
use crate::paths;
use crate::plan;
use crate::probe;
use crate::spec::{SIZE_BYTES_MAX, Spec};
use crate::state::ContainerId;
use crate::sys::file;

/// A bundle's directory and its config.json, which has been checked.
pub struct Bundle {
    directory: PathBuf,
    config: Vec<u8>,
    spec: Spec,
}

impl Bundle {
    /// Loads the bundle in `directory`; `config`, where given, is read instead of its config.json.
    ///
    /// Errors: InvalidSpec or Unsupported, naming the field.
    pub fn load(directory: &Path, config: Option<&Path>) -> Result<Bundle> {
        let config = match config {
            Some(path) => read_config(path)?,
            None => read_config(&directory.join("config.json"))?,
        };
        let spec = Spec::load(&config).doing("config.json")?;
        Ok(Bundle { directory: directory.to_owned(), config, spec })
    }

    /// What of config.json is passed over, and why.
    pub fn warnings(&self) -> &[String] {
        self.spec.warnings()
    }

    /// Decides how the container `id` is created on this host. Nothing is done.
    ///
    /// Errors: what is wrong with the bundle, the options, or both together.
    pub fn plan<'a>(&'a self, id: &'a ContainerId, options: CreateOptions) -> Result<PlannedContainer<'a>> {
        let bundle = absolute(&self.directory)?;
        let rootfs = self.rootfs_in(&bundle)?;
        check_preserved("--preserve-fds", options.preserve_fds)?;
        check_preserved("LISTEN_FDS", options.preserve_fds.saturating_add(options.listen_fds))?;
        let request = plan::Request {
            id: id.as_str().to_string(),
            bundle,
            rootfs,
            cgroup_manager: options.cgroup_manager,
            rootless: options.rootless,
            no_pivot: options.no_pivot,
            no_new_keyring: options.no_new_keyring,
            start_at_once: options.start_at_once,
            terminal_relayed: options.console.is_relayed(),
            console_socket: options.console.socket().map(Path::to_owned),
            preserve_fds: options.preserve_fds,
            listen_fds: options.listen_fds,
            notify_directory: options.notify_directory.clone(),
            cgroups: Vec::new(),
            pid_file: options.pid_file.clone(),
            pidfd_socket: options.pidfd_socket.clone(),
        };
        let plan = plan::create(&self.spec, &request, &probe::host(&self.spec, &request)?)?;
        Ok(PlannedContainer { bundle: self, id, plan, options })
    }

    pub(super) fn config(&self) -> &[u8] {
        &self.config
    }

    pub(super) fn has_terminal(&self) -> bool {
        self.spec.process().and_then(|process| process.terminal()).unwrap_or(false)
    }

    fn rootfs_in(&self, bundle: &Path) -> Result<PathBuf> {
        let named = self.spec.rootfs_in(bundle);
        let rootfs = std::fs::canonicalize(&named)
            .map_err(|err| Error::io(format!("find the rootfs {} (root.path)", named.display()), &err))?;
        if !rootfs.is_dir() {
            return Err(Error::invalid(format!("root.path: {} is not a directory", rootfs.display())));
        }
        // What a link points to may change between this look and the mount.
        if paths::from_root(&named) != rootfs {
            return Err(Error::invalid(format!(
                "root.path: {} is reached by a symbolic link",
                named.display()
            )));
        }
        Ok(rootfs)
    }
}

fn absolute(bundle: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(bundle)
        .map_err(|err| Error::io(format!("find the bundle {}", bundle.display()), &err))
}

fn read_config(path: &Path) -> Result<Vec<u8>> {
    let opened = file::open_following_links(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK);
    let opened = opened.doing("read config.json").map_err(|err| match err.errno() {
        Some(Errno::ENOENT) => err.with_hint("a bundle has a config.json; `corten spec` writes one"),
        _ => err,
    })?;
    file::read_limited(opened, SIZE_BYTES_MAX).doing("config.json")
}

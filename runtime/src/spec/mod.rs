//! 1. INPUT: config.json and process.json to values that cannot be wrong.
//!
//! The types are the field's shared ones (`oci-spec`). What the types leave open is settled here. An unknown *property*
//! is ignored, as the OCI spec asks. An unknown *value* is an error that names its path. An unknown capability is
//! dropped with a warning. Everything that no later stage could carry out is refused by name.

mod exact;
mod go;
pub mod namespaces;
pub mod parse;
mod validate;

use std::path::{Path, PathBuf};

pub use namespaces::{Namespace, NamespaceSource, Namespaces};
pub use oci_spec::runtime as oci;

use crate::error::Result;

/// The newest version of the runtime specification that is followed.
pub const SPEC_VERSION: &str = "1.3.0";

/// The longest config.json or process.json that is read.
pub const SIZE_BYTES_MAX: usize = 16 << 20;

/// A validated config.json.
#[derive(Clone, Debug)]
pub struct Spec {
    oci: oci::Spec,
    namespaces: Namespaces,
    warnings: Vec<String>,
    notes: Vec<String>,
}

impl Spec {
    /// Parses and validates the text of a config.json.
    ///
    /// Errors: InvalidSpec with the JSON path of what is wrong; Unsupported with the name of the field.
    pub fn load(text: &[u8]) -> Result<Spec> {
        let (oci, warnings) = parse::config(text)?;
        let namespaces = Namespaces::of(&oci)?;
        validate::config(&oci, &namespaces)?;
        let notes = oci.process().iter().flat_map(validate::ambient_out_of_reach).collect();
        Ok(Spec { oci, namespaces, warnings, notes })
    }

    /// The value as the field's shared types have it.
    pub fn oci(&self) -> &oci::Spec {
        &self.oci
    }

    /// What was passed over, for the user to see.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What was passed over, for `--debug` and `corten plan` alone: buildah asks for it each time.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// `linux.namespaces`, by type.
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// `root.path` as written.
    pub fn root_path(&self) -> &Path {
        self.oci.root().as_ref().map_or(Path::new(""), |root| root.path())
    }

    /// `root.readonly`.
    pub fn root_readonly(&self) -> bool {
        self.oci.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false)
    }

    /// `process`, if there is one.
    pub fn process(&self) -> Option<&oci::Process> {
        self.oci.process().as_ref()
    }

    /// `linux`, if there is one.
    pub fn linux(&self) -> Option<&oci::Linux> {
        self.oci.linux().as_ref()
    }

    /// `mounts`, in order.
    pub fn mounts(&self) -> &[oci::Mount] {
        self.oci.mounts().as_deref().unwrap_or_default()
    }

    /// `hooks.KIND`, in order.
    pub fn hooks(&self, kind: HookKind) -> &[oci::Hook] {
        let Some(hooks) = self.oci.hooks() else { return &[] };
        #[allow(deprecated)]
        let list = match kind {
            HookKind::Prestart => hooks.prestart(),
            HookKind::CreateRuntime => hooks.create_runtime(),
            HookKind::CreateContainer => hooks.create_container(),
            HookKind::StartContainer => hooks.start_container(),
            HookKind::Poststart => hooks.poststart(),
            HookKind::Poststop => hooks.poststop(),
        };
        list.as_deref().unwrap_or_default()
    }

    /// Where the rootfs is: `root.path`, below the bundle if it is relative.
    pub fn rootfs_in(&self, bundle: &Path) -> PathBuf {
        bundle.join(self.root_path())
    }
}

/// Parses and validates the text of a process.json, as `exec --process` takes it.
pub fn load_process(text: &[u8]) -> Result<(oci::Process, Vec<String>)> {
    let (process, warnings) = parse::process(text)?;
    validate::process(&process, "")?;
    Ok((process, warnings))
}

/// Parses the text of `linux.resources`, as `update --resources` takes it.
pub fn load_resources(text: &[u8]) -> Result<oci::LinuxResources> {
    parse::resources(text)
}

/// Validates a process that was put together from flags, as `exec ID COMMAND` does.
pub fn check_process(process: &oci::Process) -> Result<()> {
    validate::process(process, "")
}

/// The six kinds of hooks, in the order of a container's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// In the runtime's namespaces, before the root is switched; the old name of `createRuntime`.
    Prestart,
    /// In the runtime's namespaces, before the root is switched.
    CreateRuntime,
    /// In the container's namespaces, before the root is switched.
    CreateContainer,
    /// In the container, just before the process is executed.
    StartContainer,
    /// In the runtime's namespaces, after `start`.
    Poststart,
    /// In the runtime's namespaces, after `delete`.
    Poststop,
}

impl HookKind {
    /// All kinds of hooks.
    pub const ALL: [HookKind; 6] = [
        HookKind::Prestart,
        HookKind::CreateRuntime,
        HookKind::CreateContainer,
        HookKind::StartContainer,
        HookKind::Poststart,
        HookKind::Poststop,
    ];

    /// The name in config.json.
    pub fn name(self) -> &'static str {
        match self {
            HookKind::Prestart => "prestart",
            HookKind::CreateRuntime => "createRuntime",
            HookKind::CreateContainer => "createContainer",
            HookKind::StartContainer => "startContainer",
            HookKind::Poststart => "poststart",
            HookKind::Poststop => "poststop",
        }
    }
}

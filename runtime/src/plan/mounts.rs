//! `mounts`, the root filesystem, and the paths that are protected or hidden.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::cgroup;
use super::id_mapped::{self, IdMapSource};
use super::mount_options::{AttrChange, CLEARED_BY_HABIT, Depth, MountOptions, Propagation};
use super::namespaces::id_maps;
use super::{Caller, ForPreparer, ForSupervisor, Request, Step, notify};
use crate::error::{Error, Result};
use crate::paths;
use crate::spec::{Namespace, Spec, oci};
use crate::sys::mount::MountAttr;

/// One mount of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The destination in the container: absolute, without `.` and `..`.
    pub destination: PathBuf,
    /// What.
    pub source: MountSource,
    /// Attributes of this mount.
    pub attr: AttrChange,
    /// Attributes of this mount and all below it.
    pub recursive_attr: AttrChange,
    /// Applied one after the other, once attached.
    pub propagation: Vec<PropagationChange>,
    /// Shows the ids of the files through a map; with `true`, in all mounts below too.
    pub id_map: Option<(IdMapSource, bool)>,
    /// Copies what the mountpoint held into the new tmpfs.
    pub copy_up: bool,
    /// The supervisor builds the mount when init comes to it, and init only attaches it.
    pub built_by_supervisor: bool,
    /// The mount is filled first and then becomes read-only: a later step seals it.
    pub sealed_later: bool,
    /// Init writes sysctls and labels through it: see `plan::procfs`.
    pub written_through: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// Something that is mounted already, by its path on the host.
    Bind {
        /// The path, absolute.
        path: PathBuf,
        /// Whether all that is mounted below comes along.
        recursive: bool,
    },
    /// A new instance of a filesystem.
    Filesystem(FilesystemMount),
    /// A change of what is mounted there already.
    Remount(FilesystemMount),
    /// A tmpfs with one entry for each v1 hierarchy.
    CgroupV1(CgroupV1Mount),
}

/// A filesystem and its options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilesystemMount {
    /// `proc`, `tmpfs`, …
    pub fstype: String,
    /// The device, or a name.
    pub source: String,
    /// Flags of the superblock (`sync`) and options (`mode=755`), in order. An option is what one word of the config
    /// says; the filesystem may find several in it.
    pub options: Vec<String>,
    /// The SELinux label of its files, which may have commas.
    pub label: Option<String>,
    /// A tmpfs without a `mode=` takes over that of the directory it covers.
    pub inherits_mode: bool,
    /// The path of the host that is bound in its place, with all below it, where the container has no right to a new
    /// instance.
    pub instead: Option<PathBuf>,
    /// Set for a procfs of the pid namespace that the container joins: the process that mounts it is no part of that.
    pub joined: Option<JoinedProcfs>,
}

/// A procfs of the pid namespace that the container joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedProcfs {
    /// It is mounted in a user namespace of the container's.
    pub in_user_namespace: bool,
}

/// The v1 hierarchies as a container sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupV1Mount {
    /// Name of the directory and what is mounted on it.
    pub hierarchies: Vec<(String, MountSource)>,
    /// `cpu` → `cpu,cpuacct`.
    pub links: Vec<(String, String)>,
}

/// How the mounts that init has from its caller pass events on, before the root is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OuterPropagation {
    /// The change for all of these mounts.
    pub change: PropagationChange,
    /// The mount that this path lies on is made private: pivot_root takes no root below a shared mount. The root and
    /// the binds from this mount are private then too, unless the config asks for a root that is a slave.
    pub private: Option<PathBuf>,
}

/// How the container's root becomes the root of init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootSwitch {
    /// By pivot_root, which leaves nothing of the old root.
    Pivot,
    /// The root is moved over the old root (`--no-pivot`).
    Move,
    /// By chroot: the old root is the caller's, and stays.
    Change,
}

/// A change of how mount events travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PropagationChange {
    /// Which way.
    pub propagation: Propagation,
    /// Whether it is changed for all mounts below too.
    pub recursive: bool,
}

impl PropagationChange {
    /// What `linux.rootfsPropagation` asks of all mounts before the root is built. By default they hear of what the
    /// host mounts, and the host hears nothing of them.
    fn of_all(of_root: Option<Propagation>) -> PropagationChange {
        let propagation = match of_root {
            Some(Propagation::Shared) => Propagation::Shared,
            // The root can become unbindable only in the end, because it has to be bound once before.
            Some(Propagation::Private | Propagation::Unbindable) => Propagation::Private,
            Some(Propagation::Slave) | None => Propagation::Slave,
        };
        PropagationChange { propagation, recursive: true }
    }

    /// What the root alone gets in the end.
    fn of_finished_root(of_root: Propagation) -> Option<PropagationChange> {
        let differs = matches!(of_root, Propagation::Shared | Propagation::Unbindable);
        differs.then_some(PropagationChange { propagation: of_root, recursive: false })
    }

    /// Cuts one mount off.
    pub fn private() -> PropagationChange {
        PropagationChange { propagation: Propagation::Private, recursive: false }
    }

    /// Keeps a tree from passing its mounts on.
    pub fn slave() -> PropagationChange {
        PropagationChange { propagation: Propagation::Slave, recursive: true }
    }

    /// `MS_SHARED` and so on.
    pub fn flag(self) -> u64 {
        match self.propagation {
            Propagation::Shared => libc::MS_SHARED,
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

pub(super) fn steps(
    spec: &Spec,
    request: &Request,
    cgroup: &cgroup::Plan,
    caller: Caller,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for (index, entry) in spec.mounts().iter().enumerate() {
        let field = format!("mounts[{index}]");
        let mount = mount(entry, &field, spec, request, cgroup)?;
        steps.extend(mount_steps(mount, field, spec, request, caller)?);
    }
    if let Some(directory) = &request.notify_directory {
        let field = notify::ASKED_BY;
        let mount = mount(&notify::mount(directory)?, field, spec, request, cgroup)?;
        steps.extend(mount_steps(mount, field.into(), spec, request, caller)?);
    }
    steps.extend(root(spec, request)?);
    Ok(steps)
}

fn mount_steps(
    mut mount: Mount,
    field: String,
    spec: &Spec,
    request: &Request,
    caller: Caller,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    if mount.id_map.is_some() && !caller.enters_mounts() {
        return Err(Error::unsupported(format!("{field}: an id-mapped mount needs root of the host")));
    }
    let bind = matches!(mount.source, MountSource::Bind { .. });
    if bind && (is_bound_by_supervisor(spec, caller) || mount.id_map.is_some()) {
        mount.built_by_supervisor = true;
        steps.push(Step::of(field.clone(), ForSupervisor::BuildMount(Box::new(mount.clone()))));
    }
    if sealed_late(&mount, spec, request) {
        seal_later(&mut mount);
        steps.push(Step::of(field.clone(), ForPreparer::SealMount(mount.destination.clone())));
    }
    steps.push(Step::of(field, ForPreparer::Mount(Box::new(mount))));
    Ok(steps)
}

/// Whether the supervisor has more right than init to bind what is the host's. An ordinary user has none: there init
/// binds what it sees itself.
pub(super) fn is_bound_by_supervisor(spec: &Spec, caller: Caller) -> bool {
    spec.namespaces().is_private(Namespace::User) && caller.enters_mounts()
}

/// /dev and every tmpfs are filled after they are mounted, so they become read-only last; so does what is remounted and
/// has something made below it.
fn sealed_late(mount: &Mount, spec: &Spec, request: &Request) -> bool {
    let filled =
        |filesystem: &FilesystemMount| mount.destination == Path::new(DEV) || filesystem.fstype == "tmpfs";
    let read_only = mount.attr.set.contains(MountAttr::RDONLY);
    match &mount.source {
        MountSource::Filesystem(filesystem) => read_only && filled(filesystem),
        MountSource::Remount(filesystem) => {
            read_only && (filled(filesystem) || is_written_below(&mount.destination, spec, request))
        }
        MountSource::Bind { .. } | MountSource::CgroupV1(_) => false,
    }
}

/// Whether a mountpoint or a device may have to be made below.
fn is_written_below(destination: &Path, spec: &Spec, request: &Request) -> bool {
    let mountpoints = spec.mounts().iter().map(|entry| self::destination(entry, request));
    let devices = spec.linux().and_then(|linux| linux.devices().as_deref()).unwrap_or_default();
    let devices = devices.iter().map(|device| paths::from_root(device.path()));
    mountpoints.chain(devices).any(|made| made != destination && made.starts_with(destination))
}

fn seal_later(mount: &mut Mount) {
    mount.sealed_later = true;
    mount.attr.set &= !MountAttr::RDONLY;
    if let MountSource::Filesystem(filesystem) | MountSource::Remount(filesystem) = &mut mount.source {
        filesystem.options.retain(|option| option != "ro");
    }
}

fn root(spec: &Spec, request: &Request) -> Result<Vec<Step>> {
    if request.rootfs == Path::new("/") {
        return Err(Error::invalid("root.path: is the host's own root"));
    }
    let mut steps = Vec::new();
    if spec.root_readonly() {
        steps.push(Step::of("root.readonly", ForPreparer::SealRoot));
    }
    if !spec.namespaces().is_private(Namespace::Mount) {
        steps.extend(root_apart(request)?);
        return Ok(steps);
    }
    let switch = if request.no_pivot { RootSwitch::Move } else { RootSwitch::Pivot };
    steps.push(Step::of("root.path", ForPreparer::MountRootfs(request.rootfs.clone())));
    steps.push(Step::always(ForPreparer::SwitchRoot(switch)));
    let Some(linux) = spec.linux() else { return Ok(steps) };
    let propagation = root_propagation(linux)?;
    let outer = OuterPropagation {
        change: PropagationChange::of_all(propagation),
        private: (propagation != Some(Propagation::Slave)).then(|| request.rootfs.clone()),
    };
    steps.push(Step::of(ROOT_PROPAGATION, ForPreparer::SetPropagation(outer)));
    if let Some(change) = propagation.and_then(PropagationChange::of_finished_root) {
        steps.push(Step::of(ROOT_PROPAGATION, ForPreparer::SetRootPropagation(change)));
    }
    for (index, path) in linux.readonly_paths().iter().flatten().enumerate() {
        let step = ForPreparer::ProtectPath(paths::from_root(Path::new(path)));
        steps.push(Step::of(format!("linux.readonlyPaths[{index}]"), step));
    }
    let mut masked: HashSet<PathBuf> = HashSet::new();
    for (index, path) in linux.masked_paths().iter().flatten().enumerate() {
        let path = paths::from_root(Path::new(path));
        if masked.insert(path.clone()) {
            steps.push(Step::of(format!("linux.maskedPaths[{index}]"), ForPreparer::MaskPath(path)));
        }
    }
    Ok(steps)
}

/// The root of a container without a mount namespace of its own.
fn root_apart(request: &Request) -> Result<[Step; 3]> {
    const FIELD: &str = "linux.namespaces";
    if request.no_pivot {
        return Err(Error::invalid("--no-pivot: needs a mount namespace of the container's own"));
    }
    Ok([
        Step::of(FIELD, ForSupervisor::MakeMountpoint),
        Step::of("root.path", ForPreparer::MountRootfsApart(request.rootfs.clone())),
        Step::of(FIELD, ForPreparer::SwitchRoot(RootSwitch::Change)),
    ])
}

const ROOT_PROPAGATION: &str = "linux.rootfsPropagation";

/// The value of `linux.rootfsPropagation`. An `r` before the word is allowed and says nothing new.
fn root_propagation(linux: &oci::Linux) -> Result<Option<Propagation>> {
    let Some(word) = linux.rootfs_propagation().as_deref().filter(|word| !word.is_empty()) else {
        return Ok(None);
    };
    match word.strip_prefix('r').unwrap_or(word) {
        "shared" => Ok(Some(Propagation::Shared)),
        "slave" => Ok(Some(Propagation::Slave)),
        "private" => Ok(Some(Propagation::Private)),
        "unbindable" => Ok(Some(Propagation::Unbindable)),
        _ => Err(Error::invalid(format!("{ROOT_PROPAGATION}: {word:?} is no propagation"))),
    }
}

fn mount(
    entry: &oci::Mount,
    field: &str,
    spec: &Spec,
    request: &Request,
    cgroup: &cgroup::Plan,
) -> Result<Mount> {
    let options = MountOptions::of(entry.options().iter().flatten().map(String::as_str));
    let fstype = entry.typ().as_deref().unwrap_or_default();
    let destination = destination(entry, request);
    if destination == Path::new("/") {
        return Err(Error::invalid(format!("{field}.destination: a mount on the root itself hides it")));
    }
    check_procfs(&destination, fstype, &options, field)?;
    check_owner(fstype, &options, spec, field)?;
    let source = match options.bind.or((fstype == "bind").then_some(Depth::One)) {
        Some(depth) => bind(entry, depth, &options, request, field)?,
        None if fstype == "cgroup" || fstype == "cgroup2" => cgroup_source(fstype, &options, spec, cgroup),
        None => filesystem(entry, &destination, fstype, &options, spec, field)?,
    };
    let mut attr = options.attr;
    if matches!(source, MountSource::Bind { .. }) && options.names_attr {
        attr.clear_if_unlocked = CLEARED_BY_HABIT & !attr.set & !attr.clear;
    }
    Ok(Mount {
        destination,
        source,
        attr,
        recursive_attr: options.recursive_attr,
        propagation: options
            .propagation
            .iter()
            .map(|(propagation, depth)| PropagationChange {
                propagation: *propagation,
                recursive: *depth == Depth::Tree,
            })
            .collect(),
        id_map: id_mapped::plan(entry, &options, spec, field)?,
        copy_up: options.tmp_copy_up,
        built_by_supervisor: false,
        sealed_later: false,
        written_through: false,
    })
}

/// The destination in the container. Callers of runc may write it as a path of the host, below the rootfs.
fn destination(entry: &oci::Mount, request: &Request) -> PathBuf {
    let destination = paths::from_root(entry.destination());
    match destination.strip_prefix(&request.rootfs) {
        Ok(below) if !request.rootfs.as_os_str().is_empty() => Path::new("/").join(below),
        _ => destination,
    }
}

/// Words about a volume's first contents. podman obeys them itself, and leaves them in config.json all the same.
const WORDS_OF_ENGINES: [&str; 2] = ["copy", "nocopy"];

fn bind(
    entry: &oci::Mount,
    depth: Depth,
    options: &MountOptions,
    request: &Request,
    field: &str,
) -> Result<MountSource> {
    if let Some(word) = options.data.iter().find(|word| !WORDS_OF_ENGINES.contains(word)) {
        return Err(Error::invalid(format!("{field}.options: {word:?} is no option of a bind mount")));
    }
    let Some(path) = entry.source().as_deref().filter(|path| !path.as_os_str().is_empty()) else {
        return Err(Error::invalid(format!("{field}.source: a bind mount needs one")));
    };
    Ok(MountSource::Bind { path: request.bundle.join(path), recursive: depth == Depth::Tree })
}

fn filesystem(
    entry: &oci::Mount,
    destination: &Path,
    fstype: &str,
    options: &MountOptions,
    spec: &Spec,
    field: &str,
) -> Result<MountSource> {
    if fstype.is_empty() || (fstype == "none" && !options.remount) {
        return Err(Error::invalid(format!("{field}.type: is missing, and no option says bind")));
    }
    let mut words: Vec<String> = options.superblock.iter().map(ToString::to_string).collect();
    // One instance of a tmpfs or of /dev serves this container alone, and is filled before it is made read-only.
    if options.attr.set.contains(MountAttr::RDONLY) && fstype != "tmpfs" && destination != Path::new(DEV) {
        words.push("ro".into());
    }
    words.extend(options.data.iter().map(ToString::to_string));
    let source =
        entry.source().as_ref().map_or(fstype.into(), |source| source.to_string_lossy().into_owned());
    let filesystem = FilesystemMount {
        joined: None,
        fstype: fstype.to_string(),
        source,
        inherits_mode: fstype == "tmpfs" && !sets_mode(&options.data),
        options: words,
        label: mount_label(spec).filter(|_| takes_label(fstype)).map(ToOwned::to_owned),
        instead: instead(fstype, spec).map(Into::into),
    };
    Ok(if options.remount { MountSource::Remount(filesystem) } else { MountSource::Filesystem(filesystem) })
}

/// A filesystem that belongs to users of a new user namespace knows those alone that are mapped there. The kernel's own
/// answer, EINVAL, names no option.
fn check_owner(fstype: &str, options: &MountOptions, spec: &Spec, field: &str) -> Result<()> {
    if !matches!(fstype, "devpts" | "tmpfs") || !spec.namespaces().is_new(Namespace::User) {
        return Ok(());
    }
    let Some(linux) = spec.linux() else { return Ok(()) };
    let maps = [
        ("uid", "uidMappings", id_maps(linux.uid_mappings().as_deref())),
        ("gid", "gidMappings", id_maps(linux.gid_mappings().as_deref())),
    ];
    let words = options.data.iter().flat_map(|word| word.split(','));
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        let Ok(id) = value.parse::<u32>() else { continue };
        let unmapped =
            maps.iter().find(|(name, _, lines)| *name == key && !lines.iter().any(|map| map.has(id)));
        if let Some((_, mappings, _)) = unmapped {
            let text = format!("{field}.options: {key}={id} is not mapped in linux.{mappings}");
            return Err(Error::invalid(text));
        }
    }
    Ok(())
}

fn sets_mode(data: &[&str]) -> bool {
    data.iter().flat_map(|word| word.split(',')).any(|option| option.starts_with("mode="))
}

/// Only the owner of a network namespace may mount its sysfs, and of an IPC namespace its message queues. A container
/// without such a namespace of its own sees the host's in any case.
fn instead(fstype: &str, spec: &Spec) -> Option<&'static str> {
    let (namespace, path) = match fstype {
        "sysfs" => (Namespace::Network, "/sys"),
        "mqueue" => (Namespace::Ipc, "/dev/mqueue"),
        _ => return None,
    };
    (!spec.namespaces().is_new(namespace)).then_some(path)
}

fn mount_label(spec: &Spec) -> Option<&str> {
    spec.linux()?.mount_label().as_deref().filter(|label| !label.is_empty())
}

/// Filesystems whose files the kernel labels by itself.
fn takes_label(fstype: &str) -> bool {
    !matches!(fstype, "proc" | "sysfs" | "cgroup" | "cgroup2" | "mqueue")
}

fn cgroup_source(fstype: &str, options: &MountOptions, spec: &Spec, cgroup: &cgroup::Plan) -> MountSource {
    let own_view = spec.namespaces().is_private(Namespace::Cgroup);
    let filesystem = |fstype: &str, options: Vec<String>| {
        let (fstype, source) = (fstype.to_string(), "cgroup".to_string());
        MountSource::Filesystem(FilesystemMount { fstype, source, options, ..FilesystemMount::default() })
    };
    let data = || options.data.iter().map(ToString::to_string).collect();
    match &cgroup.dirs[..] {
        [_] if cgroup.is_v2() && own_view => filesystem("cgroup2", data()),
        // Without a namespace to confine the view, a container with ids of its own sees its own cgroup alone.
        [only] if cgroup.is_v2() && spec.namespaces().is_private(Namespace::User) => {
            MountSource::Bind { path: only.path.clone(), recursive: true }
        }
        [only] if cgroup.is_v2() => MountSource::Bind { path: only.mountpoint.clone(), recursive: true },
        _ if fstype == "cgroup2" => filesystem("cgroup2", data()),
        dirs => MountSource::CgroupV1(cgroup_v1(own_view, dirs)),
    }
}

fn cgroup_v1(own_view: bool, dirs: &[cgroup::Dir]) -> CgroupV1Mount {
    let mut mount = CgroupV1Mount { hierarchies: Vec::new(), links: Vec::new() };
    for dir in dirs.iter().filter(|dir| !dir.is_unified()) {
        let Some(name) = dir.mountpoint.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            continue;
        };
        let source = if own_view {
            MountSource::Filesystem(FilesystemMount {
                fstype: "cgroup".into(),
                source: "cgroup".into(),
                options: dir
                    .controllers
                    .iter()
                    .flat_map(|controller| hierarchy_options(controller))
                    .collect(),
                ..FilesystemMount::default()
            })
        } else {
            MountSource::Bind { path: dir.path.clone(), recursive: false }
        };
        let others = dir.controllers.iter().filter(|own| !own.contains('=') && **own != name);
        mount.links.extend(others.map(|own| (own.clone(), name.clone())));
        mount.hierarchies.push((name, source));
    }
    mount
}

/// A named hierarchy has no controller, and says so.
fn hierarchy_options(controller: &str) -> Vec<String> {
    if controller.starts_with("name=") {
        vec!["none".into(), controller.into()]
    } else {
        vec![controller.into()]
    }
}

/// Files of procfs that engines such as LXCFS may cover with their own.
const PROCFS_FILES: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// What init reads and writes below /proc must be the kernel's own: only a procfs goes on /proc, and only harmless
/// files below it may be covered. (Init resolves links and checks again by the filesystem's magic number.)
fn check_procfs(destination: &Path, fstype: &str, options: &MountOptions, field: &str) -> Result<()> {
    let Ok(below) = destination.strip_prefix("/proc") else { return Ok(()) };
    let bind = options.bind.is_some() || fstype == "bind";
    if below.as_os_str().is_empty() {
        // A bind may be of the host's procfs, which init checks.
        return if fstype == "proc" || bind {
            Ok(())
        } else {
            Err(Error::invalid(format!("{field}: only a procfs may be mounted on /proc, not {fstype}")))
        };
    }
    if covers_allowed(below) || fstype == "proc" {
        return Ok(());
    }
    Err(Error::invalid(format!("{field}: {} must stay the kernel's own", destination.display())))
}

/// Whether this path below /proc may be covered by a mount.
pub fn covers_allowed(below_proc: &Path) -> bool {
    PROCFS_FILES.iter().any(|file| Path::new(file) == below_proc)
}

/// Whether the whole /dev comes from the host, with its devices: by a bind, or as the kernel's one devtmpfs.
pub(super) fn whole_dev_is_hosts(spec: &Spec, request: &Request) -> bool {
    spec.mounts().iter().any(|entry| {
        let options = MountOptions::of(entry.options().iter().flatten().map(String::as_str));
        let of_host = options.bind.is_some() || matches!(entry.typ().as_deref(), Some("bind" | "devtmpfs"));
        of_host && destination(entry, request) == Path::new(DEV)
    })
}

const DEV: &str = "/dev";

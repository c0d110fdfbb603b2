//! The preparer: the supervisor's child, which makes ready what the program will find. It ends in [`Init`], in a
//! fork, or in an error that the supervisor hears of; it never returns, unwinds or panics.
//!
//! The process of `exec` comes from here too: it joins namespaces instead of making them, and has fewer steps.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;

use super::build::{self, Built};
use super::cgroup::{Entrance, PIDS_LIMIT_REACHED};
use super::console::{self, Terminal};
use super::handshake::{Channel, Message};
use super::hooks::{DefaultEnv, Surroundings, run_hooks};
use super::init::{Init, install_filter, own_state};
use super::inside::Root;
use super::procfs::Procfs;
use super::rootfs::{self, Rootfs};
use super::trace::Tracer;
use super::{devices, identity, joined_procfs, limits, resctrl};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::mount_options::AttrChange;
use crate::plan::{
    Action, Affinity, Console, DEFAULT_UMASK, Descriptors, Device, DeviceSource, FilesystemMount,
    ForPreparer, JoiningContainer, Mount, MountSource, NamespaceFlags, RootSwitch, Step, Sysctl, User,
};
use crate::spec::{HookKind, Namespace, oci};
use crate::state::{Record, Status};
use crate::sys::clock::Deadline;
use crate::sys::namespace::{self, Forked, InChild};
use crate::sys::process::{self, SingleThreaded};
use crate::sys::{credentials, descriptors, file, keyring, memory, memory_policy, net, poll, schedule};

/// `KEY_USR_SEARCH`: processes of the same user may look keys up.
const KEYRING_SEARCH: u32 = 0x0008_0000;

/// The command line that others see until the program is executed.
const WORDS: [&str; 2] = ["corten", "init"];

/// What init inherits from the supervisor.
pub struct Inherited<'a> {
    /// Proof that this process is a child with one thread.
    pub child: InChild,
    /// All steps of the plan, also the supervisor's.
    pub steps: &'a [Step],
    /// What of the caller's descriptors is kept for the program.
    pub descriptors: Descriptors,
    /// The container, for the state that hooks get.
    pub record: &'a Record,
    /// The line to the supervisor.
    pub channel: Channel,
    /// The way into the cgroup.
    pub entrance: Entrance,
    /// The way into the resctrl group.
    pub rdt_entrance: Option<resctrl::Entrance>,
    /// Namespaces to join, opened by the supervisor.
    pub namespaces: Vec<(Namespace, OwnedFd)>,
    /// The process whose namespaces `exec` joins.
    pub container: Option<BorrowedFd<'a>>,
    /// Where the root is mounted, if it is mounted apart.
    pub mountpoint: Option<OwnedFd>,
    /// The fifo that `start` writes to.
    pub start_fifo: Option<OwnedFd>,
    /// Times the steps.
    pub tracer: &'a Tracer,
}

impl Inherited<'_> {
    /// Closes the descriptors of the supervisor and of its caller that init doesn't need itself.
    ///
    /// Close-on-exec is not enough. The names of the program, of the working directory and of the home directory come
    /// from an image, and may go through `/proc/self/fd`. Through an open directory of the host and `..`, such a name
    /// would reach any file of the host. Copies of the lock and of the supervisor's end of the channel would outlive
    /// the supervisor, too.
    fn close_others(&self, pid_namespace: Option<&OwnedFd>) -> Result<()> {
        let preserved = self.descriptors.preserved();
        let kept = [
            Some(self.channel.as_fd()),
            self.container,
            pid_namespace.map(AsFd::as_fd),
            self.mountpoint.as_ref().map(AsFd::as_fd),
            self.start_fifo.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        .chain(self.entrance.descriptors())
        .chain(self.rdt_entrance.iter().flat_map(resctrl::Entrance::descriptors))
        .chain(self.namespaces.iter().map(|(_, fd)| fd.as_fd()))
        .chain(self.tracer.descriptors());
        let preserved: Vec<BorrowedFd> = preserved.filter_map(descriptors::inherited).collect();
        self.child.close_all_but(kept.chain(preserved.iter().copied()), descriptors::host_procfs)?;
        preserved.iter().try_for_each(descriptors::keep_across_exec)
    }
}

/// Performs the child's steps. Reports an error, and exits.
pub fn run(inherited: Inherited) -> ! {
    Preparer::new(inherited).become_init()
}

struct Preparer<'a> {
    inherited: Inherited<'a>,
    rootfs: Option<Rootfs>,
    /// The procfs that sysctls and labels are written through: see `plan::procfs`. No path that init walks from its
    /// root leads onto another mount.
    procfs: Option<Procfs>,
    /// The pid namespace that the container joins.
    pid_namespace: Option<OwnedFd>,
    /// The standard streams are the process's own terminal.
    has_terminal: bool,
    working_directory_entered: bool,
    /// The user namespace that the process is in denies setgroups(2).
    groups_denied: bool,
}

impl<'a> Preparer<'a> {
    fn new(mut inherited: Inherited<'a>) -> Self {
        let pid = inherited.namespaces.iter().position(|(namespace, _)| *namespace == Namespace::Pid);
        let pid_namespace = pid.map(|at| inherited.namespaces.swap_remove(at).1);
        Preparer {
            inherited,
            rootfs: None,
            procfs: None,
            pid_namespace,
            has_terminal: false,
            working_directory_entered: false,
            groups_denied: false,
        }
    }

    fn become_init(mut self) -> ! {
        match self.begin().and_then(|()| self.prepare()) {
            Ok(()) => self.into_init().become_program(),
            Err(err) => {
                best_effort(self.inherited.channel.fail(err), "a supervisor that is gone has failed itself");
                process::exit_now(1)
            }
        }
    }

    /// What a process does before its steps: it sees to it that it ends with its supervisor, and keeps nothing of the
    /// supervisor's.
    fn begin(&self) -> Result<()> {
        memory::overwrite_words(&self.inherited.child, &WORDS)?;
        poll::forget_interrupt();
        process::set_parent_death_signal(Some(Signal::SIGKILL))?;
        self.inherited.close_others(self.pid_namespace.as_ref())?;
        // The signal covers a supervisor that dies from now on. One that died earlier has closed the channel.
        self.inherited.channel.check_open()?;
        // Modes of what is made here are those of the plan.
        process::set_umask(self.alone(), 0);
        Ok(())
    }

    fn alone(&self) -> &SingleThreaded {
        &self.inherited.child.alone
    }

    fn prepare(&mut self) -> Result<()> {
        let (steps, tracer) = (self.inherited.steps, self.inherited.tracer);
        for step in steps {
            let Action::Preparer(action) = &step.action else { continue };
            tracer.step(steps, step, || self.perform(action))?;
        }
        Ok(())
    }

    /// What is left when all is prepared. Everything else is closed.
    fn into_init(self) -> Init<'a> {
        let Inherited { steps, record, channel, start_fifo, tracer, .. } = self.inherited;
        Init { steps, record, channel, start_fifo, tracer, program: None, independent: false }
    }

    fn perform(&mut self, action: &ForPreparer) -> Result<()> {
        match action {
            ForPreparer::HoldProcfs => self.hold_procfs(),
            ForPreparer::AdjustOwnOomScore(score) => limits::adjust_own_oom_score(*score),
            ForPreparer::JoinNamespaces(listed) => self.join_namespaces(listed),
            ForPreparer::JoinPidNamespace => self.join_pid_namespace(),
            ForPreparer::EnterRoot => self.enter_root(),
            ForPreparer::JoinContainer(joining) => self.join_container(*joining),
            ForPreparer::ForkInit(flags) => self.fork_init(*flags),
            ForPreparer::EnterCgroup(affinity) => self.enter_cgroup(affinity),
            ForPreparer::EnterRdtGroup => self.enter_rdt_group(),
            ForPreparer::NewSession => process::new_session(),
            ForPreparer::UnshareFirst(flags) | ForPreparer::UnshareNamespaces(flags) => self.unshare(*flags),
            ForPreparer::UnshareUser => self.unshare_user(),
            ForPreparer::AwaitRelease | ForPreparer::AwaitCgroup => self.inherited.channel.await_go(),
            ForPreparer::BecomeRoot => self.become_root(),
            ForPreparer::JoinKeyring(name) => join_keyring(name),
            ForPreparer::BringLoopbackUp => net::bring_loopback_up(),
            ForPreparer::AskForNetDevices => self.ask_for_net_devices(),
            ForPreparer::SetHostname(name) => namespace::set_hostname(name),
            ForPreparer::SetDomainname(name) => namespace::set_domainname(name),
            ForPreparer::SetPropagation(outer) => rootfs::set_propagation(outer),
            ForPreparer::MountRootfs(path) => self.mount_rootfs(path),
            ForPreparer::MountRootfsApart(path) => self.mount_rootfs_apart(path),
            ForPreparer::OpenProcfs => self.open_procfs(),
            ForPreparer::Mount(planned) => self.mount(planned),
            ForPreparer::MakeDevice(device) => self.make_device(device),
            ForPreparer::MakeDeviceLink(link) => devices::make_link(self.rootfs()?, link.target, link.name),
            ForPreparer::MakeWorkingDirectory(path) => self.make_working_directory(path),
            ForPreparer::OpenConsole(console) => self.open_console(*console),
            ForPreparer::AskForHooks => self.inherited.channel.ask(&Message::Hooks),
            ForPreparer::RunContainerHooks(hooks) => self.run_container_hooks(hooks),
            ForPreparer::SwitchRoot(switch) => self.switch_root(*switch),
            ForPreparer::SetRootPropagation(change) => self.rootfs()?.set_root_propagation(*change),
            ForPreparer::SealMount(destination) => self.rootfs()?.seal(destination),
            ForPreparer::SealRoot => self.rootfs()?.seal_root(),
            ForPreparer::WriteSysctl(sysctl) => self.write_sysctl(sysctl),
            ForPreparer::ProtectPath(path) => self.rootfs()?.protect(path),
            ForPreparer::MaskPath(path) => self.rootfs()?.hide(path),
            ForPreparer::SetScheduler(attributes) => schedule::set_scheduler(attributes),
            ForPreparer::SetIoPriority(io) => schedule::set_io_priority(io.class, io.priority),
            ForPreparer::SetPersonality(domain) => schedule::set_personality(*domain),
            ForPreparer::SetMemoryPolicy(policy) => memory_policy::set_memory_policy(policy),
            ForPreparer::SetApparmorProfile(profile) => self.procfs()?.set_apparmor_profile(profile),
            ForPreparer::SetSelinuxLabel(label) => self.procfs()?.write_own("attr/exec", label),
            ForPreparer::MarkDescriptors(kept) => self.mark_descriptors(*kept),
            ForPreparer::CloseDescriptors(kept) => self.close_descriptors(*kept),
            ForPreparer::SetNoNewPrivileges => process::set_no_new_privileges(),
            ForPreparer::LimitItselfFirst(rlimits) => limits::limit_itself(rlimits),
            ForPreparer::InstallSeccomp(filter) | ForPreparer::InstallSeccompInherited(filter) => {
                install_filter(filter, &self.inherited.channel)
            }
            ForPreparer::LimitBoundingSet(keep) => credentials::limit_bounding_set(*keep),
            ForPreparer::EnterWorkingDirectory(path) => self.enter_working_directory(path),
            ForPreparer::ChangeUser(user) => self.change_user(user),
            ForPreparer::SetCapabilities(sets) => identity::set_capabilities(sets),
            ForPreparer::VerifyWorkingDirectory(path) => self.verify_working_directory(path),
            ForPreparer::AskToFork => self.inherited.channel.ask(&Message::Prepared),
            ForPreparer::ForkInitLast => self.fork_init_last(),
        }
    }

    fn rootfs(&mut self) -> Result<&mut Rootfs> {
        self.rootfs.as_mut().ok_or_else(|| Error::internal("the rootfs is not mounted yet"))
    }

    fn become_root(&mut self) -> Result<()> {
        self.groups_denied = identity::become_root(self.alone())?;
        Ok(())
    }

    fn enter_cgroup(&mut self, affinity: &Affinity) -> Result<()> {
        if !affinity.initial.is_empty() {
            schedule::set_affinity(&affinity.initial)?;
        }
        std::mem::take(&mut self.inherited.entrance).enter()?;
        match affinity {
            Affinity { last, .. } if !last.is_empty() => schedule::set_affinity(last)?,
            Affinity { initial, .. } if !initial.is_empty() => {}
            _ => {
                let all = schedule::set_affinity_to_all();
                best_effort(
                    all,
                    "a pinned caller should not pin the container; its cpuset holds all the same",
                );
            }
        }
        Ok(())
    }

    fn enter_rdt_group(&mut self) -> Result<()> {
        let entrance = self.inherited.rdt_entrance.take();
        entrance.ok_or_else(|| Error::internal("the resctrl group is not open"))?.enter()
    }

    fn mount_rootfs(&mut self, path: &Path) -> Result<()> {
        self.rootfs = Some(Rootfs::mount(path)?);
        Ok(())
    }

    fn mount_rootfs_apart(&mut self, path: &Path) -> Result<()> {
        let on = self.inherited.mountpoint.take();
        let on = on.ok_or_else(|| Error::internal("there is no directory to mount the rootfs on"))?;
        self.rootfs = Some(Rootfs::mount_apart(path, &on)?);
        Ok(())
    }

    fn ask_for_net_devices(&self) -> Result<()> {
        let namespace = file::open_following_links(Path::new("/proc/self/ns/net"), OFlag::O_RDONLY)?;
        self.inherited.channel.ask(&Message::NetDevices(Some(namespace)))
    }

    /// Has the supervisor build the next mount, in the order of the plan, that is the supervisor's to build.
    fn ask_for_mount(&self, attr: AttrChange) -> Result<Built> {
        let namespace = file::open_following_links(Path::new("/proc/self/ns/mnt"), OFlag::O_RDONLY)?;
        self.inherited.channel.say(&Message::Mount(Some(namespace)))?;
        self.inherited.channel.await_mount(attr)
    }

    fn mount(&mut self, planned: &Mount) -> Result<()> {
        let built = match &planned.source {
            _ if planned.built_by_supervisor => Some(self.ask_for_mount(planned.attr)?),
            MountSource::Filesystem(filesystem @ FilesystemMount { joined: Some(joined), .. }) => {
                let (alone, attr) = (self.alone(), planned.attr.set);
                let namespace = self.pid_namespace.as_ref().ok_or_else(no_pid_namespace)?;
                let mount = joined_procfs::build(alone, filesystem, *joined, attr, namespace)?;
                Some(Built { mount, left: AttrChange::default() })
            }
            _ => None,
        };
        let mounted = self.rootfs()?.perform(planned, built)?;
        if planned.written_through {
            // Init walks from the root of this mount, underneath whatever may be mounted over it.
            self.procfs = Some(Procfs::of_container(mounted));
        } else if planned.sealed_later {
            self.rootfs()?.keep_unsealed(&planned.destination, mounted);
        }
        Ok(())
    }

    fn switch_root(&mut self, switch: RootSwitch) -> Result<()> {
        match switch {
            RootSwitch::Pivot => self.rootfs()?.pivot(),
            RootSwitch::Move => self.rootfs()?.move_to_root(),
            RootSwitch::Change => self.rootfs()?.change_root(),
        }
    }

    fn make_device(&mut self, device: &Device) -> Result<()> {
        let node = match device.source {
            DeviceSource::Made => None,
            DeviceSource::BoundBySupervisor => Some(self.ask_for_mount(AttrChange::default())?.mount),
            DeviceSource::Bound => {
                let none = AttrChange::default();
                Some(build::bind(&device.path, false, none, none).doing("bind the host's device")?.mount)
            }
        };
        devices::make(self.rootfs()?, device, node)
    }

    /// Enters the root of the container's init, which is found by init's pid. Whether init still runs is asked after
    /// its root is open: only then was the pid surely init's.
    fn enter_root(&self) -> Result<()> {
        let path = format!("/proc/{}/root", self.inherited.record.init_process_pid);
        let root = file::open_following_links(Path::new(&path), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        let container = self.inherited.container;
        let container = container.ok_or_else(|| Error::internal("there is no container to join"))?;
        if poll::readable_by(container, Deadline::Now)? {
            return Err(container_has_stopped());
        }
        file::enter_directory(&root)?;
        file::change_root_here()
    }

    /// Joins the namespaces of the container that `exec` runs in. In one call, the kernel joins the user namespace
    /// first.
    fn join_container(&mut self, joining: JoiningContainer) -> Result<()> {
        let container = self.inherited.container.take();
        let container = container.ok_or_else(|| Error::internal("there is no container to join"))?;
        let (all, user) = (joining.namespaces.0, Namespace::User.flag());
        let in_turn = if joining.user_first { [all, 0] } else { [all & !user, all & user] };
        in_turn.into_iter().filter(|flags| *flags != 0).try_for_each(|flags| {
            match namespace::setns(self.alone(), container, flags) {
                // It has ended since the supervisor looked, and has no namespaces any more.
                Err(err) if err.is(Errno::ESRCH) => Err(container_has_stopped()),
                result => result,
            }
        })
    }

    /// Joins the namespaces that the config names by path.
    ///
    /// Namespaces that the runtime owns come first: inside the user namespace, the process has no right to join them.
    /// Namespaces that only the root of that user namespace may join come after it.
    fn join_namespaces(&mut self, listed: &[Namespace]) -> Result<()> {
        let opened = std::mem::take(&mut self.inherited.namespaces);
        let pid = self.pid_namespace.as_ref().map(|fd| (Namespace::Pid, fd));
        let wanted = opened.iter().map(|(namespace, fd)| (*namespace, fd)).chain(pid);
        let wanted = wanted.filter(|(namespace, _)| listed.contains(namespace));
        let (user, others): (Vec<_>, Vec<_>) =
            wanted.partition(|(namespace, _)| *namespace == Namespace::User);
        let mut later = Vec::new();
        for (namespace, fd) in others {
            match self.join(namespace, fd) {
                Err(err) if err.is(Errno::EPERM) && !user.is_empty() => later.push((namespace, fd)),
                result => result?,
            }
        }
        user.into_iter().chain(later).try_for_each(|(namespace, fd)| self.join(namespace, fd))
    }

    fn join_pid_namespace(&mut self) -> Result<()> {
        let fd = self.pid_namespace.take();
        let fd = fd.ok_or_else(no_pid_namespace)?;
        self.join(Namespace::Pid, &fd)
    }

    fn join(&self, namespace: Namespace, fd: &OwnedFd) -> Result<()> {
        let joined = namespace::setns(self.alone(), fd, namespace.flag()).map_err(|err| match err.errno() {
            Some(Errno::EPERM) => {
                err.with_hint("it may belong to a user namespace that has to be joined as well")
            }
            _ => err,
        });
        joined.doing_with(|| format!("join the {} namespace", namespace.name()))
    }

    fn unshare(&self, flags: NamespaceFlags) -> Result<()> {
        namespace::unshare(self.alone(), flags.0)
    }

    fn unshare_user(&self) -> Result<()> {
        namespace::unshare(self.alone(), Namespace::User.flag())?;
        self.inherited.channel.say(&Message::InUserNamespace)
    }

    /// Forks init, which goes on from here. This process ends.
    fn fork_init(&mut self, flags: NamespaceFlags) -> Result<()> {
        self.pid_namespace = None;
        let forked = namespace::clone3(self.alone(), flags.0, None, true);
        self.go_on_as_init(forked.map_err(with_hint_of_limit)?)
    }

    /// Forks init into the pid namespace that was joined. Where the container's limit has no room for both processes,
    /// the supervisor takes this process out of the cgroup first.
    fn fork_init_last(&mut self) -> Result<()> {
        let forked = match namespace::fork_sibling(self.alone()) {
            Err(err) if err.is(Errno::EAGAIN) => {
                self.inherited.channel.ask(&Message::NoRoom)?;
                namespace::fork_sibling(self.alone()).map_err(with_hint_of_limit)
            }
            result => result,
        };
        self.go_on_as_init(forked?)
    }

    fn go_on_as_init(&mut self, forked: Forked) -> Result<()> {
        match forked {
            Forked::Child(child) => {
                self.inherited.child = child;
                process::set_parent_death_signal(Some(Signal::SIGKILL))?;
                self.inherited.channel.check_open()
            }
            Forked::Parent { pidfd, .. } => {
                let said = self.inherited.channel.say(&Message::Forked(Some(pidfd)));
                process::exit_now(i32::from(said.is_err()))
            }
        }
    }

    fn hold_procfs(&mut self) -> Result<()> {
        self.procfs = Some(Procfs::of_caller()?);
        Ok(())
    }

    fn open_procfs(&mut self) -> Result<()> {
        self.procfs = Some(Procfs::open()?);
        Ok(())
    }

    fn procfs(&self) -> Result<&Procfs> {
        self.procfs.as_ref().ok_or_else(no_procfs)
    }

    fn write_sysctl(&self, sysctl: &Sysctl) -> Result<()> {
        self.procfs()?.write(&format!("sys/{}", sysctl.path), &sysctl.value)
    }

    fn mark_descriptors(&mut self, kept: Descriptors) -> Result<()> {
        // The root is built, and init may wait for long.
        self.rootfs = None;
        Procfs::close_on_exec_from(kept.preserved().end, self.procfs.take())
    }

    /// Close-on-exec is not enough here: what a forked process has open, others see until it executes the program.
    fn close_descriptors(&mut self, kept: Descriptors) -> Result<()> {
        (self.rootfs, self.pid_namespace) = (None, None);
        let procfs = self.procfs.take().ok_or_else(no_procfs)?;
        let Inherited { child, channel, start_fifo, tracer, .. } = &self.inherited;
        let needed = [Some(channel.as_fd()), start_fifo.as_ref().map(AsFd::as_fd), Some(procfs.as_fd())];
        let preserved: Vec<BorrowedFd> = kept.preserved().filter_map(descriptors::inherited).collect();
        let needed = needed.into_iter().flatten().chain(preserved.iter().copied());
        child.close_all_but(needed.chain(tracer.descriptors()), || procfs.try_clone())
    }

    fn make_working_directory(&mut self, path: &Path) -> Result<()> {
        match self.rootfs()?.root.make_directories(path) {
            // What is there and is no directory is for the process to stumble over, with a clearer error.
            Err(err) if err.is(Errno::ENOTDIR) || err.is(Errno::EROFS) => Ok(()),
            result => result.map(drop),
        }
    }

    fn open_console(&mut self, console: Console) -> Result<()> {
        // The process of `exec` is in the container's root already, init of `create` isn't yet.
        let Terminal { master, peer } = match &self.rootfs {
            Some(rootfs) => {
                let terminal = console::open(&rootfs.root, console)?;
                console::bind(&rootfs.root, &terminal.peer)?;
                terminal
            }
            None => {
                let root = file::open_following_links(Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
                console::open(&Root::new(root), console)?
            }
        };
        console::become_streams(&peer)?;
        self.has_terminal = true;
        if console.controlling {
            console::take_control()?;
        }
        self.inherited.channel.say(&Message::Console(Some(master)))
    }

    fn change_user(&self, user: &User) -> Result<()> {
        if self.has_terminal {
            console::give(user.uid)?;
        }
        identity::change_user(self.alone(), user, self.groups_denied)
    }

    fn enter_working_directory(&mut self, path: &Path) -> Result<()> {
        match file::change_directory(path) {
            Err(err) if err.is(Errno::EACCES) => Ok(()),
            result => {
                result?;
                self.working_directory_entered = true;
                Ok(())
            }
        }
    }

    /// A working directory outside of the root would be a way out. Its path may have led there by an inherited
    /// descriptor (CVE-2024-21626).
    fn verify_working_directory(&mut self, path: &Path) -> Result<()> {
        if !self.working_directory_entered {
            file::change_directory(path)?;
        }
        let current = file::current_directory()?;
        if current.is_absolute() && !current.starts_with("(unreachable)") {
            return Ok(());
        }
        Err(Error::new(
            Kind::Denied,
            format!("the working directory {} is outside of the container", path.display()),
        ))
    }

    fn run_container_hooks(&mut self, hooks: &[oci::Hook]) -> Result<()> {
        let state = own_state(self.inherited.record, Status::Creating);
        // Hooks written for runc name what they change of the rootfs by a relative path.
        file::enter_directory(&self.rootfs()?.root)?;
        process::set_umask(self.alone(), DEFAULT_UMASK);
        let surroundings = Surroundings { state: &state, env: DefaultEnv::Empty, directory: None };
        run_hooks(HookKind::CreateContainer.name(), hooks, surroundings)?;
        process::set_umask(self.alone(), 0);
        Ok(())
    }
}

fn container_has_stopped() -> Error {
    Error::new(Kind::WrongState, "cannot exec in a stopped container")
}

fn no_pid_namespace() -> Error {
    Error::internal("there is no pid namespace to join")
}

fn no_procfs() -> Error {
    Error::internal("no procfs is open")
}

fn with_hint_of_limit(err: Error) -> Error {
    if err.is(Errno::EAGAIN) { err.with_hint(PIDS_LIMIT_REACHED) } else { err }
}

fn join_keyring(name: &str) -> Result<()> {
    match keyring::join_session_keyring(name) {
        // A kernel without keys, or a filter of an outer container: then there are none to keep apart.
        Err(err) if err.is(Errno::ENOSYS) || err.is(Errno::EPERM) => Ok(()),
        result => keyring::add_permissions(result?, KEYRING_SEARCH),
    }
}

//! Init: the child that becomes the container's process. It performs its steps of the plan and ends in `execve`, or in
//! an error that the supervisor hears of; it never returns, unwinds or panics.
//!
//! The process of `exec` is one too: it joins namespaces instead of making them, and has fewer steps.

use std::convert::Infallible;
use std::ffi::CString;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;

use super::build::Built;
use super::cgroup::Entrance;
use super::handshake::{Channel, Message};
use super::hooks::{DefaultEnv, run_hooks};
use super::inside::Root;
use super::rootfs::{self, Rootfs};
use super::trace::Tracer;
use super::{console, devices, identity, program};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::mount_options::AttrChange;
use crate::plan::seccomp::Filter;
use crate::plan::{
    Action, Actor, Affinity, DEFAULT_UMASK, Device, DeviceSource, Mount, Program, Request, Stage, Step,
};
use crate::spec::{HookKind, Namespace};
use crate::state::{OciState, Record, Status};
use crate::sys::clock::Deadline;
use crate::sys::mount::{self, MountAttr};
use crate::sys::namespace::{self, Child, Forked};
use crate::sys::process::{self, SingleThreaded};
use crate::sys::seccomp::FilterFlags;
use crate::sys::signal::SignalQueue;
use crate::sys::{credentials, descriptors, file, keyring, net, poll, schedule, seccomp};

const PROC_ROOT_INODE: u64 = 1;
/// `KEY_USR_SEARCH`: processes of the same user may look keys up.
const KEYRING_SEARCH: u32 = 0x0008_0000;

/// What init inherits from the supervisor.
pub struct Inherited<'a> {
    /// Proof that this process is a child with one thread.
    pub child: Child,
    /// All steps of the plan, also the supervisor's.
    pub steps: &'a [Step],
    /// The caller's wishes.
    pub request: &'a Request,
    /// The seccomp filter.
    pub filter: Option<&'a Filter>,
    /// The container, for the state that hooks get.
    pub record: &'a Record,
    /// The line to the supervisor.
    pub channel: Channel,
    /// The way into the cgroup.
    pub entrance: Entrance,
    /// Namespaces to join, opened by the supervisor.
    pub namespaces: Vec<(Namespace, OwnedFd)>,
    /// The process whose namespaces `exec` joins, and which ones (`CLONE_NEW*`).
    pub container: Option<(BorrowedFd<'a>, u64)>,
    /// The caller's console socket.
    pub console_socket: Option<OwnedFd>,
    /// The fifo that `start` writes to.
    pub start_fifo: Option<OwnedFd>,
    /// Times the steps.
    pub tracer: &'a Tracer,
}

impl Inherited<'_> {
    /// Closes what init has from the supervisor, or the supervisor from its caller, and doesn't need itself.
    ///
    /// Close-on-exec is not enough. The names of the program, of the working directory and of the home directory come
    /// from an image, and may go through `/proc/self/fd`: a directory of the host that is open here would lead them,
    /// by `..`, to any file of the host. Copies of the lock and of the supervisor's end of the channel would outlive
    /// the supervisor, too.
    fn close_others(&self) -> Result<()> {
        let preserved = self.request.preserved();
        let kept = [
            Some(self.channel.as_fd()),
            self.container.map(|(container, _)| container),
            self.console_socket.as_ref().map(AsFd::as_fd),
            self.start_fifo.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        .chain(self.entrance.descriptors())
        .chain(self.namespaces.iter().map(|(_, fd)| fd.as_fd()))
        .chain(self.tracer.descriptors());
        let preserved: Vec<BorrowedFd> = preserved.filter_map(descriptors::inherited).collect();
        self.child.close_all_but(kept.chain(preserved.iter().copied()))?;
        preserved.iter().try_for_each(descriptors::keep_across_exec)
    }
}

/// Performs init's steps. Returns only an error, which has been reported.
pub fn run(inherited: Inherited) -> ! {
    Init::new(inherited).become_program(0)
}

/// The intermediate process: joins the namespaces, forks init as a child of the supervisor, and is done. The pid
/// namespace of init then belongs to the joined user namespace, as a procfs in it demands.
pub fn fork_and_run(inherited: Inherited, flags: u64) -> ! {
    let mut intermediate = Init::new(inherited);
    let steps = intermediate.inherited.steps.iter();
    let joined = steps.take_while(|step| step.stage() <= Stage::JoinNamespaces).count();
    let ready = intermediate.begin().and_then(|()| intermediate.perform_all(0..joined));
    let alone = &intermediate.inherited.child.alone;
    match ready.and_then(|()| namespace::clone3(alone, flags, None, true)) {
        Ok(Forked::Child(child)) => {
            intermediate.inherited.child = child;
            intermediate.become_program(joined)
        }
        Ok(Forked::Parent { pidfd, .. }) => {
            let said = intermediate.inherited.channel.say(&Message::Forked(pidfd));
            process::exit_now(i32::from(said.is_err()))
        }
        Err(err) => {
            intermediate.report(&err);
            process::exit_now(1)
        }
    }
}

struct Init<'a> {
    inherited: Inherited<'a>,
    rootfs: Option<Rootfs>,
    /// A procfs that no path leads to, for what is written through /proc.
    procfs: Option<OwnedFd>,
    /// The end of the terminal that the process gets.
    terminal: Option<OwnedFd>,
    working_directory_entered: bool,
    program: Option<CString>,
}

impl<'a> Init<'a> {
    fn new(inherited: Inherited<'a>) -> Self {
        Init {
            inherited,
            rootfs: None,
            procfs: None,
            terminal: None,
            working_directory_entered: false,
            program: None,
        }
    }

    /// Performs the steps of the plan from `first` on.
    fn become_program(mut self, first: usize) -> ! {
        let steps = first..self.inherited.steps.len();
        let executed = self.begin().and_then(|()| self.perform_all(steps)).and_then(|()| self.execute());
        let err = match executed {
            Ok(never) => match never {},
            Err(err) => err,
        };
        self.report(&err);
        process::exit_now(1)
    }

    /// What a process does before its steps: see to it that it ends with its supervisor, and has nothing of his.
    fn begin(&self) -> Result<()> {
        process::set_parent_death_signal(Some(Signal::SIGKILL))?;
        self.inherited.close_others()?;
        // The signal covers only a supervisor that dies from now on. One that died earlier has closed its end of the
        // channel, of which no copy is left.
        self.inherited.channel.check_open()?;
        // Modes of what is made here are those of the plan.
        process::set_umask(self.alone(), 0);
        Ok(())
    }

    fn alone(&self) -> &SingleThreaded {
        &self.inherited.child.alone
    }

    fn perform_all(&mut self, steps: Range<usize>) -> Result<()> {
        let (all, tracer) = (self.inherited.steps, self.inherited.tracer);
        let own = all[steps].iter().filter(|step| step.stage().actor() == Actor::Init);
        own.filter(|step| step.stage() != Stage::Execute)
            .try_for_each(|step| tracer.step(step, || self.perform(step)))
    }

    /// Tells the supervisor; where it has gone after `create`, the caller's stderr is all there is.
    fn report(&self, err: &Error) {
        if self.inherited.channel.fail(err).is_err() {
            eprintln!("{err}");
        }
    }

    fn perform(&mut self, step: &Step) -> Result<()> {
        match &step.action {
            Action::JoinNamespaces => self.join_namespaces(),
            Action::EnterCgroup(affinity) => self.enter_cgroup(affinity),
            Action::NewSession => process::new_session(),
            Action::UnshareFirst(flags) | Action::UnshareNamespaces(flags) => {
                namespace::unshare(self.alone(), *flags)
            }
            Action::AwaitRelease => self.inherited.channel.await_go(),
            Action::BecomeRoot => identity::become_root(self.alone()),
            Action::JoinKeyring(name) => join_keyring(name),
            Action::BringLoopbackUp => net::bring_loopback_up(),
            Action::SetHostname(name) => namespace::set_hostname(name),
            Action::SetDomainname(name) => namespace::set_domainname(name),
            Action::SetPropagation(change) => {
                rootfs::set_propagation(*change, &self.inherited.request.rootfs)
            }
            Action::MountRootfs => self.mount_rootfs(),
            Action::OpenProcfs => self.open_procfs(),
            Action::Mount(planned) => self.mount(planned),
            Action::MakeDevice(device) => self.make_device(device),
            Action::MakeDeviceLink { target, name } => devices::make_link(self.rootfs()?, target, name),
            Action::MakeWorkingDirectory(path) => self.make_working_directory(path),
            Action::OpenConsole(size) => self.open_console(*size),
            Action::AskForHooks => self.inherited.channel.ask(&Message::Hooks),
            Action::RunContainerHooks(hooks) => {
                let state = self.state(Status::Creating);
                // Hooks written for runc name what they change of the rootfs by a relative path.
                file::enter_directory(&self.rootfs()?.root)?;
                process::set_umask(self.alone(), DEFAULT_UMASK);
                run_hooks(HookKind::CreateContainer.name(), hooks, &state, DefaultEnv::Empty)?;
                process::set_umask(self.alone(), 0);
                Ok(())
            }
            Action::SwitchRoot if self.inherited.request.no_pivot => self.rootfs()?.move_to_root(),
            Action::SwitchRoot => self.rootfs()?.pivot(),
            Action::SetRootPropagation(change) => self.rootfs()?.set_root_propagation(*change),
            Action::SealMount(destination) => self.rootfs()?.seal(destination),
            Action::SealRoot => self.rootfs()?.seal_root(),
            Action::WriteSysctl { path, value } => self.write_procfs(&format!("sys/{path}"), value),
            Action::ProtectPath(path) => self.rootfs()?.protect(path),
            Action::MaskPath(path) => self.rootfs()?.hide(path),
            Action::SetScheduler(attributes) => schedule::set_scheduler(attributes),
            Action::SetIoPriority { class, priority } => schedule::set_io_priority(*class, *priority),
            Action::SetPersonality(domain) => schedule::set_personality(*domain),
            Action::SetApparmorProfile(profile) => self.set_apparmor_profile(profile),
            Action::SetSelinuxLabel(label) => self.write_own("attr/exec", label),
            Action::AskForLimits => self.inherited.channel.ask(&Message::Limits),
            Action::MarkDescriptors { kept } => {
                // The root is built, and init may wait for long.
                self.rootfs = None;
                descriptors::close_on_exec_from(*kept as i32, self.procfs.take().as_ref().map(AsFd::as_fd))
            }
            Action::SetNoNewPrivileges => process::set_no_new_privileges(),
            Action::InstallSeccomp | Action::InstallSeccompListener | Action::InstallSeccompLast => {
                self.install_filter()
            }
            Action::LimitBoundingSet(keep) => credentials::limit_bounding_set(*keep),
            Action::EnterWorkingDirectory(path) => self.enter_working_directory(path),
            Action::ChangeUser(user) => {
                if let Some(terminal) = &self.terminal {
                    console::give(terminal, user.uid)?;
                }
                identity::change_user(self.alone(), user)
            }
            Action::SetCapabilities(sets) => identity::set_capabilities(sets),
            Action::VerifyWorkingDirectory(path) => self.verify_working_directory(path),
            Action::FindProgram => self.find_program(),
            Action::ReportCreated => self.report_created(),
            Action::AwaitStart => self.await_start(),
            Action::RunStartHooks(hooks) => self.run_start_hooks(hooks),
            Action::Execute(_)
            | Action::SaveRecord
            | Action::MakeStartFifo
            | Action::MakeNotifyDirectory
            | Action::BindNotifySocket
            | Action::CreateCgroup
            | Action::OpenNamespace(_)
            | Action::BuildMount(_)
            | Action::NewTimeNamespace(_)
            | Action::CloneInit(_)
            | Action::MapIds { .. }
            | Action::AdjustOomScore(_)
            | Action::ReleaseInit
            | Action::PrepareRecord
            | Action::LimitCgroup
            | Action::RunRuntimeHooks(_)
            | Action::SetRlimits(_)
            | Action::HandOverListener
            | Action::AwaitCreated
            | Action::RestrictDevices
            | Action::SaveCreated
            | Action::StartAtOnce
            | Action::LetInitGo => Err(Error::internal(format!("{} is not for init", step.stage().name()))),
        }
    }

    fn rootfs(&mut self) -> Result<&mut Rootfs> {
        self.rootfs.as_mut().ok_or_else(|| Error::internal("the rootfs is not mounted yet"))
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

    /// Has the supervisor build the next mount that is for the supervisor to build.
    fn ask_for_mount(&self, attr: AttrChange) -> Result<Built> {
        let namespace = file::open_following_links(Path::new("/proc/self/ns/mnt"), OFlag::O_RDONLY)?;
        self.inherited.channel.say(&Message::Mount(namespace))?;
        self.inherited.channel.await_mount(attr)
    }

    fn mount(&mut self, planned: &Mount) -> Result<()> {
        let built = planned.built_by_supervisor.then(|| self.ask_for_mount(planned.attr)).transpose()?;
        self.rootfs()?.perform(planned, built)
    }

    fn make_device(&mut self, device: &Device) -> Result<()> {
        let node = match device.source {
            DeviceSource::Made => None,
            DeviceSource::Bound => Some(self.ask_for_mount(AttrChange::default())?.mount),
        };
        devices::make(self.rootfs()?, device, node)
    }

    fn mount_rootfs(&mut self) -> Result<()> {
        self.rootfs = Some(Rootfs::mount(&self.inherited.request.rootfs)?);
        Ok(())
    }

    /// Joins what the config names by path, or the whole container in an `exec`.
    ///
    /// Namespaces that the runtime owns come before the user namespace, in which it no longer could; those that only
    /// the root of that user namespace may join come after.
    fn join_namespaces(&mut self) -> Result<()> {
        if let Some((container, flags)) = self.inherited.container.take() {
            let user = Namespace::User.flag();
            let in_turn = [flags & !user, flags & user];
            return in_turn
                .into_iter()
                .filter(|flags| *flags != 0)
                .try_for_each(|flags| namespace::setns(&self.inherited.child.alone, container, flags));
        }
        let mut later = Vec::new();
        let listed = std::mem::take(&mut self.inherited.namespaces);
        let (user, others): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(ns, _)| *ns == Namespace::User);
        for (namespace, fd) in others {
            match namespace::setns(self.alone(), &fd, namespace.flag()) {
                Err(err) if err.is(Errno::EPERM) && !user.is_empty() => later.push((namespace, fd)),
                result => result.doing_with(|| format!("join the {} namespace", namespace.name()))?,
            }
        }
        for (namespace, fd) in user.into_iter().chain(later) {
            namespace::setns(self.alone(), &fd, namespace.flag())
                .doing_with(|| format!("join the {} namespace", namespace.name()))?;
        }
        Ok(())
    }

    /// Mounts a procfs that is attached nowhere, so nothing in the container can cover or replace a file of it.
    fn open_procfs(&mut self) -> Result<()> {
        self.procfs = Some(match detached_procfs() {
            Ok(procfs) => procfs,
            // An outer container or an LSM may forbid new ones; the visible one serves if it is whole.
            Err(err) if err.is(Errno::EPERM) || err.is(Errno::EACCES) => visible_procfs().map_err(|_| err)?,
            Err(err) => return Err(err),
        });
        Ok(())
    }

    /// Writes a file of the private procfs.
    fn write_procfs(&self, path: &str, text: &str) -> Result<()> {
        let procfs = self.procfs.as_ref().ok_or_else(|| Error::internal("no procfs is open"))?;
        file::write_beneath(procfs, Path::new(path), text)
    }

    /// Writes a file of this process in the private procfs.
    fn write_own(&self, name: &str, text: &str) -> Result<()> {
        let procfs = self.procfs.as_ref().ok_or_else(|| Error::internal("no procfs is open"))?;
        let opened = file::open_beneath_following_self(procfs, name, OFlag::O_WRONLY)?;
        file::write_whole(opened.as_fd(), text.as_bytes(), &format!("`/proc/thread-self/{name}`"))
    }

    fn set_apparmor_profile(&self, profile: &str) -> Result<()> {
        let text = format!("exec {profile}");
        match self.write_own("attr/apparmor/exec", &text) {
            Err(err) if err.is(Errno::ENOENT) => self.write_own("attr/exec", &text),
            result => result,
        }
        .map_err(|err| match err.errno() {
            Some(Errno::ENOENT) => err.with_hint(format!("is the profile {profile} loaded?")),
            _ => err,
        })
    }

    fn make_working_directory(&mut self, path: &Path) -> Result<()> {
        match self.rootfs()?.root.make_directories(path) {
            // What is there and is no directory is for the process to stumble over, with a clearer error.
            Err(err) if err.is(Errno::ENOTDIR) || err.is(Errno::EROFS) => Ok(()),
            result => result.map(drop),
        }
    }

    fn open_console(&mut self, size: Option<(u16, u16)>) -> Result<()> {
        let Some(socket) = self.inherited.console_socket.take() else {
            return Err(Error::internal("there is no console socket"));
        };
        let relayed = self.inherited.request.terminal_relayed;
        // `exec` is in the container already; `create` is about to be.
        let peer = match &self.rootfs {
            Some(rootfs) => {
                let peer = console::open(&rootfs.root, size, relayed, socket.as_fd())?;
                console::bind(&rootfs.root, &peer)?;
                peer
            }
            None => {
                let root = file::open_following_links(Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
                console::open(&Root::new(root), size, relayed, socket.as_fd())?
            }
        };
        console::take(&peer)?;
        self.terminal = Some(peer);
        Ok(())
    }

    /// The state that hooks in the container's namespaces get.
    fn state(&self, status: Status) -> Vec<u8> {
        let record = Record { init_process_pid: std::process::id() as i32, ..self.inherited.record.clone() };
        OciState::of(&record, status).to_json()
    }

    fn install_filter(&self) -> Result<()> {
        let Some(filter) = self.inherited.filter else { return Ok(()) };
        let Some(listener) = install(filter)? else { return Ok(()) };
        // The supervisor fetches it by number; from here on a system call may wait for the agent's verdict.
        self.inherited.channel.ask(&Message::Listener(listener.as_raw_fd()))
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

    /// A working directory outside of the root would be a way out: an inherited descriptor could have been its name.
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

    fn find_program(&mut self) -> Result<()> {
        self.program = Some(program::find(self.planned_program()?)?);
        Ok(())
    }

    fn planned_program(&self) -> Result<&'a Program> {
        let program = self.inherited.steps.iter().find_map(|step| match &step.action {
            Action::Execute(program) => Some(program),
            _ => None,
        });
        program.ok_or_else(|| Error::internal("the plan has nothing to execute"))
    }

    /// From here on the container outlives its supervisor.
    fn report_created(&self) -> Result<()> {
        self.inherited.channel.ask(&Message::Created)?;
        process::set_parent_death_signal(None)?;
        self.inherited.channel.say(&Message::Independent)
    }

    /// Waits for `start`, however long: this is the one wait without a deadline.
    fn await_start(&mut self) -> Result<()> {
        // It stays open until the program is executed, which tells `start` that it runs.
        let Some(fifo) = &self.inherited.start_fifo else { return Ok(()) };
        let signals = SignalQueue::of(&ENDING_SIGNALS)?;
        let mut byte = [0_u8; 1];
        let mut unlinked = false;
        loop {
            poll::wait_readable(&[fifo.as_fd(), signals.as_fd()], Deadline::Never)?;
            if let Some(number) = signals.take()? {
                process::exit_now(128 + number);
            }
            match file::read(fifo, &mut byte) {
                Ok(1) => return signals.unblock(),
                // `start` has taken the name away, so nobody else can come, and was killed before it wrote.
                Ok(_) if unlinked => return Err(Error::internal("`start` died before it said so")),
                Ok(_) => {
                    // Whoever opened it has gone again; the next look tells what stood in it if it has no name now.
                    unlinked = file::stat_of(fifo)?.st_nlink == 0;
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                Err(err) if err.is(Errno::EAGAIN) => {}
                Err(err) => return Err(err.context("exec.fifo")),
            }
        }
    }

    fn run_start_hooks(&self, hooks: &[crate::spec::oci::Hook]) -> Result<()> {
        let env = program::environment(self.planned_program()?)?;
        let env: Vec<String> = env.iter().map(|entry| entry.to_string_lossy().into_owned()).collect();
        let state = self.state(Status::Created);
        run_hooks(HookKind::StartContainer.name(), hooks, &state, DefaultEnv::Of(&env))
    }

    fn execute(&mut self) -> Result<Infallible> {
        let path = self.program.take().ok_or_else(|| Error::internal("the program was not looked for"))?;
        program::execute(self.planned_program()?, &path)
    }
}

/// A flag that nobody asked for is dropped where the kernel doesn't know it; one that was asked for is an error then.
fn install(filter: &Filter) -> Result<Option<OwnedFd>> {
    match seccomp::install(&filter.program, filter.flags | filter.optional_flags) {
        Err(err) if err.is(Errno::EINVAL) && filter.optional_flags != FilterFlags::NONE => {
            seccomp::install(&filter.program, filter.flags)
        }
        result => result,
    }
}

/// Signals that end a process by default. Those that don't ask for them never reach the first process of a pid
/// namespace, and a container that was created and not started has to heed `kill` all the same.
const ENDING_SIGNALS: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

fn join_keyring(name: &str) -> Result<()> {
    match keyring::join_session_keyring(name) {
        // A kernel without keys, or a filter of an outer container: then there are none to keep apart.
        Err(err) if err.is(Errno::ENOSYS) || err.is(Errno::EPERM) => Ok(()),
        result => keyring::add_permissions(result?, KEYRING_SEARCH),
    }
}

fn detached_procfs() -> Result<OwnedFd> {
    let context = mount::fsopen("proc")?;
    mount::fsconfig_create(context.as_fd())?;
    let attr = MountAttr::NOSUID | MountAttr::NODEV | MountAttr::NOEXEC;
    let procfs = mount::fsmount(context.as_fd(), attr)?;
    // The mount itself can't be read from; its root can.
    file::open_at(&procfs, Path::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY)
}

fn visible_procfs() -> Result<OwnedFd> {
    let procfs = file::open_following_links(Path::new("/proc"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    let inode = file::stat_of(&procfs)?.st_ino;
    if file::filesystem_magic(&procfs)? == libc::PROC_SUPER_MAGIC && inode == PROC_ROOT_INODE {
        return Ok(procfs);
    }
    Err(Error::new(Kind::Denied, "/proc is not a procfs"))
}

//! Init: the child that becomes the container's process. It performs its steps of the plan and ends in `execve`, or in
//! an error that the supervisor hears of; it never returns, unwinds or panics.
//!
//! The process of an `exec` is an init in this sense: it joins namespaces instead of making them, and has fewer steps.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;

use super::build::Built;
use super::cgroup::{Entrance, PIDS_LIMIT_REACHED};
use super::handshake::{Channel, Message};
use super::hooks::{DefaultEnv, run_hooks};
use super::inside::Root;
use super::procfs::Procfs;
use super::rootfs::{self, Rootfs};
use super::trace::Tracer;
use super::{console, devices, identity, program, resctrl};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::mount_options::AttrChange;
use crate::plan::seccomp::Filter;
use crate::plan::{
    Action, Actor, Affinity, Console, DEFAULT_UMASK, Descriptors, Device, DeviceSource, ForInit,
    ForIntermediate, Mount, NamespaceFlags, Program, RootSwitch, Step, User,
};
use crate::spec::{HookKind, Namespace, oci};
use crate::state::{OciState, Record, Status};
use crate::sys::clock::Deadline;
use crate::sys::namespace::{self, Forked, InChild};
use crate::sys::process::{self, SingleThreaded};
use crate::sys::seccomp::FilterFlags;
use crate::sys::signal::SignalQueue;
use crate::sys::{credentials, descriptors, file, keyring, memory_policy, net, poll, schedule, seccomp};

/// `KEY_USR_SEARCH`: processes of the same user may look keys up.
const KEYRING_SEARCH: u32 = 0x0008_0000;

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
    /// The caller's console socket.
    pub console_socket: Option<OwnedFd>,
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
    fn close_others(&self) -> Result<()> {
        let preserved = self.descriptors.preserved();
        let kept = [
            Some(self.channel.as_fd()),
            self.container,
            self.mountpoint.as_ref().map(AsFd::as_fd),
            self.console_socket.as_ref().map(AsFd::as_fd),
            self.start_fifo.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        .chain(self.entrance.descriptors())
        .chain(self.rdt_entrance.iter().flat_map(resctrl::Entrance::descriptors))
        .chain(self.namespaces.iter().map(|(_, fd)| fd.as_fd()))
        .chain(self.tracer.descriptors());
        let preserved: Vec<BorrowedFd> = preserved.filter_map(descriptors::inherited).collect();
        self.child.close_all_but(kept.chain(preserved.iter().copied()))?;
        preserved.iter().try_for_each(descriptors::keep_across_exec)
    }
}

/// Init of a plan without an intermediate process: performs the steps of both. Reports an error, and exits.
pub fn run(inherited: Inherited) -> ! {
    Init::new(inherited).become_program(&[Actor::Intermediate, Actor::Init])
}

/// The intermediate process: performs its steps, forks init as a child of the supervisor, and is done.
///
/// The pid namespace of init then belongs to the user namespace that was joined, as a procfs in it demands.
pub fn fork_and_run(inherited: Inherited, flags: u64) -> ! {
    let mut intermediate = Init::new(inherited);
    let ready = intermediate.begin().and_then(|()| intermediate.perform_all(&[Actor::Intermediate]));
    let alone = &intermediate.inherited.child.alone;
    match ready.and_then(|()| namespace::clone3(alone, flags, None, true)) {
        Ok(Forked::Child(child)) => {
            intermediate.inherited.child = child;
            intermediate.become_program(&[Actor::Init])
        }
        Ok(Forked::Parent { pidfd, .. }) => {
            let said = intermediate.inherited.channel.say(&Message::Forked(Some(pidfd)));
            process::exit_now(i32::from(said.is_err()))
        }
        Err(err) => {
            let no_fork = err.is(Errno::EAGAIN);
            intermediate.report(if no_fork { err.with_hint(PIDS_LIMIT_REACHED) } else { err });
            process::exit_now(1)
        }
    }
}

struct Init<'a> {
    inherited: Inherited<'a>,
    rootfs: Option<Rootfs>,
    /// The procfs that sysctls and labels are written through: see `plan::procfs`. No path that init walks from its
    /// root leads onto another mount.
    procfs: Option<Procfs>,
    /// The end of the terminal that the process gets.
    terminal: Option<OwnedFd>,
    working_directory_entered: bool,
    /// The program, and where it was found.
    program: Option<(Rc<Program>, CString)>,
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

    /// Performs the steps of `actors`. The last step becomes the program.
    fn become_program(mut self, actors: &[Actor]) -> ! {
        let ended = self.begin().and_then(|()| self.perform_all(actors));
        let err = ended.err().unwrap_or_else(|| Error::internal("the plan has nothing to execute"));
        self.report(err);
        process::exit_now(1)
    }

    /// What a process does before its steps: it arranges to die with the supervisor, and closes the supervisor's
    /// descriptors.
    fn begin(&self) -> Result<()> {
        process::set_parent_death_signal(Some(Signal::SIGKILL))?;
        self.inherited.close_others()?;
        // The signal covers a supervisor that dies from now on. A supervisor that died earlier has closed the channel.
        self.inherited.channel.check_open()?;
        // Without a umask, what init makes has the modes of the plan.
        process::set_umask(self.alone(), 0);
        Ok(())
    }

    fn alone(&self) -> &SingleThreaded {
        &self.inherited.child.alone
    }

    fn perform_all(&mut self, actors: &[Actor]) -> Result<()> {
        let (steps, tracer) = (self.inherited.steps, self.inherited.tracer);
        let own = steps.iter().filter(|step| actors.contains(&step.stage().actor()));
        own.into_iter().try_for_each(|step| {
            tracer.step(step, || match &step.action {
                Action::Intermediate(action) => self.prepare(action),
                Action::Init(action) => self.perform(action),
                Action::Supervisor(_) => Ok(()),
            })
        })
    }

    /// Tells the supervisor. After `create` there is no supervisor, and standard error is all there is.
    fn report(&self, err: Error) {
        let text = err.to_string();
        if self.inherited.channel.fail(err).is_err() {
            eprintln!("{text}");
        }
    }

    fn prepare(&mut self, action: &ForIntermediate) -> Result<()> {
        match action {
            ForIntermediate::JoinNamespaces => self.join_namespaces(),
            ForIntermediate::EnterRoot => self.enter_root(),
            ForIntermediate::JoinContainer(flags) => self.join_container(*flags),
        }
    }

    fn perform(&mut self, action: &ForInit) -> Result<()> {
        match action {
            ForInit::EnterCgroup(affinity) => self.enter_cgroup(affinity),
            ForInit::EnterRdtGroup => self.enter_rdt_group(),
            ForInit::NewSession => process::new_session(),
            ForInit::UnshareFirst(flags) | ForInit::UnshareNamespaces(flags) => {
                namespace::unshare(self.alone(), flags.0)
            }
            ForInit::AwaitRelease => self.inherited.channel.await_go(),
            ForInit::BecomeRoot => identity::become_root(self.alone()),
            ForInit::JoinKeyring(name) => join_keyring(name),
            ForInit::BringLoopbackUp => net::bring_loopback_up(),
            ForInit::AskForNetDevices => self.ask_for_net_devices(),
            ForInit::SetHostname(name) => namespace::set_hostname(name),
            ForInit::SetDomainname(name) => namespace::set_domainname(name),
            ForInit::SetPropagation(outer) => rootfs::set_propagation(outer.change, &outer.rootfs),
            ForInit::MountRootfs(path) => self.mount_rootfs(path),
            ForInit::MountRootfsApart(path) => self.mount_rootfs_apart(path),
            ForInit::OpenProcfs => self.open_procfs(),
            ForInit::Mount(planned) => self.mount(planned),
            ForInit::MakeDevice(device) => self.make_device(device),
            ForInit::MakeDeviceLink(link) => devices::make_link(self.rootfs()?, link.target, link.name),
            ForInit::MakeWorkingDirectory(path) => self.make_working_directory(path),
            ForInit::OpenConsole(console) => self.open_console(*console),
            ForInit::AskForHooks => self.inherited.channel.ask(&Message::Hooks),
            ForInit::RunContainerHooks(hooks) => self.run_container_hooks(hooks),
            ForInit::SwitchRoot(RootSwitch::Pivot) => self.rootfs()?.pivot(),
            ForInit::SwitchRoot(RootSwitch::Move) => self.rootfs()?.move_to_root(),
            ForInit::SwitchRoot(RootSwitch::Change) => self.rootfs()?.change_root(),
            ForInit::SetRootPropagation(change) => self.rootfs()?.set_root_propagation(*change),
            ForInit::SealMount(destination) => self.rootfs()?.seal(destination),
            ForInit::SealRoot => self.rootfs()?.seal_root(),
            ForInit::WriteSysctl(sysctl) => {
                self.procfs()?.write(&format!("sys/{}", sysctl.path), &sysctl.value)
            }
            ForInit::ProtectPath(path) => self.rootfs()?.protect(path),
            ForInit::MaskPath(path) => self.rootfs()?.hide(path),
            ForInit::SetScheduler(attributes) => schedule::set_scheduler(attributes),
            ForInit::SetIoPriority(io) => schedule::set_io_priority(io.class, io.priority),
            ForInit::SetPersonality(domain) => schedule::set_personality(*domain),
            ForInit::SetMemoryPolicy(policy) => memory_policy::set_memory_policy(policy),
            ForInit::SetApparmorProfile(profile) => self.procfs()?.set_apparmor_profile(profile),
            ForInit::SetSelinuxLabel(label) => self.procfs()?.write_own("attr/exec", label),
            ForInit::AskForLimits => self.inherited.channel.ask(&Message::Limits),
            ForInit::MarkDescriptors(kept) => self.mark_descriptors(*kept),
            ForInit::SetNoNewPrivileges => process::set_no_new_privileges(),
            ForInit::InstallSeccomp(filter)
            | ForInit::InstallSeccompListener(filter)
            | ForInit::InstallSeccompLast(filter) => self.install_filter(filter),
            ForInit::LimitBoundingSet(keep) => credentials::limit_bounding_set(*keep),
            ForInit::EnterWorkingDirectory(path) => self.enter_working_directory(path),
            ForInit::ChangeUser(user) => self.change_user(user),
            ForInit::SetCapabilities(sets) => identity::set_capabilities(sets),
            ForInit::VerifyWorkingDirectory(path) => self.verify_working_directory(path),
            ForInit::FindProgram(program) => self.find_program(program),
            ForInit::ReportCreated => self.report_created(),
            ForInit::AwaitStart => self.await_start(),
            ForInit::RunStartHooks(hooks) => self.run_start_hooks(hooks),
            ForInit::Execute(program) => self.execute(program),
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
        let built = planned.built_by_supervisor.then(|| self.ask_for_mount(planned.attr)).transpose()?;
        let mounted = self.rootfs()?.perform(planned, built)?;
        if planned.written_through {
            // Init walks from the root of this mount, underneath whatever may be mounted over it.
            self.procfs = Some(Procfs::of_container(mounted));
        } else if planned.sealed_later {
            self.rootfs()?.keep_unsealed(&planned.destination, mounted);
        }
        Ok(())
    }

    fn make_device(&mut self, device: &Device) -> Result<()> {
        let node = match device.source {
            DeviceSource::Made => None,
            DeviceSource::Bound => Some(self.ask_for_mount(AttrChange::default())?.mount),
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

    /// Joins the namespaces of the container that `exec` runs in, the user namespace last: inside it, the process has
    /// no right to join namespaces that the runtime owns.
    fn join_container(&mut self, flags: NamespaceFlags) -> Result<()> {
        let container = self.inherited.container.take();
        let container = container.ok_or_else(|| Error::internal("there is no container to join"))?;
        let user = Namespace::User.flag();
        let in_turn = [flags.0 & !user, flags.0 & user].into_iter().filter(|flags| *flags != 0);
        in_turn.into_iter().try_for_each(|flags| match namespace::setns(self.alone(), container, flags) {
            // It has ended since the supervisor looked, and has no namespaces any more.
            Err(err) if err.is(Errno::ESRCH) => Err(container_has_stopped()),
            result => result,
        })
    }

    /// Joins the namespaces that the config names by path.
    ///
    /// Namespaces that the runtime owns come first: inside the user namespace, the process has no right to join them.
    /// Namespaces that only the root of that user namespace may join come after it.
    fn join_namespaces(&mut self) -> Result<()> {
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

    fn open_procfs(&mut self) -> Result<()> {
        self.procfs = Some(Procfs::open()?);
        Ok(())
    }

    fn procfs(&self) -> Result<&Procfs> {
        self.procfs.as_ref().ok_or_else(|| Error::internal("no procfs is open"))
    }

    fn mark_descriptors(&mut self, kept: Descriptors) -> Result<()> {
        // The root is built. Init closes it, because it may wait for `start` for long.
        self.rootfs = None;
        Procfs::close_on_exec_from(kept.preserved().end, self.procfs.take())
    }

    fn make_working_directory(&mut self, path: &Path) -> Result<()> {
        match self.rootfs()?.root.make_directories(path) {
            // `enter-working-directory` fails for such a path, with a clearer error.
            Err(err) if err.is(Errno::ENOTDIR) || err.is(Errno::EROFS) => Ok(()),
            result => result.map(drop),
        }
    }

    fn open_console(&mut self, console: Console) -> Result<()> {
        let Some(socket) = self.inherited.console_socket.take() else {
            return Err(Error::internal("there is no console socket"));
        };
        // The process of `exec` is in the container's root already, init of `create` isn't yet.
        let peer = match &self.rootfs {
            Some(rootfs) => {
                let peer = console::open(&rootfs.root, console, socket.as_fd())?;
                console::bind(&rootfs.root, &peer)?;
                peer
            }
            None => {
                let root = file::open_following_links(Path::new("/"), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
                console::open(&Root::new(root), console, socket.as_fd())?
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

    fn change_user(&self, user: &User) -> Result<()> {
        if let Some(terminal) = &self.terminal {
            console::give(terminal, user.uid)?;
        }
        identity::change_user(self.alone(), user)
    }

    fn install_filter(&self, filter: &Filter) -> Result<()> {
        let Some(listener) = install(filter)? else { return Ok(()) };
        // The supervisor fetches the listener by its number. From here on a system call may wait for the agent's
        // verdict.
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

    fn find_program(&mut self, program: &Rc<Program>) -> Result<()> {
        self.program = Some((Rc::clone(program), program::find(program)?));
        Ok(())
    }

    /// From here on the container outlives its supervisor.
    fn report_created(&self) -> Result<()> {
        self.inherited.channel.ask(&Message::Created)?;
        process::set_parent_death_signal(None)?;
        self.inherited.channel.say(&Message::Independent)
    }

    /// Waits for `start`, without a deadline.
    fn await_start(&mut self) -> Result<()> {
        // The fifo stays open until the program is executed: by its closing, `start` learns that the program runs.
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
                // `start` removed the fifo's name and was killed before it wrote. Without a name, no further `start`
                // can come.
                Ok(_) if unlinked => return Err(Error::internal("`start` died before it said so")),
                Ok(_) => {
                    // A writer has opened the fifo and closed it again. If the fifo has no name now, `start` may have
                    // written since, so the fifo is read once more.
                    unlinked = file::stat_of(fifo)?.st_nlink == 0;
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                Err(err) if err.is(Errno::EAGAIN) => {}
                Err(err) => return Err(err.context("exec.fifo")),
            }
        }
    }

    fn run_container_hooks(&mut self, hooks: &[oci::Hook]) -> Result<()> {
        let state = self.state(Status::Creating);
        // Hooks written for runc name what they change of the rootfs by a relative path.
        file::enter_directory(&self.rootfs()?.root)?;
        process::set_umask(self.alone(), DEFAULT_UMASK);
        run_hooks(HookKind::CreateContainer.name(), hooks, &state, DefaultEnv::Empty)?;
        process::set_umask(self.alone(), 0);
        Ok(())
    }

    fn run_start_hooks(&self, hooks: &[oci::Hook]) -> Result<()> {
        let (program, _) = self.program.as_ref().ok_or_else(not_found_yet)?;
        let env = program::environment(program)?;
        let env: Vec<String> = env.iter().map(|entry| entry.to_string_lossy().into_owned()).collect();
        let state = self.state(Status::Created);
        run_hooks(HookKind::StartContainer.name(), hooks, &state, DefaultEnv::Of(&env))
    }

    fn execute(&mut self, program: &Program) -> Result<()> {
        let (_, path) = self.program.take().ok_or_else(not_found_yet)?;
        program::execute(program, &path).map(|never| match never {})
    }
}

fn container_has_stopped() -> Error {
    Error::new(Kind::WrongState, "cannot exec in a stopped container")
}

fn not_found_yet() -> Error {
    Error::internal("the program was not looked for")
}

/// Installs a filter. If the kernel doesn't know a flag, an optional flag is dropped, and a flag that the profile asks
/// for is an error.
fn install(filter: &Filter) -> Result<Option<OwnedFd>> {
    match seccomp::install(&filter.program, filter.flags | filter.optional_flags) {
        Err(err) if err.is(Errno::EINVAL) && filter.optional_flags != FilterFlags::NONE => {
            seccomp::install(&filter.program, filter.flags)
        }
        result => result,
    }
}

/// Signals that end a process by default. The first process of a pid namespace gets only signals that it handles, and
/// `kill` must end a container that was created and not started.
const ENDING_SIGNALS: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

fn join_keyring(name: &str) -> Result<()> {
    match keyring::join_session_keyring(name) {
        // The kernel has no keys, or an outer container's filter forbids them: there are none to keep apart.
        Err(err) if err.is(Errno::ENOSYS) || err.is(Errno::EPERM) => Ok(()),
        result => keyring::add_permissions(result?, KEYRING_SEARCH),
    }
}

//! The supervisor: the `corten` process while it creates a container. It performs its steps of the plan top to bottom,
//! waits for init where the plan says so, and takes back all it did if anything fails.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::fcntl::OFlag;

use super::cgroup::{self, Cgroup, CreatedCgroup, Entrance};
use super::handshake::{Channel, Message};
use super::hooks::{DefaultEnv, run_hook};
use super::init::{self, Inherited};
use super::starting::{self, Started};
use super::trace::Tracer;
use super::{build, idmap, limits, listener};
use crate::error::{Context, Errno, Error, Kind, Result, best_effort};
use crate::plan::seccomp::Filter;
use crate::plan::{Action, Actor, JoinedNamespace, Mount, Plan, Step, TimeOffset};
use crate::spec::{HookKind, Namespace, oci};
use crate::state::{ContainerDir, ContainerId, Lock, OciState, Record, Root, Status};
use crate::sys::clock::Deadline;
use crate::sys::namespace::{self, Forked};
use crate::sys::pidfd::{PidFd, ProcessStat};
use crate::sys::process::{self, Ended, SingleThreaded};
use crate::sys::{file, signal, socket};

/// How long a killed init may take to be gone.
const DEATH_PATIENCE: Duration = Duration::from_secs(10);

/// What `create` is given.
pub struct Creation<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// Where the state is kept.
    pub root: &'a Root,
    /// The container's name.
    pub id: &'a ContainerId,
    /// The record, without what only comes to be (pid and start time).
    pub record: Record,
    /// The text of config.json.
    pub config: &'a [u8],
    /// The caller's console socket, connected.
    pub console_socket: Option<OwnedFd>,
    /// Where the pid of init is written to.
    pub pid_file: Option<&'a Path>,
    /// A socket that gets the pidfd of init.
    pub pidfd_socket: Option<&'a Path>,
    /// Times the steps.
    pub tracer: &'a Tracer,
}

/// A container that waits for `start`.
pub struct Created {
    /// Its directory.
    pub dir: ContainerDir,
    /// Its record, as saved.
    pub record: Record,
    /// Init.
    pub pidfd: PidFd,
    /// The line to init, which closes when it becomes the program.
    pub channel: Channel,
    /// Set if the plan started it at once.
    pub started: Option<Started>,
    /// Where it says that it is ready, if the plan made that socket.
    pub notify_socket: Option<OwnedFd>,
    /// Held until the caller has done with the container what it wants.
    pub lock: Lock,
}

/// Creates a container.
///
/// Errors: what the failing step says; then nothing of the container is left.
pub fn create(creation: Creation) -> Result<Created> {
    // Init must not be traced or looked into by what shares its namespaces, from its first moment on.
    process::set_dumpable(false)?;
    let alone = SingleThreaded::prove()?;
    let plan = creation.plan;
    let tracer = creation.tracer;
    let mut supervisor = Supervisor::new(creation, alone);
    for step in plan.steps_of(Actor::Supervisor) {
        if let Err(err) = tracer.step(step, || supervisor.perform(step)) {
            supervisor.undo();
            return Err(err);
        }
    }
    supervisor.finish()
}

struct Supervisor<'a> {
    creation: Creation<'a>,
    alone: SingleThreaded,
    dir: Option<(ContainerDir, Lock)>,
    cgroup: Option<CreatedCgroup>,
    /// v2: restricts devices, once init needs none any more.
    device_program: Option<OwnedFd>,
    namespaces: Vec<(Namespace, OwnedFd)>,
    /// The supervisor's own namespaces, for after a clone into others.
    own: Vec<(u64, OwnedFd)>,
    init: Option<InitProcess>,
    pid_file_written: bool,
    notify_socket: Option<OwnedFd>,
    started: Option<Started>,
}

struct InitProcess {
    pid: i32,
    pidfd: PidFd,
    channel: Channel,
}

impl<'a> Supervisor<'a> {
    fn new(creation: Creation<'a>, alone: SingleThreaded) -> Self {
        Supervisor {
            creation,
            alone,
            dir: None,
            cgroup: None,
            device_program: None,
            namespaces: Vec::new(),
            own: Vec::new(),
            init: None,
            pid_file_written: false,
            notify_socket: None,
            started: None,
        }
    }

    fn perform(&mut self, step: &Step) -> Result<()> {
        match &step.action {
            Action::SaveRecord => self.save_record(),
            Action::MakeStartFifo => self.dir()?.make_fifo(),
            Action::MakeNotifyDirectory => self.dir()?.make_notify_directory(),
            Action::CreateCgroup => {
                self.cgroup = Some(cgroup::create(&self.creation.plan.cgroup)?);
                Ok(())
            }
            Action::OpenNamespace(joined) => self.open_namespace(joined),
            Action::BuildMount(mount) => self.build_mount(mount),
            Action::NewTimeNamespace(offsets) => self.new_time_namespace(offsets),
            Action::CloneInit(flags) => self.clone_init(*flags),
            Action::MapIds { uids, gids } => idmap::write_maps(self.init()?.pid, uids, gids),
            Action::AdjustOomScore(score) => limits::adjust_oom_score(self.init()?.pid, *score),
            Action::ReleaseInit => self.go(),
            Action::PrepareRecord => self.prepare_record(),
            Action::LimitCgroup => self.limit_cgroup(),
            Action::RunRuntimeHooks(hooks) => self.run_runtime_hooks(hooks),
            Action::SetRlimits(rlimits) => {
                self.expect(|message| matches!(message, Message::Limits))?;
                limits::set_rlimits(self.init()?.pid, rlimits)?;
                self.go()
            }
            Action::HandOverListener => self.hand_over_listener(),
            Action::AwaitCreated => self.expect(|message| matches!(message, Message::Created)).map(drop),
            Action::RestrictDevices => {
                let program = self.device_program.take();
                self.cgroup()?.restrict_devices(&self.creation.plan.cgroup, program)
            }
            Action::SaveCreated => self.save_created(),
            Action::BindNotifySocket => {
                self.notify_socket = Some(self.dir()?.bind_notify_socket(&self.alone)?);
                Ok(())
            }
            Action::StartAtOnce => {
                self.started = Some(starting::start(self.dir()?)?);
                Ok(())
            }
            Action::LetInitGo => {
                self.go()?;
                self.expect(|message| matches!(message, Message::Independent)).map(drop)
            }
            _ => Err(Error::internal(format!("{} is not for the supervisor", step.stage().name()))),
        }
    }

    fn save_record(&mut self) -> Result<()> {
        let dir = ContainerDir::create(self.creation.root, self.creation.id)?;
        let lock = dir.lock().inspect_err(|_| {
            best_effort(dir.remove(), "the error that brought us here is the one to tell");
        })?;
        self.dir.insert((dir, lock)).0.save(&self.creation.record)
    }

    fn prepare_record(&self) -> Result<()> {
        let dir = self.dir()?;
        dir.prepare(&self.creation.record)?;
        dir.save_exec_config(self.creation.config, self.creation.plan.seccomp.as_ref())
    }

    fn open_namespace(&mut self, joined: &JoinedNamespace) -> Result<()> {
        let fd = file::open_following_links(&joined.path, OFlag::O_RDONLY)?;
        let kind = match namespace::namespace_type(&fd) {
            Err(err) if err.is(Errno::ENOTTY) => 0,
            result => result?,
        };
        let name = joined.namespace.name();
        if kind != joined.namespace.flag() {
            let path = joined.path.display();
            return Err(Error::invalid(format!("{path} is not a {name} namespace")));
        }
        let steps = &self.creation.plan.steps;
        if let Some(step) = steps.iter().find(|step| step.action.changes() == Some(joined.namespace)) {
            if is_own(&fd, file_name(joined.namespace))? {
                return Err(Error::invalid(format!("is the host's own, which {} would change", step.field)));
            }
        }
        match joined.namespace {
            Namespace::Pid => self.enter_for_children(libc::CLONE_NEWPID as u64, "pid", fd),
            Namespace::Mount if is_own(&fd, "mnt")? => {
                Err(Error::invalid("is the host's own: switching the root in it would switch the host's"))
            }
            namespace => {
                self.namespaces.push((namespace, fd));
                Ok(())
            }
        }
    }

    /// A joined pid namespace takes only children; the supervisor's own is kept at hand, since hooks belong there.
    fn enter_for_children(&mut self, flag: u64, name: &str, fd: OwnedFd) -> Result<()> {
        let own = own_namespace(name)?;
        namespace::setns(&self.alone, &fd, flag)?;
        self.own.push((flag, own));
        Ok(())
    }

    /// Builds a mount in init's mount namespace, with the rights of the host.
    fn build_mount(&mut self, mount: &Mount) -> Result<()> {
        let Message::Mount(namespace) = self.expect(|message| matches!(message, Message::Mount(_)))? else {
            return Err(Error::internal("init sent no mount namespace"));
        };
        let built = build::for_init(&self.alone, mount, &namespace)?;
        self.init()?.channel.hand_over_mount(&built)
    }

    fn new_time_namespace(&mut self, offsets: &[TimeOffset]) -> Result<()> {
        let flag = libc::CLONE_NEWTIME as u64;
        let own = own_namespace("time")?;
        namespace::unshare(&self.alone, flag)?;
        self.own.push((flag, own));
        if offsets.is_empty() {
            return Ok(());
        }
        let line =
            |offset: &TimeOffset| format!("{} {} {}\n", offset.clock, offset.seconds, offset.nanoseconds);
        let lines: String = offsets.iter().map(line).collect();
        file::write_following_links(Path::new("/proc/self/timens_offsets"), &lines)
    }

    fn clone_init(&mut self, flags: u64) -> Result<()> {
        let (channel, init_channel) = Channel::pair()?;
        let start_fifo = self.dir()?.open_fifo_for_init()?;
        let plan = self.creation.plan;
        let mut entrance = match &self.cgroup {
            Some(cgroup) => cgroup.entrance()?,
            // It is born where its caller is.
            None => Entrance::default(),
        };
        #[cfg(feature = "faults")]
        super::trace::tie_supervisor()?;
        let (pid, pidfd) = match entrance
            .clone_child(&self.alone, if plan.intermediate { 0 } else { flags })?
        {
            Forked::Parent { pid, pidfd } => (pid, pidfd),
            Forked::Child(child) => {
                let inherited = Inherited {
                    child,
                    steps: &plan.steps,
                    request: &plan.request,
                    filter: plan.seccomp.as_ref(),
                    record: &self.creation.record,
                    channel: init_channel,
                    entrance,
                    namespaces: std::mem::take(&mut self.namespaces),
                    container: None,
                    console_socket: self.creation.console_socket.take(),
                    start_fifo: Some(start_fifo),
                    tracer: self.creation.tracer,
                };
                if plan.intermediate { init::fork_and_run(inherited, flags) } else { init::run(inherited) }
            }
        };
        self.init = Some(InitProcess { pid, pidfd: PidFd::from(pidfd), channel });
        drop(init_channel);
        self.return_to_own_namespaces()?;
        if plan.intermediate {
            self.adopt_init()?;
        }
        self.namespaces.clear();
        self.creation.console_socket = None;
        self.identify_init()
    }

    fn return_to_own_namespaces(&mut self) -> Result<()> {
        for (flag, own) in self.own.drain(..) {
            namespace::setns(&self.alone, &own, flag).doing("return to the supervisor's own namespace")?;
        }
        Ok(())
    }

    /// Takes the process that the intermediate one has forked for init.
    fn adopt_init(&mut self) -> Result<()> {
        let Some(init) = &mut self.init else { return Err(Error::internal("there is no init yet")) };
        let Some(pidfd) = init.channel.listen_for_forked(&init.pidfd)? else {
            return Err(self.explain_death()?);
        };
        process::wait(init.pid)?;
        init.pidfd = PidFd::from(pidfd);
        // The number that the intermediate process saw may be one of another pid namespace.
        init.pid = init.pidfd.pid()?;
        Ok(())
    }

    /// From here on init has a name that outlives this process: a killed supervisor takes init along, but hooks and
    /// `delete` must know whom they deal with.
    fn identify_init(&mut self) -> Result<()> {
        let pid = self.init()?.pid;
        let start = ProcessStat::read(pid)?.map(|stat| stat.start_ticks);
        let record = &mut self.creation.record;
        record.init_process_pid = pid;
        record.init_process_start = start.unwrap_or(0);
        Ok(())
    }

    fn limit_cgroup(&mut self) -> Result<()> {
        let plan = &self.creation.plan.cgroup;
        let cgroup = self.cgroup()?;
        cgroup.limit_resources(plan)?;
        self.device_program = cgroup.load_device_program(plan)?;
        Ok(())
    }

    fn run_runtime_hooks(&mut self, hooks: &[(HookKind, oci::Hook)]) -> Result<()> {
        self.expect(|message| matches!(message, Message::Hooks))?;
        let state = OciState::of(&self.creation.record, Status::Creating).to_json();
        let mut index = 0;
        let mut kind_before = HookKind::Prestart;
        for (kind, hook) in hooks {
            if *kind != kind_before {
                (index, kind_before) = (0, *kind);
            }
            run_hook(kind.name(), index, hook, &state, DefaultEnv::Empty)?;
            index += 1;
        }
        self.go()
    }

    fn hand_over_listener(&mut self) -> Result<()> {
        let Message::Listener(fd) = self.expect(|message| matches!(message, Message::Listener(_)))? else {
            return Err(Error::internal("init sent no listener"));
        };
        let filter: Option<&Filter> = self.creation.plan.seccomp.as_ref();
        let Some(to) = filter.and_then(|filter| filter.listener.as_ref()) else {
            return Err(Error::internal("the filter has no listener"));
        };
        listener::hand_over(&self.init()?.pidfd, fd, to, &self.creation.record, Status::Creating, 0)?;
        self.go()
    }

    fn save_created(&mut self) -> Result<()> {
        self.dir()?.publish()?;
        let pid = self.init()?.pid;
        if let Some(path) = self.creation.pid_file {
            write_pid_file(path, pid).doing("--pid-file")?;
            self.pid_file_written = true;
        }
        if let Some(path) = self.creation.pidfd_socket {
            send_pidfd(path, &self.init()?.pidfd)?;
        }
        Ok(())
    }

    /// Lets init go on; one that has gone has said why.
    fn go(&mut self) -> Result<()> {
        match self.init()?.channel.go() {
            Err(err) if err.is(Errno::EPIPE) => self.expect(|_| false).and(Err(err)),
            result => result,
        }
    }

    /// Waits for init to say something; what it may say instead of `wanted` is that it failed, or nothing any more.
    fn expect(&mut self, wanted: impl Fn(&Message) -> bool) -> Result<Message> {
        let Some(init) = &mut self.init else { return Err(Error::internal("there is no init yet")) };
        match init.channel.listen()? {
            message if wanted(&message) => Ok(message),
            Message::Failed(err) => Err(err),
            Message::Gone => Err(self.explain_death()?),
            other => Err(Error::internal(format!("init said {} out of turn", other.name()))),
        }
    }

    /// Init ended without a word: only a signal does that.
    fn explain_death(&mut self) -> Result<Error> {
        let init = self.init.take().ok_or_else(|| Error::internal("there is no init"))?;
        let ended = process::wait(init.pid)?;
        let kills = Cgroup::open(self.creation.plan.cgroup.paths()).oom_kills();
        Ok(died(ended, kills))
    }

    fn dir(&self) -> Result<&ContainerDir> {
        self.dir
            .as_ref()
            .map(|(dir, _)| dir)
            .ok_or_else(|| Error::internal("there is no state directory yet"))
    }

    fn cgroup(&self) -> Result<&CreatedCgroup> {
        self.cgroup.as_ref().ok_or_else(|| Error::internal("there is no cgroup yet"))
    }

    fn init(&self) -> Result<&InitProcess> {
        self.init.as_ref().ok_or_else(|| Error::internal("there is no init yet"))
    }

    fn finish(self) -> Result<Created> {
        let (Some((dir, lock)), Some(init)) = (self.dir, self.init) else {
            return Err(Error::internal("the plan created no container"));
        };
        Ok(Created {
            dir,
            record: self.creation.record,
            pidfd: init.pidfd,
            channel: init.channel,
            started: self.started,
            notify_socket: self.notify_socket,
            lock,
        })
    }

    /// Takes back what was done, the latest first. One failure doesn't keep the others from being tried.
    fn undo(mut self) {
        if let Some(path) = self.creation.pid_file.filter(|_| self.pid_file_written) {
            drop(std::fs::remove_file(path));
        }
        if let Some(init) = self.init.take() {
            best_effort(init.pidfd.send_signal(libc::SIGKILL), "it may be dead already");
            let gone = init.pidfd.wait_for_exit(Deadline::after(DEATH_PATIENCE));
            if best_effort(gone, "the cgroup is killed next") == Some(true) {
                best_effort(process::wait(init.pid), "it was reaped when its death was explained");
            }
        }
        if let Some(cgroup) = self.cgroup.take() {
            let live = Cgroup::open(self.creation.plan.cgroup.paths());
            best_effort(
                live.kill_all(),
                "hooks may have left something; an empty cgroup has nothing to kill",
            );
            best_effort(cgroup.undo(), "the error that brought us here is the one to tell");
        }
        if let Some((dir, _lock)) = self.dir.take() {
            best_effort(dir.remove(), "delete --force removes what is left");
        }
    }
}

/// The error of an init that was killed.
pub(super) fn died(ended: Ended, oom_kills: Option<u64>) -> Error {
    match ended {
        Ended::Signaled(number) => {
            let name = signal::name(number);
            // Not the fault of the step at which the supervisor heard of it.
            let err = Error::told(Kind::Kernel, format!("init was killed by {name}"), None);
            match oom_kills {
                _ if number == libc::SIGILL => err.with_hint(
                    "does the seccomp profile (linux.seccomp) forbid what the runtime itself has to do?",
                ),
                Some(1..) => {
                    err.with_hint("the memory limit (linux.resources.memory.limit) is too low to start")
                }
                _ => err,
            }
        }
        Ended::Exited(code) => Error::internal(format!("init exited with {code} and said nothing")),
    }
}

fn own_namespace(name: &str) -> Result<OwnedFd> {
    file::open_following_links(&Path::new("/proc/self/ns").join(name), OFlag::O_RDONLY)
}

/// Its name in `/proc/PID/ns`.
fn file_name(namespace: Namespace) -> &'static str {
    let known = namespace::NAMES.iter().find(|(flag, _)| *flag == namespace.flag());
    known.map_or(namespace.name(), |(_, name)| name)
}

fn is_own(fd: &OwnedFd, name: &str) -> Result<bool> {
    let own = own_namespace(name)?;
    Ok(file::same_file(&file::stat_of(&own)?, &file::stat_of(fd)?))
}

/// Writes a pid file whole or not at all: its reader waits for its name to appear.
pub fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let unfinished = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let open = || std::fs::OpenOptions::new().write(true).create_new(true).open(&unfinished);
    // Never through a link that somebody has put there, nor into a file of his: what has this name is a leftover.
    let written = match open() {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {
            std::fs::remove_file(&unfinished).and_then(|()| open())
        }
        opened => opened,
    };
    let written = written
        .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
        .and_then(|()| std::fs::rename(&unfinished, path))
        .map_err(|err| Error::io(format!("write the pid file {}", path.display()), &err));
    if written.is_err() {
        drop(std::fs::remove_file(&unfinished));
    }
    written
}

/// Sends a pidfd to whoever listens at `path`.
pub fn send_pidfd(path: &Path, pidfd: &PidFd) -> Result<()> {
    let socket = socket::connect(path).doing("--pidfd-socket")?;
    socket::send(socket.as_fd(), b"pidfd", &[pidfd.as_fd()]).doing("--pidfd-socket")
}

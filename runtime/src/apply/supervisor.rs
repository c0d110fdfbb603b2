//! The supervisor: the `corten` process while it creates a container, or brings one more process into it (`exec`).
//!
//! It performs its steps of the plan top to bottom, waits for its child where the plan says so, and takes back all that
//! it did if anything fails (`undo.rs`).

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::cgroup::{self, Cgroup, CreatedCgroup, Entrance};
use super::child::{Child, Silence, died};
use super::handed_out::{send_console, send_pidfd, write_pid_file};
use super::handshake::{Channel, Message};
use super::hooks::{DefaultEnv, Surroundings, run_hook};
use super::preparer::{self, Inherited};
use super::starting::{self, Started};
use super::trace::Tracer;
use super::unit::AskedUnit;
use super::{build, idmap, limits, listener, net_devices, resctrl};
use crate::error::{Errno, Error, Kind, Result, best_effort};
use crate::plan::cgroup::Plan as CgroupPlan;
use crate::plan::seccomp::{Filter, Listener};
use crate::plan::{
    Action, Birthplace, Cloning, CloningInto, Descriptors, ForSupervisor, MappedIds, Mount, NamespaceFlags,
    NetDevice, Plan, RdtGroup, Recorded, Undo,
};
use crate::spec::{HookKind, Namespace, oci};
use crate::state::{ContainerDir, ContainerId, Lock, OciState, Record, StateRoot, Status};
use crate::sys::clock::Deadline;
use crate::sys::namespace::{self, Forked};
use crate::sys::pidfd::{PidFd, ProcessStat};
use crate::sys::poll;
use crate::sys::process::{self, SingleThreaded};

/// What `create` is given.
pub struct Creation<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// Proof that this process has one thread.
    pub alone: &'a SingleThreaded,
    /// Where the state is kept.
    pub root: &'a StateRoot,
    /// The container's name.
    pub id: &'a ContainerId,
    /// The text of config.json.
    pub config: &'a [u8],
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
    /// The master of its terminal, if it has one that was sent nowhere.
    pub terminal: Option<OwnedFd>,
    /// Set if the plan started it at once.
    pub started: Option<Started>,
    /// Where it says that it is ready, if the plan made that socket.
    pub notify_socket: Option<OwnedFd>,
    /// Held until the caller has done with the container what it wants.
    pub lock: Lock,
}

/// What `exec` is given.
pub struct Joining<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// Proof that this process has one thread.
    pub alone: &'a SingleThreaded,
    /// The container.
    pub record: &'a Record,
    /// The container's cgroup.
    pub cgroup: Cgroup,
    /// Times the steps.
    pub tracer: &'a Tracer,
}

/// A process in the container that has executed its program.
pub struct Joined {
    /// Its pid, for the host.
    pub pid: i32,
    /// Its handle.
    pub pidfd: PidFd,
    /// The master of its terminal, if it has one that was sent nowhere.
    pub terminal: Option<OwnedFd>,
}

/// Creates a container.
///
/// Errors: what the failing step says; then nothing of the container is left.
pub fn create(creation: Creation) -> Result<Created> {
    let Creation { plan, alone, root, id, config, tracer } = creation;
    Supervisor::new(plan, alone, tracer, Place::New { root, id, config }).carry_out()?.created()
}

/// Starts a process in the container of the record, and returns once it has become its program.
///
/// Errors: WrongState if the container doesn't run; otherwise what the failing step says, and no process is left.
pub fn exec(joining: Joining) -> Result<Joined> {
    let Joining { plan, alone, record, cgroup, tracer } = joining;
    let Some(init) = record.init()? else {
        return Err(Error::new(Kind::WrongState, "cannot exec in a stopped container"));
    };
    let mut supervisor = Supervisor::new(plan, alone, tracer, Place::Running { cgroup, init });
    supervisor.record = Some(record.clone());
    supervisor.carry_out()?.joined()
}

/// Where the child runs.
enum Place<'a> {
    /// In a new container.
    New { root: &'a StateRoot, id: &'a ContainerId, config: &'a [u8] },
    /// In the container of this init, in the container's cgroup or, from the clone on, in the cgroup that was joined.
    Running { cgroup: Cgroup, init: PidFd },
}

pub(super) struct Supervisor<'a> {
    pub(super) plan: &'a Plan,
    tracer: &'a Tracer,
    place: Place<'a>,
    pub(super) alone: &'a SingleThreaded,
    /// How the steps that were begun are undone, in order.
    pub(super) begun: Vec<Undo>,
    pub(super) record: Option<Record>,
    pub(super) dir: Option<(ContainerDir, Lock)>,
    pub(super) cgroup: Option<CreatedCgroup>,
    pub(super) unit: AskedUnit,
    pub(super) rdt: resctrl::Made,
    /// The way into the resctrl group, for the child.
    rdt_entrance: Option<resctrl::Entrance>,
    /// v2: the device program, loaded early. It is attached when init has made its devices.
    device_program: Option<OwnedFd>,
    /// Where init mounts its root, if it mounts it apart.
    mountpoint: Option<OwnedFd>,
    pub(super) namespaces: Vec<(Namespace, OwnedFd)>,
    /// The supervisor's own time namespace, for after the clone into another.
    pub(super) own_time: Option<OwnedFd>,
    pub(super) init: Option<Child>,
    /// The master of the terminal that init has opened.
    terminal: Option<OwnedFd>,
    /// The pid file, once it is written.
    pub(super) pid_file: Option<PathBuf>,
    notify_socket: Option<OwnedFd>,
    started: Option<Started>,
}

impl<'a> Supervisor<'a> {
    fn new(plan: &'a Plan, alone: &'a SingleThreaded, tracer: &'a Tracer, place: Place<'a>) -> Self {
        Supervisor {
            plan,
            tracer,
            place,
            alone,
            begun: Vec::new(),
            record: None,
            dir: None,
            cgroup: None,
            unit: AskedUnit::default(),
            rdt: resctrl::Made::default(),
            rdt_entrance: None,
            device_program: None,
            mountpoint: None,
            namespaces: Vec::new(),
            own_time: None,
            init: None,
            terminal: None,
            pid_file: None,
            notify_socket: None,
            started: None,
        }
    }

    fn carry_out(mut self) -> Result<Self> {
        match self.perform_all() {
            Ok(()) => Ok(self),
            Err(err) => {
                // systemd takes a cgroup away when its last process has ended. Then what the child failed at is why.
                let err = self.init.as_mut().and_then(Child::failure).unwrap_or(err);
                self.undo();
                Err(err)
            }
        }
    }

    fn perform_all(&mut self) -> Result<()> {
        // Before the clone, so that the child is never traceable for a process that shares a namespace with it.
        process::set_dumpable(false)?;
        let (plan, tracer) = (self.plan, self.tracer);
        for step in &plan.steps {
            let Action::Supervisor(action) = &step.action else { continue };
            self.begun.extend(step.stage().undo().filter(|undo| !self.begun.contains(undo)));
            tracer.step(&plan.steps, step, || self.perform(action))?;
        }
        Ok(())
    }

    fn perform(&mut self, action: &'a ForSupervisor) -> Result<()> {
        match action {
            ForSupervisor::SaveRecord(recorded) => self.save_record(recorded),
            ForSupervisor::CreateCgroup(plan) => cgroup::create(plan).map(|made| self.cgroup = Some(made)),
            ForSupervisor::StartUnit(unit) => self.start_unit(unit),
            ForSupervisor::AwaitUnit => self.unit.settle(),
            ForSupervisor::AttachToUnit(attached) => self.attach_to_unit(attached),
            ForSupervisor::MoveIntoCgroup(plan) => self.move_into_cgroup(plan),
            ForSupervisor::MakeRdtGroup(group) => self.rdt.make_group(group),
            ForSupervisor::WriteSchemata(lines) => self.rdt.settle(lines),
            ForSupervisor::MakeRdtMonitor(path) => self.rdt.make_monitor(path),
            ForSupervisor::OpenRdtGroup(group) => self.open_rdt_group(group),
            ForSupervisor::MakeStartFifo => self.dir()?.make_fifo(),
            ForSupervisor::MakeNotifyDirectory => self.dir()?.make_notify_directory(),
            ForSupervisor::MakeMountpoint => {
                self.dir()?.make_mountpoint().map(|made| self.mountpoint = Some(made))
            }
            ForSupervisor::OpenNamespace(joined) => self.open_namespace(joined),
            ForSupervisor::NewTimeNamespace(offsets) => self.new_time_namespace(offsets),
            ForSupervisor::CloneInit(cloning) => self.clone_init(cloning),
            ForSupervisor::CloneIntoContainer(cloning) => self.clone_into_container(cloning),
            ForSupervisor::AwaitUserNamespace => self.expect_word(Message::InUserNamespace),
            ForSupervisor::MapIds(mapped) => self.map_ids(mapped),
            ForSupervisor::AdoptInit | ForSupervisor::AdoptInitLast => self.adopt_init(),
            ForSupervisor::AdjustOomScore(score) => limits::adjust_oom_score(self.init()?.pid, *score),
            ForSupervisor::AwaitPrepared => self.expect_word(Message::Prepared),
            ForSupervisor::ReleaseInit
            | ForSupervisor::ReleaseIntoCgroup
            | ForSupervisor::ReleasePreparer => self.go(),
            ForSupervisor::PrepareRecord(kept) | ForSupervisor::PrepareRecordLast(kept) => {
                self.prepare_record(kept.filter.as_deref())
            }
            ForSupervisor::DelegateCgroup(uid) => self.cgroup()?.delegate(*uid),
            ForSupervisor::LimitCgroup(plan) | ForSupervisor::LimitCgroupPrepared(plan) => {
                self.limit_cgroup(plan)
            }
            ForSupervisor::LimitCgroupLast(plan) => self.cgroup()?.limit_resources(plan),
            ForSupervisor::MoveNetDevices(devices) => self.move_net_devices(devices),
            ForSupervisor::BuildMount(mount) => self.build_mount(mount),
            ForSupervisor::ReceiveConsole => self.receive_console(),
            ForSupervisor::RunRuntimeHooks(hooks) => self.run_runtime_hooks(hooks),
            ForSupervisor::SetRlimits(rlimits) => limits::set_rlimits(self.init()?.pid, rlimits),
            ForSupervisor::HandOverListener(to) => self.hand_over_listener(to),
            ForSupervisor::AwaitCreated => self.expect_word(Message::Created),
            ForSupervisor::RestrictDevices(plan) | ForSupervisor::RestrictDevicesPrepared(plan) => {
                self.restrict_devices(plan)
            }
            ForSupervisor::SendConsole(path) => self.send_console(path),
            ForSupervisor::SaveCreated => self.dir()?.publish(),
            ForSupervisor::WritePidFile(path) => self.write_pid_file(path),
            ForSupervisor::SendPidfd(path) => send_pidfd(path, &self.init()?.pidfd),
            ForSupervisor::BindNotifySocket => {
                self.dir()?.bind_notify_socket().map(|socket| self.notify_socket = Some(socket))
            }
            ForSupervisor::StartAtOnce => {
                starting::start(self.dir()?, self.record()?).map(|started| self.started = Some(started))
            }
            ForSupervisor::LetInitGo => self.go().and_then(|()| self.expect_word(Message::Independent)),
            ForSupervisor::AwaitExecution => self.await_execution(),
        }
    }

    fn save_record(&mut self, recorded: &Recorded) -> Result<()> {
        let Place::New { root, id, .. } = self.place else {
            return Err(Error::internal("a running container has its record"));
        };
        let dir = ContainerDir::create(root, id)?;
        let lock = dir.lock().inspect_err(|_| {
            best_effort(dir.remove(), "the error that brought us here is the one to tell");
        })?;
        let record = self.record.insert(Record::begun(recorded));
        self.dir.insert((dir, lock)).0.save(record)
    }

    fn open_rdt_group(&mut self, group: &RdtGroup) -> Result<()> {
        self.rdt_entrance = Some(resctrl::Entrance::open(group)?);
        Ok(())
    }

    fn restrict_devices(&mut self, plan: &CgroupPlan) -> Result<()> {
        let program = self.device_program.take();
        self.cgroup()?.restrict_devices(plan, program)
    }

    fn limit_cgroup(&mut self, plan: &CgroupPlan) -> Result<()> {
        let cgroup = self.cgroup()?;
        cgroup.limit_resources(plan)?;
        self.device_program = cgroup.load_device_program(plan)?;
        Ok(())
    }

    fn write_pid_file(&mut self, path: &Path) -> Result<()> {
        if write_pid_file(path, self.init()?.pid)? {
            self.pid_file = Some(path.to_owned());
        }
        Ok(())
    }

    fn prepare_record(&self, filter: Option<&Filter>) -> Result<()> {
        let Place::New { config, .. } = self.place else {
            return Err(Error::internal("a running container has its record"));
        };
        let dir = self.dir()?;
        dir.prepare(self.record()?)?;
        dir.save_exec_config(config, filter)
    }

    fn move_net_devices(&mut self, devices: &[NetDevice]) -> Result<()> {
        let namespace = self.expect(|message| match message {
            Message::NetDevices(Some(namespace)) => Ok(namespace),
            other => Err(other),
        })?;
        net_devices::move_into(self.alone, &namespace, devices)?;
        self.go()
    }

    /// Builds a mount in init's mount namespace, with the rights of the host.
    fn build_mount(&mut self, mount: &Mount) -> Result<()> {
        let namespace = self.expect(|message| match message {
            Message::Mount(Some(namespace)) => Ok(namespace),
            other => Err(other),
        })?;
        let built = build::for_init(self.alone, mount, &namespace)?;
        self.init()?.channel.hand_over_mount(&built)
    }

    fn receive_console(&mut self) -> Result<()> {
        let master = self.expect(|message| match message {
            Message::Console(Some(master)) => Ok(master),
            other => Err(other),
        })?;
        self.terminal = Some(master);
        Ok(())
    }

    fn send_console(&mut self, path: &Path) -> Result<()> {
        let master = self.terminal.take();
        send_console(path, &master.ok_or_else(|| Error::internal("there is no terminal"))?)
    }

    fn clone_init(&mut self, cloning: &Cloning) -> Result<()> {
        let entrance = match &self.cgroup {
            Some(cgroup) => cgroup.entrance()?,
            // Init is born in the cgroup of its caller.
            None => Entrance::default(),
        };
        let start_fifo = Some(self.dir()?.open_fifo_for_init()?);
        if cloning.dumpable {
            process::while_dumpable(|| self.clone_child(entrance, cloning, start_fifo))?;
        } else {
            self.clone_child(entrance, cloning, start_fifo)?;
        }
        self.return_to_own_time()?;
        self.namespaces.clear();
        self.identify_init()
    }

    /// Maps the ids of the child. A child that has said something by now has failed, and told why: the files in /proc
    /// of a process that has ended are root's.
    fn map_ids(&mut self, mapped: &MappedIds) -> Result<()> {
        let child = self.init()?;
        match idmap::map(child.pid, mapped) {
            Err(_) if poll::readable_by(&child.channel, Deadline::Now)? => self.expect(Err::<(), _>),
            result => result,
        }
    }

    /// The intermediate process has forked init, and init is the child from here on.
    fn adopt_init(&mut self) -> Result<()> {
        let room = match &self.place {
            Place::Running { cgroup, .. } => Some(cgroup),
            // What its limits have no room for comes later.
            Place::New { .. } => None,
        };
        let init = self.init.as_mut().ok_or_else(|| Error::internal("there is no init yet"))?;
        let adopted = init.adopt_forked(room);
        adopted.map_err(|silence| self.explained(silence))?;
        match self.place {
            Place::New { .. } => self.identify_init(),
            Place::Running { .. } => Ok(()),
        }
    }

    /// Clones the process into the container's cgroup, or into the cgroup below it that the plan names.
    ///
    /// The intermediate process alone is born in the cgroup of v2, because the clone needs the cgroup's directory open,
    /// which is the host's.
    fn clone_into_container(&mut self, cloning: &CloningInto) -> Result<()> {
        let Place::Running { cgroup, .. } = &self.place else {
            return Err(Error::internal("there is no container to join"));
        };
        let own = cgroup.below(&cloning.cgroups)?;
        if cloning.birth == Birthplace::Caller {
            return self.clone_joining(Entrance::default(), cloning.descriptors);
        }
        match self.clone_into(own.clone(), cloning.descriptors) {
            Err(err) if !cloning.cgroups.is_empty() => Err(err),
            Err(err) if cloning.birth == Birthplace::ContainerIfAllowed && err.is(Errno::EACCES) => {
                self.clone_joining(Entrance::default(), cloning.descriptors)
            }
            Err(err) => match own.instead(&err, self.record()?.init_process_pid)? {
                Some(of_init) => self.clone_into(of_init, cloning.descriptors),
                None => Err(err),
            },
            result => result,
        }
    }

    fn clone_into(&mut self, joined: Cgroup, descriptors: Descriptors) -> Result<()> {
        let entrance = joined.entrance()?;
        if let Place::Running { cgroup, .. } = &mut self.place {
            *cgroup = joined;
        }
        self.clone_joining(entrance, descriptors)
    }

    fn clone_joining(&mut self, entrance: Entrance, descriptors: Descriptors) -> Result<()> {
        let cloning = Cloning { namespaces: NamespaceFlags(0), descriptors, dumpable: false };
        self.clone_child(entrance, &cloning, None)
    }

    fn clone_child(
        &mut self,
        mut entrance: Entrance,
        cloning: &Cloning,
        start_fifo: Option<OwnedFd>,
    ) -> Result<()> {
        let (channel, init_channel) = Channel::pair()?;
        #[cfg(feature = "faults")]
        super::trace::tie_supervisor()?;
        let (pid, pidfd) = match entrance.clone_child(self.alone, cloning.namespaces.0)? {
            Forked::Parent { pid, pidfd } => (pid, pidfd),
            Forked::Child(child) => preparer::run(self.inheritance(
                child,
                cloning.descriptors,
                init_channel,
                entrance,
                start_fifo,
            )?),
        };
        self.init = Some(Child { pid, pidfd: PidFd::from(pidfd), channel });
        self.mountpoint = None;
        self.rdt_entrance = None;
        Ok(())
    }

    /// What the child, a copy of the supervisor, takes over from it.
    fn inheritance(
        &mut self,
        child: namespace::InChild,
        descriptors: Descriptors,
        channel: Channel,
        entrance: Entrance,
        start_fifo: Option<OwnedFd>,
    ) -> Result<Inherited<'_>> {
        let namespaces = std::mem::take(&mut self.namespaces);
        let mountpoint = self.mountpoint.take();
        let rdt_entrance = self.rdt_entrance.take();
        let container = match &self.place {
            Place::Running { init, .. } => Some(init.as_fd()),
            Place::New { .. } => None,
        };
        Ok(Inherited {
            child,
            steps: &self.plan.steps,
            descriptors,
            record: self.record()?,
            channel,
            entrance,
            rdt_entrance,
            namespaces,
            container,
            mountpoint,
            start_fifo,
            tracer: self.tracer,
        })
    }

    /// Notes init's pid and the time of its start: hooks and `delete` must know which process is init, even when the
    /// supervisor has ended.
    fn identify_init(&mut self) -> Result<()> {
        let pid = self.init()?.pid;
        let start = ProcessStat::read(pid)?.map(|stat| stat.start_ticks);
        let record = self.record.as_mut().ok_or_else(|| Error::internal("there is no record yet"))?;
        record.init_process_pid = pid;
        record.init_process_start = start.unwrap_or(0);
        Ok(())
    }

    fn run_runtime_hooks(&mut self, hooks: &[(HookKind, oci::Hook)]) -> Result<()> {
        self.expect_word(Message::Hooks)?;
        let record = self.record()?;
        let state = OciState::of(record, Status::Creating).to_json();
        let surroundings =
            Surroundings { state: &state, env: DefaultEnv::Empty, directory: Some(&record.bundle) };
        let mut index = 0;
        let mut kind_before = HookKind::Prestart;
        for (kind, hook) in hooks {
            if *kind != kind_before {
                (index, kind_before) = (0, *kind);
            }
            run_hook(kind.name(), index, hook, surroundings)?;
            index += 1;
        }
        self.go()
    }

    fn hand_over_listener(&mut self, to: &Listener) -> Result<()> {
        let number = self.expect(|message| match message {
            Message::Listener(number) => Ok(number),
            other => Err(other),
        })?;
        let fetched = self.child()?.fetch_fd(number);
        let listener = fetched.map_err(|silence| self.explained(silence))?;
        let (status, pid) = match self.place {
            Place::New { .. } => (Status::Creating, 0),
            Place::Running { .. } => (Status::Running, self.init()?.pid),
        };
        listener::hand_over(listener, to, self.record()?, status, pid)?;
        self.go()
    }

    fn await_execution(&mut self) -> Result<()> {
        let executed = self.child()?.await_execution();
        executed.map_err(|silence| self.explained(silence))
    }

    /// Lets the child go on.
    fn go(&mut self) -> Result<()> {
        let went = self.child()?.go();
        went.map_err(|silence| self.explained(silence))
    }

    /// Waits for the message that `wanted` accepts. The child may say instead that it failed, or end without a word.
    fn expect<T>(&mut self, wanted: impl FnOnce(Message) -> Result<T, Message>) -> Result<T> {
        let said = self.child()?.expect(wanted);
        said.map_err(|silence| self.explained(silence))
    }

    /// Waits for a message without content.
    fn expect_word(&mut self, wanted: Message) -> Result<()> {
        let is_it = |said: &Message| std::mem::discriminant(said) == std::mem::discriminant(&wanted);
        self.expect(|said| if is_it(&said) { Ok(()) } else { Err(said) })
    }

    fn explained(&mut self, silence: Silence) -> Error {
        match silence {
            Silence::Err(err) => err,
            Silence::Ended(ended) => {
                // The child is reaped, so its pid may be another process's by now.
                self.init = None;
                let who = match self.place {
                    Place::New { .. } => "init",
                    Place::Running { .. } => "the process",
                };
                died(who, ended, self.oom_kills())
            }
        }
    }

    fn oom_kills(&self) -> Option<u64> {
        match (&self.place, &self.record) {
            (Place::Running { cgroup, .. }, _) => cgroup.oom_kills(),
            (Place::New { .. }, Some(record)) => Cgroup::open(record.cgroup_paths.clone()).oom_kills(),
            (Place::New { .. }, None) => None,
        }
    }

    fn dir(&self) -> Result<&ContainerDir> {
        let dir = self.dir.as_ref().map(|(dir, _)| dir);
        dir.ok_or_else(|| Error::internal("there is no state directory yet"))
    }

    fn record(&self) -> Result<&Record> {
        self.record.as_ref().ok_or_else(|| Error::internal("there is no record yet"))
    }

    fn cgroup(&self) -> Result<&CreatedCgroup> {
        self.cgroup.as_ref().ok_or_else(|| Error::internal("there is no cgroup yet"))
    }

    pub(super) fn init(&self) -> Result<&Child> {
        self.init.as_ref().ok_or_else(|| Error::internal("there is no init yet"))
    }

    fn child(&mut self) -> Result<&mut Child> {
        self.init.as_mut().ok_or_else(|| Error::internal("there is no init yet"))
    }

    fn created(self) -> Result<Created> {
        let (Some((dir, lock)), Some(record), Some(init)) = (self.dir, self.record, self.init) else {
            return Err(Error::internal("the plan created no container"));
        };
        Ok(Created {
            dir,
            record,
            pidfd: init.pidfd,
            channel: init.channel,
            terminal: self.terminal,
            started: self.started,
            notify_socket: self.notify_socket,
            lock,
        })
    }

    fn joined(self) -> Result<Joined> {
        let init = self.init.ok_or_else(|| Error::internal("the plan started no process"))?;
        Ok(Joined { pid: init.pid, pidfd: init.pidfd, terminal: self.terminal })
    }
}

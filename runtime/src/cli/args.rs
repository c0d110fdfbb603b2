//! What a command line means: each command with its arguments as values that can't be wrong.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};
use regex_lite::Regex;

use super::go::{parse_bool, parse_bytes, parse_duration};
use super::low::LowArgs;
use crate::error::{Context, Error, Result};
use crate::report::{LogFormat, LogLevel, LogTarget};
use crate::state::ContainerId;

/// The flags that stand before the command.
#[derive(Debug, Default)]
pub struct Global {
    /// `--root`
    pub root: RootPath,
    /// `--log`, `--log-format`, `--log-level`, `--debug`
    pub log: LogTarget,
    /// `--cgroup-manager`
    pub cgroup_manager: CgroupManager,
    /// `--rootless`
    #[cfg_attr(not(test), expect(dead_code, reason = "nothing asks yet"))]
    pub rootless: Rootless,
    /// `--trace`
    pub trace: Option<PathBuf>,
}

/// Where the state of containers is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RootPath {
    /// Nobody said: see [`crate::state::Root::default_path`].
    #[default]
    Default,
    /// An absolute path.
    Given(PathBuf),
}

/// Who makes the container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// Corten does, in the cgroup filesystem.
    #[default]
    Cgroupfs,
    /// Nobody: the container stays in the caller's cgroup.
    Disabled,
}

/// Whether a missing permission for cgroups is borne.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rootless {
    /// If the caller isn't root.
    #[default]
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// A command with what it was given.
#[derive(Debug)]
pub enum Command {
    Create(CreateArgs),
    Delete(DeleteArgs),
    Events(EventsArgs),
    Exec(Box<ExecArgs>),
    Features,
    Kill(KillArgs),
    List(ListArgs),
    Pause(IdArgs),
    Plan(PlanArgs),
    Ps(PsArgs),
    Resume(IdArgs),
    Run(RunArgs),
    Spec(SpecArgs),
    Start(IdArgs),
    State(IdArgs),
    Update(Box<UpdateArgs>),
}

/// What a command needs that takes a container and nothing else.
#[derive(Debug)]
pub struct IdArgs {
    /// The container.
    pub id: ContainerId,
}

/// Which containers a command is for.
#[derive(Debug)]
pub enum Which {
    /// One, by its name.
    One(ContainerId),
    /// `--regex`: all whose names have a match.
    Matching(Regex),
}

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

/// `exec`
#[derive(Debug)]
pub struct ExecArgs {
    /// The container.
    pub id: ContainerId,
    /// What runs.
    pub process: ExecProcess,
    /// `--detach`
    pub detach: bool,
    /// `--console-socket`
    pub console_socket: Option<PathBuf>,
    /// `--pid-file`
    pub pid_file: Option<PathBuf>,
    /// `--pidfd-socket`
    pub pidfd_socket: Option<PathBuf>,
    /// `--preserve-fds`: how many, from number 3 on.
    pub preserve_fds: u32,
    /// `--cgroup`, in the order given.
    pub cgroups: Vec<ExecCgroup>,
    /// `--ignore-paused`
    pub ignore_paused: bool,
}

/// What `exec` runs.
#[derive(Debug)]
pub enum ExecProcess {
    /// `--process FILE`; the flags that describe a process are ignored then.
    File(PathBuf),
    /// The container's own process with these changes.
    Changed(Box<ProcessArgs>),
}

/// How the process of `exec` differs from that of the container's config.json.
#[derive(Debug)]
pub struct ProcessArgs {
    /// The program and its arguments; never empty.
    pub args: Vec<String>,
    /// `--cwd`
    pub cwd: Option<PathBuf>,
    /// `--env`, added to the container's.
    pub env: Vec<String>,
    /// `--tty`
    pub tty: bool,
    /// `--user`
    pub user: Option<ExecUser>,
    /// `--additional-gids`, added to the container's.
    pub additional_gids: Vec<u32>,
    /// `--cap`, added to the bounding, effective and permitted sets; never to the inheritable one (CVE-2022-29162).
    pub capabilities: Vec<String>,
    /// `--no-new-privs`
    pub no_new_privileges: bool,
    /// `--apparmor`
    pub apparmor_profile: Option<String>,
    /// `--process-label`
    pub selinux_label: Option<String>,
}

/// `--user UID[:GID]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecUser {
    /// The user.
    pub uid: u32,
    /// The group; without one, that of the container's process stays.
    pub gid: Option<u32>,
}

/// `--cgroup [CONTROLLER[,CONTROLLER…]:]PATH`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCgroup {
    /// On cgroup v1, the controllers that the path is meant for; empty for all.
    pub controllers: Vec<String>,
    /// A cgroup, relative to the container's.
    pub path: PathBuf,
}

/// `kill`
#[derive(Debug)]
pub struct KillArgs {
    /// The container, or containers.
    pub which: Which,
    /// The signal's number; 0 asks whether the container runs.
    pub signal: i32,
    /// `--all`
    pub all: bool,
}

/// `delete`
#[derive(Debug)]
pub struct DeleteArgs {
    /// The container, or containers.
    pub which: Which,
    /// `--force`
    pub force: bool,
}

/// `list`
#[derive(Debug)]
pub struct ListArgs {
    /// `--format`
    pub format: ListFormat,
    /// `--quiet`
    pub quiet: bool,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// `ps`
#[derive(Debug)]
pub struct PsArgs {
    /// The container.
    pub id: ContainerId,
    /// `--format`
    pub format: ListFormat,
    /// The options for ps(1).
    pub options: Vec<OsString>,
}

/// `events`
#[derive(Debug)]
pub struct EventsArgs {
    /// The container.
    pub id: ContainerId,
    /// `--interval`; never zero.
    pub interval: Duration,
    /// `--stats`: once, and no more.
    pub once: bool,
}

/// `update`
#[derive(Debug)]
pub struct UpdateArgs {
    /// The container.
    pub id: ContainerId,
    /// Where the limits come from.
    pub source: UpdateSource,
}

/// Where `update` has the limits from.
#[derive(Debug)]
pub enum UpdateSource {
    /// `--resources -`
    Stdin,
    /// `--resources FILE`
    File(PathBuf),
    /// The other flags.
    Flags(Box<LinuxResources>),
}

/// `spec`
#[derive(Debug)]
pub struct SpecArgs {
    /// `--bundle`
    pub bundle: PathBuf,
    /// `--rootless`
    pub rootless: bool,
}

/// `plan`
#[derive(Debug)]
pub struct PlanArgs {
    /// The container's name.
    pub id: ContainerId,
    /// The bundle, as it was typed.
    pub bundle: PathBuf,
    /// `--no-pivot`
    pub no_pivot: bool,
    /// `--no-new-keyring`
    pub no_new_keyring: bool,
    /// `--steps`: only the names of the steps.
    pub steps: bool,
}

impl Which {
    fn one(&self) -> Option<&ContainerId> {
        match self {
            Which::One(id) => Some(id),
            Which::Matching(_) => None,
        }
    }
}

impl Global {
    pub(super) fn from(mut low: LowArgs) -> Result<Global> {
        Ok(Global {
            root: low.path("root").map_or(Ok(RootPath::Default), |path| root(&path))?,
            log: log_target(&mut low)?,
            cgroup_manager: cgroup_manager(&mut low)?,
            rootless: low.value("rootless", rootless)?.unwrap_or_default(),
            trace: low.path("trace"),
        })
    }
}

fn root(path: &Path) -> Result<RootPath> {
    let absolute = std::path::absolute(path).map_err(|err| Error::io("getcwd()", &err))?;
    match lexically_cleaned(&absolute) {
        path if path == Path::new("/") => Err(Error::invalid("--root must not be /")),
        path => Ok(RootPath::Given(path)),
    }
}

/// The path without `.` and `..`, as Go's filepath.Clean has it: the directory may not exist yet.
fn lexically_cleaned(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().fold(PathBuf::new(), |mut clean, component| {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
        clean
    })
}

fn log_target(low: &mut LowArgs) -> Result<LogTarget> {
    let format = low.value("log-format", |text| match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Error::invalid(format!("{text:?} is neither text nor json"))),
    })?;
    let level = low.value("log-level", |text| match text {
        "debug" => Ok(LogLevel::Debug),
        "warning" | "warn" | "info" => Ok(LogLevel::Warning),
        "error" => Ok(LogLevel::Error),
        _ => Err(Error::invalid(format!("{text:?} is not one of debug, warning and error"))),
    })?;
    let level = if low.flag("debug") { LogLevel::Debug } else { level.unwrap_or_default() };
    Ok(LogTarget { file: low.path("log"), format: format.unwrap_or_default(), level })
}

fn cgroup_manager(low: &mut LowArgs) -> Result<CgroupManager> {
    let no_systemd = || Error::unsupported("--systemd-cgroup: not supported yet");
    if low.flag("systemd-cgroup") {
        return Err(no_systemd());
    }
    let manager = low.text("cgroup-manager")?;
    match manager.as_deref() {
        None | Some("cgroupfs") => Ok(CgroupManager::Cgroupfs),
        Some("disabled") => Ok(CgroupManager::Disabled),
        Some("systemd") => Err(no_systemd()),
        Some(other) => Err(Error::invalid(format!(
            "--cgroup-manager: {other:?} is not one of cgroupfs, systemd and disabled"
        ))),
    }
}

fn rootless(text: &str) -> Result<Rootless> {
    match parse_bool(text) {
        Some(true) => Ok(Rootless::Yes),
        Some(false) => Ok(Rootless::No),
        None if text.eq_ignore_ascii_case("auto") => Ok(Rootless::Auto),
        None => Err(Error::invalid(format!("{text:?} is not one of true, false and auto"))),
    }
}

impl Command {
    pub(super) fn from(name: &str, mut low: LowArgs) -> Result<Command> {
        let low = &mut low;
        Ok(match name {
            "create" => Command::Create(CreateArgs::from(low)?),
            "delete" => Command::Delete(DeleteArgs { force: low.flag("force"), which: which(low)? }),
            "events" => Command::Events(EventsArgs::from(low)?),
            "exec" => Command::Exec(Box::new(ExecArgs::from(low)?)),
            "features" => Command::Features,
            "kill" => Command::Kill(KillArgs::from(low)?),
            "list" => Command::List(ListArgs { format: list_format(low)?, quiet: low.flag("quiet") }),
            "pause" => Command::Pause(IdArgs { id: id(low)? }),
            "plan" => Command::Plan(PlanArgs::from(low)?),
            "ps" => {
                Command::Ps(PsArgs { format: list_format(low)?, options: low.take_all("args"), id: id(low)? })
            }
            "resume" => Command::Resume(IdArgs { id: id(low)? }),
            "run" => Command::Run(RunArgs::from(low)?),
            "spec" => Command::Spec(SpecArgs { rootless: low.flag("rootless"), bundle: bundle(low) }),
            "start" => Command::Start(IdArgs { id: id(low)? }),
            "state" => Command::State(IdArgs { id: id(low)? }),
            "update" => Command::Update(Box::new(UpdateArgs::from(low)?)),
            // Every table has its arm here; a test goes through them all.
            other => return Err(Error::internal(format!("{other}: a command without a meaning"))),
        })
    }
}

impl Command {
    /// The command's name and its container, as a message says them: `create web1`.
    pub fn doing(&self) -> String {
        let (name, id) = match self {
            Command::Create(args) => ("create", Some(&args.id)),
            Command::Delete(args) => ("delete", args.which.one()),
            Command::Events(args) => ("events", Some(&args.id)),
            Command::Exec(args) => ("exec", Some(&args.id)),
            Command::Features => ("features", None),
            Command::Kill(args) => ("kill", args.which.one()),
            Command::List(_) => ("list", None),
            Command::Pause(args) => ("pause", Some(&args.id)),
            Command::Plan(_) => ("plan", None),
            Command::Ps(args) => ("ps", Some(&args.id)),
            Command::Resume(args) => ("resume", Some(&args.id)),
            Command::Run(args) => ("run", Some(&args.create.id)),
            Command::Spec(_) => ("spec", None),
            Command::Start(args) => ("start", Some(&args.id)),
            Command::State(args) => ("state", Some(&args.id)),
            Command::Update(args) => ("update", Some(&args.id)),
        };
        id.map_or_else(|| name.into(), |id| format!("{name} {id}"))
    }
}

impl CreateArgs {
    fn from(low: &mut LowArgs) -> Result<CreateArgs> {
        Ok(CreateArgs {
            id: id(low)?,
            bundle: bundle(low),
            config: low.path("config"),
            console_socket: low.path("console-socket"),
            pid_file: low.path("pid-file"),
            pidfd_socket: low.path("pidfd-socket"),
            no_pivot: low.flag("no-pivot"),
            no_new_keyring: low.flag("no-new-keyring"),
            preserve_fds: low.number("preserve-fds")?.unwrap_or(0),
        })
    }
}

impl RunArgs {
    fn from(low: &mut LowArgs) -> Result<RunArgs> {
        Ok(RunArgs {
            create: CreateArgs::from(low)?,
            detach: low.flag("detach"),
            keep: low.flag("keep"),
            no_subreaper: low.flag("no-subreaper"),
        })
    }
}

impl ExecArgs {
    fn from(low: &mut LowArgs) -> Result<ExecArgs> {
        let process = match low.path("process") {
            Some(file) => ExecProcess::File(file),
            None => ExecProcess::Changed(Box::new(ProcessArgs::from(low)?)),
        };
        Ok(ExecArgs {
            id: id(low)?,
            process,
            detach: low.flag("detach"),
            console_socket: low.path("console-socket"),
            pid_file: low.path("pid-file"),
            pidfd_socket: low.path("pidfd-socket"),
            preserve_fds: low.number("preserve-fds")?.unwrap_or(0),
            cgroups: low
                .texts("cgroup")?
                .iter()
                .map(|text| ExecCgroup::parse(text))
                .collect::<Result<_>>()?,
            ignore_paused: low.flag("ignore-paused"),
        })
    }
}

impl ProcessArgs {
    fn from(low: &mut LowArgs) -> Result<ProcessArgs> {
        let args = low.texts("args")?;
        if args.is_empty() {
            return Err(Error::invalid("COMMAND is missing, and so is --process FILE"));
        }
        let gid = |text: &String| parse_id(text).doing("--additional-gids");
        Ok(ProcessArgs {
            args,
            cwd: low.path("cwd"),
            env: low.texts("env")?,
            tty: low.flag("tty"),
            user: low.text("user")?.map(|user| ExecUser::parse(&user).doing("--user")).transpose()?,
            additional_gids: low.texts("additional-gids")?.iter().map(gid).collect::<Result<_>>()?,
            capabilities: low.texts("cap")?,
            no_new_privileges: low.flag("no-new-privs"),
            apparmor_profile: low.text("apparmor")?.filter(|text| !text.is_empty()),
            selinux_label: low.text("process-label")?.filter(|text| !text.is_empty()),
        })
    }
}

impl ExecUser {
    fn parse(text: &str) -> Result<ExecUser> {
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (text, None),
        };
        Ok(ExecUser { uid: parse_id(uid)?, gid: gid.map(parse_id).transpose()? })
    }
}

/// A uid or gid. A name is refused, since the container's /etc/passwd isn't to be trusted with it (CVE-2016-3697),
/// and so is the number that the kernel takes for "unchanged" (CVE-2024-40635).
fn parse_id(text: &str) -> Result<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(id) if digits && id != u32::MAX => Ok(id),
        _ => Err(Error::invalid(format!("{text:?} is not a number from 0 to {}", u32::MAX - 1))),
    }
}

impl ExecCgroup {
    fn parse(text: &str) -> Result<ExecCgroup> {
        let (controllers, path) = text.split_once(':').unwrap_or(("", text));
        if path.is_empty() {
            return Err(Error::invalid(format!("--cgroup: {text:?} has no path")));
        }
        let controllers = controllers.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(ExecCgroup { controllers, path: path.into() })
    }
}

impl KillArgs {
    fn from(low: &mut LowArgs) -> Result<KillArgs> {
        let signal = match low.text("signal")?.as_deref() {
            None | Some("") => Signal::SIGTERM as i32,
            Some(text) => parse_signal(text)?,
        };
        Ok(KillArgs { which: which(low)?, signal, all: low.flag("all") })
    }
}

/// A signal by number, by name, or relative to the first or last realtime signal: `9`, `KILL`, `sigkill`, `RTMIN+3`.
fn parse_signal(text: &str) -> Result<i32> {
    const REALTIME_FIRST: i32 = 34;
    const REALTIME_LAST: i32 = 64;
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i32>().ok() };
    let number = if let Ok(number) = name.parse::<i32>() {
        Some(number)
    } else if let Some(after) = name.strip_prefix("RTMIN") {
        offset(after).map(|offset| REALTIME_FIRST + offset).filter(|number| *number >= REALTIME_FIRST)
    } else if let Some(after) = name.strip_prefix("RTMAX") {
        offset(after).map(|offset| REALTIME_LAST + offset).filter(|number| *number >= REALTIME_FIRST)
    } else {
        Signal::from_str(&format!("SIG{name}")).ok().map(|signal| signal as i32)
    };
    number
        .filter(|number| (0..=REALTIME_LAST).contains(number))
        .ok_or_else(|| Error::invalid(format!("unknown signal {text:?}")))
}

impl EventsArgs {
    fn from(low: &mut LowArgs) -> Result<EventsArgs> {
        let interval = low.value("interval", |text| match parse_duration(text)? {
            Duration::ZERO => Err(Error::invalid("duration interval must be greater than 0")),
            interval => Ok(interval),
        })?;
        let interval = interval.unwrap_or(Duration::from_secs(5));
        Ok(EventsArgs { id: id(low)?, interval, once: low.flag("stats") })
    }
}

impl UpdateArgs {
    fn from(low: &mut LowArgs) -> Result<UpdateArgs> {
        let source = match low.path("resources") {
            Some(file) if file == Path::new("-") => UpdateSource::Stdin,
            Some(file) => UpdateSource::File(file),
            None => UpdateSource::Flags(Box::new(resources(low)?)),
        };
        for name in ["l3-cache-schema", "mem-bw-schema"] {
            if low.text(name)?.is_some_and(|schema| !schema.is_empty()) {
                // No container has one: linux.intelRdt is refused when it is created.
                return Err(Error::unsupported(format!(
                    "--{name}: Intel RDT is not enabled: the container has no resctrl group"
                )));
            }
        }
        Ok(UpdateArgs { id: id(low)?, source })
    }
}

/// The flags of `update` as the `linux.resources` they stand for.
fn resources(low: &mut LowArgs) -> Result<LinuxResources> {
    let mut memory = LinuxMemory::default();
    memory.set_limit(low.value("memory", bytes_or_unlimited)?);
    memory.set_reservation(low.value("memory-reservation", bytes_or_unlimited)?);
    memory.set_swap(low.value("memory-swap", bytes_or_unlimited)?);

    let mut cpu = LinuxCpu::default();
    cpu.set_shares(low.number("cpu-share")?);
    cpu.set_quota(low.number("cpu-quota")?);
    cpu.set_period(low.number("cpu-period")?);
    cpu.set_burst(low.number("cpu-burst")?);
    cpu.set_realtime_runtime(low.number("cpu-rt-runtime")?);
    cpu.set_realtime_period(low.number("cpu-rt-period")?);
    cpu.set_idle(low.number("cpu-idle")?);
    cpu.set_cpus(low.text("cpuset-cpus")?.filter(|list| !list.is_empty()));
    cpu.set_mems(low.text("cpuset-mems")?.filter(|list| !list.is_empty()));

    let mut block_io = LinuxBlockIo::default();
    block_io.set_weight(low.number("blkio-weight")?.filter(|weight| *weight != 0));

    let mut resources = LinuxResources::default();
    resources.set_memory((memory != LinuxMemory::default()).then_some(memory));
    resources.set_cpu((cpu != LinuxCpu::default()).then_some(cpu));
    resources.set_block_io((block_io != LinuxBlockIo::default()).then_some(block_io));
    resources.set_pids(low.number("pids-limit")?.map(|limit| {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        pids
    }));
    Ok(resources)
}

fn bytes_or_unlimited(text: &str) -> Result<i64> {
    if text == "-1" { Ok(-1) } else { parse_bytes(text) }
}

impl PlanArgs {
    fn from(low: &mut LowArgs) -> Result<PlanArgs> {
        let id = low.take("id").unwrap_or_else(|| "plan".into());
        Ok(PlanArgs {
            id: ContainerId::parse(id)?,
            bundle: bundle(low),
            no_pivot: low.flag("no-pivot"),
            no_new_keyring: low.flag("no-new-keyring"),
            steps: low.flag("steps"),
        })
    }
}

fn id(low: &mut LowArgs) -> Result<ContainerId> {
    ContainerId::parse(low.take("id").unwrap_or_default())
}

fn which(low: &mut LowArgs) -> Result<Which> {
    if !low.flag("regex") {
        return id(low).map(Which::One);
    }
    let pattern = low.text("id")?.unwrap_or_default();
    let regex = Regex::new(&pattern);
    regex.map(Which::Matching).map_err(|err| Error::invalid(format!("--regex: {pattern:?}: {err}")))
}

fn bundle(low: &mut LowArgs) -> PathBuf {
    low.path("bundle").unwrap_or_else(|| PathBuf::from("."))
}

fn list_format(low: &mut LowArgs) -> Result<ListFormat> {
    let format = low.value("format", |text| match text {
        "table" => Ok(ListFormat::Table),
        "json" => Ok(ListFormat::Json),
        _ => Err(Error::invalid(format!("invalid format option: {text:?} is neither table nor json"))),
    })?;
    Ok(format.unwrap_or_default())
}

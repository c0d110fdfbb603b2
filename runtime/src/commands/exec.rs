//! `exec`: one more process in a running container.

use std::rc::Rc;

use nix::fcntl::OFlag;

use super::create::{Console, check_preserved, connect_console};
use super::{Container, Invocation};
use crate::apply::foreground::{OwnConsole, Signals, attend};
use crate::apply::{Joined, Joining, Tracer, exec};
use crate::cli::{ExecArgs, ExecProcess, ProcessArgs};
use crate::error::{Context, Error, Kind, Result};
use crate::plan::{self, NamespaceFlags, Request};
use crate::probe;
use crate::spec::{self, SIZE_BYTES_MAX, Spec, oci};
use crate::state::Status;
use crate::sys::file;

/// Runs a process in a container. In the foreground the exit code is that of the process, or 128 and the signal that
/// ended it.
pub fn run(invocation: &Invocation, args: ExecArgs) -> Result<u8> {
    let signals = if args.detach { None } else { Some(Signals::collect()?) };
    let (process, console) = join(invocation, &args)?;
    let Some(signals) = signals else { return Ok(0) };
    let terminal = console.map(|console| console.receive()).transpose()?;
    attend(&process.pidfd, process.pid, &signals, terminal, None).map(|ended| ended.code() as u8)
}

fn join(invocation: &Invocation, args: &ExecArgs) -> Result<(Joined, Option<OwnConsole>)> {
    let container = Container::open(&invocation.root()?, &args.id)?;
    check_status(container.status()?, args.ignore_paused)?;
    let (config, filter) = container.dir.load_exec_config()?;
    let spec = Spec::load(config.as_bytes()).doing("config.json")?;
    let process = process(&args.process, &spec)?;
    let console = match &args.console_socket {
        None if !args.detach => Console::Own,
        socket => Console::Handed(socket.clone()),
    };
    let request = Request {
        id: args.id.as_str().to_string(),
        terminal_relayed: matches!(console, Console::Own),
        preserve_fds: args.preserve_fds,
        pid_file: args.pid_file.clone(),
        pidfd_socket: args.pidfd_socket.clone(),
        ..Request::default()
    };
    check_preserved("--preserve-fds", args.preserve_fds)?;
    let joining = plan::Joining {
        process: &process,
        spec: &spec,
        filter: filter.map(Rc::new),
        namespaces: NamespaceFlags(container.record.namespaces),
        request: &request,
    };
    let plan = plan::exec(&joining, &probe::machine())?;
    invocation.report.debug(|| plan.explain());
    let (console, console_socket) = connect_console(console, process.terminal().unwrap_or(false))?;
    let below: Vec<_> = args
        .cgroups
        .iter()
        .flat_map(|cgroup| {
            let controllers =
                if cgroup.controllers.is_empty() { vec![String::new()] } else { cgroup.controllers.clone() };
            controllers.into_iter().map(|controller| (controller, cgroup.path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let cgroup = if below.is_empty() { container.cgroup() } else { container.cgroup().below(&below)? };
    let joined = exec(Joining {
        plan: &plan,
        record: &container.record,
        cgroup: &cgroup,
        console_socket,
        tracer: &Tracer::to(invocation.global.trace.as_deref())?,
    })?;
    Ok((joined, console))
}

fn check_status(status: Status, ignore_paused: bool) -> Result<()> {
    let refused = |text: &str| Err(Error::new(Kind::WrongState, text));
    match status {
        Status::Stopped => refused("cannot exec in a stopped container"),
        Status::Creating => refused("cannot exec in a container that is being created"),
        Status::Paused if !ignore_paused => {
            refused("cannot exec in a paused container (use --ignore-paused to override)")
        }
        _ => Ok(()),
    }
}

/// The process as a file describes it, or the container's own with changes.
fn process(given: &ExecProcess, spec: &Spec) -> Result<oci::Process> {
    let own =
        spec.process().ok_or_else(|| Error::invalid("process: is missing in the container's config"))?;
    match given {
        ExecProcess::File(path) => {
            let flag = || format!("--process {}", path.display());
            let opened =
                file::open_following_links(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).doing_with(flag)?;
            let text = file::read_limited(opened, SIZE_BYTES_MAX).doing_with(flag)?;
            let (mut process, _) = spec::load_process(&text).doing_with(flag)?;
            if process.capabilities().is_none() {
                process.set_capabilities(own.capabilities().clone());
            }
            Ok(process)
        }
        ExecProcess::Changed(changes) => changed(own.clone(), changes),
    }
}

fn changed(mut process: oci::Process, changes: &ProcessArgs) -> Result<oci::Process> {
    process.set_args(Some(changes.args.clone()));
    process.set_terminal(Some(changes.tty));
    process.set_console_size(None);
    if let Some(cwd) = &changes.cwd {
        process.set_cwd(cwd.clone());
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(changes.env.iter().cloned());
    process.set_env(Some(env));
    if let Some(user) = changes.user {
        let own = process.user_mut();
        own.set_uid(user.uid);
        if let Some(gid) = user.gid {
            own.set_gid(gid);
        }
    }
    if !changes.additional_gids.is_empty() {
        let mut gids = process.user().additional_gids().clone().unwrap_or_default();
        gids.extend(&changes.additional_gids);
        process.user_mut().set_additional_gids(Some(gids));
    }
    if !changes.capabilities.is_empty() {
        let sets = process.capabilities().clone().unwrap_or_default();
        process.set_capabilities(Some(with_capabilities(sets, &changes.capabilities)?));
    }
    if changes.no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    if changes.apparmor_profile.is_some() {
        process.set_apparmor_profile(changes.apparmor_profile.clone());
    }
    if changes.selinux_label.is_some() {
        process.set_selinux_label(changes.selinux_label.clone());
    }
    spec::check_process(&process)?;
    Ok(process)
}

/// Adds to what the process may do, and hands it on only where the container's own process may: nothing becomes
/// inheritable (CVE-2022-29162), and what isn't can't become ambient.
fn with_capabilities(mut sets: oci::LinuxCapabilities, names: &[String]) -> Result<oci::LinuxCapabilities> {
    let mut added = oci::Capabilities::new();
    for name in names {
        let known = serde_json::from_value::<oci::Capability>(serde_json::Value::String(name.clone()));
        added.insert(known.map_err(|_| Error::invalid(format!("--cap: {name} is no capability")))?);
    }
    let with = |set: &Option<oci::Capabilities>| {
        Some(set.iter().flatten().chain(&added).copied().collect::<oci::Capabilities>())
    };
    let (bounding, effective, permitted) =
        (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
    let inheritable = sets.inheritable().clone().unwrap_or_default();
    let ambient = with(sets.ambient()).unwrap_or_default().intersection(&inheritable).copied().collect();
    sets.set_ambient(Some(ambient));
    sets.set_bounding(bounding);
    sets.set_effective(effective);
    sets.set_permitted(permitted);
    Ok(sets)
}

//! `exec`: one more process in a running container.

use std::path::PathBuf;

use nix::fcntl::OFlag;

use super::Invocation;
use crate::apply::foreground::{Signals, attend};
use crate::cli::{ExecArgs, ExecCgroup, ExecProcess as Typed, ProcessArgs};
use crate::container::{Console, ExecOptions, ExecProcess, Joinable, NewProcess, Tracer};
use crate::error::{Context, Result};
use crate::spec::{SIZE_BYTES_MAX, oci};
use crate::sys::file;

/// Runs a process in a container. In the foreground the exit code is that of the process, or 128 and the signal that
/// ended it.
///
/// Process-wide effects: in the foreground, all signals are blocked; else those that end this process.
pub(super) fn run(invocation: &Invocation, args: ExecArgs) -> Result<u8> {
    let detach = args.detach;
    let signals = if detach { Signals::collect_ending() } else { Signals::collect() }?;
    let process = exec(invocation, args)?;
    if detach {
        return Ok(0);
    }
    attend(&process.pidfd, process.pid, &signals, process.terminal, None).map(|ended| ended.code() as u8)
}

fn exec(invocation: &Invocation, args: ExecArgs) -> Result<NewProcess> {
    let container = invocation.runtime()?.find(&args.id)?;
    let joinable =
        if args.ignore_paused { container.joinable_even_if_paused() } else { container.joinable() }?;
    let process = process(invocation, &args.process, &joinable)?;
    invocation.report.warnings(process.warnings());
    let console = match args.console_socket {
        None if !args.detach => Console::Relayed,
        socket => socket.map_or(Console::Nobody, Console::Socket),
    };
    let options = ExecOptions {
        console,
        pid_file: args.pid_file,
        pidfd_socket: args.pidfd_socket,
        preserve_fds: args.preserve_fds,
        cgroups: args.cgroups.iter().flat_map(by_controller).collect(),
        tracer: Tracer::to(invocation.global.trace.as_deref())?,
    };
    let planned = joinable.plan(process, options)?;
    invocation.report.debug(|| planned.explain());
    planned.exec(invocation.process()?)
}

fn by_controller(cgroup: &ExecCgroup) -> Vec<(String, PathBuf)> {
    if cgroup.controllers.is_empty() {
        vec![(String::new(), cgroup.path.clone())]
    } else {
        cgroup.controllers.iter().map(|controller| (controller.clone(), cgroup.path.clone())).collect()
    }
}

/// The process that a file describes, or the container's own process with changes.
fn process(invocation: &Invocation, typed: &Typed, joinable: &Joinable) -> Result<ExecProcess> {
    let own = joinable.own_process()?;
    match typed {
        Typed::File(path) => {
            let flag = || format!("--process {}", path.display());
            let opened =
                file::open_following_links(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK).doing_with(flag)?;
            let text = file::read_limited(opened, SIZE_BYTES_MAX).doing_with(flag)?;
            ExecProcess::from_json(&text).doing_with(flag)
        }
        Typed::Changed(changes) => {
            let capabilities = known_capabilities(invocation, &changes.capabilities);
            ExecProcess::check(changed(own.clone(), changes, &capabilities))
        }
    }
}

/// The capabilities of these names. A name that nobody knows is left out with a warning, as in config.json.
fn known_capabilities(invocation: &Invocation, names: &[String]) -> oci::Capabilities {
    let known = |name: &String| {
        let capability = serde_json::from_value(serde_json::Value::String(name.clone())).ok();
        if capability.is_none() {
            let warning = format!("--cap: {name:?} is not known here and is left out");
            invocation.report.warning(&warning);
        }
        capability
    };
    names.iter().filter_map(known).collect()
}

fn changed(
    mut process: oci::Process,
    changes: &ProcessArgs,
    capabilities: &oci::Capabilities,
) -> oci::Process {
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
    if !capabilities.is_empty() {
        let sets = process.capabilities().clone().unwrap_or_default();
        process.set_capabilities(Some(with_capabilities(sets, capabilities)));
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
    process
}

/// Adds capabilities to the bounding, effective and permitted sets. None is added to the inheritable set
/// (CVE-2022-29162). An ambient capability must be inheritable, so a capability becomes ambient only if it is in the
/// inheritable set of the container's own process.
fn with_capabilities(mut sets: oci::LinuxCapabilities, added: &oci::Capabilities) -> oci::LinuxCapabilities {
    let with = |set: &Option<oci::Capabilities>| {
        Some(set.iter().flatten().chain(added).copied().collect::<oci::Capabilities>())
    };
    let (bounding, effective, permitted) =
        (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
    let inheritable = sets.inheritable().clone().unwrap_or_default();
    let ambient = with(sets.ambient()).unwrap_or_default().intersection(&inheritable).copied().collect();
    sets.set_ambient(Some(ambient));
    sets.set_bounding(bounding);
    sets.set_effective(effective);
    sets.set_permitted(permitted);
    sets
}

//! `delete`: takes away all that is left of a container.

use super::container::for_each;
use super::{Container, Invocation};
use crate::apply::hooks::{DefaultEnv, run_hook};
use crate::cli::DeleteArgs;
use crate::error::{Error, Kind, Result};
use crate::report::Report;
use crate::state::{ContainerDir, OciState, Status};

/// Deletes a container, or several.
pub fn run(invocation: &Invocation, args: DeleteArgs) -> Result<u8> {
    let root = invocation.root()?;
    for_each(&root, &args.which, |id| {
        match ContainerDir::open(&root, id).and_then(|dir| delete(dir, args.force, &invocation.report)) {
            Err(err) if args.force && err.kind() == Kind::NotFound => Ok(()),
            result => result,
        }
    })?;
    Ok(0)
}

/// Deletes the container of `dir`: with `force` whatever it is doing, without only if it has stopped or was never
/// started.
///
/// Errors: WrongState for a container that runs; NotFound if `create` died before it wrote a record, and then the
/// directory is gone all the same.
pub fn delete(dir: ContainerDir, force: bool, report: &Report) -> Result<()> {
    let _lock = dir.lock()?;
    let record = match dir.load() {
        Err(err) if err.kind() == Kind::NotFound => {
            dir.remove()?;
            return Err(err);
        }
        // What a broken record named can't be known any more; that it is there must not keep the id taken for ever.
        Err(err) if force && err.kind() == Kind::Internal => {
            report.warning(&format!("{err}: whatever the container had besides its directory is left"));
            return dir.remove();
        }
        record => record?,
    };
    let container = Container { dir, record };
    match container.status_locked()? {
        Status::Stopped | Status::Created => {}
        _ if force => {}
        status => {
            let id = container.dir.id();
            return Err(Error::new(
                Kind::WrongState,
                format!("cannot delete container {id} that is not stopped: {status}"),
            ));
        }
    }
    destroy(&container, report)
}

/// Ends what runs of a container and removes what there is of it: the cgroup, then the directory. A kill at any
/// moment leaves the record, so that `delete` can be said again.
fn destroy(container: &Container, report: &Report) -> Result<()> {
    let cgroup = container.cgroup();
    if container.has_cgroup()? {
        container.kill_and_wait()?;
        // A pid namespace takes its processes with it; a shared one, or a `create` that died, leaves some.
        if !cgroup.pids()?.is_empty() {
            cgroup.kill_all()?;
        }
        cgroup.remove()?;
    } else {
        cgroup.remove_if_empty()?;
    }
    container.dir.remove()?;
    run_poststop_hooks(container, report);
    Ok(())
}

/// A hook that fails is reported, and the others run: the specification wants it so.
fn run_poststop_hooks(container: &Container, report: &Report) {
    let state = OciState::of(&container.record, Status::Stopped).to_json();
    for (index, hook) in container.record.poststop.iter().enumerate() {
        if let Err(err) = run_hook("poststop", index, hook, &state, DefaultEnv::Empty) {
            report.warning(&err.to_string());
        }
    }
}

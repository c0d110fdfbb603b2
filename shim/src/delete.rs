//! `delete`: what is left of a container whose server is gone. containerd runs it when the connection to a server
//! breaks, and after a start that failed.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use containerd_shim_protos::api::DeleteResponse;
use corten::error::{Context, Errno, Error, Result};
use corten::internals::sys::mountinfo::{self, MountInfo};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{SigSet, Signal};
use protobuf::Message;

use crate::args::Args;
use crate::bundle::Bundle;
use crate::driver::{self, Driver};
use crate::events::timestamp;
use crate::machine::call::Exit;
use crate::socket;

/// What init's end counts as if no server has seen it: SIGKILL, as `delete` itself sends.
const KILLED: u32 = 128 + Signal::SIGKILL as u32;

/// Takes everything away, and tells containerd how init ended. What can't be taken away is told on standard error, and
/// doesn't keep the rest from going. A container that is gone already is no error.
pub fn run(args: &Args) -> Result<()> {
    // containerd sends it when it stops itself, and what is half done then would stay so.
    SigSet::from(Signal::SIGTERM)
        .thread_block()
        .map_err(|errno| Error::kernel("sigprocmask(SIGTERM)", errno))?;
    let bundle = bundle(args)?;
    let (pid, stored) = how_it_ended(&bundle);
    let steps = [
        delete_container(&bundle, args).doing("delete the container"),
        unmount(&bundle).doing("unmount the root filesystem"),
        remove_socket(&bundle, args).doing("remove the socket"),
    ];
    steps.into_iter().filter_map(Result::err).for_each(|err| warn(&err.to_string()));
    let exit = stored.unwrap_or_else(|| Exit { status: KILLED, at: SystemTime::now() });
    let response = DeleteResponse {
        pid,
        exit_status: exit.status,
        exited_at: Some(timestamp(exit.at)).into(),
        ..DeleteResponse::default()
    };
    let bytes = response.write_to_bytes().map_err(|err| Error::internal(err.to_string()))?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&bytes).and_then(|()| stdout.flush()).map_err(|err| Error::io("write(stdout)", &err))
}

/// The bundle that is named, or else the one with the container's name beside the working directory.
fn bundle(args: &Args) -> Result<Bundle> {
    if let Some(named) = &args.bundle {
        return Ok(Bundle::at(named));
    }
    let here = std::env::current_dir().map_err(|err| Error::io("getcwd()", &err))?;
    Ok(Bundle::at(here.with_file_name(&args.id)))
}

/// The pid of init, 0 if there was none, and how init ended, if a server has stored it.
fn how_it_ended(bundle: &Bundle) -> (u32, Option<Exit>) {
    let stored = or_warn(bundle.exit());
    let pid = or_warn(bundle.init_pid()).or(stored.map(|(pid, _)| pid)).unwrap_or(0);
    (pid, stored.map(|(_, exit)| exit))
}

fn delete_container(bundle: &Bundle, args: &Args) -> Result<()> {
    let driver = Driver::stored(bundle.runtime()?.as_deref());
    let root = driver::root(&bundle.options()?.root, &args.namespace);
    driver.delete_by_force(bundle.dir(), &root, &args.id)?.iter().for_each(|text| warn(text));
    Ok(())
}

/// Unmounts all that is mounted at the root filesystem and below, whoever still uses it.
fn unmount(bundle: &Bundle) -> Result<()> {
    let rootfs = bundle.rootfs();
    // The table has paths without links. Only the bundle's own path is looked up: a filesystem may not answer.
    let Some(Ok(dir)) = rootfs.parent().map(fs::canonicalize) else { return Ok(()) };
    let rootfs = dir.join("rootfs");
    let table = mountinfo::read()?;
    let points = MountInfo::all(&table).map(|mount| mount.point());
    let inside: Vec<_> = points.filter(|point| point.starts_with(&rootfs)).collect();
    inside.iter().rev().try_for_each(|point| detach(point))
}

fn detach(point: &Path) -> Result<()> {
    match umount2(point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
        // It went together with another mount.
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Error::kernel(format!("umount2({}, MNT_DETACH)", point.display()), errno)),
    }
}

/// Removes the socket, unless the group's other containers still have their server.
fn remove_socket(bundle: &Bundle, args: &Args) -> Result<()> {
    let path = match bundle.address()? {
        Some(address) => socket::path_of(&address),
        None => {
            let dir = bundle.socket_dir().unwrap_or_else(|| socket::DIRECTORY.into());
            let group = or_warn(bundle.group());
            Some(socket::path(&dir, &args.address, &args.namespace, group.as_ref().unwrap_or(&args.id))?)
        }
    };
    path.map_or(Ok(()), |path| socket::remove_unless_served(&path))
}

fn or_warn<T>(result: Result<Option<T>>) -> Option<T> {
    result.unwrap_or_else(|err| {
        warn(&err.to_string());
        None
    })
}

/// containerd logs what comes on standard error.
fn warn(text: &str) {
    crate::say(&format!("warning: {text}"));
}

//! Mounts of the root filesystem with mapped ids, as containerd asks for them by the options `uidmap=` and `gidmap=`.
//!
//! A mount takes its map from a user namespace, which only a process with a single thread can make. So a process of
//! this file does it, in a fresh process. It builds each mount in a mount namespace of its own, with whatever else the
//! mount is made of: nothing of that is left behind, even if the process is killed.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use corten::error::{Context, Error, Result};
use corten::internals::apply::user_namespace;
use corten::internals::plan::{IdMap, IdMapping};
use corten::internals::sys::mount::{attach, clone_tree, set_id_map};
use corten::internals::sys::process::SingleThreaded;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use super::{below, make_directory, mount_one};
use crate::bundle::Bundle;
use crate::machine::call::RootfsMount;
use crate::refusal::Refusal;

/// The options that ask for it: maps of users and of groups.
const OPTIONS: [&str; 2] = ["uidmap=", "gidmap="];

/// More than containerd ever sends.
const STDIN_BYTES_MAX: u64 = 10 << 20;

/// Whether any of these mounts has mapped ids.
pub fn is_asked(mounts: &[RootfsMount]) -> bool {
    mounts.iter().flat_map(|mount| &mount.options).any(|option| is_a_map(option))
}

fn is_a_map(option: &str) -> bool {
    OPTIONS.iter().any(|name| option.starts_with(name))
}

/// Mounts what standard input says in JSON, in this order, onto the root filesystem of the bundle that is the working
/// directory. If one fails, those before it stay.
pub fn run() -> Result<()> {
    let alone = SingleThreaded::prove()?;
    let mut text = Vec::new();
    let read = std::io::stdin().lock().take(STDIN_BYTES_MAX).read_to_end(&mut text);
    read.map_err(|err| Error::io("read(stdin)", &err))?;
    let mounts: Vec<RootfsMount> =
        serde_json::from_slice(&text).map_err(|err| Error::internal(format!("standard input: {err}")))?;
    let bundle = std::env::current_dir().map_err(|err| Error::io("getcwd()", &err))?;
    let rootfs = Bundle::at(bundle).rootfs();
    make_directory(&rootfs).map_err(refused)?;
    mounts.iter().try_for_each(|wanted| place(&alone, wanted, &rootfs))
}

/// Builds a mount, and places it where it belongs.
fn place(alone: &SingleThreaded, wanted: &RootfsMount, rootfs: &Path) -> Result<()> {
    let (maps, options): (Vec<_>, Vec<_>) =
        wanted.options.iter().cloned().partition(|option| is_a_map(option));
    let plain = RootfsMount { options, ..wanted.clone() };
    let Some(mapping) = mapping(&maps)? else { return mount_one(&plain, rootfs).map_err(refused) };
    let ids = user_namespace(alone, &mapping)?;
    let target = below(rootfs, &wanted.target).map_err(refused)?;
    let own = open("/proc/self/ns/mnt")?;
    enter_scratch_namespace(rootfs)?;
    let build = if wanted.kind == "overlay" { overlay } else { single };
    let built =
        build(&plain, rootfs, &ids).doing_with(|| format!("mount {} with mapped ids", wanted.kind))?;
    setns(own, CloneFlags::CLONE_NEWNS).map_err(|errno| Error::kernel("setns(NEWNS)", errno))?;
    attach(built.as_fd(), open(target)?.as_fd())
}

/// Moves this process to a mount namespace of its own, where an empty directory stands at `dir`.
fn enter_scratch_namespace(dir: &Path) -> Result<()> {
    let none = None::<&str>;
    unshare(CloneFlags::CLONE_NEWNS).map_err(|errno| Error::kernel("unshare(NEWNS)", errno))?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|errno| Error::kernel("mount(/, MS_PRIVATE)", errno))?;
    mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), none)
        .map_err(|errno| Error::kernel("mount(tmpfs)", errno))
}

/// An overlay has the ids of its upper layer as they are there, and mapped those of the lower layers.
fn overlay(wanted: &RootfsMount, scratch: &Path, ids: &OwnedFd) -> Result<OwnedFd> {
    let mut options = wanted.options.clone();
    let lower = options.iter_mut().find(|option| option.starts_with(LOWER));
    let lower = lower.ok_or_else(|| Error::invalid("an overlay without lowerdir="))?;
    let layers: Vec<String> = lower[LOWER.len()..].split(':').map(str::to_owned).collect();
    for (number, layer) in layers.iter().enumerate() {
        let place = made(scratch, &number.to_string())?;
        let copy = clone_tree(place.as_fd(), Path::new(layer), false)?;
        set_id_map(copy.as_fd(), ids.as_fd(), false)?;
        attach(copy.as_fd(), place.as_fd())?;
    }
    // The places' names keep the list short, however long the layers' names are.
    let places: Vec<String> = (0..layers.len()).map(|number| number.to_string()).collect();
    *lower = format!("{LOWER}{}", places.join(":"));
    std::env::set_current_dir(scratch).map_err(|err| Error::io("chdir(the root filesystem)", &err))?;
    mounted(&RootfsMount { options, ..wanted.clone() }, scratch)
}

const LOWER: &str = "lowerdir=";

/// Any other mount has all of its ids mapped, and none of the mounts below it.
fn single(wanted: &RootfsMount, scratch: &Path, ids: &OwnedFd) -> Result<OwnedFd> {
    let mount = mounted(wanted, scratch)?;
    set_id_map(mount.as_fd(), ids.as_fd(), false)?;
    Ok(mount)
}

/// Mounts in the scratch directory, and takes a detached copy.
fn mounted(wanted: &RootfsMount, scratch: &Path) -> Result<OwnedFd> {
    const NAME: &str = "root";
    drop(made(scratch, NAME)?);
    mount_one(&RootfsMount { target: NAME.into(), ..wanted.clone() }, scratch).map_err(refused)?;
    clone_tree(open(scratch)?.as_fd(), Path::new(NAME), false)
}

fn made(dir: &Path, name: &str) -> Result<File> {
    let path = dir.join(name);
    fs::create_dir(&path).map_err(|err| Error::io(format!("mkdir({})", path.display()), &err))?;
    open(path)
}

fn open(path: impl AsRef<Path>) -> Result<File> {
    let path = path.as_ref();
    File::open(path).map_err(|err| Error::io(format!("open({})", path.display()), &err))
}

fn refused(refusal: Refusal) -> Error {
    Error::internal(refusal.text)
}

/// The maps that the options ask for: of users and of groups, or none.
fn mapping(options: &[String]) -> Result<Option<IdMapping>> {
    let of = |name: &str| options.iter().rev().find_map(|option| option.strip_prefix(name));
    match (of(OPTIONS[0]), of(OPTIONS[1])) {
        (None, None) => Ok(None),
        (Some(uids), Some(gids)) => Ok(Some(IdMapping { uids: lines(uids)?, gids: lines(gids)? })),
        _ => Err(Error::invalid("a mount has uidmap= without gidmap=, or the other way round")),
    }
}

/// `container:host:size`, or several of them with commas between.
fn lines(text: &str) -> Result<Vec<IdMap>> {
    let line = |text: &str| {
        let numbers: Vec<u32> = text.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [container, host, size] = *numbers else { return None };
        Some(IdMap { container, host, size })
    };
    let lines: Option<Vec<IdMap>> = text.split(',').map(line).collect();
    lines.ok_or_else(|| Error::invalid(format!("{text:?} is no map of the form container:host:size")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_has_lines_of_three_numbers() {
        let map = |container, host, size| IdMap { container, host, size };
        assert_eq!(lines("0:100000:65536").ok(), Some(vec![map(0, 100_000, 65_536)]));
        assert_eq!(lines("0:1000:1,1:100000:9").ok(), Some(vec![map(0, 1000, 1), map(1, 100_000, 9)]));
        for text in ["", "0:1", "0:1:2:3", "0:-1:2", "0:1:2,", "a:b:c"] {
            assert!(lines(text).is_err_and(|err| err.to_string().contains(text)), "{text}");
        }
    }

    #[test]
    fn users_and_groups_are_mapped_together() {
        let options = ["uidmap=0:1:2", "gidmap=0:3:4"].map(String::from);
        let mapping = mapping(&options).ok().flatten().expect("maps");
        assert_eq!((mapping.uids[0].host, mapping.gids[0].host), (1, 3));
        assert!(super::mapping(&options[..1]).is_err());
        assert!(super::mapping(&[]).is_ok_and(|mapping| mapping.is_none()));
    }
}

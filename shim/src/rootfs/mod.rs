//! The root filesystem of a container, mounted as containerd says.

pub mod id_mapped;

use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::machine::call::RootfsMount;
use crate::refusal::{Code, Refusal};

/// The kernel takes one page of data, its end included.
const DATA_BYTES_MAX: usize = 4095;
/// How many mounts one on the other are taken away from one place.
const LAYERS_MAX: usize = 64;

/// The options that are flags: the word, the flag, and whether the word clears it.
const FLAGS: [(&str, MsFlags, bool); 27] = [
    ("async", MsFlags::MS_SYNCHRONOUS, true),
    ("atime", MsFlags::MS_NOATIME, true),
    ("bind", MsFlags::MS_BIND, false),
    ("defaults", MsFlags::empty(), false),
    ("dev", MsFlags::MS_NODEV, true),
    ("diratime", MsFlags::MS_NODIRATIME, true),
    ("dirsync", MsFlags::MS_DIRSYNC, false),
    ("exec", MsFlags::MS_NOEXEC, true),
    ("mand", MsFlags::MS_MANDLOCK, false),
    ("noatime", MsFlags::MS_NOATIME, false),
    ("nodev", MsFlags::MS_NODEV, false),
    ("nodiratime", MsFlags::MS_NODIRATIME, false),
    ("noexec", MsFlags::MS_NOEXEC, false),
    ("nomand", MsFlags::MS_MANDLOCK, true),
    ("norelatime", MsFlags::MS_RELATIME, true),
    ("nostrictatime", MsFlags::MS_STRICTATIME, true),
    ("nosuid", MsFlags::MS_NOSUID, false),
    ("rbind", MsFlags::MS_BIND.union(MsFlags::MS_REC), false),
    ("relatime", MsFlags::MS_RELATIME, false),
    ("remount", MsFlags::MS_REMOUNT, false),
    ("ro", MsFlags::MS_RDONLY, false),
    ("rw", MsFlags::MS_RDONLY, true),
    ("strictatime", MsFlags::MS_STRICTATIME, false),
    ("suid", MsFlags::MS_NOSUID, true),
    ("sync", MsFlags::MS_SYNCHRONOUS, false),
    ("private", MsFlags::MS_PRIVATE, false),
    ("rprivate", MsFlags::MS_PRIVATE.union(MsFlags::MS_REC), false),
];

/// What moves between mount namespaces.
const PROPAGATION: MsFlags =
    MsFlags::MS_SHARED.union(MsFlags::MS_PRIVATE).union(MsFlags::MS_SLAVE).union(MsFlags::MS_UNBINDABLE);

/// What a bind mount takes only when it is mounted anew.
const OF_A_REMOUNT: MsFlags = MsFlags::MS_RDONLY
    .union(MsFlags::MS_NOSUID)
    .union(MsFlags::MS_NODEV)
    .union(MsFlags::MS_NOEXEC)
    .union(MsFlags::MS_NOATIME)
    .union(MsFlags::MS_NODIRATIME)
    .union(MsFlags::MS_RELATIME);

/// Mounts `mounts` onto `rootfs` in their order. If one fails, those before it stay.
///
/// It works on a thread of its own, which may have another working directory: relative layers make options fit into a
/// page.
pub fn mount_all(mounts: Vec<RootfsMount>, rootfs: PathBuf) -> Result<(), Refusal> {
    if mounts.is_empty() {
        return Ok(());
    }
    let work = move || {
        make_directory(&rootfs)
            .and_then(|()| unshare(CloneFlags::CLONE_FS).map_err(|err| failed("unshare(CLONE_FS)", err)))
            .and_then(|()| mounts.iter().try_for_each(|mount| mount_one(mount, &rootfs)))
    };
    let thread = std::thread::Builder::new().name("mount".into()).stack_size(128 * 1024).spawn(work);
    let joined = thread.map_err(|err| Refusal::unknown(format!("a thread to mount: {err}")))?.join();
    joined.unwrap_or_else(|_| Err(Refusal::unknown("the thread that mounts has panicked")))
}

/// Takes away whatever is mounted on `rootfs`, even if it is in use.
pub fn unmount_all(rootfs: &Path) {
    for _ in 0..LAYERS_MAX {
        if umount2(rootfs, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_err() {
            return;
        }
    }
}

fn make_directory(rootfs: &Path) -> Result<(), Refusal> {
    match std::fs::create_dir(rootfs) {
        Err(err) if err.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Refusal::unknown(format!("mkdir {}: {err}", rootfs.display())))
        }
        _ => Ok(()),
    }
}

fn mount_one(wanted: &RootfsMount, rootfs: &Path) -> Result<(), Refusal> {
    let target = below(rootfs, &wanted.target)?;
    let words = wanted.options.iter().map(String::as_str);
    let (flags, data): (Vec<_>, Vec<_>) = words.partition(|word| flag(word).is_some());
    let mut all = MsFlags::empty();
    for (_, flag, clears) in flags.iter().filter_map(|word| flag(word)) {
        all.set(*flag, !clears);
    }
    let (flags, propagation) = (all - PROPAGATION, all & (PROPAGATION | MsFlags::MS_REC));
    let explain =
        |err| failed(&format!("mount {} {} at {}", wanted.kind, wanted.source, target.display()), err);
    let data = fitting(&data.join(","), &wanted.kind)?;
    if data.len() > DATA_BYTES_MAX {
        // The kernel would cut them off, wherever that is.
        let why = format!(
            "rootfs: {} has {} bytes of options, and {DATA_BYTES_MAX} are allowed",
            wanted.kind,
            data.len()
        );
        return Err(Refusal::new(Code::InvalidArgument, why));
    }
    let (kind, data) = (Some(wanted.kind.as_str()), (!data.is_empty()).then_some(data.as_str()));
    let source = Some(wanted.source.as_str());
    mount(
        source,
        &target,
        kind,
        flags - (flags & if flags.contains(MsFlags::MS_BIND) { OF_A_REMOUNT } else { MsFlags::empty() }),
        data,
    )
    .map_err(explain)?;
    if flags.contains(MsFlags::MS_BIND) && flags.intersects(OF_A_REMOUNT) {
        let again = flags | MsFlags::MS_REMOUNT;
        mount(None::<&str>, &target, None::<&str>, again - MsFlags::MS_REC, None::<&str>).map_err(explain)?;
    }
    if propagation.intersects(PROPAGATION) {
        mount(None::<&str>, &target, None::<&str>, propagation, None::<&str>).map_err(explain)?;
    }
    Ok(())
}

fn flag(word: &str) -> Option<&'static (&'static str, MsFlags, bool)> {
    FLAGS.iter().find(|(known, ..)| *known == word)
}

/// `target` below the root filesystem; a target that would lead out of it is refused.
fn below(rootfs: &Path, target: &str) -> Result<PathBuf, Refusal> {
    let inside =
        Path::new(target).components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir));
    let inside: PathBuf = inside.collect();
    if inside.components().all(|part| matches!(part, Component::Normal(_))) {
        Ok(rootfs.join(inside))
    } else {
        Err(Refusal::new(Code::InvalidArgument, format!("rootfs: target {target}: leads out of the root")))
    }
}

/// The data of a mount, made to fit into a page: the layers of an overlay become relative to the directory that all of
/// them are in, which becomes the working directory of this thread.
fn fitting(data: &str, kind: &str) -> Result<String, Refusal> {
    if data.len() <= DATA_BYTES_MAX || kind != "overlay" {
        return Ok(data.to_owned());
    }
    let Some((before, layers, after)) = lower_layers(data) else { return Ok(data.to_owned()) };
    let Some(common) = common_directory(&layers) else { return Ok(data.to_owned()) };
    std::env::set_current_dir(&common)
        .map_err(|err| Refusal::unknown(format!("chdir {}: {err}", common.display())))?;
    let relative = layers.iter().map(|layer| layer.strip_prefix(&common).unwrap_or(layer).to_string_lossy());
    let layers = relative.collect::<Vec<_>>().join(":");
    Ok(format!("{before}lowerdir={layers}{after}"))
}

/// What stands before the list of layers, the layers, and what stands behind them.
fn lower_layers(data: &str) -> Option<(&str, Vec<&Path>, &str)> {
    let start = data.find("lowerdir=")?;
    let list = &data[start + "lowerdir=".len()..];
    let end = list.find(',').unwrap_or(list.len());
    Some((&data[..start], list[..end].split(':').map(Path::new).collect(), &list[end..]))
}

fn common_directory(layers: &[&Path]) -> Option<PathBuf> {
    let first = layers.first()?.parent()?;
    let shared = first.ancestors().find(|dir| layers.iter().all(|layer| layer.starts_with(dir)))?;
    Some(shared.to_owned()).filter(|dir| dir != Path::new("/") && dir.is_absolute())
}

fn failed(doing: &str, err: Errno) -> Refusal {
    Refusal::unknown(format!("{doing}: {}", err.desc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_become_relative_to_what_they_share() {
        let data = "index=off,lowerdir=/s/snapshots/12/fs:/s/snapshots/3/fs:/s/snapshots/4/fs,upperdir=/u";
        let (before, layers, after) = lower_layers(data).unwrap();
        assert_eq!((before, after), ("index=off,", ",upperdir=/u"));
        assert_eq!(common_directory(&layers), Some("/s/snapshots".into()));
    }

    #[test]
    fn nothing_is_shared_by_layers_of_two_trees() {
        assert_eq!(common_directory(&[Path::new("/a/1"), Path::new("/b/2")]), None);
        assert_eq!(common_directory(&[]), None);
    }

    #[test]
    fn a_target_stays_in_the_root() {
        let root = Path::new("/r");
        assert_eq!(below(root, "").unwrap(), root);
        assert_eq!(below(root, "/a/./b").unwrap(), Path::new("/r/a/b"));
        assert!(below(root, "a/../../etc").is_err());
    }
}

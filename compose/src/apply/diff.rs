//! What a container has changed in its filesystem, as the upper directory of its overlay has it, and the whole of it as
//! an archive.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::mounted::{self, Kind, Tree};
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::engine::snapshots::Mounts;
use crate::engine::types::Mount;
use crate::error::{Context, Error, Result};
use crate::observe::Observed;
use crate::process::child;

/// What has become of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Added,
    Changed,
    Deleted,
}

impl Change {
    /// Docker's letter.
    pub fn letter(self) -> char {
        match self {
            Change::Added => 'A',
            Change::Changed => 'C',
            Change::Deleted => 'D',
        }
    }
}

/// What every start makes for its mounts. Docker has it in a layer of its own, so that no container has added it.
const MOUNT_POINTS: [&str; 7] =
    ["/dev", "/proc", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"];

/// How many paths are told. A container that has changed more has them all in its upper directory.
const PATHS_MAX: usize = 1_000_000;

/// The paths that a container has changed, in their order.
///
/// Errors: a snapshotter that keeps no changes apart.
pub async fn paths(engine: &Engine, disk: &Disk, one: &Observed) -> Result<Vec<(Change, String)>> {
    let mounts = layers(engine, one).await?;
    let dirs = match mounts.as_slice() {
        [mount] if mount.kind == "overlay" => dirs_of(mount),
        _ => None,
    };
    let Some((upper, lower)) = dirs else {
        return Err(Error::new(format!(
            "the snapshotter {} doesn't keep apart what a container changes",
            one.container.snapshotter
        )));
    };
    look(disk, one, lower, move |lower| {
        let mut walk = Walk { upper: Tree::at(Path::new(&upper))?, lower, found: BTreeSet::new() };
        walk.directory("", false)?;
        Ok(walk.found.into_iter().map(|(path, change)| (change, path)).collect())
    })
    .await
}

/// Writes the filesystem of a container as a tar archive, without what is mounted in it.
pub async fn archive(engine: &Engine, disk: &Disk, one: &Observed, output: Stdio) -> Result<()> {
    if let Some(task) = one.task.as_ref().filter(|_| one.state.is_up()) {
        let root = format!("/proc/{}/root", task.pid);
        return tokio::task::spawn_blocking(move || tar(Path::new(&root), output))
            .await
            .map_err(|err| Error::new(err.to_string()))?;
    }
    let mounts = layers(engine, one).await?;
    let at = disk.running(one.id()).join("tree");
    let root = at.clone();
    // A child of the thread that has mounted the tree sees it.
    let archived = mounted::look(mounts, &at, move |_| tar(&root, output)).await;
    drop(disk::remove_dir(&at));
    archived
}

fn tar(root: &Path, output: Stdio) -> Result<()> {
    let mut tar = child::command("tar");
    tar.args(["--create", "--file=-", "--numeric-owner", "--one-file-system", "--directory"])
        .arg(root)
        .arg(".");
    let status = tar.stdin(Stdio::null()).stdout(output).status().at("tar")?;
    match (status.code(), status.signal()) {
        // A file that changes while it is read is none the worse for a container that runs.
        (Some(0 | 1), _) => Ok(()),
        // Who doesn't want to read the rest has gone.
        (_, Some(signal)) if signal == Signal::SIGPIPE as i32 => Ok(()),
        _ => Err(Error::new(format!("tar: {status}"))),
    }
}

async fn layers(engine: &Engine, one: &Observed) -> Result<Vec<Mount>> {
    let (snapshotter, key) = (one.container.snapshotter.clone(), one.container.snapshot_key.clone());
    if key.is_empty() {
        return Err(Error::new("its filesystem is no snapshot"));
    }
    Ok(engine.call(Mounts { snapshotter, key }).await?.mounts)
}

/// The same tree as a mount that nobody can write to, so that it can be there beside the container's own.
pub(super) fn unwritten(mount: &Mount) -> Mount {
    let option = |name: &str| mount.options.iter().find_map(|option| option.strip_prefix(name));
    match (option("upperdir="), option("lowerdir=")) {
        (Some(upper), Some(lower)) => {
            let kept = mount.options.iter().filter(|option| {
                let of_layers = ["upperdir=", "lowerdir=", "workdir="];
                !of_layers.iter().any(|name| option.starts_with(name)) && *option != "rw"
            });
            let layers = ["ro".to_owned(), format!("lowerdir={upper}:{lower}")];
            Mount { options: kept.cloned().chain(layers).collect(), ..mount.clone() }
        }
        _ => mount.clone(),
    }
}

/// The directory that has the changes, and what mounts the layers below it.
fn dirs_of(overlay: &Mount) -> Option<(String, Vec<Mount>)> {
    let option = |name: &str| overlay.options.iter().find_map(|option| option.strip_prefix(name));
    let upper = option("upperdir=")?.to_owned();
    let lower = option("lowerdir=")?.to_owned();
    let mount = |kind: &str, source: &str, options: &[&str]| Mount {
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|&option| option.to_owned()).collect(),
        ..Mount::default()
    };
    let below = if lower.contains(':') {
        mount("overlay", "overlay", &["ro", &format!("lowerdir={lower}")])
    } else {
        mount("bind", &lower, &["bind"])
    };
    Some((upper, vec![below]))
}

/// Mounts what is below the changes, and looks at it.
async fn look<T: Send + 'static>(
    disk: &Disk,
    one: &Observed,
    lower: Vec<Mount>,
    see: impl FnOnce(&Tree) -> Result<T> + Send + 'static,
) -> Result<T> {
    let dir = disk.running(one.id());
    let (at, was_there) = (dir.join("tree"), dir.exists());
    let seen = mounted::look(lower, &at, see).await;
    // Nothing is to stay of a look; where nobody could look, there is nothing to take away.
    drop(disk::remove_dir(if was_there { &at } else { &dir }));
    seen
}

struct Walk<'a> {
    upper: Tree,
    lower: &'a Tree,
    found: BTreeSet<(String, Change)>,
}

impl Walk<'_> {
    /// What has changed below a directory, whose path ends without a slash. Of a `new` one there is nothing below.
    fn directory(&mut self, path: &str, new: bool) -> Result<()> {
        let names = self.upper.names(path)?;
        let hides = new || self.upper.is_opaque(path)?;
        for name in &names {
            let inside = format!("{path}/{name}");
            if MOUNT_POINTS.contains(&inside.as_str()) {
                continue;
            }
            let Some(kind) = self.upper.kind(&inside)? else { continue };
            let below = if new { None } else { self.lower.kind(&inside)? };
            let below = below.filter(|kind| *kind != Kind::Whiteout);
            match (kind, below) {
                (Kind::Whiteout, None) => {}
                (Kind::Whiteout, Some(_)) => self.note(Change::Deleted, path, &inside)?,
                (Kind::Directory, Some(Kind::Directory)) => {
                    // One that only leads to what has changed is noted by what has changed in it.
                    let has_mount_points = MOUNT_POINTS
                        .iter()
                        .any(|point| Path::new(point).parent() == Some(Path::new(&inside)));
                    if !has_mount_points && !self.upper.is_same(self.lower, &inside)? {
                        self.note(Change::Changed, path, &inside)?;
                    }
                    self.directory(&inside, false)?;
                }
                (kind, below) => {
                    let change = if below.is_some() { Change::Changed } else { Change::Added };
                    self.note(change, path, &inside)?;
                    if kind == Kind::Directory {
                        self.directory(&inside, true)?;
                    }
                }
            }
        }
        // What an opaque directory has taken the place of is gone with all that was in it.
        if hides && !new {
            let gone = self.lower.names(path)?.into_iter().filter(|name| !names.contains(name));
            gone.collect::<Vec<_>>()
                .iter()
                .try_for_each(|name| self.note(Change::Deleted, path, &format!("{path}/{name}")))?;
        }
        Ok(())
    }

    /// A directory in which something is added or deleted has changed.
    fn note(&mut self, change: Change, parent: &str, path: &str) -> Result<()> {
        if self.found.len() > PATHS_MAX {
            return Err(Error::new(format!("more than {PATHS_MAX} paths have changed")));
        }
        let known = [Change::Added, Change::Changed].map(|change| (parent.to_owned(), change));
        if change != Change::Changed
            && !parent.is_empty()
            && !known.iter().any(|known| self.found.contains(known))
        {
            self.found.insert((parent.to_owned(), Change::Changed));
        }
        self.found.insert((path.to_owned(), change));
        Ok(())
    }
}

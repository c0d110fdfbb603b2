//! An image's files as a mount of a container, read-only: by a snapshot that the container's record names.
//!
//! Nothing is mounted on the host: the runtime lays the layers over each other, in the container's own namespace.
//! containerd collects the snapshot once there is no such container, whoever has removed it.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use super::image::{self, Shows, When};
use super::unpack;
use crate::engine::Engine;
use crate::engine::containers::Container;
use crate::engine::snapshots::{RemoveSnapshot, View};
use crate::engine::types::Mount as Layer;
use crate::error::{Context, Error, Result, absent_is_fine};
use crate::model::types::Mount;

/// The label by which a container's record names a snapshot that it needs: the snapshotter and a number follow.
const REFERENCE: &str = "containerd.io/gc.ref.snapshot.";

/// The snapshots of a container, beside its own.
#[derive(Debug, Default)]
pub struct Views(Vec<String>);

impl Views {
    /// Makes one more, of the image that a mount names, which is pulled where it isn't there. Gives the directories of
    /// its layers, the highest first, or of what the mount asks for in each. To be called under a lease.
    pub async fn make(&mut self, engine: &Engine, id: &str, mount: &Mount) -> Result<Vec<PathBuf>> {
        let source = mount.source.as_deref().unwrap_or_default();
        let image = image::ensure(engine, source, When::Missing, None, Shows::Nothing).await?;
        unpack::ensure(engine, &image).await?;
        let (snapshotter, key) = (unpack::snapshotter(), format!("{id}-image-{}", self.0.len()));
        let view = View { snapshotter, key: key.clone(), parent: image.chain_id() };
        let mounts = engine.call(view).await.at("a view of the image")?.mounts;
        self.0.push(key);
        let path = mount.image.as_ref().and_then(|options| options.subpath.as_deref()).unwrap_or_default();
        below(layers(&mounts)?, path).at(format_args!("image {source}"))
    }

    /// The labels by which the container's record names them.
    pub fn labels(&self) -> HashMap<String, String> {
        let snapshotter = unpack::snapshotter();
        let label =
            |(number, key): (usize, &String)| (format!("{REFERENCE}{snapshotter}/{number}"), key.clone());
        self.0.iter().enumerate().map(label).collect()
    }
}

/// Removes the snapshots that the record of a container names, which is gone.
pub async fn remove(engine: &Engine, container: &Container) -> Result<()> {
    for (label, key) in &container.labels {
        let Some(snapshotter) = label.strip_prefix(REFERENCE).and_then(|rest| rest.split('/').next()) else {
            continue;
        };
        let remove = RemoveSnapshot { snapshotter: snapshotter.to_owned(), key: key.clone() };
        absent_is_fine(engine.call(remove).await.at(key).map(drop))?;
    }
    Ok(())
}

/// The directories of the layers, the highest first.
///
/// Errors: a snapshotter that has no such directories.
fn layers(mounts: &[Layer]) -> Result<Vec<PathBuf>> {
    const LOWER: &str = "lowerdir=";
    let found = match mounts {
        [mount] if mount.kind == "bind" => Some(vec![PathBuf::from(&mount.source)]),
        [mount] if mount.kind == "overlay" => {
            let lower = mount.options.iter().find_map(|option| option.strip_prefix(LOWER));
            lower.map(|lower| lower.split(':').map(PathBuf::from).collect())
        }
        _ => None,
    };
    found.ok_or_else(|| Error::new("the snapshotter shows no directories of layers, as overlayfs does"))
}

/// What is at a path in the layers together: the directories, or the one file.
///
/// Errors: nothing is, or the way leads over a link.
fn below(layers: Vec<PathBuf>, path: &str) -> Result<Vec<PathBuf>> {
    let mut places = layers;
    for part in Path::new(path).components() {
        let name = match part {
            Component::Normal(name) => name,
            Component::CurDir => continue,
            _ => return Err(Error::new(format!("subpath {path}: must be a relative path within the image"))),
        };
        let mut found = Vec::new();
        for place in places {
            let is_opaque = is_opaque(&place);
            let next = place.join(name);
            match fs::symlink_metadata(&next) {
                Ok(about) if about.is_dir() => found.push(next),
                // It hides what is below it.
                Ok(about) if about.file_type().is_char_device() && about.rdev() == 0 => break,
                Ok(about) if about.is_symlink() && found.is_empty() => {
                    return Err(Error::new(format!(
                        "subpath {path}: leads over a link, which isn't followed"
                    )));
                }
                Ok(_) if found.is_empty() => {
                    found.push(next);
                    break;
                }
                // What is no directory is below one.
                Ok(_) => break,
                Err(err) if is_absent(&err) => {}
                Err(err) => return Err(err).at(next.display()),
            }
            if is_opaque {
                break;
            }
        }
        if found.is_empty() {
            return Err(Error::new(format!("subpath {path}: no such file or directory")));
        }
        places = found;
    }
    // What is below an opaque directory is hidden.
    let seen = places.iter().position(|place| is_opaque(place)).map_or(places.len(), |last| last + 1);
    places.truncate(seen);
    Ok(places)
}

fn is_absent(err: &std::io::Error) -> bool {
    matches!(err.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Whether a directory of a layer hides those of the layers below.
fn is_opaque(dir: &Path) -> bool {
    let mut value = [0; 1];
    rustix::fs::lgetxattr(dir, "trusted.overlay.opaque", &mut value[..]).is_ok_and(|_| value == *b"y")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_followed_through_all_layers() {
        let dir = std::env::temp_dir().join(format!("corten-compose-view-{}", std::process::id()));
        for part in ["high/a/b", "low/a/b", "low/a/only", "low/c"] {
            crate::disk::make_dir(&dir.join(part)).expect("a directory");
        }
        fs::write(dir.join("high/c"), "").expect("a file");
        fs::write(dir.join("low/a/file"), "").expect("a file");
        std::os::unix::fs::symlink("/etc", dir.join("high/link")).expect("a link");
        let told = |path: &str| {
            let places =
                below(vec![dir.join("high"), dir.join("low")], path).map_err(|err| err.to_string())?;
            let names =
                places.iter().filter_map(|place| place.strip_prefix(&dir).ok()).map(Path::to_string_lossy);
            Ok::<_, String>(names.collect::<Vec<_>>().join(" "))
        };
        for (path, places) in [
            ("", "high low"),
            ("a/./b", "high/a/b low/a/b"),
            ("a/only", "low/a/only"),
            ("a/file", "low/a/file"),
            ("c", "high/c"),
        ] {
            assert_eq!(told(path).as_deref(), Ok(places), "{path}");
        }
        for wrong in ["gone", "a/gone", "c/x", "link", "link/x", "..", "/etc"] {
            assert!(told(wrong).is_err_and(|why| why.starts_with("subpath")), "{wrong}");
        }
        crate::disk::remove_dir(&dir).expect("gone");
    }
}

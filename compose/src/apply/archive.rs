//! Images into archives and out of them, by `ctr`: an OCI layout with Docker's `manifest.json` beside.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::image::Image;
use super::{ctr, unpack};
use crate::disk;
use crate::engine::Engine;
use crate::engine::images::ListImages;
use crate::engine::types::Timestamp;
use crate::error::{Context, Error, Result};

/// Writes images into an archive; none: standard output. A file is there whole or not at all.
pub async fn save(
    engine: &Engine,
    images: &[Image],
    to: Option<&Path>,
    platform: Option<&str>,
) -> Result<()> {
    let unfinished = to.map(unfinished).transpose()?;
    let target = unfinished.as_ref().map_or("-".to_owned(), |path| path.to_string_lossy().into_owned());
    let mut command = ctr::command(engine, &["images", "export"]);
    command.args(platform.iter().flat_map(|platform| ["--platform", platform])).arg(&target);
    command.args(images.iter().map(|image| &image.name));
    command.stdout(if to.is_some() { Stdio::null() } else { Stdio::inherit() });
    let saved = ctr::run(command).await;
    match (saved, unfinished.zip(to)) {
        (Ok(()), Some((unfinished, to))) => std::fs::rename(unfinished, to).at(to.display()),
        (Err(err), Some((unfinished, _))) => {
            disk::remove_file(&unfinished)?;
            Err(err)
        }
        (saved, None) => saved,
    }
}

/// A file beside the one that is meant.
fn unfinished(to: &Path) -> Result<PathBuf> {
    let wrong = |why: &str| Error::new(format!("invalid output path: {why}: {}", to.display()));
    let name = to.file_name().ok_or_else(|| wrong("not a file"))?.to_string_lossy();
    // A device would be replaced by a file.
    if to.exists() && !to.is_file() {
        return Err(wrong("must be a regular file"));
    }
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !dir.is_dir() {
        return Err(wrong("its directory does not exist"));
    }
    Ok(dir.join(format!(".{name}.{}", std::process::id())))
}

/// Reads images from an archive, compressed or not; none: standard input. Gives the names that it had.
pub async fn load(engine: &Engine, from: Option<&Path>) -> Result<Vec<String>> {
    let stdin = match from {
        Some(path) => File::open(path).at(path.display())?.into(),
        None => Stdio::inherit(),
    };
    let before = names(engine).await?;
    let mut command =
        ctr::command(engine, &["images", "import", "--snapshotter", &unpack::snapshotter(), "-"]);
    command.stdin(stdin).stdout(Stdio::null());
    ctr::run(command).await?;
    let after = names(engine).await?;
    // What was read is written anew, also where it is the same as before.
    let is_read = |name: &String, at: &Option<Timestamp>| before.get(name) != Some(at);
    Ok(after.into_iter().filter(|(name, at)| is_read(name, at)).map(|(name, _)| name).collect())
}

/// When each name was written.
async fn names(engine: &Engine) -> Result<BTreeMap<String, Option<Timestamp>>> {
    let images = engine.call(ListImages { filters: Vec::new() }).await?.images;
    Ok(images.into_iter().map(|image| (image.name, image.updated_at)).collect())
}

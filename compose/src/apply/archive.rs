//! Images into archives and out of them, by `ctr`: an OCI layout with Docker's `manifest.json` beside.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Stdio};

use nix::fcntl::OFlag;

use super::image::Image;
use super::{ctr, unpack};
use crate::engine::Engine;
use crate::engine::images::ListImages;
use crate::engine::types::Timestamp;
use crate::error::{Context, Error, Result};
use crate::output::Output;
use crate::process::child;

/// How compressed archives begin, and what unpacks them: `ctr` of containerd 1.6 doesn't.
const UNPACKERS: [(&[u8], &str); 4] = [
    (&[0x1f, 0x8b], "gzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
    (b"BZh", "bzip2"),
];
const MAGIC_BYTES_MAX: u64 = 5;

/// Writes images into an archive; none: standard output. A file is there whole or not at all.
pub async fn save(
    engine: &Engine,
    images: &[Image],
    to: Option<&Path>,
    platform: Option<&str>,
) -> Result<()> {
    let output = to.map(Output::beside).transpose()?;
    let target =
        output.as_ref().map_or("-".to_owned(), |output| output.path().to_string_lossy().into_owned());
    let mut command = ctr::command(engine, &["images", "export"]);
    command.args(platform.iter().flat_map(|platform| ["--platform", platform])).arg(&target);
    command.args(images.iter().map(|image| &image.name));
    command.stdout(if to.is_some() { Stdio::null() } else { Stdio::inherit() });
    ctr::run(command).await?;
    output.map_or(Ok(()), Output::finish)
}

/// Reads images from an archive, compressed or not; none: standard input. Gives the names that it had.
pub async fn load(engine: &Engine, from: Option<&Path>) -> Result<Vec<String>> {
    let mut archive: Box<dyn Read + Send> = match from {
        Some(path) => Box::new(File::open(path).at(path.display())?),
        None => Box::new(std::io::stdin()),
    };
    let mut head = Vec::new();
    let read = archive.by_ref().take(MAGIC_BYTES_MAX).read_to_end(&mut head);
    read.at(from.map_or("stdin".to_owned(), |path| path.display().to_string()))?;
    let head = std::io::Cursor::new(head);
    let unpacker =
        UNPACKERS.iter().find(|(magic, _)| head.get_ref().starts_with(magic)).map(|(_, program)| *program);
    let before = names(engine).await?;
    let mut command =
        ctr::command(engine, &["images", "import", "--snapshotter", &unpack::snapshotter(), "-"]);
    command.stdout(Stdio::null());
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).at("a pipe")?;
    // Not one of tokio's threads: nobody waits for an input that has no end.
    std::thread::spawn(move || std::io::copy(&mut head.chain(archive), &mut File::from(write)));
    let mut unpacker =
        unpacker.map(|program| unpack_by(program, &read).map(|child| (program, child))).transpose()?;
    let unpacked = unpacker.as_mut().and_then(|(_, child)| child.stdout.take());
    command.stdin(unpacked.map_or_else(|| Stdio::from(read), Stdio::from));
    let loaded = ctr::run(command).await;
    if let Some((program, mut child)) = unpacker {
        let ended = child.wait().at(program)?;
        // What it could not unpack is why `ctr` has failed, or should have.
        if !ended.success() {
            return Err(Error::new(format!("{program}: not a whole archive ({ended})")));
        }
    }
    loaded?;
    let after = names(engine).await?;
    // What was read is written anew, also where it is the same as before.
    let is_read = |name: &String, at: &Option<Timestamp>| before.get(name) != Some(at);
    Ok(after.into_iter().filter(|(name, at)| is_read(name, at)).map(|(name, _)| name).collect())
}

fn unpack_by(program: &str, archive: &OwnedFd) -> Result<Child> {
    let mut command = child::command(program);
    command.arg("-dc").stdin(archive.try_clone().at("a pipe")?).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().at(program)
}

/// When each name was written.
async fn names(engine: &Engine) -> Result<BTreeMap<String, Option<Timestamp>>> {
    let images = engine.call(ListImages { filters: Vec::new() }).await?.images;
    Ok(images.into_iter().map(|image| (image.name, image.updated_at)).collect())
}

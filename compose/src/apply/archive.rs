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
    let mut command = ctr::command(engine, &ctr::export(engine).await?);
    command.args(platform.iter().flat_map(|platform| ["--platform", platform])).arg(&target);
    command.args(images.iter().map(|image| &image.name));
    command.stdout(if to.is_some() { Stdio::null() } else { Stdio::inherit() });
    ctr::run(command).await?;
    output.map_or(Ok(()), Output::finish)
}

/// Reads images from an archive, compressed or not; none: standard input. Gives the names that it had.
pub async fn load(engine: &Engine, from: Option<&Path>) -> Result<Vec<String>> {
    let archive: Box<dyn Read + Send> = match from {
        Some(path) => Box::new(File::open(path).at(path.display())?),
        None => Box::new(std::io::stdin()),
    };
    let opened = Unpacked::of(archive);
    let opened = opened.at(from.map_or("stdin".to_owned(), |path| path.display().to_string()))?;
    let before = names(engine).await?;
    let mut command =
        ctr::command(engine, &["images", "import", "--snapshotter", &unpack::snapshotter(), "-"]);
    command.stdout(Stdio::null());
    let (input, unpacking) = opened.begin()?;
    command.stdin(input);
    let loaded = ctr::run(command).await;
    // What could not be unpacked is why `ctr` has failed, or should have.
    unpacking.finish()?;
    loaded?;
    let after = names(engine).await?;
    // What was read is written anew, also where it is the same as before.
    let is_read = |name: &String, at: &Option<Timestamp>| before.get(name) != Some(at);
    Ok(after.into_iter().filter(|(name, at)| is_read(name, at)).map(|(name, _)| name).collect())
}

/// An archive, compressed or not, of which the beginning is read.
pub struct Unpacked {
    head: std::io::Cursor<Vec<u8>>,
    rest: Box<dyn Read + Send>,
    /// What unpacks it, if it is compressed.
    program: Option<&'static str>,
}

/// The program that unpacks, as long as it runs.
pub struct Unpacking(Option<(&'static str, Child)>);

impl Unpacked {
    /// Reads the beginning.
    pub fn of(mut archive: Box<dyn Read + Send>) -> Result<Unpacked> {
        let mut head = Vec::new();
        archive.by_ref().take(MAGIC_BYTES_MAX).read_to_end(&mut head)?;
        let program =
            UNPACKERS.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, program)| *program);
        Ok(Unpacked { head: std::io::Cursor::new(head), rest: archive, program })
    }

    /// Begins to unpack. What fails to be read fails so for whoever reads what this gives.
    pub fn reader(self) -> Result<(Box<dyn Read + Send>, Unpacking)> {
        if self.program.is_none() {
            return Ok((Box::new(self.head.chain(self.rest)), Unpacking(None)));
        }
        let (input, unpacking) = self.begin()?;
        Ok((Box::new(File::from(input)), unpacking))
    }

    /// Begins to unpack. Gives the end of a pipe that all comes by.
    pub fn begin(self) -> Result<(OwnedFd, Unpacking)> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).at("a pipe")?;
        let Unpacked { head, rest, program } = self;
        // Not one of tokio's threads: nobody waits for an input that has no end.
        std::thread::spawn(move || std::io::copy(&mut head.chain(rest), &mut File::from(write)));
        let Some(program) = program else { return Ok((read, Unpacking(None))) };
        let mut command = child::command(program);
        command.arg("-dc").stdin(read).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().at(program)?;
        let output = child.stdout.take().ok_or_else(|| Error::new(format!("{program}: no output")))?;
        Ok((output.into(), Unpacking(Some((program, child)))))
    }
}

impl Unpacking {
    /// Waits for the program's end.
    ///
    /// Errors: what isn't a whole archive.
    pub fn finish(self) -> Result<()> {
        let Some((program, mut child)) = self.0 else { return Ok(()) };
        let ended = child.wait().at(program)?;
        if ended.success() {
            Ok(())
        } else {
            Err(Error::new(format!("{program}: not a whole archive ({ended})")))
        }
    }
}

/// When each name was written.
async fn names(engine: &Engine) -> Result<BTreeMap<String, Option<Timestamp>>> {
    let images = engine.call(ListImages { filters: Vec::new() }).await?.images;
    Ok(images.into_iter().map(|image| (image.name, image.updated_at)).collect())
}

//! BuildKit, by its client `buildctl`.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::process::Command;

use super::arguments::{self, Exporter, Staged};
use super::staged::Stage;
use super::{Built, Dockerfile, Further, Progress, Request};
use crate::apply::ctr::export;
use crate::apply::image::{self, Image};
use crate::apply::unpack;
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::engine::images::GetImage;
use crate::engine::introspection::Server;
use crate::error::{Context, Error, Result, tell_lines};
use crate::process::child;

const PROGRAM: &str = "buildctl";
/// Where people say which BuildKit is meant.
const HOST: &str = "BUILDKIT_HOST";
/// What a worker says of itself.
const LABELS: &str = "org.mobyproject.buildkit.worker.";

/// A BuildKit that answers.
#[derive(Debug)]
pub struct Buildctl {
    address: String,
    /// Whether its images are those of our containerd and namespace.
    shares: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Worker {
    labels: HashMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "containerimage.digest")]
    digest: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Layout {
    manifests: Vec<LayoutEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LayoutEntry {
    digest: String,
}

impl Buildctl {
    /// Finds the client and its daemon.
    ///
    /// Errors: what has to be installed, or started.
    pub async fn find(engine: &Engine) -> Result<Buildctl> {
        let address = address(engine.namespace());
        let start = format!(
            "buildkitd --oci-worker=false --containerd-worker=true --containerd-worker-namespace={}",
            engine.namespace()
        );
        let is_absent = |why: String| Error::new(format!("BuildKit at {address}: {why}; start it: {start}"));
        let mut command = Command::from(child::command(PROGRAM));
        command.args(["--addr", &address, "debug", "workers", "--format", "{{json .}}"]);
        let socket = address.strip_prefix("unix://").map(UnixStream::connect);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let asked = command.spawn().map_err(|err| match err.kind() {
            std::io::ErrorKind::NotFound => Error::new(format!(
                "building needs BuildKit, and {PROGRAM} isn't on PATH: install {PROGRAM} and buildkitd of \
                 https://github.com/moby/buildkit/releases, and start `{start}`"
            )),
            _ => Error::from(err),
        })?;
        if let Some(Err(err)) = socket {
            return Err(is_absent(err.to_string()));
        }
        let asked = asked.wait_with_output().await.at(PROGRAM)?;
        if !asked.status.success() {
            return Err(is_absent(last_line(&asked.stderr)));
        }
        let workers: Vec<Worker> = serde_json::from_slice(&asked.stdout).at("buildctl debug workers")?;
        // The first worker is the one that builds.
        let worker = workers.into_iter().next().ok_or_else(|| is_absent("it has no worker".to_owned()))?;
        let shares = shares(engine, &worker).await?;
        Ok(Buildctl { address, shares })
    }

    /// Builds.
    ///
    /// Errors: what BuildKit says, if it has not said so itself meanwhile.
    pub async fn build(
        &self,
        engine: &Engine,
        disk: &Disk,
        request: &Request,
        progress: &Progress,
    ) -> Result<Built> {
        let stage = Stage::new(disk)?;
        let staged = self.staged(engine, request, &stage).await?;
        let archive = stage.path("image.tar");
        let exporter = if self.shares { Exporter::Shared } else { Exporter::Archive(&archive) };
        let metadata = stage.path("metadata.json");
        let words = arguments::words(request, &staged, exporter)?;
        self.run(&words, &metadata, request, progress).await?;
        if let Some(file) = &request.metadata_file {
            std::fs::copy(&metadata, file).at(file)?;
        }
        if !arguments::is_kept(request) || !self.shares && !archive.exists() {
            return Ok(Built::default());
        }
        if !self.shares {
            import(engine, &archive, request.names.is_empty()).await?;
        }
        let digest = disk::read_json::<Metadata>(&metadata)?.unwrap_or_default().digest;
        let name = request.names.first().cloned();
        let name = name.or(digest.as_deref().map(image::unnamed)).unwrap_or_default();
        let found = engine.call(GetImage { name: name.clone() }).await.at(&name)?.image.unwrap_or_default();
        // Of an image for other machines alone, the digest is all that can be said.
        let id = Image::read(engine, &found, None).await.map(|image| image.id).ok().or(digest);
        Ok(Built { id })
    }

    /// What a build would run, for people.
    pub fn explain(request: &Request) -> Result<String> {
        let staged = Staged { dockerfile: Some("DIR".into()), ..Staged::default() };
        let words = arguments::words(request, &staged, Exporter::Shared)?;
        let quoted = |word: String| if word.contains([' ', '"', '<']) { format!("'{word}'") } else { word };
        let words: Vec<String> = words.into_iter().map(quoted).collect();
        Ok(format!("{PROGRAM} build {}", words.join(" ")))
    }

    async fn staged(&self, engine: &Engine, request: &Request, stage: &Stage) -> Result<Staged> {
        let dockerfile = match &request.dockerfile {
            Dockerfile::Text(text) => Some(stage.dockerfile(text)?),
            Dockerfile::File(_) => None,
        };
        let mut layouts = Vec::new();
        for (name, further) in &request.contexts {
            let (dir, digest) = match further {
                // Whoever asks a registry for all images would ask for these, too.
                Further::Image(image) if !self.shares || request.pull => {
                    let dir = layout(engine, stage, image, layouts.len()).await.at(image)?;
                    (dir, None)
                }
                Further::Layout(dir, digest) => (dir.clone(), digest.clone()),
                Further::Image(_) | Further::Source(_) => continue,
            };
            let digest = digest.map_or_else(|| first_of(&dir), Ok)?;
            layouts.push((name.clone(), dir, digest));
        }
        Ok(Staged { dockerfile, layouts })
    }

    async fn run(
        &self,
        words: &[String],
        metadata: &Path,
        request: &Request,
        progress: &Progress,
    ) -> Result<()> {
        let mut command = Command::from(child::command(PROGRAM));
        command.args(["--addr", &self.address, "build", "--metadata-file"]).arg(metadata).args(words);
        let shown = if progress.is_quiet() { "plain" } else { &progress.0 };
        command.args(["--progress", shown]).envs(request.environment.iter().cloned());
        command.stdin(Stdio::null()).kill_on_drop(true);
        // Only a result that is asked for at standard output may go there.
        let goes_out = !request.outputs.is_empty();
        command.stdout(if goes_out { Stdio::inherit() } else { Stdio::null() });
        command.stderr(if progress.is_quiet() { Stdio::piped() } else { Stdio::inherit() });
        let child = command.spawn().at(PROGRAM)?;
        let done = tokio::select! {
            done = child.wait_with_output() => done.at(PROGRAM)?,
            // buildctl gets it, too. This process stays until what it has staged is removed.
            _ = tokio::signal::ctrl_c() => return Err(Error::new("canceled")),
        };
        match (done.status.success(), done.stderr.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::new(format!("the build has failed: {}", done.status))),
            (false, false) => {
                let said = String::from_utf8_lossy(&done.stderr);
                // The last line is the error, which is told by whoever has asked for the build.
                let before = said.trim_end().rsplit_once('\n').map_or("", |(before, _)| before);
                tell_lines(format_args!("{before}"));
                Err(Error::new(last_line(&done.stderr)))
            }
        }
    }
}

/// Where BuildKit listens: as nerdctl has it, a namespace may have its own.
fn address(namespace: &str) -> String {
    if let Some(host) = std::env::var(HOST).ok().filter(|host| !host.is_empty()) {
        return host;
    }
    let own = format!("/run/buildkit-{namespace}/buildkitd.sock");
    let path = if Path::new(&own).exists() { own } else { "/run/buildkit/buildkitd.sock".to_owned() };
    format!("unix://{path}")
}

/// Whether the worker keeps images where we look for them.
async fn shares(engine: &Engine, worker: &Worker) -> Result<bool> {
    let label = |name: &str| worker.labels.get(&format!("{LABELS}{name}")).map(String::as_str);
    if label("executor") != Some("containerd") || label("containerd.namespace") != Some(engine.namespace()) {
        return Ok(false);
    }
    let uuid = engine.call(Server {}).await?.uuid;
    Ok(label("containerd.uuid") == Some(uuid.as_str())
        && label("snapshotter") == Some(&unpack::snapshotter()))
}

/// Gives an archive to containerd.
async fn import(engine: &Engine, archive: &Path, is_nameless: bool) -> Result<()> {
    let mut command = ctr(engine);
    command.args(["images", "import", "--no-unpack", "--all-platforms"]);
    if is_nameless {
        command.args(["--base-name", "<none>", "--digests"]);
    }
    succeed(command.arg(archive)).await
}

/// An image of containerd as a layout of OCI.
async fn layout(engine: &Engine, stage: &Stage, name: &str, index: usize) -> Result<PathBuf> {
    let name = image::find(engine, name, None).await?.name;
    let archive = stage.path("layout.tar");
    succeed(ctr(engine).args(export(engine).await?).arg(&archive).arg(&name)).await?;
    let dir = stage.unpack(&format!("layout-{index}"), &archive)?;
    disk::remove_file(&archive)?;
    Ok(dir)
}

/// The digest of what comes first in a layout of OCI.
fn first_of(dir: &Path) -> Result<String> {
    let layout: Layout = disk::read_json(&dir.join("index.json"))?.unwrap_or_default();
    let first = layout.manifests.into_iter().next().map(|entry| entry.digest);
    first.ok_or_else(|| Error::new("no layout of OCI with an image in it")).at(dir.display())
}

fn ctr(engine: &Engine) -> Command {
    let mut command = Command::from(child::command("ctr"));
    command.args(["--address", engine.address(), "--namespace", engine.namespace()]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn succeed(command: &mut Command) -> Result<()> {
    let done = command.output().await.at("ctr")?;
    if done.status.success() { Ok(()) } else { Err(Error::new(last_line(&done.stderr))) }
}

fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed");
    last.trim_start_matches("ctr: ").trim_start_matches("error: ").to_owned()
}

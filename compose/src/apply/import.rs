//! An image made of an archive of files: one layer, and a config that says little.

use std::collections::HashMap;
use std::io::Read;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::json;

use super::archive::Unpacked;
use super::commit::{CONFIG, MANIFEST, UNCOMPRESSED};
use super::image::{self, Image};
use super::platform::Platform;
use super::tar::Tar;
use crate::engine::Engine;
use crate::engine::types::Descriptor;
use crate::error::{Context, Error, Result};
use crate::model::types::Service;
use crate::process::child;
use crate::reference::Reference;
use crate::spec::commit::{self, Step};

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The image that an archive is to become.
pub struct New<'a> {
    /// The archive, compressed or not.
    pub archive: Box<dyn Read + Send>,
    /// None: a name that only tells its digest.
    pub name: Option<Reference>,
    /// An image that containers are of, and whose last name this is. It stays without a name.
    pub loses_its_name: Option<&'a Image>,
    /// Instructions of a Dockerfile.
    pub changes: &'a [String],
    /// None: this machine's.
    pub platform: Option<&'a str>,
    /// When, and what is said of it.
    pub step: Step,
}

/// Makes the image, and gives its id.
pub async fn import(engine: &Engine, new: New<'_>) -> Result<String> {
    let platform = new.platform.map_or_else(|| Ok(Platform::own()), Platform::parse)?.to_string();
    if !platform.starts_with("linux/") {
        return Err(Error::new("operating system is not supported"));
    }
    let mut parts = platform.splitn(3, '/');
    let mut base = json!({"os": parts.next(), "architecture": parts.next()});
    if let Some(variant) = parts.next() {
        base["variant"] = json!(variant);
    }
    let service = Service::default();
    // What can't be is told before anything is read.
    commit::document(&base, &service, new.changes, &new.step)?;
    let New { archive, name, loses_its_name, changes, step, .. } = new;
    engine
        .leased(async |engine| {
            let (digest, size) = layer(engine, archive).await?;
            let step = Step { diff_id: digest.clone(), ..step.clone() };
            let document = serde_json::to_vec(&commit::document(&base, &service, changes, &step)?)?;
            let id = engine.write_document(&document, HashMap::new()).await?;
            let target = manifest(engine, (&digest, size), (&id, document.len())).await?;
            let unnamed = image::unnamed(&target.digest);
            let name = name.as_ref().map_or(unnamed, Reference::full);
            if let Some(old) = loses_its_name {
                image::keep_unnamed(engine, old).await?;
            }
            image::name_target(engine, Some(target), &name).await?;
            Ok(id)
        })
        .await
}

/// The archive without its compression, among containerd's content.
async fn layer(engine: &Engine, archive: Box<dyn Read + Send>) -> Result<(String, i64)> {
    let (input, unpacking) = Unpacked::of(archive)?.reader()?;
    let written = engine.write_blob(Tar::new(input), UNCOMPRESSED).await;
    unpacking.finish()?;
    written
}

async fn manifest(
    engine: &Engine,
    (layer, layer_size): (&str, i64),
    (config, size): (&str, usize),
) -> Result<Descriptor> {
    // By these labels the collector knows what the manifest needs.
    let labels = HashMap::from([
        ("containerd.io/gc.ref.content.config".to_owned(), config.to_owned()),
        ("containerd.io/gc.ref.content.l.0".to_owned(), layer.to_owned()),
    ]);
    let written = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config, "size": size},
        "layers": [{"mediaType": LAYER, "digest": layer, "size": layer_size}],
    }))?;
    let digest = engine.write_document(&written, labels).await?;
    let size = i64::try_from(written.len()).unwrap_or_default();
    Ok(Descriptor { media_type: MANIFEST.to_owned(), digest, size, ..Descriptor::default() })
}

/// What `curl` gets from an address. Its failure is one of whoever reads.
struct Fetched {
    curl: Child,
    output: ChildStdout,
}

/// Fetches an archive.
///
/// Errors: `curl` isn't installed.
pub fn fetch(url: &str) -> Result<Box<dyn Read + Send>> {
    if super::host::on_path("curl").is_none() {
        return Err(Error::new(format!(
            "{url}: curl isn't installed: fetch the archive, and import the file"
        )));
    }
    let mut command = child::command("curl");
    command.args([
        "-q",
        "--fail",
        "--silent",
        "--show-error",
        "--location",
        "--proto",
        "=http,https",
        "--",
        url,
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut curl = command.spawn().at("curl")?;
    let output = curl.stdout.take().ok_or_else(|| Error::new("curl: no output"))?;
    Ok(Box::new(Fetched { curl, output }))
}

impl Read for Fetched {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let length = self.output.read(into)?;
        if length == 0 && !into.is_empty() {
            let ended = self.curl.wait()?;
            if !ended.success() {
                let mut said = String::new();
                self.curl.stderr.take().map_or(Ok(0), |mut stderr| stderr.read_to_string(&mut said))?;
                return Err(std::io::Error::other(said.lines().next().unwrap_or("curl failed").to_owned()));
            }
        }
        Ok(length)
    }
}

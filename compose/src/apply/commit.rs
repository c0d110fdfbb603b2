//! An image made of a container: what it has written is one layer more on its image's.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::diff;
use super::frozen::Frozen;
use super::image::{self, Image};
use crate::engine::Engine;
use crate::engine::content::GetInfo;
use crate::engine::diff::Diff;
use crate::engine::snapshots::{Mounts, RemoveSnapshot, StatSnapshot, View};
use crate::engine::types::Descriptor;
use crate::error::{Context, Error, Result};
use crate::id;
use crate::observe::{Observed, State};
use crate::reference::Reference;
use crate::spec::commit::{self, Step};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// What a manifest and a config of Docker's are, and a layer beside them.
const DOCKERS: [&str; 3] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];
/// The label by which containerd tells the digest of a layer's archive without its compression.
pub const UNCOMPRESSED: &str = "containerd.io/uncompressed";

/// The image that a container is to become.
#[derive(Debug)]
pub struct New<'a> {
    pub one: &'a Observed,
    /// The image that the container was made of.
    pub base: &'a Image,
    /// None: a name that only tells its digest.
    pub name: Option<Reference>,
    /// An image that containers are of, and whose last name this is. It stays without a name.
    pub loses_its_name: Option<&'a Image>,
    /// Instructions of a Dockerfile.
    pub changes: &'a [String],
    /// All but the layer.
    pub step: Step,
    /// Whether the container is frozen meanwhile.
    pub pause: bool,
}

/// Makes the image, and gives its id.
pub async fn commit(engine: &Engine, new: New<'_>) -> Result<String> {
    // What can't be is told before a layer is made.
    let base: Value = serde_json::from_slice(&engine.read_document(&new.base.id).await?).at(&new.base.id)?;
    let service = &new.one.record()?.service;
    commit::document(&base, service, new.changes, &new.step)?;
    engine
        .leased(async |engine| {
            let layer = frozen(engine, &new).await?;
            let info = engine.call(GetInfo { digest: layer.digest.clone() }).await?.info.unwrap_or_default();
            let diff_id = info.labels.get(UNCOMPRESSED).cloned();
            let diff_id = diff_id.ok_or_else(|| Error::new("containerd doesn't say what is in the layer"))?;
            let step = Step { diff_id, ..new.step.clone() };
            let document = serde_json::to_vec(&commit::document(&base, service, new.changes, &step)?)?;
            let id = engine.write_document(&document, HashMap::new()).await?;
            let target = manifest(engine, new.base, &layer, (&id, document.len())).await?;
            let unnamed = image::unnamed(&target.digest);
            let name = new.name.as_ref().map_or(unnamed, Reference::full);
            if let Some(old) = new.loses_its_name {
                image::keep_unnamed(engine, old).await?;
            }
            image::name_target(engine, Some(target), &name).await?;
            Ok(id)
        })
        .await
}

/// The layer, made while nothing runs if that is asked for.
async fn frozen(engine: &Engine, new: &New<'_>) -> Result<Descriptor> {
    let pauses = new.pause && new.one.state == State::Running;
    if !pauses {
        return layer(engine, new.one).await;
    }
    let frozen = Frozen::begin(engine, new.one).await?;
    let made = layer(engine, new.one).await;
    let thawed = frozen.end().await;
    made.and_then(|layer| thawed.map(|()| layer))
}

/// What the container has written, as an archive among containerd's content.
async fn layer(engine: &Engine, one: &Observed) -> Result<Descriptor> {
    let (snapshotter, own) = (one.container.snapshotter.clone(), one.container.snapshot_key.clone());
    let stat = StatSnapshot { snapshotter: snapshotter.clone(), key: own.clone() };
    let parent = engine.call(stat).await.at(one.name())?.info.unwrap_or_default().parent;
    let mounts = engine.call(Mounts { snapshotter: snapshotter.clone(), key: own }).await?.mounts;
    let key = format!("commit-{}", id::random()?);
    let view = View { snapshotter: snapshotter.clone(), key: key.clone(), parent };
    let left = engine.call(view).await.at("a view of the image")?.mounts;
    let request = Diff {
        left,
        right: mounts.iter().map(diff::unwritten).collect(),
        media_type: LAYER.to_owned(),
        reference: key.clone(),
        labels: HashMap::new(),
    };
    let made = engine.call(request).await.at("the layer");
    // The lease would let go of it, too.
    drop(engine.call(RemoveSnapshot { snapshotter, key }).await);
    made?.diff.ok_or_else(|| Error::new("containerd has made no layer"))
}

/// Writes the manifest: the base's with one layer more, in the same of the two forms.
async fn manifest(
    engine: &Engine,
    base: &Image,
    layer: &Descriptor,
    (config, size): (&str, usize),
) -> Result<Descriptor> {
    let read: Value =
        serde_json::from_slice(&engine.read_document(&base.manifest).await?).at(&base.manifest)?;
    let of_docker = read["mediaType"] == DOCKERS[0];
    let [of_manifest, of_config, of_layer] = if of_docker { DOCKERS } else { [MANIFEST, CONFIG, LAYER] };
    let mut layers = read["layers"].as_array().cloned().unwrap_or_default();
    layers.push(json!({"mediaType": of_layer, "digest": layer.digest, "size": layer.size}));
    // By these labels the collector knows what the manifest needs.
    let mut labels = HashMap::from([("containerd.io/gc.ref.content.config".to_owned(), config.to_owned())]);
    for (at, layer) in layers.iter().enumerate() {
        let digest = layer["digest"].as_str().unwrap_or_default().to_owned();
        labels.insert(format!("containerd.io/gc.ref.content.l.{at}"), digest);
    }
    let written = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": of_manifest,
        "config": {"mediaType": of_config, "digest": config, "size": size},
        "layers": layers,
    }))?;
    let digest = engine.write_document(&written, labels).await?;
    let size = i64::try_from(written.len()).unwrap_or_default();
    Ok(Descriptor { media_type: of_manifest.to_owned(), digest, size, ..Descriptor::default() })
}

//! How much room images and containers take.

use std::collections::BTreeMap;

use super::image::Image;
use super::unpack::{chain_id, snapshotter};
use crate::engine::Engine;
use crate::engine::containers::Container;
use crate::engine::snapshots::Usage;
use crate::error::Result;
use crate::observe::Observed;

/// The layers of images, by the names of their snapshots.
#[derive(Clone, Debug, Default)]
pub struct Layers(BTreeMap<String, Layer>);

#[derive(Clone, Copy, Debug, Default)]
struct Layer {
    /// The bytes of the archive and of the snapshot.
    bytes: i64,
    /// The images that have it.
    images: usize,
}

/// An image's names of its layers, the lowest first.
pub fn chain(image: &Image) -> Vec<String> {
    let diff_ids = &image.document.rootfs.diff_ids;
    (1..=diff_ids.len()).map(|count| chain_id(&diff_ids[..count])).collect()
}

impl Layers {
    /// Measures the layers of images, each of which is here once.
    pub async fn of(engine: &Engine, images: &[&Image]) -> Result<Layers> {
        let mut layers = BTreeMap::<String, Layer>::new();
        for image in images {
            for (at, name) in chain(image).into_iter().enumerate() {
                if !layers.contains_key(&name) {
                    let archive = image.layers.get(at).map_or(0, |layer| layer.size);
                    let bytes = archive + snapshot(engine, &snapshotter(), &name).await;
                    layers.insert(name.clone(), Layer { bytes, images: 0 });
                }
                layers.entry(name).or_default().images += 1;
            }
        }
        Ok(Layers(layers))
    }

    /// The bytes of all.
    pub fn bytes(&self) -> i64 {
        self.0.values().map(|layer| layer.bytes).sum()
    }

    /// The bytes of an image, and how many of them other images have too.
    pub fn of_image(&self, image: &Image) -> (i64, i64) {
        let layers: Vec<Layer> = chain(image).iter().filter_map(|name| self.0.get(name)).copied().collect();
        let bytes = |layers: &[Layer]| layers.iter().map(|layer| layer.bytes).sum();
        let shared: Vec<Layer> = layers.iter().filter(|layer| layer.images > 1).copied().collect();
        (bytes(&layers), bytes(&shared))
    }

    /// The bytes of a layer.
    pub fn of_layer(&self, name: &str) -> i64 {
        self.0.get(name).map_or(0, |layer| layer.bytes)
    }
}

/// The bytes that a container has written.
pub async fn of_container(engine: &Engine, container: &Container) -> i64 {
    snapshot(engine, &container.snapshotter, &container.snapshot_key).await
}

/// The bytes that a container has written, and those of its whole root. 0, if nobody has its image any more.
pub async fn of_root(engine: &Engine, one: &Observed, images: &[Image]) -> (i64, i64) {
    let own = of_container(engine, &one.container).await;
    let is_its = |image: &&Image| match &one.record {
        Some(record) => image.id == record.image_id,
        None => image.name == one.container.image,
    };
    let Some(image) = images.iter().find(is_its) else { return (own, 0) };
    let mut whole = own;
    for layer in chain(image) {
        whole += snapshot(engine, &one.container.snapshotter, &layer).await;
    }
    (own, whole)
}

/// A snapshot that isn't there takes no room.
async fn snapshot(engine: &Engine, snapshotter: &str, key: &str) -> i64 {
    let usage = Usage { snapshotter: snapshotter.to_owned(), key: key.to_owned() };
    engine.call(usage).await.map_or(0, |usage| usage.size)
}

//! An image's layers laid out as snapshots, where whoever pulled the image didn't do it.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::image::Image;
use crate::engine::Engine;
use crate::engine::content::{Info, UpdateInfo};
use crate::engine::diff::Apply;
use crate::engine::snapshots::{Commit, Prepare, RemoveSnapshot, StatSnapshot};
use crate::engine::types::{Descriptor, FieldMask};
use crate::error::{Context, Error, Kind, Result};
use crate::id;

/// The snapshotter, as `ctr` and `nerdctl` are told it.
pub fn snapshotter() -> String {
    std::env::var("CONTAINERD_SNAPSHOTTER").unwrap_or_else(|_| "overlayfs".to_owned())
}

/// The name of a layer with all below it, given the digests from the lowest one up.
///
/// Source: image-spec 1.1, `config.md`, "Layer ChainID".
pub fn chain_id(diff_ids: &[String]) -> String {
    let mut diff_ids = diff_ids.iter();
    let first = diff_ids.next().cloned().unwrap_or_default();
    diff_ids.fold(first, |chain, diff_id| {
        let digest = Sha256::digest(format!("{chain} {diff_id}"));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    })
}

/// Lays out the layers that no snapshot has yet. To be called under a lease.
pub async fn ensure(engine: &Engine, image: &Image) -> Result<()> {
    let diff_ids = &image.document.rootfs.diff_ids;
    if image.layers.len() != diff_ids.len() {
        return Err(Error::new("the manifest and the config don't have the same layers")).at(&image.name);
    }
    if diff_ids.is_empty() || exists(engine, &chain_id(diff_ids)).await? {
        return Ok(());
    }
    for (above, layer) in image.layers.iter().enumerate() {
        let chain = chain_id(&diff_ids[..=above]);
        if !exists(engine, &chain).await? {
            let parent = chain_id(&diff_ids[..above]);
            lay_out(engine, layer, &diff_ids[above], parent, chain).await.at(&image.name)?;
        }
    }
    keep(engine, image).await.at(&image.name)
}

async fn exists(engine: &Engine, chain: &str) -> Result<bool> {
    match engine.call(StatSnapshot { snapshotter: snapshotter(), key: chain.to_owned() }).await {
        Ok(_) => Ok(true),
        Err(err) if err.kind() == Kind::NotFound => Ok(false),
        Err(err) => Err(err),
    }
}

async fn lay_out(
    engine: &Engine,
    layer: &Descriptor,
    diff_id: &str,
    parent: String,
    chain: String,
) -> Result<()> {
    let key = format!("extract-{} {chain}", id::random()?);
    let labels = HashMap::from([("containerd.io/snapshot.ref".to_owned(), chain.clone())]);
    let prepare = Prepare { snapshotter: snapshotter(), key: key.clone(), parent, labels: labels.clone() };
    let mounts = engine.call(prepare).await.at(&layer.digest)?.mounts;
    let applied = apply(engine, layer, diff_id, mounts).await;
    let committed = match applied {
        Ok(()) => engine
            .call(Commit { snapshotter: snapshotter(), name: chain, key: key.clone(), labels })
            .await
            .map(drop),
        Err(err) => Err(err),
    };
    match committed {
        Ok(()) => Ok(()),
        Err(err) => {
            // The lease would let go of it too, an hour later at the latest.
            drop(engine.call(RemoveSnapshot { snapshotter: snapshotter(), key }).await);
            // Somebody else has laid out the same layer meanwhile.
            if err.kind() == Kind::AlreadyExists { Ok(()) } else { Err(err) }
        }
    }
}

async fn apply(
    engine: &Engine,
    layer: &Descriptor,
    diff_id: &str,
    mounts: Vec<crate::engine::types::Mount>,
) -> Result<()> {
    let apply = Apply { diff: Some(layer.clone()), mounts };
    let applied = engine.call(apply).await.at(&layer.digest)?.applied.unwrap_or_default();
    if applied.digest == diff_id {
        Ok(())
    } else {
        Err(Error::new(format!("{}: has {} in it, not {diff_id}", layer.digest, applied.digest)))
    }
}

/// Makes the config refer to the snapshot: the layers stay for as long as the image does.
async fn keep(engine: &Engine, image: &Image) -> Result<()> {
    let label = format!("containerd.io/gc.ref.snapshot.{}", snapshotter());
    let update_mask = FieldMask::of(&[&format!("labels.{label}")]);
    let labels = HashMap::from([(label, image.chain_id())]);
    let info = Some(Info { digest: image.id.clone(), labels, ..Info::default() });
    engine.call(UpdateInfo { info, update_mask }).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_named_by_all_its_layers() {
        let layers = ["sha256:a".to_owned(), "sha256:b".to_owned()];
        assert_eq!(chain_id(&[]), "");
        assert_eq!(chain_id(&layers[..1]), "sha256:a");
        // printf 'sha256:a sha256:b' | sha256sum
        let both = "sha256:970a948bffa8de94d6e22d747ba8c95030e6e546909f98f54e99a13005e173a8";
        assert_eq!(chain_id(&layers), both);
    }
}

//! What the user wants of a container, told to whoever may start it again: containerd's restart monitor, a reviver.

use super::container::best_effort;
use super::joined::owners;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::containers::{Container, UpdateContainer};
use crate::engine::types::FieldMask;
use crate::error::{Context, Result};
use crate::keep;
use crate::observe::Observed;
use crate::record::{self, Record, Wanted};

/// Stores the spec, and tells the restart monitor what the user wants. From a stop on, keepers refuse a start by
/// whoever hasn't heard of the stop.
pub async fn want(engine: &Engine, container: &Container, record: &Record, wanted: Wanted) -> Result<()> {
    let labels = record.wanted(wanted);
    let paths: Vec<String> = labels.iter().map(|(name, _)| format!("labels.{name}")).collect();
    let mut mask: Vec<&str> = paths.iter().map(String::as_str).collect();
    if wanted == Wanted::Starting && owners(&record.service).iter().any(Option::is_some) {
        mask.push("spec");
    }
    if mask.is_empty() {
        return Ok(());
    }
    let running = Disk::of(engine.namespace()).running(&container.id);
    match wanted {
        // A disk without room keeps nobody from the stop.
        Wanted::Stopped => best_effort(keep::stopped::begin(&running)),
        Wanted::Starting => keep::stopped::end(&running)?,
        Wanted::Running => {}
    }
    let mut changed = container.clone();
    changed.labels.extend(labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    let update = UpdateContainer { container: Some(changed), update_mask: FieldMask::of(&mask) };
    engine.call(update).await.at(&container.id).map(drop)
}

/// Tells the restart monitor of a container that runs, and whose client was killed before it could tell.
pub async fn confirm(engine: &Engine, one: &Observed) -> Result<()> {
    let is_starting = one.container.labels.get(record::STATUS).is_some_and(|status| status == "created");
    match &one.record {
        Some(record) if is_starting => want(engine, &one.container, record, Wanted::Running).await,
        _ => Ok(()),
    }
}

/// Has nobody start a container again whose start was not waited for.
pub async fn unwanted(engine: &Engine, observed: &Observed) {
    if let Some(record) = &observed.record {
        best_effort(want(engine, &observed.container, record, Wanted::Stopped).await);
    }
}

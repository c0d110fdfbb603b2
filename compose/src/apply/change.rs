//! Containers that are changed while they are there: limits, the restart policy, the name. A restart keeps what was
//! changed.

use super::container::refuse_taken;
use super::{container, host, keeper};
use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::announce::Done;
use crate::engine::containers::{Container, UpdateContainer};
use crate::engine::tasks::UpdateTask;
use crate::engine::types::{Any, FieldMask};
use crate::error::{Context, Error, Kind, Result};
use crate::keep::Settings;
use crate::model::types::{BlkioConfig, Service};
use crate::names;
use crate::net::endpoint::Endpoints;
use crate::net::request::Request;
use crate::observe::{self, Observed};
use crate::record::Record;
use crate::spec::update::{self as limits, Change};

const RESOURCES_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

/// Changes limits and the restart policy of a container.
///
/// Errors: what Docker refuses, in its words; nothing is changed then.
pub async fn update(engine: &Engine, disk: &Disk, one: &Observed, change: &Change) -> Result<()> {
    let lock = container::lock_names(disk).await?;
    let one = observe::one(engine, one.id()).await?;
    refuse(&one, change)?;
    let mut stored = one.container.clone();
    let mut mask = Vec::new();
    if (Change { restart: None, ..change.clone() }) != Change::default() {
        mask.push("spec".to_owned());
        stored.spec = Some(changed_spec(engine, &one, change).await?);
    }
    if let Some(mut record) = one.record.clone() {
        apply_to(&mut record.service, change);
        mask.push(record.store(&mut stored)?);
        if let Some(policy) = change.restart {
            let uri = keeper::log_uri(&disk.container(one.id()))?;
            for (name, value) in record.restart_labels(one.state.is_listed(), &uri) {
                mask.push(format!("labels.{name}"));
                stored.labels.insert(name.to_owned(), value);
            }
            // Before the record: who has failed here has changed nothing that a restart would see.
            let settings = Settings::load(&disk.container(one.id()))?;
            Settings { restart: policy.into(), ..settings }.save(&disk.container(one.id()))?;
        }
    }
    store(engine, stored, &mask).await?;
    drop(lock);
    Done::to(one.id(), "update").announce(engine).await;
    Ok(())
}

fn refuse(one: &Observed, change: &Change) -> Result<()> {
    if change.restart.is_none() && one.record.is_none() {
        return Ok(());
    }
    let record = one.record()?;
    if record.auto_remove && change.restart.is_some() {
        return Err(Error::new(
            "Restart policy cannot be updated because AutoRemove is enabled for the container",
        ));
    }
    let (has_cpus, asks_cpus) = (record.service.cpus.is_some(), change.cpus.is_some_and(|cpus| cpus != 0.0));
    let set = |number: Option<i64>| number.is_some_and(|number| number != 0);
    let parts = [
        ("Period", record.service.cpu_period, change.cpu_period),
        ("Quota", record.service.cpu_quota, change.cpu_quota),
    ];
    for (name, has, asks) in parts {
        if asks_cpus && set(has) {
            return Err(Error::new(format!(
                "Conflicting options: Nano CPUs cannot be updated as CPU {name} has already been set"
            )));
        }
        if has_cpus && set(asks) {
            return Err(Error::new(format!(
                "Conflicting options: CPU {name} cannot be updated as NanoCPUs has already been set"
            )));
        }
    }
    Ok(())
}

/// Tells the task its new limits, if there is one, and gives the spec that has them.
async fn changed_spec(engine: &Engine, one: &Observed, change: &Change) -> Result<Any> {
    let old = one.container.spec.clone().unwrap_or_default();
    let mut spec = old.read_json()?;
    let told = limits::resources(&mut spec, change, &host::cpus()?)?;
    if one.state.is_up() {
        let resources = Some(Any::json(RESOURCES_TYPE, &told)?);
        let update = UpdateTask { container_id: one.id().to_owned(), resources, ..UpdateTask::default() };
        engine.call(update).await.at(format_args!("Cannot update container {}", one.id()))?;
    }
    Any::json(&old.type_url, &spec)
}

/// What the container was asked to be, as it is asked for from now on.
fn apply_to(service: &mut Service, change: &Change) {
    let bytes = |new: Option<_>, old: &mut Option<_>| {
        if new.is_some_and(|bytes: crate::model::values::Bytes| bytes.0 != 0) {
            *old = new;
        }
    };
    bytes(change.memory, &mut service.mem_limit);
    bytes(change.memory_swap, &mut service.memswap_limit);
    bytes(change.memory_reservation, &mut service.mem_reservation);
    let number = |new: Option<i64>, old: &mut Option<i64>| {
        if new.is_some_and(|number| number != 0) {
            *old = new;
        }
    };
    number(change.cpu_shares, &mut service.cpu_shares);
    number(change.cpu_period, &mut service.cpu_period);
    number(change.cpu_quota, &mut service.cpu_quota);
    service.cpus = change.cpus.filter(|&cpus| cpus != 0.0).or(service.cpus);
    service.cpuset = change.cpuset_cpus.clone().filter(|cpus| !cpus.is_empty()).or(service.cpuset.take());
    service.pids_limit = change.pids_limit.or(service.pids_limit);
    if change.restart.is_some() {
        service.restart = change.restart;
        if let Some(deploy) = &mut service.deploy {
            deploy.restart_policy = None;
        }
    }
    if let Some(weight) = change.blkio_weight.filter(|&weight| weight != 0) {
        service.blkio_config.get_or_insert_with(BlkioConfig::default).weight = Some(weight);
    }
}

/// Gives a container another name, by which others find it at once.
///
/// Errors: AlreadyExists, in Docker's words.
pub async fn rename(engine: &Engine, disk: &Disk, one: &Observed, name: &str) -> Result<()> {
    let name = name.strip_prefix('/').unwrap_or(name);
    names::check(name)?;
    let lock = container::lock_names(disk).await?;
    let one = observe::one(engine, one.id()).await?;
    let old = one.name().to_owned();
    if old == name {
        return Err(Error::new("Renaming a container with the same name as its current name"));
    }
    refuse_taken(engine, name, None).await.at("Error when allocating new name")?;
    let record = Record { name: name.to_owned(), ..one.record()?.clone() };
    let mut stored = one.container.clone();
    let label = crate::record::NAME;
    stored.labels.insert(label.to_owned(), name.to_owned());
    let mask = [record.store(&mut stored)?, format!("labels.{label}")];
    store(engine, stored, &mask).await?;
    if let Some(request) = Request::load(&disk.container(one.id()))? {
        Request { name: name.to_owned(), ..request }.save(&disk.container(one.id()))?;
    }
    rename_endpoints(disk, one.id(), (&old, name))?;
    drop(lock);
    let done = Done::to(one.id(), "rename").with("oldName", format_args!("/{old}")).with("name", name);
    done.announce(engine).await;
    Ok(())
}

/// Names are answered from the endpoints' records.
fn rename_endpoints(disk: &Disk, id: &str, (old, new): (&str, &str)) -> Result<()> {
    let Some(mut list) = Endpoints::load(disk, id)? else { return Ok(()) };
    for made in &mut list.endpoints {
        new.clone_into(&mut made.endpoint.name);
        for name in made.endpoint.names.iter_mut().filter(|name| *name == old) {
            new.clone_into(name);
        }
        made.endpoint.save(disk)?;
    }
    list.save(disk, id)?;
    // Who has ended meanwhile has taken back what there was before.
    if !list.init.is_alive() {
        list.endpoints.iter().try_for_each(|made| made.endpoint.remove(disk))?;
    }
    Ok(())
}

/// Stores these fields of a container.
async fn store(engine: &Engine, container: Container, fields: &[String]) -> Result<()> {
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    let id = container.id.clone();
    let update = UpdateContainer { container: Some(container), update_mask: FieldMask::of(&fields) };
    match engine.call(update).await {
        Err(err) if err.kind() == Kind::NotFound => {
            Err(Error::of_kind(Kind::NotFound, format!("No such container: {id}")))
        }
        stored => stored.at(id).map(drop),
    }
}

//! Namespaces of other containers that a container is in.

use super::container::SPEC_TYPE;
use crate::engine::Engine;
use crate::engine::types::Any;
use crate::error::{Error, Kind, Result};
use crate::model::types::Service;
use crate::observe::{self, Observed};
use crate::spec::{self, Joined};

/// The containers whose namespaces of network, processes and IPC a service joins.
pub fn owners(service: &Service) -> [Option<&str>; 3] {
    let modes = [&service.network_mode, &service.pid, &service.ipc];
    modes.map(|mode| mode.as_deref().and_then(|mode| mode.strip_prefix("container:")))
}

/// The processes whose namespaces a service joins. 0 for those that don't run: they have to at the start.
pub async fn joined(engine: &Engine, service: &Service) -> Result<Joined> {
    let names = owners(service);
    if names.iter().all(Option::is_none) {
        return Ok(Joined::default());
    }
    let observed = observe::containers(engine).await?;
    let pid = |name: Option<&str>| -> Result<Option<u32>> {
        let found = name.map(|name| observe::find(&observed, name)).transpose()?;
        Ok(found.map(|one| one.task.as_ref().filter(|_| one.state.is_up()).map_or(0, |task| task.pid)))
    };
    if let Some(name) = names[2] {
        let donor = observe::find(&observed, name)?;
        let ipc = donor.record.as_ref().and_then(|record| record.service.ipc.as_deref());
        if matches!(ipc, None | Some("" | "private" | "none")) {
            return Err(Error::new(format!(
                "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                donor.id()
            )));
        }
    }
    Ok(Joined { network: pid(names[0])?, pid: pid(names[1])?, ipc: pid(names[2])? })
}

/// The container whose namespaces one that runs has joined, if the container's process has been another one since.
pub fn outlived<'a>(one: &Observed, all: &'a [Observed]) -> Option<&'a str> {
    let service = &one.record.as_ref().filter(|_| one.state.is_up())?.service;
    let kinds = ["net", "pid", "ipc"].into_iter().zip(owners(service));
    let mut joined = kinds.filter_map(|(kind, name)| Some((kind, name?))).peekable();
    joined.peek()?;
    let spec: serde_json::Value = one.container.spec.as_ref()?.read_json().ok()?;
    joined.find_map(|(kind, name)| {
        let owner = observe::find(all, name).ok().filter(|owner| owner.state.is_up())?;
        let path = format!("/proc/{}/ns/{kind}", owner.task.as_ref()?.pid);
        let mut namespaces = spec["linux"]["namespaces"].as_array().into_iter().flatten();
        (!namespaces.any(|namespace| namespace["path"] == path.as_str())).then(|| owner.name())
    })
}

/// The spec with the namespaces of those who run now.
pub fn rejoined(spec: Option<Any>, service: &Service, joined: Joined) -> Result<Option<Any>> {
    let parts = [("network_mode", joined.network), ("pid", joined.pid), ("ipc", joined.ipc)];
    if let Some((field, _)) = parts.iter().find(|(_, pid)| *pid == Some(0)) {
        return Err(Error::of_kind(
            Kind::WrongState,
            format!("{field}: cannot join a container that is not running"),
        ));
    }
    match spec {
        Some(spec) if parts.iter().any(|(_, pid)| pid.is_some()) => {
            let mut value: serde_json::Value = spec.read_json()?;
            spec::rejoin(&mut value, service, joined);
            Any::json(SPEC_TYPE, &value).map(Some)
        }
        spec => Ok(spec),
    }
}

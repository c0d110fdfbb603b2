//! What is managed beside containers: networks, volumes, the system, images on their way in and out.

use super::{Ended, Session, complain, print, say};
use crate::cli::manage::{Local, Managed};
use crate::error::{Error, Result};
use crate::time;

mod archive;
mod context;
mod df;
mod doctor;
mod history;
mod import;
mod info;
mod login;
pub mod network;
mod prune;
mod push;
pub mod volume;

/// Does what is meant.
pub async fn perform(session: &Session, managed: Managed) -> Ended {
    match managed {
        Managed::CreateNetwork(new) => network::create(session, *new),
        Managed::Networks(list) => network::list(session, &list).await,
        Managed::InspectNetworks { names, format } => {
            network::inspect(session, &names, format.as_deref()).await
        }
        Managed::RemoveNetworks { names, force } => network::remove(session, &names, force),
        Managed::Connect(connect) => network::connect(session, *connect).await,
        Managed::Disconnect { network, container, force } => {
            network::disconnect(session, &network, &container, force).await
        }
        Managed::CreateVolume(new) => volume::create(session, new),
        Managed::Volumes(list) => volume::list(session, &list).await,
        Managed::InspectVolumes { names, format } => volume::inspect(session, &names, format.as_deref()),
        Managed::RemoveVolumes { names, force } => volume::remove(session, &names, force).await,
        Managed::Prune(asked) => prune::prune(session, &asked).await,
        Managed::DiskUsage { verbose, format } => df::df(session, verbose, format.as_deref()).await,
        Managed::Info { format } => info::info(session, format.as_deref()).await,
        Managed::History { image, list } => history::history(session, &image, &list).await,
        Managed::Save(save) => archive::save(session, &save).await,
        Managed::Load { input, quiet } => archive::load(session, input.as_deref(), quiet).await,
        Managed::Push(asked) => push::push(session, &asked).await,
        Managed::Import(asked) => import::import(session, &asked).await,
    }
}

/// Does what needs no containerd.
pub async fn perform_alone(local: &Local, address: &str, namespace: &str) -> Ended {
    match local {
        Local::Doctor => doctor::doctor(address, namespace).await,
        Local::Login(asked) => login::login(asked),
        Local::Logout { server } => login::logout(server.as_deref()),
        Local::Search { term } => Err(Error::new(format!(
            "search: registries have no search in common: look for {term:?} at https://hub.docker.com/search"
        ))),
        Local::Context(asked) => context::context(asked, address),
    }
}

/// Does something to each of the things that were named, in turn, and prints each name. One that fails stops no other.
async fn each(names: &[String], act: impl AsyncFn(&str) -> Result<()>) -> Ended {
    let mut code = 0;
    for name in names {
        match act(name).await {
            Ok(()) => say(name),
            Err(err) => {
                complain(&err);
                code = 1;
            }
        }
    }
    Ok(code)
}

fn now() -> String {
    time::rfc3339(time::now().as_secs() as i64, 0)
}

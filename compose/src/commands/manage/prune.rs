//! `prune` of each kind, and of all.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};
use std::process::Stdio;

use super::{Ended, Session, complain, network, print, say};
use crate::apply::hold::hold;
use crate::apply::image::{self, Image};
use crate::apply::room::{self, Layers};
use crate::apply::sweep::{Used, sweep};
use crate::apply::{container, host, volume};
use crate::cli::manage::{Prune, PruneOf};
use crate::commands::filters::{check, is_pruned, truth};
use crate::error::{Context, Error, Kind, Result};
use crate::net::network::Network;
use crate::net::sweep::Care;
use crate::observe::{self, Observed, State, moment};
use crate::process::child;
use crate::reference::{Reference, familiar};
use crate::time;
use crate::view::table::bytes;

/// What was removed, as Docker tells it, and how many bytes that gives back.
#[derive(Default)]
struct Pruned {
    text: String,
    bytes: i64,
}

impl Pruned {
    fn of(heading: &str, lines: &[String], bytes: i64) -> Pruned {
        if lines.is_empty() {
            return Pruned { text: String::new(), bytes };
        }
        Pruned { text: format!("{heading}:\n{}\n\n", lines.join("\n")), bytes }
    }
}

pub async fn prune(session: &Session, asked: &Prune) -> Ended {
    refuse_filters(asked)?;
    if asked.of == PruneOf::BuildCache && host::on_path("buildctl").is_none() {
        return Err(Error::new("builder prune needs buildctl, which is not on PATH"));
    }
    if !asked.force && !is_sure(&question(asked))? {
        return Ok(0);
    }
    sweep(&session.engine, &session.disk, Care::Anew).await?;
    let kinds: &[PruneOf] = match asked.of {
        PruneOf::System => {
            &[PruneOf::Containers, PruneOf::Networks, PruneOf::Volumes, PruneOf::Images, PruneOf::BuildCache]
        }
        _ => std::slice::from_ref(&asked.of),
    };
    let mut all = 0;
    for kind in kinds {
        let pruned = prune_one(session, *kind, asked).await?;
        print(&pruned.text)?;
        all += pruned.bytes;
    }
    if !matches!(asked.of, PruneOf::Networks | PruneOf::BuildCache) {
        say(format_args!("Total reclaimed space: {}", bytes(all)));
    }
    Ok(0)
}

async fn prune_one(session: &Session, kind: PruneOf, asked: &Prune) -> Result<Pruned> {
    let is_all = asked.of == PruneOf::System;
    match kind {
        PruneOf::Containers => containers(session, asked).await,
        PruneOf::Networks => networks(session, asked).await,
        PruneOf::Volumes if is_all && !asked.volumes => Ok(Pruned::default()),
        PruneOf::Volumes => volumes(session, asked, !is_all && asked.all).await,
        PruneOf::Images => images(session, asked).await,
        // Where nobody builds there is nothing to remove.
        PruneOf::BuildCache if is_all && host::on_path("buildctl").is_none() => Ok(Pruned::default()),
        PruneOf::BuildCache => build_cache(asked),
        PruneOf::System => Ok(Pruned::default()),
    }
}

fn refuse_filters(asked: &Prune) -> Result<()> {
    let keys: &[&str] = match asked.of {
        PruneOf::Volumes => &["label", "label!", "all"],
        PruneOf::Images => &["until", "label", "label!", "dangling"],
        // They are buildctl's.
        PruneOf::BuildCache => return Ok(()),
        _ => &["until", "label", "label!"],
    };
    check(&asked.filters, keys)?;
    if asked.of == PruneOf::System && asked.volumes && asked.filters.iter().any(|(key, _)| key == "until") {
        return Err(Error::new("the \"until\" filter is not supported with \"--volumes\""));
    }
    Ok(())
}

/// Docker's words.
fn question(asked: &Prune) -> String {
    let images = if asked.all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    };
    let one = |what: &str| format!("WARNING! This will remove {what}.\n");
    let warning = match asked.of {
        PruneOf::Containers => one("all stopped containers"),
        PruneOf::Networks => one("all custom networks not used by at least one container"),
        PruneOf::Volumes if is_all_volumes(asked) => {
            one("all local volumes not used by at least one container")
        }
        PruneOf::Volumes => one("anonymous local volumes not used by at least one container"),
        PruneOf::Images => one(images),
        PruneOf::BuildCache if asked.all => one("all build cache"),
        PruneOf::BuildCache => one("all dangling build cache"),
        PruneOf::System => {
            let mut text = String::from("WARNING! This will remove:\n  - all stopped containers\n");
            text += "  - all networks not used by at least one container\n";
            if asked.volumes {
                text += "  - all anonymous volumes not used by at least one container\n";
            }
            let cache = if asked.all { "all build cache" } else { "unused build cache" };
            text += &format!("  - {images}\n  - {cache}\n\n");
            if !asked.filters.is_empty() {
                text += "  Items to be pruned will be filtered with:\n";
                let line = |(key, value): &(String, String)| format!("  - {key}={value}\n");
                text += &(asked.filters.iter().map(line).collect::<String>() + "\n");
            }
            text
        }
    };
    warning + "Are you sure you want to continue? [y/N] "
}

fn is_sure(question: &str) -> Result<bool> {
    print(question)?;
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).at("stdin")?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

// ---- containers

async fn containers(session: &Session, asked: &Prune) -> Result<Pruned> {
    let Session { engine, disk } = session;
    let (mut removed, mut bytes) = (Vec::new(), 0);
    for one in session.containers().await? {
        let created = moment(one.container.created_at).as_secs() as i64;
        // What other clients have made is theirs to remove.
        let is_ended = one.record.is_some() && matches!(one.state, State::Created | State::Exited { .. });
        if !is_ended || !is_pruned(&asked.filters, Some(created), one.container.labels.iter())? {
            continue;
        }
        let size = room::of_container(engine, &one.container).await;
        let _held = hold(disk, one.id()).await?;
        // It may have been started since it was looked at.
        let is_started = observe::task(engine, one.id()).await?.is_some_and(|task| is_running(&task));
        if !is_started && is_removed(container::remove(engine, disk, &one, false).await) {
            removed.push(one.id().to_owned());
            bytes += size;
        }
    }
    Ok(Pruned::of("Deleted Containers", &removed, bytes))
}

fn is_running(task: &crate::engine::tasks::Process) -> bool {
    task.status() != crate::engine::tasks::Status::Stopped
}

/// Another command may have been faster, or needs it by now. All else is told, and stops nothing.
fn is_removed(removed: Result<()>) -> bool {
    match removed {
        Ok(()) => true,
        Err(err) if matches!(err.kind(), Kind::NotFound | Kind::WrongState) => false,
        Err(err) => {
            complain(&err);
            false
        }
    }
}

// ---- networks and volumes

async fn networks(session: &Session, asked: &Prune) -> Result<Pruned> {
    let disk = &session.disk;
    // Before the containers: whoever has come to register meanwhile is among them.
    let making = Used::by_makers(disk)?.networks;
    let containers = session.containers().await?;
    let mut removed = Vec::new();
    for one in Network::list(disk)? {
        let created = time::parse_rfc3339(&one.created).map(|(seconds, _)| seconds);
        let is_used = making.contains(&one.name) || network::users(&containers, &one.name).next().is_some();
        let is_default = one.name == crate::model::network_mode::DEFAULT_NETWORK;
        if !is_used
            && !is_default
            && is_pruned(&asked.filters, created, one.labels.iter())?
            && is_removed(Network::remove(disk, &one.name))
        {
            removed.push(one.name);
        }
    }
    Ok(Pruned::of("Deleted Networks", &removed, 0))
}

fn is_all_volumes(asked: &Prune) -> bool {
    asked.all || asked.filters.iter().any(|(key, value)| key == "all" && truth(key, value) == Ok(true))
}

async fn volumes(session: &Session, asked: &Prune, all: bool) -> Result<Pruned> {
    let Session { engine, disk } = session;
    let all = all || asked.of == PruneOf::Volumes && is_all_volumes(asked);
    let filters: Vec<_> = asked.filters.iter().filter(|(key, _)| key != "all").cloned().collect();
    let users = volume::users(engine, disk).await?;
    let (mut removed, mut bytes) = (Vec::new(), 0);
    for one in volume::all(disk)? {
        let is_meant = (all || one.anonymous) && !users.contains_key(&one.name);
        if !is_meant || !is_pruned(&filters, None, one.labels.iter())? {
            continue;
        }
        let size = volume::size(disk, &one.name);
        if is_removed(volume::remove_unused(engine, disk, &one.name).await) {
            removed.push(one.name);
            bytes += i64::try_from(size).unwrap_or_default();
        }
    }
    Ok(Pruned::of("Deleted Volumes", &removed, bytes))
}

// ---- images

async fn images(session: &Session, asked: &Prune) -> Result<Pruned> {
    let engine = &session.engine;
    let all = image::all(engine).await?;
    let ids: BTreeSet<&str> = all.iter().map(|image| image.id.as_str()).collect();
    let dangling = |value: &str| truth("dangling", value);
    let said = asked.filters.iter().find(|(key, _)| key == "dangling").map(|(_, value)| dangling(value));
    let only_dangling = said.transpose()?.unwrap_or(!asked.all);
    let filters: Vec<_> = asked.filters.iter().filter(|(key, _)| key != "dangling").cloned().collect();
    let containers = session.containers().await?;
    let (mut lines, mut bytes) = (Vec::new(), 0);
    let mut kept: Vec<&Image> =
        ids.iter().filter_map(|id| all.iter().find(|image| image.id == *id)).collect();
    for id in ids {
        let names: Vec<&Image> = all.iter().filter(|image| image.id == id).collect();
        let Some(first) = names.first() else { continue };
        let is_named = names.iter().any(|image| has_tag(&image.name));
        let is_used = containers.iter().any(|one| uses(one, id, &names));
        let created = first.document.created.as_deref().and_then(time::parse_rfc3339);
        let created = created.map(|(seconds, _)| seconds).or(Some(0));
        if is_used
            || only_dangling && is_named
            || !is_pruned(&filters, created, first.document.config.labels.iter())?
        {
            continue;
        }
        let before = Layers::of(engine, &kept).await?.bytes();
        kept.retain(|image| image.id != id);
        let after = Layers::of(engine, &kept).await?.bytes();
        for image in &names {
            if is_removed(image::remove(engine, &image.name).await) {
                lines.push(format!("untagged: {}", familiar(&image.name)));
            }
        }
        lines.push(format!("deleted: {id}"));
        bytes += before - after;
    }
    Ok(Pruned::of("Deleted Images", &lines, bytes))
}

/// Whether a name is one that people gave: with a tag.
fn has_tag(name: &str) -> bool {
    // Whole names have a tag, or only a digest.
    Reference::parse(name).is_ok_and(|reference| reference.tag().is_some() && reference.full() == name)
}

/// Whether a container was made from an image, whoever made it.
pub fn uses(one: &Observed, id: &str, names: &[&Image]) -> bool {
    let by_id = one.record.as_ref().is_some_and(|record| record.image_id == id);
    by_id || one.record.is_none() && names.iter().any(|image| image.name == one.container.image)
}

// ---- builds

fn build_cache(asked: &Prune) -> Result<Pruned> {
    let mut command = child::command("buildctl");
    command.arg("prune").args(asked.all.then_some("--all"));
    if let Some(keep) = &asked.keep_storage {
        command.arg(format!("--keep-storage={keep}"));
    }
    if asked.of == PruneOf::BuildCache {
        command.args(asked.filters.iter().map(|(key, value)| format!("--filter={key}={value}")));
    }
    // What it removes it tells itself.
    let ended = command.stdin(Stdio::null()).status().at("buildctl")?;
    if ended.success() { Ok(Pruned::default()) } else { Err(Error::new(format!("buildctl prune: {ended}"))) }
}

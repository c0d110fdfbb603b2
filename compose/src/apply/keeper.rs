//! What the keeper and the hooks of a container are told, and how they are started.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::host;
use super::stdio::{self, Fifos, Streams};

use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::error::{Context, Error, Kind, Result};
use crate::keep::{self, Check, Log, Settings};
use crate::model::network_mode::DEFAULT_NETWORK;
use crate::model::types::Service;
use crate::model::values::Restart;
use crate::net::files;
use crate::net::network::{Network, Wanted};
use crate::net::pool::Pool;
use crate::net::request::Request;
use crate::observe::Observed;
use crate::process::Process;
use crate::spec::image;
use crate::spec::oci::{Hook, Hooks};
use crate::time;

/// A hook that hangs would hold up the start of its container for ever.
const HOOK_SECONDS: i64 = 60;

/// What a keeper has to know of its container.
#[derive(Debug)]
pub struct Told<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub hostname: &'a str,
    pub service: &'a Service,
    pub image: &'a image::Config,
    pub auto_remove: bool,
}

/// Writes it down in the container's directory.
///
/// Errors: a network that isn't there, fields that nobody can do.
pub fn tell(engine: &Engine, disk: &Disk, told: &Told) -> Result<()> {
    let Told { id, name, hostname, service, image, auto_remove } = *told;
    let dir = disk.container(id);
    let request = Request::of(service, name, hostname, None, str::to_owned)?;
    request.attachments.iter().try_for_each(|attachment| ensure_network(disk, &attachment.network))?;
    request.save(&dir)?;
    // The hook writes them anew, once there are addresses.
    files::write(&dir, &request, &[], false)?;
    let settings = Settings {
        namespace: engine.namespace().to_owned(),
        id: id.to_owned(),
        address: engine.address().to_owned(),
        log_uri: log_uri(&dir)?,
        log: Log::of(service.logging.as_ref())?,
        health: Check::merged(service.healthcheck.as_ref(), of_image(image), &image.shell),
        restart: service.restart_policy().into(),
        auto_remove,
        stays_for: None,
    };
    settings.save(&dir)
}

/// A container that is not removed at its end, until this is dropped: its user stops it to start it again. If this
/// command is killed, whoever sees to the container's end removes it then.
pub struct Stays(Option<PathBuf>);

/// Lets a container stay beyond its next end.
pub fn stays(disk: &Disk, one: &Observed) -> Result<Stays> {
    let is_removed = one.record.as_ref().is_some_and(|record| record.auto_remove);
    if !is_removed {
        return Ok(Stays(None));
    }
    let dir = disk.container(one.id());
    Settings { stays_for: Process::own(), ..Settings::load(&dir)? }.save(&dir)?;
    Ok(Stays(Some(dir)))
}

/// Whether a container stays beyond its end, because another command is about to start it again.
pub fn is_restarted(disk: &Disk, id: &str) -> bool {
    let stays_for = Settings::load(&disk.container(id)).ok().and_then(|settings| settings.stays_for);
    stays_for.is_some_and(|command| Some(command) != Process::own() && command.is_alive())
}

impl Drop for Stays {
    fn drop(&mut self) {
        let Some(settings) = self.0.as_ref().and_then(|dir| Settings::load(dir).ok()) else { return };
        // Somebody else may have let it stay meanwhile.
        if let (Some(dir), true) = (&self.0, settings.stays_for == Process::own()) {
            // Then the end of this command is as good.
            drop(Settings { stays_for: None, ..settings }.save(dir));
        }
    }
}

/// The default network is there as soon as somebody wants it.
pub fn ensure_network(disk: &Disk, name: &str) -> Result<()> {
    match Network::load(disk, name) {
        Err(err) if err.kind() == Kind::NotFound && name == DEFAULT_NETWORK => {
            let created = time::rfc3339(time::now().as_secs() as i64, 0);
            let wanted = Wanted { name: name.to_owned(), created, ..Wanted::default() };
            match Network::create(disk, wanted, &Pool::default()) {
                Err(err) if err.kind() != Kind::AlreadyExists => Err(err),
                _ => Ok(()),
            }
        }
        loaded => loaded.map(drop),
    }
}

/// Whether the networks of a service are there, with the addresses that it insists on.
///
/// Errors: in Docker's words.
pub fn check_networks(disk: &Disk, service: &Service) -> Result<()> {
    service.networks.iter().try_for_each(|(name, asked)| {
        ensure_network(disk, name)?;
        Network::load(disk, name)?.check_addresses(asked)
    })
}

/// The image's health check, with Docker's defaults for what it doesn't say.
fn of_image(image: &image::Config) -> Option<Check> {
    let asked = image.healthcheck.as_ref()?;
    let mut check = Check::of(keep::check_command(&asked.test, &image.shell)?);
    let set = |time: &mut std::time::Duration, nanos: i64| {
        if let (true, Ok(nanos)) = (nanos > 0, u64::try_from(nanos)) {
            *time = std::time::Duration::from_nanos(nanos);
        }
    };
    set(&mut check.interval, asked.interval);
    set(&mut check.timeout, asked.timeout);
    set(&mut check.start_period, asked.start_period);
    set(&mut check.start_interval, asked.start_interval);
    if let (true, Ok(retries)) = (asked.retries > 0, u32::try_from(asked.retries)) {
        check.retries = retries;
    }
    Some(check)
}

/// Runs when the container's namespaces are made, and when they are gone, whoever starts the container.
pub fn hooks() -> Result<Hooks> {
    let path = program()?.to_string_lossy().into_owned();
    let hook = |operation: &str| Hook {
        path: path.clone(),
        args: ["corten-compose", "hook", operation].map(str::to_owned).to_vec(),
        env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
        timeout: Some(HOOK_SECONDS),
    };
    Ok(Hooks { create_runtime: vec![hook("create")], poststop: vec![hook("delete")] })
}

/// Starts the keeper of a container whose user types to it, and waits until it is ready. No shim would do both.
pub async fn start(dir: &Path, streams: &Streams) -> Result<()> {
    let mut keeper = Command::new(program()?);
    let own = Process::own().ok_or_else(|| Error::new("no /proc to find this process in"))?;
    keeper.arg("keep").arg(dir).args([&streams.stdout, &streams.stderr, &own.to_string()]);
    keeper.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // What is typed to end this command isn't meant for the keeper.
    let mut started = keeper.process_group(0).spawn().at("its keeper")?;
    let mut said = String::new();
    if let Some(stdout) = &mut started.stdout {
        stdout.read_to_string(&mut said).await.at("its keeper")?;
    }
    match started.try_wait().at("its keeper")? {
        None => Ok(()),
        Some(status) => Err(Error::new(format!("its keeper: ended at once, {status}"))),
    }
}

/// The streams of a container that nobody is attached to. If it reads, whoever attaches later types into a fifo.
pub async fn streams(disk: &Disk, one: &Observed) -> Result<Streams> {
    let service = &one.record()?.service;
    let dir = disk.container(one.id());
    let kept = stdio::kept(&dir, service.tty)?;
    let place = disk::fifos(&disk.running(one.id()));
    // Corten's shim gives input to any process. Others give none to one that they start a keeper for, but for a
    // terminal, and a keeper that they don't start is gone when the container comes back.
    let by_shim = one.container.runtime.as_ref().is_some_and(|runtime| runtime.name == host::CORTEN);
    let comes_back = service.restart_policy() != Restart::No;
    if service.stdin_open && (service.tty || by_shim) {
        return Fifos::for_input(&place, kept).map(Fifos::leave);
    }
    if !service.stdin_open || comes_back {
        return Ok(kept);
    }
    let streams = Fifos::for_all(&place, true, false)?.leave();
    start(&dir, &streams).await.map(|()| streams)
}

/// The URI of a container's output, by which its shim starts the keeper.
pub fn log_uri(dir: &Path) -> Result<String> {
    let escaped = |path: &Path| -> Result<String> {
        let path = path.to_str().ok_or_else(|| Error::new(format!("{}: not UTF-8", path.display())))?;
        let escaped = path.bytes().map(|byte| match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        });
        Ok(escaped.collect())
    };
    Ok(format!("binary://{}?keep={}", escaped(&program()?)?, escaped(dir)?))
}

/// This program. It has to stay in its place for as long as its containers run.
fn program() -> Result<PathBuf> {
    std::env::current_exe().at("this program")
}

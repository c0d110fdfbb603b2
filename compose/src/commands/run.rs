//! `run` and `create`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::IsTerminal;

use super::manage::network::built_in_by_id;
use super::{Ended, REFUSED, Session, code_of, complain, filters, say};
use crate::apply::attach::{Ends, Outcome, Shows, Target, Tie, UNREAD};
use crate::apply::caught::Caught;
use crate::apply::container::{self, New};
use crate::apply::hold::{Hold, hold};
use crate::apply::stdio::{self, Fifos};
use crate::apply::sweep::sweep;
use crate::apply::{image, keeper, want};
use crate::cli::container::Asked;
use crate::client_config::proxies;
use crate::disk;
use crate::error::{Context, Error, Kind, Result, absent_is_fine};
use crate::keep::attach_socket;
use crate::model::refused;
use crate::model::types::{Port, Service};
use crate::net::network::Network;
use crate::net::sweep::Care;
use crate::observe::{self, Observed};
use crate::spec::image::Config;

/// The exit code is the container's, or one of Docker's if it has none.
pub async fn run(session: &Session, asked: Asked, detach: bool, tie: &Tie) -> u8 {
    let auto_remove = asked.auto_remove;
    let made = match make(session, asked).await {
        Ok(made) => made,
        Err(err) => {
            complain(&err);
            return REFUSED;
        }
    };
    let (held, made) = match held(session, made.id()).await {
        Ok(held) => held,
        Err(err) => {
            complain(&err);
            return code_of(&err);
        }
    };
    let ended = if detach {
        let _held = held;
        start(session, &made).await.map(|()| Outcome::Ended(0))
    } else {
        if tie.shows == (Shows { stdout: false, stderr: false }) {
            say(made.id());
        }
        attached(session, &made, tie, begin(session, &made, held)).await
    };
    if auto_remove && is_over(&ended, detach) {
        if let Err(err) = removed_after(&ended, remove(session, made.id()).await) {
            complain(&err);
        }
    }
    ended.map(code).unwrap_or_else(|err| {
        complain(&err);
        code_of(&err)
    })
}

/// A container that was just made, and that nobody has removed before it is held.
pub async fn held(session: &Session, id: &str) -> Result<(Hold, Observed)> {
    let held = hold(&session.disk, id).await?;
    observe::one(&session.engine, id).await.map(|one| (held, one))
}

/// Whether a container that was started so may have no process any more.
pub fn is_over(ended: &Result<Outcome>, detach: bool) -> bool {
    match ended {
        Ok(Outcome::Ended(_)) => !detach,
        Ok(Outcome::Detached | Outcome::Unread) => false,
        Err(_) => true,
    }
}

/// Removes a container at its end, as [`remove_held`] does.
pub async fn remove(session: &Session, id: &str) -> Result<()> {
    let _held = hold(&session.disk, id).await?;
    remove_held(session, id).await
}

/// Removes a container that is held, unless somebody else has. One that runs goes on: it was started again, or only the
/// connection to containerd has broken off. It is removed at its end, and so is one that is about to be started again.
pub async fn remove_held(session: &Session, id: &str) -> Result<()> {
    let Session { engine, disk } = session;
    match observe::one(engine, id).await {
        Ok(one) if one.state.is_up() || keeper::is_restarted(disk, id) => Ok(()),
        Ok(one) => absent_is_fine(container::remove(engine, disk, &one, true).await),
        Err(err) => absent_is_fine(Err(err)),
    }
}

/// What there is to tell of a container's removal beside how its start has ended: who can't be reached is told of once.
pub fn removed_after<T>(ended: &Result<T>, removed: Result<()>) -> Result<()> {
    let is_unreached = |err: &Error| err.kind() == Kind::Unavailable;
    match removed {
        Err(err) if is_unreached(&err) && ended.as_ref().is_err_and(is_unreached) => Ok(()),
        removed => removed,
    }
}

/// Who leaves a container alone has started it well.
pub fn code(ended: Outcome) -> u8 {
    match ended {
        Outcome::Ended(code) => code,
        Outcome::Detached => 0,
        Outcome::Unread => UNREAD,
    }
}

pub async fn create(session: &Session, asked: Asked) -> Ended {
    say(make(session, asked).await?.id());
    Ok(0)
}

async fn make(session: &Session, asked: Asked) -> Result<Observed> {
    let Session { engine, disk } = session;
    let mut asked = asked;
    name_others(session, &mut asked.service).await?;
    // Before anything is pulled or made.
    container::check(&asked.service)?;
    proxies::give(&mut asked.service);
    let platform = asked.service.platform.clone();
    // What is not shown is not pulled with progress either.
    let shows = if asked.quiet { image::Shows::Nothing } else { image::Shows::Progress };
    let image = image::ensure(engine, &asked.image, asked.pull, platform.as_deref(), shows).await?;
    let exposed = exposed(&asked.service.expose, &image.document.config)?;
    // In a namespace of somebody else there is nothing to publish.
    if asked.publish_all && asked.service.network_mode.is_none() {
        publish(&mut asked.service.ports, exposed);
    }
    if let Some(file) = &asked.cidfile {
        if std::fs::exists(file).at(file)? {
            return Err(Error::new(format!(
                "container ID file found, make sure the other container isn't running or delete {file}"
            )));
        }
    }
    sweep(engine, disk, Care::Quick).await?;
    let new = New {
        name: asked.name,
        service: asked.service,
        image: &image,
        binds: Vec::new(),
        auto_remove: asked.auto_remove,
        member: None,
        taken_over: Default::default(),
    };
    // Before there is a container: a place that can't be written to leaves nothing behind.
    let cidfile = asked.cidfile.as_deref().map(std::path::Path::new);
    cidfile.map_or(Ok(()), |file| disk::write(file, b""))?;
    let created = container::create(engine, disk, new).await;
    match (&created, cidfile) {
        (Ok(id), Some(file)) => disk::write(file, id.as_bytes())?,
        (Err(_), Some(file)) => drop(disk::remove_file(file)),
        (_, None) => {}
    }
    observe::find(&observe::containers(engine).await?, &created?).cloned()
}

/// Names the networks and the linked containers that were typed by their ids.
///
/// Errors: a linked container that isn't there, in Docker's words.
async fn name_others(session: &Session, service: &mut Service) -> Result<()> {
    let networks = std::mem::take(&mut service.networks);
    let is_alone = networks.len() == 1;
    for (typed, attachment) in networks {
        let name = match (Network::find(&session.disk, &typed), built_in_by_id(&typed)) {
            (Ok(network), _) => network.name,
            (Err(err), Some((mode, _))) if err.kind() == Kind::NotFound && is_alone => {
                service.network_mode = Some(mode.to_owned());
                continue;
            }
            // What isn't there is told later, with what else is wrong.
            (Err(err), _) if err.kind() == Kind::NotFound => typed,
            (Err(err), _) => return Err(err),
        };
        if service.networks.insert(name.clone(), attachment).is_some() {
            return Err(Error::new(format!("network \"{name}\" is specified multiple times")));
        }
    }
    if service.external_links.is_empty() {
        return Ok(());
    }
    if let Some(mode @ ("host" | "none")) = service.network_mode.as_deref() {
        return Err(Error::new(format!(
            "conflicting options: {mode} type networking can't be used with links"
        )));
    }
    if service.network_mode.as_deref().is_some_and(|mode| mode.starts_with("container:")) {
        let line = "conflicting options: container type network can't be used with links. This would result in \
                    undefined behavior";
        return Err(Error::new(line));
    }
    service.external_links.iter().try_for_each(|link| refused::link(link)).map_err(Error::new)?;
    let containers = session.containers().await?;
    for link in &mut service.external_links {
        let (typed, alias) = link.split_once(':').unwrap_or((link, link));
        let one =
            observe::find(&containers, typed).at(format_args!("could not get container for {typed}"))?;
        *link = format!("{}:{alias}", one.name());
    }
    Ok(())
}

/// The ports that a container and its image expose, with their protocols.
///
/// Errors: one that is none, in Docker's words.
fn exposed(asked: &[String], image: &Config) -> Result<BTreeSet<(u16, String)>> {
    let mut exposed = BTreeSet::new();
    for text in asked.iter().chain(image.exposed_ports.keys()) {
        let (first, last, protocol) = filters::ports("expose", text)
            .map_err(|_| Error::new(format!("invalid range format for --expose: {text}")))?;
        exposed.extend((first..=last).map(|port| (port, protocol.clone())));
    }
    Ok(exposed)
}

/// Adds the ports that aren't published yet, each at some free port of the host.
fn publish(ports: &mut Vec<Port>, exposed: BTreeSet<(u16, String)>) {
    for (target, protocol) in exposed {
        let is_it =
            |port: &Port| port.target == target && port.protocol.as_deref().unwrap_or("tcp") == protocol;
        if !ports.iter().any(is_it) {
            ports.push(Port { target, protocol: Some(protocol), ..Port::default() });
        }
    }
}

async fn start(session: &Session, made: &Observed) -> Result<()> {
    let streams = keeper::streams(&session.disk, made).await?;
    container::start(&session.engine, made, &streams).await?;
    say(made.id());
    Ok(())
}

/// Starts a container with our streams, by `start`, and gives its exit code unless the user leaves it alone meanwhile.
pub async fn attached(
    session: &Session,
    made: &Observed,
    tie: &Tie,
    start: impl Future<Output = Result<()>>,
) -> Result<Outcome> {
    let Session { engine, disk } = session;
    let service = &made.record()?.service;
    let (reads, terminal) = (tie.stdin.unwrap_or(service.stdin_open), service.tty);
    if reads && terminal && !std::io::stdin().is_terminal() {
        return Err(Error::new("the input device is not a TTY"));
    }
    // What comes from now on is for the process, though there is none yet.
    let caught = Caught::from_now(tie.signals);
    container::put_last_away(engine, disk, made).await?;
    let running = disk.running(made.id());
    let kept = stdio::kept(&disk.container(made.id()), terminal)?;
    let (streams, ends) = match (reads, terminal) {
        (false, _) => (kept, Ends::of_keeper(attach_socket(&running), terminal, None)?),
        (true, true) => {
            let fifos = Fifos::for_input(&disk::fifos(&running), kept)?;
            (fifos.streams.clone(), Ends::of_keeper(attach_socket(&running), terminal, Some(fifos))?)
        }
        // A shim gives no input to a process that it starts a keeper for, but for a terminal.
        (true, false) => {
            let fifos = Fifos::for_all(&disk::fifos(&running), true, false)?;
            let streams = fifos.streams.clone();
            keeper::start(&disk.container(made.id()), &streams).await?;
            (streams, Ends::of_keeper(attach_socket(&running), terminal, Some(fifos))?)
        }
    };
    let mark = match caught.unless_interrupted(container::prepare(engine, made, &streams)).await {
        Ok(mark) => mark,
        Err(err) => {
            // What is still under way ends, and nobody starts it again.
            want::unwanted(engine, made).await;
            return Err(err);
        }
    };
    let ends = ends.detached_by(tie.keys.clone()).that_show(tie.shows).with(caught);
    let target = Target { container: made.id().to_owned(), exec: String::new() };
    let has_started = Cell::new(false);
    let start = async {
        start.await?;
        has_started.set(true);
        Ok(())
    };
    let ended = ends.tie(engine, &target, start).await;
    if let (Err(err), false) = (&ended, has_started.get()) {
        container::give_up(engine, made, mark, err).await;
    }
    ended
}

/// Starts a container that is there with our streams. What holds it is dropped once the process runs. One that is
/// removed at its end is removed if it can't be started: nobody starts it a second time.
pub async fn started<H>(session: &Session, one: &Observed, tie: &Tie, held: H) -> Ended {
    let ended = attached(session, one, tie, begin(session, one, held)).await;
    if ended.is_err() && one.record()?.auto_remove {
        removed_after(&ended, remove(session, one.id()).await)?;
    }
    ended.map(code)
}

/// Starts the process of a task that is made, and drops then what holds the container.
async fn begin<H>(session: &Session, one: &Observed, held: H) -> Result<()> {
    let begun = container::begin(&session.engine, one).await;
    drop(held);
    begun
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_and_what_runs_is_not_over() {
        let unreached = || Error::of_kind(Kind::Unavailable, "containerd at x: gone");
        let other = || Error::new("no space left");
        assert_eq!(removed_after::<()>(&Err(unreached()), Err(unreached())), Ok(()));
        assert_eq!(removed_after::<()>(&Err(unreached()), Err(other())), Err(other()));
        assert_eq!(removed_after::<()>(&Err(other()), Err(unreached())), Err(unreached()));
        assert_eq!(removed_after(&Ok(()), Err(unreached())), Err(unreached()));
        let outcomes = [Ok(Outcome::Ended(3)), Ok(Outcome::Detached), Ok(Outcome::Unread), Err(other())];
        assert_eq!(outcomes.clone().map(|ended| is_over(&ended, false)), [true, false, false, true]);
        assert_eq!(outcomes.map(|ended| is_over(&ended, true)), [false, false, false, true]);
    }

    #[test]
    fn what_is_exposed_is_published_once() {
        let image = Config { exposed_ports: [("80/tcp".to_owned(), ().into())].into(), ..Config::default() };
        let asked = ["53/udp", "80", "90-91"].map(str::to_owned);
        let mut ports = vec![Port { target: 90, published: Some("8090".to_owned()), ..Port::default() }];
        publish(&mut ports, exposed(&asked, &image).unwrap());
        let shown =
            ports.iter().map(|port| (port.target, port.protocol.as_deref(), port.published.is_some()));
        let tcp = Some("tcp");
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [(90, None, true), (53, Some("udp"), false), (80, tcp, false), (91, tcp, false)]
        );
        assert!(exposed(&["x".to_owned()], &image).unwrap_err().to_string().contains("--expose: x"));
    }
}

//! `run` and `create`.

use std::io::IsTerminal;

use super::{Ended, REFUSED, Session, code_of, complain, say};
use crate::apply::attach::{Ends, Outcome, Target, UNREAD};
use crate::apply::container::{self, New};
use crate::apply::stdio::{self, Fifos};
use crate::apply::sweep::sweep;
use crate::apply::{image, keeper};
use crate::cli::container::Asked;
use crate::client_config::proxies;
use crate::disk;
use crate::error::{Context, Error, Result};
use crate::keep::attach_socket;
use crate::net::sweep::Care;
use crate::observe::{self, Observed};

/// The exit code is the container's, or one of Docker's if it has none.
pub async fn run(session: &Session, asked: Asked, detach: bool, sig_proxy: bool) -> u8 {
    let auto_remove = asked.auto_remove;
    let made = match make(session, asked).await {
        Ok(made) => made,
        Err(err) => {
            complain(&err);
            return REFUSED;
        }
    };
    let ended = if detach {
        start(session, &made).await.map(|()| Outcome::Ended(0))
    } else {
        attached(session, &made, None, sig_proxy, container::begin(&session.engine, &made)).await
    };
    let goes_on = detach || matches!(ended, Ok(Outcome::Detached | Outcome::Unread));
    let removes = auto_remove && (!goes_on || ended.is_err());
    let removed =
        if removes { container::remove(&session.engine, &session.disk, &made, true).await } else { Ok(()) };
    if let Err(err) = removed {
        complain(&err);
    }
    ended.map(code).unwrap_or_else(|err| {
        complain(&err);
        code_of(&err)
    })
}

/// Who leaves a container alone has started it well.
pub fn code(ended: Outcome) -> u8 {
    match ended {
        Outcome::Ended(code) => code,
        Outcome::Detached => 0,
        Outcome::Unread => UNREAD,
    }
}

/// The exit code is Docker's if there is no container.
pub async fn create(session: &Session, asked: Asked) -> u8 {
    match make(session, asked).await {
        Ok(made) => {
            say(made.id());
            0
        }
        Err(err) => {
            complain(&err);
            REFUSED
        }
    }
}

async fn make(session: &Session, asked: Asked) -> Result<Observed> {
    let Session { engine, disk } = session;
    let mut asked = asked;
    proxies::give(&mut asked.service);
    let platform = asked.service.platform.clone();
    // What is not shown is not pulled with progress either.
    let shows = if asked.quiet { image::Shows::Nothing } else { image::Shows::Progress };
    let image = image::ensure(engine, &asked.image, asked.pull, platform.as_deref(), shows).await?;
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
    let id = container::create(engine, disk, new).await?;
    if let Some(file) = &asked.cidfile {
        disk::write(std::path::Path::new(file), id.as_bytes())?;
    }
    observe::find(&observe::containers(engine).await?, &id).cloned()
}

async fn start(session: &Session, made: &Observed) -> Result<()> {
    let streams = keeper::streams(&session.disk, made).await?;
    container::start(&session.engine, made, &streams).await?;
    say(made.id());
    Ok(())
}

/// Starts a container with our streams, by `start`, and gives its exit code unless the user leaves it alone meanwhile.
/// `stdin` says whether it gets ours; none: as it was asked for. `sig_proxy` says whether it gets our signals.
pub async fn attached(
    session: &Session,
    made: &Observed,
    stdin: Option<bool>,
    sig_proxy: bool,
    start: impl Future<Output = Result<()>>,
) -> Result<Outcome> {
    let Session { engine, disk } = session;
    let service = &made.record()?.service;
    let (reads, terminal) = (stdin.unwrap_or(service.stdin_open), service.tty);
    if reads && terminal && !std::io::stdin().is_terminal() {
        return Err(Error::new("the input device is not a TTY"));
    }
    let running = disk.running(made.id());
    let kept = stdio::kept(&disk.container(made.id()), terminal)?;
    let (streams, ends) = match (reads, terminal) {
        (false, _) => (kept, Ends::of_keeper(attach_socket(&running), terminal, None)?),
        (true, true) => {
            let fifos = Fifos::for_input(&stdio::place(&running), kept)?;
            (fifos.streams.clone(), Ends::of_keeper(attach_socket(&running), terminal, Some(fifos))?)
        }
        // A shim gives no input to a process that it starts a keeper for, but for a terminal.
        (true, false) => {
            let fifos = Fifos::for_all(&stdio::place(&running), true, false)?;
            let streams = fifos.streams.clone();
            keeper::start(&disk.container(made.id()), &streams).await?;
            (streams, Ends::of_keeper(attach_socket(&running), terminal, Some(fifos))?)
        }
    };
    container::prepare(engine, made, &streams).await?;
    let target = Target { container: made.id().to_owned(), exec: String::new() };
    let ends = if sig_proxy { ends } else { ends.without_signals() };
    let ended = ends.tie(engine, &target, start).await;
    if let Err(err) = &ended {
        container::give_up(engine, made, err).await;
    }
    ended
}

/// Starts a container that is there with our streams.
pub async fn started(session: &Session, one: &Observed, stdin: bool) -> Ended {
    attached(session, one, Some(stdin), true, container::begin(&session.engine, one)).await.map(code)
}

//! `run` and `create`.

use std::io::IsTerminal;

use super::{Ended, REFUSED, Session, code_of, complain, say};
use crate::apply::attach::{Ends, Target};
use crate::apply::container::{self, New};
use crate::apply::stdio::{self, Fifos};
use crate::apply::sweep::sweep;
use crate::apply::{image, keeper};
use crate::cli::container::Asked;
use crate::disk;
use crate::error::{Context, Error, Result};
use crate::keep::attach_socket;
use crate::net::sweep::Care;
use crate::observe::{self, Observed};
use crate::proxies;

/// The exit code is the container's, or one of Docker's if it has none.
pub async fn run(session: &Session, asked: Asked, detach: bool) -> u8 {
    let auto_remove = asked.auto_remove;
    let made = match make(session, asked).await {
        Ok(made) => made,
        Err(err) => {
            complain(&err);
            return REFUSED;
        }
    };
    let ended =
        if detach { start(session, &made).await.map(|()| 0) } else { attached(session, &made, None).await };
    let removes = auto_remove && (!detach || ended.is_err());
    let removed =
        if removes { container::remove(&session.engine, &session.disk, &made, true).await } else { Ok(()) };
    match (ended, removed) {
        (Err(err), _) => {
            complain(&err);
            code_of(&err)
        }
        (Ok(code), Ok(())) => code,
        (Ok(code), Err(err)) => {
            complain(&err);
            code
        }
    }
}

pub async fn create(session: &Session, asked: Asked) -> Ended {
    say(make(session, asked).await?.id());
    Ok(0)
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
    let streams = stdio::kept(&session.disk.container(made.id()), made.record()?.service.tty)?;
    container::start(&session.engine, made, &streams).await?;
    say(made.id());
    Ok(())
}

/// Starts a container with our streams, and gives its exit code. `stdin` says whether it gets ours; none: as it was
/// asked for.
pub async fn attached(session: &Session, made: &Observed, stdin: Option<bool>) -> Ended {
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
            let fifos = Fifos::for_input(&running.join("stdio"), kept)?;
            (fifos.streams.clone(), Ends::of_keeper(attach_socket(&running), terminal, Some(fifos))?)
        }
        // A shim gives no input to a process that it starts a keeper for, but for a terminal.
        (true, false) => {
            let fifos = Fifos::for_all(&running.join("stdio"), true, false)?;
            let streams = fifos.streams.clone();
            keeper::start(&disk.container(made.id()), &streams).await?;
            (streams, Ends::of_keeper(attach_socket(&running), terminal, Some(fifos))?)
        }
    };
    container::prepare(engine, made, &streams).await?;
    let target = Target { container: made.id().to_owned(), exec: String::new() };
    let ended = ends.tie(engine, &target, container::begin(engine, made)).await;
    match ended {
        Ok(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(err) => {
            container::give_up(engine, made).await;
            Err(err)
        }
    }
}

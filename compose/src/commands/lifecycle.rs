//! `start`, `stop`, `restart`, `kill`, `pause`, `unpause`, `rm`, `wait`.

use super::{Ended, Session, attach, run, say};
use crate::apply::attach::Tie;
use crate::apply::detach::Keys;
use crate::apply::hold::hold;
use crate::apply::stop::How;
use crate::apply::{container, keeper, stop, task, want};
use crate::cli::docker::Stop;
use crate::cli::inside::Attach;
use crate::engine::Engine;
use crate::engine::announce::Done;
use crate::error::{Context, Error, Kind, Result};
use crate::observe::{self, Observed, State};
use crate::signals;

pub async fn start(
    session: &Session,
    typed: &[String],
    attach: bool,
    interactive: bool,
    keys: &Keys,
) -> Ended {
    if !attach && !interactive {
        return session.each(typed, async |one| start_one(session, one).await).await;
    }
    let [typed] = typed else {
        return Err(Error::new("you cannot start and attach multiple containers at once"));
    };
    let containers = session.containers().await?;
    let id = observe::find(&containers, typed)?.id();
    let held = hold(&session.disk, id).await?;
    // Somebody may have started it meanwhile.
    let one = &observe::one(&session.engine, id).await?;
    // One that runs is not started anew.
    if one.state.is_listed() {
        drop(held);
        let name = typed.clone();
        let detach_keys = keys.clone();
        let asked = Attach { name, index: None, no_stdin: !interactive, sig_proxy: true, detach_keys };
        return attach::tied(session, one, &asked).await;
    }
    let tie = Tie { stdin: Some(interactive), keys: keys.clone(), ..Tie::default() };
    run::started(session, one, &tie, held).await
}

async fn start_one(session: &Session, one: &Observed) -> Result<()> {
    let _held = hold(&session.disk, one.id()).await?;
    // Somebody may have started it meanwhile.
    let one = observe::one(&session.engine, one.id()).await?;
    match one.state {
        // Docker starts a container that runs without a word.
        State::Running => return want::confirm(&session.engine, &one).await,
        State::Restarting { .. } => return Ok(()),
        State::Paused => {
            return Err(Error::of_kind(
                Kind::WrongState,
                "cannot start a paused container, try unpause instead",
            ));
        }
        State::Created | State::Exited { .. } => {}
    }
    let started = start_anew(session, &one).await;
    // Nobody starts it a second time.
    if started.is_err() && one.record.as_ref().is_some_and(|record| record.auto_remove) {
        run::removed_after(&started, run::remove_held(session, one.id()).await)?;
    }
    started
}

async fn start_anew(session: &Session, one: &Observed) -> Result<()> {
    container::put_last_away(&session.engine, &session.disk, one).await?;
    let streams = keeper::streams(&session.disk, one).await?;
    container::start(&session.engine, one, &streams).await
}

pub async fn stop(session: &Session, typed: &[String], asked: &Stop) -> Ended {
    session
        .each(typed, async |one| stop::stop(&session.engine, &session.disk, one.id(), how(asked)).await)
        .await
}

fn how(asked: &Stop) -> How<'_> {
    How { signal: asked.signal.as_deref(), seconds: asked.seconds }
}

pub async fn restart(session: &Session, typed: &[String], asked: &Stop) -> Ended {
    session
        .each(typed, async |one| {
            let stays = keeper::stays(&session.disk, one)?;
            let (held, one) = stop::stopped(&session.engine, &session.disk, one.id(), how(asked)).await?;
            // Of several users who restart it at once one starts it.
            if !one.state.is_up() {
                start_anew(session, &one).await?;
            }
            drop(stays);
            drop(held);
            Done::to(one.id(), "restart").announce(&session.engine).await;
            Ok(())
        })
        .await
}

pub async fn kill(session: &Session, typed: &[String], signal: &str) -> Ended {
    let signal = signals::number(signal)?;
    session
        .each(typed, async |one| {
            let killed = stop::kill(&session.engine, &session.disk, one.id(), signal).await;
            killed.at(format_args!("cannot kill container: {}", one.name()))
        })
        .await
}

pub async fn pause(session: &Session, typed: &[String]) -> Ended {
    session.each(typed, async |one| task::pause(&session.engine, one).await.at(one.name())).await
}

pub async fn unpause(session: &Session, typed: &[String]) -> Ended {
    session.each(typed, async |one| task::unpause(&session.engine, one).await.at(one.name())).await
}

pub async fn remove(session: &Session, typed: &[String], force: bool, volumes: bool) -> Ended {
    session
        .each(typed, async |one| {
            if one.state.is_up() && force {
                // Who waits for its end comes to an end. What can't be killed is told below.
                drop(stop::kill(&session.engine, &session.disk, one.id(), task::SIGKILL).await);
            }
            // Who is refused waits for nobody.
            refuse_live(one, force)?;
            let _held = hold(&session.disk, one.id()).await?;
            let one = match &observe::one(&session.engine, one.id()).await {
                // It was to be removed at its end.
                Err(err) if err.kind() == Kind::NotFound && force => return Ok(()),
                found => &found.clone()?,
            };
            refuse_live(one, force)?;
            container::remove(&session.engine, &session.disk, one, volumes).await
        })
        .await
}

/// Refuses to remove what runs, or will, in Docker's words.
fn refuse_live(one: &Observed, force: bool) -> Result<()> {
    if force || !one.state.is_listed() {
        return Ok(());
    }
    let (name, state) = (one.name(), one.state.name());
    let words = format!(
        "cannot remove container \"/{name}\": container is {state}: stop the container before removing or force remove"
    );
    Err(Error::of_kind(Kind::WrongState, words))
}

pub async fn wait(session: &Session, typed: &[String]) -> Ended {
    let containers = session.containers().await?;
    for name in typed {
        let one = observe::find(&containers, name)?;
        say(code_of_end(&session.engine, one).await?);
    }
    Ok(0)
}

/// Waits for the end of a container, and gives its exit code. One that was never started has none, which is 0.
pub async fn code_of_end(engine: &Engine, one: &Observed) -> Result<u32> {
    let known = match one.state {
        State::Exited { code, .. } | State::Restarting { code } => Some(code),
        _ => None,
    };
    Ok(task::wait(engine, one.id()).await?.or(known).unwrap_or(0))
}

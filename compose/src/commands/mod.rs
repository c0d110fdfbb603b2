//! Commands: load → observe → apply → print.

use std::future::poll_fn;
use std::io::Write;
use std::task::Poll;

use crate::apply::caught::unless_forced;
pub use crate::apply::exec::REFUSED;
use crate::apply::exec::code_of;
use crate::cli;
use crate::cli::docker::{Meant, Verb};
use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::{Context, Error, Result, tell_lines};
use crate::observe::{self, Observed};

mod attach;
mod build;
mod commit;
pub mod compose;
pub mod config;
mod cp;
mod diff;
mod events;
mod exec;
mod filters;
mod images;
mod inspect;
mod lifecycle;
mod logs;
mod manage;
mod port;
pub mod project;
mod ps;
mod run;
mod stats;
mod top;
mod update;
mod version;

/// What every command works with.
pub struct Session {
    pub engine: Engine,
    pub disk: Disk,
}

/// How a command ends that has not failed: with the exit code of this program.
pub type Ended = Result<u8>;

/// Does what is meant.
pub async fn perform(meant: Meant) -> Ended {
    unless_forced(carry_out(meant)).await
}

async fn carry_out(meant: Meant) -> Ended {
    if let Verb::Local(local) = &meant.verb {
        return manage::perform_alone(local, &meant.address, &meant.namespace).await;
    }
    let engine = Engine::connect(&meant.address, &meant.namespace).await?;
    let session = Session { disk: Disk::of(&meant.namespace), engine };
    match meant.verb {
        Verb::Run { asked, detach, tie } => Ok(run::run(&session, *asked, detach, &tie).await),
        Verb::Create(asked) => run::create(&session, *asked).await,
        Verb::Start { containers, attach, interactive, detach_keys } => {
            lifecycle::start(&session, &containers, attach, interactive, &detach_keys).await
        }
        Verb::Stop { containers, stop } => lifecycle::stop(&session, &containers, &stop).await,
        Verb::Restart { containers, stop } => lifecycle::restart(&session, &containers, &stop).await,
        Verb::Kill { containers, signal } => lifecycle::kill(&session, &containers, &signal).await,
        Verb::Pause { containers } => lifecycle::pause(&session, &containers).await,
        Verb::Unpause { containers } => lifecycle::unpause(&session, &containers).await,
        Verb::Remove { containers, force, volumes } => {
            lifecycle::remove(&session, &containers, force, volumes).await
        }
        Verb::Wait { containers } => lifecycle::wait(&session, &containers).await,
        Verb::Ps(ps) => ps::ps(&session, &ps).await,
        Verb::Exec(exec) => exec::exec(&session, &exec).await,
        Verb::Attach(attach) => attach::attach(&session, &attach).await,
        Verb::Copy(copy) => cp::cp(&session, &copy).await,
        Verb::Logs { container, logs } => logs::logs(&session, &container, &logs).await,
        Verb::Top { container, options } => top::top(&session, &container, &options).await,
        Verb::Inspect { names, size, format, kind } => {
            inspect::inspect(&session, &names, (kind.as_deref(), size), format.as_deref()).await
        }
        Verb::Images(images) => images::list(&session, &images).await,
        Verb::Pull { image, platform, quiet } => {
            images::pull(&session, &image, platform.as_deref(), quiet).await
        }
        Verb::Build(asked) => build::build(&session, *asked).await,
        Verb::RemoveImages { images, force } => images::remove(&session, &images, force).await,
        Verb::Tag { source, target } => images::tag(&session, &source, &target).await,
        Verb::Observe(verb) => observed(&session, verb).await,
        Verb::Managed(managed) => manage::perform(&session, managed).await,
        // They have come back above.
        Verb::Local(_) => Ok(0),
        Verb::Version { format } => version::version(&session, format.as_deref()).await,
    }
}

async fn observed(session: &Session, verb: cli::observe::Verb) -> Ended {
    use cli::observe::Verb;
    match verb {
        Verb::Stats(asked) => stats::stats(session, &asked).await,
        Verb::Port { container, port } => port::port(session, &container, port.as_deref()).await,
        Verb::Update { containers, change } => update::update(session, &containers, &change).await,
        Verb::Events(asked) => events::events(session, &asked).await,
        Verb::Rename { container, name } => update::rename(session, &container, &name).await,
        Verb::Diff { container } => diff::diff(session, &container).await,
        Verb::Commit(asked) => commit::commit(session, &asked).await,
        Verb::Export { container, output } => diff::export(session, &container, output.as_deref()).await,
    }
}

impl Session {
    /// All containers of the namespace.
    async fn containers(&self) -> Result<Vec<Observed>> {
        observe::containers(&self.engine).await
    }

    /// Does something to each of the containers that were named, to all at once, and prints each name. One that fails
    /// stops no other.
    async fn each(&self, typed: &[String], act: impl AsyncFn(&Observed) -> Result<()>) -> Ended {
        let containers = self.containers().await?;
        let acts = typed.iter().map(|name| {
            let found = observe::find(&containers, name);
            async { act(found?).await }
        });
        let mut code = 0;
        for (name, done) in typed.iter().zip(all(acts.collect()).await) {
            match done {
                Ok(()) => say(name),
                Err(err) => {
                    complain(&err);
                    code = 1;
                }
            }
        }
        Ok(code)
    }
}

/// Waits for all of them at once.
async fn all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, done) in pending.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if pending.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}

/// A line on standard output. Who doesn't want to read it has gone.
fn say(line: impl std::fmt::Display) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// A line on standard output, at once. Returns whether somebody may read the next one.
fn written(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

/// Text on standard output. Who doesn't want to read it has gone.
///
/// Errors: it could not be written for another reason: a full disk.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(err) if err.kind() != std::io::ErrorKind::BrokenPipe => Err(err).at("standard output"),
        _ => Ok(()),
    }
}

/// A failure on standard error.
pub fn complain(err: &Error) {
    tell_lines(format_args!("cortenctl: {err}"));
}

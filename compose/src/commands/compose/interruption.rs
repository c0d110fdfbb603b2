//! What a user or a supervisor says to end a command.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::apply::hooks_at_work::HooksAtWork;
use crate::error::{Context, Error, Kind, Result};
use crate::process;

/// The exit code of a shell for what a signal has ended, without the signal's number.
const SIGNALLED: u8 = 128;

/// What asks a command to end.
pub fn asking() -> [SignalKind; 2] {
    [SignalKind::interrupt(), SignalKind::terminate()]
}

/// What ends a command that nobody has asked: its terminal is gone, or its user gives it up.
pub fn ending() -> [SignalKind; 2] {
    [SignalKind::hangup(), SignalKind::quit()]
}

/// Signals of some kinds, from when it is made on.
pub struct Interruption(Vec<(SignalKind, Signal)>);

impl Interruption {
    pub fn listen(kinds: impl IntoIterator<Item = SignalKind>) -> Result<Interruption> {
        let heard = kinds.into_iter().map(|kind| Ok((kind, signal(kind).at("signals")?)));
        heard.collect::<Result<_>>().map(Interruption)
    }

    /// Waits for the next one, and gives the exit code of a command that it ends.
    pub async fn next(&mut self) -> u8 {
        let kind = poll_fn(|context| {
            let mut came = self.0.iter_mut().filter_map(|(kind, signals)| {
                matches!(signals.poll_recv(context), Poll::Ready(Some(()))).then_some(*kind)
            });
            came.next().map_or(Poll::Pending, Poll::Ready)
        });
        SIGNALLED.saturating_add(u8::try_from(kind.await.as_raw_value()).unwrap_or_default())
    }
}

/// Does what may run hooks. Nothing of a hook stays if it is interrupted by a signal of these kinds. What this process
/// was started to ignore interrupts nothing.
///
/// Errors: those of `work`, and Interrupted.
pub async fn unless_interrupted<T>(
    hooks: &HooksAtWork,
    kinds: impl IntoIterator<Item = SignalKind>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let heard = kinds.into_iter().filter(|kind| !process::is_ignored(kind.as_raw_value()));
    let mut interruption = Interruption::listen(heard)?;
    let mut work = pin!(work);
    let code = tokio::select! {
        done = &mut work => return done,
        code = interruption.next() => code,
    };
    end_hooks(hooks, work, &mut interruption).await;
    Err(Error::of_kind(Kind::Interrupted(code), "interrupted"))
}

/// Ends the hooks of work that was interrupted. Who interrupts it again waits for none.
pub async fn end_hooks(hooks: &HooksAtWork, work: Pin<&mut impl Future>, interruption: &mut Interruption) {
    tokio::select! {
        () = hooks.end() => {}
        _ = work => {}
        _ = interruption.next() => {}
    }
}

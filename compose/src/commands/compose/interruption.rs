//! What a user or a supervisor says to end a command.

use std::future::Future;
use std::pin::{Pin, pin};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::apply::hooks_at_work::HooksAtWork;
use crate::error::{Context, Error, Kind, Result};

/// The exit code of a shell for what a signal has ended, without the signal's number.
const SIGNALLED: u8 = 128;

/// SIGINT and SIGTERM, from when it is made on.
pub struct Interruption {
    typed: Signal,
    told: Signal,
}

impl Interruption {
    pub fn listen() -> Result<Interruption> {
        let on = |kind| signal(kind).at("signals");
        Ok(Interruption { typed: on(SignalKind::interrupt())?, told: on(SignalKind::terminate())? })
    }

    /// Waits for the next one, and gives the exit code of a command that it ends.
    pub async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.typed.recv() => SignalKind::interrupt(),
            _ = self.told.recv() => SignalKind::terminate(),
        };
        SIGNALLED.saturating_add(u8::try_from(kind.as_raw_value()).unwrap_or_default())
    }
}

/// Does what may run hooks. Nothing of a hook stays if it is interrupted.
///
/// Errors: those of `work`, and Interrupted.
pub async fn unless_interrupted<T>(hooks: &HooksAtWork, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut interruption = Interruption::listen()?;
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

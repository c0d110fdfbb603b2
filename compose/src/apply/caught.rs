//! Signals that are caught for a process of a container, from before that process is made.

use std::sync::LazyLock;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;

use crate::error::{Error, Result, tell_lines};

/// With so many signals that ask for an end and that no process could be given, the user ends the wait for a start.
const INTERRUPT: usize = 2;

/// With so many the user ends this program, whatever it waits for, as with Docker's client.
const FORCE: usize = 3;

/// How many there are. A signal is sent to the whole program, so this is the whole program's count.
static UNGIVEN: LazyLock<Ungiven> = LazyLock::new(|| Ungiven(watch::Sender::new(0)));

/// A count of signals that ask for an end, and that no process has been given yet.
struct Ungiven(watch::Sender<usize>);

impl Ungiven {
    fn come(&self, kind: SignalKind) {
        self.0.send_modify(|count| *count += usize::from(asks_for_an_end(kind)));
    }

    fn given(&self, kind: SignalKind) {
        self.0.send_modify(|count| *count = count.saturating_sub(usize::from(asks_for_an_end(kind))));
    }

    /// Returns once there are so many.
    async fn reach(&self, count: usize) {
        // The sender is there for as long as this value.
        drop(self.0.subscribe().wait_for(|now| *now >= count).await);
    }
}

fn asks_for_an_end(kind: SignalKind) -> bool {
    [SignalKind::interrupt(), SignalKind::terminate()].contains(&kind)
}

/// Does what may wait for a process that hangs, or for a containerd that does: the user may end it by signals that the
/// process can't be given. A process that gets each of them stays, whatever it makes of them.
pub async fn unless_forced(work: impl Future<Output = Result<u8>>) -> Result<u8> {
    tokio::select! {
        ended = work => ended,
        () = UNGIVEN.reach(FORCE) => {
            tell_lines(format_args!("got {FORCE} SIGTERM/SIGINTs, forcefully exiting"));
            Ok(1)
        }
    }
}

/// Signals for the process, and changes of our terminal's size. What comes before the process has started waits.
pub struct Caught(UnboundedReceiver<SignalKind>);

impl Caught {
    /// Catches from now on: the size of the terminal, and with `signals` all that may be meant for the process. What is
    /// caught once ends this program by [`unless_forced`] alone.
    pub fn from_now(signals: bool) -> Caught {
        let meant = [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::quit(),
            SignalKind::hangup(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        let kinds = meant.into_iter().filter(|_| signals).chain([SignalKind::window_change()]);
        let (sender, coming) = mpsc::unbounded_channel();
        for kind in kinds {
            if let Ok(signals) = signal(kind) {
                tokio::spawn(watch_for(kind, signals, sender.clone()));
            }
        }
        Caught(coming)
    }

    /// Has the process prepared, or started. Signals that come meanwhile are given to it once it has started.
    ///
    /// Errors: those of `work`, and a second signal that asks for an end.
    pub async fn unless_interrupted<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = UNGIVEN.reach(INTERRUPT) => Err(Error::new("interrupted before it has started")),
        }
    }

    /// The next one, in the order in which they came.
    pub async fn next(&mut self) -> Option<SignalKind> {
        self.0.recv().await
    }

    /// Notes that the process has been given a signal.
    pub fn given(&self, kind: SignalKind) {
        UNGIVEN.given(kind);
    }
}

/// Goes on for as long as this program: what follows the end of the process may hang, too.
async fn watch_for(kind: SignalKind, mut signals: Signal, caught: UnboundedSender<SignalKind>) {
    while signals.recv().await.is_some() {
        UNGIVEN.come(kind);
        // Without a process that could have it, it counts all the same.
        let _ = caught.send(kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_for_an_end_counts_until_it_is_given() {
        let ungiven = Ungiven(watch::Sender::new(0));
        let count = || *ungiven.0.borrow();
        for kind in [SignalKind::interrupt(), SignalKind::user_defined1(), SignalKind::terminate()] {
            ungiven.come(kind);
        }
        assert_eq!(count(), 2);
        ungiven.given(SignalKind::user_defined1());
        ungiven.given(SignalKind::interrupt());
        assert_eq!(count(), 1);
    }
}

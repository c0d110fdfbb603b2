//! Signals that are caught for a process of a container, from before that process is made.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// Signals for the process, and changes of our terminal's size. What comes before the process has started waits.
pub struct Caught {
    coming: mpsc::Receiver<SignalKind>,
    waiting: Vec<SignalKind>,
    _watching: JoinSet<()>,
}

impl Caught {
    /// Catches from now on: the size of the terminal, and with `signals` all that may be meant for the process.
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
        let (sender, coming) = mpsc::channel(1);
        let mut watching = JoinSet::new();
        for kind in kinds {
            if let Ok(signals) = signal(kind) {
                watching.spawn(watch(kind, signals, sender.clone()));
            }
        }
        Caught { coming, waiting: Vec::new(), _watching: watching }
    }

    /// Prepares the process. Signals that come meanwhile are given to it once it has started.
    ///
    /// Errors: those of `prepare`, and a second signal that asks for an end.
    pub async fn prepared<T>(&mut self, prepare: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            prepared = prepare => prepared,
            () = self.insists() => Err(Error::new("interrupted before it has started")),
        }
    }

    /// Returns once the user wants to end what hangs before the process has started: at the second signal that asks for
    /// an end.
    async fn insists(&mut self) {
        let ends = |kind: &&SignalKind| [SignalKind::interrupt(), SignalKind::terminate()].contains(kind);
        while self.waiting.iter().filter(ends).count() < 2 {
            match self.coming.recv().await {
                Some(kind) => self.waiting.push(kind),
                None => std::future::pending().await,
            }
        }
    }

    /// The next one, in the order in which they came.
    pub async fn next(&mut self) -> Option<SignalKind> {
        if self.waiting.is_empty() { self.coming.recv().await } else { Some(self.waiting.remove(0)) }
    }
}

async fn watch(kind: SignalKind, mut signals: Signal, caught: mpsc::Sender<SignalKind>) {
    while signals.recv().await.is_some() && caught.send(kind).await.is_ok() {}
}

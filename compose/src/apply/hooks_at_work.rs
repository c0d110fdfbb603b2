//! The hooks that a command runs just now. A command that is told to end ends them before it ends itself: nothing of
//! them stays.

use tokio::sync::watch;

use crate::error::{Error, Result};

/// The hooks of a command.
#[derive(Default)]
pub struct HooksAtWork {
    count: watch::Sender<usize>,
    interrupted: watch::Sender<bool>,
}

/// One of them, from before anything of it is made until nothing of it is left to do.
pub struct AtWork<'a>(&'a HooksAtWork);

impl HooksAtWork {
    /// A hook begins.
    ///
    /// Errors: the command is about to end.
    pub fn begin(&self) -> Result<AtWork<'_>> {
        if *self.interrupted.borrow() {
            return Err(interrupted());
        }
        self.count.send_modify(|count| *count += 1);
        Ok(AtWork(self))
    }

    /// Tells all hooks to end, and returns once they have. The futures that run them have to be polled meanwhile, and
    /// never again afterwards: other hooks may begin then.
    pub async fn end(&self) {
        self.interrupted.send_replace(true);
        let _told = Told(&self.interrupted);
        // Whoever sends is here.
        drop(self.count.subscribe().wait_for(|count| *count == 0).await);
    }
}

impl AtWork<'_> {
    /// Waits for something of the hook, unless the hook is to end meanwhile.
    ///
    /// Errors: it is to end.
    pub async fn unless_ended<T>(&self, wait: impl Future<Output = T>) -> Result<T> {
        let mut told = self.0.interrupted.subscribe();
        tokio::select! {
            waited = wait => Ok(waited),
            _ = told.wait_for(|interrupted| *interrupted) => Err(interrupted()),
        }
    }
}

/// Hooks are told to end, until this is dropped.
struct Told<'a>(&'a watch::Sender<bool>);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

fn interrupted() -> Error {
    Error::new("interrupted")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use super::HooksAtWork;

    #[test]
    fn all_hooks_end_before_the_command_does() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (hooks, ended) = (HooksAtWork::default(), Cell::new(0));
            let hook = async || {
                let at_work = hooks.begin()?;
                let waited = at_work.unless_ended(pending::<()>()).await;
                tokio::task::yield_now().await;
                ended.set(ended.get() + 1);
                waited
            };
            let all = async { tokio::join!(hook(), hook()) };
            tokio::pin!(all);
            let ends = async {
                tokio::task::yield_now().await;
                hooks.end().await;
            };
            let (told, ()) = tokio::join!(&mut all, ends);
            assert!(told.0.is_err() && told.1.is_err());
            assert_eq!(ended.get(), 2);
            hooks.end().await;
            assert!(hooks.begin().is_ok(), "what goes on after the interruption has its own hooks");
        });
    }
}

//! A container that is frozen while somebody looks at what it has written. Whoever looks may be killed meanwhile, so a
//! process of its own lets the container go on, once nobody holds the other end of its input.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::task;
use crate::engine::Engine;
use crate::engine::tasks::Status;
use crate::error::{Context, Error, Result};
use crate::observe::{self, Observed};

/// How often, and after which pause, a container is looked at that may be about to freeze: whoever has asked for it was
/// killed before the answer came.
const LOOKS: u32 = 20;
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// What says that the container is frozen.
const IS_FROZEN: &[u8] = b"frozen";

/// A frozen container, which goes on when this is dropped.
pub struct Frozen(Child);

impl Frozen {
    /// Freezes a container.
    ///
    /// Errors: in Docker's words, if it doesn't run.
    pub async fn begin(engine: &Engine, one: &Observed) -> Result<Frozen> {
        let mut thaw = Command::new("/proc/self/exe");
        thaw.args(["thaw", engine.address(), engine.namespace(), one.id()]);
        thaw.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What is typed to end this command isn't meant for that process.
        let mut frozen = Frozen(thaw.process_group(0).spawn().at("a process that thaws it")?);
        if let Err(err) = task::pause(engine, one).await {
            // There is nothing to thaw.
            drop(frozen.0.kill());
            drop(frozen.0.wait());
            return Err(err);
        }
        let stdin = frozen.0.stdin.as_mut();
        stdin.map(|stdin| stdin.write_all(IS_FROZEN)).transpose().at("thaw")?;
        Ok(frozen)
    }

    /// Lets the container go on.
    ///
    /// Errors: it has not gone on.
    pub async fn end(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        let mut child = self.0;
        let ended = tokio::task::spawn_blocking(move || child.wait()).await;
        let status = ended.map_err(|err| Error::new(err.to_string()))?.at("thaw")?;
        if status.success() {
            Ok(())
        } else {
            Err(Error::new("it could not be thawed: it may still be paused"))
        }
    }
}

/// Waits for the end of the input, and lets the container go on that is frozen then.
pub fn thaw(address: &str, namespace: &str, id: &str) -> Result<()> {
    let mut said = Vec::new();
    std::io::stdin().read_to_end(&mut said).at("stdin")?;
    let looks = if said == IS_FROZEN { 1 } else { LOOKS };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().at("thaw")?;
    runtime.block_on(async {
        let engine = Engine::connect(address, namespace).await?;
        for _ in 0..looks {
            match observe::task(&engine, id).await?.map(|task| task.status()) {
                Some(Status::Paused | Status::Pausing) => return task::resume(&engine, id).await,
                // It has ended.
                None | Some(Status::Stopped) => return Ok(()),
                Some(_) => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Ok(())
    })
}

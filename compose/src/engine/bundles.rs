//! Tasks that are made and deleted at a moment at which containerd still takes their predecessor's directory away.

use std::time::Duration;

use tokio::time::sleep;

use super::Engine;
use super::tasks::{CreateTask, CreateTaskResponse, DeleteResponse, DeleteTask};
use crate::error::{Kind, Result};

/// How long containerd may take to remove the directory of a task that it has deleted, and how often it is asked again.
const SECONDS: u64 = 5;
const MILLISECONDS: u64 = 20;

/// Makes the task. The process is there, and waits for its start.
pub async fn create(engine: &Engine, create: &CreateTask) -> Result<CreateTaskResponse> {
    let mut left = SECONDS * 1000 / MILLISECONDS;
    loop {
        match engine.call(create.clone()).await {
            // The last task's directory goes a moment after the task.
            Err(err) if left > 0 && err.to_string().ends_with("file exists") => left -= 1,
            created => return created,
        }
        sleep(Duration::from_millis(MILLISECONDS)).await;
    }
}

/// Deletes the task of a process that has ended. Nothing, if there is none.
pub async fn delete(engine: &Engine, id: &str) -> Result<Option<DeleteResponse>> {
    let mut left = SECONDS * 1000 / MILLISECONDS;
    loop {
        match engine.call(DeleteTask { container_id: id.to_owned() }).await {
            Ok(deleted) => return Ok(Some(deleted)),
            Err(err) if err.kind() == Kind::NotFound => return Ok(None),
            // The shim is just ending: containerd takes the task away by itself.
            Err(err) if left > 0 && err.to_string().contains("ttrpc: closed") => left -= 1,
            Err(err) => return Err(err),
        }
        sleep(Duration::from_millis(MILLISECONDS)).await;
    }
}

//! Calls that are made again while containerd takes a task away that has ended.

use std::time::Duration;

use tokio::time::sleep;

use super::tasks::{CreateTask, CreateTaskResponse, DeleteResponse, DeleteTask, Wait, WaitResponse};
use super::{Call, Engine};
use crate::error::{Kind, Result};

/// How long containerd may take to remove the directory of a task that it has deleted, and how often it is asked again.
const SECONDS: u64 = 5;
const MILLISECONDS: u64 = 20;

/// Makes the task. The process is there, and waits for its start.
pub async fn create(engine: &Engine, create: &CreateTask) -> Result<CreateTaskResponse> {
    let mut left = SECONDS * 1000 / MILLISECONDS;
    loop {
        match engine.call(create.clone()).await {
            Err(err) if left > 0 && is_in_the_way(&err.to_string()) => left -= 1,
            created => return created,
        }
        sleep(Duration::from_millis(MILLISECONDS)).await;
    }
}

/// Whether the last task's directory is why there is no next one. It goes a moment after the task; and if the call that
/// was to make that task was cut short, it goes under the shim that has just been started in it.
fn is_in_the_way(why: &str) -> bool {
    why.ends_with("file exists")
        || why.contains("failed to start shim") && why.contains(": no such file or directory")
}

/// Waits for the end of the task's first process. Nothing, if there is no task.
pub async fn wait(engine: &Engine, id: &str) -> Result<Option<WaitResponse>> {
    let wait = Wait { container_id: id.to_owned(), exec_id: String::new() };
    until_gone(engine, wait).await
}

/// Deletes the task of a process that has ended. Nothing, if there is none.
pub async fn delete(engine: &Engine, id: &str) -> Result<Option<DeleteResponse>> {
    until_gone(engine, DeleteTask { container_id: id.to_owned() }).await
}

/// Calls, and calls again while the shim is just ending: containerd takes the task away by itself.
async fn until_gone<C: Call + Clone>(engine: &Engine, call: C) -> Result<Option<C::Answer>> {
    let mut left = SECONDS * 1000 / MILLISECONDS;
    loop {
        match engine.call(call.clone()).await {
            Ok(answer) => return Ok(Some(answer)),
            Err(err) if err.kind() == Kind::NotFound => return Ok(None),
            Err(err) if left > 0 && err.to_string().contains("ttrpc: closed") => left -= 1,
            Err(err) => return Err(err),
        }
        sleep(Duration::from_millis(MILLISECONDS)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::is_in_the_way;

    #[test]
    fn the_directory_of_the_last_task_is_told_from_what_is_not_there() {
        let of_bundle = "mkdir /run/containerd/io.containerd.runtime.v2.task/default/1a: file exists";
        let under_shim = "failed to start shim: start failed: io.containerd.runc.v2: getwd: no such file or directory: \
                          exit status 1";
        assert!(is_in_the_way(of_bundle) && is_in_the_way(under_shim));
        assert!(!is_in_the_way("exec: \"nothing\": stat /nothing: no such file or directory"));
    }
}

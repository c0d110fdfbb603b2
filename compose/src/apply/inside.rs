//! A container's tree, as the container sees it: by its process while it runs, and mounted with its volumes else.

use serde_json::Value;

use super::mounted::{self, Part, Tree};
use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::snapshots::Mounts;
use crate::engine::types::{Any, Mount};
use crate::error::{Context, Error, Result};
use crate::observe::{self, Observed};
use crate::subpath::Subpaths;

/// What is done to a tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    Read,
    Write,
}

/// Does something in the container's tree.
pub async fn see<T: Send + 'static>(
    (engine, disk): (&Engine, &Disk),
    one: &Observed,
    access: Access,
    see: impl FnOnce(&Tree) -> Result<T> + Send + 'static,
) -> Result<T> {
    if let Some(tree) = of_process(engine, one).await? {
        let seen = tokio::task::spawn_blocking(move || see(&tree)).await;
        return seen.map_err(|err| Error::new(err.to_string()))?;
    }
    let (snapshotter, key) = (one.container.snapshotter.clone(), one.container.snapshot_key.clone());
    if key.is_empty() {
        return Err(Error::new(format!("{}: its root is no snapshot", one.name())));
    }
    let mut layers = engine.call(Mounts { snapshotter, key }).await.at("its snapshot")?.mounts;
    let spec: Value = one.container.spec.as_ref().map(Any::read_json).transpose()?.unwrap_or_default();
    if access == Access::Read || spec["root"]["readonly"] == true {
        layers.iter_mut().for_each(make_read_only);
    }
    let at = disk.container(one.id()).join("tree");
    mounted::look_at_all(layers, parts(&spec)?, &at, see).await
}

/// The tree of the container's process, if the process runs.
async fn of_process(engine: &Engine, one: &Observed) -> Result<Option<Tree>> {
    let Some(task) = one.task.as_ref().filter(|_| one.state.is_up()) else { return Ok(None) };
    let tree = Tree::of_process(task.pid)?;
    // The pid was the container's when the tree was opened, if it is the container's still.
    let now = observe::task(engine, one.id()).await?;
    if now.is_some_and(|now| now.pid == task.pid && now.status() != crate::engine::tasks::Status::Stopped) {
        return Ok(Some(tree));
    }
    Err(Error::new(format!("container {} has just ended", one.name())))
}

fn make_read_only(layer: &mut Mount) {
    layer.options.retain(|option| option != "rw" && option != "ro");
    layer.options.push("ro".to_owned());
}

/// What of the host is mounted into the container: volumes, binds, secrets.
fn parts(spec: &Value) -> Result<Vec<Part>> {
    let mut subpaths = Subpaths::of_spec(spec)?.0;
    let mounts = spec["mounts"].as_array().into_iter().flatten();
    let part = |mount: &Value| {
        let options: Vec<&str> =
            mount["options"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_bind =
            mount["type"] == "bind" || options.iter().any(|option| ["bind", "rbind"].contains(option));
        // What belongs to a process is gone with the process.
        let source = mount["source"].as_str().filter(|source| is_bind && !source.starts_with("/proc/"))?;
        let read_only = options.iter().any(|option| ["ro", "rro"].contains(option));
        let target = mount["destination"].as_str()?.to_owned();
        let subpath = subpaths.remove(&target);
        Some(Part { source: source.into(), target, read_only, subpath })
    };
    Ok(mounts.filter_map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn what_is_of_the_host_is_a_part() {
        let spec = serde_json::json!({"mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/data", "type": "bind", "source": "/v/data", "options": ["rbind", "rw"]},
            {"destination": "/etc/hosts", "source": "/h", "options": ["bind", "ro"]},
            {"destination": "/dev/shm", "type": "bind", "source": "/proc/7/root/dev/shm", "options": ["rbind"]},
        ]});
        let found =
            parts(&spec).expect("no annotation").into_iter().map(|part| (part.target, part.read_only));
        assert_eq!(found.collect::<Vec<_>>(), [("/data".to_owned(), false), ("/etc/hosts".to_owned(), true)]);
    }
}

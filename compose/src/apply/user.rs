//! Who runs in a container: the image's passwd and group, read safely.

use std::path::Path;

use super::mounted::{self, Tree};
use crate::engine::types::Mount;
use crate::error::Result;
use crate::model::types::Service;
use crate::spec::user::Accounts;
use crate::spec::{image, oci};

/// Real files have some KiB. An image with more could fill the memory of whoever reads it (CVE-2026-47262).
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The user of a service's container, whose tree has these mounts.
pub async fn of(
    service: &Service,
    image: &image::Config,
    mounts: Vec<Mount>,
    at: &Path,
) -> Result<oci::User> {
    let accounts = mounted::look(mounts, at, accounts).await?;
    accounts.find(service.user.as_deref().unwrap_or(&image.user), &service.group_add)
}

/// The user that `typed` names in the container of a process.
pub fn in_process(pid: u32, typed: &str) -> Result<oci::User> {
    accounts(&Tree::of_process(pid)?)?.find(typed, &[])
}

fn accounts(tree: &Tree) -> Result<Accounts> {
    let passwd = tree.read("etc/passwd", FILE_BYTES_MAX)?;
    Ok(Accounts { passwd, group: tree.read("etc/group", FILE_BYTES_MAX)? })
}

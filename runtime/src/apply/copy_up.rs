//! `tmpcopyup`: what a directory held is copied into the tmpfs that will cover it.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, SFlag};

use crate::error::{Error, Result};
use crate::sys::file;

/// Directories nested deeper than this are refused: each level holds two descriptors open.
const DEPTH_MAX: usize = 256;

/// Copies all that is in `from` to `to`: directories, files, links and special files, with owners and modes.
pub fn contents(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    copy_directory(from, to, 0)
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Error::invalid(format!("directories more than {DEPTH_MAX} deep")));
    }
    for name in file::names_in(from, usize::MAX)? {
        copy_entry(from, to, Path::new(&name), depth)?;
    }
    Ok(())
}

fn copy_entry(from: &OwnedFd, to: &OwnedFd, name: &Path, depth: usize) -> Result<()> {
    let stat = file::stat_at(from, name)?;
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    match kind {
        SFlag::S_IFDIR => {
            file::make_directory_at(to, name, 0o700)?;
            let open = |dir: &OwnedFd| file::open_at(dir, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY);
            let made = open(to)?;
            copy_directory(&open(from)?, &made, depth + 1)?;
            keep_owner_and_mode(&made, &stat)
        }
        SFlag::S_IFREG => {
            // O_NONBLOCK, because a fifo may have taken the file's place, and to open it would wait for a writer.
            let source = file::open_at(from, name, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
            let made = file::create_at(to, name, OFlag::O_WRONLY, 0o600)?;
            file::copy(&source, &made, stat.st_size as u64)?;
            keep_owner_and_mode(&made, &stat)
        }
        SFlag::S_IFLNK => {
            file::make_symlink_at(&file::read_link_at(from, name)?, to, name)?;
            file::change_owner_at(to, name, stat.st_uid, stat.st_gid)
        }
        _ => {
            file::make_node_at(to, name, kind, stat.st_mode & 0o7777, stat.st_rdev)?;
            file::change_owner_at(to, name, stat.st_uid, stat.st_gid)
        }
    }
}

/// Owner first: changing it clears the set-user-id bit.
fn keep_owner_and_mode(made: &OwnedFd, stat: &FileStat) -> Result<()> {
    file::change_owner(made, stat.st_uid, stat.st_gid)?;
    file::change_mode(made, stat.st_mode & 0o7777)
}

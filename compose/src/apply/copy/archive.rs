//! A tar as a sink and as a source of entries.

use std::io::{Read, Write, empty};
use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{SFlag, major, makedev, minor};
use tar::{Archive, Builder, EntryType, Header};

use super::entry::{About, Kind, Sink};
use crate::error::{Context, Error, Result};

/// A tar that is written.
pub struct Tar<W: Write>(Builder<W>);

impl<W: Write> Tar<W> {
    pub fn to(stream: W) -> Tar<W> {
        Tar(Builder::new(stream))
    }
}

impl<W: Write> Sink for Tar<W> {
    fn take(&mut self, path: &Path, about: &About, kind: Kind) -> Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new("./") } else { path };
        let mut header = header(about);
        let done = match kind {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                self.0.append_data(&mut header, path.join(""), empty())
            }
            Kind::File(content, size) => {
                header.set_size(size);
                self.0.append_data(&mut header, path, content)
            }
            Kind::Symlink(to) => {
                header.set_entry_type(EntryType::Symlink);
                self.0.append_link(&mut header, path, to)
            }
            Kind::Link(first) => {
                header.set_entry_type(EntryType::Link);
                self.0.append_link(&mut header, path, first)
            }
            Kind::Node(kind, number) => {
                header.set_entry_type(match SFlag::from_bits_truncate(kind) {
                    SFlag::S_IFCHR => EntryType::Char,
                    SFlag::S_IFBLK => EntryType::Block,
                    _ => EntryType::Fifo,
                });
                // Numbers of more bits have no place in a tar.
                header.set_device_major(u32::try_from(major(number)).unwrap_or_default())?;
                header.set_device_minor(u32::try_from(minor(number)).unwrap_or_default())?;
                self.0.append_data(&mut header, path, empty())
            }
        };
        done.at(path.display())
    }

    fn finish(&mut self) -> Result<()> {
        self.0.finish()?;
        Ok(self.0.get_mut().flush()?)
    }
}

fn header(about: &About) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(about.mode);
    header.set_uid(about.uid.into());
    header.set_gid(about.gid.into());
    header.set_mtime(u64::try_from(about.changed.0).unwrap_or_default());
    header.set_size(0);
    header
}

/// Hands on all entries of a tar, and tells the bytes of files.
///
/// Errors: an entry whose path leads out of the place.
pub fn read(stream: impl Read, sink: &mut impl Sink) -> Result<u64> {
    let mut archive = Archive::new(stream);
    let mut bytes = 0;
    for entry in archive.entries().at("the archive")? {
        let mut entry = entry.at("the archive")?;
        let path = below(&entry.path().at("the archive")?)?;
        let header = entry.header();
        let about = About {
            mode: header.mode().at(path.display())? & 0o7777,
            uid: number(header.uid().at(path.display())?)?,
            gid: number(header.gid().at(path.display())?)?,
            changed: (i64::try_from(header.mtime().at(path.display())?).unwrap_or_default(), 0),
        };
        let device = || -> Result<u64> {
            let (major, minor) = (header.device_major()?, header.device_minor()?);
            Ok(makedev(major.unwrap_or(0).into(), minor.unwrap_or(0).into()))
        };
        let target = || -> Result<PathBuf> {
            let named = entry.link_name()?.ok_or_else(|| Error::new("a link to nothing"))?;
            Ok(named.into_owned())
        };
        let kind = match header.entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink(target().at(path.display())?),
            EntryType::Link => Kind::Link(below(&target().at(path.display())?)?),
            EntryType::Char => Kind::Node(SFlag::S_IFCHR.bits(), device().at(path.display())?),
            EntryType::Block => Kind::Node(SFlag::S_IFBLK.bits(), device().at(path.display())?),
            EntryType::Fifo => Kind::Node(SFlag::S_IFIFO.bits(), 0),
            EntryType::XGlobalHeader | EntryType::XHeader => continue,
            _ => {
                let size = entry.size();
                bytes += size;
                Kind::File(&mut entry, size)
            }
        };
        sink.take(&path, &about, kind)?;
    }
    sink.finish()?;
    Ok(bytes)
}

fn number(id: u64) -> Result<u32> {
    u32::try_from(id).map_err(|_| Error::new(format!("{id}: not the number of a user or a group")))
}

/// The path without what says nothing.
fn below(path: &Path) -> Result<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir if clean.pop() => {}
            Component::ParentDir => {
                return Err(Error::new(format!(
                    "invalid path {}: it leads out of the archive",
                    path.display()
                )));
            }
            _ => {}
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_archives_stay_below_their_place() {
        for (written, clean) in [("/etc/x", "etc/x"), ("./a/./b/", "a/b"), ("a/../b", "b"), ("./", "")] {
            assert_eq!(below(Path::new(written)).expect(written), Path::new(clean), "{written}");
        }
        for written in ["..", "a/../../b", "/.."] {
            assert!(below(Path::new(written)).is_err(), "{written}");
        }
    }
}

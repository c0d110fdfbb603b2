//! The table of mounts, `/proc/PID/mountinfo`. Source: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Reads the table of this process's mount namespace, which can be long.
pub fn read() -> Result<String> {
    let path = "/proc/self/mountinfo";
    std::fs::read_to_string(path).map_err(|err| Error::io(format!("read({path})"), &err))
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct MountInfo<'a> {
    root: &'a str,
    point: &'a str,
    /// The type of the filesystem.
    pub fstype: &'a str,
    /// The options of the superblock, with commas between them.
    pub super_options: &'a str,
}

impl<'a> MountInfo<'a> {
    /// The lines of a table, in the order in which they were mounted.
    pub fn all(table: &'a str) -> impl DoubleEndedIterator<Item = MountInfo<'a>> {
        table.lines().filter_map(MountInfo::parse)
    }

    fn parse(line: &'a str) -> Option<Self> {
        let (mount, super_block) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut super_block = super_block.split(' ');
        Some(MountInfo {
            root: mount.next()?,
            point: mount.next()?,
            fstype: super_block.next()?,
            super_options: super_block.nth(1)?,
        })
    }

    /// The part of the filesystem that is mounted.
    pub fn root(&self) -> PathBuf {
        unescaped(self.root)
    }

    /// The mount point.
    pub fn point(&self) -> PathBuf {
        unescaped(self.point)
    }
}

/// The kernel writes a byte that would end a field or a line as `\` and three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                plain.push(byte);
                rest = &after[3..];
            }
            _ => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(plain))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn fields_are_found_whatever_stands_between_them() {
        let table = "31 23 0:28 / /sys ro,nosuid - tmpfs tmpfs rw,mode=755\n\
            33 31 0:30 /docker/a\\134b /my\\040cgroups/memory rw shared:1 master:9 - cgroup cgroup rw,memory\n\
            broken\n";
        let lines: Vec<MountInfo> = MountInfo::all(table).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].fstype, lines[0].super_options), ("tmpfs", "rw,mode=755"));
        assert_eq!(lines[1].root(), Path::new("/docker/a\\b"));
        assert_eq!(lines[1].point(), Path::new("/my cgroups/memory"));
    }

    #[test]
    fn only_octal_numbers_are_escapes() {
        assert_eq!(unescaped("a\\011b\\12"), Path::new("a\tb\\12"));
        assert_eq!(unescaped("\\999"), Path::new("\\999"));
    }

    #[test]
    fn the_table_of_this_process_has_a_root() {
        let table = read().unwrap();
        assert!(MountInfo::all(&table).any(|mount| mount.point() == Path::new("/")));
    }
}

//! A directory of the host that an attack aims at: the test fails if anything in it changes or becomes readable.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::container::Container;

/// What no container may read.
pub const SECRET: &str = "the host's secret";

/// A directory outside every rootfs, with a file, a subdirectory and a terminal multiplexer's name in it.
pub struct Victim {
    /// The directory's path on the host.
    pub path: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Victim {
    /// Makes the victim in the test's own directory.
    pub fn of(container: &Container) -> Victim {
        let path = container.dir.join("victim");
        fs::create_dir_all(path.join("inner")).expect("make the victim");
        for file in ["secret", "ptmx", "null", "inner/file"] {
            fs::write(path.join(file), SECRET).expect("make the victim");
        }
        Victim { before: snapshot(&path), path }
    }

    /// The path as text.
    pub fn text(&self) -> &str {
        self.path.to_str().expect("a UTF-8 path")
    }

    /// Fails the test if anything was changed, made or removed.
    #[track_caller]
    pub fn assert_untouched(&self) {
        assert_eq!(snapshot(&self.path), self.before, "the attack reached the host");
    }
}

fn snapshot(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("read the victim").flatten() {
        let meta = entry.metadata().expect("stat");
        let content =
            if meta.is_file() { fs::read_to_string(entry.path()).unwrap_or_default() } else { String::new() };
        if meta.is_dir() {
            seen.extend(snapshot(&entry.path()));
        }
        let owner = format!("mode {:o} owner {}:{}", meta.mode(), meta.uid(), meta.gid());
        seen.insert(entry.path(), format!("{owner} {content}"));
    }
    seen
}

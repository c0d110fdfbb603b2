//! Paths as text: nothing here looks at the filesystem.

use std::path::{Component, Path, PathBuf};

/// `path` as an absolute path without `.` and `..`. A relative path counts from `/`. `..` at the top leads to the top,
/// so no path leads out.
pub fn from_root(path: &Path) -> PathBuf {
    Path::new("/").join(below_root(path))
}

/// As [`from_root`], but without the first `/`, to be joined to another root.
pub fn below_root(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_root() {
        assert_eq!(from_root(Path::new("../../etc")), Path::new("/etc"));
        assert_eq!(from_root(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(from_root(Path::new("data")), Path::new("/data"));
        assert_eq!(from_root(Path::new("/..")), Path::new("/"));
        assert_eq!(below_root(Path::new("/../a/..")), Path::new(""));
    }
}

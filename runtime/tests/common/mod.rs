//! What the tests of the source itself share: its files.

use std::fs;
use std::path::{Path, PathBuf};

/// Every Rust file below `directory`, a path from the top of the repository: its path below `directory`, and its text.
pub fn sources(directory: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory);
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |path: &PathBuf| {
        let file = path.strip_prefix(&root).expect("a file below the root").to_string_lossy().into_owned();
        (file, fs::read_to_string(path).expect("a source file"))
    };
    files.iter().map(read).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Fails with all that was found.
pub fn assert_none(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

//! Programs that a container runs and no shell can replace: C sources, built static.

use std::path::Path;
use std::process::Command;

/// Builds a program at `to`.
pub fn build(source: &str, to: &Path) {
    let file = to.with_extension("c");
    std::fs::write(&file, source).expect("write the source");
    let built = Command::new("cc").args(["-O1", "-static", "-o"]).arg(to).arg(&file).status();
    assert!(built.is_ok_and(|status| status.success()), "cc builds {}", file.display());
    std::fs::remove_file(file).expect("remove the source");
}

//! The binary under test, and which runtime it is.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The runtime that the suites judge.
pub struct Subject {
    /// The path of the binary.
    pub path: PathBuf,
    banner: String,
}

/// Returns the runtime under test: `CORTEN_BIN`, else `release/corten` in the target directory that holds this test.
pub fn subject() -> &'static Subject {
    static SUBJECT: OnceLock<Subject> = OnceLock::new();
    SUBJECT.get_or_init(|| Subject::at(std::env::var_os("CORTEN_BIN").map_or_else(built_here, PathBuf::from)))
}

impl Subject {
    /// Asks the binary at `path` what it is.
    pub fn at(path: PathBuf) -> Subject {
        let path = path.canonicalize().unwrap_or_else(|error| {
            panic!("no runtime at {}: {error}; build it, or name one by CORTEN_BIN", path.display())
        });
        let output = Command::new(&path).arg("--version").output().expect("run the runtime with --version");
        Subject { path, banner: String::from_utf8_lossy(&output.stdout).into_owned() }
    }

    /// Tells whether this is Corten.
    pub fn is_corten(&self) -> bool {
        self.banner.contains("corten")
    }

    /// Tells whether this is runc 1.1, the version of Debian 12, whose gaps and defects are known.
    pub fn is_runc_1_1(&self) -> bool {
        self.banner.starts_with("runc version 1.1.")
    }

    /// Tells whether this is crun.
    pub fn is_crun(&self) -> bool {
        self.banner.starts_with("crun version")
    }

    /// The first line of what `--version` prints.
    pub fn version(&self) -> &str {
        self.banner.lines().next().unwrap_or("unknown")
    }
}

fn built_here() -> PathBuf {
    let test = std::env::current_exe().expect("own path");
    // TARGET/PROFILE/deps/TEST
    test.ancestors().nth(3).expect("a target directory").join("release/corten")
}

//! The two runtimes that a suite compares under one engine.

use std::env;
use std::path::{Path, PathBuf};

use super::{Outcome, Stop, ensure};

/// Which of the two compared runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The peer, which says what is right.
    Reference,
    /// The runtime that is judged.
    Tested,
}

impl Role {
    /// The roles that `CORTEN_ROLES` names, or both.
    pub fn from_environment() -> Outcome<Vec<Self>> {
        let named = env::var("CORTEN_ROLES").unwrap_or_else(|_| "reference,tested".into());
        let roles = named.split(',').map(|role| match role {
            "reference" => Ok(Role::Reference),
            "tested" => Ok(Role::Tested),
            other => {
                Err(Stop::failed(format!("CORTEN_ROLES: {other:?} is neither \"reference\" nor \"tested\"")))
            }
        });
        roles.collect()
    }

    /// The word for reports.
    pub fn word(self) -> &'static str {
        match self {
            Role::Reference => "reference",
            Role::Tested => "tested",
        }
    }
}

/// The binaries that are compared.
#[derive(Clone, Debug)]
pub struct Runtimes {
    /// The peer from a Debian package.
    pub reference: PathBuf,
    /// The runtime that is judged.
    pub tested: PathBuf,
}

impl Runtimes {
    /// Finds both runtimes: the peer at `reference`, or where `CORTEN_PEER` says, and the one that `CORTEN_BIN` names
    /// or that stands beside this test.
    pub fn from_environment(reference: &str) -> Outcome<Self> {
        let tested = match env::var_os("CORTEN_BIN") {
            Some(path) => PathBuf::from(path),
            None => beside_this_test("corten")?,
        };
        let reference = env::var_os("CORTEN_PEER").map_or_else(|| PathBuf::from(reference), PathBuf::from);
        let runtimes = Runtimes { reference, tested };
        for path in [&runtimes.reference, &runtimes.tested] {
            ensure(path.is_absolute() && path.is_file(), || {
                format!("no runtime at {}: set CORTEN_BIN to an absolute path", path.display())
            })?;
        }
        Ok(runtimes)
    }

    /// The binary of that role.
    pub fn of(&self, role: Role) -> &Path {
        match role {
            Role::Reference => &self.reference,
            Role::Tested => &self.tested,
        }
    }
}

/// The capabilities that the kernel knows and that this process can never give.
pub fn lacking_capabilities() -> Vec<String> {
    let held = caps::read(None, caps::CapSet::Bounding).unwrap_or_default();
    let known = caps::runtime::thread_all_supported();
    known.difference(&held).map(ToString::to_string).collect()
}

/// Cargo puts tests into `deps/` beside the binaries of the same profile.
fn beside_this_test(name: &str) -> Outcome<PathBuf> {
    let test = env::current_exe().map_err(Stop::failed)?;
    let profile = test.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    Ok(profile.join(name))
}

//! The kernel: the only place with `unsafe`. It knows Linux, not OCI.
//!
//! One file per family of calls. Every descriptor made here is close-on-exec, every path is taken as it is given
//! and followed only where a name says so, and every error names the call with its arguments, as strace does.
#![allow(unsafe_code)]

pub mod bpf;
pub mod cgroupfs;
pub mod clock;
pub mod credentials;
pub mod descriptors;
#[cfg(feature = "faults")]
pub mod fault;
pub mod file;
pub mod keyring;
pub mod list;
pub mod memfd;
pub mod memory;
pub mod memory_policy;
pub mod mount;
pub mod mountinfo;
pub mod namespace;
pub mod net;
pub mod netlink;
pub mod passwd;
pub mod pidfd;
pub mod poll;
pub mod process;
pub mod schedule;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod stream;
pub mod subprocess;
pub mod tty;

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::{Errno, Error, Result};

/// Turns the return value of a raw call into a result; `call` is put together only for an error.
pub(crate) fn check(ret: libc::c_long, call: impl FnOnce() -> String) -> Result<libc::c_long> {
    if ret >= 0 { Ok(ret) } else { Err(Error::kernel(call(), Errno::last())) }
}

/// Names the call that nix made.
pub(crate) trait Named<T> {
    fn named(self, call: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Named<T> for nix::Result<T> {
    fn named(self, call: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::kernel(call(), errno))
    }
}

/// A path or a word as the kernel takes it. A NUL byte inside is the caller's fault and an error.
pub(crate) fn c_string(text: impl AsRef<OsStr>) -> Result<CString> {
    let bytes = text.as_ref().as_bytes();
    CString::new(bytes).map_err(|_| Error::invalid(format!("{:?} has a NUL byte inside", text.as_ref())))
}

/// A path as an error shows it: quoted, as in strace.
pub(crate) fn shown(path: &Path) -> String {
    format!("{:?}", path.as_os_str())
}

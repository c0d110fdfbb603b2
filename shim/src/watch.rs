//! Descriptors that tasks wait on.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor to wait on.
#[expect(
    deprecated,
    reason = "the sound way is `unsafe`: what is watched here keeps its descriptor as long as it lives"
)]
pub fn watched<T: AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(inner, interest)
}

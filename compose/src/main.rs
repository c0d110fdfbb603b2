//! Docker's everyday on bare containerd: `corten-compose` for Compose projects, `cortenctl` for single containers.

// Until its callers are here.
#[allow(dead_code)]
mod disk;
// Until its callers are here.
#[allow(dead_code)]
mod error;
// Until its callers are here.
#[allow(dead_code)]
mod model;

fn main() -> std::process::ExitCode {
    let error = error::Error::new("no command is there yet");
    eprintln!("{error}");
    std::process::ExitCode::FAILURE
}

//! Docker's everyday on bare containerd: `corten-compose` for Compose projects, `cortenctl` for single containers.

mod error;

fn main() -> std::process::ExitCode {
    let error = error::Error::new("no command is there yet");
    eprintln!("{error}");
    std::process::ExitCode::FAILURE
}

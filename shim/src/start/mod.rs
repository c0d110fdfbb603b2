//! `start`: the server of a container's group, started if there is none yet. containerd waits for this command before
//! every first container of a group, so it does no more than it must.

mod cgroup;
mod server;

use std::io::{Read, Write};
use std::path::Path;

use corten::error::{Context, Error, Result, best_effort};
use corten::internals::sys::schedule;

use server::Server;

use crate::args::Args;
use crate::bootstrap::Handshake;
use crate::bundle::Bundle;
use crate::options::{Parsed, knows};
use crate::socket::{self, Claim};

/// More than containerd ever sends.
const STDIN_BYTES_MAX: u64 = 10 << 20;

/// Starts the server, or finds it, and tells containerd where it listens.
///
/// The working directory is the bundle. If anything fails, nothing is left.
pub fn run(args: &Args) -> Result<()> {
    let handshake = handshake(args)?;
    let shim_cgroup = shim_cgroup(&handshake)?;
    let bundle = Bundle::at("");
    let group = bundle.group()?;
    let grpc_address = handshake.grpc_address().unwrap_or(&args.address);
    let dir = socket::directory(handshake.socket_dir())?;
    let path = socket::path(&dir, grpc_address, &args.namespace, group.as_deref().unwrap_or(&args.id))?;
    let claimed = match socket::claim(&path)? {
        Claim::Served => return announce(&bundle, &handshake, &path),
        Claim::Free(claimed) => claimed,
    };
    if std::env::var_os("SCHED_CORE").is_some_and(|value| !value.is_empty()) {
        schedule::create_core_of_process_group().doing("enable core scheduling (SCHED_CORE)")?;
    }
    let debug = args.debug || handshake.is_debug();
    let server = Server::spawn(&Args { address: grpc_address.into(), debug, ..args.clone() }, &claimed)?;
    let settled = server
        .enter(shim_cgroup.as_deref())
        .and_then(|()| server.be_killed_before_the_parent())
        .and_then(|()| announce(&bundle, &handshake, &path));
    match settled {
        Ok(()) => claimed.hand_over(),
        Err(_) => server.kill(),
    }
    settled
}

fn handshake(args: &Args) -> Result<Handshake> {
    let stdin = read_stdin()?;
    Handshake::read(&stdin, &args.id, &args.namespace).ok_or_else(|| {
        Error::invalid(format!(
            "standard input is neither options nor the parameters of {}: {} bytes",
            args.id,
            stdin.len()
        ))
    })
}

/// All of standard input.
pub fn read_stdin() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(STDIN_BYTES_MAX).read_to_end(&mut bytes);
    read.map_err(|err| Error::io("read(stdin)", &err))?;
    Ok(bytes)
}

/// The only option that matters before Create.
fn shim_cgroup(handshake: &Handshake) -> Result<Option<String>> {
    let mut options = handshake.extensions();
    let options = if handshake.may_have_unknown_extensions() {
        options.find(|extension| knows(&extension.type_url))
    } else {
        options.next()
    };
    let parsed = Parsed::of_any(options, &|path| std::fs::read_to_string(path));
    let parsed = parsed.map_err(|refusal| Error::invalid(refusal.text))?;
    Ok(Some(parsed.options.shim_cgroup).filter(|path| !path.is_empty()))
}

/// Tells containerd the address, now by standard output and later by the bundle.
fn announce(bundle: &Bundle, handshake: &Handshake, path: &Path) -> Result<()> {
    let address = socket::address(path);
    bundle.write_address(&address)?;
    let mut stdout = std::io::stdout().lock();
    let told = stdout.write_all(&handshake.answer(&address)).and_then(|()| stdout.flush());
    told.map_err(|err| {
        best_effort(bundle.remove_address(), "the error that led here is the one to be told");
        Error::io("write(stdout)", &err)
    })
}

//! The server: one thread, which serves a group of containers until the last of them is gone.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use corten::container::{SealedImage, become_subreaper, raise_limit_of_files};
use corten::error::{Error, Result, best_effort};
use corten::internals::sys::descriptors;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::Interest;
use ttrpc::asynchronous::Server;

use crate::args::Args;
use crate::children::Children;
use crate::driver::library::THREADS_MAX;
use crate::events::Queue;
use crate::log::{self, Level};
use crate::peers::Peers;
use crate::service;
use crate::shim::Shim;
use crate::shim::operations::Works;
use crate::socket::Served;
use crate::watch::watched;

const STACK_BYTES: usize = 256 * 1024;
const THREAD_IDLE_MAX: Duration = Duration::from_secs(1);

/// Serves a group of containers until none is left.
///
/// The socket is descriptor 3, as `start` has left it, or is bound to the path of the command line.
pub fn serve(args: &Args) -> Result<()> {
    let listener = listener(args)?;
    let socket = Served::by(&listener)?;
    log::open(std::path::Path::new(""));
    become_subreaper()?;
    best_effort(raise_limit_of_files(), "fewer containers have room, then");
    let signals = signals()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS_MAX)
        .thread_stack_size(STACK_BYTES)
        .thread_keep_alive(THREAD_IDLE_MAX)
        .build()
        .map_err(|err| Error::io("epoll_create1", &err))?;
    let works = works(args);
    let shim = Arc::new(Shim::new(Queue::new(&args.namespace, &events_address(args)), works, socket));
    let served = runtime.block_on(run(&shim, listener, signals));
    shim.retire();
    // Nobody waits for what still blocks.
    runtime.shutdown_background();
    served
}

/// Where containerd listens for events.
fn events_address(args: &Args) -> String {
    let address = std::env::var("TTRPC_ADDRESS").ok().filter(|address| !address.is_empty());
    address.unwrap_or_else(|| format!("{}.ttrpc", args.address))
}

fn works(args: &Args) -> Works {
    let image = SealedImage::make()
        .inspect_err(|err| log::say(Level::Warning, &format!("each command seals itself: {err}")))
        .ok();
    Works::new(&args.namespace, image, Arc::new(Children::default()))
}

async fn run(shim: &Arc<Shim>, listener: StdListener, signals: SignalFd) -> Result<()> {
    let peers = Peers::none();
    let listener = peers.listen(listener)?;
    let mut server = Server::new().register_service(service::services(shim)).add_listener(listener);
    server.start().await.map_err(|err| Error::internal(format!("the server: {err}")))?;
    tokio::select! {
        () = shim.quit.notified() => {}
        () = shim.events.deliver() => {}
        () = peers.watch(shim) => {}
        ended = attend(&shim.works.children, signals) => ended?,
    }
    Ok(())
}

/// Reaps orphans, until a signal tells the shim to end.
async fn attend(children: &Children, signals: SignalFd) -> Result<()> {
    let signals = watched(signals, Interest::READABLE).map_err(|err| Error::io("epoll_ctl", &err))?;
    loop {
        let mut ready = signals.readable().await.map_err(|err| Error::io("epoll_wait", &err))?;
        ready.clear_ready();
        while let Ok(Some(signal)) = signals.get_ref().read_signal() {
            match Signal::try_from(signal.ssi_signo as i32) {
                Ok(Signal::SIGCHLD) => children.sweep(),
                Ok(Signal::SIGUSR1) => log::say(Level::Warning, "SIGUSR1: the shim is alive"),
                _ => return Ok(()),
            }
        }
    }
}

fn listener(args: &Args) -> Result<StdListener> {
    let listener = match &args.socket {
        Some(path) => StdListener::bind(path).map_err(|err| Error::io(format!("bind({path:?})"), &err))?,
        None => StdListener::from(inherited()?),
    };
    listener.set_nonblocking(true).map_err(|err| Error::io("fcntl(O_NONBLOCK)", &err))?;
    Ok(listener)
}

fn inherited() -> Result<OwnedFd> {
    descriptors::take_listener()
        .ok_or_else(|| Error::invalid("descriptor 3 is no socket: `start` starts the server"))
}

fn signals() -> Result<SignalFd> {
    let set: SigSet =
        [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1].into_iter().collect();
    set.thread_block().map_err(|errno| Error::kernel("sigprocmask", errno))?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|errno| Error::kernel("signalfd", errno))
}

//! Who is connected to the server: the same user only, and for how long nobody is.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use corten::error::{Error, Result};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;
use ttrpc::asynchronous::transport::Listener;

use crate::machine::call::Input;
use crate::shim::Shim;

/// For how long a shim without a container waits for somebody to connect. containerd connects as soon as `start` has
/// answered; a client that is killed then can keep it from doing so, and nobody else knows of the shim.
const DESERTED: Duration = Duration::from_secs(10);

/// How many are connected.
#[derive(Clone)]
pub struct Peers(Arc<watch::Sender<usize>>);

/// A connection, which is counted until it is dropped.
struct Peer {
    stream: UnixStream,
    peers: Peers,
}

impl Peers {
    /// Nobody is connected yet.
    pub fn none() -> Peers {
        Peers(Arc::new(watch::Sender::new(0)))
    }

    /// Accepts connections of the same user.
    pub fn listen(&self, listener: StdListener) -> Result<Listener> {
        let listener =
            UnixListener::from_std(listener).map_err(|err| Error::io("epoll_ctl(socket)", &err))?;
        let own = nix::unistd::geteuid().as_raw();
        let peers = self.clone();
        Ok(Listener::new(futures_util::stream::unfold(
            (listener, peers),
            move |(listener, peers)| async move {
                loop {
                    let accepted = listener.accept().await.map(|(stream, _)| stream);
                    match accepted {
                        Ok(stream) if !stream.peer_cred().is_ok_and(|peer| peer.uid() == own) => {}
                        accepted => {
                            return Some((accepted.map(|stream| peers.count(stream)), (listener, peers)));
                        }
                    }
                }
            },
        )))
    }

    fn count(&self, stream: UnixStream) -> Peer {
        self.0.send_modify(|connected| *connected += 1);
        Peer { stream, peers: self.clone() }
    }

    /// Tells the shim each time that nobody has been connected for a while. Never returns.
    pub async fn watch(&self, shim: &Arc<Shim>) {
        let mut connected = self.0.subscribe();
        // The sender is never dropped before.
        loop {
            drop(connected.wait_for(|connected| *connected == 0).await);
            let came = timeout(DESERTED, connected.wait_for(|connected| *connected > 0)).await.is_ok();
            if !came {
                shim.tell(Input::Deserted);
                drop(connected.wait_for(|connected| *connected > 0).await);
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.peers.0.send_modify(|connected| *connected -= 1);
    }
}

impl AsyncRead for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Peer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

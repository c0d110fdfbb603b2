//! containerd, as its client sees it: gRPC on a unix socket, a thin file for each service.
//!
//! The messages are written by hand, with the fields that are set or looked at. A request knows its method and its
//! answer, so that a call is `engine.call(tasks::Start { … })`.
//!
//! Source: containerd's `api/services/*/v1/*.proto`; the numbers are the same from 1.6 to 2.x.

use std::path::Path;
use std::time::Duration;

use futures_util::Stream;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, ConnectError, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::error::{Error, Kind, Result};

pub mod again;
pub mod announce;
pub mod containers;
pub mod content;
pub mod diff;
pub mod events;
pub mod images;
pub mod introspection;
pub mod lease;
pub mod leases;
pub mod metrics;
pub mod program;
pub mod snapshots;
pub mod tasks;
pub mod types;
pub mod version;

/// Where containerd listens unless somebody says otherwise.
pub const DEFAULT_ADDRESS: &str = "/run/containerd/containerd.sock";

/// What containerd takes and sends at most. tonic's own limit is a quarter of it.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// How long the socket may take to answer. A call itself has no limit: `Wait` lasts as long as a container.
const CONNECT_SECONDS: u64 = 10;

/// A connection to containerd, and in which of its namespaces the calls are.
#[derive(Clone)]
pub struct Engine {
    channel: Channel,
    address: String,
    namespace: String,
    lease: Option<String>,
}

/// A request: its method and the answer to it.
pub trait Call: prost::Message + 'static {
    /// `/PACKAGE.SERVICE/METHOD`.
    const METHOD: &'static str;
    /// The answer; each of them, if the method streams.
    type Answer: prost::Message + Default + 'static;
}

/// Says of the requests of a service which methods they are for.
macro_rules! calls {
    ($service:literal: $($method:literal: $request:ty => $answer:ty,)*) => {
        $(impl $crate::engine::Call for $request {
            const METHOD: &'static str = concat!("/containerd.services.", $service, "/", $method);
            type Answer = $answer;
        })*
    };
}
pub(crate) use calls;

impl Engine {
    /// Connects to the socket at `address`, for calls in `namespace`.
    ///
    /// Errors: Unavailable, which says what to look at.
    pub async fn connect(address: &str, namespace: &str) -> Result<Engine> {
        let address = address.strip_prefix("unix://").unwrap_or(address).to_owned();
        let socket = address.clone();
        let connector = service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(Path::new(&socket)).await.map(TokioIo::new) }
        });
        // The URI names nobody: the connector knows the way.
        let endpoint =
            Endpoint::from_static("http://containerd").connect_timeout(Duration::from_secs(CONNECT_SECONDS));
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|err| unanswered(&address, &err))?;
        Ok(Engine { channel, address, namespace: namespace.to_owned(), lease: None })
    }

    /// The path of the socket.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The namespace of the calls.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The same connection, with what the calls make held by a lease.
    fn under(&self, lease: &str) -> Engine {
        Engine { lease: Some(lease.to_owned()), ..self.clone() }
    }

    /// Calls a method that has one answer.
    pub async fn call<C: Call>(&self, request: C) -> Result<C::Answer> {
        let mut client = self.client().await?;
        let path = PathAndQuery::from_static(C::METHOD);
        let answer =
            client.unary(self.addressed(request)?, path, ProstCodec::<C, C::Answer>::default()).await;
        answer.map(Response::into_inner).map_err(|status| error_of(&self.address, &status))
    }

    /// Calls a method that streams its answers.
    pub async fn follow<C: Call>(&self, request: C) -> Result<Answers<C::Answer>> {
        let mut client = self.client().await?;
        let path = PathAndQuery::from_static(C::METHOD);
        let codec = ProstCodec::<C, C::Answer>::default();
        self.answers(client.server_streaming(self.addressed(request)?, path, codec).await)
    }

    /// Calls a method that streams both ways, with one request.
    pub async fn send<C: Call>(&self, request: C) -> Result<Answers<C::Answer>> {
        self.send_all(futures_util::stream::iter([request])).await
    }

    /// Calls a method that streams both ways.
    pub async fn send_all<C: Call>(
        &self,
        requests: impl Stream<Item = C> + Send + 'static,
    ) -> Result<Answers<C::Answer>> {
        let mut client = self.client().await?;
        let path = PathAndQuery::from_static(C::METHOD);
        let codec = ProstCodec::<C, C::Answer>::default();
        self.answers(client.streaming(self.addressed(requests)?, path, codec).await)
    }

    fn answers<T>(&self, begun: Result<Response<Streaming<T>>, Status>) -> Result<Answers<T>> {
        let stream = begun.map_err(|status| error_of(&self.address, &status))?.into_inner();
        Ok(Answers { stream, address: self.address.clone() })
    }

    async fn client(&self) -> Result<Grpc<Channel>> {
        let mut client = Grpc::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let ready = client.ready().await;
        ready.map_err(|err| unanswered(&self.address, &err))?;
        Ok(client)
    }

    fn addressed<T>(&self, message: T) -> Result<Request<T>> {
        let mut request = Request::new(message);
        let headers = request.metadata_mut();
        headers.insert("containerd-namespace", header(&self.namespace)?);
        if let Some(lease) = &self.lease {
            headers.insert("containerd-lease", header(lease)?);
        }
        Ok(request)
    }
}

/// The answers of a method that streams.
pub struct Answers<T> {
    stream: Streaming<T>,
    address: String,
}

impl<T> Answers<T> {
    /// Waits for the next answer. None: the stream has ended.
    pub async fn next(&mut self) -> Result<Option<T>> {
        self.stream.message().await.map_err(|status| error_of(&self.address, &status))
    }
}

fn header(value: &str) -> Result<MetadataValue<Ascii>> {
    value.parse().map_err(|_| Error::new(format!("{value:?}: not a name for containerd")))
}

/// containerd's own words, of a kind to branch on. Where the failure has a cause of this side, no answer has come.
fn error_of(address: &str, status: &Status) -> Error {
    if let Some(cause) = std::error::Error::source(status) {
        return unanswered(address, cause);
    }
    let kind = match status.code() {
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::AlreadyExists,
        Code::FailedPrecondition => Kind::WrongState,
        Code::Unavailable => Kind::Unavailable,
        Code::Unimplemented => Kind::Unimplemented,
        _ => Kind::Other,
    };
    let words = status.message().trim().replace('\n', " ");
    Error::of_kind(kind, if words.is_empty() { status.code().description().to_owned() } else { words })
}

/// What is said of a socket from which no answer comes: the innermost cause. What is around it says "transport error".
fn unanswered(address: &str, err: &(dyn std::error::Error + 'static)) -> Error {
    let (mut innermost, mut was_there) = (err, !err.is::<ConnectError>());
    while let Some(cause) = innermost.source() {
        innermost = cause;
        was_there &= !cause.is::<ConnectError>();
    }
    let line = if was_there {
        format!("containerd at {address}: the connection has broken off ({innermost})")
    } else {
        format!("containerd at {address}: {innermost}; is containerd running?")
    };
    Error::of_kind(Kind::Unavailable, line)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::{BrokenPipe, ConnectionRefused};

    use super::*;

    #[test]
    fn what_breaks_off_is_told_in_plain_words_and_is_no_answer() {
        let refused =
            Status::from_error(Box::new(ConnectError(Box::new(std::io::Error::from(ConnectionRefused)))));
        let broken = Status::from_error(Box::new(std::io::Error::from(BrokenPipe)));
        for (status, line) in [
            (refused, "containerd at /run/c.sock: connection refused; is containerd running?"),
            (broken, "containerd at /run/c.sock: the connection has broken off (broken pipe)"),
        ] {
            let err = error_of("/run/c.sock", &status);
            assert_eq!((err.kind(), err.to_string().as_str()), (Kind::Unavailable, line));
        }
        let answered = error_of("/run/c.sock", &Status::not_found("no such\ntask"));
        assert_eq!((answered.kind(), answered.to_string().as_str()), (Kind::NotFound, "no such task"));
    }
}

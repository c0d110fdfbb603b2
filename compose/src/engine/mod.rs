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
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::error::{Context, Error, Kind, Result};

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
        let channel = endpoint.connect_with_connector(connector).await.map_err(|err| {
            let why = root_cause(&err);
            Error::of_kind(
                Kind::Unavailable,
                format!("containerd at {address}: {why}; is containerd running?"),
            )
        })?;
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
        answer.map(tonic::Response::into_inner).map_err(|status| error_of(&status))
    }

    /// Calls a method that streams its answers.
    pub async fn follow<C: Call>(&self, request: C) -> Result<Answers<C::Answer>> {
        let mut client = self.client().await?;
        let path = PathAndQuery::from_static(C::METHOD);
        let codec = ProstCodec::<C, C::Answer>::default();
        let answers = client.server_streaming(self.addressed(request)?, path, codec).await;
        answers.map(|answers| Answers(answers.into_inner())).map_err(|status| error_of(&status))
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
        let answers = client.streaming(self.addressed(requests)?, path, codec).await;
        answers.map(|answers| Answers(answers.into_inner())).map_err(|status| error_of(&status))
    }

    async fn client(&self) -> Result<Grpc<Channel>> {
        let mut client = Grpc::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let ready = client.ready().await;
        ready.map_err(|err| Error::of_kind(Kind::Unavailable, root_cause(&err))).at("containerd")?;
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
pub struct Answers<T>(Streaming<T>);

impl<T> Answers<T> {
    /// Waits for the next answer. None: the stream has ended.
    pub async fn next(&mut self) -> Result<Option<T>> {
        self.0.message().await.map_err(|status| error_of(&status))
    }
}

fn header(value: &str) -> Result<MetadataValue<Ascii>> {
    value.parse().map_err(|_| Error::new(format!("{value:?}: not a name for containerd")))
}

/// containerd's own words, of a kind to branch on.
fn error_of(status: &Status) -> Error {
    let kind = match status.code() {
        // It has a cause of this side: the connection has broken off.
        _ if std::error::Error::source(status).is_some() => Kind::Unavailable,
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

/// The innermost cause: what is around it says "transport error".
fn root_cause(err: &dyn std::error::Error) -> String {
    let mut innermost = err;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

//! gRPC's calls on the unix socket of containerd.
//!
//! A call is an HTTP/2 request. Its body is a message after its length, the answer's is one such message or many, and
//! the status comes in the trailers. Each call has a connection of its own: none is left over when containerd starts
//! anew.
//!
//! Source: `doc/PROTOCOL-HTTP2.md` of gRPC.

use std::fmt::Display;
use std::future::poll_fn;
use std::path::PathBuf;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use prost::Message;
use spec_tests::engine::containerd::Containerd;
use spec_tests::engine::{Engine, Outcome, Stop};
use spec_tests::patience::seconds;
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::messages::Call;

/// How long a call may take, in seconds.
const DEADLINE: u32 = 60;

/// A compressed flag and a length of 32 bits stand before a message.
const PREFIX_BYTES: usize = 5;

pub struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

/// What the server says when it refuses, or why it could not be asked.
#[derive(Debug)]
pub struct Refusal {
    /// gRPC's number of the status.
    pub code: i32,
    pub message: String,
}

impl Client {
    pub fn of(containerd: &Containerd) -> Outcome<Self> {
        let socket = containerd.machine().path("/run/containerd/containerd.sock");
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Stop::failed)?;
        Ok(Client { socket, runtime })
    }

    pub fn call<C: Call>(&self, request: &C) -> Result<C::Answer, Refusal> {
        let mut first = None;
        self.follow(request, |answer| {
            first.get_or_insert(answer);
            false
        })?;
        first.ok_or_else(|| Refusal::unanswered("an answer without a message"))
    }

    /// Makes a call and gives its answers to `take`, until that has enough or the server ends.
    pub fn follow<C: Call>(&self, request: &C, take: impl FnMut(C::Answer) -> bool) -> Result<(), Refusal> {
        self.runtime.block_on(async {
            match timeout(seconds(DEADLINE), self.ask(request, take)).await {
                Ok(end) => end,
                Err(_) => Err(Refusal::unanswered("no answer in time")),
            }
        })
    }

    async fn ask<C: Call>(&self, request: &C, take: impl FnMut(C::Answer) -> bool) -> Result<(), Refusal> {
        let stream = UnixStream::connect(&self.socket).await.map_err(Refusal::unanswered)?;
        let (sender, connection) = h2::client::handshake(stream).await.map_err(Refusal::unanswered)?;
        let connection = tokio::spawn(connection);
        let end = exchange(sender, request, take).await;
        connection.abort();
        end
    }
}

impl Refusal {
    /// UNKNOWN, which gRPC's own clients give for what comes from beside the server.
    fn unanswered(why: impl Display) -> Self {
        Refusal { code: 2, message: why.to_string() }
    }

    /// What trailers say, or nothing if they say OK.
    fn of(trailers: &HeaderMap) -> Option<Self> {
        let text = |name| trailers.get(name).and_then(|value| value.to_str().ok());
        let code = text("grpc-status").and_then(|code| code.parse().ok()).unwrap_or(2);
        let message = text("grpc-message").map(without_percents).unwrap_or_default();
        (code != 0).then_some(Refusal { code, message })
    }
}

async fn exchange<C: Call>(
    sender: SendRequest<Bytes>,
    request: &C,
    mut take: impl FnMut(C::Answer) -> bool,
) -> Result<(), Refusal> {
    let mut body = send(sender, request).await?;
    let mut waiting = BytesMut::new();
    while let Some(part) = poll_fn(|context| body.poll_data(context)).await {
        let part = part.map_err(Refusal::unanswered)?;
        // The server sends on as what came is given free.
        body.flow_control().release_capacity(part.len()).map_err(Refusal::unanswered)?;
        waiting.put_slice(&part);
        while let Some(message) = next_message(&mut waiting) {
            if take(C::Answer::decode(message).map_err(Refusal::unanswered)?) {
                return Ok(());
            }
        }
    }
    let trailers = body.trailers().await.map_err(Refusal::unanswered)?.unwrap_or_default();
    Refusal::of(&trailers).map_or(Ok(()), Err)
}

/// Sends a request, and gives the body of the answer.
async fn send<C: Call>(sender: SendRequest<Bytes>, request: &C) -> Result<RecvStream, Refusal> {
    let head = Request::post(format!("http://localhost/runtime.v1.RuntimeService/{}", C::METHOD))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(Refusal::unanswered)?;
    let mut sender = sender.ready().await.map_err(Refusal::unanswered)?;
    let (response, mut body) = sender.send_request(head, false).map_err(Refusal::unanswered)?;
    body.send_data(framed(request), true).map_err(Refusal::unanswered)?;
    let (head, body) = response.await.map_err(Refusal::unanswered)?.into_parts();
    // A call that is refused at once has no trailers: they are its headers.
    match head.headers.contains_key("grpc-status").then(|| Refusal::of(&head.headers)).flatten() {
        Some(refusal) => Err(refusal),
        None => Ok(body),
    }
}

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.encoded_len() as u32);
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}

/// Takes the first message from what has come, if it has come whole.
fn next_message(waiting: &mut BytesMut) -> Option<BytesMut> {
    let length =
        waiting.get(1..PREFIX_BYTES)?.iter().fold(0, |length, &byte| length << 8 | usize::from(byte));
    if waiting.len() < PREFIX_BYTES + length {
        return None;
    }
    waiting.advance(PREFIX_BYTES);
    Some(waiting.split_to(length))
}

/// The text of a `grpc-message`, in which `%E2` is a byte.
fn without_percents(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if byte.is_some() { &after[2..] } else { after };
        bytes.push(byte.unwrap_or(b'%'));
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

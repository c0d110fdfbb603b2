//! A connection over which D-Bus is spoken, with a deadline for every wait.
//!
//! The messages are `rustbus`'s. The connection is not: that of the crate waits for the greeting without end, and names
//! the caller by a uid that means something else outside of a user namespace.

use std::os::fd::{AsFd, OwnedFd};

use rustbus::message_builder::MarshalledMessage;
use rustbus::signature;
use rustbus::wire::ObjectPath;
use rustbus::wire::errors::MarshalError;
use rustbus::wire::marshal::traits::SignatureBuffer;
use rustbus::wire::marshal::{MarshalContext, marshal};
use rustbus::wire::unmarshal::{
    HEADER_LEN, traits::Variant, unmarshal_dynamic_header, unmarshal_header, unmarshal_next_message,
};
use rustbus::{ByteOrder, Marshal, MessageType, Signature};

use super::{Address, call};
use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::cgroup::properties::{Property, PropertyValue};
use crate::sys::clock::Deadline;
use crate::sys::{file, poll, socket};

/// No answer of systemd's comes near it.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// A connection to a bus, or to systemd itself.
pub(super) struct Bus {
    socket: OwnedFd,
    is_bus: bool,
    /// Whether the server has let the caller in.
    is_accepted: bool,
    last_call: u32,
    /// What has come and is not understood yet.
    received: Vec<u8>,
    /// Jobs that have ended, each with its result.
    ended_jobs: Vec<(String, String)>,
}

impl Bus {
    /// Connects, and says all that a server wants to hear before the first call.
    pub fn connect(address: &Address, deadline: Deadline) -> Result<Bus> {
        // The server knows the caller by the socket. A uid may be left out, and then can't be wrong.
        const GREETING: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
        let socket = socket::connect(&address.path).doing("reach systemd")?;
        let mut bus = Bus {
            socket,
            is_bus: address.is_bus,
            is_accepted: false,
            last_call: 0,
            received: Vec::new(),
            ended_jobs: Vec::new(),
        };
        bus.write(GREETING)?;
        // systemd itself overlooks a call that comes together with the greeting, until more comes.
        while !bus.is_accepted {
            bus.read(deadline)?;
            bus.read_greeting()?;
        }
        if address.is_bus {
            bus.send(&call_of_bus("Hello"))?;
        }
        Ok(bus)
    }

    /// Asks to be told when jobs of a unit end. systemd itself tells without being asked.
    pub fn listen_to_jobs_of(&mut self, unit: &str) -> Result<()> {
        if self.is_bus {
            let mut request = call_of_bus("AddMatch");
            let rule = format!("type='signal',member='{JOB_REMOVED}',arg2='{unit}'");
            request.body.push_param(rule).map_err(fault)?;
            self.send(&request)?;
        }
        Ok(())
    }

    /// Sends a call, and returns its number.
    pub fn send(&mut self, message: &MarshalledMessage) -> Result<u32> {
        self.last_call += 1;
        let mut bytes = Vec::new();
        marshal(message, self.last_call, &mut bytes).map_err(fault)?;
        bytes.extend(message.get_buf());
        self.write(&bytes)?;
        Ok(self.last_call)
    }

    /// Waits for the answer to a call.
    pub fn reply_to(&mut self, call: u32, deadline: Deadline) -> Result<Reply> {
        loop {
            let message = self.receive(deadline)?;
            if message.dynheader.response_serial == Some(call) {
                return Ok(Reply(message));
            }
            // The bus answers to the greeting and to what is listened to; a refusal there is one of all.
            if message.typ == MessageType::Error {
                return Err(Reply(message).error());
            }
        }
    }

    /// Waits until a job has ended, and returns its result.
    pub fn await_job(&mut self, job: &str, deadline: Deadline) -> Result<String> {
        loop {
            if let Some((_, result)) = self.ended_jobs.iter().find(|(ended, _)| ended == job) {
                return Ok(result.clone());
            }
            self.receive(deadline)?;
        }
    }

    fn receive(&mut self, deadline: Deadline) -> Result<MarshalledMessage> {
        loop {
            self.read_greeting()?;
            if let Some(message) = self.next_message()? {
                self.note_ended_job(&message);
                return Ok(message);
            }
            self.read(deadline)?;
        }
    }

    /// Takes the server's answers to the greeting: lines, before the first message. How many there are differs. A
    /// message begins with its byte order, which no line begins with.
    fn read_greeting(&mut self) -> Result<()> {
        const ORDERS: &[u8] = b"lB";
        const LINE_BYTES_MAX: usize = 1024;
        while self.received.first().is_some_and(|first| !(self.is_accepted && ORDERS.contains(first))) {
            let Some(end) = self.received.windows(2).position(|two| two == b"\r\n") else {
                return if self.received.len() > LINE_BYTES_MAX { Err(no_dbus()) } else { Ok(()) };
            };
            let line = String::from_utf8_lossy(&self.received[..end]).into_owned();
            self.received.drain(..end + 2);
            match line.split(' ').next() {
                Some("OK") => self.is_accepted = true,
                Some("DATA" | "AGREE_UNIX_FD") => {}
                Some("REJECTED" | "ERROR") => {
                    return Err(Error::new(Kind::Denied, "systemd's bus doesn't let this user in"));
                }
                _ => return Err(no_dbus()),
            }
        }
        Ok(())
    }

    fn next_message(&mut self) -> Result<Option<MarshalledMessage>> {
        const LENGTH_OF_FIELDS: usize = 4;
        if !self.is_accepted || self.received.len() < HEADER_LEN + LENGTH_OF_FIELDS {
            return Ok(None);
        }
        let (_, header) = unmarshal_header(&self.received, 0).map_err(garbled)?;
        let length = [0, 1, 2, 3].map(|at| self.received[HEADER_LEN + at]);
        let fields = match header.byteorder {
            ByteOrder::LittleEndian => u32::from_le_bytes(length),
            ByteOrder::BigEndian => u32::from_be_bytes(length),
        };
        let head = (HEADER_LEN + LENGTH_OF_FIELDS + fields as usize).next_multiple_of(8);
        let size = head + header.body_len as usize;
        if size > MESSAGE_BYTES_MAX {
            return Err(no_dbus());
        }
        if self.received.len() < size {
            return Ok(None);
        }
        let bytes: Vec<u8> = self.received.drain(..size).collect();
        let (taken, fields) = unmarshal_dynamic_header(&header, &bytes, HEADER_LEN).map_err(garbled)?;
        let (_, message) =
            unmarshal_next_message(&header, fields, &bytes, HEADER_LEN + taken).map_err(garbled)?;
        Ok(Some(message))
    }

    fn note_ended_job(&mut self, message: &MarshalledMessage) {
        let is_it = message.typ == MessageType::Signal;
        if !is_it || message.dynheader.member.as_deref() != Some(JOB_REMOVED) {
            return;
        }
        let mut body = message.body.parser();
        if let Ok((_, job, _, result)) = body.get4::<u32, ObjectPath<&str>, &str, &str>() {
            self.ended_jobs.push((job.as_ref().to_owned(), result.to_owned()));
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        socket::send(self.socket.as_fd(), bytes, &[]).map_err(|err| match err.errno() {
            Some(Errno::EAGAIN) => no_answer(),
            _ => err.context("talk to systemd"),
        })
    }

    fn read(&mut self, deadline: Deadline) -> Result<()> {
        // A server that never stops talking has to be stopped, too.
        if deadline.passed() || !poll::readable_by(&self.socket, deadline).doing("wait for systemd")? {
            return Err(no_answer());
        }
        let mut buffer = [0; 4096];
        match file::read(&self.socket, &mut buffer).doing("talk to systemd")? {
            0 if self.is_accepted => Err(Error::new(Kind::Kernel, "systemd's bus has closed the connection")),
            0 => Err(Error::new(
                Kind::Denied,
                "systemd's bus has closed the connection before it let this user in",
            )),
            len => {
                self.received.extend(&buffer[..len]);
                Ok(())
            }
        }
    }
}

/// The answer to a call.
pub(super) struct Reply(MarshalledMessage);

impl Reply {
    /// Whether it is the error of that name.
    pub fn is_error(&self, name: &str) -> bool {
        self.0.typ == MessageType::Error && self.0.dynheader.error_name.as_deref() == Some(name)
    }

    /// Errors: what systemd says is wrong.
    pub fn done(self) -> Result<()> {
        if self.0.typ == MessageType::Error { Err(self.error()) } else { Ok(()) }
    }

    /// The object that it names.
    pub fn path(self) -> Result<String> {
        if self.0.typ == MessageType::Error {
            return Err(self.error());
        }
        let path = self.0.body.parser().get::<ObjectPath<&str>>().map_err(garbled)?;
        Ok(path.as_ref().to_owned())
    }

    /// The text that is the value of a property.
    pub fn text_in_variant(self) -> Result<String> {
        if self.0.typ == MessageType::Error {
            return Err(self.error());
        }
        let mut body = self.0.body.parser();
        let variant = body.get::<Variant>().map_err(garbled)?;
        variant.get::<String>().map_err(garbled)
    }

    /// What systemd says is wrong.
    pub fn error(&self) -> Error {
        let name = self.0.dynheader.error_name.as_deref().unwrap_or("an error without a name");
        let text = self.0.body.parser().get::<&str>().unwrap_or_default();
        let kind = match name {
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => Kind::Denied,
            "org.freedesktop.DBus.Error.InvalidArgs" => Kind::InvalidSpec,
            _ => Kind::Kernel,
        };
        let text: String = text.chars().take(ERROR_CHARS_MAX).collect();
        Error::new(kind, format!("systemd: {} ({})", text.trim_end_matches('.'), last_part(name)))
    }
}

/// An error of systemd's is one sentence.
const ERROR_CHARS_MAX: usize = 500;

fn last_part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

const JOB_REMOVED: &str = "JobRemoved";

fn call_of_bus(method: &str) -> MarshalledMessage {
    let mut message = call(method);
    message.dynheader.interface = Some("org.freedesktop.DBus".to_owned());
    message.dynheader.object = Some("/org/freedesktop/DBus".to_owned());
    message.dynheader.destination = Some("org.freedesktop.DBus".to_owned());
    message
}

/// `a(sv)`: properties, and the processes of a scope among them.
pub(super) fn properties<'a>(
    properties: &'a [Property],
    processes: Option<(&'a str, Vec<u32>)>,
) -> Vec<(&'a str, Boxed<'a>)> {
    let processes = processes.map(|(name, pids)| (name, Boxed::Processes(pids)));
    let given = properties.iter().map(|property| (property.name.as_str(), Boxed::Value(&property.value)));
    given.chain(processes).collect()
}

/// `a(sa(sv))`, empty.
pub(super) fn no_further_units<'a>() -> Vec<(&'a str, Vec<(&'a str, Boxed<'a>)>)> {
    Vec::new()
}

/// A value with its type: `v`.
pub(super) enum Boxed<'a> {
    Value(&'a PropertyValue),
    Processes(Vec<u32>),
}

impl Signature for Boxed<'_> {
    fn signature() -> signature::Type {
        signature::Type::Container(signature::Container::Variant)
    }

    fn alignment() -> usize {
        1
    }

    fn sig_str(signature: &mut SignatureBuffer) {
        signature.push_static("v");
    }

    fn has_sig(signature: &str) -> bool {
        signature == "v"
    }
}

impl Marshal for Boxed<'_> {
    fn marshal(&self, ctx: &mut MarshalContext) -> std::result::Result<(), MarshalError> {
        match self {
            Boxed::Processes(pids) => pids.marshal_as_variant(ctx),
            Boxed::Value(PropertyValue::Bool(on)) => on.marshal_as_variant(ctx),
            Boxed::Value(PropertyValue::Int(number)) => number.marshal_as_variant(ctx),
            Boxed::Value(PropertyValue::Number(number)) => number.marshal_as_variant(ctx),
            Boxed::Value(PropertyValue::Text(text)) => text.marshal_as_variant(ctx),
            Boxed::Value(PropertyValue::Texts(texts)) => texts.marshal_as_variant(ctx),
            Boxed::Value(PropertyValue::Bits(bits)) => bits.marshal_as_variant(ctx),
            Boxed::Value(PropertyValue::Rates(rates)) => rates.marshal_as_variant(ctx),
            Boxed::Value(PropertyValue::Devices(devices)) => devices.marshal_as_variant(ctx),
        }
    }
}

/// A message of ours that can't be said: a text with a zero byte.
pub(super) fn fault(err: MarshalError) -> Error {
    Error::invalid(format!("systemd can't be told: {err}"))
}

fn garbled(err: impl std::fmt::Display) -> Error {
    Error::internal(format!("systemd's bus sends what is no message: {err}"))
}

fn no_dbus() -> Error {
    Error::internal("what answers in systemd's place doesn't speak D-Bus")
}

fn no_answer() -> Error {
    Error::new(Kind::Kernel, "systemd doesn't answer, or not in time")
}

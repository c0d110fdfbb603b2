//! Network devices of one network namespace, by rtnetlink(7): found, moved, given addresses, brought up.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{self, AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType};

use super::Named;
use crate::error::{Errno, Error, Result};

/// The longest name of a device, in bytes: `IFNAMSIZ` with its NUL is one more.
pub const NAME_BYTES_MAX: usize = libc::IFNAMSIZ - 1;

/// `NLMSG_HDRLEN`.
const HEADER_BYTES: usize = 16;
/// `sizeof(struct ifinfomsg)`.
const LINK_BYTES: usize = 16;
/// `sizeof(struct ifaddrmsg)`.
const ADDRESS_BYTES: usize = 8;
/// What the kernel says of a device with many virtual functions is long.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How often a list is asked for that changes while it is read.
const DUMP_TRIES: usize = 16;

/// The devices of the network namespace in which this was opened.
pub struct Devices(OwnedFd);

/// A device, as one network namespace knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number.
    pub index: DeviceIndex,
    /// Its name; a device may have alternative names beside it.
    pub name: String,
}

/// The number of a device in its network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceIndex(u32);

/// An address of a device, with what the kernel keeps of it: the peer, the broadcast address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    family: u8,
    prefix_bits: u8,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Devices {
    /// The devices of the caller's network namespace.
    pub fn open() -> Result<Devices> {
        let flags = SockFlag::SOCK_CLOEXEC;
        socket::socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)
            .named(|| "socket(NETLINK_ROUTE)".into())
            .map(Devices)
    }

    /// `RTM_GETLINK`: the device of this name, or of this alternative name; nothing if there is none.
    pub fn find(&self, name: &str) -> Result<Option<Device>> {
        let call = || format!("RTM_GETLINK({name})");
        let request = Request::new(libc::RTM_GETLINK, 0, &link(0, 0)).with(libc::IFLA_IFNAME, &text(name));
        match self.ask(&request, call) {
            Err(err) if err.is(Errno::ENODEV) => Ok(None),
            answers => {
                let answers = answers?;
                let device = answers.first().and_then(|body| device(body));
                device.map(Some).ok_or_else(|| unreadable(call()))
            }
        }
    }

    /// `RTM_GETADDR`: the addresses of a device that it keeps for ever, and that hold beyond its own link.
    pub fn lasting_addresses(&self, of: DeviceIndex) -> Result<Vec<Address>> {
        let all = Request::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; ADDRESS_BYTES]);
        let answers = self.ask(&all, || format!("RTM_GETADDR({})", of.0))?;
        let of_device = answers.iter().filter(|body| number_at(body, 4) == Some(of.0));
        Ok(of_device.filter_map(|body| lasting_address(body)).collect())
    }

    /// `RTM_NEWLINK(IFLA_NET_NS_FD, IFLA_IFNAME)`: moves a device into another network namespace, where it has this
    /// name. The device is down then, and without addresses.
    ///
    /// Errors: EEXIST for a name that is taken there; EINVAL for a device that can't be moved.
    pub fn move_to(&self, device: DeviceIndex, namespace: impl AsFd, name: &str) -> Result<()> {
        let fd = namespace.as_fd().as_raw_fd();
        let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &link(device.0, 0))
            .with(libc::IFLA_IFNAME, &text(name))
            .with(libc::IFLA_NET_NS_FD, &fd.to_ne_bytes());
        self.ask(&request, || format!("RTM_NEWLINK({}, IFLA_NET_NS_FD, {name})", device.0)).map(drop)
    }

    /// `RTM_NEWADDR`.
    pub fn add_address(&self, device: DeviceIndex, address: &Address) -> Result<()> {
        let [i0, i1, i2, i3] = device.0.to_ne_bytes();
        let body = [address.family, address.prefix_bits, 0, libc::RT_SCOPE_UNIVERSE, i0, i1, i2, i3];
        let flags = libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        let mut request = Request::new(libc::RTM_NEWADDR, flags, &body);
        for (kind, value) in &address.attributes {
            request = request.with(*kind, value);
        }
        self.ask(&request, || format!("RTM_NEWADDR({}, {address:?})", device.0)).map(drop)
    }

    /// `RTM_NEWLINK(IFF_UP)`.
    pub fn bring_up(&self, device: DeviceIndex) -> Result<()> {
        let up = link(device.0, libc::IFF_UP as u32);
        let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_ACK, &up);
        self.ask(&request, || format!("RTM_NEWLINK({}, IFF_UP)", device.0)).map(drop)
    }

    /// Sends a request, and gives the bodies of all that the kernel answers.
    fn ask(&self, request: &Request, call: impl Fn() -> String) -> Result<Vec<Vec<u8>>> {
        for _ in 0..DUMP_TRIES {
            socket::send(self.0.as_raw_fd(), &request.finished(), MsgFlags::empty()).named(&call)?;
            if let Some(answers) = self.answers(request.ends, &call)? {
                return Ok(answers);
            }
        }
        Err(Error::kernel(call(), Errno::EINTR))
    }

    /// Nothing if the list changed while it was read.
    fn answers(&self, ends: End, call: impl Fn() -> String) -> Result<Option<Vec<Vec<u8>>>> {
        let mut answers = Vec::new();
        let mut is_whole = true;
        let mut buffer = vec![0_u8; ANSWER_BYTES_MAX];
        loop {
            // The kernel answers before `send` returns, or while this reads: nothing is waited for.
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            let length = socket::recv(self.0.as_raw_fd(), &mut buffer, flags).named(&call)?;
            let mut left = buffer.get(..length).ok_or_else(|| unreadable(call()))?;
            while !left.is_empty() {
                let (message, rest) = Message::first(left).ok_or_else(|| unreadable(call()))?;
                left = rest;
                is_whole &= i32::from(message.flags) & libc::NLM_F_DUMP_INTR == 0;
                match (i32::from(message.kind), ends) {
                    (libc::NLMSG_ERROR, _) => {
                        let errno = number_at(message.body, 0).ok_or_else(|| unreadable(call()))? as i32;
                        return match errno {
                            0 => Ok(Some(answers)),
                            errno => Err(Error::kernel(call(), Errno::from_raw(-errno))),
                        };
                    }
                    (libc::NLMSG_DONE, _) => return Ok(is_whole.then_some(answers)),
                    (_, end) => {
                        answers.push(message.body.to_vec());
                        if end == End::FirstAnswer {
                            return Ok(Some(answers));
                        }
                    }
                }
            }
        }
    }
}

fn unreadable(call: String) -> Error {
    Error::kernel(call, Errno::EBADMSG)
}

/// What tells that the kernel has said all.
#[derive(Clone, Copy, PartialEq)]
enum End {
    FirstAnswer,
    Acknowledgement,
}

/// A message to the kernel.
struct Request {
    bytes: Vec<u8>,
    ends: End,
}

impl Request {
    fn new(kind: u16, flags: i32, body: &[u8]) -> Request {
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(body);
        let ends =
            if i32::from(flags) == libc::NLM_F_REQUEST { End::FirstAnswer } else { End::Acknowledgement };
        Request { bytes, ends }
    }

    /// Adds a `struct rtattr`.
    fn with(mut self, kind: u16, value: &[u8]) -> Request {
        let length = (value.len() + 4) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    fn finished(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }
}

/// A message of the kernel.
struct Message<'a> {
    kind: u16,
    flags: u16,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first one, and what follows.
    fn first(bytes: &'a [u8]) -> Option<(Message<'a>, &'a [u8])> {
        let length = number_at(bytes, 0)? as usize;
        let body = bytes.get(HEADER_BYTES..length)?;
        let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((Message { kind: half_at(bytes, 4)?, flags: half_at(bytes, 6)?, body }, rest))
    }
}

/// `struct ifinfomsg` of the device; the flags that are set are set, and no other flag changes.
fn link(index: u32, flags: u32) -> [u8; LINK_BYTES] {
    let mut body = [0; LINK_BYTES];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&flags.to_ne_bytes());
    body
}

/// The device of a `struct ifinfomsg` with its attributes.
fn device(body: &[u8]) -> Option<Device> {
    let index = DeviceIndex(number_at(body, 4)?);
    let attributes = attributes(body.get(LINK_BYTES..)?);
    let (_, name) = attributes.iter().find(|(kind, _)| *kind == libc::IFLA_IFNAME)?;
    Some(Device { index, name: std::ffi::CStr::from_bytes_until_nul(name).ok()?.to_str().ok()?.to_owned() })
}

/// The address of a `struct ifaddrmsg` with its attributes, if it is permanent and of global scope.
fn lasting_address(body: &[u8]) -> Option<Address> {
    let [family, prefix_bits, flags, scope] = *body.first_chunk()?;
    let attributes = attributes(body.get(ADDRESS_BYTES..)?);
    // The attribute has all flags, the field of the structure those that fit.
    let all_flags = attributes.iter().find(|(kind, _)| *kind == libc::IFA_FLAGS);
    let flags = all_flags.and_then(|(_, value)| number_at(value, 0)).unwrap_or(u32::from(flags));
    if flags & libc::IFA_F_PERMANENT == 0 || scope != libc::RT_SCOPE_UNIVERSE {
        return None;
    }
    let of_address = |(kind, _): &(u16, Vec<u8>)| {
        matches!(*kind, libc::IFA_LOCAL | libc::IFA_ADDRESS | libc::IFA_BROADCAST)
    };
    let attributes = attributes.into_iter().filter(of_address).collect();
    Some(Address { family, prefix_bits, attributes })
}

fn attributes(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut attributes = Vec::new();
    while let (Some(length), Some(kind)) = (half_at(bytes, 0), half_at(bytes, 2)) {
        let Some(value) = bytes.get(4..usize::from(length)) else { break };
        attributes.push((kind, value.to_vec()));
        bytes = bytes.get(usize::from(length).next_multiple_of(4)..).unwrap_or_default();
    }
    attributes
}

/// A text with its NUL.
fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

fn half_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

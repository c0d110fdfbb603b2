//! The number of the ruleset of nftables: the kernel counts each change that anybody makes to it in a namespace.

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use std::os::fd::AsRawFd;

/// The kinds of messages of nftables, as `linux/netfilter/nfnetlink.h` and `nf_tables.h` number them.
const NEW_GENERATION: u16 = 10 << 8 | 15;
const GET_GENERATION: u16 = 10 << 8 | 16;
/// The attribute that has the number.
const NUMBER: u16 = 1;
/// The length of a message's head, the netlink's and nftables' own.
const HEAD_BYTES: usize = 20;
const ANSWER_BYTES_MAX: usize = 1024;

/// The number in the calling thread's network namespace. None: the kernel doesn't tell.
pub fn current() -> Option<u32> {
    let kind = SockType::Raw;
    let socket =
        socket(AddressFamily::Netlink, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter).ok()?;
    send(socket.as_raw_fd(), &question(), MsgFlags::empty()).ok()?;
    // The kernel has answered before it returns from the question.
    let mut answer = [0; ANSWER_BYTES_MAX];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT).ok()?;
    number(answer.get(..length)?)
}

fn question() -> [u8; HEAD_BYTES] {
    let mut question = [0; HEAD_BYTES];
    question[..4].copy_from_slice(&(HEAD_BYTES as u32).to_ne_bytes());
    question[4..6].copy_from_slice(&GET_GENERATION.to_ne_bytes());
    // A request.
    question[6..8].copy_from_slice(&1u16.to_ne_bytes());
    question
}

fn number(answer: &[u8]) -> Option<u32> {
    let word = |bytes: &[u8], at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    if word(answer, 4)? != NEW_GENERATION {
        return None;
    }
    let mut attributes = answer.get(HEAD_BYTES..)?;
    loop {
        let length = usize::from(word(attributes, 0)?);
        if word(attributes, 2)? == NUMBER {
            return Some(u32::from_be_bytes(attributes.get(4..8)?.try_into().ok()?));
        }
        // Each begins at a multiple of four.
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_among_what_the_kernel_answers() {
        let mut answer = question().to_vec();
        answer[4..6].copy_from_slice(&NEW_GENERATION.to_ne_bytes());
        for (kind, value) in [(3u16, &b"nft\0"[..]), (2, &[0, 0, 0, 9]), (NUMBER, &[0, 0, 1, 2])] {
            answer.extend((4 + value.len() as u16).to_ne_bytes());
            answer.extend(kind.to_ne_bytes());
            answer.extend(value);
        }
        assert_eq!(number(&answer), Some(258));
        assert_eq!(number(&answer[..answer.len() - 2]), None, "cut short");
        assert_eq!(number(&question()), None, "another message");
    }
}

//! The few messages of DNS that a keeper has to understand: one question, and answers of addresses and names. Pure.
//!
//! Everything else is handed on as it came, so no more is read than the header and the question, and the question is
//! repeated byte for byte. Source: RFC 1035, section 4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long an answer may be remembered: containers come and go.
const TTL_SECONDS: u32 = 10;
const HEADER: usize = 12;
const CLASS_INTERNET: u16 = 1;
/// What an answer by UDP may be long, if the question doesn't say more.
const UDP_MAX: usize = 512;

const TYPE_A: u16 = 1;
const TYPE_PTR: u16 = 12;
const TYPE_AAAA: u16 = 28;

/// Bits of the second half-word.
mod flag {
    pub const RESPONSE: u16 = 0x8000;
    pub const OPCODE: u16 = 0x7800;
    pub const AUTHORITATIVE: u16 = 0x0400;
    pub const TRUNCATED: u16 = 0x0200;
    pub const RECURSION_DESIRED: u16 = 0x0100;
    pub const RECURSION_AVAILABLE: u16 = 0x0080;
    pub const SERVER_FAILURE: u16 = 2;
}

/// A question, as far as a keeper has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    id: u16,
    flags: u16,
    /// The question's own bytes: name, type, class.
    bytes: Vec<u8>,
    /// What it asks about.
    pub about: About,
}

/// What a question asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The addresses of one family that a name has.
    Addresses {
        /// The name in small letters, without the last dot.
        name: String,
        /// Whether of IPv4.
        v4: bool,
    },
    /// Something else of a name.
    Other {
        /// The name.
        name: String,
    },
    /// The name of an address.
    Name(IpAddr),
}

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// These addresses, perhaps none.
    Addresses(Vec<IpAddr>),
    /// This name.
    Name(String),
}

impl Question {
    /// Reads a message. Nothing if it is none that asks one plain question.
    pub fn read(message: &[u8]) -> Option<Question> {
        let word = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
        let (id, flags, questions) = (word(0)?, word(2)?, word(4)?);
        if flags & (flag::RESPONSE | flag::OPCODE) != 0 || questions != 1 {
            return None;
        }
        let (name, end) = read_name(message)?;
        let (kind, class) = (word(end)?, word(end + 2)?);
        if class != CLASS_INTERNET {
            return None;
        }
        let about = match kind {
            TYPE_A | TYPE_AAAA => About::Addresses { name, v4: kind == TYPE_A },
            TYPE_PTR => About::Name(reversed(&name)?),
            _ => About::Other { name },
        };
        Some(Question { id, flags, bytes: message[HEADER..end + 4].to_vec(), about })
    }

    /// The answer that says this, cut for UDP if that is how it goes.
    pub fn answer(&self, records: &Records, by_udp: bool) -> Vec<u8> {
        let records = match records {
            Records::Addresses(addresses) => addresses.iter().map(address_record).collect(),
            Records::Name(name) => vec![record(TYPE_PTR, &written_name(name))],
        };
        let length = HEADER + self.bytes.len() + records.iter().map(Vec::len).sum::<usize>();
        if by_udp && length > UDP_MAX {
            return self.message(flag::AUTHORITATIVE | flag::TRUNCATED, &[]);
        }
        self.message(flag::AUTHORITATIVE, &records)
    }

    /// The answer that nobody knows, for now.
    pub fn failure(&self) -> Vec<u8> {
        self.message(flag::SERVER_FAILURE, &[])
    }

    fn message(&self, flags: u16, records: &[Vec<u8>]) -> Vec<u8> {
        let asked = self.flags & flag::RECURSION_DESIRED;
        let flags = flag::RESPONSE | flag::RECURSION_AVAILABLE | asked | flags;
        let counts = [self.id, flags, 1, u16::try_from(records.len()).unwrap_or(u16::MAX), 0, 0];
        let mut message = counts.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
        message.extend(&self.bytes);
        message.extend(records.iter().flatten());
        message
    }
}

/// The name after the header, and where it ends. A question's name has no pointers.
fn read_name(message: &[u8]) -> Option<(String, usize)> {
    const LABEL_MAX: usize = 63;
    const NAME_MAX: usize = 255;
    let mut name = String::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if length > LABEL_MAX || at - HEADER + length > NAME_MAX {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&std::str::from_utf8(message.get(at..at + length)?).ok()?.to_ascii_lowercase());
        at += length;
    }
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(numbers) = name.strip_suffix(".in-addr.arpa") {
        let forward = numbers.rsplit('.').collect::<Vec<_>>().join(".");
        return forward.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    }
    let digits = name.strip_suffix(".ip6.arpa")?.rsplit('.').collect::<Vec<_>>();
    let is_whole = digits.len() == 32 && digits.iter().all(|digit| digit.len() == 1);
    let bits = u128::from_str_radix(&digits.concat(), 16).ok();
    bits.filter(|_| is_whole).map(|bits| Ipv6Addr::from(bits).into())
}

fn address_record(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => record(TYPE_A, &address.octets()),
        IpAddr::V6(address) => record(TYPE_AAAA, &address.octets()),
    }
}

/// A record about the question's name, which is right behind the header.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    const QUESTIONS_NAME: u16 = 0xc000 | HEADER as u16;
    let mut record = Vec::with_capacity(12 + data.len());
    record.extend(QUESTIONS_NAME.to_be_bytes());
    record.extend(kind.to_be_bytes());
    record.extend(CLASS_INTERNET.to_be_bytes());
    record.extend(TTL_SECONDS.to_be_bytes());
    record.extend(u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
    record.extend(data);
    record
}

fn written_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty() && label.len() < 64);
    let mut written = Vec::new();
    for label in labels {
        written.push(label.len() as u8);
        written.extend(label.as_bytes());
    }
    written.push(0);
    written
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A question as resolvers send it.
    pub fn asked(name: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(written_name(name));
        message.extend([(kind >> 8) as u8, kind as u8, 0, 1]);
        message
    }

    fn about(name: &str, kind: u16) -> Option<About> {
        Question::read(&asked(name, kind)).map(|question| question.about)
    }

    #[test]
    fn questions_are_told_apart() {
        assert_eq!(about("Web.App", 1), Some(About::Addresses { name: "web.app".into(), v4: true }));
        assert_eq!(about("web", 28), Some(About::Addresses { name: "web".into(), v4: false }));
        assert_eq!(about("web", 65), Some(About::Other { name: "web".into() }));
        assert_eq!(about("2.0.72.10.in-addr.arpa", 12), Some(About::Name("10.72.0.2".parse().unwrap())));
        let v6 = "2".to_owned() + &".0".repeat(29) + ".d.f.ip6.arpa";
        assert_eq!(about(&v6, 12), Some(About::Name("fd00::2".parse().unwrap())));
        assert_eq!(about("web.in-addr.arpa", 12), None);
    }

    #[test]
    fn an_answer_repeats_the_question_and_names_it_by_pointer() {
        let question = Question::read(&asked("web", 1)).unwrap();
        let answer = question.answer(&Records::Addresses(vec!["10.72.0.2".parse().unwrap()]), true);
        let expected = [
            &[0x12, 0x34, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0][..],
            &[3, b'w', b'e', b'b', 0, 0, 1, 0, 1],
            &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 10, 0, 4, 10, 72, 0, 2],
        ];
        assert_eq!(answer, expected.concat());
    }

    #[test]
    fn a_known_name_without_such_an_address_is_no_error() {
        let answer = Question::read(&asked("web", 28)).unwrap().answer(&Records::Addresses(Vec::new()), true);
        assert_eq!(answer[2..8], [0x85, 0x80, 0, 1, 0, 0], "NOERROR, and no answers");
    }

    #[test]
    fn what_is_too_long_for_udp_is_asked_again_by_tcp() {
        let question = Question::read(&asked("web", 1)).unwrap();
        let many = Records::Addresses((0..100).map(|last| IpAddr::from([10, 72, 0, last])).collect());
        let answer = question.answer(&many, true);
        assert_eq!((answer[2] & 2, answer.len()), (2, 21));
        assert_eq!(question.answer(&many, false)[6..8], [0, 100]);
    }

    #[test]
    fn a_name_is_answered_for_an_address() {
        let question = Question::read(&asked("2.0.72.10.in-addr.arpa", 12)).unwrap();
        let answer = question.answer(&Records::Name("web-1.app".into()), true);
        assert!(answer.ends_with(b"\x00\x0b\x05web-1\x03app\x00"), "{answer:?}");
    }

    #[test]
    fn answers_other_operations_and_torn_messages_are_no_questions() {
        let question = asked("web", 1);
        for (byte, value) in [(2, 0x80), (2, 0x28), (5, 2), (20, 3), (12, 0xc0)] {
            let mut message = question.clone();
            message[byte] = value;
            assert_eq!(Question::read(&message), None, "byte {byte}");
        }
        (0..question.len()).for_each(|length| assert_eq!(Question::read(&question[..length]), None));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_fatal(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Some(question) = Question::read(&message) {
                question.answer(&Records::Addresses(Vec::new()), true);
            }
        }
    }
}

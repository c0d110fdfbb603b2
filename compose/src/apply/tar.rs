//! A tar archive that is looked at while it is copied, so that no image is made of half a one.

use std::io::{Error, Read, Result};

/// How long a member's header is. Its data fill blocks of this length, too.
const BLOCK_BYTES: usize = 512;
/// How long the records before a member may be.
const RECORDS_BYTES_MAX: u64 = 1 << 20;
/// Where a header has the member's size in bytes, the sum of its own bytes, and the member's kind.
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
/// Where a header of a file with holes, and a block of more holes, tell that another such block follows.
const MORE_HOLES_OF_HEADER: usize = 482;
const MORE_HOLES_OF_BLOCK: usize = 504;

/// Gives the bytes of an archive as they are.
///
/// Errors, as of one who reads: no archive; a header that isn't one; an end inside a member.
pub struct Tar<R> {
    from: R,
    part: Part,
    /// Whether a header was read.
    has_begun: bool,
    /// The size of the next member in bytes, where records before it tell one: of what a header has no room for.
    size: Option<u64>,
}

/// What comes next.
enum Part {
    /// A header, as far as it is read.
    Header(Vec<u8>),
    /// Blocks of more holes, and then the data: the block as far as it is read, and the bytes of the data.
    Holes(Vec<u8>, u64),
    /// Data: the bytes that are missing, with those that fill the last block.
    Data(u64),
    /// Records of the next member: as far as they are read, their bytes, and the bytes that are missing.
    Records(Vec<u8>, u64, u64),
    /// The second block of zeros, as far as it is read.
    Zeros(Vec<u8>),
    /// Whatever it is, it is not the archive's any more.
    End,
}

impl<R: Read> Tar<R> {
    pub fn new(from: R) -> Tar<R> {
        Tar { from, part: Part::Header(Vec::new()), has_begun: false, size: None }
    }

    /// Looks at some bytes.
    fn see(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            bytes = match &mut self.part {
                Part::Header(block) | Part::Holes(block, _) | Part::Zeros(block) => fill(block, bytes),
                Part::Data(missing) => skip(missing, bytes),
                Part::Records(read, _, missing) => {
                    let rest = skip(missing, bytes);
                    read.extend_from_slice(&bytes[..bytes.len() - rest.len()]);
                    rest
                }
                Part::End => return Ok(()),
            };
            self.go_on()?;
        }
        Ok(())
    }

    /// Goes on to the next part, if this one is whole.
    fn go_on(&mut self) -> Result<()> {
        let next = match &self.part {
            Part::Header(block) if is_whole(block) => {
                let block = block.clone();
                self.behind_header(&block)?
            }
            Part::Holes(block, size) if is_whole(block) => behind_holes(block[MORE_HOLES_OF_BLOCK], *size),
            Part::Zeros(block) if is_whole(block) => {
                if block.iter().any(|byte| *byte != 0) {
                    return Err(self.no_header());
                }
                Part::End
            }
            Part::Records(read, size, 0) => {
                let records = &read[..usize::try_from(*size).unwrap_or_default()];
                self.size = size_of_records(records).or(self.size);
                Part::Header(Vec::new())
            }
            Part::Data(0) => Part::Header(Vec::new()),
            _ => return Ok(()),
        };
        self.part = next;
        Ok(())
    }

    fn behind_header(&mut self, block: &[u8]) -> Result<Part> {
        if block.iter().all(|byte| *byte == 0) {
            self.has_begun = true;
            return Ok(Part::Zeros(Vec::new()));
        }
        let size = number(&block[SIZE]).filter(|_| has_checksum(block)).ok_or_else(|| self.no_header())?;
        self.has_begun = true;
        let kind = block[KIND];
        Ok(match kind {
            b'x' if size > RECORDS_BYTES_MAX => return Err(self.no_header()),
            b'x' if size > 0 => Part::Records(Vec::new(), size, padded(size)),
            // Of the archive as a whole, or the long name of what follows.
            b'g' | b'L' | b'K' | b'x' => behind_holes(0, size),
            kind => {
                let size = self.size.take().unwrap_or(size);
                // Links, devices, directories and pipes have no data, whatever is said.
                let size = if (b'1'..=b'6').contains(&kind) { 0 } else { size };
                let has_more = if kind == b'S' { block[MORE_HOLES_OF_HEADER] } else { 0 };
                behind_holes(has_more, size)
            }
        })
    }

    fn no_header(&self) -> Error {
        Error::other(if self.has_begun { "invalid tar header" } else { "not a tar archive" })
    }

    /// Whether the archive may end here.
    fn ended(&self) -> Result<()> {
        let at_boundary = match &self.part {
            Part::Header(block) => block.is_empty() && self.size.is_none(),
            Part::Zeros(block) => block.is_empty(),
            Part::End => true,
            Part::Holes(..) | Part::Data(_) | Part::Records(..) => false,
        };
        match (self.has_begun, at_boundary) {
            (true, true) => Ok(()),
            (true, false) => Err(Error::other("unexpected EOF")),
            (false, _) => Err(self.no_header()),
        }
    }
}

impl<R: Read> Read for Tar<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let length = self.from.read(into)?;
        if length == 0 && !into.is_empty() {
            self.ended()?;
        }
        self.see(&into[..length])?;
        Ok(length)
    }
}

/// Puts what a block is missing into it, and gives the rest.
fn fill<'a>(block: &mut Vec<u8>, bytes: &'a [u8]) -> &'a [u8] {
    let (these, rest) = bytes.split_at(bytes.len().min(BLOCK_BYTES - block.len()));
    block.extend_from_slice(these);
    rest
}

/// Gives what is behind the bytes that are missing.
fn skip<'a>(missing: &mut u64, bytes: &'a [u8]) -> &'a [u8] {
    let length = usize::try_from(*missing).map_or(bytes.len(), |missing| missing.min(bytes.len()));
    *missing -= length as u64;
    &bytes[length..]
}

fn is_whole(block: &[u8]) -> bool {
    block.len() == BLOCK_BYTES
}

fn behind_holes(has_more: u8, size: u64) -> Part {
    match (has_more, size) {
        (0, 0) => Part::Header(Vec::new()),
        (0, size) => Part::Data(padded(size)),
        (_, size) => Part::Holes(Vec::new(), size),
    }
}

/// The size of whole blocks.
fn padded(size: u64) -> u64 {
    size.checked_next_multiple_of(BLOCK_BYTES as u64).unwrap_or(u64::MAX)
}

/// Whether a header's bytes have the sum that it tells. Old programs have taken the bytes as signed.
fn has_checksum(block: &[u8]) -> bool {
    let byte = |(at, byte): (usize, &u8)| if CHECKSUM.contains(&at) { b' ' } else { *byte };
    let bytes = || block.iter().enumerate().map(byte);
    let unsigned: i64 = bytes().map(i64::from).sum();
    let signed: i64 = bytes().map(|byte| i64::from(byte as i8)).sum();
    let told = number(&block[CHECKSUM]).and_then(|told| i64::try_from(told).ok());
    told.is_some_and(|told| told == unsigned || told == signed)
}

/// A header's number: octal digits, or big-endian bytes if the first bit is set. None: it is no number, or less than 0.
fn number(field: &[u8]) -> Option<u64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        let bytes = std::iter::once(first & 0x7f).chain(field[1..].iter().copied());
        return bytes.into_iter().try_fold(0_u64, |sum, byte| sum.checked_mul(256)?.checked_add(byte.into()));
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches([' ', '\0']);
    let digits = digits.split('\0').next().unwrap_or_default();
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// The member's size in bytes that records `LENGTH KEY=VALUE` tell.
fn size_of_records(mut records: &[u8]) -> Option<u64> {
    let mut size = None;
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
        let record = records.get(space + 1..length)?;
        if let Some(value) = record.strip_prefix(b"size=") {
            size = std::str::from_utf8(value).ok()?.trim_end().parse().ok();
        }
        records = &records[length..];
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> std::result::Result<usize, String> {
        let mut tar = Tar::new(bytes);
        let mut all = Vec::new();
        tar.read_to_end(&mut all).map(|_| all.len()).map_err(|err| err.to_string())
    }

    fn header(kind: u8, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_path("a").expect("a path");
        header.set_size(size);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    #[test]
    fn whole_archives_are_read_and_others_are_none() {
        let mut whole = [header(b'0', 700), vec![b'x'; 1024], header(b'5', 0)].concat();
        assert_eq!(read(&whole), Ok(2048), "without zeros at the end");
        whole.extend([0; 1024]);
        assert_eq!(read(&whole), Ok(3072));
        whole.extend(b"whatever follows");
        assert_eq!(read(&whole), Ok(3088));
        assert_eq!(read(&[0; 2000]), Ok(2000), "an archive without files");
        for end in [600, 1500, 1537, 2048 + 513] {
            assert_eq!(read(&whole[..end]), Err("unexpected EOF".to_owned()), "{end}");
        }
        let mut wrong = whole.clone();
        wrong[1540] = b'!';
        assert_eq!(read(&wrong), Err("invalid tar header".to_owned()));
        for none in [&b""[..], b"text", &[b'x'; 2000], &[0; 511]] {
            assert_eq!(read(none), Err("not a tar archive".to_owned()));
        }
    }

    #[test]
    fn old_headers_and_large_sizes_are_known() {
        let mut old = tar::Header::new_old();
        old.set_path("a").expect("a path");
        old.set_size(0);
        old.set_cksum();
        assert_eq!(read(old.as_bytes()), Ok(512));
        let mut records = b"13 size=1000\n".to_vec();
        records.resize(512, 0);
        let member = [header(b'x', 13), records, header(b'0', 0)].concat();
        assert_eq!(read(&[member.clone(), vec![b'x'; 1024]].concat()), Ok(2560));
        assert_eq!(read(&[member, vec![b'x'; 512]].concat()), Err("unexpected EOF".to_owned()));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Some(1 << 33));
        let link = [header(b'2', 5), header(b'0', 0)].concat();
        assert_eq!(read(&link), Ok(1024), "a link has no data");
        let mut sparse = header(b'S', 1);
        sparse[482] = 1;
        let mut header = tar::Header::from_byte_slice(&sparse).clone();
        header.set_cksum();
        assert_eq!(read(&[header.as_bytes().to_vec(), vec![0; 1024]].concat()), Ok(1536));
    }
}

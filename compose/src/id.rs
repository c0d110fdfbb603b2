//! Ids of containers, as Docker makes them: 64 hexadecimal digits, of which people type the first few.

use std::fs::File;
use std::io::Read;

use crate::error::{Context, Result};

/// Digits of an id as it is shown.
const SHORT: usize = 12;

/// An id that nobody has.
pub fn random() -> Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).at("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether it is an id with all its digits.
pub fn is_whole(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The first digits of an id.
pub fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}

//! Names of containers.

use crate::error::{Error, Result};
use crate::id;

/// Words for those who choose no name.
const FIRST: [&str; 32] = [
    "amber", "brisk", "calm", "clever", "crisp", "dapper", "eager", "early", "fair", "gentle", "golden",
    "happy", "humble", "jolly", "keen", "light", "lively", "lucid", "merry", "mild", "nimble", "patient",
    "proud", "quiet", "rapid", "rosy", "sharp", "silver", "sunny", "swift", "tidy", "witty",
];
const SECOND: [&str; 32] = [
    "alder", "aspen", "beech", "birch", "cedar", "cherry", "cypress", "ebony", "elder", "elm", "fig", "fir",
    "hazel", "hickory", "holly", "juniper", "larch", "laurel", "lime", "linden", "maple", "oak", "olive",
    "pear", "pine", "plum", "poplar", "rowan", "spruce", "sumac", "walnut", "willow",
];

/// A name that is probably free.
pub fn random() -> Result<String> {
    let random = id::random()?;
    let number = |digits: &str| usize::from_str_radix(digits, 16).unwrap_or_default();
    let (first, second) =
        (FIRST[number(&random[..2]) % FIRST.len()], SECOND[number(&random[2..4]) % SECOND.len()]);
    Ok(format!("{first}_{second}_{}", &random[4..8]))
}

/// Errors: what is no name, in Docker's words.
pub fn check(name: &str) -> Result<()> {
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    let is_name = name.len() > 1
        && name.starts_with(is_letter)
        && name.chars().all(|c| is_letter(c) || "_.-".contains(c));
    let why = "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
    if is_name { Ok(()) } else { Err(Error::new(format!("Invalid container name ({name}), {why}"))) }
}

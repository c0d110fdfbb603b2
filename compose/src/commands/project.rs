//! The project that a command is for.

use crate::error::{Error, Result, tell};
use crate::input;
use crate::model::load::{Files, Loaded, load};
use crate::model::request::Request;
use std::io;
use std::path::Path;

/// The files of the disk, and standard input as `-`.
struct OnDisk;

impl Files for OnDisk {
    fn read(&self, file: &Path) -> io::Result<String> {
        if file == Path::new("-") { input::text_of_stdin() } else { input::text(file) }
    }
}

/// Loads the project for a command that only looks at it, and tells the user what to know of it.
pub fn look_at(request: &Request) -> Result<Loaded> {
    let loaded = load(&OnDisk, request)?;
    loaded.warnings.iter().for_each(|warning| tell(format_args!("warning: {warning}")));
    Ok(loaded)
}

/// Loads the project for a command that makes all of it, and tells the user what isn't made.
///
/// Errors: what the project asks for and can't be had.
pub fn to_carry_out(request: &Request) -> Result<Loaded> {
    let loaded = to_run(request)?;
    loaded.left_alone.iter().for_each(|warning| tell(format_args!("warning: {warning}")));
    Ok(loaded)
}

/// Loads the project for a command that does something with what is made of it.
///
/// Errors: what the project asks for and can't be had.
pub fn to_run(request: &Request) -> Result<Loaded> {
    let loaded = look_at(request)?;
    // A line each.
    match loaded.refusals.split_last() {
        None => Ok(loaded),
        Some((last, others)) => {
            others.iter().for_each(tell);
            Err(Error::new(last))
        }
    }
}

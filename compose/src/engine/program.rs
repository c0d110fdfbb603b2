//! What a runtime says of a program that it could not start.

use crate::error::Error;

/// The exit code of a program that may not be run.
const NOT_EXECUTABLE: u8 = 126;
/// The exit code of a program that isn't there.
const NOT_FOUND: u8 = 127;

/// Docker's exit code, if it is the program's fault.
pub fn code_of_program(err: &Error) -> Option<u8> {
    let said = err.to_string();
    let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    if has(&["executable file not found", "no such file or directory"]) {
        Some(NOT_FOUND)
    } else if has(&["permission denied", "is a directory", "exec format error"]) {
        Some(NOT_EXECUTABLE)
    } else {
        None
    }
}

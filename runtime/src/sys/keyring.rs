//! Session keyrings (keyctl(2)).

use super::{c_string, check};
use crate::error::Result;

/// `keyctl(KEYCTL_JOIN_SESSION_KEYRING, name)`: joins or makes the session keyring of that name; returns its serial.
///
/// Errors: ENOSYS without CONFIG_KEYS; EDQUOT past the user's quota.
pub fn join_session_keyring(name: &str) -> Result<i32> {
    let name_c = c_string(name)?;
    // SAFETY: the kernel reads the NUL-terminated name during the call and keeps a copy.
    let ret = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING as libc::c_int, name_c.as_ptr())
    };
    check(ret, || format!("keyctl(JOIN_SESSION_KEYRING, {name:?})")).map(|serial| serial as i32)
}

/// Lets the keyring's owner search it by uid: adds `permissions` to those it has.
pub fn add_permissions(serial: i32, permissions: u32) -> Result<()> {
    let described = describe(serial)?;
    let present = described.split(';').nth(3).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0);
    // SAFETY: takes integers only.
    let ret = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM as libc::c_int, serial, present | permissions)
    };
    check(ret, || "keyctl(SETPERM)".into()).map(drop)
}

fn describe(serial: i32) -> Result<String> {
    let mut buffer = [0_u8; 512];
    // SAFETY: the kernel writes at most `len` bytes into the buffer, which outlives the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_DESCRIBE as libc::c_int,
            serial,
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    };
    let len = check(ret, || "keyctl(DESCRIBE)".into())? as usize;
    Ok(String::from_utf8_lossy(&buffer[..len.min(buffer.len())]).into_owned())
}

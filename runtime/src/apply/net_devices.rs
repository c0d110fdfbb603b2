//! Moves network devices from the caller's network namespace into the container's.
//!
//! The kernel takes a device down when it is moved, and removes its addresses. All else of the device moves along.

use std::os::fd::OwnedFd;

use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::{NUMBER, NetDevice};
use crate::sys::namespace;
use crate::sys::netlink::Devices;
use crate::sys::process::SingleThreaded;

/// Moves the devices into the namespace, gives them the addresses that they had, and brings them up.
///
/// Nothing moves a device back: its new namespace owns it. When that namespace ends, the kernel moves a physical device
/// to the initial one.
pub fn move_into(alone: &SingleThreaded, namespace: &OwnedFd, devices: &[NetDevice]) -> Result<()> {
    let here = Devices::open()?;
    let there = namespace::in_network_of(alone, namespace, Devices::open)?;
    for device in devices {
        move_one(device, namespace, &here, &there).doing_with(|| format!("move {}", device.name))?;
    }
    Ok(())
}

fn move_one(device: &NetDevice, namespace: &OwnedFd, here: &Devices, there: &Devices) -> Result<()> {
    let Some(index) = here.find(&device.name)? else {
        return Err(Error::kernel("there is no such network device", Errno::ENODEV));
    };
    let name = free_name(&device.inside, there)?;
    let addresses = here.lasting_addresses(index)?;
    here.move_to(index, namespace, &name)?;
    // The device may have another number in its new namespace.
    let moved = there.find(&name)?.ok_or_else(|| Error::internal(format!("{name} has not arrived")))?;
    addresses.iter().try_for_each(|address| there.add_address(moved, address))?;
    there.bring_up(moved)
}

/// A name that no device of the container has: `wanted` itself or, if it contains [`NUMBER`], `wanted` with the lowest
/// number that is free.
///
/// Looked up first, because the kernel would move the device before it sees that the name is taken.
fn free_name(wanted: &str, there: &Devices) -> Result<String> {
    const NUMBERS_MAX: u32 = 1 << 15;
    if !wanted.contains(NUMBER) {
        return match there.find(wanted)? {
            None => Ok(wanted.to_owned()),
            Some(_) => Err(taken(wanted)),
        };
    }
    for number in 0..NUMBERS_MAX {
        let name = wanted.replace(NUMBER, &number.to_string());
        if there.find(&name)?.is_none() {
            return Ok(name);
        }
    }
    Err(taken(wanted))
}

fn taken(name: &str) -> Error {
    Error::new(Kind::AlreadyExists, format!("the network namespace has a device {name} already"))
}

//! Moves network devices from the caller's network namespace into the container's.
//!
//! The kernel takes a device down when it is moved, and removes its addresses. All else of the device moves along.

use std::os::fd::OwnedFd;

use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::{NUMBER, NetDevice};
use crate::sys::namespace;
use crate::sys::netlink::{Device, Devices};
use crate::sys::process::SingleThreaded;

/// Moves the devices into the namespace, gives them the addresses that they had, and brings them up.
///
/// Nothing moves a device back: its new namespace owns it. When that namespace ends, the kernel moves a physical device
/// to the initial one, and removes a virtual device. So none is moved before all are found, and have free names.
pub fn move_into(alone: &SingleThreaded, namespace: &OwnedFd, devices: &[NetDevice]) -> Result<()> {
    let here = Devices::open()?;
    let there = namespace::in_network_of(alone, namespace, Devices::open)?;
    let doing = |device: &NetDevice| format!("move {}", device.name);
    let mut moves = Vec::with_capacity(devices.len());
    for device in devices {
        let planned = Move::of(device, &here, &there, &moves).doing_with(|| doing(device))?;
        moves.push(planned);
    }
    let mut all = devices.iter().zip(&moves);
    all.try_for_each(|(device, planned)| {
        planned.perform(namespace, &here, &there).doing_with(|| doing(device))
    })
}

/// A device of the caller's, and what it will be called.
struct Move {
    device: Device,
    name: String,
}

impl Move {
    fn of(asked: &NetDevice, here: &Devices, there: &Devices, others: &[Move]) -> Result<Move> {
        let Some(device) = here.find(&asked.name)? else {
            return Err(Error::kernel("there is no such network device", Errno::ENODEV));
        };
        if others.iter().any(|other| other.device.index == device.index) {
            let text = format!("the device {} is listed by another name of its own too", device.name);
            return Err(Error::invalid(text));
        }
        let name = free_name(asked, |name| {
            // The device takes its alternative names along, and can't be called by one of them.
            let found = here.find(name)?.filter(|found| found.index == device.index);
            let is_alternative = found.is_some_and(|found| found.name != name);
            let is_planned = others.iter().any(|other| other.name == name);
            Ok(!is_alternative && !is_planned && there.find(name)?.is_none())
        })?;
        Ok(Move { device, name })
    }

    fn perform(&self, namespace: &OwnedFd, here: &Devices, there: &Devices) -> Result<()> {
        let Move { device, name } = self;
        let addresses = here.lasting_addresses(device.index)?;
        here.move_to(device.index, namespace, name)?;
        // The device may have another number in its new namespace.
        let moved = there.find(name)?.ok_or_else(|| Error::internal(format!("{name} has not arrived")))?;
        addresses.iter().try_for_each(|address| there.add_address(moved.index, address))?;
        there.bring_up(moved.index)
    }
}

/// The name, if it is free; with the first number that makes it so, where it wants one.
///
/// The kernel would move the device before it sees that the name is taken.
fn free_name(asked: &NetDevice, is_free: impl Fn(&str) -> Result<bool>) -> Result<String> {
    const NUMBERS_MAX: u32 = 1 << 15;
    let wanted = &asked.inside;
    if !asked.is_numbered() {
        return if is_free(wanted)? { Ok(wanted.clone()) } else { Err(taken(wanted)) };
    }
    for number in 0..NUMBERS_MAX {
        let name = wanted.replace(NUMBER, &number.to_string());
        if is_free(&name)? {
            return Ok(name);
        }
    }
    Err(taken(wanted))
}

fn taken(name: &str) -> Error {
    Error::new(Kind::AlreadyExists, format!("the name {name} is taken already"))
}

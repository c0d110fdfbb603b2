//! Restricts a cgroup to the devices of a policy.

use std::os::fd::{AsFd, OwnedFd};

use crate::error::{Context, Errno, Result};
use crate::plan::cgroup::devices::Policy;
use crate::sys::bpf;
use crate::sys::cgroupfs::Dir;

/// v1: writes the policy's lines. The first line forbids or allows everything, so no process of the cgroup may be
/// about to use a device.
pub(super) fn restrict_v1(dir: &Dir, policy: &Policy) -> Result<()> {
    let (mut allow, mut deny) = (None, None);
    for line in policy.v1_lines() {
        let (file, name) =
            if line.allow { (&mut allow, "devices.allow") } else { (&mut deny, "devices.deny") };
        if file.is_none() {
            *file = Some(dir.open_to_write(name)?);
        }
        if let Some(file) = file {
            file.write(&line.text).doing_with(|| format!("{} {}", verb(line.allow), line.text))?;
        }
    }
    Ok(())
}

fn verb(allow: bool) -> &'static str {
    if allow { "allow" } else { "deny" }
}

/// v2: loads the policy as an eBPF program; no program if the policy allows everything.
pub(super) fn load(policy: &Policy) -> Result<Option<OwnedFd>> {
    if policy.allows_everything() {
        return Ok(None);
    }
    bpf::load_device_program(&policy.program()).map(Some)
}

/// v2: attaches the program, if there is one, and detaches the programs that the cgroup has from before.
pub(super) fn restrict_v2(dir: &Dir, program: Option<&OwnedFd>, is_new: bool) -> Result<()> {
    let old = if is_new { Vec::new() } else { attached(dir)? };
    match (program, &old[..]) {
        (Some(program), [old]) => bpf::replace_device_program(dir.as_fd(), program.as_fd(), old.as_fd()),
        (program, old) => {
            // All attached programs have to allow an access, so nothing slips through if the new program is attached
            // first.
            if let Some(program) = program {
                bpf::attach_device_program(dir.as_fd(), program.as_fd())?;
            }
            old.iter().try_for_each(|old| bpf::detach_device_program(dir.as_fd(), old.as_fd()))
        }
    }
}

fn attached(dir: &Dir) -> Result<Vec<OwnedFd>> {
    let mut programs = Vec::new();
    for id in bpf::device_program_ids(dir.as_fd())? {
        match bpf::program_by_id(id) {
            // An LSM may hide a program from us. The hidden program stays attached, and can only forbid more.
            Err(err) if err.is(Errno::EPERM) || err.is(Errno::EACCES) => {}
            Err(err) if err.is(Errno::ENOENT) => {}
            program => programs.push(program?),
        }
    }
    Ok(programs)
}

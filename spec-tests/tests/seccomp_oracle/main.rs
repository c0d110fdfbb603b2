//! Corten's seccomp filters against libseccomp's, as runc uses it, and against `seccompiler`'s.
//!
//! Both programs run in an interpreter over all numbers of system calls and over the arguments at which a
//! verdict can change. See `inputs` for what is tried and `reference` for what is expected.

mod enosys;
mod fixed;
mod inputs;
mod kernel;
mod model;
mod random;
mod reference;
mod seccompiler;
mod speed;
mod tables;

use corten::internals::plan::seccomp::{Disassembly, Filter, compile};
use oci_spec::runtime::{Arch, LinuxSeccomp};
use spec_tests::bpf::{Instruction, Program};

/// The profile that Docker 28.5 writes for a container without extra capabilities.
fn docker_default() -> LinuxSeccomp {
    profile(include_str!("../../data/seccomp/docker-28.5-default.json"))
}

fn profile(json: &str) -> LinuxSeccomp {
    serde_json::from_str(json).expect("a profile")
}

/// Our program for `profile`, in the interpreter's terms.
fn ours(profile: &LinuxSeccomp, native: Arch) -> Program {
    program(&compile(profile, native).expect("a filter"))
}

fn program(filter: &Filter) -> Program {
    let instructions =
        filter.program.iter().map(|i| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k });
    Program::verified(instructions.collect())
        .unwrap_or_else(|why| panic!("the kernel would refuse it: {why}\n{}", Disassembly(&filter.program)))
}

/// Fails at the first input for which our filter and the reference differ.
fn assert_equal_to_reference(profile: &LinuxSeccomp, native: Arch) {
    let reference = reference::Reference::new(profile, native).expect("libseccomp takes the profile");
    let filter = compile(profile, native).expect("a filter");
    if let Some(difference) = difference(profile, native, &filter, &reference) {
        panic!("{difference}\n{}", Disassembly(&filter.program));
    }
}

/// The first input for which our filter and the reference differ.
fn difference(
    profile: &LinuxSeccomp,
    native: Arch,
    filter: &Filter,
    reference: &reference::Reference,
) -> Option<String> {
    let ours = program(filter);
    inputs::all(profile, native).find_map(|data| {
        let (got, expected) = (ours.run(&data).verdict, reference.verdict(&data));
        (got != expected).then(|| format!("{data}: got {got:#x}, expected {expected:#x}"))
    })
}

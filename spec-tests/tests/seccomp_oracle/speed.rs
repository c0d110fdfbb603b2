//! How long it takes to compile Docker's default profile, and how long the programs are, on the path of frequent
//! calls and in all. Only the numbers of instructions are asserted: time is for `cargo test --release` to print.

use std::time::{Duration, Instant};

use corten::internals::plan::seccomp::{Abi, Syscall, compile, describe};
use oci_spec::runtime::Arch;
use spec_tests::bpf::{Program, SeccompData};

use super::fixed::comparable;
use super::reference::Reference;
use super::{docker_default, program};

const MACHINE: Arch = Arch::ScmpArchX86_64;

#[test]
fn docker_default_compiles_fast_and_runs_short() {
    let profile = comparable(&docker_default());
    let filter = compile(&profile, MACHINE).expect("a filter");
    let theirs = Reference::new(&profile, MACHINE).expect("a filter").program;
    let ours = program(&filter);

    println!("{}", describe(&profile, &filter));
    let our_time = fastest(200, || drop(compile(&profile, MACHINE)));
    let their_time = fastest(5, || drop(Reference::new(&profile, MACHINE)));
    println!("compile: corten {our_time:?}, libseccomp {their_time:?}");
    println!(
        "mean of what is allowed: corten {:.1}, libseccomp {:.1}",
        mean_steps(&ours),
        mean_steps(&theirs)
    );
    println!("length: corten {}, libseccomp {}", ours.instructions().len(), theirs.instructions().len());
    for name in [
        "read",
        "write",
        "openat",
        "close",
        "futex",
        "mmap",
        "clone",
        "socket",
        "epoll_wait",
        "clock_gettime",
    ] {
        let (ours, theirs) = (steps(&ours, name), steps(&theirs, name));
        println!("{name}: corten {ours}, libseccomp {theirs} and runc's test for newer calls");
        assert!(ours <= theirs, "{name} takes {ours} instructions, with libseccomp {theirs}");
    }
    if !cfg!(debug_assertions) {
        assert!(our_time < Duration::from_micros(100), "compiling took {our_time:?}");
    }
}

/// Instructions per call, over all calls that are allowed whatever their arguments.
fn mean_steps(program: &Program) -> f64 {
    let outcomes = (0..500)
        .map(|nr| program.run(&SeccompData { nr, arch: Abi::X86_64.audit_arch(), ..Default::default() }));
    let steps: Vec<_> =
        outcomes.filter(|outcome| outcome.verdict == 0x7fff_0000).map(|outcome| outcome.steps).collect();
    steps.iter().sum::<usize>() as f64 / steps.len() as f64
}

fn steps(program: &Program, name: &str) -> usize {
    let nr = Syscall::find(name).and_then(|syscall| syscall.number(Abi::X86_64)).expect("a call of x86_64");
    program.run(&SeccompData { nr, arch: Abi::X86_64.audit_arch(), ..Default::default() }).steps
}

/// The fastest of many runs: what else the machine does only ever adds.
fn fastest(runs: usize, mut run: impl FnMut()) -> Duration {
    let times = (0..runs).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

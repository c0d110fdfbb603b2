//! Calls that are newer than the profile get ENOSYS, so that programs fall back to older ones.

use corten::internals::plan::seccomp::{Abi, X32_BIT};
use oci_spec::runtime::Arch;
use spec_tests::bpf::SeccompData;

use super::{docker_default, ours, profile};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL_THREAD: u32 = 0;

#[test]
fn call_newer_than_docker_default_is_enosys_and_an_older_one_eperm() {
    let filter = ours(&docker_default(), Arch::ScmpArchX86_64);
    let verdict =
        |abi: Abi, nr| filter.run(&SeccompData { nr, arch: abi.audit_arch(), ..Default::default() }).verdict;
    for (abi, reboot, bit) in [(Abi::X86_64, 169, 0), (Abi::X86, 88, 0), (Abi::X32, 169, X32_BIT)] {
        assert_eq!(verdict(abi, bit | reboot), EPERM, "reboot on {abi:?}");
        for newer in [600, 1000, 10_000, 0x3fff_ffff] {
            assert_eq!(verdict(abi, bit | newer), ENOSYS, "{newer} on {abi:?}");
        }
    }
}

#[test]
fn boundary_is_the_largest_number_named() {
    let statx_332 = names("SCMP_ACT_ERRNO", r#""statx","read""#);
    assert_eq!(verdicts(&statx_332, &[331, 332, 333]), [EPERM, ALLOW, ENOSYS]);
}

#[test]
fn name_counts_even_if_its_rule_repeats_the_default() {
    let text = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ALLOW"},{"names":["statx"],"action":"SCMP_ACT_ERRNO"}]}"#;
    assert_eq!(verdicts(text, &[0, 331, 332, 333]), [ALLOW, EPERM, EPERM, ENOSYS]);
}

#[test]
fn unknown_name_does_not_count() {
    let text = names("SCMP_ACT_ERRNO", r#""read","write","no_such_call""#);
    assert_eq!(verdicts(&text, &[1, 2]), [ALLOW, ENOSYS]);
}

#[test]
fn profile_without_names_has_no_newer_calls() {
    assert_eq!(verdicts(&names("SCMP_ACT_ERRNO", ""), &[0, 1000]), [EPERM, EPERM]);
}

#[test]
fn default_that_refuses_otherwise_is_replaced_too() {
    for (default, value) in [("KILL", 0), ("KILL_PROCESS", 0x8000_0000), ("TRAP", 0x0003_0000)] {
        let text = names(&format!("SCMP_ACT_{default}"), r#""read","statx""#);
        assert_eq!(verdicts(&text, &[331, 333]), [value, ENOSYS], "{default}");
    }
}

#[test]
fn default_that_lets_calls_through_stands() {
    for (default, value) in [("ALLOW", ALLOW), ("LOG", 0x7ffc_0000), ("TRACE", 0x7ff0_0001)] {
        let text = names(&format!("SCMP_ACT_{default}"), r#""read","statx""#).replace("ALLOW\"}", "KILL\"}");
        assert_eq!(verdicts(&text, &[332, 333]), [KILL_THREAD, value], "{default}");
    }
}

#[test]
fn x32_has_its_own_boundary_and_is_refused_where_not_covered() {
    let text = names("SCMP_ACT_ERRNO", r#""read","execve""#);
    // execve is 59 on x86_64 and 520 on x32.
    let numbers = [59, 60, X32_BIT | 59, X32_BIT | 520, X32_BIT | 521, 1 << 31, u32::MAX];
    assert_eq!(
        verdicts(&text, &numbers),
        [ALLOW, ENOSYS, KILL_THREAD, KILL_THREAD, KILL_THREAD, ENOSYS, EPERM]
    );
    let with_x32 = text.replacen('{', r#"{"architectures":["SCMP_ARCH_X32"],"#, 1);
    assert_eq!(verdicts(&with_x32, &numbers), [ALLOW, ENOSYS, EPERM, ALLOW, ENOSYS, ENOSYS, ENOSYS]);
}

fn names(default: &str, names: &str) -> String {
    format!(r#"{{"defaultAction":"{default}","syscalls":[{{"names":[{names}],"action":"SCMP_ACT_ALLOW"}}]}}"#)
}

fn verdicts(text: &str, numbers: &[u32]) -> Vec<u32> {
    let filter = ours(&profile(text), Arch::ScmpArchX86_64);
    let verdict = |nr| filter.run(&SeccompData { nr, arch: 0xc000_003e, ..Default::default() }).verdict;
    numbers.iter().map(|nr| verdict(*nr)).collect()
}

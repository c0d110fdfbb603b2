//! Profiles that engines write, and one small profile for each thing that a profile can say.

use corten::internals::plan::seccomp::Abi;
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSyscall};
use spec_tests::bpf::SeccompData;

use super::tables::is_comparable;
use super::{assert_equal_to_reference, docker_default, ours, profile, reference};

const MACHINES: [Arch; 2] = [Arch::ScmpArchX86_64, Arch::ScmpArchAarch64];

#[test]
fn docker_default_equals_libseccomp() {
    let known = comparable(&docker_default());
    assert_equal_to_reference(&known, Arch::ScmpArchX86_64);
    let arm = Some(vec![Arch::ScmpArchAarch64, Arch::ScmpArchArm]);
    let mut on_arm = known.clone();
    on_arm.set_architectures(arm);
    assert_equal_to_reference(&on_arm, Arch::ScmpArchAarch64);
}

#[test]
fn each_choice_of_architectures_equals_libseccomp() {
    let docker = comparable(&docker_default());
    let x86_64 = Arch::ScmpArchX86_64;
    for architectures in [
        None,
        Some(vec![]),
        Some(vec![x86_64]),
        Some(vec![Arch::ScmpArchX86]),
        Some(vec![Arch::ScmpArchX32]),
        Some(vec![Arch::ScmpArchX32, x86_64]),
        Some(vec![Arch::ScmpArchX86, Arch::ScmpArchX32]),
        Some(vec![Arch::ScmpArchNative, Arch::ScmpArchS390x, Arch::ScmpArchMips]),
    ] {
        let mut profile = docker.clone();
        profile.set_architectures(architectures);
        assert_equal_to_reference(&profile, x86_64);
        assert_equal_to_reference(&profile, Arch::ScmpArchAarch64);
    }
}

#[test]
fn each_action_and_errno_equals_libseccomp() {
    let actions = ["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG", "NOTIFY"];
    for default in actions.into_iter().filter(|action| *action != "NOTIFY") {
        for action in actions {
            small(&format!("SCMP_ACT_{default}"), &rule("getpid", &format!("SCMP_ACT_{action}"), ""));
        }
    }
    for errno in [0, 1, 38, 4094] {
        small("SCMP_ACT_ALLOW", &rule("getpid", "SCMP_ACT_ERRNO", &format!(r#","errnoRet":{errno}"#)));
    }
    for errno in [0, 1, 38, 4096, 65535] {
        small("SCMP_ACT_ALLOW", &rule("getpid", "SCMP_ACT_TRACE", &format!(r#","errnoRet":{errno}"#)));
    }
}

#[test]
fn each_operator_equals_libseccomp() {
    let values = [0, 1, 5, 0x7e02_0000, 0xffff_ffff, 1 << 32, (1 << 32) + 5, u64::MAX - 1, u64::MAX];
    for op in ["NE", "LT", "LE", "EQ", "GE", "GT"] {
        for value in values {
            small("SCMP_ACT_ERRNO", &rule("clone", "SCMP_ACT_ALLOW", &args(&[(0, op, value, 0)])));
            small("SCMP_ACT_ALLOW", &rule("clone", "SCMP_ACT_ERRNO", &args(&[(5, op, value, 0)])));
        }
    }
    for mask in values {
        for value in values {
            small(
                "SCMP_ACT_ERRNO",
                &rule("clone", "SCMP_ACT_ALLOW", &args(&[(0, "MASKED_EQ", mask, value)])),
            );
        }
    }
}

#[test]
fn several_conditions_equal_libseccomp() {
    let both = args(&[(1, "GE", 7, 0), (0, "EQ", 3, 0)]);
    small("SCMP_ACT_ERRNO", &rule("ioctl", "SCMP_ACT_ALLOW", &both));
    let either = args(&[(1, "EQ", 7, 0), (1, "EQ", 9, 0), (0, "EQ", 3, 0)]);
    small("SCMP_ACT_ERRNO", &rule("ioctl", "SCMP_ACT_ALLOW", &either));
    let all = args(&[
        (0, "NE", 1, 0),
        (1, "LT", 2, 0),
        (2, "LE", 3, 0),
        (3, "EQ", 4, 0),
        (4, "GE", 5, 0),
        (5, "GT", 6, 0),
    ]);
    small("SCMP_ACT_ERRNO", &rule("ioctl", "SCMP_ACT_ALLOW", &all));
}

#[test]
fn several_rules_for_one_call_equal_libseccomp() {
    let with =
        |op, value, action: &str| rule("ioctl", &format!("SCMP_ACT_{action}"), &args(&[(1, op, value, 0)]));
    let always = |action: &str| rule("ioctl", &format!("SCMP_ACT_{action}"), "");
    for rules in [
        vec![with("EQ", 5, "ALLOW"), always("LOG")],
        vec![always("LOG"), with("EQ", 5, "ALLOW")],
        vec![always("LOG"), always("ALLOW")],
        vec![with("EQ", 5, "ALLOW"), with("GT", 3, "LOG")],
        vec![with("GT", 3, "LOG"), with("EQ", 5, "ALLOW")],
        vec![with("GT", 3, "LOG"), with("GT", 8, "ALLOW")],
        vec![with("GE", 8, "LOG"), with("GT", 3, "ALLOW")],
        vec![with("LT", 8, "LOG"), with("LT", 3, "ALLOW")],
        vec![with("LE", 3, "LOG"), with("LT", 9, "ALLOW")],
        vec![with("LT", 9, "LOG"), with("GT", 3, "ALLOW")],
        vec![with("NE", 9, "LOG"), with("EQ", 9, "ALLOW"), with("EQ", 4, "TRAP")],
        vec![with("EQ", 9, "ALLOW"), rule("ioctl", "SCMP_ACT_LOG", &args(&[(0, "EQ", 1, 0)]))],
        vec![rule("ioctl", "SCMP_ACT_LOG", &args(&[(0, "EQ", 1, 0)])), with("EQ", 9, "ALLOW")],
        vec![
            rule("ioctl", "SCMP_ACT_LOG", &args(&[(0, "EQ", 1, 0)])),
            rule("ioctl", "SCMP_ACT_TRAP", &args(&[(0, "EQ", 1, 0), (1, "EQ", 2, 0)])),
        ],
        vec![
            rule("ioctl", "SCMP_ACT_LOG", &args(&[(0, "MASKED_EQ", 0xf0, 0x10)])),
            rule("ioctl", "SCMP_ACT_TRAP", &args(&[(0, "EQ", 0x10, 0)])),
            rule("ioctl", "SCMP_ACT_ALLOW", &args(&[(0, "MASKED_EQ", 0xff0, 0x10)])),
        ],
    ] {
        small("SCMP_ACT_ERRNO", &rules.join(","));
    }
}

#[test]
fn multiplexers_equal_libseccomp() {
    for rules in [
        rule("socket", "SCMP_ACT_ALLOW", ""),
        rule("socketcall", "SCMP_ACT_ALLOW", ""),
        rule("socket", "SCMP_ACT_ALLOW", &args(&[(0, "NE", 40, 0)])),
        rule("socket", "SCMP_ACT_ALLOW", &args(&[(0, "EQ", 2, 0), (1, "EQ", 3, 0)])),
        [rule("accept", "SCMP_ACT_ALLOW", ""), rule("accept4", "SCMP_ACT_LOG", "")].join(","),
        [rule("recv", "SCMP_ACT_ALLOW", ""), rule("socketcall", "SCMP_ACT_LOG", "")].join(","),
        rule("semop", "SCMP_ACT_ALLOW", ""),
        [rule("shmctl", "SCMP_ACT_ALLOW", ""), rule("semtimedop", "SCMP_ACT_TRAP", "")].join(","),
        [rule("ipc", "SCMP_ACT_ALLOW", &args(&[(0, "GT", 10, 0)])), rule("msgget", "SCMP_ACT_TRAP", "")]
            .join(","),
    ] {
        // libseccomp up to 2.5.4 makes no valid tree for an architecture without any rule.
        let rules = [rules, rule("read", "SCMP_ACT_LOG", "")].join(",");
        small("SCMP_ACT_ERRNO", &rules);
        small("SCMP_ACT_ALLOW", &rules.replace("ACT_ALLOW", "ACT_ERRNO"));
    }
}

#[test]
fn rules_that_contradict_are_refused_where_libseccomp_refuses_them() {
    let same = [
        rule("ioctl", "SCMP_ACT_LOG", &args(&[(1, "EQ", 5, 0)])),
        rule("ioctl", "SCMP_ACT_ALLOW", &args(&[(1, "EQ", 5, 0)])),
    ];
    let more_general_later = [
        rule("ioctl", "SCMP_ACT_LOG", &args(&[(0, "EQ", 1, 0), (1, "EQ", 5, 0)])),
        rule("ioctl", "SCMP_ACT_ALLOW", &args(&[(0, "EQ", 1, 0)])),
    ];
    for rules in [same, more_general_later] {
        let profile = of("SCMP_ACT_ERRNO", &rules.join(","), r#""SCMP_ARCH_X86_64""#);
        assert!(reference::Reference::new(&profile, Arch::ScmpArchX86_64).is_err());
        let err =
            corten::internals::plan::seccomp::compile(&profile, Arch::ScmpArchX86_64).expect_err("refused");
        let expected =
            "linux.seccomp.syscalls[1]: ioctl: an earlier rule for the same arguments has another action";
        assert_eq!(err.to_string(), expected);
    }
}

#[test]
fn hundreds_of_argument_rules_equal_libseccomp() {
    // Far jumps: across tests, from the search to its leaves, from one architecture to the next.
    let commands = (0..300).map(|n| rule("ioctl", "SCMP_ACT_ALLOW", &args(&[(1, "EQ", n * 7919, 0)])));
    let many_calls =
        ["read", "write", "openat", "close", "fcntl", "mmap", "futex", "clone", "socket", "semop"];
    let each = many_calls.iter().flat_map(|name| {
        (0..25).map(|n| {
            rule(name, "SCMP_ACT_LOG", &args(&[(0, "GT", n << 33, 0), (2, "MASKED_EQ", 0xff << 30, n << 30)]))
        })
    });
    let ioctl: Vec<_> = commands.collect();
    small("SCMP_ACT_ERRNO", &ioctl.join(","));
    small("SCMP_ACT_ERRNO", &ioctl.into_iter().take(100).chain(each.take(60)).collect::<Vec<_>>().join(","));
}

#[test]
fn more_than_the_kernel_takes_is_an_error() {
    let rules: Vec<_> =
        (0..3000).map(|n| rule("ioctl", "SCMP_ACT_ALLOW", &args(&[(1, "EQ", n << 32 | n, 0)]))).collect();
    let profile = of("SCMP_ACT_ERRNO", &rules.join(","), "");
    let err =
        corten::internals::plan::seccomp::compile(&profile, Arch::ScmpArchX86_64).expect_err("too long");
    assert!(err.to_string().contains("instructions, the kernel takes 4096"), "{err}");
}

/// Examples of where libseccomp 2.5.4 doesn't do what the rules say. What it does is printed, because newer versions
/// may do better.
#[test]
fn rules_mean_what_they_say_where_libseccomp_confuses_them() {
    let with = |args_of_rules: &[&[(usize, &str, u64, u64)]]| {
        let rules = args_of_rules.iter().map(|of_rule| rule("ioctl", "SCMP_ACT_ALLOW", &args(of_rule)));
        rules.collect::<Vec<_>>().join(",")
    };
    const HIGH: u64 = 1 << 32;
    for (rules, call, allowed) in [
        // libseccomp forgets the second condition of the rule in the middle, and so allows too much.
        (
            with(&[
                &[(0, "EQ", 0, 0)],
                &[(0, "EQ", 0xffff_ffff, 0), (1, "EQ", 1, 0)],
                &[(0, "EQ", HIGH + 5, 0)],
            ]),
            [0xffff_ffff, 0],
            false,
        ),
        // libseccomp doesn't try the second rule after the first.
        (with(&[&[(1, "LT", 0, 0)], &[(1, "LT", HIGH, 0)]]), [0, 1], true),
        (with(&[&[(0, "GT", 5, 0)], &[(0, "GT", 0, 0), (1, "EQ", 0, 0)]]), [1, 0], true),
    ] {
        let profile = of("SCMP_ACT_ERRNO", &rules, r#""SCMP_ARCH_ARM""#);
        let args = [call[0], call[1], 0, 0, 0, 0];
        let data = SeccompData { nr: 29, arch: Abi::Aarch64.audit_arch(), args, ..Default::default() };
        let reference =
            reference::Reference::new(&profile, Arch::ScmpArchAarch64).expect("libseccomp takes it");
        println!("{data}: allowed {allowed}, by libseccomp {}", reference.verdict(&data) == 0x7fff_0000);
        let verdict = ours(&profile, Arch::ScmpArchAarch64).run(&data).verdict;
        assert_eq!(verdict == 0x7fff_0000, allowed, "{data}");
    }
}

/// Compares the profile of these rules with libseccomp's, on all machines and for all of their architectures.
fn small(default: &str, rules: &str) {
    let all = r#""SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32","SCMP_ARCH_ARM""#;
    for architectures in ["", all] {
        for machine in MACHINES {
            assert_equal_to_reference(&of(default, rules, architectures), machine);
        }
    }
}

fn of(default: &str, rules: &str, architectures: &str) -> LinuxSeccomp {
    profile(&format!(
        r#"{{"defaultAction":"{default}","architectures":[{architectures}],"listenerPath":"/l","syscalls":[{rules}]}}"#
    ))
}

fn rule(name: &str, action: &str, more: &str) -> String {
    format!(r#"{{"names":["{name}"],"action":"{action}"{more}}}"#)
}

fn args(args: &[(usize, &str, u64, u64)]) -> String {
    let each = args.iter().map(|(index, op, value, two)| {
        format!(r#"{{"index":{index},"value":{value},"valueTwo":{two},"op":"SCMP_CMP_{op}"}}"#)
    });
    format!(r#","args":[{}]"#, each.collect::<Vec<_>>().join(","))
}

/// The profile without the names that this libseccomp doesn't know as we do.
pub fn comparable(profile: &LinuxSeccomp) -> LinuxSeccomp {
    let known = |rule: &LinuxSyscall| {
        let mut rule = rule.clone();
        rule.set_names(rule.names().iter().filter(|name| is_comparable(name)).cloned().collect());
        rule
    };
    let mut profile = profile.clone();
    profile.set_syscalls(profile.syscalls().as_ref().map(|rules| rules.iter().map(known).collect()));
    profile
}

//! The seccomp compiler: from a profile of config.json to a program for seccomp(2). Pure.
//!
//! ```text
//! profile ──rules──▶ Rules ──section──▶ Section per architecture ──program──▶ instructions
//!          checked           each number's verdict or tests         binary search, shared returns
//! ```
//!
//! A filter means what runc makes of the same profile with libseccomp, which `spec-tests` proves by running both
//! programs in an interpreter. What matters:
//!
//! - A rule whose action is the default action is passed over. A name that no system call has is passed over with a
//!   warning.
//! - Of several rules for one system call, an unconditional rule stands before all conditional rules. Conditional rules
//!   are tried in libseccomp's order (`condition.rs`), and two rules that say different things of the same arguments
//!   are an error. Where libseccomp confuses several conditional rules for one system call, we keep to what the rules
//!   say: `spec-tests/tests/seccomp_oracle` has examples.
//! - The native architecture is always covered. A call by an architecture that the profile doesn't name kills the
//!   thread. On the ABIs with 32 bits, x32 among them, only the low halves of arguments are compared.
//! - A system call whose number is larger than all that the profile names gets ENOSYS instead of the default action,
//!   unless the default action lets calls through: see `section.rs`. (runc leaves out number 0 and those calls of
//!   32-bit x86 that have a multiplexer when it looks for the largest number. Only a profile that names hardly anything
//!   else shows the difference.)

mod abi;
mod bpf;
mod condition;
mod program;
mod rules;
mod section;
mod simulation;
mod syscalls;
mod verdict;

use std::path::PathBuf;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompFilterFlag as Flag};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::sys::seccomp::{FilterFlags, INSTRUCTIONS_MAX, Instruction};

pub use abi::Abi;
pub use bpf::Disassembly;
pub use syscalls::{Syscall, X32_BIT};

/// The architecture that this program is built for.
pub const NATIVE: Arch =
    if cfg!(target_arch = "aarch64") { Arch::ScmpArchAarch64 } else { Arch::ScmpArchX86_64 };

/// A filter that is ready for seccomp(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The program.
    pub program: Vec<Instruction>,
    /// The flags that the profile asks for. A kernel that doesn't know them refuses the filter.
    pub flags: FilterFlags,
    /// Flags to add if the kernel knows them: SPEC_ALLOW where the profile says nothing of flags.
    pub optional_flags: FilterFlags,
    /// Where the descriptor goes by which the filter gives notice, if it does.
    pub listener: Option<Listener>,
    /// What the compiler has passed over.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// Where the descriptor that gives notice is sent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// A Unix socket.
    pub path: PathBuf,
    /// `listenerMetadata`, passed on as it is.
    pub metadata: Option<String>,
}

/// Compiles `profile` for a `native` machine.
///
/// Errors name the field of the profile: `linux.seccomp.syscalls[3].errnoRet: …`.
pub fn compile(profile: &LinuxSeccomp, native: Arch) -> Result<Filter> {
    let listener = listener(profile)?;
    let rules = rules::Rules::parse(profile)?;
    let abis = abi::Abi::covered(native, profile.architectures().as_deref().unwrap_or_default())?;
    let program = program::assemble(&section::Section::all(&rules, &abis)?);
    if program.len() > INSTRUCTIONS_MAX {
        let len = program.len();
        let text =
            format!("linux.seccomp: the filter has {len} instructions, the kernel takes {INSTRUCTIONS_MAX}");
        return Err(Error::invalid(text));
    }
    let (flags, optional_flags) = flags(profile, listener.is_some())?;
    Ok(Filter { program, flags, optional_flags, listener, warnings: rules.warnings })
}

/// Says in one line what a filter does: `ERRNO(EPERM) by default, 376 system calls in 13 rules, …`.
pub fn describe(profile: &LinuxSeccomp, filter: &Filter) -> String {
    let default = verdict::of(profile.default_action(), profile.default_errno_ret(), "");
    let default = default.map_or_else(|err| err.to_string(), |value| verdict::Named(value).to_string());
    let rules = profile.syscalls().as_deref().unwrap_or_default();
    let calls: usize = rules.iter().map(|rule| rule.names().len()).sum();
    let architectures = match profile.architectures().as_deref() {
        None | Some([]) => "native".to_owned(),
        Some(named) => named.iter().map(|arch| lower(arch, "SCMP_ARCH_")).collect::<Vec<_>>().join("+"),
    };
    let (rules, instructions) = (rules.len(), filter.program.len());
    format!(
        "{default} by default, {calls} system calls in {rules} rules, {architectures}, {instructions} instructions"
    )
}

/// The actions that a profile may name, sorted, as `corten features` lists them.
pub const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

/// The operators that a profile may name, sorted.
pub const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

/// The architectures that a profile may name, sorted; [`Abi::covered`] says what becomes of them.
pub const ARCHITECTURES: [&str; 18] = [
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
];

/// The flags that a profile may name, as `corten features` lists them, with what the kernel must know for each.
pub fn known_flags() -> impl Iterator<Item = (String, FilterFlags)> {
    let flags = [
        Flag::SeccompFilterFlagTsync,
        Flag::SeccompFilterFlagSpecAllow,
        Flag::SeccompFilterFlagLog,
        Flag::SeccompFilterFlagWaitKillableRecv,
    ];
    flags.into_iter().map(|flag| (flag.to_string(), to_kernel(&flag)))
}

/// The listener of a profile, if one of its rules gives notice.
fn listener(profile: &LinuxSeccomp) -> Result<Option<Listener>> {
    let path = profile.listener_path().as_ref().filter(|path| !path.as_os_str().is_empty());
    let metadata = profile.listener_metadata().as_ref().filter(|metadata| !metadata.is_empty());
    let notifies = profile.syscalls().iter().flatten().any(|rule| rule.action() == Action::ScmpActNotify);
    match path {
        None if metadata.is_some() => {
            Err(Error::invalid("linux.seccomp.listenerMetadata: set without linux.seccomp.listenerPath"))
        }
        None if notifies => {
            Err(Error::invalid("linux.seccomp.listenerPath: not set, but a rule has SCMP_ACT_NOTIFY"))
        }
        Some(path) if notifies => Ok(Some(Listener { path: path.clone(), metadata: metadata.cloned() })),
        _ => Ok(None),
    }
}

/// The flags to install a filter with: first those that the profile asks for, then those to add if the kernel knows
/// them.
fn flags(profile: &LinuxSeccomp, notifies: bool) -> Result<(FilterFlags, FilterFlags)> {
    let listener = if notifies { FilterFlags::NEW_LISTENER } else { FilterFlags::NONE };
    let Some(named) = profile.flags() else { return Ok((listener, FilterFlags::SPEC_ALLOW)) };
    let flags = named.iter().map(to_kernel).fold(listener, |flags, flag| flags | flag);
    if flags.contains(FilterFlags::WAIT_KILLABLE_RECV) && !notifies {
        let flag = Flag::SeccompFilterFlagWaitKillableRecv;
        return Err(Error::invalid(format!("linux.seccomp.flags: {flag} needs a rule with SCMP_ACT_NOTIFY")));
    }
    Ok((flags, FilterFlags::NONE))
}

/// TSYNC needs nothing: the filter is installed while the process has one thread.
fn to_kernel(flag: &Flag) -> FilterFlags {
    match flag {
        Flag::SeccompFilterFlagLog => FilterFlags::LOG,
        Flag::SeccompFilterFlagSpecAllow => FilterFlags::SPEC_ALLOW,
        Flag::SeccompFilterFlagTsync => FilterFlags::NONE,
        Flag::SeccompFilterFlagWaitKillableRecv => FilterFlags::WAIT_KILLABLE_RECV,
    }
}

fn lower(name: &impl ToString, prefix: &str) -> String {
    name.to_string().trim_start_matches(prefix).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: Arch = Arch::ScmpArchX86_64;

    fn parse(json: &str) -> LinuxSeccomp {
        serde_json::from_str(json).expect("a profile")
    }

    #[track_caller]
    fn check(json: &str, native: Arch, expected: &str) {
        let filter = compile(&parse(json), native).expect("a filter");
        let lines =
            |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n");
        assert_eq!(
            lines(&Disassembly(&filter.program).to_string()),
            lines(expected.trim()),
            "\n{}",
            Disassembly(&filter.program)
        );
    }

    #[track_caller]
    fn check_error(json: &str, expected: &str) {
        let err = compile(&parse(json), X86_64).expect_err("refused");
        assert_eq!(err.to_string(), expected);
        assert_eq!(err.kind(), crate::error::Kind::InvalidSpec);
    }

    #[test]
    fn neighbours_with_the_same_verdict_are_one_range() {
        let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["listen","socketpair","setsockopt"],"action":"SCMP_ACT_ERRNO","errnoRet":13},
            {"names":["bind"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}"#;
        check(
            json,
            Arch::ScmpArchAarch64,
            "
            0: ld arch
            1: jeq 0xc00000b7, 3, 2
            2: ret KILL_THREAD
            3: ld nr
            4: jge 0xc7, 5, 7
            5: jge 0xca, 6, 8
            6: jeq 0xd0, 8, 7
            7: ret ALLOW
            8: ret ERRNO(EACCES)",
        );
    }

    #[test]
    fn calls_past_the_largest_number_are_enosys_and_x32_is_refused() {
        check(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW"}]}"#,
            X86_64,
            "
            0: ld arch
            1: jeq 0xc000003e, 2, 10
            2: ld nr
            3: jge 0x2, 5, 4
            4: ret ALLOW
            5: jge 0x40000000, 6, 8
            6: jge 0xc0000000, 9, 7
            7: jge 0x80000000, 8, 10
            8: ret ERRNO(ENOSYS)
            9: jge 0xffffffff, 11, 10
            10: ret KILL_THREAD
            11: ret ERRNO(EPERM)",
        );
    }

    #[test]
    fn arguments_are_compared_in_halves_and_equal_halves_once() {
        let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["ioctl"],"action":"SCMP_ACT_KILL","args":[{"index":1,"value":5,"op":"SCMP_CMP_EQ"}]},
            {"names":["ioctl"],"action":"SCMP_ACT_TRAP","args":[{"index":1,"value":6,"op":"SCMP_CMP_EQ"}]},
            {"names":["ioctl"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":4294967297,"op":"SCMP_CMP_GE"}]}]}"#;
        check(
            json,
            Arch::ScmpArchAarch64,
            "
            0: ld arch
            1: jeq 0xc00000b7, 2, 10
            2: ld nr
            3: jeq 0x1d, 4, 17
            4: ld args[1].high
            5: jeq 0x0, 6, 11
            6: ld args[1].low
            7: jeq 0x6, 8, 9
            8: ret TRAP
            9: jeq 0x5, 10, 11
            10: ret KILL_THREAD
            11: ld args[0].high
            12: jgt 0x1, 16, 13
            13: jeq 0x1, 14, 17
            14: ld args[0].low
            15: jge 0x1, 16, 17
            16: ret LOG
            17: ret ALLOW",
        );
    }

    #[test]
    fn masked_equality_looks_at_the_bits_of_the_mask() {
        let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["clone"],"action":"SCMP_ACT_ERRNO",
            "args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#;
        check(
            json,
            Arch::ScmpArchAarch64,
            "
            0: ld arch
            1: jeq 0xc00000b7, 3, 2
            2: ret KILL_THREAD
            3: ld nr
            4: jeq 0xdc, 5, 9
            5: ld args[0].low
            6: and 0x7e020000
            7: jeq 0x0, 8, 9
            8: ret ERRNO(EPERM)
            9: ret ALLOW",
        );
    }

    #[test]
    fn multiplexer_is_asked_for_the_call() {
        let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[
            {"names":["listen"],"action":"SCMP_ACT_ERRNO"}]}"#;
        check(
            json,
            X86_64,
            "
            0: ld arch
            1: jeq 0xc000003e, 3, 2
            2: jeq 0x40000003, 9, 8
            3: ld nr
            4: jge 0x33, 6, 5
            5: jge 0x32, 16, 15
            6: jge 0x40000000, 7, 15
            7: jge 0xffffffff, 15, 8
            8: ret KILL_THREAD
            9: ld nr
            10: jge 0x67, 14, 11
            11: jge 0x66, 12, 15
            12: ld args[0].low
            13: jeq 0x4, 16, 15
            14: jeq 0x16b, 16, 15
            15: ret ALLOW
            16: ret ERRNO(EPERM)",
        );
    }

    #[test]
    fn flags_default_to_spec_allow_if_the_kernel_has_it() {
        let flags = |json: &str| {
            let filter = compile(&parse(json), X86_64).expect("a filter");
            (filter.flags.to_string(), filter.optional_flags.to_string())
        };
        let of = |flags: &str, optional: &str| (flags.to_owned(), optional.to_owned());
        assert_eq!(flags(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#), of("0", "SPEC_ALLOW"));
        assert_eq!(flags(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":[]}"#), of("0", "0"));
        let named =
            r#"["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"]"#;
        let json = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","flags":{named}}}"#);
        assert_eq!(flags(&json), of("LOG|SPEC_ALLOW", "0"));
    }

    #[test]
    fn rule_that_notifies_asks_for_a_listener() {
        let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/run/agent","listenerMetadata":"m",
            "syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}]}"#;
        let filter = compile(&parse(json), X86_64).expect("a filter");
        assert_eq!(filter.listener, Some(Listener { path: "/run/agent".into(), metadata: Some("m".into()) }));
        assert_eq!(filter.flags, FilterFlags::NEW_LISTENER);
        let unused = json.replace("NOTIFY", "LOG");
        assert_eq!(compile(&parse(&unused), X86_64).expect("a filter").listener, None);
    }

    #[test]
    fn unknown_name_is_passed_over_with_a_warning_and_a_foreign_one_silently() {
        let json = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
            {"names":["s390_runtime_instr","nope"],"action":"SCMP_ACT_ERRNO"}]}"#;
        let filter = compile(&parse(json), X86_64).expect("a filter");
        assert_eq!(
            filter.warnings,
            [r#"linux.seccomp.syscalls[0].names[1]: no system call "nope": passed over"#]
        );
    }

    #[test]
    fn errors_name_the_field() {
        let rule = |rule: &str| {
            format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/l","syscalls":[{rule}]}}"#)
        };
        check_error(
            &rule(r#"{"names":["read"],"action":"SCMP_ACT_KILL","errnoRet":1}"#),
            "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_KILL returns no errno",
        );
        check_error(
            &rule(r#"{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":5000}"#),
            "linux.seccomp.syscalls[0].errnoRet: 5000 is more than 4095",
        );
        check_error(
            &rule(
                r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}"#,
            ),
            "linux.seccomp.syscalls[0].args[0].index: 6 is past the last argument, 5",
        );
        check_error(
            &rule(r#"{"names":["read","write"],"action":"SCMP_ACT_NOTIFY"}"#),
            "linux.seccomp.syscalls[0].names[1]: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        );
        check_error(
            &rule(r#"{"names":[""],"action":"SCMP_ACT_LOG"}"#),
            "linux.seccomp.syscalls[0].names[0]: an empty name",
        );
        check_error(
            r#"{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/l"}"#,
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY can't be the default",
        );
        check_error(
            r#"{"defaultAction":"SCMP_ACT_KILL","defaultErrnoRet":1}"#,
            "linux.seccomp.defaultErrnoRet: SCMP_ACT_KILL returns no errno",
        );
        check_error(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY"}]}"#,
            "linux.seccomp.listenerPath: not set, but a rule has SCMP_ACT_NOTIFY",
        );
        check_error(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"m"}"#,
            "linux.seccomp.listenerMetadata: set without linux.seccomp.listenerPath",
        );
        check_error(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#,
            "linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
        );
    }

    #[test]
    fn description_is_one_line() {
        let profile = parse(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X32"],
            "syscalls":[{"names":["read","write"],"action":"SCMP_ACT_ALLOW"}]}"#,
        );
        let filter = compile(&profile, X86_64).expect("a filter");
        let text = "ERRNO(EPERM) by default, 2 system calls in 1 rules, x86_64+x32, 9 instructions";
        assert_eq!(describe(&profile, &filter), text);
    }

    #[test]
    fn every_name_that_features_lists_is_one_that_the_spec_has() {
        let known =
            |list: &[&str], is_known: fn(&str) -> bool| assert!(list.iter().all(|name| is_known(name)));
        known(&ACTIONS, |name| name.parse::<Action>().is_ok());
        known(&OPERATORS, |name| name.parse::<oci_spec::runtime::LinuxSeccompOperator>().is_ok());
        known(&ARCHITECTURES, |name| name.parse::<Arch>().is_ok());
        assert!(ACTIONS.is_sorted() && OPERATORS.is_sorted() && ARCHITECTURES.is_sorted());
    }
}

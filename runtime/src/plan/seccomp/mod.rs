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
//! - A rule whose action is the default one is passed over; so is a name that no system call has, with a warning.
//! - Of several rules for one system call, an unconditional one stands before all conditional ones. Those are
//!   tried in libseccomp's order ([`condition`]), and two that say different things of the same arguments are an
//!   error. Where libseccomp confuses rules that compare the same 64-bit argument by order with different actions
//!   (corrected in its 2.6.1), we keep to what the rules say.
//! - The native architecture is always covered; one that the profile does not name kills the thread.
//! - A system call whose number is larger than all that the profile names gets ENOSYS instead of the default
//!   action, unless that one lets calls through: see [`section`]. (In runc a profile knows no number 0 and none of
//!   32-bit x86's calls that have a multiplexer, which shows only in profiles that name hardly anything else.)

mod abi;
mod bpf;
mod condition;
mod program;
mod rules;
mod section;
mod syscalls;
mod verdict;

use std::path::PathBuf;

use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompFilterFlag as Flag};

use crate::error::{Error, Result};
use crate::sys::seccomp::{FilterFlags, INSTRUCTIONS_MAX, Instruction};

pub use abi::Abi;
pub use bpf::Disassembly;
pub use syscalls::{Syscall, X32_BIT};

/// A filter that is ready for seccomp(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub program: Vec<Instruction>,
    /// The flags that the profile asks for: a kernel that does not know them refuses the filter.
    pub flags: FilterFlags,
    /// Flags to add if the kernel knows them: SPEC_ALLOW where the profile says nothing of flags.
    pub optional_flags: FilterFlags,
    /// Who gets the file descriptor by which the filter gives notice, if it does.
    pub listener: Option<Listener>,
    /// What was passed over.
    pub warnings: Vec<String>,
}

/// Where the listener's file descriptor is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// A Unix socket.
    pub path: PathBuf,
    /// Passed on as it is.
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

/// The architectures that a profile may name, sorted; see [`abi::Abi::covered`] for what becomes of them.
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

/// The flags to install a filter with: those asked for, and those to add if the kernel knows them.
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

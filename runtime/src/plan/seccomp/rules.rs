//! The profile's rules, checked and with their numbers resolved as far as no architecture is needed.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSyscall};

use super::condition::Condition;
use super::syscalls::Syscall;
use super::verdict;
use crate::error::{Error, Result};

/// The rules of a profile.
#[derive(Debug)]
pub struct Rules {
    /// What a call gets that no rule matches.
    pub default: u32,
    /// Whether calls that are newer than the profile get ENOSYS instead of the default.
    pub newer_is_enosys: bool,
    /// The rules that say something else than the default.
    pub rules: Vec<Rule>,
    /// Every system call that the profile names, in its order, with the index of its rule. Rules that only repeat the
    /// default are passed over, but the profile still knows the calls that they name.
    pub named: Vec<(&'static Syscall, Option<usize>)>,
    /// Names that no system call of Linux has.
    pub warnings: Vec<String>,
}

/// What one entry of the profile's `syscalls` says of each of its names.
#[derive(Debug)]
pub struct Rule {
    /// The entry's place: `linux.seccomp.syscalls[3]`.
    pub field: String,
    /// What a matching call gets.
    pub verdict: u32,
    /// The rule matches if all conditions of one of these lists hold.
    pub alternatives: Vec<Vec<Condition>>,
}

impl Rules {
    /// Checks a profile.
    pub fn parse(profile: &LinuxSeccomp) -> Result<Rules> {
        let default = profile.default_action();
        if default == Action::ScmpActNotify {
            return Err(Error::invalid("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY can't be the default"));
        }
        let mut rules = Rules {
            default: verdict::of(default, profile.default_errno_ret(), "linux.seccomp.defaultErrnoRet")?,
            newer_is_enosys: !verdict::lets_through(default),
            rules: Vec::new(),
            named: Vec::new(),
            warnings: Vec::new(),
        };
        for (index, entry) in profile.syscalls().iter().flatten().enumerate() {
            rules.take(entry, format!("linux.seccomp.syscalls[{index}]"))?;
        }
        Ok(rules)
    }

    fn take(&mut self, entry: &LinuxSyscall, field: String) -> Result<()> {
        let verdict = verdict::of(entry.action(), entry.errno_ret(), &format!("{field}.errnoRet"))?;
        let alternatives = alternatives(entry.args().as_deref().unwrap_or_default(), &field)?;
        let rule = (verdict != self.default).then_some(self.rules.len());
        for (index, name) in entry.names().iter().enumerate() {
            check_name(name, entry.action(), &field, index)?;
            match Syscall::find(name) {
                Some(syscall) => self.named.push((syscall, rule)),
                None => self
                    .warnings
                    .push(format!("{field}.names[{index}]: no system call {name:?}: passed over")),
            }
        }
        if rule.is_some() {
            self.rules.push(Rule { field, verdict, alternatives });
        }
        Ok(())
    }
}

fn check_name(name: &str, action: Action, field: &str, index: usize) -> Result<()> {
    if name.is_empty() {
        return Err(Error::invalid(format!("{field}.names[{index}]: an empty name")));
    }
    // The runtime itself hands the listener over by a write, when the filter is in force already. If the filter gave
    // notice of writes, the runtime would wait for itself.
    if name == "write" && action == Action::ScmpActNotify {
        return Err(Error::invalid(format!(
            "{field}.names[{index}]: SCMP_ACT_NOTIFY cannot be used for the write syscall"
        )));
    }
    Ok(())
}

/// The conditions of a rule. All must hold together; but if two are about the same argument, each is an alternative of
/// its own. runc reads a profile so, because libseccomp takes one comparison of an argument in a rule.
fn alternatives(args: &[LinuxSeccompArg], field: &str) -> Result<Vec<Vec<Condition>>> {
    let parsed =
        args.iter().enumerate().map(|(at, arg)| Condition::parse(arg, &format!("{field}.args[{at}]")));
    let conditions = parsed.collect::<Result<Vec<_>>>()?;
    let repeated =
        |condition: &Condition| conditions.iter().filter(|other| other.arg == condition.arg).count() > 1;
    if conditions.iter().any(repeated) {
        return Ok(conditions.into_iter().map(|condition| vec![condition]).collect());
    }
    Ok(vec![conditions])
}

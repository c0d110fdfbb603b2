//! Random profiles: few names and few constants, so that rules meet.
//!
//! libseccomp (2.5.4; some of it is corrected in 2.6.1) does not do what the rules say in three cases of several rules
//! for one system call. The rules combine several conditions; or they compare the same 64-bit argument by LT or LE; or
//! they compare it otherwise than by EQ with different actions. `fixed` has examples. So libseccomp is the reference
//! for profiles without these cases. For all profiles the model is a reference, and in its own tests `seccompiler`.

use corten::internals::plan::seccomp::{Disassembly, compile};
use oci_spec::runtime::Arch;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::reference::Reference;
use super::{difference, inputs, model, profile, program};

const NAMES: &[&str] = &["read", "write", "openat", "personality", "clone", "ioctl", "statx"];
const NAMES_WITH_MULTIPLEXED: &[&str] = &[
    "read",
    "clone",
    "socket",
    "accept",
    "recv",
    "socketcall",
    "semop",
    "shmctl",
    "ipc",
    "set_tls",
    "no_such_call",
];
const DEFAULTS: &[&str] = &["KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "ERRNO", "TRACE", "ALLOW", "LOG"];
const OPERATORS: &[&str] = &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
const VALUES: &[u64] =
    &[0, 1, 2, 5, 0x7e02_0000, 0xffff_ffff, 1 << 32, (1 << 32) + 5, 0xffff_0000_0000_0005, u64::MAX];

/// What profiles are made of.
pub struct Ingredients {
    pub names: &'static [&'static str],
    pub actions: &'static [&'static str],
    pub operators: &'static [&'static str],
    /// Conditions are about the first so many.
    pub arguments: usize,
    pub conditions_max: usize,
}

#[derive(Clone, Debug)]
struct Rule {
    names: Vec<&'static str>,
    action: &'static str,
    /// Index, operator, value, valueTwo.
    args: Vec<(usize, &'static str, u64, u64)>,
}

impl Ingredients {
    /// Profiles as JSON, so that a failure prints one to try by hand.
    pub fn profiles(self) -> impl Strategy<Value = String> {
        self.any_rules().prop_map(|(default, architectures, rules)| json(default, &architectures, &rules))
    }

    /// Profiles in which no system call has more than one conditional rule.
    fn profiles_with_one_conditional_rule_per_call(self) -> impl Strategy<Value = String> {
        self.any_rules().prop_map(|(default, architectures, mut rules)| {
            let mut seen = Vec::new();
            for rule in rules.iter_mut().filter(|rule| !rule.args.is_empty()) {
                rule.args.sort_by_key(|arg| arg.0);
                rule.args.dedup_by_key(|arg| arg.0);
                rule.names.retain(|name| !seen.contains(name));
                seen.extend(rule.names.clone());
            }
            json(default, &architectures, &rules)
        })
    }

    fn any_rules(self) -> impl Strategy<Value = (&'static str, Vec<&'static str>, Vec<Rule>)> {
        let arg = (0..self.arguments, select(self.operators), select(VALUES), select(VALUES));
        let args = prop_oneof![3 => vec(arg, 1..=self.conditions_max), 1 => Just(Vec::new())];
        let rule = (subsequence(self.names, 1..4), select(self.actions), args);
        let rule = rule.prop_map(|(names, action, args)| Rule { names, action, args });
        let architectures = subsequence(&["X86_64", "X86", "X32", "AARCH64", "ARM", "MIPS"][..], 0..=6);
        (select(DEFAULTS), architectures, vec(rule, 0..10))
    }
}

fn json(default: &str, architectures: &[&str], rules: &[Rule]) -> String {
    // libseccomp up to 2.5.4 makes no valid tree for an architecture without any rule.
    let always =
        Rule { names: vec!["getppid"], action: if default == "TRAP" { "LOG" } else { "TRAP" }, args: vec![] };
    let rule = |Rule { names, action, args }: &Rule| {
        let arg = |(index, op, value, two): &(usize, &str, u64, u64)| serde_json::json!({"index": index, "value": value, "valueTwo": two, "op": format!("SCMP_CMP_{op}")});
        let args: Vec<_> = args.iter().map(arg).collect();
        serde_json::json!({"names": names, "action": format!("SCMP_ACT_{action}"), "args": args})
    };
    let profile = serde_json::json!({
        "defaultAction": format!("SCMP_ACT_{default}"),
        "architectures": architectures.iter().map(|arch| format!("SCMP_ARCH_{arch}")).collect::<Vec<_>>(),
        "syscalls": rules.iter().chain([&always]).map(rule).collect::<Vec<_>>(),
    });
    profile.to_string()
}

pub fn machines() -> impl Strategy<Value = Arch> {
    select(vec![Arch::ScmpArchX86_64, Arch::ScmpArchAarch64])
}

pub fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn one_conditional_rule_per_call_equals_libseccomp(
        profile in Ingredients { names: NAMES, actions: DEFAULTS, operators: OPERATORS, arguments: 3, conditions_max: 3 }
            .profiles_with_one_conditional_rule_per_call(),
        machine in machines(),
    ) {
        equals_libseccomp(&profile, machine)?;
    }

    #[test]
    fn single_conditions_with_one_action_equal_libseccomp(
        profile in Ingredients {
            names: NAMES,
            actions: &["ALLOW"],
            operators: &["EQ", "NE", "MASKED_EQ", "GT", "GE"],
            arguments: 3,
            conditions_max: 1,
        }.profiles(),
        machine in machines(),
    ) {
        equals_libseccomp(&profile, machine)?;
    }

    #[test]
    fn single_conditions_with_several_actions_equal_libseccomp(
        profile in Ingredients {
            names: NAMES,
            actions: &["ALLOW", "LOG", "ERRNO"],
            operators: &["EQ"],
            arguments: 3,
            conditions_max: 1,
        }.profiles(),
        machine in machines(),
    ) {
        equals_libseccomp(&profile, machine)?;
    }

    // A condition on another argument than the first would make two of one for the multiplexer.
    #[test]
    fn multiplexed_calls_equal_libseccomp(
        profile in Ingredients {
            names: NAMES_WITH_MULTIPLEXED,
            actions: &["ALLOW"],
            operators: &["EQ", "NE", "MASKED_EQ", "GT", "GE"],
            arguments: 1,
            conditions_max: 1,
        }.profiles(),
        machine in machines(),
    ) {
        equals_libseccomp(&profile, machine)?;
    }

    #[test]
    fn all_profiles_equal_the_model(
        profile in Ingredients {
            names: NAMES_WITH_MULTIPLEXED,
            actions: &["ALLOW", "LOG"],
            operators: OPERATORS,
            arguments: 3, conditions_max: 3,
        }.profiles(),
        machine in machines(),
    ) {
        equals_model(&profile, machine)?;
    }

    #[test]
    fn all_profiles_with_one_action_equal_the_model(
        profile in Ingredients { names: NAMES, actions: &["ALLOW"], operators: OPERATORS, arguments: 3, conditions_max: 3 }.profiles(),
        machine in machines(),
    ) {
        equals_model(&profile, machine)?;
    }
}

/// Equal verdicts, or both refuse the profile.
fn equals_libseccomp(json: &str, machine: Arch) -> Result<(), TestCaseError> {
    let profile = &profile(json);
    match (compile(profile, machine), Reference::new(profile, machine)) {
        (Ok(filter), Ok(reference)) => {
            let difference = difference(profile, machine, &filter, &reference).unwrap_or_default();
            prop_assert!(difference.is_empty(), "{difference}\n{}", Disassembly(&filter.program));
        }
        (Err(_), Err(_)) => {}
        (ours, theirs) => prop_assert!(false, "we say {ours:?}, libseccomp {:?}", theirs.map(|_| "yes")),
    }
    Ok(())
}

fn equals_model(json: &str, machine: Arch) -> Result<(), TestCaseError> {
    let profile = &profile(json);
    // Rules that contradict each other are refused, which other tests show.
    let Ok(filter) = compile(profile, machine) else { return Ok(()) };
    let ours = program(&filter);
    for data in inputs::all(profile, machine) {
        let (got, expected) = (ours.run(&data).verdict, model::verdicts(profile, machine, &data));
        if !expected.contains(&got) {
            let program = Disassembly(&filter.program);
            prop_assert!(false, "{data}: got {got:#x}, expected {expected:#x?}\n{program}");
        }
    }
    Ok(())
}

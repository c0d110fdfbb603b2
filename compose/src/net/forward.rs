//! Hosts whose `FORWARD` chain of iptables drops what nobody there has accepted, as an installed Docker makes it.
//!
//! A packet passes only if each table lets it pass, so our own table can't help. Two rules for each bridge can.

use std::process::{Command, Stdio};

/// Both families' programs.
const PROGRAMS: [&str; 2] = ["iptables", "ip6tables"];
/// A hook may have no PATH.
const PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

/// The rules of a bridge: what leaves it passes, and what comes to it if it is an answer or was published.
fn rules(bridge: &str) -> [Vec<&str>; 2] {
    [
        vec!["FORWARD", "-i", bridge, "-j", "ACCEPT"],
        vec![
            "FORWARD",
            "-o",
            bridge,
            "-m",
            "conntrack",
            "--ctstate",
            "DNAT,RELATED,ESTABLISHED",
            "-j",
            "ACCEPT",
        ],
    ]
}

/// Lets the packets of bridges pass, if the chain drops others. Our own table still says which networks may meet.
pub fn permit<'a>(bridges: impl Iterator<Item = &'a String>) {
    each(bridges, |program, rule| {
        if !run(program, "-C", rule) {
            run(program, "-I", rule);
        }
    });
}

/// Takes the rules of bridges back.
pub fn revoke<'a>(bridges: impl Iterator<Item = &'a String>) {
    each(bridges, |program, rule| {
        run(program, "-D", rule);
    });
}

/// Looks at each chain once, and only if there are bridges.
fn each<'a>(bridges: impl Iterator<Item = &'a String>, act: impl Fn(&str, &[&str])) {
    let rules: Vec<_> = bridges.flat_map(|bridge| rules(bridge)).collect();
    if rules.is_empty() {
        return;
    }
    for program in PROGRAMS.into_iter().filter(|program| drops(program)) {
        rules.iter().for_each(|rule| act(program, rule));
    }
}

/// Whether the chain of either family drops what nobody accepts.
pub fn drops_any() -> bool {
    PROGRAMS.into_iter().any(drops)
}

fn drops(program: &str) -> bool {
    let listed = Command::new(program).env("PATH", PATH).args(["-w", "-S", "FORWARD"]).output();
    listed.is_ok_and(|output| output.stdout.starts_with(b"-P FORWARD DROP"))
}

fn run(program: &str, operation: &str, rule: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.env("PATH", PATH).args(["-w", operation]).args(rule);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

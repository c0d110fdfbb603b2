//! `doctor`: what of the host is missing, each with a line of advice.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Ended, say};
use crate::apply::host;
use crate::engine::Engine;
use crate::engine::introspection::Plugins;
use crate::engine::version::Version;
use crate::error::Result;
use crate::net::{cni, firewall, forward, network::Publisher};
use crate::process::child;

/// The oldest containerd that is known to do.
const CONTAINERD_MIN: (u32, u32) = (1, 6);
/// Where a builder listens.
const BUILDER_SOCKET: &str = "/run/buildkit/buildkitd.sock";

/// What is said of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    level: Level,
    what: String,
    advice: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Fine,
    /// Something is not to be had that one can do without.
    Lacks,
    /// No container runs.
    Fails,
}

fn fine(what: impl Into<String>) -> Finding {
    Finding { level: Level::Fine, what: what.into(), advice: String::new() }
}

fn lacks(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { level: Level::Lacks, what: what.into(), advice: advice.into() }
}

fn fails(what: impl Into<String>, advice: impl Into<String>) -> Finding {
    Finding { level: Level::Fails, what: what.into(), advice: advice.into() }
}

pub async fn doctor(address: &str, namespace: &str) -> Ended {
    let mut findings = vec![user()];
    findings.extend(containerd(address, namespace).await);
    findings.extend([ctr(), shim()]);
    findings.extend(runtime());
    findings.extend(plugins());
    findings.extend([firewall(), forwarding(), forward_chain(), tools(), cgroups(), builder()]);
    for Finding { level, what, advice } in &findings {
        let mark = match level {
            Level::Fine => "ok     ",
            Level::Lacks => "note   ",
            Level::Fails => "missing",
        };
        let advice = if advice.is_empty() { String::new() } else { format!(": {advice}") };
        say(format_args!("{mark}  {what}{advice}"));
    }
    Ok(u8::from(findings.iter().any(|finding| finding.level == Level::Fails)))
}

fn user() -> Finding {
    if nix::unistd::geteuid().is_root() {
        fine("root")
    } else {
        fails("you are not root", "run it by sudo: containers of ordinary users are not there yet")
    }
}

// ---- containerd

async fn containerd(address: &str, namespace: &str) -> Vec<Finding> {
    match asked(address, namespace).await {
        Ok(findings) => findings,
        Err(err) => {
            let advice = if host::on_path("containerd").is_some() {
                "systemctl start containerd, or say where it listens: CONTAINERD_ADDRESS"
            } else {
                "apt install containerd"
            };
            vec![fails(err.to_string(), advice)]
        }
    }
}

async fn asked(address: &str, namespace: &str) -> Result<Vec<Finding>> {
    let engine = Engine::connect(address, namespace).await?;
    let version = engine.call(Version {}).await?.version;
    let what = format!("containerd {version} at {address}, namespace {namespace}");
    let is_old = numbers(&version) < CONTAINERD_MIN;
    let mut findings = vec![if is_old { fails(what, "1.6 or newer is needed") } else { fine(what) }];
    let snapshotter = crate::apply::unpack::snapshotter();
    let filters = vec![format!("type==io.containerd.snapshotter.v1,id=={snapshotter}")];
    let broken = match engine.call(Plugins { filters }).await?.plugins.first() {
        None => Some("it is not there".to_owned()),
        Some(plugin) => plugin.init_err.as_ref().map(|err| err.message.clone()),
    };
    let what = format!("snapshotter {snapshotter}");
    findings.push(match broken {
        None => fine(what),
        Some(why) => fails(what, format!("{why}; another one is named by CONTAINERD_SNAPSHOTTER")),
    });
    Ok(findings)
}

/// Major and minor number of `1.6.20~ds1` and `v2.1.0`. What has none is taken for new.
fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version.trim_start_matches('v').split('.').map_while(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), minor) => (major, minor.unwrap_or_default()),
        (None, _) => (u32::MAX, 0),
    }
}

fn ctr() -> Finding {
    match host::on_path("ctr") {
        Some(_) => fine("ctr"),
        None => {
            lacks("ctr is not on PATH", "nothing is pulled, pushed, saved or loaded: apt install containerd")
        }
    }
}

fn shim() -> Finding {
    let runtimes = host::runtimes();
    match runtimes.first() {
        Some(first) => fine(format!("runtime {first}")),
        None => fails("no shim on PATH", "apt install containerd, or make install"),
    }
}

/// runc's shim needs runc.
fn runtime() -> Option<Finding> {
    let needs_runc = host::runtimes().first().is_some_and(|first| first.contains("runc"));
    (needs_runc && host::on_path("runc").is_none()).then(|| fails("runc is not on PATH", "apt install runc"))
}

// ---- the network

fn plugins() -> Vec<Finding> {
    let client = cni::Client::new();
    let missing = |names: &[&str]| {
        names.iter().filter(|name| !client.has(name)).map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    let advice = "apt install containernetworking-plugins, or set CNI_PATH";
    let needed = missing(&["bridge", "host-local"]);
    let mut others = missing(&["macvlan", "ipvlan"]);
    if firewall::publisher() == Publisher::Plugins {
        others.extend(missing(&["portmap"]));
    }
    let mut findings = vec![match needed.as_slice() {
        [] => fine("CNI plugins bridge and host-local"),
        needed => fails(format!("CNI plugins {}", needed.join(", ")), advice),
    }];
    if needed.is_empty() && !others.is_empty() {
        findings.push(lacks(format!("CNI plugins {}", others.join(", ")), advice));
    }
    findings
}

fn firewall() -> Finding {
    match firewall::publisher() {
        Publisher::Nft => fine("nft publishes ports"),
        Publisher::Plugins if host::on_path("iptables").is_some() => lacks(
            "nft is not there",
            "ports are published by the plugin portmap, networks are not apart: apt install nftables",
        ),
        Publisher::Plugins => fails("neither nft nor iptables", "apt install nftables"),
    }
}

fn forwarding() -> Finding {
    let is_on = |path: &str| fs::read_to_string(path).is_ok_and(|value| value.trim() == "1");
    if is_on("/proc/sys/net/ipv4/ip_forward") {
        fine("net.ipv4.ip_forward is 1")
    } else {
        lacks(
            "net.ipv4.ip_forward is 0",
            "the first container sets it; sysctl -w net.ipv4.ip_forward=1 does too",
        )
    }
}

fn forward_chain() -> Finding {
    if forward::drops_any() {
        lacks(
            "iptables' chain FORWARD drops by policy",
            "networks of cortenctl are let through by two rules each; other firewalls may need the same",
        )
    } else {
        fine("iptables' chain FORWARD lets packets pass")
    }
}

fn tools() -> Finding {
    match (host::on_path("ip"), host::on_path("conntrack")) {
        (None, _) => lacks("ip is not on PATH", "bridges of removed networks stay: apt install iproute2"),
        (_, None) => lacks(
            "conntrack is not on PATH",
            "flows of UDP may stay with a container that is gone: apt install conntrack",
        ),
        _ => fine("ip and conntrack"),
    }
}

// ---- the rest

fn cgroups() -> Finding {
    let this = host::look();
    let driver = if this.systemd { "systemd" } else { "cgroupfs" };
    if this.unified_cgroups {
        return fine(format!("cgroups v2, by {driver}"));
    }
    if Path::new("/sys/fs/cgroup/memory").is_dir() {
        return lacks(
            format!("cgroups v1, by {driver}"),
            "all but what only v2 has works; systemd.unified_cgroup_hierarchy=1 on the kernel's command line brings v2",
        );
    }
    fails("no cgroups in /sys/fs/cgroup", "mount -t cgroup2 none /sys/fs/cgroup")
}

fn builder() -> Finding {
    if host::on_path("buildctl").is_none() {
        return lacks("buildctl is not on PATH", "nothing can be built: install BuildKit");
    }
    let address = std::env::var("BUILDKIT_HOST").unwrap_or_else(|_| format!("unix://{BUILDER_SOCKET}"));
    match address.strip_prefix("unix://") {
        Some(socket) if UnixStream::connect(socket).is_err() => {
            lacks(format!("buildkitd does not listen at {socket}"), "nothing can be built: start buildkitd")
        }
        Some(_) => fine(format!("buildkitd at {address}")),
        None => match child::command("buildctl").args(["debug", "workers"]).output() {
            Ok(done) if done.status.success() => fine(format!("buildkitd at {address}")),
            _ => lacks(
                format!("buildkitd at {address} does not answer"),
                "nothing can be built: see BUILDKIT_HOST",
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_are_told_apart_however_distributions_write_them() {
        for (version, is) in
            [("1.6.20~ds1", (1, 6)), ("v2.1.0", (2, 1)), ("1.7", (1, 7)), ("unknown", (u32::MAX, 0))]
        {
            assert_eq!(numbers(version), is, "{version}");
        }
    }
}

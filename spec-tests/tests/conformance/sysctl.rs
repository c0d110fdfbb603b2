//! Sysctls: those of the container's own namespaces are written, all others refused.

use serde_json::json;
use spec_tests::container::Container;

#[test]
fn sysctls_of_own_namespaces_are_written() {
    let container = Container::new(|bundle| {
        bundle.set(
            "/linux/sysctl",
            json!({
                "net.ipv4.ip_forward": "1",
                "net.ipv4.ping_group_range": "0 2147483647",
                "kernel.msgmax": "12345",
                "fs.mqueue.msg_max": "7",
            }),
        );
    });
    let seen = container.sees(
        "cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/ping_group_range kernel/msgmax fs/mqueue/msg_max",
    );
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["1", "0", "2147483647", "12345", "7"]);
}

#[test]
fn slashes_separate_as_well_as_dots() {
    let container = Container::new(|bundle| {
        bundle.set("/linux/sysctl", json!({"net/ipv4/ip_forward": "1"}));
    });
    assert_eq!(container.sees("cat /proc/sys/net/ipv4/ip_forward"), "1");
}

#[test]
fn a_sysctl_of_the_whole_machine_is_refused() {
    refused("kernel.panic", "10", &[]);
    refused("vm.swappiness", "10", &[]);
    refused("fs.file-max", "10", &[]);
}

#[test]
fn a_sysctl_of_a_namespace_that_is_the_hosts_is_refused() {
    refused("net.ipv4.ip_forward", "1", &["network"]);
    refused("kernel.msgmax", "1", &["ipc"]);
    refused("fs.mqueue.msg_max", "7", &["ipc"]);
}

#[test]
fn a_hostname_by_sysctl_is_refused() {
    refused("kernel.hostname", "elsewhere", &[]);
}

#[test]
fn a_domainname_by_sysctl_needs_a_uts_namespace() {
    let container = Container::new(|bundle| {
        bundle.set("/linux/sysctl", json!({"kernel.domainname": "example.org"}));
    });
    assert_eq!(container.sees("cat /proc/sys/kernel/domainname"), "example.org");
}

#[test]
fn a_sysctl_that_leads_out_of_proc_sys_is_refused() {
    refused("net/../kernel/panic", "10", &[]);
    refused("net.../../kernel.panic", "10", &[]);
}

#[test]
fn a_sysctl_that_does_not_exist_is_an_error() {
    refused("net.ipv4.no_such_thing", "1", &[]);
}

#[track_caller]
fn refused(name: &str, value: &str, shared: &[&str]) {
    let container = Container::new(|bundle| {
        bundle.set("/hostname", "").set("/linux/sysctl", json!({name: value}));
        for kind in shared {
            bundle.share_namespace(kind);
        }
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_sysctl_of_the_hosts_network_named_by_path_is_refused() {
    let file = "/proc/sys/net/ipv4/ip_default_ttl";
    let before = std::fs::read_to_string(file).unwrap();
    let container = Container::new(|bundle| {
        bundle.namespace("network", Some("/proc/self/ns/net"));
        bundle.set("/linux/sysctl", json!({"net.ipv4.ip_default_ttl": before.trim()}));
    });
    container.run().output().fails();
    container.assert_nothing_left();
}

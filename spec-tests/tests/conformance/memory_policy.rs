//! `linux.memoryPolicy`: from which nodes the memory of the container's processes comes.

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::{not_in_runc_1_1, skip_if};

/// The policy that the kernel tells of the first mapping of the process that reads it.
const POLICY: &str = "head -n 1 /proc/self/numa_maps | cut -d ' ' -f 2";

fn has_no_policies() -> bool {
    !std::fs::exists("/proc/self/numa_maps").unwrap_or(false)
}

fn with(policy: Value) -> Container {
    Container::new(|bundle| {
        bundle.set("/linux/memoryPolicy", policy);
    })
}

#[test]
fn memory_policy_is_that_of_the_config() {
    not_in_runc_1_1!("has no memory policies");
    skip_if!(has_no_policies(), "a kernel without memory policies");
    for (policy, expected) in [
        (json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}), "interleave:0"),
        (json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}), "bind=static:0"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0"}), "prefer:0"),
        (json!({"mode": "MPOL_LOCAL"}), "local"),
        (json!({"mode": "MPOL_DEFAULT"}), "default"),
        (json!({"mode": "MPOL_DEFAULT", "nodes": ""}), "default"),
    ] {
        assert_eq!(with(policy.clone()).sees(POLICY), expected, "{policy}");
    }
}

#[test]
fn nodes_that_are_no_list_are_refused() {
    not_in_runc_1_1!("has no memory policies");
    for nodes in ["0-", "-0", "+0", "1-0", "a", "0 - 0", "99999999999999999999", "0-99999999"] {
        let container = with(json!({"mode": "MPOL_BIND", "nodes": nodes}));
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

#[test]
fn memory_policy_holds_for_what_joins() {
    not_in_runc_1_1!("has no memory policies");
    skip_if!(has_no_policies(), "a kernel without memory policies");
    let container = Container::sleeping(|bundle| {
        let flags = ["MPOL_F_RELATIVE_NODES"];
        bundle
            .set("/linux/memoryPolicy", json!({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": flags}))
            .set("/linux/resources/cpu", json!({"mems": "0"}));
    });
    assert_eq!(container.inside(POLICY), "prefer=relative:0");
}

/// Docker's default profile forbids set_mempolicy without CAP_SYS_NICE.
#[test]
fn memory_policy_is_set_before_a_filter_that_forbids_it() {
    not_in_runc_1_1!("has no memory policies");
    skip_if!(has_no_policies(), "a kernel without memory policies");
    for no_new_privileges in [false, true] {
        let container = Container::new(|bundle| {
            let rule = json!({"names": ["set_mempolicy"], "action": "SCMP_ACT_ERRNO"});
            bundle
                .set("/linux/memoryPolicy", json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}))
                .set("/process/noNewPrivileges", no_new_privileges)
                .set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
        });
        assert_eq!(container.sees(POLICY), "interleave:0");
    }
}

#[test]
fn a_memory_policy_that_is_none_is_refused_by_its_field() {
    not_in_runc_1_1!("has no memory policies");
    skip_if!(has_no_policies(), "a kernel without memory policies");
    let flags = ["MPOL_F_RELATIVE_NODES", "badflag"];
    let nowhere = json!({"mode": "MPOL_BIND", "nodes": "1000"});
    for (policy, field) in [
        (json!({}), "linux.memoryPolicy"),
        (json!({"nodes": "0-7"}), "linux.memoryPolicy"),
        (json!({"mode": "INTERLEAVE", "nodes": "0"}), "linux.memoryPolicy.mode"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": flags}), "linux.memoryPolicy.flags[1]"),
        (json!({"mode": "MPOL_DEFAULT", "nodes": "0-7"}), "linux.memoryPolicy.nodes"),
        (json!({"mode": "MPOL_BIND"}), "linux.memoryPolicy.nodes"),
        (json!({"mode": "MPOL_BIND", "nodes": "0-9876543210", "flags": []}), "linux.memoryPolicy.nodes"),
        (nowhere, "(linux.memoryPolicy): set_mempolicy(MPOL_BIND, [1000])"),
    ] {
        let container = with(policy.clone());
        let text = container.create().output().fails();
        assert!(text.contains("memory") && text.contains("olicy"), "{policy}: {text}");
        spec_tests::skip_if!(!spec_tests::subject::subject().is_corten(), "fields are named by Corten");
        assert!(text.contains(field), "{policy}: {text}");
        container.assert_nothing_left();
    }
}

//! A field that is not carried out is refused by its name, never passed over.

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::only_corten;

use crate::refused;

#[test]
fn a_resctrl_group_where_there_is_no_resctrl() {
    spec_tests::not_in_runc_1_1!("leaves linux.intelRdt out without resctrl");
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
    spec_tests::skip_if!(mountinfo.contains(" - resctrl "), "resctrl is mounted");
    for asked in [json!({}), json!({"closID": "guaranteed"}), json!({"enableMonitoring": true})] {
        let container = Container::new(|bundle| {
            bundle.set("/linux/intelRdt", asked);
        });
        refused(&container, &container.create().output(), &["ntelRdt"], &["linux.intelRdt: no resctrl"]);
    }
}

#[test]
fn what_may_come_is_carried_out_or_refused_by_name() {
    only_corten!("naming what it does not support");
    let cases: [(&str, Value, &str); 3] = [
        ("/linux/resources/rdma", json!({"mlx5_1": {"hcaHandles": 3}}), "linux.resources.rdma"),
        ("/linux/resources/network", json!({"classID": 1_048_577}), "linux.resources.network"),
        ("/linux/mountLabel", json!("system_u:object_r:container_file_t:s0"), "linux.mountLabel"),
    ];
    for (pointer, value, name) in cases {
        let container = Container::new(|bundle| {
            bundle.set(pointer, value);
        });
        let outcome = container.run().output();
        if outcome.code != 0 {
            refused(&container, &outcome, &[], &[name]);
        }
    }
}

#[test]
fn an_apparmor_profile_where_there_is_no_apparmor() {
    spec_tests::skip_if!(
        std::fs::exists("/sys/kernel/security/apparmor").unwrap_or(false),
        "AppArmor is there"
    );
    let container = Container::new(|bundle| {
        bundle.set("/process/apparmorProfile", "docker-default");
    });
    refused(&container, &container.create().output(), &["apparmor"], &["process.apparmorProfile"]);
}

#[test]
fn a_selinux_label_where_there_is_no_selinux() {
    spec_tests::skip_if!(std::fs::exists("/sys/fs/selinux/enforce").unwrap_or(false), "SELinux is there");
    let container = Container::new(|bundle| {
        bundle.set("/process/selinuxLabel", "system_u:system_r:container_t:s0");
    });
    refused(&container, &container.create().output(), &["selinux"], &["process.selinuxLabel"]);
}

//! Plans as text: what real engines' configs lead to, on a v1 and on a v2 host, with systemd, and for callers who
//! aren't root.
//!
//! A change of behaviour shows as a change of a file in `tests/plans/`. `UPDATE_PLANS=1 cargo test --test plans` writes
//! them anew; the diff is for the reviewer.

use std::path::{Path, PathBuf};

use corten::internals::plan::cgroup::host::{CgroupHost, Drivers, Hierarchy, Mode, Systemd, SystemdManager};
use corten::internals::plan::{
    self, Action, Caller, ForInit, Host, IdMapHelpers, Machine, Plan, Request, Stage,
};
use corten::internals::spec::{Spec, oci};
use serde_json::{Value, json};

const CONFIGS: [&str; 8] = [
    "containerd-2.1-ctr-default",
    "containerd-2.1-ctr-privileged",
    "docker-28.5-run-default",
    "docker-28.5-run-joined-namespaces",
    "docker-28.5-run-mounts",
    "docker-28.5-run-options",
    "docker-28.5-run-privileged",
    "podman-5.8-default",
];

#[test]
fn plans_of_engines_configs_on_cgroup_v1() {
    check_all("v1", v1());
}

#[test]
fn plans_of_engines_configs_on_cgroup_v2() {
    check_all("v2", v2());
}

/// Docker's default on a machine of systemd's, which the form of the path alone tells.
#[test]
fn plans_of_units() {
    let config = config_of("docker-28.5-run-default", |config| {
        config["linux"]["cgroupsPath"] = json!("system.slice:docker:web1");
        // Without a driver of its own, and with one.
        for major in [8, 136] {
            let kind = if major == 8 { "b" } else { "c" };
            let rule = json!({"allow": true, "type": kind, "major": major, "access": "rw"});
            config["linux"]["resources"]["devices"].as_array_mut().expect("a list").push(rule);
        }
        config["annotations"] = json!({"org.systemd.property.TimeoutStopSec": "10"});
    });
    let systemd = |drivers| {
        let manager = SystemdManager::System;
        Some(Systemd { manager, control_group: PathBuf::new(), drivers })
    };
    let drivers =
        Drivers { char: vec![(136, "pts".into())], block: vec![(8, "sd".into()), (65, "sd".into())] };
    for (view, cgroup) in [
        ("v1", CgroupHost { systemd: systemd(drivers), ..v1() }),
        ("v2", CgroupHost { systemd: systemd(Drivers::default()), ..v2() }),
    ] {
        check("docker-28.5-run-default", &format!("systemd.{view}"), &config, &host(cgroup));
    }
}

/// podman's default, called by a user at a login: in a scope of their own systemd, by subordinate ids.
#[test]
fn plan_of_a_user_with_subordinate_ids() {
    let config = users(
        "user.slice:libpod:web1",
        json!([
            {"containerID": 0, "hostID": 1000, "size": 1},
            {"containerID": 1, "hostID": 100_000, "size": 65536},
        ]),
    );
    let control_group = "user.slice/user-1000.slice/user@1000.service".into();
    let systemd = Some(Systemd { manager: SystemdManager::User, control_group, drivers: Drivers::default() });
    let helper = |name: &str| Some(format!("/usr/bin/{name}").into());
    let host = Host {
        caller: USER,
        id_map_helpers: IdMapHelpers { newuidmap: helper("newuidmap"), newgidmap: helper("newgidmap") },
        ..host(CgroupHost { systemd, ..at_login() })
    };
    check("podman-5.8-default", "user.subordinate-ids", &config, &host);
}

/// A user without subordinate ids and without a systemd of their own.
#[test]
fn plan_of_a_user_with_their_own_ids_alone() {
    let config = users("", json!([{"containerID": 0, "hostID": 1000, "size": 1}]));
    let no_cgroup_in = Some("/sys/fs/cgroup/user.slice/user-1000.slice".into());
    let host = Host { caller: USER, no_cgroup_in, ..host(at_login()) };
    check("podman-5.8-default", "user.own-ids", &config, &host);
}

/// Root of a user namespace that is there already, as rootlesskit and podman make it.
#[test]
fn plan_of_root_of_a_user_namespace() {
    let config = config_of("podman-5.8-default", |config| {
        config["linux"]["cgroupsPath"] = json!("");
        config["linux"]["resources"] = json!({});
    });
    let caller = Caller { in_user_namespace: true, ..Caller::ROOT };
    let no_cgroup_in = Some("/sys/fs/cgroup/user.slice/user-1000.slice".into());
    check(
        "podman-5.8-default",
        "user.namespace",
        &config,
        &Host { caller, no_cgroup_in, ..host(at_login()) },
    );
}

/// An ordinary user.
const USER: Caller = Caller { uid: 1000, gid: 1000, capabilities: 0, ..Caller::ROOT };

/// podman's default in a user namespace of its own with this map.
fn users(cgroups_path: &str, map: Value) -> Value {
    config_of("podman-5.8-default", |config| {
        config["linux"]["cgroupsPath"] = json!(cgroups_path);
        config["linux"]["resources"]["pids"] = json!({});
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        for mount in config["mounts"].as_array_mut().expect("a list") {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "gid=5");
            }
        }
    })
}

#[test]
fn a_plan_is_a_function_of_its_inputs() {
    for name in CONFIGS {
        let texts: Vec<String> = (0..2).map(|_| plan_of(name, v2()).explain()).collect();
        assert_eq!(texts[0], texts[1], "{name}");
    }
}

#[test]
fn steps_come_in_the_order_of_the_table_and_end_in_execute() {
    for (name, host) in CONFIGS.iter().flat_map(|name| [(name, v1()), (name, v2())]) {
        let plan = plan_of(name, host);
        assert!(plan.steps.is_sorted_by_key(|step| step.stage()), "{name}");
        assert!(program_of(&plan).is_some(), "{name}");
    }
}

#[test]
fn every_effect_on_the_host_follows_the_record_that_names_it() {
    for name in CONFIGS {
        let plan = plan_of(name, v1());
        assert_eq!(plan.steps.first().map(|step| step.stage()), Some(Stage::SaveRecord), "{name}");
    }
}

#[test]
fn every_protection_that_is_asked_for_is_in_the_plan() {
    let plan = plan_of("docker-28.5-run-default", v2());
    let count = |stage: Stage| plan.steps.iter().filter(|step| step.stage() == stage).count();
    let spec = spec_of("docker-28.5-run-default");
    let linux = spec.linux().unwrap();
    assert_eq!(count(Stage::MaskPath), linux.masked_paths().as_ref().unwrap().len());
    assert_eq!(count(Stage::ProtectPath), linux.readonly_paths().as_ref().unwrap().len());
    assert_eq!(count(Stage::Mount), spec.mounts().len());
    for stage in
        [Stage::InstallSeccomp, Stage::LimitBoundingSet, Stage::SetCapabilities, Stage::RestrictDevices]
    {
        assert_eq!(count(stage), 1, "{}", stage.name());
    }
}

#[test]
fn a_caller_that_wants_to_hear_of_readiness_gets_a_directory_a_mount_and_a_variable() {
    let planned = |start_at_once: bool, notify: bool| {
        let request = Request {
            start_at_once,
            notify_directory: notify.then(|| "/run/corten/web1/notify".into()),
            ..request()
        };
        plan_for("podman-5.8-default", request, v2())
    };
    let steps = |plan: &Plan| -> Vec<String> {
        let asked = plan.steps.iter().filter(|step| step.field == "NOTIFY_SOCKET");
        asked.map(|step| format!("{} {}", step.stage().name(), step.what()).trim().to_string()).collect()
    };
    let mount = "mount bind of /run/corten/web1/notify on /run/notify RDONLY|NOSUID|NODEV|NOEXEC";
    assert_eq!(steps(&planned(false, true)), ["make-notify-directory", mount]);
    assert_eq!(steps(&planned(true, true)), ["make-notify-directory", mount, "bind-notify-socket"]);
    assert_eq!(steps(&planned(true, false)), [""; 0]);
    let variables = |plan: &Plan| {
        let Some(program) = program_of(plan) else { return 0 };
        let is_ours =
            |entry: &&std::ffi::CString| entry.as_bytes() == b"NOTIFY_SOCKET=/run/notify/notify.sock";
        program.env.iter().filter(is_ours).count()
    };
    assert_eq!((variables(&planned(false, true)), variables(&planned(false, false))), (1, 0));
}

/// What the last step executes.
fn program_of(plan: &Plan) -> Option<&plan::Program> {
    match &plan.steps.last()?.action {
        Action::Init(ForInit::Execute(program)) => Some(program),
        _ => None,
    }
}

fn check_all(view: &str, cgroup: CgroupHost) {
    let host = host(cgroup);
    for name in CONFIGS {
        check(name, view, &config_of(name, |_| ()), &host);
    }
}

/// Compares the plan of a config with the file that keeps it.
fn check(name: &str, view: &str, config: &Value, host: &Host) {
    let spec = Spec::load(config.to_string().as_bytes()).expect("a spec");
    let now = plan::create(&spec, &request(), host).expect("a plan").explain();
    let path = here().join(format!("tests/plans/{name}.{view}.txt"));
    if std::env::var_os("UPDATE_PLANS").is_some() {
        std::fs::write(&path, &now).expect("a plan's file");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "the plan in {} has changed; UPDATE_PLANS=1 writes it anew", path.display());
}

fn plan_of(name: &str, cgroup: CgroupHost) -> Plan {
    plan_for(name, request(), cgroup)
}

fn request() -> Request {
    Request {
        id: "web1".into(),
        bundle: "/bundle".into(),
        rootfs: "/bundle/rootfs".into(),
        ..Request::default()
    }
}

fn plan_for(name: &str, request: Request, cgroup: CgroupHost) -> Plan {
    plan::create(&spec_of(name), &request, &host(cgroup)).expect("a plan")
}

/// A host that root calls the runtime on.
fn host(cgroup: CgroupHost) -> Host {
    let machine =
        Machine { apparmor: true, selinux: true, native: oci::Arch::ScmpArchX86_64, mount_setattr: true };
    Host {
        cgroup,
        machine,
        caller: Caller::ROOT,
        id_map_helpers: IdMapHelpers::default(),
        no_cgroup_in: None,
        resctrl: None,
    }
}

fn spec_of(name: &str) -> Spec {
    Spec::load(&text_of(name)).expect("a spec")
}

/// An engine's config, changed by `change`.
fn config_of(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut config = serde_json::from_slice(&text_of(name)).expect("JSON");
    change(&mut config);
    config
}

fn text_of(name: &str) -> Vec<u8> {
    let path = here().join(format!("../spec-tests/data/engine-configs/{name}.json"));
    std::fs::read(path).expect("a config")
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn v1() -> CgroupHost {
    let names =
        ["cpuset", "cpu,cpuacct", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "name=systemd"];
    let hierarchies = names
        .iter()
        .map(|names| Hierarchy {
            controllers: names.split(',').map(str::to_string).collect(),
            mountpoint: Path::new("/sys/fs/cgroup").join(names.trim_start_matches("name=")),
            own: PathBuf::new(),
        })
        .collect();
    CgroupHost { mode: Mode::V1 { hierarchies }, systemd: None }
}

fn v2() -> CgroupHost {
    v2_from("system.slice/runtime.service")
}

/// v2, seen from a login session.
fn at_login() -> CgroupHost {
    v2_from("user.slice/user-1000.slice/session-1.scope")
}

fn v2_from(own: &str) -> CgroupHost {
    let hierarchy =
        Hierarchy { controllers: vec![String::new()], mountpoint: "/sys/fs/cgroup".into(), own: own.into() };
    let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"].map(String::from).to_vec();
    CgroupHost { mode: Mode::V2 { hierarchy, controllers }, systemd: None }
}

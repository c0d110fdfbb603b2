//! Plans as text: what real engines' configs lead to, on a v1 and on a v2 host.
//!
//! A change of behaviour shows as a change of a file in `tests/plans/`. `UPDATE_PLANS=1 cargo test --test plans` writes
//! them anew; the diff is for the reviewer.

use std::path::{Path, PathBuf};

use corten::internals::plan::cgroup::host::{CgroupHost, Hierarchy, Mode};
use corten::internals::plan::{
    self, Action, Caller, ForInit, Host, IdMapHelpers, Machine, Plan, Request, Stage,
};
use corten::internals::spec::{Spec, oci};

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

fn check_all(view: &str, host: CgroupHost) {
    let mut differing = Vec::new();
    for name in CONFIGS {
        let path = here().join(format!("tests/plans/{name}.{view}.txt"));
        let now = plan_of(name, host.clone()).explain();
        if std::env::var_os("UPDATE_PLANS").is_some() {
            std::fs::write(&path, &now).expect("a plan's file");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != now {
            differing.push(path);
        }
    }
    assert!(differing.is_empty(), "these plans changed: {differing:?}; UPDATE_PLANS=1 writes them anew");
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
    let machine =
        Machine { apparmor: true, selinux: true, native: oci::Arch::ScmpArchX86_64, mount_setattr: true };
    let host = Host {
        cgroup,
        machine,
        caller: Caller::ROOT,
        id_map_helpers: IdMapHelpers::default(),
        no_cgroup_in: None,
        resctrl: None,
    };
    plan::create(&spec_of(name), &request, &host).expect("a plan")
}

fn spec_of(name: &str) -> Spec {
    let path = here().join(format!("../spec-tests/data/engine-configs/{name}.json"));
    Spec::load(&std::fs::read(path).expect("a config")).expect("a spec")
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
    let hierarchy = Hierarchy {
        controllers: vec![String::new()],
        mountpoint: "/sys/fs/cgroup".into(),
        own: "system.slice/runtime.service".into(),
    };
    let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"].map(String::from).to_vec();
    CgroupHost { mode: Mode::V2 { hierarchy, controllers }, systemd: None }
}

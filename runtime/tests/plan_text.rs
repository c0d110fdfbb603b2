//! A plan that reads the same acts the same: `corten plan` tells all that a start will do.
//!
//! Random configs, each beside one that differs in one place. `apply` performs the steps and looks at nothing else, so
//! what a plan does is its steps, and what it says is its text.

use std::collections::BTreeSet;
use std::path::PathBuf;

use corten::internals::plan::cgroup::host::{CgroupHost, Drivers, Hierarchy, Mode, Systemd, SystemdManager};
use corten::internals::plan::cgroup::{Manager, RecordedUnit, Rootless, UsersUnit};
use corten::internals::plan::seccomp;
use corten::internals::plan::{
    self, Caller, Exec, Host, IdMapHelpers, Machine, NamespaceFlags, Plan, RdtGroup, Request, Stage,
};
use corten::internals::spec::{Spec, oci};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use serde_json::{Value, json};

/// Without these there is no plan.
const REQUIRED: [&str; 12] = [
    "/ociVersion",
    "/root",
    "/root/path",
    "/process",
    "/process/args",
    "/process/cwd",
    "/process/user",
    "/mounts",
    "/linux",
    "/linux/namespaces",
    "/linux/uidMappings",
    "/linux/gidMappings",
];

/// Words that turn up in lists of strings, most of them options of mounts.
const WORDS: [&str; 24] = [
    "ro",
    "rw",
    "rslave",
    "shared",
    "unbindable",
    "tmpcopyup",
    "nosuid",
    "suid",
    "rro",
    "rnodev",
    "ridmap",
    "idmap",
    "mode=700",
    "size=1m,nr_inodes=9",
    "noatime",
    "strictatime",
    "nosymfollow",
    "bind",
    "rbind",
    "remount",
    "CAP_SYS_ADMIN",
    "CAP_CHOWN",
    "A=1",
    "two words",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plans_that_read_the_same_act_the_same(mut random in Random::any()) {
        let view = random.below(VIEWS.len());
        let one = random.config();
        let other = random.changed(one.clone());
        let (one_request, mut other_request) = (random.request(), Request::default());
        other_request.clone_from(&one_request);
        if random.below(4) == 0 {
            other_request = random.request();
        }
        let plans = planned(&one, &one_request, view).zip(planned(&other, &other_request, view));
        if let Some((one, other)) = plans {
            if one.explain() == other.explain() {
                let differing = deeds(&one).into_iter().zip(deeds(&other)).find(|(one, other)| one != other);
                prop_assert!(differing.is_none(), "told by no word: {:#?}", differing);
            }
        }
    }
}

/// Without this the property would say nothing of a step that no config here asks for.
#[test]
fn the_configs_between_them_ask_for_every_step() {
    let mut random = Random(TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha));
    let mut seen = BTreeSet::new();
    for _ in 0..400 {
        let (config, request) = (random.config(), random.request());
        let plans = VIEWS.map(|view| [planned(&config, &request, view), joining(&config, &request, view)]);
        for plan in plans.iter().flatten() {
            seen.extend(plan.iter().flat_map(|plan| plan.steps.iter().map(|step| step.stage())));
        }
    }
    let unseen: Vec<_> =
        Stage::ALL.iter().filter(|stage| !seen.contains(stage)).map(|stage| stage.name()).collect();
    assert_eq!(unseen, [""; 0]);
}

/// Puts in the place of each text one that could be taken for words of the plan: wherever it comes up, it is in quotes.
#[test]
fn no_text_of_a_config_reads_as_a_word_of_the_plan() {
    let mut random = Random(TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha));
    let mut told = BTreeSet::new();
    for (pointer, text) in texts(&rich()) {
        for odd in ["odd (x), with y # z", "odd\nline"] {
            for namespaces in namespaces() {
                let mut config = rich();
                config["linux"]["namespaces"] = namespaces;
                if let Some(value) = config.pointer_mut(&pointer) {
                    *value = json!(format!("{text}{odd}"));
                }
                let request = random.request();
                for plan in VIEWS.iter().filter_map(|view| planned(&config, &request, *view)) {
                    for line in plan.explain().lines() {
                        assert!(!line.starts_with("line"), "{pointer}: a line of its own");
                        let Some(at) = line.find("odd") else { continue };
                        told.insert(pointer.clone());
                        let quotes = line[..at].matches('"').count();
                        // What is written into a cgroup's file ends where the field that asked for it stands.
                        let is_cgroup_value = pointer.starts_with("/linux/resources/") && line.ends_with(')');
                        assert!(quotes % 2 == 1 || is_cgroup_value, "{pointer}: {line}");
                    }
                }
            }
        }
    }
    for known in ["/hostname", "/mounts/6/type", "/linux/cgroupsPath", "/linux/resources/cpu/cpus"] {
        assert!(told.contains(known), "{known} not among {told:?}");
    }
}

/// All texts of a config, with their pointers.
fn texts(config: &Value) -> Vec<(String, String)> {
    let all = leaves(config).into_iter();
    all.filter_map(|pointer| {
        let text = config.pointer(&pointer)?.as_str()?.to_owned();
        Some((pointer, text))
    })
    .collect()
}

/// What a plan does.
fn deeds(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|step| format!("{:?}", step.action)).collect()
}

fn planned(config: &Value, request: &Request, view: usize) -> Option<Plan> {
    let config = if host(view).caller.administers() { config.clone() } else { for_a_user(config.clone()) };
    let spec = Spec::load(config.to_string().as_bytes()).ok()?;
    plan::create(&spec, request, &host(view)).ok()
}

/// What is left of a config without what takes root.
fn for_a_user(mut config: Value) -> Value {
    for field in ["/linux/netDevices", "/linux/timeOffsets", "/process/user/additionalGids"] {
        remove(&mut config, field);
    }
    if let Some(mounts) = config["mounts"].as_array_mut() {
        mounts.retain(|mount| mount.get("uidMappings").is_none());
    }
    if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "time");
    }
    config
}

fn joining(config: &Value, request: &Request, view: usize) -> Option<Plan> {
    let spec = Spec::load(config.to_string().as_bytes()).ok()?;
    let linux = spec.linux();
    let profile = linux.and_then(|linux| linux.seccomp().as_ref());
    let filter = profile.map(|profile| seccomp::compile(profile, host(0).machine.native)).transpose().ok()?;
    let process = spec.process()?;
    let filter = filter.map(std::rc::Rc::new);
    let namespaces = NamespaceFlags(spec.namespaces().private_flags());
    let rdt_group = Some(RdtGroup { path: "/sys/fs/resctrl/gold".into(), own: false, monitor: None });
    let unit = RecordedUnit { name: "odd.scope".into(), manager: SystemdManager::User };
    let users_unit = host(view).caller.is_rootless().then_some(UsersUnit { unit, moves: view == 3 });
    let exec = Exec { process, spec: &spec, filter, namespaces, rdt_group, users_unit, request };
    plan::exec(&exec, &host(view).machine, host(view).caller).ok()
}

/// Root on cgroup v1, root without CAP_SYS_RESOURCE on v2, and a user on v1, who may make no cgroup, and on v2.
const VIEWS: [usize; 4] = [0, 1, 2, 3];

fn host(view: usize) -> Host {
    let hierarchy = |controllers: &[&str]| Hierarchy {
        controllers: controllers.iter().map(ToString::to_string).collect(),
        mountpoint: format!("/sys/fs/cgroup/{}", controllers.join(",")).trim_end_matches('/').into(),
        own: "own".into(),
    };
    let v1 =
        ["cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb"].map(|name| hierarchy(&[name]));
    let mode = if view % 2 == 0 {
        Mode::V1 { hierarchies: [v1.as_slice(), &[hierarchy(&["cpu", "cpuacct"])]].concat() }
    } else {
        let controllers =
            ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"].map(String::from).to_vec();
        Mode::V2 { hierarchy: hierarchy(&[""]), controllers }
    };
    let manager = if view == 2 { SystemdManager::User } else { SystemdManager::System };
    let systemd = Some(Systemd {
        manager,
        control_group: if view == 2 { "user".into() } else { PathBuf::new() },
        drivers: Drivers::default(),
    });
    let machine =
        Machine { apparmor: true, selinux: true, native: oci::Arch::ScmpArchX86_64, mount_setattr: true };
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    let caller = match view {
        0 => Caller::ROOT,
        1 => Caller { capabilities: !CAP_SYS_RESOURCE, ..Caller::ROOT },
        _ => Caller { uid: 1000, gid: 1000, capabilities: 0, ..Caller::ROOT },
    };
    let helper = |name: &str| Some(format!("/usr/bin/{name}").into());
    Host {
        cgroup: CgroupHost { mode, systemd },
        machine,
        caller,
        id_map_helpers: IdMapHelpers { newuidmap: helper("newuidmap"), newgidmap: helper("newgidmap") },
        no_cgroup_in: (view == 2).then(|| "/sys/fs/cgroup/memory/own".into()),
        resctrl: Some("/sys/fs/resctrl".into()),
    }
}

/// A source of choices.
#[derive(Debug)]
struct Random(TestRng);

impl Random {
    fn any() -> impl Strategy<Value = Random> {
        Just(()).prop_perturb(|(), rng| Random(rng))
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u32() as usize) % bound.max(1)
    }

    fn one_of<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    fn request(&mut self) -> Request {
        let path = |text: &str| Some(text.into());
        let mut flag = || self.below(3) == 0;
        Request {
            id: "web1".into(),
            bundle: "/bundle".into(),
            rootfs: "/bundle/rootfs".into(),
            cgroup_manager: if flag() { Manager::Cgroupfs } else { Manager::ByPath },
            rootless: Rootless::Auto,
            no_pivot: flag(),
            no_new_keyring: flag(),
            start_at_once: flag(),
            terminal_relayed: flag(),
            console_socket: if flag() { path("/tmp/console") } else { None },
            preserve_fds: flag().into(),
            listen_fds: flag().into(),
            notify_directory: if flag() { path("/run/corten/web1/notify") } else { None },
            cgroups: if flag() { vec![("pids".into(), "below".into())] } else { Vec::new() },
            pid_file: if flag() { path("/tmp/pid") } else { None },
            pidfd_socket: if flag() { path("/tmp/socket") } else { None },
        }
    }

    /// A config that asks for some of all that can be asked for.
    fn config(&mut self) -> Value {
        let mut config = rich();
        config["linux"]["namespaces"] = self.one_of(&namespaces());
        let has_new = |kind: &str| {
            config["linux"]["namespaces"].as_array().iter().any(|list| list.contains(&json!({"type": kind})))
        };
        let (user, time, mount) = (has_new("user"), has_new("time"), has_new("mount"));
        if !user {
            remove(&mut config, "/linux/uidMappings");
            remove(&mut config, "/linux/gidMappings");
        }
        if !mount {
            for field in ["maskedPaths", "readonlyPaths", "rootfsPropagation"] {
                remove(&mut config, &format!("/linux/{field}"));
            }
        }
        if !time {
            remove(&mut config, "/linux/timeOffsets");
        }
        if self.below(2) == 0 {
            config["linux"]["cgroupsPath"] = json!("a-b.slice:docker:web1");
            config["annotations"]["org.systemd.property.TimeoutStopSec"] = json!("5");
        }
        if self.below(2) == 0 {
            config["linux"]["seccomp"]["syscalls"][1]["action"] = json!("SCMP_ACT_LOG");
        }
        if self.below(2) == 0 {
            config["linux"]["seccomp"]["defaultAction"] = json!("SCMP_ACT_ALLOW");
            config["linux"]["resources"]["pids"]["limit"] = json!(1);
        }
        let optional =
            |pointer: &String| pointer.matches('/').count() <= 2 && !REQUIRED.contains(&pointer.as_str());
        for pointer in leaves(&config).into_iter().filter(optional) {
            if self.below(4) == 0 {
                remove(&mut config, &pointer);
            }
        }
        config
    }

    /// The same but for one place.
    fn changed(&mut self, mut config: Value) -> Value {
        let pointer = self.one_of(&leaves(&config));
        if self.below(6) == 0 {
            remove(&mut config, &pointer);
        } else if let Some(value) = config.pointer_mut(&pointer) {
            let word = self.word();
            let changed = match value.clone() {
                Value::Bool(set) => json!(!set),
                Value::Number(number) => {
                    self.one_of(&[json!(number.as_i64().unwrap_or(0) + 1), json!(0), json!(7)])
                }
                Value::String(text) => {
                    json!(self.one_of(&[format!("{text}x"), format!("{text} x"), word]))
                }
                Value::Array(mut items) => {
                    match self.below(3) {
                        0 => items.push(json!(word)),
                        1 => items.reverse(),
                        _ => items.extend(items.first().cloned()),
                    }
                    json!(items)
                }
                Value::Object(mut fields) => {
                    fields.insert("a b".into(), json!("c"));
                    json!(fields)
                }
                Value::Null => json!(word),
            };
            *value = changed;
        }
        config
    }

    fn word(&mut self) -> String {
        self.one_of(&WORDS).into()
    }
}

/// The pointers of all values below the top.
fn leaves(value: &Value) -> Vec<String> {
    let below = |name: &str, value: &Value| -> Vec<String> {
        let name = name.replace('~', "~0").replace('/', "~1");
        let inner = leaves(value).into_iter().map(|inner| format!("/{name}{inner}"));
        std::iter::once(format!("/{name}")).chain(inner).collect()
    };
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(name, value)| below(name, value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(at, value)| below(&at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    }
}

fn remove(config: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match config.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            let at = name.parse().unwrap_or(usize::MAX);
            if at < items.len() {
                items.remove(at);
            }
        }
        _ => {}
    }
}

fn namespaces() -> Vec<Value> {
    let new = |kinds: &[&str]| kinds.iter().map(|kind| json!({"type": kind})).collect::<Vec<_>>();
    let all = new(&["pid", "network", "ipc", "uts", "mount", "cgroup", "time"]);
    let without_mount: Vec<Value> = all.iter().filter(|entry| entry["type"] != "mount").cloned().collect();
    let with_user = [all.clone(), new(&["user"])].concat();
    let joined = json!([
        {"type": "mount"}, {"type": "pid", "path": "/proc/1/ns/pid"}, {"type": "user", "path": "/proc/1/ns/user"},
        {"type": "network", "path": "/run/netns/a b"}, {"type": "uts"}, {"type": "ipc"},
    ]);
    let pod =
        [new(&["mount", "uts", "ipc", "network"]), vec![json!({"type": "pid", "path": "/proc/1/ns/pid"})]]
            .concat();
    let pod_with_user = [pod.clone(), new(&["user"])].concat();
    [json!(all), json!(with_user), joined, json!(without_mount), json!(pod), json!(pod_with_user)].into()
}

/// A config that asks for all that can be asked for.
fn rich() -> Value {
    serde_json::from_str(include_str!("plan_text.json")).expect("JSON")
}

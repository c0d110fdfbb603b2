//! Our specs beside those that Docker 28.5 made for the same flags on a v1 host, part by part.
//!
//! What differs on purpose: Docker says the device rules twice, and sets fields to what they are anyway.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::model::types::{Device, Ulimit};
use crate::model::values::Bytes;

/// The case that Docker's file of that name was made by.
struct Case {
    file: &'static str,
    service: Service,
    binds: Vec<Bind>,
    joined: Joined,
    hostname: &'static str,
}

impl Case {
    fn of(file: &'static str) -> Case {
        let service = Service { command: Some(words("sleep 1000")), ..Service::default() };
        Case { file, service, binds: Vec::new(), joined: Joined::default(), hostname: "host" }
    }

    fn ours(&self) -> Value {
        serde_json::to_value(spec(self)).unwrap()
    }

    fn dockers(&self) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec-tests/data/engine-configs");
        let path = path.join(format!("docker-28.5-run-{}.json", self.file));
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
    }

    /// Compares all that is Docker's default in both, after what is accidental is taken off.
    fn check(&self) {
        let (ours, dockers) = (self.ours(), self.dockers());
        for pointer in [
            "/process/terminal",
            "/process/user",
            "/process/noNewPrivileges",
            "/process/rlimits",
            "/process/oomScoreAdj",
            "/process/cwd",
            "/root/readonly",
            "/linux/sysctl",
            "/linux/namespaces",
            "/linux/maskedPaths",
            "/linux/readonlyPaths",
            "/linux/resources/cpu",
            "/linux/resources/pids",
            "/linux/resources/memory/limit",
            "/linux/resources/memory/swap",
        ] {
            assert_eq!(ours.pointer(pointer), dockers.pointer(pointer), "{}: {pointer}", self.file);
        }
        for set in ["bounding", "effective", "permitted"] {
            let held = |spec: &Value| sorted(&spec["process"]["capabilities"][set]);
            assert_eq!(held(&ours), held(&dockers), "{}: {set}", self.file);
        }
        assert_eq!(mounts(&ours), mounts(&dockers), "{}: mounts", self.file);
        assert_eq!(rules(&ours), rules(&dockers), "{}: device rules", self.file);
        assert_eq!(calls(&ours), calls(&dockers), "{}: seccomp", self.file);
        let rest = |spec: &Value| {
            let seccomp = &spec["linux"]["seccomp"];
            ["defaultAction", "defaultErrnoRet", "architectures"].map(|key| seccomp[key].clone())
        };
        assert_eq!(rest(&ours), rest(&dockers), "{}: seccomp", self.file);
    }
}

fn spec(case: &Case) -> oci::Spec {
    let image = image::Config::default();
    let devices = |path: &str| {
        let device = oci::Device {
            path: path.to_owned(),
            kind: 'c',
            major: 10,
            minor: 229,
            file_mode: 0o600,
            uid: 0,
            gid: 0,
        };
        Ok(vec![device])
    };
    let inputs = Inputs {
        id: "0123",
        service: &case.service,
        image: &image,
        user: user::Accounts::default().find("", &[]).unwrap(),
        hostname: case.hostname,
        files: Some(Path::new("/files")),
        binds: &case.binds,
        joined: case.joined,
        hooks: None,
        annotations: BTreeMap::new(),
        host: &Host {
            recursive_readonly: true,
            capabilities: u64::MAX,
            init: Some("/usr/bin/docker-init".to_owned()),
            ..Host::default()
        },
        devices: &devices,
    };
    build(&inputs).unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn sorted(list: &Value) -> Vec<Value> {
    let mut list = list.as_array().cloned().unwrap_or_default();
    list.sort_by_key(Value::to_string);
    list
}

/// By their destinations; the files without their places on the host, and without the /dev/shm of an IPC namespace that
/// is joined: Docker has a path of the host to it, and here the hook mounts it.
fn mounts(spec: &Value) -> BTreeMap<String, Value> {
    let mut namespaces = spec["linux"]["namespaces"].as_array().unwrap().iter();
    let joins_ipc = namespaces.any(|one| one["type"] == "ipc" && !one["path"].is_null());
    let mounts = spec["mounts"].as_array().unwrap().iter().cloned();
    let mounts = mounts.filter(|mount| !(joins_ipc && mount["destination"] == "/dev/shm"));
    let by_destination = mounts.map(|mut mount| {
        let destination = mount["destination"].as_str().unwrap().to_owned();
        if destination.starts_with("/etc/") {
            mount["source"] = json!("");
        }
        if let Some(options) = mount["options"].as_array_mut() {
            options.sort_by_key(Value::to_string);
        }
        (destination, mount)
    });
    by_destination.collect()
}

/// The rules in their order, each once.
fn rules(spec: &Value) -> Vec<Value> {
    let rules = spec["linux"]["resources"]["devices"].as_array().unwrap();
    let mut once: Vec<Value> = Vec::new();
    rules.iter().for_each(|rule| {
        if !once.contains(rule) {
            once.push(rule.clone());
        }
    });
    once
}

/// What each call may do: its actions with their conditions.
fn calls(spec: &Value) -> BTreeMap<String, Vec<String>> {
    let mut calls: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for rule in spec["linux"]["seccomp"]["syscalls"].as_array().into_iter().flatten() {
        for name in rule["names"].as_array().unwrap() {
            let does = format!("{} {} {}", rule["action"], rule["errnoRet"], rule["args"]);
            let rules = calls.entry(name.as_str().unwrap().to_owned()).or_default();
            rules.push(does);
            rules.sort_unstable();
            rules.dedup();
        }
    }
    calls
}

#[test]
fn the_default_is_dockers() {
    Case::of("default").check();
}

#[test]
fn what_is_privileged_has_what_dockers_has() {
    let mut case = Case::of("privileged");
    case.service.privileged = true;
    // Docker had run in a container without CAP_SYS_RESOURCE.
    let mut dockers = case.dockers();
    for set in ["bounding", "effective", "permitted"] {
        dockers["process"]["capabilities"][set].as_array_mut().unwrap().push(json!("CAP_SYS_RESOURCE"));
        assert_eq!(
            sorted(&case.ours()["process"]["capabilities"][set]),
            sorted(&dockers["process"]["capabilities"][set])
        );
    }
    assert_eq!(mounts(&case.ours()), mounts(&dockers));
    assert_eq!(calls(&case.ours()), calls(&dockers));
    assert_eq!(case.ours()["linux"]["maskedPaths"], dockers["linux"]["maskedPaths"]);
    assert_eq!(rules(&case.ours()), [json!({"allow": true, "access": "rwm"})]);
}

#[test]
fn joined_namespaces_are_as_dockers() {
    let mut case = Case::of("joined-namespaces");
    case.joined = Joined { network: Some(573), pid: Some(573), ipc: Some(573) };
    case.check();
    assert_eq!(case.ours()["annotations"], json!({"corten.compose/shared-memory-of": "573"}));
    case.service.tmpfs = vec!["/dev/shm:size=1m".to_owned()];
    assert_eq!(case.ours()["annotations"], Value::Null);
}

#[test]
fn mounts_limits_and_rules_are_as_dockers() {
    let mut case = Case::of("mounts");
    case.service.tmpfs = vec!["/t:mode=1770,size=1m".to_owned()];
    case.service.mem_limit = Some(Bytes(64 << 20));
    case.service.oom_kill_disable = true;
    case.service.device_cgroup_rules = vec!["c 42:* rwm".to_owned()];
    case.binds = vec![Bind {
        source: "/tmp".to_owned(),
        target: "/d".to_owned(),
        read_only: true,
        propagation: None,
        recursive: None,
        ..Bind::default()
    }];
    case.check();
}

#[test]
fn options_are_as_dockers() {
    let mut case = Case::of("options");
    case.hostname = "h";
    case.service = Service {
        command: Some(words("sleep 100")),
        tty: true,
        init: Some(true),
        read_only: true,
        cap_add: words("net_admin"),
        cap_drop: words("MKNOD"),
        security_opt: words("no-new-privileges"),
        ulimits: BTreeMap::from([(
            "nofile".to_owned(),
            Ulimit { soft: 1024, hard: 1024, ..Ulimit::default() },
        )]),
        devices: vec![Device { source: "/dev/fuse".to_owned(), ..Device::default() }],
        tmpfs: words("/scratch"),
        cpus: Some(0.5),
        mem_limit: Some(Bytes(64 << 20)),
        pids_limit: Some(50),
        shm_size: Some(Bytes(32 << 20)),
        sysctls: BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "1".to_owned())]),
        ..Service::default()
    };
    case.binds = vec![Bind {
        source: "/var/lib/vol".to_owned(),
        target: "/data".to_owned(),
        read_only: false,
        propagation: None,
        recursive: None,
        ..Bind::default()
    }];
    case.check();
    let (ours, dockers) = (case.ours(), case.dockers());
    for pointer in ["/process/args", "/process/env", "/linux/devices", "/hostname"] {
        assert_eq!(ours.pointer(pointer), dockers.pointer(pointer), "{pointer}");
    }
}

#[test]
fn the_images_command_goes_with_the_images_entrypoint() {
    let image = image::Config { entrypoint: words("/entry"), cmd: words("a b"), ..image::Config::default() };
    let command = |entrypoint: Option<&str>, command: Option<&str>| {
        let service =
            Service { entrypoint: entrypoint.map(words), command: command.map(words), ..Service::default() };
        process::command(&service, &image).join(" ")
    };
    assert_eq!(command(None, None), "/entry a b");
    assert_eq!(command(None, Some("c")), "/entry c");
    assert_eq!(command(Some("/mine"), None), "/mine");
    assert_eq!(command(Some("/mine"), Some("c")), "/mine c");
}

#[test]
fn a_user_that_is_not_root_holds_no_capability() {
    let capabilities = ["CAP_CHOWN".to_owned()];
    let user = oci::User { uid: 1000, ..oci::User::default() };
    let held = process::held_by(&user, &capabilities);
    assert_eq!((held.bounding.len(), held.effective.len(), held.permitted.len()), (1, 0, 0));
}

#[test]
fn an_option_that_would_protect_is_never_passed_over() {
    let service = Service { security_opt: words("seccomp=/profile.json"), ..Service::default() };
    let err = security::of(&service, &[], &Host::default()).unwrap_err();
    assert_eq!(err.to_string(), "security_opt: \"seccomp=/profile.json\": can't be done here");
    let option = |text: &str, apparmor| {
        let service = Service { security_opt: vec![text.to_owned()], ..Service::default() };
        let of = security::of(&service, &[], &Host { apparmor, ..Host::default() });
        of.map(|security| security.apparmor_profile).map_err(|err| err.to_string())
    };
    for (text, apparmor, profile) in [
        ("apparmor:unconfined", false, ""),
        ("apparmor=docker-default", false, ""),
        ("apparmor:unconfined", true, "unconfined"),
        ("apparmor=mine", true, "mine"),
    ] {
        assert_eq!(option(text, apparmor).as_deref(), Ok(profile), "{text}");
    }
    let none = "security_opt: apparmor=mine: this host has no AppArmor";
    assert_eq!(option("apparmor=mine", false).unwrap_err(), none);
    let told = option("seccomp={", false).unwrap_err();
    assert!(told.starts_with("security_opt: Decoding seccomp profile failed: "), "{told}");
    assert_eq!(option(r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#, false).as_deref(), Ok(""));
    let service = Service { cap_drop: words("NET_RAV"), ..Service::default() };
    let err = capabilities::granted(&service, u64::MAX).unwrap_err();
    assert_eq!(err.to_string(), "cap_drop: \"NET_RAV\": no such capability");
}

#[test]
fn no_container_has_more_capabilities_than_who_makes_it() {
    let (chown, net_raw) = (1, 1 << 13);
    let granted = |service: Service| capabilities::granted(&service, chown | net_raw);
    let both = ["CAP_CHOWN", "CAP_NET_RAW"];
    assert_eq!(granted(Service::default()).unwrap(), both);
    assert_eq!(granted(Service { privileged: true, ..Service::default() }).unwrap(), both);
    assert_eq!(granted(Service { cap_add: words("ALL"), ..Service::default() }).unwrap(), both);
    let err = granted(Service { cap_add: words("sys_admin"), ..Service::default() }).unwrap_err();
    let expected = "cap_add: capability not supported by your kernel or not available in the current \
                    environment: \"CAP_SYS_ADMIN\"";
    assert_eq!(err.to_string(), expected);
    let without = Service { cap_drop: words("sys_admin"), ..Service::default() };
    assert_eq!(granted(without).unwrap(), both, "what nobody has is dropped");
}

//! A container's cgroup in a test, views of cgroups, and checks that hold in every view.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use corten::internals::apply::cgroup::{Cgroup, CreatedCgroup, create};
use corten::internals::plan::cgroup::host::{CgroupHost, Mode};
use corten::internals::plan::cgroup::{Asked, Driver, Manager, Plan, decide, decide_update};
use corten::internals::probe;
use nix::poll::{PollFd, PollFlags, poll};
use oci_spec::runtime::LinuxResources;

use super::processes::{Process, move_into, shell, sleeper};

/// One container's cgroup; what is left of it at the end is removed.
pub struct Test {
    pub host: CgroupHost,
    pub path: PathBuf,
    pub plan: Plan,
}

impl Test {
    pub fn on_v1(name: &str, resources: &str) -> Option<Test> {
        Test::new(name, resources, |mode| matches!(mode, Mode::V1 { .. }))
    }

    fn new(name: &str, json: &str, fits: fn(&Mode) -> bool) -> Option<Test> {
        if !nix::unistd::geteuid().is_root() {
            skip("only root can make cgroups");
            return None;
        }
        let host = probe::cgroups().unwrap();
        if !fits(&host.mode) {
            skip("this machine has another version of cgroups");
            return None;
        }
        let path = PathBuf::from(format!("/corten-test-{}-{name}/c", std::process::id()));
        let plan = decide(asked(&path, &resources(json)), &host).unwrap();
        Some(Test { host, path, plan })
    }

    pub fn cgroup(&self) -> Cgroup {
        Cgroup::open(self.plan.paths())
    }

    /// Moves a process into it.
    pub fn enter(&self, pid: i32) {
        self.plan.paths().iter().for_each(|(_, path)| move_into(path, pid));
    }

    pub fn dir(&self, controller: &str) -> PathBuf {
        self.plan.paths().get(controller).unwrap().to_owned()
    }

    pub fn text(&self, controller: &str, file: &str) -> String {
        read(&self.dir(controller).join(file))
    }

    pub fn has(&self, controller: &str) -> bool {
        matches!(&self.plan.driver, Driver::Own { enable, .. } if enable.iter().any(|name| name == controller))
    }

    pub fn update(&self, json: &str) -> corten::error::Result<()> {
        let writes = decide_update(&self.plan.paths(), &resources(json), &self.host)?;
        self.cgroup().update(&writes, || Ok(()))
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        let _ = self.cgroup().kill_all();
        let _ = self.cgroup().remove();
        for dir in &self.plan.dirs {
            let parent = dir.path.parent().unwrap();
            let _ = std::fs::remove_dir(parent);
            if !std::thread::panicking() {
                assert!(!parent.exists(), "{} is left behind", parent.display());
            }
        }
    }
}

/// Runs `body` with cgroups as v2 shows them, in a process of its own.
pub fn on_v2(name: &str, resources: &str, body: impl FnOnce(&Test)) {
    let view = "umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup";
    in_namespace(name, view, || {
        if let Some(test) = Test::new("v2", resources, |mode| matches!(mode, Mode::V2 { .. })) {
            body(&test);
        }
    });
}

/// Runs `body`, the body of test `name`, in a process of its own whose mount namespace `setup` has changed.
pub fn in_namespace(name: &str, setup: &str, body: impl FnOnce()) {
    const INSIDE: &str = "CORTEN_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can change its mounts");
    }
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg(format!("{setup} && exec \"$0\" --exact {name} --nocapture --test-threads=1"))
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    print!("{stdout}");
    for line in stderr.lines().filter(|line| line.starts_with("skipped")) {
        // Past libtest's capture, as in the process that said it.
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
}

pub fn skip(why: &str) {
    spec_tests::skip::record(why);
}

pub fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display())).trim().to_owned()
}

/// Sets all limits and restricts devices, as a supervisor does.
pub fn limit_all(cgroup: &CreatedCgroup, plan: &Plan) {
    cgroup.limit_resources(plan).unwrap();
    let program = cgroup.load_device_program(plan).unwrap();
    cgroup.restrict_devices(plan, program).unwrap();
}

pub fn readable(watch: &corten::internals::apply::cgroup::OomWatch) -> bool {
    let fd = std::os::fd::AsFd::as_fd(watch);
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], 5000u16).unwrap() == 1
}

pub fn assert_used_cgroup_is_refused(test: &Test) {
    create(&test.plan).unwrap();
    let sleeper = sleeper();
    test.enter(sleeper.id());
    let err = create(&test.plan).map(drop).unwrap_err().to_string();
    assert!(err.starts_with("create cgroup /sys/fs/cgroup/"), "{err}");
    assert!(err.ends_with("container's cgroup is not empty: 1 process(es) found"), "{err}");
    // What was there before stays.
    assert_eq!(test.cgroup().pids().unwrap(), [sleeper.id()]);
}

pub fn assert_frozen_cgroup_is_refused(test: &Test) {
    create(&test.plan).unwrap();
    test.cgroup().freeze().unwrap();
    let err = create(&test.plan).map(drop).unwrap_err().to_string();
    assert!(err.ends_with("container's cgroup unexpectedly frozen"), "{err}");
    test.cgroup().thaw().unwrap();
    create(&test.plan).unwrap();
}

/// A process of the cgroup may use /dev/null and may make a node of /dev/kmsg, and may not open that.
pub fn assert_opens_only_allowed_devices(test: &Test) {
    let node = std::env::temp_dir().join(format!("corten-kmsg-{}", std::process::id()));
    let enter_and = |script: &str| {
        let mut process = Process(shell(script).stderr(Stdio::null()).spawn().unwrap());
        test.enter(process.id());
        process.go_on();
        process.wait().success()
    };
    assert!(enter_and("exec 3<>/dev/null"));
    assert!(enter_and(&format!("mknod {} c 1 11", node.display())));
    assert!(std::fs::File::open(&node).is_ok());
    assert!(!enter_and(&format!("exec 3<{}", node.display())));
    std::fs::remove_file(&node).unwrap();
}

/// A cgroup at `path`, with limits.
pub fn asked<'a>(path: &'a Path, resources: &'a LinuxResources) -> Asked<'a> {
    Asked {
        manager: Manager::Cgroupfs,
        id: "c",
        path: Some(path),
        resources: Some(resources),
        annotations: None,
        is_rootless: false,
        refused: None,
    }
}

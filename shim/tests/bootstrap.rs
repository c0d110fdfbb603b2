//! `start`, `delete`, `-info` and `-v`, as containerd runs them: the real file, its streams, and what is on disk then.
//!
//! A listener of the test's own stands in for a server where a server has to be alive.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use containerd_shim_protos::api::DeleteResponse;
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult, Extension};
use containerd_shim_protos::shim::oci;
use containerd_shim_protos::types::introspection::RuntimeInfo;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use protobuf::Message;
use protobuf::well_known_types::any::Any;

const SHIM: &str = env!("CARGO_BIN_EXE_containerd-shim-corten-v2");
const CONFIG: &str = r#"{"ociVersion":"1.0.2","process":{"args":["true"]},"annotations":{}}"#;

/// A directory with bundles and sockets in it, which goes with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        // Short: a socket's path has room for 41 bytes of directory.
        let dir = PathBuf::from(format!("/tmp/cs{}{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        Place(dir)
    }

    fn bundle(&self, id: &str, config: &str) -> PathBuf {
        let bundle = self.0.join(id);
        fs::create_dir_all(bundle.join("rootfs")).expect("a bundle");
        fs::write(bundle.join("config.json"), config).expect("a config");
        bundle
    }

    fn sockets(&self) -> PathBuf {
        self.0.join("s")
    }

    /// What containerd 2.3 sends.
    fn params(&self, id: &str) -> BootstrapParams {
        BootstrapParams {
            instance_id: id.into(),
            namespace: "ns".into(),
            containerd_grpc_address: self.grpc(),
            socket_dir: Some(self.sockets().to_str().expect("a plain path").into()),
            ..BootstrapParams::default()
        }
    }

    /// An address that no containerd has.
    fn grpc(&self) -> String {
        format!("{}/containerd.sock", self.0.display())
    }

    fn run(&self, id: &str, stdin: &[u8], more: &[&str]) -> Output {
        let mut command = Command::new(SHIM);
        command.args([
            "-namespace",
            "ns",
            "-address",
            &self.grpc(),
            "-publish-binary",
            "/bin/true",
            "-id",
            id,
        ]);
        command.args(more).current_dir(self.0.join(id)).env_remove("TTRPC_ADDRESS").env_remove("SCHED_CORE");
        fed(&mut command, stdin)
    }

    fn start(&self, id: &str, stdin: &impl Message) -> Output {
        self.run(id, &bytes(stdin), &["start"])
    }

    /// A `start` that must succeed, in the words of containerd 2.3. Returns the path of the socket.
    fn started(&self, id: &str) -> PathBuf {
        let output = self.start(id, &self.params(id));
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let result = BootstrapResult::parse_from_bytes(&output.stdout).expect("a result");
        assert_eq!((result.version, &*result.protocol), (3, "ttrpc"));
        let written = fs::read_to_string(self.0.join(id).join("address")).expect("an address");
        assert_eq!(written, result.address);
        result.address.strip_prefix("unix://").expect("a file").into()
    }

    fn deleted(&self, id: &str) -> (DeleteResponse, String) {
        let bundle = self.0.join(id);
        let output = self.run(id, b"", &["-bundle", bundle.to_str().expect("a plain path"), "delete"]);
        assert!(output.status.success(), "{output:?}");
        let response = DeleteResponse::parse_from_bytes(&output.stdout).expect("a response");
        (response, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The pids of servers of all bundles.
    fn servers(&self) -> Vec<i32> {
        let shim = fs::canonicalize(SHIM).ok();
        let link = |pid: i32, name: &str| fs::read_link(format!("/proc/{pid}/{name}")).ok();
        let processes = fs::read_dir("/proc").expect("procfs").flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let is_here = |pid: i32| link(pid, "cwd").is_some_and(|cwd| cwd.starts_with(&self.0));
        pids.filter(|pid| is_here(*pid) && link(*pid, "exe") == shim).collect()
    }

    /// Kills all servers, as the kernel does for want of memory.
    fn end_servers(&self) {
        while let servers @ [_, ..] = &*self.servers() {
            for pid in servers {
                // It may have ended by itself.
                kill(Pid::from_raw(*pid), Signal::SIGKILL).unwrap_or_default();
            }
            std::thread::yield_now();
        }
    }

    /// Makes sure that a start fails in one line with these words, and leaves nothing.
    fn refuses(&self, id: &str, stdin: &[u8], words: &[&str]) {
        let output = self.run(id, stdin, &["start"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty() && said.lines().count() == 1 && said.ends_with('\n'), "{output:?}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert!(!self.0.join(id).join("address").exists());
        let sockets = fs::read_dir(self.sockets()).map(Iterator::count).unwrap_or(0);
        assert_eq!(sockets, 0, "{said}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end_servers();
        fs::remove_dir_all(&self.0).expect("it is there");
    }
}

fn fed(command: &mut Command, stdin: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the shim runs");
    // A shim that doesn't read closes the pipe.
    child.stdin.take().expect("a pipe").write_all(stdin).unwrap_or_default();
    child.wait_with_output().expect("it ends")
}

fn bytes(message: &impl Message) -> Vec<u8> {
    message.write_to_bytes().expect("bytes")
}

fn an_any(type_url: &str, value: Vec<u8>) -> Any {
    Any { type_url: type_url.into(), value, ..Any::default() }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn is_root(why: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root {why}");
    }
    is_root
}

#[test]
fn a_containerd_of_2_3_gets_a_result_and_a_private_socket() {
    let place = Place::new("n");
    let bundle = place.bundle("c1", CONFIG);
    let socket = place.started("c1");
    assert_eq!(socket.parent(), Some(&*place.sockets()));
    assert!(fs::symlink_metadata(&socket).expect("it is there").file_type().is_socket());
    assert_eq!((mode(&place.sockets()), mode(&socket)), (0o700, 0o600));
    let mut left: Vec<_> =
        fs::read_dir(&bundle).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["address", "config.json", "rootfs"]);
}

#[test]
fn an_older_containerd_gets_the_bare_address() {
    if !is_root("makes sockets in /run/containerd/s") {
        return;
    }
    let place = Place::new("o");
    let options = oci::Options { systemd_cgroup: true, ..oci::Options::default() };
    let generic = [&b"\x1a\x14"[..], b"SystemdCgroup = true"].concat();
    for (id, stdin) in [
        ("c1", Vec::new()),
        ("c2", bytes(&an_any("containerd.runc.v1.Options", bytes(&options)))),
        ("c3", bytes(&an_any("types.containerd.io/runtimeoptions.v1.Options", generic))),
        ("c4", bytes(&an_any("containerd.linux.runc.CreateOptions", Vec::new()))),
    ] {
        let bundle = place.bundle(id, CONFIG);
        let output = place.run(id, &stdin, &["start"]);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let address = String::from_utf8(output.stdout).expect("text");
        let path = address.strip_prefix("unix:///run/containerd/s/").expect("the usual place");
        assert!(path.len() == 64 && path.bytes().all(|byte| byte.is_ascii_hexdigit()), "{address}");
        assert_eq!(fs::read_to_string(bundle.join("address")).expect("an address"), address);
        place.end_servers();
        assert_eq!(place.deleted(id).1, "");
        assert!(!Path::new("/run/containerd/s").join(path).exists());
    }
}

#[test]
fn a_member_of_a_group_is_sent_to_the_groups_server() {
    let place = Place::new("g");
    let pod = r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}"#;
    place.bundle("pod", pod);
    place.bundle("c1", pod);
    place.bundle(
        "c2",
        r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"x","io.containerd.runc.v2.group":"pod"}}"#,
    );
    let socket = place.started("pod");
    place.end_servers();
    fs::remove_file(&socket).expect("the server's own socket");
    let server = UnixListener::bind(&socket).expect("a server");
    for id in ["c1", "c2"] {
        assert_eq!(place.started(id), socket);
    }
    assert_eq!(place.deleted("c1").1, "");
    assert!(socket.exists(), "the rest of the group lost its server");
    drop(server);
    place.deleted("c2");
    assert!(!socket.exists(), "nobody served it any more");
}

#[test]
fn a_socket_that_a_dead_server_has_left_is_bound_anew() {
    let place = Place::new("d");
    place.bundle("c1", CONFIG);
    let socket = place.started("c1");
    place.end_servers();
    assert!(socket.exists());
    assert_eq!(place.started("c1"), socket);
}

#[test]
fn what_cannot_be_started_leaves_nothing_but_one_line() {
    let place = Place::new("f");
    place.bundle("c1", CONFIG);
    let unknown = bytes(&an_any("kata.v1.Options", Vec::new()));
    place.refuses("c1", &unknown, &["kata.v1.Options"]);
    place.refuses("c1", b"\xff\xff\xff", &["standard input"]);
    let long = BootstrapParams { socket_dir: Some(format!("/tmp/{}", "d".repeat(37))), ..place.params("c1") };
    place.refuses("c1", &bytes(&long), &["107 bytes", "106"]);
    assert!(!Path::new(long.socket_dir()).exists());
    let relative = BootstrapParams { socket_dir: Some("s".into()), ..place.params("c1") };
    place.refuses("c1", &bytes(&relative), &["absolute"]);
    place.bundle("c1", "{");
    place.refuses("c1", &bytes(&place.params("c1")), &["config.json"]);
    fs::remove_file(place.0.join("c1/config.json")).expect("it is there");
    place.refuses("c1", &bytes(&place.params("c1")), &["config.json", "no such file"]);
    let output = fed(Command::new(SHIM).args(["-id", "c1", "start"]), b"");
    assert!(String::from_utf8_lossy(&output.stderr).contains("-namespace"), "{output:?}");
}

#[test]
fn a_cgroup_for_the_shim_that_is_not_there_fails_the_start() {
    let place = Place::new("c");
    place.bundle("c1", CONFIG);
    let options = oci::Options { shim_cgroup: "/no/such/cgroup".into(), ..oci::Options::default() };
    let value = Some(an_any("containerd.runc.v1.Options", bytes(&options))).into();
    // An extension of a type that isn't known may come with any later containerd.
    let strange =
        Extension { value: Some(an_any("some.day.v1.Thing", vec![255])).into(), ..Extension::default() };
    let extensions = vec![strange, Extension { value, ..Extension::default() }];
    let params = BootstrapParams { extensions, ..place.params("c1") };
    place.refuses("c1", &bytes(&params), &["ShimCgroup", "/no/such/cgroup"]);
}

/// Cgroups of one path, in each hierarchy, which go with this value.
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    fn new(name: &str) -> Cgroups {
        let tops = fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten().map(|entry| entry.path());
        let tops = tops.chain([PathBuf::from("/sys/fs/cgroup")]).filter(|top| !top.is_symlink());
        let tops = tops.filter(|top| top.join("cgroup.procs").exists() && is_a_top(top));
        let made = Cgroups(tops.map(|top| top.join(name)).collect());
        for cgroup in &made.0 {
            fs::create_dir(cgroup).expect("a cgroup");
            for file in ["cpuset.cpus", "cpuset.mems"] {
                // A cpuset of v1 takes no process before it has these.
                let of_the_top = cgroup.with_file_name(file);
                if of_the_top.exists() {
                    let value = fs::read_to_string(of_the_top).expect("it is there");
                    fs::write(cgroup.join(file), value).expect("a cpuset");
                }
            }
        }
        made
    }
}

/// Whether a directory is the top of a hierarchy, and no cgroup in it.
fn is_a_top(dir: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| fs::metadata(path).expect("it is there").dev();
    device(dir) != device(dir.parent().expect("below /"))
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for cgroup in &self.0 {
            while fs::read_to_string(cgroup.join("cgroup.procs")).is_ok_and(|pids| !pids.is_empty()) {
                std::thread::yield_now();
            }
            fs::remove_dir(cgroup).expect("it is empty");
        }
    }
}

#[test]
fn the_shim_goes_to_the_cgroup_that_the_options_name() {
    if !is_root("makes cgroups") {
        return;
    }
    let name = format!("shim-test-{}", std::process::id());
    let cgroups = Cgroups::new(&name);
    let place = Place::new("p");
    place.bundle("c1", CONFIG);
    let options = oci::Options { shim_cgroup: format!("/{name}"), ..oci::Options::default() };
    let value = Some(an_any("containerd.runc.v1.Options", bytes(&options))).into();
    let extensions = vec![Extension { value, ..Extension::default() }];
    let params = BootstrapParams { extensions, ..place.params("c1") };
    let output = place.start("c1", &params);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let [server] = *place.servers() else { panic!("a single server") };
    for cgroup in &cgroups.0 {
        let pids = fs::read_to_string(cgroup.join("cgroup.procs")).expect("it is there");
        assert_eq!(pids.trim(), server.to_string(), "{}", cgroup.display());
    }
}

#[test]
fn the_server_has_a_core_scheduling_group_or_the_start_says_why_not() {
    let place = Place::new("k");
    let bundle = place.bundle("c1", CONFIG);
    let mut command = Command::new(SHIM);
    command.args(["-namespace", "ns", "-id", "c1", "-address", &place.grpc(), "start"]);
    command.current_dir(&bundle).env("SCHED_CORE", "1");
    let output = fed(&mut command, &bytes(&place.params("c1")));
    if output.status.success() {
        assert_eq!(place.servers().len(), 1);
        return;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("core scheduling (SCHED_CORE)") && said.lines().count() == 1, "{output:?}");
    assert!(output.stdout.is_empty() && place.servers().is_empty());
    eprintln!("skipped: this kernel has no core scheduling: {said}");
}

#[test]
fn an_answer_that_nobody_takes_leaves_nothing() {
    let place = Place::new("w");
    let bundle = place.bundle("c1", CONFIG);
    let full = File::options().write(true).open("/dev/full").expect("it is there");
    let params = place.0.join("params");
    fs::write(&params, bytes(&place.params("c1"))).expect("a file");
    let mut command = Command::new(SHIM);
    command.args(["-namespace", "ns", "-id", "c1", "-address", &place.grpc(), "start"]).current_dir(&bundle);
    command.stdin(File::open(&params).expect("it is there")).stdout(full);
    assert_eq!(command.status().expect("the shim runs").code(), Some(1));
    assert!(!bundle.join("address").exists());
    assert_eq!(fs::read_dir(place.sockets()).expect("it is there").count(), 0);
}

#[test]
fn delete_succeeds_where_nothing_is_left_and_says_137() {
    let place = Place::new("e");
    let bundle = place.bundle("c1", CONFIG);
    let (response, warnings) = place.deleted("c1");
    assert_eq!((response.pid, response.exit_status, &*warnings), (0, 137, ""));
    assert!(response.exited_at.seconds > 1_700_000_000);
    fs::write(bundle.join("init.pid"), "4242").expect("a file");
    assert_eq!(place.deleted("c1").0.pid, 4242);
}

#[test]
fn delete_tells_the_exit_that_a_server_has_stored() {
    let place = Place::new("x");
    let bundle = place.bundle("c1", CONFIG);
    let stored = r#"{"Timestamp":"2026-09-04T10:00:00.000000005+02:00","Pid":42,"Status":3}"#;
    fs::write(bundle.join("exitstatus.json"), stored).expect("a file");
    let (response, warnings) = place.deleted("c1");
    assert_eq!((response.pid, response.exit_status, &*warnings), (42, 3, ""));
    assert_eq!((response.exited_at.seconds, response.exited_at.nanos), (1_788_508_800, 5));
}

#[test]
fn delete_warns_and_goes_on_where_the_runtime_is_missing() {
    let place = Place::new("b");
    let bundle = place.bundle("c1", CONFIG);
    fs::write(bundle.join("runtime"), "/no/such/runc").expect("a file");
    let socket = place.started("c1");
    place.end_servers();
    let (response, warnings) = place.deleted("c1");
    assert_eq!(response.exit_status, 137);
    assert!(warnings.contains("/no/such/runc") && warnings.lines().count() == 1, "{warnings}");
    assert!(!socket.exists());
}

#[test]
fn another_runtime_deletes_its_own_containers() {
    let place = Place::new("r");
    let bundle = place.bundle("c1", CONFIG);
    let runtime = place.0.join("runtime.sh");
    fs::write(&runtime, format!("#!/bin/sh\necho \"$@\" > {}/said\n", place.0.display())).expect("a file");
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755)).expect("it is ours");
    fs::write(bundle.join("runtime"), runtime.to_str().expect("a plain path")).expect("a file");
    fs::write(bundle.join("options.json"), r#"{"root":"/run/other","unheard_of":1}"#).expect("a file");
    assert_eq!(place.deleted("c1").1, "");
    let said = fs::read_to_string(place.0.join("said")).expect("it ran");
    // Some runtimes demand a log.
    let log = bundle.join("log.delete.json");
    let flags = format!("--root /run/other/ns --log {} --log-format json", log.display());
    assert_eq!(said, format!("{flags} delete --force c1\n"));
}

#[test]
fn delete_unmounts_all_of_the_root_filesystem() {
    use nix::mount::{MsFlags, mount};
    if !is_root("mounts") {
        return;
    }
    let place = Place::new("m");
    let rootfs = place.bundle("c1", CONFIG).join("rootfs");
    let tmpfs = |at: &Path| {
        mount(Some("shim-test"), at, Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("a mount")
    };
    tmpfs(&rootfs);
    fs::create_dir(rootfs.join("in side")).expect("a directory");
    tmpfs(&rootfs.join("in side"));
    tmpfs(&rootfs);
    let user = File::open(&rootfs).expect("it is there");
    assert_eq!(place.deleted("c1").1, "");
    drop(user);
    let table = fs::read_to_string("/proc/self/mountinfo").expect("it is there");
    assert!(!table.contains(place.0.to_str().expect("a plain path")), "{table}");
}

#[test]
fn info_is_bare_and_needs_no_options() {
    let options =
        an_any("containerd.runc.v1.Options", bytes(&oci::Options { io_uid: 1, ..oci::Options::default() }));
    for (stdin, echoed) in [(Vec::new(), None), (bytes(&options), Some(&options))] {
        let output = fed(Command::new(SHIM).arg("-info"), &stdin);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        let info = RuntimeInfo::parse_from_bytes(&output.stdout).expect("RuntimeInfo");
        assert_eq!((&*info.name, info.options.as_ref()), ("io.containerd.corten.v2", echoed));
        assert_eq!(info.version.version, env!("CARGO_PKG_VERSION"));
        assert_eq!(
            info.features.type_url,
            "types.containerd.io/opencontainers/runtime-spec/1/features/Features"
        );
        let features: serde_json::Value = serde_json::from_slice(&info.features.value).expect("JSON");
        assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    }
    let refused = fed(Command::new(SHIM).arg("-info"), &bytes(&an_any("kata.v1.Options", Vec::new())));
    assert!(!refused.status.success() && refused.stdout.is_empty());
}

#[test]
fn whoever_takes_the_shim_for_a_runtime_gets_a_runtime() {
    let version = fed(Command::new(SHIM).arg("-v"), b"");
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    assert!(text.starts_with("containerd-shim-corten-v2 version ") && text.contains("\ncommit: "), "{text}");
    let features = fed(Command::new(SHIM).arg("features"), b"");
    assert!(features.status.success(), "{features:?}");
    let root = format!("/tmp/cs{}none", std::process::id());
    let state = fed(Command::new(SHIM).args(["--root", &root, "state", "c1"]), b"");
    assert!(String::from_utf8_lossy(&state.stderr).contains("does not exist"), "{state:?}");
}

#[test]
fn of_two_starts_at_once_one_starts_the_server() {
    for round in 0..20 {
        let place = Place::new(&format!("t{round}"));
        let pod = r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}"#;
        let ids = ["c1", "c2"];
        ids.iter().for_each(|id| drop(place.bundle(id, pod)));
        let sockets = std::thread::scope(|scope| {
            let starts = ids.map(|id| {
                let place = &place;
                scope.spawn(move || place.started(id))
            });
            starts.map(|start| start.join().expect("no panic"))
        });
        assert_eq!(sockets[0], sockets[1]);
        assert_eq!(place.servers().len(), 1, "round {round}");
    }
}

#[test]
fn a_server_has_its_socket_as_descriptor_3_a_group_of_its_own_and_a_higher_score() {
    let place = Place::new("v");
    place.bundle("c1", CONFIG);
    let socket = place.started("c1");
    let [server] = *place.servers() else { panic!("a single server") };
    let of = |name: &str| format!("/proc/{server}/{name}");
    let score =
        |path: &str| fs::read_to_string(path).expect("it lives").trim().parse::<i32>().expect("a number");
    assert_eq!(score(&of("oom_score_adj")), (score("/proc/self/oom_score_adj") + 1).min(1000));
    assert_eq!(nix::unistd::getpgid(Some(Pid::from_raw(server))), Ok(Pid::from_raw(server)));
    assert!(
        fs::read_link(of("fd/3")).expect("it lives").to_str().is_some_and(|link| link.starts_with("socket:"))
    );
    for number in 0..3 {
        let stream = fs::read_link(of(&format!("fd/{number}"))).expect("it lives");
        let fifo = place.0.join("c1/log");
        assert!(stream == Path::new("/dev/null") || stream == fifo, "{number}: {stream:?}");
    }
    // The kernel lets its parent go on before it has the command line.
    let read = || fs::read_to_string(of("cmdline")).expect("it lives");
    let line = std::iter::repeat_with(read).find(|line| !line.is_empty()).expect("it has one");
    assert!(line.contains("-namespace\0ns\0-id\0c1\0-address\0") && !line.contains("start"), "{line:?}");
    assert_eq!(place.started("c1"), socket);
    assert_eq!(place.servers(), [server]);
    place.end_servers();
    assert_eq!(place.deleted("c1").1, "");
    assert!(!socket.exists());
}

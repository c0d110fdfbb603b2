//! What is built, and the projects of `examples/compose`. `buildctl` is a stand-in: it checks how BuildKit is asked and
//! what becomes of its image, and nothing of BuildKit itself.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::docker::{Docker, cgroup, nothing_is_left, with_each_runtime};
use crate::host::{program, sh, try_sh, until};

/// A directory before the others on PATH.
const TOOLS: &str = "/run/tools";
const LOG: &str = "/run/buildctl.log";

/// Puts the stand-in on the PATH of what `says` runs.
fn stand_in() {
    fs::create_dir_all(TOOLS).expect("a directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/isolated/buildctl");
    fs::copy(script, format!("{TOOLS}/buildctl")).expect("the script is copied");
}

/// Makes the stand-in a worker of this containerd, or of nobody's.
fn worker(shares: bool) {
    let uuid = sh("ctr version | sed -n 's/.*UUID: //p'").trim().to_owned();
    let label = |name: &str, value: &str| format!("\"org.mobyproject.buildkit.worker.{name}\":\"{value}\"");
    let labels = [
        label("executor", if shares { "containerd" } else { "oci" }),
        label("containerd.namespace", "default"),
        label("containerd.uuid", &uuid),
        label("snapshotter", "overlayfs"),
    ];
    fs::write("/run/worker.json", format!("[{{\"id\":\"1\",\"labels\":{{{}}}}}]", labels.join(",")))
        .expect("a file");
    drop(fs::remove_file(LOG));
}

/// How BuildKit was asked since the last time.
fn asked() -> String {
    let said = fs::read_to_string(LOG).unwrap_or_default();
    drop(fs::remove_file(LOG));
    said
}

/// Runs one of our programs in a directory: what it says on both streams, and its exit code.
fn says(name: &str, directory: &str, words: &[&str], stdin: &str) -> (String, i32) {
    let path = format!("{TOOLS}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program());
    command.arg0(name).current_dir(directory).args(words).env("PATH", path).env("BOX", "box");
    command.env("BUILDKIT_HOST", "tcp://nobody").env("DOCKER_CONFIG", "/run/docker-config");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    let mut input = child.stdin.take().expect("a pipe");
    // Who reads nothing may have ended.
    drop(input.write_all(stdin.as_bytes()));
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let text = [output.stdout, output.stderr].concat();
    (String::from_utf8_lossy(&text).into_owned(), output.status.code().unwrap_or(-1))
}

fn ok(name: &str, directory: &str, words: &[&str]) -> String {
    let (said, code) = says(name, directory, words, "");
    assert_eq!(code, 0, "{name} {words:?}: {said}");
    said
}

/// The services of a project with the runtime and cgroup of the test.
fn adjust(docker: &Docker, directory: &str, services: &[&str]) {
    let own = format!("{{runtime: {}, cgroup_parent: {}}}", docker.runtime, cgroup());
    let services: Vec<String> = services.iter().map(|name| format!("{name}: {own}")).collect();
    fs::write(
        format!("{directory}/compose.override.yaml"),
        format!("services: {{{}}}\n", services.join(", ")),
    )
    .expect("a file");
}

/// A project with a service that is built, before there is a BuildKit.
fn shop(docker: &Docker) {
    sh("rm -rf /run/shop /run/tools && mkdir -p /run/shop/web /run/docker-config");
    let proxies = r#"{"proxies": {"default": {"httpProxy": "http://proxy:1"}}}"#;
    fs::write("/run/docker-config/config.json", proxies).expect("a file");
    let dockerfile = "FROM box\nCOPY page /page\nCMD [\"sleep\",\"1000\"]\n";
    fs::write("/run/shop/web/Dockerfile", dockerfile).expect("a file");
    fs::write("/run/shop/web/page", "one").expect("a file");
    let file = "services: {web: {build: {context: web, args: {A: 1}}, stop_grace_period: 0s}}\n";
    fs::write("/run/shop/compose.yaml", file).expect("a file");
    adjust(docker, "/run/shop", &["web"]);
}

fn compose(words: &[&str]) -> String {
    ok("corten-compose", "/run/shop", words)
}

#[test]
fn up_builds_what_is_missing_and_what_is_built_anew_is_seen() {
    with_each_runtime(|docker| {
        shop(docker);
        let page = || docker.ok(&["exec", "shop-web-1", "cat", "/page"]);
        let (said, code) = says("corten-compose", "/run/shop", &["up", "-d"], "");
        assert!(code == 1 && said.contains("buildctl isn't on PATH") && said.lines().count() == 1, "{said}");
        stand_in();
        worker(false);
        let planned = compose(&["--dry-run", "up", "-d"]);
        assert!(planned.contains("build shop-web: buildctl build") && planned.contains("create shop-web-1"));
        assert_eq!(asked(), "");
        compose(&["up", "-d"]);
        let first = asked();
        for word in ["build-arg:A=1", "build-arg:http_proxy=http://proxy:1", "dest=/var/lib/corten-compose/"]
        {
            assert!(first.contains(word), "no {word} in {first}");
        }
        assert!(first.contains("--output type=oci,name=docker.io/library/shop-web:latest,"), "{first}");
        assert_eq!(page(), "one");
        let proxy = docker.ok(&["exec", "shop-web-1", "sh", "-c", "echo $HTTP_PROXY"]);
        assert_eq!(proxy.trim(), "http://proxy:1");
        let again = compose(&["up", "-d"]);
        assert!(!again.contains("Creat") && !again.contains("Start") && asked().is_empty(), "{again}");

        worker(true);
        fs::write("/run/shop/web/page", "two").expect("a file");
        assert!(compose(&["up", "-d", "--build"]).contains("shop-web-1  Recreated"));
        assert!(asked().contains("--output type=image,name=docker.io/library/shop-web:latest"));
        assert_eq!(page(), "two");
        compose(&["down", "-v"]);
        docker.ok(&["rmi", "shop-web"]);
        nothing_is_left();
    });
}

#[test]
fn builds_are_asked_for_in_dockers_words() {
    with_each_runtime(|docker| {
        shop(docker);
        stand_in();
        worker(true);
        compose(&["build", "--no-cache", "--pull", "--build-arg", "A=3", "-q", "web"]);
        let again = asked();
        for word in
            ["--no-cache", "image-resolve-mode=pull", "build-arg:A=3", "com.docker.compose.service=web"]
        {
            assert!(again.contains(word), "no {word} in {again}");
        }
        let (said, code) =
            says("corten-compose", "/run/shop", &["build", "--build-arg", "FAIL=1", "web"], "");
        assert!(code == 1 && said.contains("services.web.build: "), "{said}");

        let ctl = |words: &[&str]| ok("cortenctl", "/run/shop", words);
        let id = ctl(&["build", "-q", "-t", "page:1", "--iidfile", "/run/iid", "web"]).trim().to_owned();
        assert_eq!(docker.ok(&["inspect", "-f", "{{.Id}}", "page:1"]).trim(), id);
        assert_eq!(fs::read_to_string("/run/iid").expect("the id"), id);
        let dockerfile = "FROM box\nCMD [\"echo\",\"piped\"]\n";
        let (said, code) = says("cortenctl", "/run/shop", &["build", "-t", "piped", "-"], dockerfile);
        assert_eq!(code, 0, "{said}");
        assert_eq!(docker.ok(&["run", "--rm", "piped"]), "piped\n");
        let builds = Path::new("/var/lib/corten-compose/default/builds");
        assert!(!builds.exists(), "what was staged is gone");
        docker.ok(&["rmi", "page:1", "piped", "shop-web"]);
        nothing_is_left();
    });
}

/// Puts the examples where they may be changed.
fn examples() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/compose");
    sh(&format!("rm -rf /run/examples && cp -R {} /run/examples", examples.display()));
}

fn get(address: &str) -> String {
    String::from_utf8_lossy(&try_sh(&format!("busybox wget -qO- 'http://127.0.0.1:{address}'")).stdout)
        .into_owned()
}

#[test]
fn the_guest_book_of_the_examples_runs_as_its_head_says() {
    with_each_runtime(|docker| {
        examples();
        stand_in();
        worker(true);
        let directory = "/run/examples/guestbook";
        adjust(docker, directory, &["web", "db"]);
        let compose = |words: &[&str]| ok("corten-compose", directory, words);
        compose(&["up", "-d"]);
        until("the page is there", || get("8080/").contains("Guest book"));
        assert_eq!(get("8080/cgi-bin/book?hello%20there"), "Those who were here:\nhello there\n");
        compose(&["down"]);
        compose(&["up", "-d"]);
        until("the entries are there again", || get("8080/cgi-bin/book").contains("hello there"));
        compose(&["down", "-v"]);
        nothing_is_left();
    });
}

#[test]
fn the_jobs_of_the_examples_run_as_their_head_says() {
    with_each_runtime(|docker| {
        examples();
        let directory = "/run/examples/jobs";
        adjust(docker, directory, &["gateway", "queue", "worker", "look"]);
        let compose = |words: &[&str]| ok("corten-compose", directory, words);
        compose(&["up", "-d"]);
        until("a job is put", || get("8081/cgi-bin/put?report-1").contains("put: report-1"));
        until("a worker has signed it", || get("8081/cgi-bin/results").contains("report-1-"));
        assert!(get("8081/cgi-bin/results").starts_with("Jobs of jobs\n"));
        compose(&["up", "-d", "--scale", "worker=4"]);
        let workers = compose(&["ps", "worker", "--format", "{{.State}}"]);
        assert_eq!(workers, "running\n".repeat(4));
        let looked = compose(&["--profile", "debug", "up", "look"]);
        assert!(looked.contains("waiting: 0, taken: 1"), "{looked}");
        compose(&["--profile", "debug", "down", "-v"]);
        nothing_is_left();
    });
}

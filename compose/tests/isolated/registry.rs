//! Images to and from a registry that asks for a password: Debian's docker-registry, on loopback.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker::{Docker, nothing_is_left, own_processes, said, with_each_runtime};
use crate::host::{Process, sh, try_sh, until};

/// Nothing in it may mean anything to a shell, to curl, or to a terminal.
const PASSWORD: &str = r#"p:a"s $w\rd"#;
/// The same, as bcrypt keeps it.
const HTPASSWD: &str = "me:$2b$05$abcdefghijklmnopqrstuuiPSHUy/rW88RSsplnfpCp.9NNx4rImW\n";
const SERVER: &str = "127.0.0.1:5000";

const CONFIG: &str = "version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: /run/registry}}
http: {addr: 127.0.0.1:5000}
auth: {htpasswd: {realm: test, path: /run/htpasswd}}
";

/// A registry that ends with the test.
fn registry() -> Process {
    fs::write("/run/registry.yml", CONFIG).expect("it is written");
    fs::write("/run/htpasswd", HTPASSWD).expect("it is written");
    let log = fs::File::create("/run/registry.log").expect("it is made");
    let mut command = Command::new("docker-registry");
    command.args(["serve", "/run/registry.yml"]).stdout(Stdio::null()).stderr(log);
    let registry = Process(command.spawn().expect("docker-registry runs"));
    until("the registry answers", || try_sh("curl -s http://127.0.0.1:5000/v2/").status.success());
    registry
}

/// Has every call of `ctr` written down.
fn watch_ctr() {
    sh("cp -L $(command -v ctr) /run/ctr && \
        printf '#!/bin/sh\\necho \"$@\" >> /run/ctr.log\\nexec /run/ctr \"$@\"\\n' > /run/ctr.sh && chmod +x /run/ctr.sh && \
        mount --bind /run/ctr.sh $(readlink -f $(command -v ctr))");
}

fn log_in(docker: &Docker, password: &str) -> (String, String, i32) {
    let mut login = docker.spawn(&["login", "-u", "me", "--password-stdin", SERVER]);
    let mut stdin = login.stdin.take().expect("a pipe");
    writeln!(stdin, "{password}").expect("it reads");
    drop(stdin);
    said(&login.wait_with_output().expect("it ends"))
}

#[test]
fn images_are_pushed_and_pulled_by_whom_has_logged_in() {
    if !try_sh("command -v docker-registry curl").status.success() {
        eprintln!("skipped: docker-registry or curl isn't on PATH");
        return;
    }
    with_each_runtime(|docker| {
        let _registry = registry();
        let image = format!("{SERVER}/shop/box:1");
        docker.ok(&["tag", "box", &image]);
        let refused = |words: &[&str], why: &str| refused(docker, words, why);
        refused(&["push", &image], "401 Unauthorized");
        refused(&["push", "nothing"], "An image does not exist locally with the tag: nothing");
        refused(&["login", SERVER], "Cannot perform an interactive login from a non TTY device");
        refused(&["login", "--password-stdin", SERVER], "Must provide --username with --password-stdin");
        let (_, said, code) = log_in(docker, "wrong");
        assert!(code == 1 && said.contains("unauthorized: incorrect username or password"), "{said}");
        assert!(
            !fs::exists("/run/docker/config.json").expect("it can be looked at"),
            "what is wrong isn't kept"
        );
        let (said, warned, code) = log_in(docker, PASSWORD);
        assert_eq!((said.as_str(), code), ("Login Succeeded\n", 0), "{warned}");
        assert!(warned.contains("stored unencrypted in '/run/docker/config.json'"), "{warned}");
        let mode = fs::metadata("/run/docker/config.json").expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        watch_ctr();
        let pushed = docker.ok(&["push", &image]);
        assert!(
            pushed.starts_with(&format!(
                "The push refers to repository [{SERVER}/shop/box]\n1: digest: sha256:"
            )),
            "{pushed}"
        );
        docker.ok(&["rmi", &image, "box"]);
        let pulled = docker.ok(&["pull", &image]);
        assert!(pulled.contains("Status: Downloaded newer image for"), "{pulled}");
        assert_eq!(docker.ok(&["run", "--rm", &image]), "the image's\n");
        docker.ok(&["push", "-q", "--all-tags", &format!("{SERVER}/shop/box")]);
        let calls = sh("umount $(readlink -f $(command -v ctr)); cat /run/ctr.log");
        assert!(calls.contains("--user=me") && !calls.contains(PASSWORD), "{calls}");

        a_helper_keeps_it_in_place_of_the_file(docker, &image);
        docker.ok(&["rmi", &image]);
        nothing_is_left();
    });
}

/// Whether the client that pulls is at work.
fn pulls() -> bool {
    own_processes().iter().any(|(_, words)| words[0] == "ctr" && words.iter().any(|word| word == "pull"))
}

#[test]
fn a_pull_ends_with_its_command() {
    with_each_runtime(|docker| {
        // A registry that never answers.
        let registry = TcpListener::bind("127.0.0.1:0").expect("a port");
        let image = format!("{}/shop/box:1", registry.local_addr().expect("an address"));
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            let mut pull = docker.spawn(&["pull", &image]);
            until("it pulls", pulls);
            kill(Pid::from_raw(pull.id().try_into().expect("a pid")), signal).expect("it runs");
            pull.wait().expect("it ends");
            until("its client has ended", || !pulls());
        }
    });
}

fn refused(docker: &Docker, words: &[&str], why: &str) {
    let (_, said, code) = docker.says(words);
    assert!(code == 1 && said.contains(why), "{words:?}: {code}: {said}");
}

fn a_helper_keeps_it_in_place_of_the_file(docker: &Docker, image: &str) {
    let refused = |words: &[&str], why: &str| refused(docker, words, why);
    docker.ok(&["tag", image, "box"]);
    assert_eq!(docker.ok(&["logout", SERVER]), format!("Removing login credentials for {SERVER}\n"));
    assert_eq!(docker.ok(&["logout", SERVER]), format!("Not logged in to {SERVER}\n"));
    refused(&["pull", image], "401 Unauthorized");
    let helper = "#!/bin/sh\ncase $1 in store) cat > /run/kept;; erase) rm /run/kept;; \
        get) cat /run/kept 2>/dev/null || { echo credentials not found in native keychain; exit 1; };; esac\n";
    fs::write("/run/helper", helper).expect("it is written");
    sh(
        "chmod +x /run/helper && mount -t tmpfs none /usr/local/bin && ln -s /run/helper /usr/local/bin/docker-credential-kept",
    );
    fs::write("/run/docker/config.json", r#"{"credsStore":"kept"}"#).expect("it is written");
    refused(&["pull", image], "401 Unauthorized");
    assert_eq!(log_in(docker, PASSWORD).2, 0);
    assert!(!fs::read_to_string("/run/docker/config.json").expect("it is there").contains("\"auth\""));
    docker.ok(&["pull", "-q", image]);
    docker.ok(&["logout", SERVER]);
    assert!(!fs::exists("/run/kept").expect("it can be looked at"));
    fs::write("/run/docker/config.json", r#"{"credsStore":"../kept"}"#).expect("it is written");
    refused(&["pull", image], "docker-credential-../kept: not a name of a program");
    sh("umount /usr/local/bin; rm -r /run/docker");
}

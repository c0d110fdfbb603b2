//! What a service asks of the host, of files and of other containers.

use crate::docker::{Docker, nothing_is_left, with_each_runtime};
use crate::host::sh;
use crate::project::Project;

#[test]
fn in_the_hosts_uts_namespace_its_names_are_the_hosts() {
    with_each_runtime(|docker| {
        let host = sh("hostname").trim().to_owned();
        for network in ["bridge", "host"] {
            let line = format!("run --rm --network {network} --uts host box sh -c");
            let words: Vec<&str> =
                line.split(' ').chain(["hostname; echo $HOSTNAME; cat /etc/hostname"]).collect();
            assert_eq!(docker.ok(&words), format!("{host}\n{host}\n{host}\n"));
        }
        let (_, said, code) = docker.says(&["run", "--rm", "--uts", "host", "-h", "h", "box", "true"]);
        assert!(code == 125 && said.contains("conflicting options: hostname and the UTS mode"), "{said}");
        let project = Project::new(docker, "{services: {web: {COMMON, uts: host, command: hostname}}}");
        assert_eq!(project.ok(&["run", "--rm", "-T", "web"]).stdout.trim(), host);
        project.is_gone();
    });
}

#[test]
fn files_of_variables_are_read_of_what_is_made() {
    let services = "
services:
  a: {COMMON, init: true, command: sleep 1000}
  b: {COMMON, command: sleep 1000, env_file: gone.env, label_file: gone.labels}
";
    with_each_runtime(|docker| {
        let project = Project::new(docker, services);
        project.ok(&["up", "-d", "a"]);
        for line in
            ["ps", "logs", "exec -T a true", "config --services", "restart -t 0 a", "stop -t 0", "start a"]
        {
            project.ok(&line.split(' ').collect::<Vec<_>>());
        }
        for line in ["up -d", "up -d b", "create b", "config", "config b", "run --rm b true"] {
            let said = project.says(&line.split(' ').collect::<Vec<_>>());
            assert!(
                said.code == 1 && said.stderr.contains("b.env_file[0]: gone.env: no such file"),
                "{line}"
            );
        }
        assert_eq!(project.running(), ["shop-a-1"]);
        project.ok(&["config", "a"]);
        project.ok(&["down", "-t", "0"]);
        nothing_is_left();
    });
}

const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": null}],
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28,
        "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]
}"#;

#[test]
fn a_profile_of_system_calls_comes_from_a_file() {
    with_each_runtime(|docker| {
        let project = Project::new(
            docker,
            "{services: {web: {COMMON, init: true, command: sleep 1000, security_opt: ['seccomp:./p.json']}}}",
        );
        let profile = |text: &str| std::fs::write("/run/shop/p.json", text).expect("a file");
        profile(PROFILE);
        let of = |name: &str, words: &[&str]| {
            let option = ["run", "--name", name, "--security-opt", "seccomp=/run/shop/p.json"];
            docker.says(&[&option, words, &["box", "mkdir", "/d"]].concat())
        };
        let (_, said, code) = of("one", &[]);
        assert!(code == 1 && said.contains("No space left on device"), "{code}: {said}");
        let (_, said, code) = of("two", &["--cap-add", "SYS_ADMIN"]);
        assert_eq!(code, 0, "{said}");
        let shown = docker.ok(&["inspect", "-f", "{{index .HostConfig.SecurityOpt 0}}", "one"]);
        assert!(shown.starts_with(r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"#), "{shown}");
        docker.ok(&["rm", "one", "two"]);

        project.ok(&["up", "-d"]);
        let (_, said, code) = docker.says(&["exec", "shop-web-1", "mkdir", "/d"]);
        assert!(code == 1 && said.contains("No space left on device"), "{code}: {said}");
        let id = project.ok(&["ps", "-q"]).stdout;
        project.ok(&["up", "-d"]);
        assert_eq!(project.ok(&["ps", "-q"]).stdout, id);
        profile(&PROFILE.replace("28", "1"));
        project.ok(&["up", "-d", "-t", "0"]);
        assert_ne!(project.ok(&["ps", "-q"]).stdout, id);
        project.is_gone();
        for (text, why) in [
            ("{", "compacting json for seccomp profile (./p.json) failed"),
            (
                r#"{"defaultAction": "SCMP_ACT_NO"}"#,
                "Decoding seccomp profile failed: \"SCMP_ACT_NO\" is not",
            ),
        ] {
            profile(text);
            let said = project.says(&["up", "-d"]);
            assert!(said.code == 1 && said.stderr.contains(why), "{}", said.stderr);
            assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
            let (_, said, code) = of("one", &[]);
            assert!(code == 125 && said.lines().count() == 1, "{said}");
        }
        std::fs::remove_file("/run/shop/p.json").expect("it is there");
        let (_, said, _) = of("one", &[]);
        assert!(said.contains("opening seccomp profile (/run/shop/p.json) failed: No such file"), "{said}");
        nothing_is_left();
    });
}

#[test]
fn what_a_service_lacks_is_told_before_anything_is_made() {
    let external = "secrets: {s: {external: true}}";
    let unset = "secrets: {s: {environment: NOBODY_SETS_THIS}}";
    let gpu = "deploy: {resources: {reservations: {devices: [{driver: nvidia, capabilities: [gpu]}]}}}";
    let bind = "volumes: [{type: bind, source: ./gone, target: /x, bind: {create_host_path: false}}]";
    let missing = "bind source path does not exist: /run/shop/gone\n";
    with_each_runtime(|docker| {
        for (service, beside, why) in [
            (gpu, "", "could not select device driver \"nvidia\" with capabilities: [[gpu]]\n"),
            ("gpus: all", "", "could not select device driver \"\" with capabilities: [[gpu]]\n"),
            ("secrets: [s]", external, "unsupported external secret s\n"),
            (
                "secrets: [s]",
                unset,
                "environment variable \"NOBODY_SETS_THIS\" required by file \"shop_s\" is",
            ),
            ("secrets: [s]", "secrets: {s: {file: ./gone}}", missing),
            ("configs: [s]", "configs: {s: {file: ./gone}}", missing),
            (bind, "", missing),
            ("ulimits: {foo: 1}", "", "services.web.ulimits.foo: invalid ulimit type: foo\n"),
            (
                "ulimits: {core: {soft: 2, hard: 1}}",
                "",
                "limit must be less than or equal to hard limit: 2 > 1\n",
            ),
            ("security_opt: [apparmor=mine, seccomp=./gone]", "", "opening seccomp profile (./gone) failed"),
        ] {
            let web = format!("web: {{COMMON, command: sleep 1000, {service}}}");
            let project = Project::new(docker, &format!("services:\n  {web}\n{beside}\n"));
            project.ok(&["config", "-q"]);
            let said = project.says(&["up", "-d"]);
            assert!(said.code == 1 && said.stderr.contains(why), "{service}: {}", said.stderr);
            assert_eq!(said.stderr.lines().count(), 1, "{}", said.stderr);
            assert_eq!(docker.ok(&["network", "ls", "-q", "--filter", "name=shop"]), "");
        }
        let (_, said, code) = docker.says(&["run", "--rm", "--gpus", "all", "box", "true"]);
        assert!(code == 125 && said.contains("could not select device driver \"\""), "{said}");
        nothing_is_left();
    });
}

/// How many anonymous volumes there are.
fn anonymous(docker: &Docker) -> usize {
    docker.ok(&["volume", "ls", "-q"]).lines().filter(|name| name.len() == 64).count()
}

#[test]
fn volumes_and_binds_of_other_containers_are_at_the_same_places() {
    let services = "
services:
  backup: {COMMON, command: tar -cf /out/all.tar /data /conf, volumes: ['./out:/out'], volumes_from: ['db:ro'], \
profiles: [now]}
  db: {COMMON, init: true, command: sleep 1000, volumes: ['data:/data', './conf:/conf:ro']}
volumes: {data: }
";
    with_each_runtime(|docker| {
        docker.ok(&[
            "run",
            "-d",
            "--name",
            "db",
            "-v",
            "/anon",
            "-v",
            "/run/bound:/b",
            "box",
            "sleep",
            "1000",
        ]);
        docker.ok(&["exec", "db", "sh", "-c", "for d in data anon b; do echo $d > /$d/own; done"]);
        let show = ["box", "sh", "-c", "cat /data/own /anon/own /b/own; touch /data/x; ls /anon"];
        let run = |words: &[&str]| docker.says(&[&["run", "--rm", "--volumes-from"], words, &show].concat());
        assert_eq!(run(&["db"]).0, "data\nanon\nb\nown\n");
        let (told, said, _) = run(&["db:ro", "-v", "/data"]);
        assert!(told.starts_with("data\nanon\nb\n") && said.contains("Read-only file system"), "{said}");
        // What is asked for goes before what is lent.
        assert_eq!(run(&["db", "--tmpfs", "/anon", "-v", "other:/b"]).0, "data\n");
        for (words, why) in [("db:no", "invalid mode: no\n"), ("nobody", "No such container: nobody\n")] {
            let (_, said, code) = run(&[words]);
            assert!(code == 125 && said.contains(why) && said.lines().count() == 1, "{said}");
        }
        docker.ok(&["create", "--name", "peer", "--volumes-from", "db", "box", "true"]);
        docker.ok(&["rm", "-fv", "db"]);
        assert_eq!(
            docker.ok(&["run", "--rm", "--volumes-from", "peer", "box", "cat", "/anon/own"]),
            "anon\n"
        );
        let shown = "{{.HostConfig.VolumesFrom}} {{range .Mounts}}{{.Type}}{{.Destination}} {{end}}";
        let shown = docker.ok(&["inspect", "-f", shown, "peer"]);
        assert!(
            shown.starts_with("[db] ") && shown.contains("bind/b ") && shown.contains("volume/anon "),
            "{shown}"
        );
        assert_eq!(anonymous(docker), 2, "somebody has them still");
        docker.ok(&["rm", "-v", "peer"]);
        assert_eq!(anonymous(docker), 0, "they go with the last one");
        docker.ok(&["volume", "prune", "-f", "-a"]);
        sh("rm -r /run/bound");

        let project = Project::new(docker, services);
        sh("mkdir -p /run/shop/conf; echo set > /run/shop/conf/c");
        project.ok(&["run", "--rm", "backup"]);
        let all = sh("busybox tar -tf /run/shop/out/all.tar");
        assert!(["data/file\n", "conf/c\n"].iter().all(|file| all.contains(file)), "{all}");
        assert_eq!(project.running(), ["shop-db-1"]);
        project.ok(&["--profile", "now", "create", "--force-recreate"]);
        project.ok(&["--profile", "now", "down", "-v", "-t", "0"]);
        sh("rm -r /run/shop/out /run/shop/conf");
        nothing_is_left();
    });
}

#[test]
fn a_project_is_told_of_as_it_is_asked_to() {
    let services = "{services: {web: {COMMON, init: true, command: sleep 1000, expose: ['3306', '80-81'], ports: \
                    ['81'], deploy: , develop: }}}";
    with_each_runtime(|docker| {
        let project = Project::new(docker, services);
        let told = project.ok(&["--progress", "json", "up", "-d"]).stderr;
        let event = r#"{"id":"Container shop-web-1","status":"Done","text":"Started"}"#;
        assert!(told.lines().any(|line| line == event), "{told}");
        let ports = project.ok(&["ps", "--format", "{{.Ports}}"]).stdout;
        assert!(ports.starts_with("80/tcp, 3306/tcp, 0.0.0.0:") && ports.contains("->81/tcp"), "{ports}");
        let (_, said, code) = docker.says(&["inspect", "-f", "{{.State.Health.Status}}", "shop-web-1"]);
        assert!(code == 1 && said.contains(r#": map has no entry for key "Health""#), "{said}");
        assert!(project.ok(&["config"]).stdout.contains("      default: null\n"));
        for (words, line) in [
            (&["--progress", "fast", "ps"][..], "unsupported --progress value \"fast\"\n"),
            (&["--parallel", "x", "ps"], "See 'corten-compose --help'.\n"),
            (
                &["--progress", "json", "stop", "nobody"],
                "{\"error\":true,\"message\":\"no such service: nobody\"}\n",
            ),
        ] {
            let said = project.says(words);
            assert!(said.code == 1 && said.stderr.ends_with(line), "{}", said.stderr);
        }
        docker.ok(&["run", "-d", "--name", "guest", "--network", "shop_default", "box", "sleep", "1000"]);
        let told = project.ok(&["down", "-t", "0"]).stderr;
        assert!(told.contains(" Network shop_default  Resource is still in use\n"), "{told}");
        assert!(!told.contains("shop_default  Removed"), "{told}");
        docker.ok(&["rm", "-f", "-v", "guest"]);
        assert_eq!(project.ok(&["--progress", "quiet", "down", "-t", "0"]).stderr, "");
        assert!(project.ok(&["-v"]).stdout.starts_with("corten-compose "));
        nothing_is_left();
    });
}

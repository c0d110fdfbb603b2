//! What flags say: filters, limits, sizes, ports, and what `up` does at the end of a container.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};

use crate::docker::{
    Docker, nothing_is_left, nothing_is_left_by_the_killed, own_processes, said, with_each_runtime,
};
use crate::host::{sh, try_sh, until};
use crate::project::Project;

/// Each command line fails with this code, and says why.
fn refused(docker: &Docker, code: i32, lines: &[(&str, &str)]) {
    for (line, why) in lines {
        let (_, said, ended) = docker.says(&line.split(' ').collect::<Vec<_>>());
        assert!(ended == code && said.contains(why), "{line}: {ended}: {said}");
    }
}

#[test]
fn filters_find_what_they_say_and_what_they_cannot_be_is_refused() {
    with_each_runtime(|docker| {
        let ok = |line: &str| docker.ok(&line.split(' ').collect::<Vec<_>>());
        docker.ok(&["run", "--name", "old", "--label", "of=shop", "box", "sh", "-c", "exit 0"]);
        let probe = "--health-cmd true --health-interval 100ms";
        ok(&format!(
            "run -d --name web -P --expose 7000-7001 -p 8080:80 --label of=shop {probe} box sleep 1000"
        ));
        ok("network create back");
        ok("create --name late --network back -v db:/db box true");
        until("it is healthy", || ok("ps -q -f health=healthy").lines().count() == 1);
        for (filters, names) in [
            ("status=created", "late"),
            ("status=exited,status=running", "web old"),
            ("health=none", "late old"),
            ("health=healthy", "web"),
            ("label=of", "web old"),
            ("label=of=shop,label=tier", ""),
            ("name=^/we", "web"),
            ("name=e$", "late"),
            ("before=web", "old"),
            ("since=web", "late"),
            ("exited=0", "old"),
            ("exited=1", ""),
            ("network=back", "late"),
            ("volume=db", "late"),
            ("publish=79-80", "web"),
            ("publish=7001/udp", ""),
            ("expose=7001", "web"),
            ("ancestor=box", "late web old"),
            ("ancestor=other", ""),
            ("is-task=false,id=", "late web old"),
        ] {
            let filters = filters.split(',').flat_map(|filter| ["-f", filter]);
            let words: Vec<&str> =
                ["ps", "-a", "--format", "{{.Names}}"].into_iter().chain(filters).collect();
            assert_eq!(docker.ok(&words).lines().collect::<Vec<_>>().join(" "), names, "{words:?}");
        }
        ok("tag box shop/web:1");
        for (filter, count) in
            [("reference=shop/*:1", 1), ("reference=b?x", 1), ("dangling=true", 0), ("label=maintainer", 2)]
        {
            assert_eq!(ok(&format!("images --format x -f {filter}")).lines().count(), count, "{filter}");
        }
        assert_eq!(ok("images -q -f before=box"), "", "nothing is older than itself");
        let states = "must be one of created, running, paused, restarting, removing, exited, dead";
        refused(
            docker,
            1,
            &[
                ("ps -f colour=red", "invalid filter 'colour'"),
                ("ps -f status=nope", "invalid filter 'status=nope'"),
                ("ps -f status=nope", states),
                ("ps -f health=nope", "invalid value for health (nope): must be one of none, starting,"),
                ("ps -f exited=x", "invalid filter 'exited=x'"),
                ("ps -f since=nobody", "No such container: nobody"),
                ("ps -f name=a|b", "invalid filter 'name=a|b'"),
                ("images -f colour=red", "invalid filter 'colour'"),
                ("images -f dangling=maybe", "invalid filter 'dangling=maybe'"),
                ("images -f since=nothing", "nothing"),
                ("volume ls -f dangling=maybe", "invalid filter 'dangling=maybe'"),
                ("network ls -f colour=red", "invalid filter 'colour'"),
                ("network ls -f type=red", "invalid filter: 'type'='red'"),
            ],
        );
        // What can't be read at all is 125, whatever the command.
        refused(
            docker,
            125,
            &[
                ("ps -f web", "invalid argument \"web\" for \"-f, --filter\" flag"),
                ("update -m much web", "invalid argument \"much\" for \"--memory\""),
                ("create -v a:b box", "invalid volume specification"),
                ("container create -v a:b box", "invalid volume specification"),
            ],
        );
        // Ports that are exposed are published, sizes are told, and words are quoted.
        let ports = ok("port web");
        let inside: Vec<&str> =
            ports.lines().filter_map(|line| line.split_once(" -> ").map(|(one, _)| one)).collect();
        assert_eq!(inside, ["80/tcp", "80/tcp", "7000/tcp", "7000/tcp", "7001/tcp", "7001/tcp"]);
        docker.ok(&["exec", "web", "sh", "-c", "head -c 100000 /dev/zero > /tmp/file; sync"]);
        let table = ok("ps -a -s");
        assert!(table.lines().next().is_some_and(|line| line.ends_with("SIZE")), "{table}");
        assert!(ok("ps --format {{.Size}}").contains("kB (virtual "), "{table}");
        let sizes = docker.ok(&["inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "web"]);
        let (own, whole) = sizes.trim().split_once(' ').expect("two sizes");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        assert!(number(own) >= 100_000 && number(whole) > number(own), "{sizes}");
        assert_eq!(ok("ps -a --format {{.Command}} -f name=old"), "\"sh -c 'exit 0'\"\n");
        ok("rm -f -v web old late");
        ok("volume rm db");
        ok("network rm back");
        nothing_is_left();
    });
}

#[test]
fn limits_that_the_host_cannot_hold_are_refused_before_anything_is_made() {
    with_each_runtime(|docker| {
        let limits = [
            ("-m 4m", "Minimum memory limit allowed is 6MB"),
            (
                "-m 64m --memory-swap 32m",
                "Minimum memoryswap limit should be larger than memory limit, see usage",
            ),
            ("--memory-swap 64m", "You should always set the Memory limit when using Memoryswap limit"),
            ("--memory-reservation 1m", "Minimum memory reservation allowed is 6MB"),
            ("--cpus 4096", "range of CPUs is from 0.01 to "),
            ("--cpu-shares=-1", "shares: invalid argument"),
            ("--cpuset-cpus 9999", "Requested CPUs are not available - requested 9999, available: "),
        ];
        let mut web = docker.ok(&["create", "--name", "web", "box", "true"]);
        web.truncate(12);
        for (flags, why) in limits {
            refused(docker, 125, &[(&format!("run {flags} -v new:/new nothing true"), why)]);
            refused(docker, 1, &[(&format!("create {flags} -v new:/new box true"), why)]);
            // What is there may have a limit of memory already.
            let why = if flags.starts_with("--memory-swap") { "set the Memory limit" } else { why };
            refused(docker, 1, &[(&format!("update {flags} web"), why)]);
        }
        assert_eq!(docker.ok(&["ps", "-aq"]).trim(), web);
        docker.ok(&["rm", "-v", "web"]);
        let project = Project::new(
            docker,
            "services: {web: {COMMON, cpus: 4096, volumes: ['new:/new']}}\nvolumes: {new: }",
        );
        for words in [["up", "-d"], ["create", "web"], ["run", "web"]] {
            let said = project.says(&words);
            let is_refused = said.stderr.contains("range of CPUs is from 0.01");
            assert!(said.code == 1 && is_refused, "{words:?}: {}", said.stderr);
        }
        assert_eq!(docker.ok(&["volume", "ls", "-q"]), "");
        nothing_is_left();
    });
}

#[test]
fn up_ends_when_a_container_does_and_with_its_code() {
    const SERVICES: &str = "
services:
  web: {COMMON, command: [sh, -c, 'echo web; exec sleep 1000'], stop_signal: KILL}
  quiet: {COMMON, command: [sh, -c, 'echo quiet; exec sleep 1000'], stop_signal: KILL, attach: false}
  tests: {COMMON, command: [sh, -c, 'echo tests; exit 7'], depends_on: [web, quiet]}
";
    with_each_runtime(|docker| {
        let project = Project::new(docker, SERVICES);
        let up = |words: &[&str]| project.says(&[&["up"], words].concat());
        let said = up(&["--abort-on-container-exit", "--no-color", "--menu=false"]);
        assert_eq!(said.code, 7, "{}", said.stderr);
        assert!(said.stderr.contains("Aborting on container exit..."), "{}", said.stderr);
        assert!(said.stdout.contains("web-1    | web\n") && said.stdout.contains("tests-1  | tests\n"));
        assert!(!said.stdout.contains("quiet"), "{}", said.stdout);
        assert!(project.running().is_empty());
        assert_eq!(project.ok(&["ps", "--status", "exited", "--services"]).stdout, "quiet\ntests\nweb\n");
        assert_eq!(project.ok(&["ps", "-q"]).stdout, "");
        assert_eq!(project.ok(&["ps", "--filter", "status=running", "--services"]).stdout, "\n");
        assert_eq!(project.ok(&["ps", "-a", "-q", "--orphans=false", "web"]).stdout.lines().count(), 1);
        let command = project.ok(&["ps", "-a", "--no-trunc", "--format", "{{.Command}}", "tests"]).stdout;
        assert_eq!(command, "\"sh -c 'echo tests; exit 7'\"\n");
        assert!(project.says(&["ps", "--filter", "name=web"]).stderr.contains("unknown filter name"));
        // Another service's code: it was killed when all was stopped.
        let said = up(&["--exit-code-from", "web", "--attach", "tests", "--no-log-prefix"]);
        assert_eq!((said.code, said.stdout.contains("web")), (137, false), "{}", said.stdout);
        assert!(said.stdout.lines().any(|line| line == "tests"), "{}", said.stdout);
        // One that ends well stops nothing.
        project.write(&SERVICES.replace("exit 7", "exit 0").replace("exec sleep 1000", "sleep 0.5; exit 3"));
        let said = up(&["--abort-on-container-failure", "--no-attach", "web", "web", "tests"]);
        assert_eq!((said.code, said.stdout.contains("web-1")), (3, false), "{}", said.stderr);
        for (words, why) in [
            (&["--exit-code-from", "nobody"][..], "no such service: nobody"),
            (&["--attach", "nobody"], "cannot attach to services not included in up: nobody"),
            (&["-d", "--abort-on-container-exit"], "--detach cannot be combined with"),
        ] {
            let said = up(words);
            assert!(said.code == 1 && said.stderr.contains(why), "{words:?}: {}", said.stderr);
        }
        let out = std::fs::File::create("/run/shop/out").expect("a file");
        let mut up = project.command(&["up", "--abort-on-container-failure", "web"]);
        up.stdout(out.try_clone().expect("a file")).stderr(out).status().expect("the program");
        let shown = std::fs::read_to_string("/run/shop/out").expect("a file");
        let place = |line: &str| shown.find(line).unwrap_or_else(|| panic!("no {line} in {shown}"));
        assert!(place("web-1 exited with code 3") < place("Aborting on container exit..."), "{shown}");
        let told = project.ok(&["down", "-v"]).stderr;
        let stopped = " Container shop-web-1  Stopping\n Container shop-web-1  Stopped\n";
        assert!(told.contains(stopped), "{told}");
        nothing_is_left();
    });
}

/// Whether a process is there that lets a container go on.
fn thaws() -> bool {
    own_processes().iter().any(|(_, words)| words.get(1).is_some_and(|word| word == "thaw"))
}

#[test]
fn what_a_container_has_written_becomes_an_image() {
    with_each_runtime(|docker| {
        let ok = |line: &str| docker.ok(&line.split(' ').collect::<Vec<_>>());
        docker.ok(&[
            "run",
            "--name",
            "web",
            "-e",
            "A=1",
            "box",
            "sh",
            "-c",
            "echo new > /new; rm /etc/group",
        ]);
        let words =
            ["commit", "-a", "me", "-m", "with a file", "-c", "CMD [\"cat\", \"/new\"]", "web", "web:2"];
        let id = docker.ok(&words);
        assert!(id.starts_with("sha256:") && id.trim().len() == 71, "{id}");
        assert_eq!(ok("run --rm web:2"), "new\n");
        assert_ne!(docker.says(&["run", "--rm", "web:2", "cat", "/etc/group"]).2, 0, "it was removed");
        assert_eq!(ok("run --rm web:2 env").lines().filter(|line| *line == "A=1").count(), 1);
        let about = docker.ok(&["inspect", "-f", "{{.Author}} {{.Comment}} {{len .RootFS.Layers}}", "web:2"]);
        assert_eq!(about, "me with a file 2\n");
        assert!(ok("history web:2").contains("with a file"));
        // Of one that runs, with a name that moves, and on what was made so before.
        ok("run -d --name up web:2 sleep 1000");
        docker.ok(&["exec", "up", "sh", "-c", "echo more > /more"]);
        let again = ok("commit up web:2");
        assert_eq!(docker.state("up"), "running");
        assert_eq!(ok("run --rm web:2 cat /new /more"), "new\nmore\n");
        assert_eq!(
            docker.ok(&["inspect", "-f", "{{.Id}} {{len .RootFS.Layers}}", "web:2"]),
            format!("{} 3\n", again.trim())
        );
        ok("save -o /run/web.tar web:2");
        // The image that has lost its name stays for its container. One without a name, made while it runs.
        let (old, unnamed) = (id, ok("commit --pause=false up"));
        let dangling = ok("images -q --no-trunc -f dangling=true");
        assert!(dangling.lines().count() == 2 && dangling.contains(&unnamed) && dangling.contains(&old));
        ok(&format!("rmi {}", unnamed[7..].trim()));
        refused(
            docker,
            1,
            &[
                ("commit nobody", "No such container: nobody"),
                ("commit -c RUN web x", "RUN"),
                ("commit web UPPER", "invalid reference format"),
            ],
        );
        assert_eq!(ok("images -q").lines().count(), 3);
        ok("rm -f -v web up");
        ok(&format!("rmi web:2 {}", old[7..].trim()));
        assert!(ok("load -i /run/web.tar").contains("web:2"));
        assert_eq!(ok("run --rm web:2 cat /more"), "more\n");
        ok("rmi web:2");
        nothing_is_left();
    });
}

#[test]
fn a_killed_commit_leaves_nothing_frozen_and_an_archive_that_nobody_reads_is_told() {
    with_each_runtime(|docker| {
        docker.ok(&["run", "-d", "--name", "up", "box", "sleep", "1000"]);
        for pause in [10, 20, 40, 60, 80] {
            let mut commit = docker.spawn(&["commit", "up", "killed"]);
            std::thread::sleep(Duration::from_millis(pause));
            commit.kill().expect("it is ours");
            commit.wait().expect("it ends");
            until("it goes on", || docker.state("up") == "running" && !thaws());
        }
        let mut save = docker.command(&["save", "box"]);
        let mut save = save.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
        drop(save.stdout.take());
        let (_, told, code) = said(&save.wait_with_output().expect("it ends"));
        assert_eq!((told.as_str(), code), ("cortenctl: write /dev/stdout: broken pipe\n", 1));
        docker.ok(&["rm", "-f", "-v", "up"]);
        try_sh("ctr images rm docker.io/library/killed:latest");
        nothing_is_left_by_the_killed();
    });
}

#[test]
fn what_is_asked_of_a_mount_is_held_and_what_runs_is_not_started_anew() {
    with_each_runtime(|docker| {
        // A path in a volume leads out of it neither by a link nor by dots.
        docker.ok(&["run", "--rm", "-v", "led:/v", "box", "ln", "-s", "/etc", "/v/out"]);
        let below = "subpath must be a relative path within the volume";
        for (out, (why, expected)) in [
            ("out", ("a symbolic link is on the way", 125)),
            ("/etc", (below, 125)),
            ("../..", (below, 125)),
            ("none", ("/led/_data/none: no such file or directory", 127)),
        ] {
            let mount = format!("type=volume,src=led,dst=/x,volume-subpath={out}");
            let (_, said, code) = docker.says(&["run", "--rm", "--mount", &mount, "box", "true"]);
            assert!(code == expected && said.contains(why) && said.lines().count() == 1, "{code}: {said}");
        }
        // Whoever the process is, it may list a new volume.
        docker.ok(&["run", "--rm", "-u", "1000", "-v", "led:/v", "box", "ls", "/v"]);
        docker.ok(&["volume", "rm", "led"]);
        // The user's mask is for the user's own files.
        for mask in [0o077, 0] {
            let before = umask(Mode::from_bits_truncate(mask));
            let bind = format!("/run/made{mask}/x:/made");
            let stat =
                ["busybox", "stat", "-c", "%a", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/made"];
            let modes =
                docker.ok(&[&["run", "--name", "out", "-u", "1000", "-v", &bind, "box"], &stat[..]].concat());
            docker.ok(&["export", "-o", "/run/out.tar", "out"]);
            umask(before);
            docker.ok(&["rm", "out"]);
            assert_eq!(modes, "644\n644\n644\n755\n");
            assert_eq!(sh("stat -c %a /run/out.tar"), format!("{:o}\n", 0o666 & !mask));
        }
        // What docker takes.
        let taken = "run --rm --log-driver= --log-opt max-size=10MiB --log-opt cache-disabled=true -p 8085:80/TCP box";
        docker.ok(&[&taken.split(' ').collect::<Vec<_>>()[..], &["true"]].concat());
        for (value, is_read_only) in [("TRUE", true), ("0", false)] {
            let mount = format!("type=tmpfs,dst=/x,readonly={value}");
            let (_, _, code) = docker.says(&["run", "--rm", "--mount", &mount, "box", "touch", "/x/f"]);
            assert_eq!(code != 0, is_read_only, "{value}");
        }
        let (_, said, code) =
            docker.says(&["run", "--rm", "--mount", "type=tmpfs,dst=/x,readonly=maybe", "box", "true"]);
        assert!(code == 125 && said.contains("maybe"), "{code}: {said}");
        docker.says(&["run", "-d", "--cidfile", "/nosuch/x", "box", "true"]);
        assert_eq!(docker.ok(&["ps", "-aq"]), "");
        // One that runs is not started anew.
        docker.ok(&["run", "-d", "--name", "up", "box", "sh", "-c", "echo once; sleep 2; exit 4"]);
        let (_, said, code) = docker.says(&["start", "-a", "up"]);
        assert_eq!((code, docker.ok(&["logs", "up"]).as_str()), (4, "once\n"), "{said}");
        docker.ok(&["rm", "up"]);
        nothing_is_left();
    });
}

#[test]
fn streams_are_tied_one_by_one_and_a_container_may_be_on_several_networks() {
    with_each_runtime(|docker| {
        let both = ["box", "sh", "-c", "echo out; echo err >&2; exit 3"];
        for (streams, out, err) in [
            (&["-a", "stderr"][..], "", "err\n"),
            (&["-a", "STDOUT"], "out\n", ""),
            (&["--attach", "stdout", "-a", "stderr"], "out\n", "err\n"),
        ] {
            let words: Vec<&str> = ["run", "--rm"].iter().chain(streams).chain(&both).copied().collect();
            assert_eq!(docker.says(&words), (out.to_owned(), err.to_owned(), 3), "{words:?}");
        }
        let (out, _, code) = docker.says(&["run", "--name", "alone", "-a", "stdin", "box", "echo", "out"]);
        assert_eq!((out.trim().len(), code), (64, 0), "its id alone");
        docker.ok(&["rm", "alone"]);
        refused(
            docker,
            125,
            &[
                ("run -a stdio box true", "valid streams"),
                ("run -d -a stdout box true", "conflicting options"),
            ],
        );

        std::fs::create_dir_all("/run/a,b").unwrap();
        std::fs::write("/run/labels", "# none\nteam=web\n\n  tier=front\nshown\n").unwrap();
        sh("echo within > /run/a,b/file");
        for name in ["front", "back"] {
            docker.ok(&["network", "create", name]);
        }
        let mount = "type=bind,\"source=/run/a,b\",target=/in,readonly";
        let networks = ["--network", "front", "--network", "name=back,alias=db"];
        let made = [
            "run",
            "-d",
            "--name",
            "web",
            "--label-file",
            "/run/labels",
            "-l",
            "tier=back",
            "--mount",
            mount,
        ];
        docker.ok(&made
            .iter()
            .chain(&networks)
            .chain(&["box", "sleep", "1000"])
            .copied()
            .collect::<Vec<_>>());
        assert_eq!(docker.ok(&["exec", "web", "cat", "/in/file"]), "within\n");
        let labels = "{{index .Config.Labels \"team\"}} {{index .Config.Labels \"tier\"}}";
        assert_eq!(docker.ok(&["inspect", "-f", labels, "web"]), "web back\n");
        assert_eq!(docker.ok(&["exec", "web", "sh", "-c", "ip -4 addr | grep -c 'inet .*eth'"]), "2\n");
        let found = docker.ok(&["run", "--rm", "--network", "back", "box", "nslookup", "db"]);
        assert!(found.contains("Address"), "{found}");
        docker.ok(&["rm", "-f", "web"]);
        docker.ok(&["network", "rm", "front", "back"]);
        nothing_is_left();
    });
}

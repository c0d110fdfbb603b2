//! What a project's containers and images are turned into, and where containers are asked to be.

use std::fs;

use crate::docker::{Docker, nothing_is_left, said, with_each_runtime};
use crate::host::{sh, until};
use crate::project::Project;

fn ok(docker: &Docker, line: &str) -> String {
    docker.ok(&line.split(' ').collect::<Vec<_>>())
}

/// Each line is refused so, with that code.
fn refused(docker: &Docker, lines: &[(&str, i32, &str)]) {
    for (line, code, why) in lines {
        let (_, said, ended) = docker.says(&line.split(' ').collect::<Vec<_>>());
        assert!(ended == *code && said.contains(why) && said.lines().count() == 1, "{line}: {ended}: {said}");
    }
}

#[test]
fn an_archive_of_files_becomes_an_image() {
    with_each_runtime(|docker| {
        ok(docker, "run --name made box sh -c true");
        ok(docker, "export -o /run/made.tar made");
        sh("gzip -c /run/made.tar > /run/made.tar.gz");
        let flat =
            ["import", "-m", "flat", "-c", "CMD [\"busybox\",\"cat\",\"/data/file\"]", "-c", "ENV A=1"];
        let id = docker.ok(&[&flat[..], &["/run/made.tar.gz", "flat:1"]].concat());
        assert!(id.starts_with("sha256:"), "{id}");
        assert_eq!(ok(docker, "run --rm flat:1"), "from the image\n");
        let about = "{{.Id}} {{json .Config.Env}} {{len .RootFS.Layers}}";
        assert_eq!(
            docker.ok(&["image", "inspect", "-f", about, "flat:1"]),
            format!("{} [\"A=1\"] 1\n", id.trim())
        );
        assert_eq!(ok(docker, "history --format {{.Comment}} flat:1"), "flat\n");
        // Without a name, by standard input, for another machine.
        let mut import = docker.command(&["import", "--platform", "linux/arm64", "-"]);
        let archive = fs::File::open("/run/made.tar").expect("it is there");
        let unnamed = said(&import.stdin(archive).output().expect("it runs")).0.trim().to_owned();
        let platform = docker.ok(&["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", &unnamed]);
        assert_eq!(platform, "linux/arm64\n");
        sh(
            "head -c 1500 /run/made.tar.gz > /run/torn.tar.gz; echo text > /run/text; truncate -s 4k /run/text",
        );
        refused(
            docker,
            &[
                ("import /run/torn.tar.gz torn", 1, "gzip: not a whole archive"),
                ("import /run/text torn", 1, "not a tar archive"),
                ("import /run/gone torn", 1, "/run/gone: "),
                ("import /run/made.tar Torn", 1, "invalid reference format"),
                ("import -c RUN /run/made.tar torn", 1, "RUN"),
                ("import http://127.0.0.1:1/made.tar torn", 1, "curl: "),
            ],
        );
        assert_eq!(ok(docker, "images -q torn"), "");
        docker.ok(&["rmi", "flat:1", &unnamed]);
        ok(docker, "rm made");
        nothing_is_left();
    });
}

#[test]
fn there_is_one_context_and_no_search() {
    with_each_runtime(|docker| {
        let (name, context) = ("{{.Name}}", "{{.Name}}: {{.Endpoints.docker.Host}}");
        assert_eq!(ok(docker, "context show"), "default\n");
        assert_eq!(docker.ok(&["context", "ls", "--format", name]), "default\n");
        assert!(
            ok(docker, "context ls").starts_with("NAME        DESCRIPTION"),
            "{}",
            ok(docker, "context ls")
        );
        let told = docker.ok(&["context", "inspect", "-f", context]);
        assert_eq!(told, "default: unix:///run/containerd/containerd.sock\n");
        let (stdout, stderr, code) = docker.says(&["context", "use", "default"]);
        assert_eq!(
            (stdout.as_str(), stderr.as_str(), code),
            ("default\n", "Current context is now \"default\"\n", 0)
        );
        refused(
            docker,
            &[
                ("context use other", 1, "context \"other\": context not found"),
                ("context create --docker host=tcp://h other", 1, "context create: can't be done here"),
                ("search --limit 3 nginx", 1, "https://hub.docker.com/search"),
            ],
        );
        nothing_is_left();
    });
}

#[test]
fn a_network_that_gives_no_address_is_refused_and_leaves_nothing() {
    with_each_runtime(|docker| {
        let none = ok(docker, "network ls -q --filter name=none");
        let interfaces = ok(docker, &format!("run --rm --network {} box ls /sys/class/net", none.trim()));
        assert_eq!(interfaces, "lo\n");
        // What was refused for want of an address is no burden for the next command.
        ok(docker, "network create --subnet 10.63.0.0/30 --aux-address a=10.63.0.2 full");
        refused(
            docker,
            &[("run --rm --network full box true", 125, "no available IPv4 addresses on this network")],
        );
        let (_, said, _) = docker.says(&["run", "--rm", "box", "true"]);
        assert_eq!(said, "");
        ok(docker, "network rm full");
        nothing_is_left();
    });
}

#[test]
fn a_container_has_links_local_addresses_and_networks_by_their_ids() {
    with_each_runtime(|docker| {
        let id = ok(docker, "network create --subnet 10.61.0.0/29 --aux-address printer=10.61.0.2 near");
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        ok(docker, &format!("run -d --name db --network {} box sleep 1000", &id[..12]));
        assert_eq!(docker.ok(&["inspect", "-f", address, "db"]), "10.61.0.3\n");
        let flags = "--network near --link db:sql --link-local-ip 169.254.7.7 --cpuset-mems 0";
        ok(docker, &format!("run -d --name web {flags} box sleep 1000"));
        ok(docker, "exec web busybox nslookup sql");
        let interface = ok(docker, "exec web busybox ip address show eth0");
        assert!(interface.contains("inet 169.254.7.7/16"), "{interface}");
        let asked = "{{.HostConfig.CpusetMems}} {{(index .NetworkSettings.Networks \"near\").IPAMConfig.LinkLocalIPs}}";
        assert_eq!(docker.ok(&["inspect", "-f", asked, "web"]), "0 [169.254.7.7]\n");
        ok(docker, "restart -t 0 web");
        assert!(ok(docker, "exec web busybox ip address show eth0").contains("169.254.7.7"));
        // On the default network, where a container has no name for others, a link is one.
        ok(docker, "run -d --name base box sleep 1000");
        let base = ok(docker, "inspect -f {{.Id}} base");
        ok(docker, &format!("run --rm --link {}:root box busybox nslookup root", &base[..12]));
        let aux = "{{(index .IPAM.Config 0).AuxiliaryAddresses.printer}}";
        assert_eq!(docker.ok(&["network", "inspect", "-f", aux, &id[..8]]), "10.61.0.2\n");
        refused(
            docker,
            &[
                ("run --network near --ip 10.61.0.2 box true", 125, "Address already in use"),
                (
                    "run --link nobody:x box true",
                    125,
                    "could not get container for nobody: No such container: nobody",
                ),
                (
                    "run --network host --link db box true",
                    125,
                    "host type networking can't be used with links",
                ),
                ("run --link-local-ip 10.0.0.1 box true", 125, "invalid link-local IP address: 10.0.0.1"),
                ("run --cpuset-mems 4095 box true", 125, "Requested memory nodes are not available"),
                ("run --storage-opt size=1G box true", 125, "--storage-opt size=1G: can't be done here"),
                ("run --network near --network name=ID box true", 125, "network ID not found"),
                (
                    "network create --aux-address a=10.8.0.1 far",
                    1,
                    "no matching subnet for aux-address 10.8.0.1",
                ),
            ],
        );
        ok(docker, "rm -f web db base");
        // The six addresses of hosts are the gateway's, the printer's and of four containers.
        for number in 0..4 {
            ok(docker, &format!("run -d --name c{number} --network near box sleep 1000"));
            assert_ne!(docker.ok(&["inspect", "-f", address, &format!("c{number}")]), "10.61.0.2\n");
        }
        assert_eq!(docker.says(&["run", "--name", "c4", "--network", "near", "box", "true"]).2, 125);
        ok(docker, "rm -f c0 c1 c2 c3 c4");
        ok(docker, &format!("network rm {}", &id[..8]));
        nothing_is_left();
    });
}

const SERVICES: &str = "
services:
  web:
    {COMMON, command: sh -c 'echo up; echo >&2 down; sleep 0.3; busybox touch /ready; exec sleep 1000',
     environment: {MODE: 'a b'}, labels: {of: shop}, logging: {options: {labels: of, env: MODE}},
     healthcheck: {test: test -e /ready, interval: 100ms, retries: 100}, networks: {n: {link_local_ips: [169.254.9.9]}}}
networks:
  n: {ipam: {config: [{subnet: 10.62.0.0/29, aux_addresses: {router: 10.62.0.2}}]}}
";

#[test]
fn a_service_becomes_an_archive_or_an_image_and_is_waited_for() {
    with_each_runtime(|docker| {
        let project = Project::new(docker, SERVICES);
        project.ok(&["create"]);
        let refused = project.says(&["start", "--wait", "--wait-timeout", "0x", "web"]);
        assert_eq!(refused.code, 1, "{}", refused.stderr);
        project.ok(&["start", "--wait", "--wait-timeout", "20"]);
        let health = "{{.State.Health.Status}}";
        assert_eq!(docker.ok(&["inspect", "-f", health, "shop-web-1"]), "healthy\n");
        project.ok(&["start", "--wait"]);
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        assert_eq!(docker.ok(&["inspect", "-f", address, "shop-web-1"]), "10.62.0.3\n");
        assert!(
            project.ok(&["exec", "-T", "web", "busybox", "ip", "addr"]).stdout.contains("169.254.9.9/16")
        );

        let line = "MODE=a+b,of=shop up\n";
        until("the first line is logged", || ok(docker, "logs --details shop-web-1") == line);
        assert_eq!(project.ok(&["logs", "--details", "--no-log-prefix"]).stdout, line);

        let dry = project.ok(&["stop", "--dry-run"]);
        assert!(dry.stdout.contains("stop") && docker.state("shop-web-1") == "running", "{}", dry.stdout);
        for words in
            [&["commit", "--dry-run", "web", "never"][..], &["export", "--dry-run", "-o", "never", "web"]]
        {
            assert!(project.ok(words).stderr.contains("Nothing is done"));
        }
        assert!(!fs::exists("/run/shop/never").expect("it can be looked at"));
        let said = project.ok(&["commit", "-m", "from a service", "--index", "1", "web", "web:2"]).stderr;
        assert!(said.contains(" Container shop-web-1  Committed as sha256:"), "{said}");
        assert_eq!(ok(docker, "run --rm web:2 ls /ready"), "/ready\n");
        project.ok(&["export", "-o", "web.tar", "web"]);
        assert!(sh("tar -tf /run/shop/web.tar").contains("./ready\n"));
        for words in [&["commit", "--index", "7", "web"][..], &["export", "--index", "7", "web"]] {
            assert!(project.says(words).stderr.contains("service \"web\" has no container #7"));
        }

        let digest = ok(docker, "image inspect -f {{.Id}} box");
        let locked = project.ok(&["config", "--lock-image-digests"]).stdout;
        assert!(
            locked.starts_with("services:\n  web:\n    image: docker.io/library/box:latest@sha256:"),
            "{locked}"
        );
        assert!(!digest.is_empty() && locked.lines().count() == 3, "{locked}");
        let resolved = project.ok(&["config", "--resolve-image-digests"]).stdout;
        assert!(resolved.contains("    image: docker.io/library/box:latest@sha256:"), "{resolved}");
        project.ok(&["down", "-t", "0"]);
        ok(docker, "rmi web:2");
        project.is_gone();
    });
}

const OF_IMAGE: &str = "
services:
  web:
    {COMMON, command: sleep 1000, volumes: [{type: image, source: 'two:1', target: /f, image: {subpath: srv/sub/new}}]}
";

#[test]
fn an_images_files_are_mounted_and_go_with_the_container() {
    with_each_runtime(|docker| {
        for (name, base, change) in [
            (
                "two:1",
                "box",
                "busybox mkdir -p /srv/sub; echo old > /srv/sub/old; echo > /srv/gone; busybox mkdir '/a:b,\\'",
            ),
            ("two:1", "two:1", "busybox rm /srv/gone; echo new > /srv/sub/new; echo > '/a:b,\\/new'"),
        ] {
            docker.ok(&["run", "--name", "made", base, "sh", "-c", change]);
            ok(docker, &format!("commit made {name}"));
            ok(docker, "rm made");
        }
        let views = || sh("ctr snapshots ls | grep -c ' View$\\| View ' || true").trim().to_owned();
        let mounts =
            "--mount type=image,src=two:1,dst=/i --mount type=image,src=two:1,dst=/s,image-subpath=srv/sub";
        ok(docker, &format!("run -d --name web {mounts} box sleep 1000"));
        let look = || {
            let read = ok(docker, "exec web busybox cat /i/srv/sub/new /s/new /s/old");
            let listed = ok(docker, "exec web busybox ls /i/srv");
            let (_, said, code) = docker.says(&["exec", "web", "busybox", "touch", "/i/x"]);
            assert_eq!((read.as_str(), listed.as_str(), code), ("new\nnew\nold\n", "sub\n", 1), "{said}");
            assert!(said.contains("Read-only"), "{said}");
        };
        look();
        assert_eq!(views(), "2");
        a_path_of_special_characters_is_mounted(docker);
        let told = "{{range .Mounts}}{{.Type}} {{.Source}} {{.RW}};{{end}}";
        let mounted = docker.ok(&["inspect", "-f", told, "web"]);
        assert!(mounted.starts_with("image two:1 false;image two:1 false;volume "), "{mounted}");
        let project = Project::new(docker, OF_IMAGE);
        project.ok(&["up", "-d"]);
        assert_eq!(project.ok(&["exec", "-T", "web", "busybox", "cat", "/f"]).stdout, "new\n");
        assert!(project.ok(&["up", "-d"]).stderr.contains("Running"));
        // Another image of that name, which has the same files.
        ok(docker, "run --name made two:1 busybox true");
        ok(docker, "commit made two:1");
        ok(docker, "rm made");
        assert!(project.ok(&["up", "-d"]).stderr.contains("Recreated"));
        project.write(&OF_IMAGE.replace("srv/sub/new", "srv/gone"));
        let said = project.says(&["up", "-d"]);
        assert!(
            said.code == 1 && said.stderr.contains("image two:1: subpath srv/gone: no such"),
            "{}",
            said.stderr
        );
        project.ok(&["down", "-t", "0"]);
        // The image goes, and what is mounted of it stays; whoever removes the container, nothing is left.
        ok(docker, "rmi -f two:1");
        look();
        ok(docker, "restart -t 0 web");
        look();
        ok(docker, "rm -f -v web");
        until("no view is left", || views() == "0");
        let id = ok(docker, "create --mount type=image,src=box,dst=/i box true");
        sh(&format!("ctr containers rm {}; ctr images tag docker.io/library/box:latest tmp:1", id.trim()));
        sh("ctr images rm --sync tmp:1");
        until("what nobody names is collected", || views() == "0");
        images_that_cannot_be_mounted(docker);
        project.is_gone();
    });
}

fn a_path_of_special_characters_is_mounted(docker: &Docker) {
    let special = "type=image,src=two:1,dst=/i,\"image-subpath=a:b,\\\"";
    let listed = docker.ok(&["run", "--rm", "--mount", special, "box", "busybox", "ls", "/i"]);
    assert_eq!(listed, "new\n");
}

fn images_that_cannot_be_mounted(docker: &Docker) {
    for (mount, why) in [
        ("type=image,dst=/i", "field Source must not be empty"),
        ("type=image,src=box,dst=/i,image-subpath=../x", "subpath must be a relative path within the image"),
        ("type=volume,src=box,dst=/i,image-subpath=x", "cannot mix 'image-*' options"),
        ("type=image,src=nowhere.invalid/x,dst=/i", "nowhere.invalid/x"),
    ] {
        let (_, said, code) = docker.says(&["run", "--mount", mount, "box", "true"]);
        assert!(code == 125 && said.contains(why), "{mount}: {code}: {said}");
    }
}

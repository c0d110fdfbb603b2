//! What is asked of a container's addresses, mounts and labels: it is held, or refused before anything is made.

use crate::docker::{Docker, nothing_is_left, with_each_runtime};
use crate::project::Project;

fn ok(docker: &Docker, line: &str) -> String {
    docker.ok(&line.split(' ').collect::<Vec<_>>())
}

#[test]
fn an_address_may_be_beside_the_range_and_is_given_once() {
    const ADDRESS: &str = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    with_each_runtime(|docker| {
        ok(docker, "network create --subnet 10.60.0.0/24 --ip-range 10.60.0.254/31 near");
        ok(docker, "run -d --name fixed --network near --ip 10.60.0.5 box sleep 1000");
        ok(docker, "run -d --name free --network near box sleep 1000");
        let address = |name: &str| docker.ok(&["inspect", "-f", ADDRESS, name]);
        assert_eq!(
            (address("fixed"), address("free")),
            ("10.60.0.5\n".to_owned(), "10.60.0.254\n".to_owned())
        );
        for taken in ["--ip 10.60.0.5", "--ip 10.60.0.254", "--ip 10.60.0.1", "--env A=1"] {
            let line = format!("run --rm --network near {taken} box true");
            let (_, said, code) = docker.says(&line.split(' ').collect::<Vec<_>>());
            assert_eq!(code, 125, "{line}: {said}");
        }
        ok(docker, "rm -f free");
        ok(docker, "run --rm --network near --ip 10.60.0.254 box true");
        ok(docker, "rm -f fixed");
        ok(docker, "network rm near");
        nothing_is_left();
    });
}

#[test]
fn labels_and_names_are_kept_and_mounts_have_one_place_each() {
    with_each_runtime(|docker| {
        let long = format!("long={}", "x".repeat(5000));
        let shm = "--shm-size 0 --tmpfs /m";
        let words = format!("run -d --name web -l a -l b= -l {long} {shm} -h");
        let words: Vec<&str> = words.split(' ').chain(["", "box", "sleep", "1000"]).collect();
        let id = docker.ok(&words);
        let labels =
            "{{index .Config.Labels \"a\"}}|{{len (index .Config.Labels \"long\")}}|{{json .Config.Labels}}";
        let told = docker.ok(&["inspect", "-f", labels, "web"]);
        assert!(told.starts_with("|5000|") && told.contains("\"a\":\"\",\"b\":\"\""), "{told}");
        for filter in ["label=a", "label=b=", "label=long"] {
            assert_eq!(
                ok(docker, &format!("ps --format {{{{.Names}}}} --filter {filter}")),
                "web\n",
                "{filter}"
            );
        }
        assert_eq!(ok(docker, "exec web busybox hostname").trim(), &id[..12]);
        let shm = ok(docker, "exec web busybox df -k /dev/shm");
        assert!(shm.contains(" 65536 "), "{shm}");
        ok(docker, "restart -t 0 web");
        assert_eq!(ok(docker, "ps -q --filter label=a").lines().count(), 1);
        for (flags, why) in [
            ("-v v:/m -v w:/m", "Duplicate mount point: /m"),
            ("-v v:/m --mount type=tmpfs,dst=/m/", "Duplicate mount point: /m"),
            ("-v v:/m --tmpfs /m", "Duplicate mount point: /m"),
            ("--tmpfs m", "invalid mount path: 'm' mount path must be absolute"),
            ("--tmpfs :", "invalid mount path: '' mount path must be absolute"),
            ("--mount dst=/", "invalid specification: destination can't be '/'"),
            ("--mount type=bind,src=,dst=/m", "field Source must not be empty"),
            ("--mount type=tmpfs,src=/x,dst=/m", "field Source must not be specified"),
        ] {
            for (verb, code) in [("run", 125), ("create", 1)] {
                let line = format!("{verb} {flags} box true");
                let (_, said, ended) = docker.says(&line.split(' ').collect::<Vec<_>>());
                assert!(
                    ended == code && said.contains(why) && said.lines().count() == 1,
                    "{line}: {ended}: {said}"
                );
            }
        }
        ok(docker, "rm -f web");
        nothing_is_left();
    });
}

#[test]
fn a_place_in_a_volume_may_be_made_by_whoever_goes_before() {
    let mount = "volumes: [{type: volume, source: data, target: /x, volume: {subpath: made}}]";
    let services = format!(
        "{{services: {{init: {{COMMON, command: busybox mkdir -p /data/made, volumes: [\"data:/data\"]}}, app: {{COMMON, \
         command: sleep 1000, labels: [empty], {mount}, depends_on: {{init: {{condition: \
         service_completed_successfully}}}}}}}}, volumes: {{data: {{}}}}}}"
    );
    with_each_runtime(|docker| {
        let project = Project::new(docker, &services);
        project.ok(&["up", "-d"]);
        assert_eq!(project.running(), ["shop-app-1"]);
        assert_eq!(ok(docker, "ps -q --filter label=empty").lines().count(), 1);
        assert_eq!(project.ok(&["up", "-d"]).code, 0);
        project.ok(&["exec", "-T", "app", "busybox", "ls", "/x"]);
        project
            .write(&services.replace("/data/made", "/data/other").replace("subpath: made", "subpath: none"));
        let said = project.says(&["up", "-d"]);
        assert!(
            said.code == 1 && said.stderr.contains("/_data/none: no such file or directory"),
            "{}",
            said.stderr
        );
        project.is_gone();
    });
}

//! The networks that a project's services name, and the names by which their containers reach each other.

use crate::docker::{Docker, nothing_is_left, with_each_runtime};
use crate::project::Project;

/// What `up` says of a project that can't be, of which nothing is made.
#[track_caller]
fn refused(docker: &Docker, services: &str, why: &str) {
    let project = Project::new(docker, services);
    let said = project.says(&["up", "-d"]);
    assert!(said.code == 1 && said.stderr.contains(why), "{services}: {}: {}", said.code, said.stderr);
    assert!(!said.stderr.contains("Creat"), "{}", said.stderr);
    assert_eq!(docker.ok(&["ps", "-aq"]) + &docker.ok(&["volume", "ls", "-q"]), "");
    assert_eq!(docker.ok(&["network", "ls", "-q", "-f", "type=custom", "-f", "name=shop"]), "");
}

#[test]
fn a_mode_or_an_external_name_may_be_a_network_that_is_there() {
    with_each_runtime(|docker| {
        docker.ok(&["network", "create", "--subnet", "10.62.0.0/24", "mine"]);
        let services = "
services:
  bridged: {COMMON, init: true, command: sleep 1000, network_mode: bridge, ports: ['127.0.0.1:8085:80']}
  named: {COMMON, init: true, command: sleep 1000, network_mode: mine}
  plain: {COMMON, init: true, command: sleep 1000}
  of_host: {COMMON, init: true, command: sleep 1000, networks: [host]}
networks: {default: {external: true, name: bridge}, host: {external: true, name: host}}
";
        let project = Project::new(docker, services);
        project.ok(&["up", "-d"]);
        assert_eq!(project.ok(&["port", "bridged", "80"]).stdout, "127.0.0.1:8085\n");
        for (service, mode) in
            [("bridged", "bridge"), ("named", "mine"), ("plain", "bridge"), ("of_host", "host")]
        {
            let of = format!("shop-{service}-1");
            let about = "{{.HostConfig.NetworkMode}} {{range $name, $of := .NetworkSettings.Networks}}{{$name}}{{end}}";
            assert_eq!(docker.ok(&["inspect", "-f", about, &of]), format!("{mode} {mode}\n"));
        }
        let addresses = |service: &str| project.ok(&["exec", "-T", service, "ip", "-o", "-4", "addr"]).stdout;
        assert!(addresses("named").contains("10.62.0."), "{}", addresses("named"));
        assert!(addresses("bridged").contains("eth0") && addresses("plain").contains("eth0"));
        let again = project.ok(&["--dry-run", "up", "-d"]);
        assert!(!again.stdout.contains("create"), "{}", again.stdout);
        project.ok(&["down", "-t", "0"]);
        assert_eq!(docker.ok(&["network", "ls", "--format", "{{.Name}}"]), "bridge\nhost\nmine\nnone\n");
        docker.ok(&["network", "rm", "mine"]);
        nothing_is_left();
    });
}

#[test]
fn links_and_host_names_are_names() {
    with_each_runtime(|docker| {
        docker.ok(&["network", "create", "mine"]);
        docker.ok(&["run", "-d", "--name", "away", "-h", "far", "--network", "mine", "box", "sleep", "1000"]);
        let services = "
services:
  db: {COMMON, init: true, command: sleep 1000, hostname: store}
  web: {COMMON, init: true, command: sleep 1000, links: ['db:sql'], external_links: ['away:ext'],
    networks: [default, out]}
networks: {out: {external: true, name: mine}}
";
        let project = Project::new(docker, services);
        project.ok(&["up", "-d"]);
        let reaches =
            |from: &str, name: &str| project.says(&["exec", "-T", from, "ping", "-c1", name]).code == 0;
        for name in ["db", "sql", "sql.shop_default", "db-1", "store", "ext", "far"] {
            assert!(reaches("web", name), "{name}");
        }
        assert!(!reaches("db", "sql") && reaches("db", "store"));
        let names = "{{json .NetworkSettings.Networks.shop_default.DNSNames}}";
        let names = docker.ok(&["inspect", "-f", names, "shop-db-1"]);
        assert!(names.starts_with("[\"shop-db-1\",\"db\",\"store\",\""), "{names}");
        let links = "{{json .NetworkSettings.Networks.mine.Links}}";
        assert_eq!(
            docker.ok(&["inspect", "-f", links, "shop-web-1"]),
            "[\"shop-db-1:db-1\",\"shop-db-1:sql\",\"away:ext\"]\n"
        );
        project.ok(&["down", "-v", "-t", "0"]);
        docker.ok(&["rm", "-fv", "away"]);
        docker.ok(&["network", "rm", "mine"]);
        refused(docker, "services: {a: {COMMON, external_links: ['away:ext']}}", "No such container: away");
        nothing_is_left();
    });
}

#[test]
fn whoever_joins_a_container_of_the_project_comes_after_it() {
    with_each_runtime(|docker| {
        let services = "
services:
  app: {COMMON, init: true, command: sleep 1000, network_mode: 'container:vpn'}
  peer: {COMMON, init: true, command: sleep 1000, ipc: 'container:vpn', depends_on: [vpn]}
  vpn: {COMMON, init: true, command: sleep 1000, container_name: vpn, ipc: shareable}
";
        let project = Project::new(docker, services);
        for _ in 0..2 {
            project.ok(&["up", "-d"]);
            let addresses = |service: &str| project.ok(&["exec", "-T", service, "ip", "addr"]).stdout;
            assert_eq!(addresses("app"), addresses("vpn"));
            project.ok(&["stop", "-t", "0"]);
            project.ok(&["up", "-d"]);
            // Its owner alone has another process.
            docker.ok(&["restart", "-t", "0", "vpn"]);
            project.ok(&["up", "-d", "-t", "0"]);
            assert_eq!(addresses("app"), addresses("vpn"));
            project.ok(&["down", "-t", "0"]);
            project.ok(&["create"]);
            project.ok(&["down", "-t", "0"]);
        }
        nothing_is_left();
    });
}

#[test]
fn what_a_network_or_a_volume_cannot_be_is_told_before_anything_is_made() {
    with_each_runtime(|docker| {
        for (of_service, more, why) in [
            ("network_mode: slirp4netns", "", "network slirp4netns not found"),
            ("network_mode: 'container:nosuch'", "", "No such container: nosuch"),
            (
                "volumes: ['v:/v']",
                "volumes: {v: {driver: nfs}}",
                "create shop_v: error looking up volume plugin nfs",
            ),
            ("mac_address: bad", "", "bad is not a valid mac address"),
            (
                "networks: {n: {link_local_ips: [10.1.0.8]}}",
                "networks: {n: }",
                "invalid link-local IP address: 10.1.0.8",
            ),
            ("networks: [n]", "networks: {n: {enable_ipv4: false}}", "enable_ipv4: can't be done here"),
            (
                "networks: [n]",
                "networks: {n: {ipam: {config: [{subnet: 10.1.0.0/24, aux_addresses: {a: 10.2.0.5}}]}}}",
                "no matching subnet for aux-address 10.2.0.5",
            ),
            ("networks: [n]", "networks: {n: {driver: overlay}}", "driver overlay is none of bridge"),
            (
                "networks: [n]",
                "networks: {n: {ipam: {config: [{gateway: 10.1.0.1}]}}}",
                "must have a corresponding subnet",
            ),
            (
                "networks: [n]",
                "networks: {n: {driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}}",
                "enable_icc=false: can't be done here",
            ),
            (
                "networks: {n: {ipv4_address: 10.9.9.9}}",
                "networks: {n: {ipam: {config: [{subnet: 10.8.0.0/24}]}}}",
                "no configured subnet contains IP address 10.9.9.9",
            ),
            (
                "networks: {n: {ipv4_address: 10.9.9.9}}",
                "networks: {n: }",
                "supported only when connecting to networks with user configured subnets",
            ),
        ] {
            refused(docker, &format!("services: {{a: {{COMMON, {of_service}}}}}\n{more}\n"), why);
        }
        docker.ok(&["network", "create", "--subnet", "10.8.0.0/24", "mine"]);
        let why = "invalid config for network mine: invalid endpoint settings: no configured subnet contains IP \
                   address 10.9.9.9";
        refused(
            docker,
            "services: {a: {COMMON, networks: {n: {ipv4_address: 10.9.9.9}}}}\n\
             networks: {n: {external: true, name: mine}}",
            why,
        );
        let (_, said, code) = docker.says(&["run", "--network", "mine", "--ip", "10.9.9.9", "box", "true"]);
        assert!(code == 125 && said.contains(why), "{code}: {said}");
        assert_eq!(docker.ok(&["ps", "-aq"]), "");
        docker.ok(&["network", "rm", "mine"]);
        nothing_is_left();
    });
}

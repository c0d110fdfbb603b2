//! Networks: none, bridges, names, and ports published to the host.

use spec_tests::engine::Outcome;
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::role::Role;
use spec_tests::engine::scenario::Expected::{Fails, Says, Shows};
use spec_tests::engine::scenario::{Scenario, run, scenario};
use spec_tests::engine::session::Session;

pub fn scenarios() -> Vec<Scenario> {
    [seen_inside(), ports(), between_containers()].into_iter().flatten().collect()
}

fn seen_inside() -> Vec<Scenario> {
    vec![
        run(
            "none_has_only_loopback",
            &[
                "--network",
                "none",
                BUSYBOX,
                "sh",
                "-c",
                "ls /sys/class/net; ping -c 1 127.0.0.1 | grep -c ' 0% packet loss'",
            ],
            Says("lo\n1\n"),
        ),
        run(
            "bridge_has_an_interface_and_a_route",
            &[BUSYBOX, "sh", "-c", "ls /sys/class/net; ip route | grep -c default"],
            Says("eth0\nlo\n1\n"),
        ),
        run(
            "interface_is_up",
            &[
                BUSYBOX,
                "sh",
                "-c",
                "cat /sys/class/net/eth0/operstate; ip -o -4 addr show eth0 | grep -o '/16'",
            ],
            Shows(&["up\n", "/16"]),
        ),
        run(
            "host_network_shows_the_bridge",
            &["--network", "host", BUSYBOX, "ls", "-d", "/sys/class/net/docker0"],
            Says(
                "/sys/class/net/docker0
",
            ),
        ),
        run(
            "mac_address",
            &["--mac-address", "02:42:00:11:22:33", BUSYBOX, "cat", "/sys/class/net/eth0/address"],
            Shows(&["02:42:00:11:22:33"]),
        ),
        run(
            "dns_flags",
            &["--dns", "9.9.9.9", "--dns-search", "example.org", BUSYBOX, "cat", "/etc/resolv.conf"],
            Shows(&["search example.org", "nameserver 9.9.9.9"]),
        ),
        run(
            "an_unknown_network_is_refused",
            &["--network", "nosuch", BUSYBOX, "true"],
            Fails(125, "network nosuch not found"),
        ),
    ]
}

fn ports() -> Vec<Scenario> {
    vec![
        run(
            "privileged_ports_need_no_capability",
            &["--user", "alice", BUSYBOX, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"],
            Says("0\n"),
        ),
        scenario("the_host_reaches_a_published_port", |session| {
            published(session, &["-p", "8080"], "8080/tcp")
        }),
        scenario("the_host_reaches_a_port_bound_to_loopback", |session| {
            published(session, &["-p", "127.0.0.1::8080"], "8080/tcp")
        }),
        scenario("the_host_reaches_all_exposed_ports", |session| {
            published(session, &["--expose", "8080", "-P"], "8080/tcp")
        }),
        scenario("a_fixed_port_is_free_again_after_the_container", |session| {
            for _ in 0..2 {
                let name = session.start("web", &["-p", "18080:8080", BUSYBOX, "sh", "-c", WEB])?;
                session.host(&fetch("127.0.0.1:18080"))?.ok()?.says("hello\n")?;
                session.docker(&["rm", "-f", &name])?.ok()?;
            }
            Ok(())
        }),
        scenario("a_port_in_use_is_refused", |session| {
            session.start("web", &["-p", "18081:8080", BUSYBOX, "sh", "-c", WEB])?;
            let name = session.name("second");
            session
                .run(&["--name", &name, "-p", "18081:8080", BUSYBOX, "true"])?
                .exits(125)?
                .complains("port is already allocated")
                .map(drop)
        }),
    ]
}

fn between_containers() -> Vec<Scenario> {
    vec![
        scenario("containers_find_each_other_by_name", |session| {
            let network = network(session, &[])?;
            session.start(
                "server",
                &["--network", &network, "--network-alias", "web", BUSYBOX, "sh", "-c", WEB],
            )?;
            let said = session.run(&["--network", &network, BUSYBOX, "sh", "-c", &fetch("web:8080")])?;
            seat_down(session, &network, said.ok()?.says("hello\n").map(drop))
        }),
        scenario("a_fixed_address_in_a_network", |session| {
            let third = match session.role() {
                Role::Reference => 71,
                Role::Tested => 72,
            };
            let network = network(session, &["--subnet", &format!("10.9.{third}.0/24")])?;
            let address = format!("10.9.{third}.77");
            let script = "ip -4 -o addr show eth0 | grep -oE '\\.77/24'";
            let said =
                session.run(&["--network", &network, "--ip", &address, BUSYBOX, "sh", "-c", script])?;
            seat_down(session, &network, said.ok()?.says(".77/24\n").map(drop))
        }),
        scenario("connect_and_disconnect_while_it_runs", |session| {
            let network = network(session, &[])?;
            let name = session.start("c", &[BUSYBOX, "sleep", "100"])?;
            session.docker(&["network", "connect", &network, &name])?.ok()?;
            session.docker(&["exec", &name, "ls", "/sys/class/net"])?.ok()?.says("eth0\neth1\nlo\n")?;
            session.docker(&["network", "disconnect", &network, &name])?.ok()?;
            let said = session.docker(&["exec", &name, "ls", "/sys/class/net"])?;
            seat_down(session, &network, said.ok()?.says("eth0\nlo\n").map(drop))
        }),
        scenario("two_containers_on_the_default_bridge", |session| {
            let server = session.start("server", &[BUSYBOX, "sh", "-c", WEB])?;
            let address = session.ask(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", &server])?.ok()?;
            session
                .run(&[BUSYBOX, "sh", "-c", &fetch(&format!("{}:8080", address.word()))])?
                .ok()?
                .says("hello\n")
                .map(drop)
        }),
        scenario("link_to_another_container", |session| {
            let server = session.start("server", &[BUSYBOX, "sh", "-c", WEB])?;
            let link = format!("{server}:db");
            let said = session.run(&["--link", &link, BUSYBOX, "sh", "-c", &fetch("db:8080")])?;
            said.ok()?.says("hello\n").map(drop)
        }),
    ]
}

const WEB: &str = "mkdir /w; echo hello > /w/index.html; exec httpd -f -p 8080 -h /w";

/// A shell script, for the host or a container, that waits for the server and prints what it serves.
fn fetch(address: &str) -> String {
    format!(
        "for i in $(seq 100); do busybox wget -qO- http://{address}/ 2>/dev/null && exit; sleep 0.05; done; exit 1"
    )
}

fn published(session: &Session, flags: &[&str], port: &str) -> Outcome {
    let args: Vec<&str> = flags.iter().copied().chain([BUSYBOX, "sh", "-c", WEB]).collect();
    let name = session.start("web", &args)?;
    let said = session.docker(&["port", &name, port])?.ok()?;
    let address = said.stdout.lines().next().unwrap_or_default().replace("0.0.0.0", "127.0.0.1");
    let fetched = session.machine().shell(&fetch(&address))?;
    fetched.ok()?.says("hello\n").map(drop)
}

/// A network of this session's own.
fn network(session: &Session, flags: &[&str]) -> Outcome<String> {
    let name = session.name("net");
    let args: Vec<&str> =
        ["network", "create"].into_iter().chain(flags.iter().copied()).chain([name.as_str()]).collect();
    session.docker(&args)?.ok()?;
    Ok(name)
}

/// Removes the network once its containers are gone, whatever came of the scenario.
fn seat_down(session: &Session, network: &str, outcome: Outcome) -> Outcome {
    for label in ["server", "c"] {
        session.ask(&["rm", "-f", &session.name(label)])?;
    }
    let removed = session.docker(&["network", "rm", network])?.ok().map(drop);
    outcome.and(removed)
}

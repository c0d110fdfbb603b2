//! Networks: none, bridges, names, and ports published to the host.

use spec_tests::engine::Outcome;
use spec_tests::engine::case::Expected::{Fails, Says, Shows};
use spec_tests::engine::case::{Case, case, run};
use spec_tests::engine::image::BUSYBOX;
use spec_tests::engine::seat::Seat;

pub fn cases() -> Vec<Case> {
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
        run(
            "privileged_ports_need_no_capability",
            &["--user", "alice", BUSYBOX, "cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start"],
            Says("0\n"),
        ),
        case("the_host_reaches_a_published_port", |seat| published(seat, &["-p", "8080"], "8080/tcp")),
        case("the_host_reaches_a_port_bound_to_loopback", |seat| {
            published(seat, &["-p", "127.0.0.1::8080"], "8080/tcp")
        }),
        case("the_host_reaches_all_exposed_ports", |seat| {
            published(seat, &["--expose", "8080", "-P"], "8080/tcp")
        }),
        case("a_fixed_port_is_free_again_after_the_container", |seat| {
            for _ in 0..2 {
                let name = seat.start("web", &["-p", "18080:8080", BUSYBOX, "sh", "-c", WEB])?;
                seat.host(&fetch("127.0.0.1:18080"))?.ok()?.says("hello\n")?;
                seat.docker(&["rm", "-f", &name])?.ok()?;
            }
            Ok(())
        }),
        case("a_port_in_use_is_refused", |seat| {
            seat.start("web", &["-p", "18081:8080", BUSYBOX, "sh", "-c", WEB])?;
            let name = seat.name("second");
            seat.run(&["--name", &name, "-p", "18081:8080", BUSYBOX, "true"])?
                .exits(125)?
                .complains("port is already allocated")
                .map(drop)
        }),
        case("containers_find_each_other_by_name", |seat| {
            let network = network(seat, &[])?;
            seat.start(
                "server",
                &["--network", &network, "--network-alias", "web", BUSYBOX, "sh", "-c", WEB],
            )?;
            let said = seat.run(&["--network", &network, BUSYBOX, "sh", "-c", &fetch("web:8080")])?;
            seat_down(seat, &network, said.ok()?.says("hello\n").map(drop))
        }),
        case("a_fixed_address_in_a_network", |seat| {
            let third = match seat.role() {
                spec_tests::engine::dockerd::Role::Reference => 71,
                spec_tests::engine::dockerd::Role::Tested => 72,
            };
            let network = network(seat, &["--subnet", &format!("10.9.{third}.0/24")])?;
            let address = format!("10.9.{third}.77");
            let script = "ip -4 -o addr show eth0 | grep -oE '\\.77/24'";
            let said = seat.run(&["--network", &network, "--ip", &address, BUSYBOX, "sh", "-c", script])?;
            seat_down(seat, &network, said.ok()?.says(".77/24\n").map(drop))
        }),
        case("connect_and_disconnect_while_it_runs", |seat| {
            let network = network(seat, &[])?;
            let name = seat.start("c", &[BUSYBOX, "sleep", "100"])?;
            seat.docker(&["network", "connect", &network, &name])?.ok()?;
            seat.docker(&["exec", &name, "ls", "/sys/class/net"])?.ok()?.says("eth0\neth1\nlo\n")?;
            seat.docker(&["network", "disconnect", &network, &name])?.ok()?;
            let said = seat.docker(&["exec", &name, "ls", "/sys/class/net"])?;
            seat_down(seat, &network, said.ok()?.says("eth0\nlo\n").map(drop))
        }),
        case("two_containers_on_the_default_bridge", |seat| {
            let server = seat.start("server", &[BUSYBOX, "sh", "-c", WEB])?;
            let address = seat.ask(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", &server])?.ok()?;
            seat.run(&[BUSYBOX, "sh", "-c", &fetch(&format!("{}:8080", address.word()))])?
                .ok()?
                .says("hello\n")
                .map(drop)
        }),
        case("link_to_another_container", |seat| {
            let server = seat.start("server", &[BUSYBOX, "sh", "-c", WEB])?;
            let link = format!("{server}:db");
            let said = seat.run(&["--link", &link, BUSYBOX, "sh", "-c", &fetch("db:8080")])?;
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

fn published(seat: &Seat, flags: &[&str], port: &str) -> Outcome {
    let args: Vec<&str> = flags.iter().copied().chain([BUSYBOX, "sh", "-c", WEB]).collect();
    let name = seat.start("web", &args)?;
    let said = seat.docker(&["port", &name, port])?.ok()?;
    let address = said.stdout.lines().next().unwrap_or_default().replace("0.0.0.0", "127.0.0.1");
    let fetched = seat.engine().machine().shell(&fetch(&address))?;
    fetched.ok()?.says("hello\n").map(drop)
}

/// A network of this seat's own.
fn network(seat: &Seat, flags: &[&str]) -> Outcome<String> {
    let name = seat.name("net");
    let args: Vec<&str> =
        ["network", "create"].into_iter().chain(flags.iter().copied()).chain([name.as_str()]).collect();
    seat.docker(&args)?.ok()?;
    Ok(name)
}

/// Removes the network once its containers are gone, whatever came of the case.
fn seat_down(seat: &Seat, network: &str, outcome: Outcome) -> Outcome {
    for label in ["server", "c"] {
        seat.ask(&["rm", "-f", &seat.name(label)])?;
    }
    let removed = seat.docker(&["network", "rm", network])?.ok().map(drop);
    outcome.and(removed)
}

//! The network as containers and their neighbours see it, with the CNI plugins and nft of the machine, in namespaces of
//! the tests' own.

use crate::host::{self, CONTAINERS, RUNNING, isolated, sh, until};
use crate::world::{Container, HOST, HOST_V6, OUTSIDE, Outside, get, network};
use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::stat::{Mode, umask};
use serde_json::{Value, json};

fn tcp(host: u16) -> Value {
    json!([{"host_port": host, "container_port": 80, "protocol": "tcp"}])
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    if !isolated() {
        return;
    }
    let outside = Outside::new();
    network("front", 0, false);
    network("back", 1, false);
    let web = Container::start("web", &["front"], tcp(8080));
    let beside = Container::start("beside", &["front"], json!([]));
    let other = Container::start("other", &["back"], json!([]));
    let client = |from: Option<String>, path: &str| from.unwrap_or_else(|| panic!("{path}: not reached"));
    client(get(None, "http://127.0.0.1:8080"), "localhost");
    client(get(None, &format!("http://{HOST}:8080")), "the host's address");
    assert_eq!(
        client(outside.get(&format!("http://{HOST}:8080")), "outside"),
        OUTSIDE,
        "the client's own address"
    );
    client(beside.get(&format!("http://{HOST}:8080")), "a neighbour");
    client(other.get(&format!("http://{HOST}:8080")), "a neighbour of another network");
    client(web.get(&format!("http://{HOST}:8080")), "the container itself");
    // The bridge makes sure first that its address is nobody else's.
    until("IPv6", || outside.get(&format!("http://[{HOST_V6}]:8080")).as_deref() == Some("2001:db8::2"));
    client(get(None, "http://[::1]:8080"), "localhost by IPv6");
    client(beside.get(&format!("http://{}", web.addresses("front")[0])), "its own address, in its network");
    assert_eq!(other.get(&format!("http://{}", web.addresses("front")[0])), None, "networks are apart");
}

#[test]
fn udp_is_published_too() {
    if !isolated() {
        return;
    }
    let outside = Outside::new();
    network("front", 0, false);
    let ports = json!([{"host_port": 5353, "container_port": 53, "protocol": "udp"}]);
    let web = Container::start("web", &["front"], ports);
    let server = host::within(web.pid(), || UdpSocket::bind("[::]:53").unwrap());
    std::thread::spawn(move || {
        let mut datagram = [0; 64];
        while let Ok((length, client)) = server.recv_from(&mut datagram) {
            server.send_to(&datagram[..length], client).unwrap();
        }
    });
    let echo = |at: &str| {
        let any = if at.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let client = UdpSocket::bind(any).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.connect(at).unwrap();
        client.send(b"hello").unwrap();
        let mut datagram = [0; 64];
        let length = client.recv(&mut datagram).unwrap_or_else(|err| panic!("{at}: {err}"));
        assert_eq!(&datagram[..length], b"hello");
    };
    echo("127.0.0.1:5353");
    echo("[::1]:5353");
    echo(&format!("{HOST}:5353"));
    outside.within(|| echo(&format!("{HOST}:5353")));
    web.within(|| echo(&format!("{HOST}:5353")));
}

#[test]
fn a_container_has_the_addresses_and_interfaces_that_it_insists_on() {
    if !isolated() {
        return;
    }
    network("front", 0, false);
    network("back", 1, false);
    let attachments = json!([
        {"network": "front", "addresses": ["10.72.0.77", "fd00:0::77"], "mac": "02:42:00:00:00:77"},
        {"network": "back", "interface": "back0", "gateway_priority": 1},
    ]);
    let mut web = Container::created("web", &[], json!([]));
    web.ask(&json!({"name": "web", "hostname": "web", "attachments": attachments}));
    let output = web.hook("create");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let front = web.sh("ip addr show eth0");
    for wanted in ["10.72.0.77/24", "fd00::77/64", "02:42:00:00:00:77"] {
        assert!(front.contains(wanted), "{front}");
    }
    assert!(web.sh("ip route").contains("default via 10.72.1.1 dev back0"));
    // Nobody keeps it, so nobody answers names.
    assert!(!web.file("resolv.conf").contains("127.0.0.11"));
    let second = Container::created("second", &[], json!([]));
    second.ask(&json!({"name": "second", "hostname": "second", "attachments": attachments}));
    let said = String::from_utf8_lossy(&second.hook("create").stderr).into_owned();
    let refused = "network of second: network front: CNI plugin bridge: ";
    assert!(said.contains(refused) && said.contains("10.72.0.77"), "{said}");
    web.stop();
    let output = second.hook("create");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn containers_reach_the_outside_with_the_hosts_address_unless_their_network_is_internal() {
    if !isolated() {
        return;
    }
    let outside = Outside::new();
    let _server = outside.serve();
    network("front", 0, false);
    network("back", 1, true);
    let web = Container::start("web", &["back", "front"], tcp(8080));
    let db = Container::start("db", &["back"], tcp(8081));
    let url = format!("http://{OUTSIDE}");
    assert_eq!(web.get(&url).as_deref(), Some(HOST));
    assert_eq!(db.get(&url), None);
    assert!(db.sh("ip route").lines().all(|route| !route.starts_with("default")));
    assert!(web.sh("ip route").contains("default via 10.72.0.1 dev eth1"));
    assert!(web.get(&format!("http://{}", db.addresses("back")[0])).is_some());
    assert!(outside.get(&format!("http://{HOST}:8080")).is_some());
    assert_eq!(outside.get(&format!("http://{HOST}:8081")), None, "what is internal isn't published");
}

#[test]
fn names_resolve_inside_and_files_say_who_one_is() {
    if !isolated() {
        return;
    }
    network("front", 0, false);
    let web = Container::start("web", &["front"], json!([]));
    let db = Container::start("db", &["front"], json!([]));
    assert_eq!(web.file("resolv.conf").lines().next(), Some("nameserver 127.0.0.11"));
    assert_eq!(web.file("hostname"), "web\n");
    let [v4, v6] = web.addresses("front");
    assert!(web.file("hosts").ends_with(&format!("{v4}\tweb\n{v6}\tweb\n")), "{}", web.file("hosts"));
    let found = web.sh("busybox nslookup db 127.0.0.11");
    let [v4, v6] = db.addresses("front");
    assert!(found.contains(&v4) && found.contains(&v6), "{found}");
    let name = web.sh(&format!("busybox nslookup {v4} 127.0.0.11"));
    assert!(name.contains("db.front"), "{name}");
    let udp = web.sh("ss -lun; ss -ltn");
    assert!(!udp.contains("127.0.0.11:53 "), "port 53 is the container's own");
}

#[test]
fn a_stop_takes_everything_back_and_a_start_heals_what_a_crash_has_left() {
    if !isolated() {
        return;
    }
    let _outside = Outside::new();
    network("front", 0, false);
    let mut web = Container::start("web", &["front"], tcp(8080));
    let addresses = web.addresses("front");
    web.stop();
    assert!(!std::path::Path::new(&format!("{RUNNING}/web/endpoints.json")).exists());
    assert_eq!(sh("nft list tables").lines().filter(|table| table.ends_with(" corten")).count(), 0);
    assert_eq!(sh("ls /run/corten-compose/.addresses/id-of-front | grep -c '^[0-9]' || true").trim(), "0");
    // A crash: nobody has run the last hook, and somebody has flushed the tables.
    let web = Container::start("web", &["front"], tcp(8080));
    assert_ne!(web.addresses("front"), addresses, "addresses are given in turn");
    drop(web);
    sh("nft flush ruleset");
    let web = Container::start("web", &["front"], tcp(8080));
    assert!(get(None, "http://127.0.0.1:8080").is_some());
    assert_eq!(sh("ls /run/corten-compose/.addresses/id-of-front | grep -c '^10'").trim(), "1");
    drop(web);
}

#[test]
fn a_start_puts_the_tables_right_whatever_somebody_has_done_to_the_ruleset() {
    if !isolated() {
        return;
    }
    let outside = Outside::new();
    network("front", 0, false);
    // The hook's mask is that of whoever has started the shim.
    let before = umask(Mode::from_bits_truncate(0o077));
    let web = Container::start("web", &["front"], json!([]));
    umask(before);
    for file in ["hosts", "resolv.conf", "hostname"] {
        assert_eq!(sh(&format!("stat -c %a {}/web/{file}", host::CONTAINERS)), "644\n", "{file}");
    }
    let url = format!("http://{}", web.addresses("front")[0]);
    let whole = sh("nft list ruleset");
    for harm in [
        "nft flush ruleset",
        "nft flush table ip corten",
        "nft delete table ip6 corten",
        "nft delete element ip6 corten bridges { br-front }",
    ] {
        sh(harm);
        assert_ne!(sh("nft list ruleset"), whole, "{harm}");
        if harm.ends_with("ruleset") {
            assert!(outside.get(&url).is_some(), "nothing is in the way");
        }
        let mut beside = Container::start("beside", &["front"], json!([]));
        assert_eq!(sh("nft list ruleset"), whole, "{harm}");
        beside.stop();
    }
    assert_eq!(outside.get(&url), None, "it isn't published");
    let written = || sh("stat -c '%i %y' /run/corten-compose/.firewall.json");
    let record = written();
    drop(Container::start("third", &["front"], json!([])));
    assert_eq!(written(), record, "what is whole is left alone");
}

#[test]
fn a_hook_that_is_killed_at_any_moment_is_healed_by_the_next() {
    if !isolated() {
        return;
    }
    network("front", 0, false);
    for round in 0..20 {
        let mut web = Container::created("web", &["front"], tcp(8080));
        let mut hook = web.begin_hook("create");
        std::thread::sleep(Duration::from_millis(4 * round));
        drop(hook.0.kill());
        hook.0.wait().unwrap();
        web.shim = Some(host::Shim::start("web", json!({})));
        let output = web.hook("create");
        assert!(output.status.success(), "{round}: {}", String::from_utf8_lossy(&output.stderr));
        let address = web.addresses("front")[0].clone();
        assert!(sh("nft list map ip corten pub").contains(&format!("tcp . 8080 : {address} . 80")));
        web.stop();
        // What the killed one had started may take a moment.
        until("no address stays", || {
            sh("ls /run/corten-compose/.addresses/id-of-front").lines().all(is_no_address)
        });
        until("no table stays", || !sh("nft list tables").contains(" corten\n"));
    }
    until("no interface stays", || sh("ip -o link show type veth").is_empty());
}

#[test]
fn a_hook_that_comes_after_the_container_is_removed_leaves_nothing() {
    if !isolated() {
        return;
    }
    network("front", 0, false);
    let is_there = || std::path::Path::new(RUNNING).join("late").exists();
    let remove = || std::fs::remove_dir_all(format!("{CONTAINERS}/late")).expect("it is there");
    let late = Container::created("late", &["front"], json!([]));
    remove();
    let output = late.hook("create");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("it is removed") && !is_there(), "{said}");

    let mut late = Container::created("late", &["front"], json!([]));
    assert!(late.hook("create").status.success() && is_there());
    remove();
    late.stop();
    assert!(!is_there());
}

fn is_no_address(file: &str) -> bool {
    file.starts_with("last_reserved") || file == "lock"
}

#[test]
fn a_taken_port_fails_the_start_and_names_its_owner() {
    if !isolated() {
        return;
    }
    network("front", 0, false);
    let _first = Container::start("first", &["front"], tcp(8080));
    let mut second = Container::created("second", &["front"], tcp(8080));
    second.shim = Some(host::Shim::start("second", json!({})));
    let output = second.hook("create");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        said.contains(
            "network of second: Bind for 0.0.0.0:8080 failed: port is already allocated (by container first)"
        ),
        "{said}"
    );
    assert!(!std::path::Path::new(&format!("{RUNNING}/net/front/second")).exists());
    assert!(get(None, "http://127.0.0.1:8080").is_some(), "the first is as it was");
}

#[test]
fn beside_a_docker_whose_forward_chain_drops_everything_is_reached_too() {
    if !isolated() {
        return;
    }
    let outside = Outside::new();
    let _server = outside.serve();
    sh("iptables -P FORWARD DROP && ip6tables -P FORWARD DROP");
    network("front", 0, false);
    network("back", 1, false);
    let mut web = Container::start("web", &["front"], tcp(8080));
    let other = Container::start("other", &["back"], json!([]));
    assert_eq!(outside.get(&format!("http://{HOST}:8080")).as_deref(), Some(OUTSIDE));
    assert_eq!(web.get(&format!("http://{OUTSIDE}")).as_deref(), Some(HOST));
    assert!(other.get(&format!("http://{HOST}:8080")).is_some());
    assert_eq!(other.get(&format!("http://{}", web.addresses("front")[0])), None);
    web.stop();
    assert!(!sh("iptables -S FORWARD").contains("br-front"));
}

#[test]
fn without_nft_the_plugins_publish() {
    if !isolated() {
        return;
    }
    sh("mount --bind /dev/null $(command -v nft)");
    let outside = Outside::new();
    let _server = outside.serve();
    network("front", 0, false);
    let mut web = Container::start("web", &["front"], tcp(8080));
    assert!(get(None, "http://127.0.0.1:8080").is_some());
    assert!(outside.get(&format!("http://{HOST}:8080")).is_some());
    assert_eq!(web.get(&format!("http://{OUTSIDE}")).as_deref(), Some(HOST));
    assert!(web.sh("busybox nslookup web 127.0.0.11").contains(&web.addresses("front")[0]));
    web.stop();
}

#[test]
fn many_that_start_at_once_are_all_published() {
    if !isolated() {
        return;
    }
    network("front", 0, false);
    let containers = (0..10)
        .map(|number| {
            let id = format!("c{number}");
            let mut container = Container::created(&id, &["front"], tcp(8000 + number));
            container.shim = Some(host::Shim::start(&id, json!({})));
            container
        })
        .collect::<Vec<_>>();
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for container in &containers {
            scope.spawn(|| {
                let output = container.hook("create");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            });
        }
    });
    eprintln!("ten hooks at once: {:?}", begun.elapsed());
    let table = sh("nft list map ip corten pub");
    for (number, container) in containers.iter().enumerate() {
        let element = format!("{} : {} . 80", 8000 + number, container.addresses("front")[0]);
        assert!(table.contains(&element), "{element}: {table}");
    }
    until("all names resolve", || {
        let found = containers[0].sh("busybox nslookup web 127.0.0.11");
        containers.iter().all(|container| found.contains(&container.addresses("front")[0]))
    });
}

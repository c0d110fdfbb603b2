//! Device nodes: the default ones, further ones, and who may use them.

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::view::View;

#[test]
fn default_devices_are_there_with_their_numbers_and_modes() {
    let container = Container::new(|_| {});
    let seen = container.sees(
        "cd /dev; for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a %u:%g' $d; done",
    );
    let expected = [
        ("null", "1:3"),
        ("zero", "1:5"),
        ("full", "1:7"),
        ("random", "1:8"),
        ("urandom", "1:9"),
        ("tty", "5:0"),
    ];
    for (line, (name, number)) in seen.lines().zip(expected) {
        assert_eq!(line, format!("{name} character special file {number} 666 0:0"));
    }
    assert_eq!(seen.lines().count(), 6);
}

#[test]
fn default_links_are_there() {
    let container = Container::new(|_| {});
    let seen = container.sees("cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done");
    assert_eq!(seen, "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx");
}

#[test]
fn default_devices_work() {
    let container = Container::new(|_| {});
    let script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c
                  echo x 2>/dev/null > /dev/full || echo full; echo hello >> /dev/stdout";
    assert_eq!(container.sees(script), "4\n4\nfull\nhello");
}

#[test]
fn further_devices_are_made_with_mode_and_owner() {
    let container = Container::new(|bundle| {
        bundle.set("/linux/devices", json!([
            {"path": "/dev/char", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5, "gid": 6},
            {"path": "/dev/sub/dir/block", "type": "b", "major": 7, "minor": 0, "fileMode": 0o600, "uid": 0, "gid": 0},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o622, "uid": 0, "gid": 0},
        ]));
    });
    let seen =
        container.sees("for d in char sub/dir/block pipe; do stat -c '%F %t:%T %a %u:%g' /dev/$d; done");
    let expected = "character special file a:e5 640 5:6\nblock special file 7:0 600 0:0\nfifo 0:0 622 0:0";
    assert_eq!(seen, expected);
}

#[test]
fn what_is_mounted_in_the_place_of_a_device_stays() {
    let mut container = Container::new(|bundle| {
        bundle.mount("bind", "/dev/urandom", "/dev/random", &["rbind", "rprivate"]);
        bundle.mount("bind", "/dev/null", "/dev/tty", &["bind"]);
    });
    let file = container.file("full", "a file");
    container.bundle.mount("bind", &file, "/dev/full", &["bind"]);
    let seen = container.sees("stat -c '%F %t:%T' /dev/random /dev/tty; cat /dev/full");
    assert_eq!(seen, "character special file 1:9\ncharacter special file 1:3\na file");
}

#[test]
fn what_the_image_has_in_the_place_of_a_device_stays() {
    let container = Container::new(|bundle| {
        let etc = bundle.rootfs().join("etc");
        std::fs::write(etc.join("file"), "a file").unwrap();
        std::fs::create_dir(etc.join("directory")).unwrap();
        std::os::unix::fs::symlink("file", etc.join("link")).unwrap();
        for name in ["file", "directory", "link"] {
            let device =
                json!({"path": format!("/etc/{name}"), "type": "c", "major": 1, "minor": 3, "uid": 5});
            bundle.push("/linux/devices", device);
        }
    });
    let seen = container.sees("cd /etc; stat -c '%F %u' file directory link; cat file link");
    assert_eq!(seen, "regular file 0\ndirectory 0\nsymbolic link 0\na filea file");
}

#[test]
fn in_a_user_namespace_the_hosts_device_covers_what_is_in_its_place() {
    let container = Container::new(|bundle| {
        bundle.user_namespace(100_000).mount("bind", "/dev/urandom", "/dev/random", &["bind"]);
    });
    assert_eq!(container.sees("stat -c '%t:%T' /dev/random"), "1:8");
}

#[test]
fn an_unbuffered_character_device_is_one_like_any() {
    let container = Container::new(|bundle| {
        bundle.set(
            "/linux/devices",
            json!([{"path": "/dev/u", "type": "u", "major": 10, "minor": 229, "fileMode": 0o600}]),
        );
    });
    assert_eq!(container.sees("stat -c '%F %t:%T' /dev/u"), "character special file a:e5");
}

#[test]
fn a_device_outside_dev_is_made() {
    let container = Container::new(|bundle| {
        bundle.set(
            "/linux/devices",
            json!([{"path": "/etc/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}]),
        );
    });
    assert_eq!(container.sees("echo x > /etc/null; stat -c '%t:%T' /etc/null"), "1:3");
}

#[test]
fn a_device_of_unknown_type_is_refused() {
    let container = Container::new(|bundle| {
        bundle.set("/linux/devices", json!([{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}]));
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_bound_host_dev_is_left_as_it_is() {
    let container = Container::new(|bundle| {
        for below in ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev"] {
            bundle.unmount(below);
        }
        bundle.mount("bind", "/dev", "/dev", &["rbind", "rslave", "ro"]);
    });
    assert_eq!(container.sees("echo x > /dev/null && stat -c %t:%T /dev/null"), "1:3");
}

/// Opens the loop control device, which exists, and which no process may open whose cgroup forbids it.
const OPEN: &str = "mknod /tmp/node c 10 237 && cat /tmp/node 2>&1 | grep -c 'not permitted'; true";

#[test]
fn a_device_that_is_not_allowed_cannot_be_opened() {
    for view in View::all() {
        let container = Container::in_view(*view, |_| {});
        assert_eq!(container.sees(OPEN), "1", "{view:?}");
    }
}

#[test]
fn a_device_that_is_allowed_can_be_opened() {
    for view in View::all() {
        let container = Container::in_view(*view, |bundle| {
            let rule = json!({"allow": true, "type": "c", "major": 10, "minor": 237, "access": "rw"});
            bundle.push("/linux/resources/devices", rule);
        });
        assert_eq!(container.sees(OPEN), "0", "{view:?}");
    }
}

#[test]
fn the_access_that_is_not_allowed_is_refused() {
    for view in View::all() {
        let container = Container::in_view(*view, |bundle| {
            let rule = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"});
            bundle.push("/linux/resources/devices", rule).capabilities(&[
                "CAP_MKNOD",
                "CAP_SYSLOG",
                "CAP_DAC_OVERRIDE",
            ]);
        });
        let script = "mknod /tmp/kmsg c 1 11; dd if=/tmp/kmsg of=/dev/null bs=8k count=1 iflag=nonblock 2>/dev/null && echo read
                      echo x 2>/dev/null > /tmp/kmsg || echo refused";
        let seen = container.sees(script);
        assert!(seen.ends_with("refused"), "{view:?}: {seen}");
    }
}

#[test]
fn a_later_rule_takes_back_an_earlier_one() {
    for view in View::all() {
        let container = Container::in_view(*view, |bundle| {
            for allow in [true, false] {
                let rule = json!({"allow": allow, "type": "c", "major": 10, "minor": 237, "access": "rwm"});
                bundle.push("/linux/resources/devices", rule);
            }
        });
        let seen = container
            .sees("mknod /tmp/node c 10 237 2>/dev/null || echo no node; cat /dev/null && echo fine");
        let made = container.sees("test -e /tmp/node && cat /tmp/node 2>&1 | grep -c 'not permitted'; true");
        // Making nodes of any number is allowed by default, but opening this node isn't.
        assert!(
            seen.ends_with("fine") && (made == "1" || seen.starts_with("no node")),
            "{view:?}: {seen} {made}"
        );
    }
}

#[test]
fn all_devices_are_allowed_to_a_privileged_container() {
    for view in View::all() {
        let container = Container::in_view(*view, |bundle| {
            bundle.set("/linux/resources/devices", json!([{"allow": true, "access": "rwm"}]));
        });
        assert_eq!(container.sees(OPEN), "0", "{view:?}");
    }
}

#[test]
fn a_wildcard_minor_allows_the_whole_major() {
    for view in View::all() {
        let container = Container::in_view(*view, |bundle| {
            let rule = json!({"allow": true, "type": "c", "major": 10, "minor": -1, "access": "rwm"});
            bundle.push("/linux/resources/devices", rule);
        });
        assert_eq!(container.sees(OPEN), "0", "{view:?}");
    }
}

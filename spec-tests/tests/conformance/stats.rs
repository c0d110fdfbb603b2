//! events --stats.

use serde_json::Value;
use spec_tests::cgroup;
use spec_tests::container::Container;
use spec_tests::skip_if;

fn stats(container: &Container) -> Value {
    serde_json::from_str(&container.command(["events", "--stats", &container.id]).output().ok())
        .expect("one JSON object")
}

#[test]
fn stats_are_one_object_in_runcs_shape() {
    let container = Container::sleeping(|_| {});
    let stats = stats(&container);
    assert_eq!(stats["type"], "stats");
    assert_eq!(stats["id"], container.id);
    for key in ["cpu", "memory", "pids", "blkio"] {
        assert!(stats["data"][key].is_object(), "{key}: {stats}");
    }
    // runc 1.5 leaves `throttling` out where nothing was throttled; 1.1 doesn't.
    assert!(stats["data"]["cpu"]["usage"].is_object(), "{stats}");
}

#[test]
fn stats_are_those_of_the_container() {
    skip_if!(!cgroup::has("memory") || !cgroup::has("pids"), "controllers are missing");
    let container = Container::sleeping(|bundle| {
        bundle.sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; touch /done; sleep 1000");
        bundle.set("/linux/resources/pids", serde_json::json!({"limit": 33}));
    });
    spec_tests::runtime::eventually("busy", || container.bundle.rootfs().join("done").exists());
    let data = &stats(&container)["data"];
    assert_eq!(data["pids"]["limit"], 33);
    assert!((1..4).contains(&data["pids"]["current"].as_u64().unwrap()), "{data}");
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 1000, "{data}");
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 1_000_000, "{data}");
}

#[test]
fn stats_of_a_stopped_container_are_an_error() {
    let container = Container::sleeping(|_| {});
    container.kill("KILL").ok();
    container.wait_stopped();
    container.command(["events", "--stats", &container.id]).output().fails();
}

#[test]
fn events_come_at_the_interval_asked_for() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = Container::sleeping(|_| {});
    let running = container.command(["events", "--interval", "100ms", &container.id]).spawn();
    spec_tests::runtime::eventually("three of them", || running.stdout().lines().count() >= 3);
    container.kill("KILL").ok();
    container.wait_stopped();
}

#[test]
fn an_oom_kill_is_an_event() {
    skip_if!(!cgroup::has("memory"), "no memory controller");
    let container = Container::new(|bundle| {
        bundle.set("/linux/resources/memory", serde_json::json!({"limit": 16 << 20, "swap": 16 << 20}));
        bundle.sh("while [ ! -e /go ]; do sleep 0.02; done; tail -c 64m /dev/zero; sleep 1000");
    });
    container.create().output().ok();
    container.start().ok();
    let running = container.command(["events", &container.id]).spawn();
    // The command needs time to register with the kernel, which can't be seen from outside.
    std::thread::sleep(std::time::Duration::from_millis(500));
    std::fs::write(container.bundle.rootfs().join("go"), "").unwrap();
    spec_tests::runtime::eventually("an oom event", || running.stdout().contains(r#""type":"oom""#));
}

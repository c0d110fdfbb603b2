//! Masked and read-only paths.

use serde_json::json;
use spec_tests::container::Container;

#[test]
fn a_masked_file_reads_empty() {
    let container = Container::new(|bundle| {
        std::fs::write(bundle.rootfs().join("secret"), "secret").unwrap();
        bundle.push("/linux/maskedPaths", "/secret");
    });
    assert_eq!(
        container.sees("cat /secret /proc/keys | wc -c; stat -c %F /secret"),
        "0\ncharacter special file"
    );
}

#[test]
fn a_masked_directory_is_empty_and_stays_so() {
    let container = Container::new(|bundle| {
        std::fs::create_dir(bundle.rootfs().join("secrets")).unwrap();
        std::fs::write(bundle.rootfs().join("secrets/key"), "secret").unwrap();
        bundle.push("/linux/maskedPaths", "/secrets");
    });
    assert_eq!(
        container.sees("ls -A /secrets /sys/firmware; touch /secrets/x 2>/dev/null || echo refused"),
        "/secrets:\n\n/sys/firmware:\nrefused"
    );
}

#[test]
fn a_masked_path_that_is_missing_is_skipped() {
    let container = Container::new(|bundle| {
        bundle.set("/linux/maskedPaths", json!(["/proc/none/such", "/nor/this"]));
    });
    assert_eq!(container.sees("echo fine; ls / | grep -c nor; true"), "fine\n0");
}

#[test]
fn a_masked_path_listed_twice_is_masked() {
    let container = Container::new(|bundle| {
        bundle.push("/linux/maskedPaths", "/proc/keys").push("/linux/maskedPaths", "/sys/firmware");
    });
    assert_eq!(container.sees("wc -c < /proc/keys; ls /sys/firmware"), "0");
}

#[test]
fn a_masked_symlink_hides_what_it_leads_to() {
    let container = Container::new(|bundle| {
        std::fs::write(bundle.rootfs().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink("/secret", bundle.rootfs().join("link")).unwrap();
        bundle.push("/linux/maskedPaths", "/link");
    });
    assert_eq!(container.sees("cat /secret /link | wc -c"), "0");
}

#[test]
fn a_readonly_path_refuses_writes() {
    let container = Container::new(|bundle| {
        std::fs::create_dir_all(bundle.rootfs().join("fixed/below")).unwrap();
        bundle.push("/linux/readonlyPaths", "/fixed");
    });
    let script = "touch /fixed/x /fixed/below/x 2>&1 | grep -c 'Read-only'
                  echo 1 2>/dev/null > /proc/sys/net/ipv4/ip_forward || echo refused; touch /elsewhere && echo may";
    assert_eq!(container.sees(script), "2\nrefused\nmay");
}

#[test]
fn a_readonly_file_refuses_writes() {
    let container = Container::new(|bundle| {
        std::fs::write(bundle.rootfs().join("file"), "old").unwrap();
        bundle.push("/linux/readonlyPaths", "/file");
    });
    assert_eq!(container.sees("echo new 2>/dev/null > /file || echo refused; cat /file"), "refused\nold");
}

#[test]
fn a_readonly_path_that_is_missing_is_skipped() {
    let container = Container::new(|bundle| {
        bundle.push("/linux/readonlyPaths", "/proc/none").push("/linux/readonlyPaths", "/none/such");
    });
    assert_eq!(container.sees("echo fine"), "fine");
}

#[test]
fn a_readonly_path_keeps_the_flags_of_its_mount() {
    let container = Container::new(|_| {});
    let seen = container.sees("grep ' /proc/sys ' /proc/self/mountinfo | cut -d' ' -f6");
    for flag in ["ro", "nosuid", "nodev", "noexec"] {
        assert!(seen.split(',').any(|word| word == flag), "{flag}: {seen}");
    }
}

#[test]
fn a_relative_masked_path_is_refused_or_taken_from_the_root() {
    let mut container = Container::new(|bundle| {
        std::fs::write(bundle.rootfs().join("secret"), "secret").unwrap();
        bundle.push("/linux/maskedPaths", "secret");
    });
    container.bundle.sh("wc -c < /secret");
    let outcome = container.run().output();
    assert!(outcome.code != 0 || outcome.stdout == "0\n", "{outcome}");
}

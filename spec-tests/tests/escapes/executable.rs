//! Class E: the payload gets hold of the runtime's own binary and overwrites it (CVE-2019-5736).

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use spec_tests::container::Container;
use spec_tests::runtime::eventually;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;
use spec_tests::subject::subject;

/// Holds every foreign executable open, and writes to it as soon as no process runs it any more.
const OVERWRITER: &str = r#"
    touch /ready
    while [ ! -e /stop ]; do
        for process in /proc/[0-9]*; do
            case $(readlink $process/exe) in */busybox | '') continue ;; esac
            touch /met
            {
                tries=0
                while [ $tries -lt 100 ]; do
                    (echo overwritten > /proc/self/fd/5) 2> /dev/null && touch /won
                    tries=$((tries + 1))
                done
            } 5< $process/exe 2> /dev/null
            (echo overwritten > $process/exe) 2> /dev/null && touch /won
        done
    done
"#;

/// A sleeping container of a copy of the runtime, so that a success harms nobody.
fn with_a_copy_of_the_runtime(script: &str) -> (Container, PathBuf) {
    let mut container = Container::new(|bundle| {
        bundle.sh(script);
        fs::write(bundle.rootfs().join("shebang"), "#!/proc/self/exe\n").unwrap();
        fs::set_permissions(
            bundle.rootfs().join("shebang"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
    });
    let copy = container.dir.join("runtime");
    // A process of its own makes the copy: a child that some other test forks meanwhile would keep the copy open, and
    // busy.
    assert!(Command::new("cp").arg(&subject().path).arg(&copy).status().unwrap().success());
    container.runtime.binary.clone_from(&copy);
    container.create().output().ok();
    container.start().ok();
    (container, copy)
}

fn attack(execute: impl Fn(&Container)) {
    let (container, copy) = with_a_copy_of_the_runtime(OVERWRITER);
    let rootfs = container.bundle.rootfs();
    eventually("the attacker is ready", || rootfs.join("ready").exists());
    for _ in 0..25 {
        execute(&container);
    }
    fs::write(rootfs.join("stop"), "").unwrap();
    container.wait_stopped();
    assert_eq!(fs::read(copy).unwrap(), fs::read(&subject().path).unwrap(), "the runtime was overwritten");
    assert!(!rootfs.join("won").exists(), "something was overwritten");
}

#[test]
fn the_binary_of_a_joining_process_is_not_overwritten() {
    attack(|container| {
        container.exec(&["true"]).output();
    });
}

#[test]
fn a_payload_of_proc_self_exe_does_not_give_the_binary_away() {
    attack(|container| {
        container.exec(&["/proc/self/exe", "--version"]).output();
    });
}

#[test]
fn an_interpreter_of_proc_self_exe_does_not_give_the_binary_away() {
    attack(|container| {
        container.exec(&["/shebang"]).output();
    });
}

#[test]
fn an_entrypoint_of_proc_self_exe_writes_nothing() {
    for entrypoint in ["/proc/self/exe", "/shebang"] {
        let (mut container, copy) = with_a_copy_of_the_runtime("true");
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

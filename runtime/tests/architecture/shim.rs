//! The shim's shape.

use super::source::Source;
use super::{Check, assert_clean, assert_environment, assert_imports_point_one_way, sources};

const MODULES: [(&str, &[&str]); 23] = [
    ("refusal", &[]),
    ("args", &[]),
    ("bootstrap", &[]),
    ("clock", &[]),
    ("log", &[]),
    ("socket", &[]),
    ("watch", &[]),
    ("options", &["refusal"]),
    ("machine", &["refusal"]),
    ("bundle", &["clock", "machine", "options"]),
    ("children", &["machine", "watch"]),
    ("events", &["log", "machine"]),
    ("metrics", &["refusal"]),
    ("rootfs", &["bundle", "machine", "refusal"]),
    ("stdio", &["machine", "refusal", "watch"]),
    (
        "driver",
        &["args", "bundle", "children", "log", "machine", "metrics", "options", "refusal", "stdio", "watch"],
    ),
    ("start", &["args", "bootstrap", "bundle", "options", "socket"]),
    ("info", &["bootstrap", "driver", "options", "start"]),
    ("delete", &["args", "bundle", "driver", "events", "machine", "socket"]),
    (
        "shim",
        &[
            "bundle", "children", "driver", "events", "log", "machine", "options", "refusal", "rootfs",
            "socket", "stdio",
        ],
    ),
    ("service", &["events", "machine", "refusal", "shim"]),
    ("peers", &["machine", "shim"]),
    (
        "serve",
        &["args", "children", "driver", "events", "log", "peers", "service", "shim", "socket", "watch"],
    ),
];

/// What decides, and looks at nothing.
const PURE: [&str; 5] = ["args", "bootstrap", "machine", "options", "refusal"];

/// Plain types of modules of the standard library that otherwise look at the world.
const PLAIN_STD: [&str; 3] =
    ["std::io::Result", "std::time::SystemTime", "std::time::SystemTime::UNIX_EPOCH"];

/// Crates that the machine doesn't know.
const OUTSIDE: [&str; 8] =
    ["containerd_shim_protos", "corten", "futures_util", "nix", "protobuf", "serde_json", "tokio", "ttrpc"];

/// What the shim takes from the runtime beside its library: the kernel's interfaces, and what the host has.
const INTERNALS: [&str; 13] = [
    "corten::internals::apply::user_namespace",
    "corten::internals::plan::IdMap",
    "corten::internals::plan::IdMapping",
    "corten::internals::plan::cgroup::host::Mode",
    "corten::internals::probe",
    "corten::internals::sys::descriptors",
    "corten::internals::sys::memory::OrOneLine",
    "corten::internals::sys::mount",
    "corten::internals::sys::mountinfo",
    "corten::internals::sys::process::SingleThreaded",
    "corten::internals::sys::schedule",
    "corten::internals::sys::socket",
    "corten::internals::sys::tty",
];

/// Who reads which part of the environment. The server gets the caller's environment whole.
const ENVIRONMENT: [(&str, &str); 13] = [
    ("delete.rs", "current_dir"), // containerd runs `delete` in the bundle
    ("main.rs", "args_os"),
    ("rootfs/id_mapped.rs", "current_dir"), // a fresh process in the bundle
    ("rootfs/id_mapped.rs", "set_current_dir"),
    ("rootfs/mod.rs", "set_current_dir"), // of one thread, which has unshared its own
    ("serve.rs", "var TTRPC_ADDRESS"),
    ("socket.rs", "var_os XDG_RUNTIME_DIR"),
    ("start/mod.rs", "var_os SCHED_CORE"),
    ("start/server.rs", "args_os"),
    ("start/server.rs", "current_exe"),
    ("start/server.rs", "vars_os"),
    ("stdio/terminal.rs", "temp_dir"),
    ("stdio/terminal.rs", "var_os XDG_RUNTIME_DIR"),
];

#[test]
fn imports_point_one_way() {
    assert_imports_point_one_way(&MODULES);
    assert_none_in(wrong_imports);
}

#[test]
fn what_decides_looks_at_nothing() {
    assert_none_in(impurities);
}

#[test]
fn the_machine_knows_no_protocol_and_no_runtime() {
    assert_none_in(machine_looks_outside);
}

#[test]
fn the_runtime_is_used_by_its_library() {
    assert_none_in(uses_of_internals);
}

#[test]
fn unsafe_stands_nowhere() {
    assert_none_in(super::unsafety);
}

/// The server has one thread of its own. tokio's, which may wait for the kernel, come and go.
#[test]
fn one_thread_is_started_for_mounts() {
    assert_none_in(threads);
}

#[test]
fn the_environment_is_read_where_this_file_says_so_and_nowhere_else() {
    assert_environment(&all(), &ENVIRONMENT);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    assert_none_in(super::begins_without_a_doc_comment);
}

/// A check that can't fail proves nothing: each is shown what it has to find.
#[test]
fn what_is_forbidden_is_found() {
    let found = |check: Check, file: &str, text: &str| check(&Source::of(file, text)).len();
    assert_eq!(found(wrong_imports, "events.rs", "use crate::shim::Shim;"), 1);
    assert_eq!(found(wrong_imports, "serve.rs", "use crate::shim::Shim;"), 0);
    assert_eq!(found(wrong_imports, "unheard_of.rs", ""), 1);
    assert_eq!(found(impurities, "machine/x.rs", "fn f() { std::time::SystemTime::now() }"), 1);
    assert_eq!(
        found(impurities, "machine/x.rs", "use std::time::SystemTime; fn f() { SystemTime::now() }"),
        1
    );
    assert_eq!(
        found(impurities, "options.rs", "use std::time::SystemTime; fn f() -> std::io::Result<()> {}"),
        0
    );
    assert_eq!(found(machine_looks_outside, "machine/x.rs", "use tokio::time::sleep;"), 1);
    assert_eq!(found(machine_looks_outside, "shim/mod.rs", "use tokio::time::sleep;"), 0);
    assert_eq!(found(uses_of_internals, "driver/x.rs", "use corten::internals::{apply, sys::mountinfo};"), 1);
    assert_eq!(found(threads, "driver/x.rs", "fn f() { std::thread::spawn(g) }"), 1);
}

fn all() -> Vec<Source> {
    let sources = sources("shim/src");
    assert!(sources.len() > 30, "only {} files", sources.len());
    sources
}

fn assert_none_in(check: Check) {
    assert_clean(&all(), check);
}

/// `main` names each module.
fn wrong_imports(source: &Source) -> Vec<String> {
    if source.module() == "main" { Vec::new() } else { super::imports_outside_of(&MODULES, source) }
}

fn impurities(source: &Source) -> Vec<String> {
    let plain = |what: &String| PLAIN_STD.iter().any(|item| *what == format!("uses {item}"));
    let mut found = if PURE.contains(&source.module()) { super::impurities(source) } else { Vec::new() };
    found.retain(|what| !plain(what));
    found
}

fn machine_looks_outside(source: &Source) -> Vec<String> {
    let outside = |name: &str| OUTSIDE.iter().any(|item| name.split("::").next() == Some(*item));
    // What an id may be is a matter of its letters.
    let pure = |path: &super::Name| path.is_of("corten::container::ContainerId");
    let looks = |path: &super::Name| source.module() == "machine" && outside(&path.name) && !pure(path);
    let paths = source.paths().into_iter().filter(looks);
    paths.map(|path| format!("uses {}", path.name)).collect()
}

fn uses_of_internals(source: &Source) -> Vec<String> {
    let known = |name: &super::Name| INTERNALS.iter().any(|item| name.is_of(item));
    let internals = source.paths().into_iter().filter(|path| path.is_of("corten::internals") && !known(path));
    internals.map(|path| format!("uses {}", path.name)).collect()
}

fn threads(source: &Source) -> Vec<String> {
    if source.file == "rootfs/mod.rs" { Vec::new() } else { super::threads(source) }
}

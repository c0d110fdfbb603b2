//! The shape of `compose/`.

use super::source::Source;
use super::{Check, assert_clean, assert_environment, assert_imports_point_one_way, sources};

const MODULES: [(&str, &[&str]); 31] = [
    ("error", &[]),
    ("process", &["error"]),
    ("time", &[]),
    ("id", &["error"]),
    ("input", &[]),
    ("names", &["error", "id"]),
    ("reference", &["error"]),
    ("signals", &["error"]),
    ("disk", &["error"]),
    ("output", &["disk", "error"]),
    ("subpath", &["error"]),
    ("shared_memory", &["error", "subpath"]),
    ("changes", &["disk", "error"]),
    ("pipe", &["disk", "error"]),
    ("model", &["error", "signals"]),
    ("client_config", &["error", "model"]),
    ("plan", &["error", "model"]),
    ("spec", &["error", "model", "shared_memory"]),
    ("engine", &["error", "id", "process", "time"]),
    ("net", &["disk", "error", "id", "model", "process", "shared_memory", "subpath"]),
    ("keep", &["changes", "disk", "engine", "error", "model", "net", "pipe", "process", "time"]),
    ("record", &["engine", "error", "model", "plan", "process"]),
    ("observe", &["disk", "engine", "error", "keep", "net", "process", "record"]),
    (
        "apply",
        &[
            "changes",
            "client_config",
            "disk",
            "engine",
            "error",
            "id",
            "input",
            "keep",
            "model",
            "names",
            "net",
            "observe",
            "output",
            "pipe",
            "plan",
            "process",
            "record",
            "reference",
            "signals",
            "spec",
            "subpath",
            "time",
        ],
    ),
    ("build", &["apply", "disk", "engine", "error", "id", "model", "process", "reference"]),
    ("actual", &["apply", "disk", "engine", "error", "keep", "model", "net", "observe", "plan", "record"]),
    (
        "view",
        &[
            "apply",
            "engine",
            "error",
            "id",
            "keep",
            "model",
            "net",
            "observe",
            "record",
            "reference",
            "spec",
            "time",
        ],
    ),
    ("happenings", &["engine", "error", "record", "reference", "view"]),
    (
        "cli",
        &[
            "apply",
            "build",
            "client_config",
            "engine",
            "error",
            "input",
            "model",
            "plan",
            "reference",
            "signals",
            "spec",
        ],
    ),
    ("manual", &["cli", "error"]),
    (
        "commands",
        &[
            "actual",
            "apply",
            "build",
            "changes",
            "cli",
            "client_config",
            "disk",
            "engine",
            "error",
            "happenings",
            "id",
            "input",
            "keep",
            "model",
            "net",
            "observe",
            "output",
            "plan",
            "process",
            "record",
            "reference",
            "signals",
            "spec",
            "time",
            "view",
        ],
    ),
];

/// What decides, and looks at nothing.
const PURE: [&str; 4] = ["model", "plan", "reference", "spec"];

/// Plain types and functions of modules of the standard library that otherwise look at the world, and the machine that
/// this program was built for.
const PLAIN_STD: [&str; 13] = [
    "std::env::consts::ARCH",
    "std::io",
    "std::io::Error",
    "std::io::ErrorKind::InvalidData",
    "std::io::ErrorKind::NotFound",
    "std::io::Result",
    "std::marker::PhantomData",
    "std::net::IpAddr",
    "std::result::Result",
    "std::slice::from_ref",
    "std::time::Duration",
    "std::time::Duration::from_nanos",
    "std::time::Duration::from_secs",
];

/// Crates of the wire and of waiting, which what decides doesn't know.
const OUTSIDE: [&str; 5] = ["nix", "prost", "tokio", "tonic", "tower"];

/// Who reads which part of the environment.
const ENVIRONMENT: [(&str, &str); 24] = [
    ("apply/copy/mod.rs", "current_dir"),
    ("apply/host.rs", "split_paths"),
    ("apply/host.rs", "var_os PATH"),
    ("apply/keeper.rs", "current_exe"),
    ("apply/platform.rs", "consts::ARCH"),
    ("apply/unpack.rs", "var CONTAINERD_SNAPSHOTTER"),
    ("build/buildctl.rs", "var"),
    ("build/mod.rs", "var BUILDKIT_PROGRESS"),
    ("cli/build.rs", "var"),
    ("cli/container.rs", "var"),
    ("cli/docker.rs", "var"),
    ("cli/inside.rs", "var"),
    ("client_config/mod.rs", "var_os"),
    ("commands/manage/doctor.rs", "var BUILDKIT_HOST"),
    ("commands/version.rs", "consts::ARCH"),
    ("main.rs", "args_os"),
    ("main.rs", "current_dir"),
    ("main.rs", "vars_os"),
    ("net/cni.rs", "join_paths"),
    ("net/cni.rs", "split_paths"),
    ("net/cni.rs", "var_os CNI_PATH"),
    ("process/child.rs", "split_paths"),
    ("process/child.rs", "var_os PATH"),
    ("spec/seccomp.rs", "consts::ARCH"),
];

/// The files that start threads.
const THREADS: [&str; 8] = [
    "apply/archive.rs",
    "apply/attach.rs",
    "apply/mounted.rs",
    "engine/content.rs",
    "input.rs",
    "net/hook.rs",
    "net/namespace.rs",
    "shared_memory.rs",
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
fn unsafe_stands_nowhere() {
    assert_none_in(super::unsafety);
}

#[test]
fn threads_are_started_where_this_file_says_so_and_nowhere_else() {
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
    assert_eq!(found(wrong_imports, "plan/up.rs", "use crate::engine::Engine;"), 1);
    assert_eq!(found(wrong_imports, "apply/walk.rs", "use crate::engine::Engine;"), 0);
    assert_eq!(found(wrong_imports, "apply/walk.rs", "fn f() { crate::commands::run::run() }"), 1);
    assert_eq!(found(wrong_imports, "unheard_of.rs", ""), 1);
    assert_eq!(found(impurities, "plan/up.rs", "fn f() { std::fs::read(x) }"), 1);
    assert_eq!(found(impurities, "spec/oci.rs", "use tokio::net::UnixStream;"), 1);
    assert_eq!(found(impurities, "apply/walk.rs", "use tokio::net::UnixStream;"), 0);
    assert_eq!(found(threads, "plan/up.rs", "fn f() { std::thread::spawn(g) }"), 1);
}

fn all() -> Vec<Source> {
    let sources = sources("compose/src");
    assert!(sources.len() > 100, "only {} files", sources.len());
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
    if !PURE.contains(&source.module()) {
        return Vec::new();
    }
    let outside = |name: &str| OUTSIDE.iter().any(|item| name.split("::").next() == Some(*item));
    let mut found = super::impurities(source);
    found.extend(
        source
            .paths()
            .into_iter()
            .filter(|path| outside(&path.name))
            .map(|path| format!("uses {}", path.name)),
    );
    found.retain(|what| !PLAIN_STD.iter().any(|item| what.strip_prefix("uses ") == Some(item)));
    found
}

fn threads(source: &Source) -> Vec<String> {
    if THREADS.contains(&source.file.as_str()) { Vec::new() } else { super::threads(source) }
}

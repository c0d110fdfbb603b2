//! The runtime's shape.

use super::source::{Name, Source};
use super::{Check, assert_clean, assert_environment, assert_imports_point_one_way, sources};

const MODULES: [(&str, &[&str]); 17] = [
    ("error", &[]),
    ("paths", &[]),
    ("text", &[]),
    ("json", &[]),
    ("sys", &["error"]),
    ("spec", &["error", "json"]),
    ("plan", &["error", "paths", "sys", "spec"]),
    ("state", &["error", "json", "sys", "plan"]),
    ("systemd", &["error", "sys", "plan"]),
    ("probe", &["error", "sys", "spec", "plan", "systemd"]),
    ("apply", &["error", "text", "sys", "spec", "plan", "state", "systemd"]),
    ("container", &["error", "paths", "sys", "spec", "plan", "state", "systemd", "probe", "apply"]),
    ("report", &["error", "text", "sys"]),
    ("cli", &["error", "paths", "spec", "state", "report"]),
    (
        "commands",
        &["error", "text", "sys", "spec", "plan", "state", "probe", "apply", "container", "report", "cli"],
    ),
    ("internals", &["sys", "spec", "plan", "state", "apply", "probe", "cli"]),
    ("main", &[]),
];

/// What `plan` takes from `sys`: plain types, and names of numbers. None of it makes a system call.
const SYS_FOR_PLAN: [&str; 20] = [
    "crate::sys::bpf::Insn",
    "crate::sys::c_string",
    "crate::sys::credentials::CAP_SETGID",
    "crate::sys::credentials::CAP_SETUID",
    "crate::sys::credentials::CAP_SYS_ADMIN",
    "crate::sys::credentials::CAP_SYS_RESOURCE",
    "crate::sys::credentials::CapabilitySets",
    "crate::sys::credentials::capability_names",
    "crate::sys::credentials::capability_number",
    "crate::sys::list::numbers",
    "crate::sys::memory_policy::FLAGS",
    "crate::sys::memory_policy::MODES",
    "crate::sys::memory_policy::MemoryPolicy",
    "crate::sys::mount::MountAttr",
    "crate::sys::namespace::flag_names",
    "crate::sys::netlink::NAME_BYTES_MAX",
    "crate::sys::schedule::SchedulerAttributes",
    "crate::sys::seccomp::FilterFlags",
    "crate::sys::seccomp::INSTRUCTIONS_MAX",
    "crate::sys::seccomp::Instruction",
];

/// What `apply` takes from `spec`: plain types that a plan carries as they are.
const SPEC_FOR_APPLY: [&str; 3] =
    ["crate::spec::HookKind", "crate::spec::Namespace", "crate::spec::oci::Hook"];

/// What stands of `nix` outside of `sys`: plain types. Whatever calls the kernel is a function of `sys`.
const NIX_OUTSIDE_SYS: [&str; 6] = [
    "nix::errno::Errno",
    "nix::fcntl::AT_FDCWD",
    "nix::fcntl::OFlag",
    "nix::sys::signal::Signal",
    "nix::sys::stat::FileStat",
    "nix::sys::stat::SFlag",
];

/// Who reads which part of the environment. The sealed image gets the caller's environment whole; init gets none.
const ENVIRONMENT: [(&str, &str); 13] = [
    ("apply/seal.rs", "args_os"),
    ("apply/seal.rs", "vars_os"),
    ("apply/trace.rs", "var CORTEN_FAULT"), // only in builds with the feature `faults`
    ("commands/caller.rs", "var LISTEN_FDS"),
    ("commands/caller.rs", "var LISTEN_PID"),
    ("commands/caller.rs", "var_os NOTIFY_SOCKET"),
    ("main.rs", "args_os"),
    ("probe/mod.rs", "var_os PATH"), // for newuidmap and newgidmap, where the caller may not map ids
    ("state/root.rs", "var_os USER"),
    ("state/root.rs", "var_os XDG_RUNTIME_DIR"),
    ("systemd/address.rs", "var_os DBUS_SESSION_BUS_ADDRESS"),
    ("systemd/address.rs", "var_os DBUS_SYSTEM_BUS_ADDRESS"),
    ("systemd/address.rs", "var_os XDG_RUNTIME_DIR"),
];

#[test]
fn imports_point_one_way() {
    assert_imports_point_one_way(&MODULES);
    assert_none_in(wrong_imports);
}

#[test]
fn spec_and_plan_perform_no_io() {
    assert_none_in(impurities);
}

#[test]
fn apply_takes_nothing_but_plain_types_from_the_spec() {
    assert_none_in(looks_at_the_spec);
}

#[test]
fn nothing_but_sys_calls_the_kernel_by_nix_or_libc() {
    assert_none_in(calls_the_kernel);
}

#[test]
fn unsafe_stands_only_under_sys() {
    assert_none_in(unsafety);
}

#[test]
fn no_thread_is_started() {
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
    assert_eq!(found(wrong_imports, "sys/file.rs", "use crate::{error::Result, plan};"), 1);
    assert_eq!(found(wrong_imports, "plan/cgroup/v1.rs", "fn f() { super::super::super::apply::seal() }"), 1);
    assert_eq!(found(wrong_imports, "plan/mod.rs", "use crate::sys::mount; use crate::sys::*;"), 2);
    assert_eq!(found(wrong_imports, "plan/mod.rs", "use crate::sys; fn f() { sys::net::up() }"), 2);
    assert_eq!(found(wrong_imports, "plan/mod.rs", "use super::error::Error; use crate::sys::c_string;"), 0);
    assert_eq!(found(impurities, "plan/mounts.rs", "use std::{fmt, fs as files};"), 1);
    assert_eq!(found(impurities, "plan/mounts.rs", "fn f() { std::time::Instant::now() }"), 1);
    assert_eq!(found(impurities, "spec/mod.rs", "fn f(p: &Path) -> bool { p.join(\"x\").exists() }"), 1);
    assert_eq!(
        found(impurities, "spec/mod.rs", "fn f() { unsafe { libc::getpid() } nix::unistd::getpid() }"),
        2
    );
    assert_eq!(found(impurities, "spec/mod.rs", "fn f() { println!(\"{}\", libc::CLONE_NEWNS) }"), 1);
    assert_eq!(
        found(impurities, "plan/x.rs", "/* std::fs */ // std::fs\nconst S: &str = r#\"std::fs\"#;"),
        0
    );
    assert_eq!(found(impurities, "plan/x.rs", "#[cfg(test)]\nmod tests { use std::fs; }"), 0);
    assert_eq!(found(impurities, "apply/x.rs", "use std::fs;"), 0);
    assert_eq!(found(looks_at_the_spec, "apply/x.rs", "use crate::spec::{HookKind, Spec, oci};"), 1);
    assert_eq!(
        found(looks_at_the_spec, "apply/x.rs", "use crate::spec::oci; fn f(m: oci::Mount, h: oci::Hook) {}"),
        1
    );
    assert_eq!(found(looks_at_the_spec, "apply/x.rs", "use oci_spec::runtime::{Hook, Process};"), 1);
    assert_eq!(found(calls_the_kernel, "apply/x.rs", "use nix::{fcntl::OFlag, unistd};"), 1);
    assert_eq!(found(calls_the_kernel, "apply/x.rs", "fn f() { nix::unistd::pause(); libc::getpid() }"), 2);
    assert_eq!(
        found(calls_the_kernel, "apply/x.rs", "use nix::sys::signal::Signal; fn f() { libc::SIGKILL }"),
        0
    );
    assert_eq!(found(calls_the_kernel, "sys/x.rs", "use nix::unistd;"), 0);
    assert_eq!(found(unsafety, "apply/x.rs", "fn f() -> &'static str { unsafe { g('\"', \"unsafe\") } }"), 1);
    assert_eq!(found(unsafety, "apply/x.rs", "#![allow(unsafe_code)]"), 1);
    assert_eq!(found(threads, "apply/x.rs", "use std::thread; fn f() { thread::spawn(g); }"), 1);
    assert_eq!(found(threads, "apply/x.rs", "use std::thread::{Builder, sleep};"), 1);
    let reads =
        super::environment(&Source::of("plan/x.rs", "use std::env; fn f() { env::var_os(\"HOME\"); }"));
    assert_eq!(reads, [("plan/x.rs".to_string(), "var_os HOME".to_string())]);
}

fn all() -> Vec<Source> {
    let sources = sources("runtime/src");
    assert!(sources.len() > 50, "only {} files", sources.len());
    sources
}

fn assert_none_in(check: Check) {
    assert_clean(&all(), check);
}

fn wrong_imports(source: &Source) -> Vec<String> {
    if source.module() == "lib" {
        return Vec::new(); // It names each module.
    }
    let mut wrong = super::imports_outside_of(&MODULES, source);
    if source.module() == "plan" {
        let of_sys = |path: &Name| path.name == "crate::sys" || path.is_of("crate::sys");
        let plain = |path: &Name| SYS_FOR_PLAN.iter().any(|item| path.is_of(item));
        let paths = source.paths();
        let impure = paths.iter().filter(|path| of_sys(path) && !plain(path));
        wrong.extend(impure.map(|path| format!("must not import {}", path.name)));
    }
    wrong
}

fn impurities(source: &Source) -> Vec<String> {
    let pure = matches!(source.module(), "paths" | "text" | "spec" | "plan");
    if pure { super::impurities(source) } else { Vec::new() }
}

fn looks_at_the_spec(source: &Source) -> Vec<String> {
    if source.module() != "apply" {
        return Vec::new();
    }
    let mut found = Vec::new();
    for path in source.paths() {
        // The shared types have two names here.
        let name = Name { name: path.name.replacen("oci_spec::runtime", "crate::spec::oci", 1), ..path };
        // The module of the shared types alone says nothing; what is taken from it does.
        let harmless = name.name == "crate::spec::oci" || SPEC_FOR_APPLY.iter().any(|item| name.is_of(item));
        if name.is_of("crate::spec") && !harmless {
            found.push(format!("must not look at {}", name.name));
        }
    }
    found
}

fn calls_the_kernel(source: &Source) -> Vec<String> {
    if source.module() == "sys" {
        return Vec::new();
    }
    let plain = |path: &Name| NIX_OUTSIDE_SYS.iter().any(|item| path.is_of(item));
    let calls = |path: &&Name| path.is_of("nix") && !plain(path) || super::is_of_libc(path);
    source.paths().iter().filter(calls).map(|path| format!("must leave {} to sys", path.name)).collect()
}

fn unsafety(source: &Source) -> Vec<String> {
    if source.module() == "sys" { Vec::new() } else { super::unsafety(source) }
}

/// Fork and `setns` are safe in a process with a single thread only.
fn threads(source: &Source) -> Vec<String> {
    super::threads(source)
}

//! The shape of the source, held to what ARCHITECTURE.md says of it: what may import what, and where I/O, `unsafe`,
//! threads and the environment may stand.
//!
//! The files are read as tokens, so that comments, strings and line breaks don't matter; `mod tests` is left out. A
//! name that a `use` has brought in counts as its full path wherever it is used.

mod common;

use std::collections::BTreeMap;

use common::assert_none;

/// The modules at the top, each with those that it may import. Only what stands above can be imported, so there is no
/// cycle.
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

/// What of the standard library is pure. `spec` and `plan` use nothing else of it.
const PURE_STD: [&str; 14] = [
    "std::borrow",
    "std::cmp",
    "std::collections",
    "std::convert",
    "std::error",
    "std::ffi",
    "std::fmt",
    "std::iter",
    "std::ops",
    "std::os::unix::ffi",
    "std::path",
    "std::rc",
    "std::str",
    "std::vec",
];

/// Methods of `Path` that look at the filesystem.
const LOOKING: [&str; 11] = [
    "canonicalize",
    "exists",
    "is_dir",
    "is_file",
    "is_symlink",
    "metadata",
    "read_dir",
    "read_link",
    "symlink_metadata",
    "to_socket_addrs",
    "try_exists",
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
    for (at, (module, imports)) in MODULES.iter().enumerate() {
        for import in *imports {
            let above = MODULES[..at].iter().any(|(name, _)| name == import);
            assert!(above, "{module} may import {import}, which does not stand above it");
        }
    }
    assert_none(in_all(wrong_imports));
}

#[test]
fn spec_and_plan_perform_no_io() {
    assert_none(in_all(impurities));
}

#[test]
fn apply_takes_nothing_but_plain_types_from_the_spec() {
    assert_none(in_all(looks_at_the_spec));
}

#[test]
fn nothing_but_sys_calls_the_kernel_by_nix_or_libc() {
    assert_none(in_all(calls_the_kernel));
}

#[test]
fn unsafe_stands_only_under_sys() {
    assert_none(in_all(unsafety));
}

#[test]
fn no_thread_is_started() {
    assert_none(in_all(threads));
}

#[test]
fn the_environment_is_read_where_this_file_says_so_and_nowhere_else() {
    let mut read: Vec<(String, String)> = sources().iter().flat_map(environment).collect();
    read.sort();
    read.dedup();
    let allowed = ENVIRONMENT.map(|(file, what)| (file.to_string(), what.to_string()));
    assert_eq!(read, allowed);
}

#[test]
fn every_file_says_first_what_it_is_for() {
    assert_none(in_all(|source| {
        let told = source.text.starts_with("//! ");
        if told { Vec::new() } else { vec!["begins without a doc comment".into()] }
    }));
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
    let reads = environment(&Source::of("plan/x.rs", "use std::env; fn f() { env::var_os(\"HOME\"); }"));
    assert_eq!(reads, [("plan/x.rs".to_string(), "var_os HOME".to_string())]);
}

type Check = fn(&Source) -> Vec<String>;

fn wrong_imports(source: &Source) -> Vec<String> {
    let allowed =
        MODULES.iter().find(|(module, _)| *module == source.module()).map_or(&[][..], |(_, list)| *list);
    let mut wrong = Vec::new();
    for path in source.paths() {
        let Some(import) = path.name.strip_prefix("crate::") else { continue };
        let top = import.split("::").next().unwrap_or_default();
        let known = MODULES.iter().any(|(module, _)| *module == top);
        if !known || top == source.module() {
            continue;
        }
        let from_sys = source.module() == "plan" && top == "sys";
        if !allowed.contains(&top) || from_sys && !SYS_FOR_PLAN.iter().any(|item| path.is_of(item)) {
            wrong.push(format!("must not import {}", path.name));
        }
    }
    wrong
}

fn impurities(source: &Source) -> Vec<String> {
    if !matches!(source.module(), "paths" | "text" | "spec" | "plan") {
        return Vec::new();
    }
    let impure = |path: &Name| {
        let of = |root: &str| path.is_of(root);
        of("nix") || is_of_libc(path) || of("std") && !PURE_STD.iter().any(|pure| of(pure))
    };
    let mut found: Vec<String> =
        source.paths().iter().filter(|path| impure(path)).map(|path| format!("uses {}", path.name)).collect();
    for window in source.tokens.windows(3) {
        match window {
            [Token::Sign('.'), Token::Word(method), Token::Sign('(')]
                if LOOKING.contains(&method.as_str()) =>
            {
                found.push(format!("looks at the filesystem: .{method}()"));
            }
            [Token::Word(name), Token::Sign('!'), _] if name.trim_start_matches('e').starts_with("print") => {
                found.push(format!("prints: {name}!"));
            }
            _ => {}
        }
    }
    found
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

/// Whether it is a function or a type of `libc`, and no number.
fn is_of_libc(path: &Name) -> bool {
    path.name.strip_prefix("libc::").is_some_and(|item| item.starts_with(char::is_lowercase))
}

fn calls_the_kernel(source: &Source) -> Vec<String> {
    if source.module() == "sys" {
        return Vec::new();
    }
    let plain = |path: &Name| NIX_OUTSIDE_SYS.iter().any(|item| path.is_of(item));
    let calls = |path: &&Name| path.is_of("nix") && !plain(path) || is_of_libc(path);
    source.paths().iter().filter(calls).map(|path| format!("must leave {} to sys", path.name)).collect()
}

fn unsafety(source: &Source) -> Vec<String> {
    if source.module() == "sys" {
        return Vec::new();
    }
    let words = source.tokens.iter().filter_map(|token| match token {
        Token::Word(word) if word == "unsafe" || word == "unsafe_code" => Some(format!("says {word}")),
        _ => None,
    });
    words.collect()
}

/// Fork and `setns` are safe in a process with a single thread only.
fn threads(source: &Source) -> Vec<String> {
    let starts = ["std::thread::Builder", "std::thread::scope", "std::thread::spawn"];
    let found = source.paths().into_iter().filter(|path| starts.iter().any(|start| path.is_of(start)));
    found.map(|path| format!("starts a thread: {}", path.name)).collect()
}

/// What the file reads of the environment: the function, and the variable that it names.
fn environment(source: &Source) -> Vec<(String, String)> {
    let read = |path: &Name| {
        let function = path.name.strip_prefix("std::env::")?;
        let variable = path.argument.as_ref().map_or(String::new(), |name| format!(" {name}"));
        Some((source.file.clone(), format!("{function}{variable}")))
    };
    source.paths().iter().filter_map(read).collect()
}

fn in_all(check: Check) -> Vec<String> {
    let of = |source: &Source| -> Vec<String> {
        check(source).into_iter().map(|what| format!("{}: {what}", source.file)).collect()
    };
    sources().iter().flat_map(of).collect()
}

fn sources() -> Vec<Source> {
    let files = common::sources("runtime/src");
    assert!(files.len() > 50, "only {} files", files.len());
    files.iter().map(|(file, text)| Source::of(file, text)).collect()
}

/// A source file.
struct Source {
    /// Its path below `src`.
    file: String,
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A keyword, a name or a number.
    Word(String),
    /// The inside of a string literal.
    Text(String),
    /// Any other character.
    Sign(char),
}

/// A full path as the file uses it, such as `std::env::var`, with its argument if that is one string.
#[derive(Debug)]
struct Name {
    name: String,
    argument: Option<String>,
}

impl Name {
    /// Whether it is `item` or something in it.
    fn is_of(&self, item: &str) -> bool {
        self.name.strip_prefix(item).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }
}

impl Source {
    fn of(file: &str, text: &str) -> Source {
        Source { file: file.into(), text: text.into(), tokens: without_tests(tokens(text)) }
    }

    /// The module at the top that the file belongs to.
    fn module(&self) -> &str {
        let top = self.file.split('/').next().unwrap_or_default();
        top.strip_suffix(".rs").unwrap_or(top)
    }

    /// The module of the file itself, from the root of the crate.
    fn module_path(&self) -> Vec<&str> {
        let path = self.file.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').filter(|name| !matches!(*name, "lib" | "main")).collect()
    }

    /// Every path of two or more names in the file, in full.
    fn paths(&self) -> Vec<Name> {
        let mut names = Vec::new();
        let mut aliases = BTreeMap::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let is_use = self.tokens[at] == Token::Word("use".into());
            let starts = matches!(self.tokens[at], Token::Word(_)) && !self.is_joined(at);
            if is_use {
                at = self.use_tree(at + 1, String::new(), &mut |name: String, alias: String| {
                    aliases.insert(alias, name.clone());
                    names.push(Name { name, argument: None });
                });
            } else if starts && self.has_colons(at + 1) {
                let (path, end) = self.path(at);
                let argument = match self.tokens.get(end..end + 2) {
                    Some([Token::Sign('('), Token::Text(text)]) => Some(text.clone()),
                    _ => None,
                };
                let (head, rest) = path.split_once("::").unwrap_or((&path, ""));
                let full = aliases.get(head).map_or(path.clone(), |name| format!("{name}::{rest}"));
                names.push(Name { name: self.resolved(&full), argument });
                at = end;
            } else {
                at += 1;
            }
        }
        names
    }

    /// The names from `at` on that `::` joins, and the place after them.
    fn path(&self, mut at: usize) -> (String, usize) {
        let mut path = String::new();
        while let Some(Token::Word(word)) = self.tokens.get(at) {
            path.push_str(word);
            at += 1;
            if !self.has_colons(at) || !matches!(self.tokens.get(at + 2), Some(Token::Word(_))) {
                break;
            }
            path.push_str("::");
            at += 2;
        }
        (path, at)
    }

    /// Reads the tree of a `use` from `at` on; gives each path with the name that it gets, and returns the place after.
    fn use_tree(&self, mut at: usize, mut prefix: String, give: &mut impl FnMut(String, String)) -> usize {
        loop {
            match self.tokens.get(at) {
                Some(Token::Sign('{')) => {
                    at += 1;
                    while self.tokens.get(at).is_some_and(|token| *token != Token::Sign('}')) {
                        at = self.use_tree(at, prefix.clone(), give);
                        at += usize::from(self.tokens.get(at) == Some(&Token::Sign(',')));
                    }
                    return at + 1;
                }
                Some(Token::Word(word)) => prefix.push_str(word),
                Some(Token::Sign('*')) => prefix.push('*'),
                _ => return at,
            }
            at += 1;
            if self.has_colons(at) {
                prefix.push_str("::");
                at += 2;
                continue;
            }
            let name = self.resolved(prefix.trim_end_matches("::self"));
            let mut alias = name.rsplit("::").next().unwrap_or_default().to_string();
            if self.tokens.get(at) == Some(&Token::Word("as".into())) {
                if let Some(Token::Word(word)) = self.tokens.get(at + 1) {
                    alias.clone_from(word);
                }
                at += 2;
            }
            give(name, alias);
            return at;
        }
    }

    /// A path from the root of the crate in place of one from here.
    fn resolved(&self, path: &str) -> String {
        let mut names = path.split("::").peekable();
        let mut base = self.module_path();
        match names.peek() {
            Some(&"self") => drop(names.next()),
            Some(&"super") => {
                while names.next_if_eq(&"super").is_some() {
                    base.pop();
                }
            }
            _ => return path.into(),
        }
        std::iter::once("crate").chain(base).chain(names).collect::<Vec<_>>().join("::")
    }

    fn has_colons(&self, at: usize) -> bool {
        matches!(self.tokens.get(at..at + 2), Some([Token::Sign(':'), Token::Sign(':')]))
    }

    /// Whether the name at `at` belongs to what stands before it.
    fn is_joined(&self, at: usize) -> bool {
        at > 0 && self.tokens[at - 1] == Token::Sign('.') || at > 1 && self.has_colons(at - 2)
    }
}

/// Leaves out each `#[cfg(test)] mod … { … }`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let attribute = self::tokens("#[cfg(test)] mod");
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if !tokens[at..].starts_with(&attribute) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let mut depth = 0;
        while at < tokens.len() {
            depth += match tokens[at] {
                Token::Sign('{') => 1,
                Token::Sign('}') => -1,
                _ => 0,
            };
            at += 1;
            if depth == 0 && tokens[at - 1] == Token::Sign('}') {
                break;
            }
        }
    }
    kept
}

/// The tokens of Rust source, as far as the checks need them.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        match rest {
            ['/', '/', ..] => at += until(rest, |rest| rest[0] == '\n'),
            ['/', '*', ..] => at += 2 + until(&rest[2..], |rest| rest.starts_with(&['*', '/'])) + 2,
            ['r', '"', ..] | ['r', '#', '"', ..] | ['r', '#', '#', ..] => {
                let hashes = until(&rest[1..], |rest| rest[0] != '#');
                let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                let inside = &rest[hashes + 2..];
                let len = until(inside, |rest| rest.starts_with(&end));
                tokens.push(Token::Text(inside[..len].iter().collect()));
                at += hashes + 2 + len + end.len();
            }
            ['"', inside @ ..] => {
                let len = length_of_string(inside);
                tokens.push(Token::Text(inside[..len].iter().collect()));
                at += len + 2;
            }
            ['\'', '\\', _, inside @ ..] => at += 3 + until(inside, |rest| rest[0] == '\'') + 1,
            ['\'', _, '\'', ..] => at += 3,
            [first, ..] if is_word(*first) => {
                let len = until(rest, |rest| !is_word(rest[0]));
                let word: String = rest[..len].iter().collect();
                // What stands before a string says what kind of string it is.
                if !(matches!(word.as_str(), "b" | "c") && rest.get(len) == Some(&'"')) {
                    tokens.push(Token::Word(word));
                }
                at += len;
            }
            [first, ..] => {
                if !first.is_whitespace() {
                    tokens.push(Token::Sign(*first));
                }
                at += 1;
            }
            [] => break,
        }
    }
    tokens
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// How many characters come before the first place where `found` is true.
fn until(chars: &[char], found: impl Fn(&[char]) -> bool) -> usize {
    (0..chars.len()).find(|at| found(&chars[*at..])).unwrap_or(chars.len())
}

fn length_of_string(inside: &[char]) -> usize {
    let mut at = 0;
    while at < inside.len() && inside[at] != '"' {
        at += if inside[at] == '\\' { 2 } else { 1 };
    }
    at.min(inside.len())
}

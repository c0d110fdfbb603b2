//! The shape of the source, held to what ARCHITECTURE.md says of it: what may import what, and where I/O, `unsafe`,
//! threads and the environment may stand. `runtime`, `shim` and `compose` have the tables and tests of a crate each;
//! the checks that they share stand here.

#[path = "../common/mod.rs"]
mod common;
mod compose;
mod runtime;
mod shim;
mod source;

use common::assert_none;
use source::{Name, Source, Token};

/// A crate's modules at the top, each with those that it may import. Only what stands above can be imported, so there
/// is no cycle.
type Modules = [(&'static str, &'static [&'static str])];

type Check = fn(&Source) -> Vec<String>;

/// What of the standard library is pure. `spec` and `plan` use nothing else of it.
const PURE_STD: [&str; 15] = [
    "std::borrow",
    "std::cmp",
    "std::collections",
    "std::convert",
    "std::error",
    "std::ffi",
    "std::fmt",
    "std::iter",
    "std::mem",
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

/// The files of a crate. Tests that have files of their own are left out.
fn sources(directory: &str) -> Vec<Source> {
    let files = common::sources(directory);
    let is_test = |file: &str| file.split('/').any(|name| matches!(name, "tests" | "tests.rs"));
    files.iter().filter(|(file, _)| !is_test(file)).map(|(file, text)| Source::of(file, text)).collect()
}

/// Fails with all that `check` finds.
fn assert_clean(sources: &[Source], check: Check) {
    let of = |source: &Source| -> Vec<String> {
        check(source).into_iter().map(|what| format!("{}: {what}", source.file)).collect()
    };
    assert_none(sources.iter().flat_map(of).collect());
}

fn assert_imports_point_one_way(modules: &Modules) {
    for (at, (module, imports)) in modules.iter().enumerate() {
        for import in *imports {
            let above = modules[..at].iter().any(|(name, _)| name == import);
            assert!(above, "{module} may import {import}, which does not stand above it");
        }
    }
}

fn assert_environment(sources: &[Source], allowed: &[(&str, &str)]) {
    let mut read: Vec<(String, String)> = sources.iter().flat_map(environment).collect();
    read.sort();
    read.dedup();
    let allowed: Vec<_> = allowed.iter().map(|(file, what)| (file.to_string(), what.to_string())).collect();
    assert_eq!(read, allowed);
}

fn begins_without_a_doc_comment(source: &Source) -> Vec<String> {
    let told = source.text.starts_with("//! ");
    if told { Vec::new() } else { vec!["begins without a doc comment".into()] }
}

/// The imports of a module at the top that its row does not have, and modules without a row.
fn imports_outside_of(modules: &Modules, source: &Source) -> Vec<String> {
    let Some((_, allowed)) = modules.iter().find(|(module, _)| *module == source.module()) else {
        return vec![format!("the module {} has no row in the table", source.module())];
    };
    let mut wrong = Vec::new();
    for path in source.paths() {
        let Some(import) = path.name.strip_prefix("crate::") else { continue };
        let top = import.split("::").next().unwrap_or_default();
        let known = modules.iter().any(|(module, _)| *module == top);
        if known && top != source.module() && !allowed.contains(&top) {
            wrong.push(format!("must not import {}", path.name));
        }
    }
    wrong
}

/// What looks at the world: I/O, calls of the kernel, the clock.
fn impurities(source: &Source) -> Vec<String> {
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

fn unsafety(source: &Source) -> Vec<String> {
    let words = source.tokens.iter().filter_map(|token| match token {
        Token::Word(word) if word == "unsafe" || word == "unsafe_code" => Some(format!("says {word}")),
        _ => None,
    });
    words.collect()
}

fn threads(source: &Source) -> Vec<String> {
    let starts = ["std::thread::Builder", "std::thread::scope", "std::thread::spawn"];
    let found = source.paths().into_iter().filter(|path| starts.iter().any(|start| path.is_of(start)));
    found.map(|path| format!("starts a thread: {}", path.name)).collect()
}

/// Whether it is a function or a type of `libc`, and no number.
fn is_of_libc(path: &Name) -> bool {
    path.name.strip_prefix("libc::").is_some_and(|item| item.starts_with(char::is_lowercase))
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

//! The flags that stand before the command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::NAME;
use super::go::parse_bool;
use super::low::{LowArgs, values_before_positionals};
use super::table::{flag, help, named, value};
use crate::error::{Error, Result};
use crate::paths;
use crate::report::{LogFormat, LogLevel, LogTarget};

/// The flags that stand before the command.
#[derive(Debug, Default)]
pub struct Global {
    /// `--root`
    pub root: RootPath,
    /// `--log`, `--log-format`, `--log-level`, `--debug`
    pub log: LogTarget,
    /// `--cgroup-manager`
    pub cgroup_manager: CgroupManager,
    /// `--rootless`
    pub rootless: Rootless,
    /// `--trace`
    pub trace: Option<PathBuf>,
}

/// Where the state of containers is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RootPath {
    /// No `--root`: see [`crate::state::StateRoot::ensure_default`].
    #[default]
    Default,
    /// An absolute path.
    Given(PathBuf),
}

/// Who makes the container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupManager {
    /// Nobody is named: systemd if the path of the container's cgroup has its form, otherwise Corten.
    #[default]
    ByPath,
    /// Corten does, in the cgroup filesystem.
    Cgroupfs,
    /// systemd does.
    Systemd,
    /// Nobody: the container stays in the caller's cgroup.
    Disabled,
}

/// Whether a container may do without a cgroup that the caller may not make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rootless {
    /// If the caller isn't root.
    #[default]
    Auto,
    /// In any case.
    Yes,
    /// Never.
    No,
}

pub(super) fn table() -> clap::Command {
    named(NAME, NAME.into())
        .about("Open Container Initiative runtime: runs containers from bundles, as runc does")
        .override_usage(format!("{NAME} [global flags] COMMAND [flags] [arguments]"))
        .arg(value("root", "DIR").help(
            "Keep the state of containers in DIR, best a tmpfs \
                 [default: /run/corten, or $XDG_RUNTIME_DIR/corten]",
        ))
        .arg(value("log", "FILE").help("Append errors to FILE as well; standard error gets them in any case"))
        .arg(value("log-format", "FORMAT").help("Write FILE as 'text' or 'json' [default: text]"))
        .arg(
            value("log-level", "LEVEL")
                .help("Log what is at least a 'debug', 'warning' or 'error' [default: warning]"),
        )
        .arg(flag("debug").help("Same as --log-level debug"))
        .arg(
            flag("systemd-cgroup")
                .help("Have systemd make the container's cgroup: same as --cgroup-manager systemd"),
        )
        .arg(value("cgroup-manager", "MANAGER").help(
            "Make cgroups by 'cgroupfs', by 'systemd', or not at all: 'disabled' [default: systemd for a \
                 cgroupsPath of the form slice:prefix:name where systemd runs, otherwise cgroupfs]",
        ))
        .arg(value("rootless", "BOOL").help(
            "Go on without permission to make a cgroup, if none is asked for: 'true', 'false', or 'auto', \
                 which is for users other than root [default: auto]",
        ))
        .arg(value("trace", "FILE").help("Write a timeline of the steps to FILE, in Chrome's trace format"))
        .arg(value("criu", "PATH").hide(true).help("Ignored"))
        .arg(flag("version").short('v').help("Print the version"))
        .arg(help())
}

impl Global {
    pub(super) fn read(low: &mut LowArgs) -> Result<Global> {
        Ok(Global {
            root: low.path("root").map_or(Ok(RootPath::Default), |path| root(&path))?,
            log: log_target(low)?,
            cgroup_manager: cgroup_manager(low)?,
            rootless: low.value("rootless", rootless)?.unwrap_or_default(),
            trace: low.path("trace"),
        })
    }
}

fn root(path: &Path) -> Result<RootPath> {
    let absolute = std::path::absolute(path).map_err(|err| Error::io("getcwd()", &err))?;
    // Lexically, as Go's filepath.Clean does: the directory may not exist yet.
    match paths::from_root(&absolute) {
        path if path == Path::new("/") => Err(Error::invalid("--root must not be /")),
        path => Ok(RootPath::Given(path)),
    }
}

fn log_target(low: &mut LowArgs) -> Result<LogTarget> {
    let format = low.value("log-format", log_format)?;
    let level = low.value("log-level", |text| match text {
        "debug" => Ok(LogLevel::Debug),
        "warning" | "warn" | "info" => Ok(LogLevel::Warning),
        "error" => Ok(LogLevel::Error),
        _ => Err(Error::invalid(format!("{text:?} is not one of debug, warning and error"))),
    })?;
    let level = if low.flag("debug") { LogLevel::Debug } else { level.unwrap_or_default() };
    Ok(LogTarget { file: low.path("log"), format: format.unwrap_or_default(), level })
}

fn log_format(text: &str) -> Result<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Error::invalid(format!("{text:?} is neither text nor json"))),
    }
}

/// The log that a command line names, whatever else is wrong with it: an engine looks there for what is wrong.
pub(super) fn log_of_refused(words: impl Iterator<Item = OsString>) -> LogTarget {
    let mut target = LogTarget::default();
    for (flag, value) in values_before_positionals(&table(), words) {
        match flag.as_str() {
            "log" => target.file = Some(PathBuf::from(value)).filter(|file| !file.as_os_str().is_empty()),
            "log-format" => {
                target.format = value.to_str().and_then(|text| log_format(text).ok()).unwrap_or_default()
            }
            _ => {}
        }
    }
    target
}

fn cgroup_manager(low: &mut LowArgs) -> Result<CgroupManager> {
    let by_systemd = low.flag("systemd-cgroup");
    let manager = low.text("cgroup-manager")?;
    match manager.as_deref() {
        None if by_systemd => Ok(CgroupManager::Systemd),
        None => Ok(CgroupManager::ByPath),
        Some("systemd") => Ok(CgroupManager::Systemd),
        Some(other @ ("cgroupfs" | "disabled")) if by_systemd => {
            Err(Error::invalid(format!("--cgroup-manager {other} and --systemd-cgroup exclude each other")))
        }
        Some("cgroupfs") => Ok(CgroupManager::Cgroupfs),
        Some("disabled") => Ok(CgroupManager::Disabled),
        Some(other) => Err(Error::invalid(format!(
            "--cgroup-manager: {other:?} is not one of cgroupfs, systemd and disabled"
        ))),
    }
}

fn rootless(text: &str) -> Result<Rootless> {
    match parse_bool(text) {
        Some(true) => Ok(Rootless::Yes),
        Some(false) => Ok(Rootless::No),
        None if text.eq_ignore_ascii_case("auto") => Ok(Rootless::Auto),
        None => Err(Error::invalid(format!("{text:?} is not one of true, false and auto"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, global};
    use super::*;

    #[test]
    fn global_flags() {
        assert_eq!(global("--debug").log.level, LogLevel::Debug);
        assert_eq!(global("--log-level error").log.level, LogLevel::Error);
        assert_eq!(global("--cgroup-manager disabled").cgroup_manager, CgroupManager::Disabled);
        assert_eq!(global("--criu /usr/sbin/criu").root, RootPath::Default);
        assert_eq!(global("--trace t.json").trace, Some("t.json".into()));
        assert_eq!(global("--debug").cgroup_manager, CgroupManager::ByPath);
        for words in
            ["--systemd-cgroup", "--cgroup-manager systemd", "--systemd-cgroup --cgroup-manager=systemd"]
        {
            assert_eq!(global(words).cgroup_manager, CgroupManager::Systemd);
        }
        assert!(error("--systemd-cgroup --cgroup-manager disabled list").ends_with("exclude each other"));
        assert_eq!(error("--root / list"), "--root must not be /");
        assert!(error("--log-format xml list").starts_with("--log-format: "));
    }

    #[test]
    fn the_log_of_a_refused_command_line_is_found() {
        let target = |words: &str| log_of_refused(words.split_whitespace().map(OsString::from));
        let json = LogTarget { file: Some("/l".into()), format: LogFormat::Json, ..LogTarget::default() };
        for words in [
            "--nope --log /l --log-format json state c1",
            "--systemd-cgroup --log=/l --log-format=json --root",
            "--log /x -log /l --log-format xml --log-format json --debug=maybe --root / run c1",
        ] {
            assert_eq!(target(words), json, "{words}");
        }
        assert_eq!(target("--log /l --log-format xml list").format, LogFormat::Text);
        for words in ["--nope exec c1 prog --log /l", "-- --log /l", "--log", "--root --log /l"] {
            assert_eq!(target(words).file, None, "{words}");
        }
    }

    #[test]
    fn rootless_is_true_false_or_auto() {
        for (text, meant) in [("true", Rootless::Yes), ("0", Rootless::No), ("AUTO", Rootless::Auto)] {
            assert_eq!(global(&format!("--rootless={text}")).rootless, meant);
        }
        assert_eq!(global("--debug").rootless, Rootless::Auto);
        assert!(error("--rootless=maybe list").starts_with("--rootless: \"maybe\" is not one of"));
    }
}

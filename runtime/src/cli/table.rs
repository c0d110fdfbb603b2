//! What the tables of flags are made of, and the flags that several commands share.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, value_parser};

/// An empty table. Go's spelling of flags is brought to clap's before clap sees it: see `low.rs`.
pub(super) fn named(name: &'static str, full_name: String) -> Command {
    Command::new(name)
        .display_name(&full_name)
        .bin_name(full_name)
        .no_binary_name(true)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
}

pub(super) fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

pub(super) fn value(name: &'static str, placeholder: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(placeholder).value_parser(value_parser!(OsString))
}

/// A flag with a value that may be repeated.
pub(super) fn list(name: &'static str, placeholder: &'static str) -> Arg {
    value(name, placeholder).action(ArgAction::Append)
}

pub(super) fn positional(name: &'static str, placeholder: &'static str) -> Arg {
    Arg::new(name).value_name(placeholder).value_parser(value_parser!(OsString))
}

/// Any number of positionals.
pub(super) fn words(name: &'static str, placeholder: &'static str) -> Arg {
    positional(name, placeholder).num_args(0..)
}

pub(super) fn help() -> Arg {
    flag("help").short('h').help("Print this help")
}

pub(super) fn id(help: &'static str) -> Arg {
    positional("id", "ID").required(true).help(help)
}

pub(super) fn regex() -> Arg {
    flag("regex").help("Take ID as a regular expression, for all containers whose names have a match of it")
}

pub(super) fn bundle() -> Arg {
    value("bundle", "DIR").short('b').help("The bundle's directory [default: .]")
}

pub(super) fn console_socket() -> Arg {
    value("console-socket", "PATH").help("Send the terminal's master end to the unix socket at PATH")
}

pub(super) fn pid_file() -> Arg {
    value("pid-file", "FILE").help("Write the process's pid to FILE")
}

pub(super) fn pidfd_socket() -> Arg {
    value("pidfd-socket", "PATH").help("Send the process's pidfd to the unix socket at PATH")
}

pub(super) fn preserve_fds() -> Arg {
    value("preserve-fds", "N").help("Pass on N open files from number 3 on")
}

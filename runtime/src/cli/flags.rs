//! The tables: each command with its flags, in the words of its help.

use clap::{Arg, ArgAction, Command, ValueHint, value_parser};
use std::ffi::OsString;

use super::NAME;

/// A command: its name, where its flags may stand, and how to build its table.
struct Entry {
    name: &'static str,
    flags: Flags,
    build: fn(Command) -> Command,
}

/// Where the flags of a command stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flags {
    /// Before, between and after the positionals.
    Anywhere,
    /// Before the first positional: from there on, what looks like a flag is the user's.
    First,
    /// They aren't looked at: the command is known by name only.
    NotYet,
}

const COMMANDS: &[Entry] = &[
    Entry { name: "checkpoint", flags: Flags::NotYet, build: checkpoint },
    Entry { name: "create", flags: Flags::Anywhere, build: create },
    Entry { name: "delete", flags: Flags::Anywhere, build: delete },
    Entry { name: "events", flags: Flags::Anywhere, build: events },
    Entry { name: "exec", flags: Flags::First, build: exec },
    Entry { name: "features", flags: Flags::Anywhere, build: features },
    Entry { name: "kill", flags: Flags::First, build: kill },
    Entry { name: "list", flags: Flags::Anywhere, build: list_containers },
    Entry { name: "pause", flags: Flags::Anywhere, build: pause },
    Entry { name: "plan", flags: Flags::Anywhere, build: plan },
    Entry { name: "ps", flags: Flags::First, build: ps },
    Entry { name: "restore", flags: Flags::NotYet, build: restore },
    Entry { name: "resume", flags: Flags::Anywhere, build: resume },
    Entry { name: "run", flags: Flags::Anywhere, build: run },
    Entry { name: "spec", flags: Flags::Anywhere, build: spec },
    Entry { name: "start", flags: Flags::Anywhere, build: start },
    Entry { name: "state", flags: Flags::Anywhere, build: state },
    Entry { name: "update", flags: Flags::Anywhere, build: update },
];

/// The names of all commands.
#[cfg(test)]
pub fn names() -> impl Iterator<Item = &'static str> {
    COMMANDS.iter().map(|entry| entry.name)
}

/// The program with all its commands.
#[cfg(test)]
pub fn all_commands() -> Command {
    global().subcommands(COMMANDS.iter().map(Entry::table))
}

/// The table of one command, and where its flags stand.
pub(super) fn command(name: &str) -> Option<(Command, Flags)> {
    COMMANDS.iter().find(|entry| entry.name == name).map(|entry| (entry.table(), entry.flags))
}

/// The help of one command.
pub(super) fn help_of(table: Command) -> String {
    let arguments = if table.get_positionals().any(|arg| !arg.is_hide_set()) {
        "ARGUMENTS:\n{positionals}\n\n"
    } else {
        ""
    };
    let text = format!(
        "NAME:\n   {{name}} - {{about}}\n\nUSAGE:\n   {{usage}}\n\n{arguments}OPTIONS:\n{{options}}\n"
    );
    table.help_template(text).render_help().to_string()
}

/// The help of the program.
pub(super) fn global_help() -> String {
    let mut text = help_of(global());
    text.push_str("\nCOMMANDS:\n");
    for entry in COMMANDS {
        let table = entry.table();
        let about = table.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:<12}{about}\n", entry.name));
    }
    text.push_str(&format!("\n`{NAME} help COMMAND` tells more of each.\n"));
    text
}

impl Entry {
    fn table(&self) -> Command {
        (self.build)(table(self.name, format!("{NAME} {}", self.name))).arg(help())
    }
}

/// The flags that stand before the command.
pub(super) fn global() -> Command {
    table(NAME, NAME.into())
        .about("Open Container Initiative runtime: runs containers from bundles, as runc does")
        .override_usage(format!("{NAME} [global flags] COMMAND [flags] [arguments]"))
        .arg(value("root", "DIR").help("Keep the state of containers in DIR, best a tmpfs [default: /run/corten, or $XDG_RUNTIME_DIR/corten]"))
        .arg(value("log", "FILE").help("Append errors to FILE as well; standard error gets them in any case"))
        .arg(value("log-format", "FORMAT").help("Write FILE as 'text' or 'json' [default: text]"))
        .arg(value("log-level", "LEVEL").help("Log what is at least a 'debug', 'warning' or 'error' [default: warning]"))
        .arg(flag("debug").help("Same as --log-level debug"))
        .arg(flag("systemd-cgroup").help("Have systemd make the container's cgroup"))
        .arg(value("cgroup-manager", "MANAGER").help("Make cgroups by 'cgroupfs' or 'systemd', or not at all: 'disabled' [default: cgroupfs]"))
        .arg(value("rootless", "BOOL").help("Go on without permission to make a cgroup: 'true', 'false' or 'auto' [default: auto]"))
        .arg(value("trace", "FILE").help("Write a timeline of the steps to FILE, in Chrome's trace format"))
        .arg(value("criu", "PATH").hide(true).help("Ignored"))
        .arg(flag("version").short('v').help("Print the version"))
        .arg(help())
        .arg(Arg::new("command").hide(true).num_args(0..).value_parser(value_parser!(OsString)))
}

fn create(table: Command) -> Command {
    process_flags(table)
        .about("Create a container from a bundle; its program runs once it is started")
        .arg(id("The name of the new container, unique on this host"))
}

fn run(table: Command) -> Command {
    process_flags(table)
        .about("Create a container and start it; wait for its end and take its exit code, unless detached")
        .arg(flag("detach").short('d').help("Come back as soon as the container runs"))
        .arg(flag("keep").help("Don't delete the container when it ends"))
        .arg(flag("no-subreaper").help("Don't become the parent of orphans among the container's processes"))
        .arg(id("The name of the new container, unique on this host"))
}

/// The flags that `create` and `run` share.
fn process_flags(table: Command) -> Command {
    table
        .arg(bundle())
        .arg(
            value("config", "FILE")
                .short('f')
                .help("Read the config from FILE [default: config.json of the bundle]"),
        )
        .arg(console_socket())
        .arg(pid_file())
        .arg(pidfd_socket())
        .arg(
            flag("no-pivot")
                .help("Enter the root filesystem by chroot where pivot_root can't work: on a ramdisk"),
        )
        .arg(flag("no-new-keyring").help("Let the container keep the session keyring of the caller"))
        .arg(preserve_fds())
}

fn start(table: Command) -> Command {
    table.about("Run the program of a created container").arg(id("The name of the container"))
}

fn state(table: Command) -> Command {
    table.about("Print the state of a container as JSON").arg(id("The name of the container"))
}

fn exec(table: Command) -> Command {
    table
        .about("Run one more process in a container; take its exit code, unless detached")
        .override_usage(format!(
            "{NAME} exec [flags] ID COMMAND [ARGUMENTS]\n   {NAME} exec [flags] --process FILE ID"
        ))
        .arg(
            value("process", "FILE")
                .short('p')
                .help("Read the process from FILE: the 'process' object of a config.json"),
        )
        .arg(flag("detach").short('d').help("Come back as soon as the process runs"))
        .arg(console_socket())
        .arg(pid_file())
        .arg(pidfd_socket())
        .arg(flag("tty").short('t').help("Give the process a terminal"))
        .arg(value("cwd", "DIR").help("Run in DIR of the container"))
        .arg(list("env", "NAME=VALUE").short('e').help("Set an environment variable; may be repeated"))
        .arg(value("user", "UID[:GID]").short('u').help("Run as this user and group, by number"))
        .arg(list("additional-gids", "GID").short('g').help("Add a group, by number; may be repeated"))
        .arg(list("cap", "CAPABILITY").short('c').help("Add a capability; may be repeated"))
        .arg(flag("no-new-privs").help("Never gain privileges by running a program"))
        .arg(value("apparmor", "PROFILE").help("Run under this AppArmor profile"))
        .arg(value("process-label", "LABEL").help("Run under this SELinux label"))
        .arg(preserve_fds())
        .arg(
            list("cgroup", "[CONTROLLER[,...]:]PATH")
                .help("Join a cgroup below the container's; may be repeated on cgroup v1"),
        )
        .arg(flag("ignore-paused").help("Join a paused container too; the process runs when it is resumed"))
        .arg(flag("no-subreaper").hide(true).help("Ignored"))
        .arg(id("The name of the container"))
        .arg(words("args", "COMMAND").help("The program and its arguments"))
}

fn kill(table: Command) -> Command {
    table
        .about("Send a signal to the container's init process")
        .arg(
            flag("all")
                .short('a')
                .help("Send it to all processes of the container; one that has stopped is no error"),
        )
        .arg(regex())
        .arg(id("The name of the container"))
        .arg(
            Arg::new("signal")
                .value_name("SIGNAL")
                .value_parser(value_parser!(OsString))
                .help("A name or a number [default: SIGTERM]"),
        )
}

fn delete(table: Command) -> Command {
    table
        .about("Delete a container that has stopped or was never started, and all that is left of it")
        .arg(flag("force").short('f').help("Kill a container that runs; be content if there is none"))
        .arg(regex())
        .arg(id("The name of the container"))
}

fn list_containers(table: Command) -> Command {
    table
        .about("List the containers")
        .arg(value("format", "FORMAT").short('f').help("Print a 'table' or 'json' [default: table]"))
        .arg(flag("quiet").short('q').help("Print nothing but names"))
}

fn ps(table: Command) -> Command {
    table
        .about("List the processes of a container")
        .override_usage(format!("{NAME} ps [flags] ID [PS OPTIONS]"))
        .arg(
            value("format", "FORMAT")
                .short('f')
                .help("Print a 'table', which ps(1) makes, or the pids as 'json' [default: table]"),
        )
        .arg(id("The name of the container"))
        .arg(words("args", "PS OPTIONS").help("Options of ps(1) [default: -ef]"))
}

fn pause(table: Command) -> Command {
    table.about("Freeze all processes of a container").arg(id("The name of the container"))
}

fn resume(table: Command) -> Command {
    table.about("Let the processes of a paused container go on").arg(id("The name of the container"))
}

fn events(table: Command) -> Command {
    table
        .about("Print the resource usage of a container again and again, and each time it runs out of memory")
        .arg(value("interval", "DURATION").help("Print the usage this often: '5s', '100ms' [default: 5s]"))
        .arg(flag("stats").help("Print the usage once and end"))
        .arg(id("The name of the container"))
}

fn update(table: Command) -> Command {
    table
        .about("Change the resource limits of a container")
        .arg(value("resources", "FILE").short('r').help("Read the limits from FILE, or from standard input if it is '-': the 'linux.resources' object of a config.json; other flags are then ignored"))
        .arg(value("memory", "BYTES").help("Limit memory; -1 for no limit"))
        .arg(value("memory-reservation", "BYTES").help("Protect this much memory from reclaim"))
        .arg(value("memory-swap", "BYTES").help("Limit memory and swap together; -1 for no limit"))
        .arg(value("kernel-memory", "BYTES").hide(true).help("Ignored"))
        .arg(value("kernel-memory-tcp", "BYTES").hide(true).help("Ignored"))
        .arg(value("pids-limit", "NUMBER").help("Limit the number of processes; -1 for no limit"))
        .arg(value("cpu-share", "SHARES").help("Weigh the container's CPU time against others'"))
        .arg(value("cpu-quota", "MICROSECONDS").help("Limit CPU time in each period; -1 for no limit"))
        .arg(value("cpu-period", "MICROSECONDS").help("The length of a period"))
        .arg(value("cpu-burst", "MICROSECONDS").help("CPU time that may be saved up from one period for another"))
        .arg(value("cpu-rt-runtime", "MICROSECONDS").help("Limit realtime CPU time in each realtime period"))
        .arg(value("cpu-rt-period", "MICROSECONDS").help("The length of a realtime period"))
        .arg(value("cpu-idle", "0|1").help("Run only when nothing else wants the CPU"))
        .arg(value("cpuset-cpus", "LIST").help("Run on these CPUs: '0-2,7'"))
        .arg(value("cpuset-mems", "LIST").help("Use these memory nodes"))
        .arg(value("blkio-weight", "WEIGHT").help("Weigh the container's disk access against others': 10 to 1000"))
        .arg(value("l3-cache-schema", "SCHEMA").help("The L3 cache schema of Intel RDT"))
        .arg(value("mem-bw-schema", "SCHEMA").help("The memory bandwidth schema of Intel RDT"))
        .arg(id("The name of the container"))
}

fn spec(table: Command) -> Command {
    table
        .about("Write a config.json to begin with")
        .arg(bundle())
        .arg(flag("rootless").help("Write one for a user who isn't root"))
}

fn features(table: Command) -> Command {
    table.about("Print what this runtime can do, as JSON")
}

fn plan(table: Command) -> Command {
    table
        .about("Print what `create` would do with a bundle, step by step, and do nothing")
        .arg(value("id", "ID").help("Plan for a container of this name [default: plan]"))
        .arg(flag("no-pivot").help("As with `create`"))
        .arg(flag("no-new-keyring").help("As with `create`"))
        .arg(flag("steps").help("Print only the names of the steps, one a line"))
        .arg(
            Arg::new("bundle")
                .value_name("BUNDLE")
                .value_parser(value_parser!(OsString))
                .value_hint(ValueHint::DirPath)
                .help("The bundle's directory [default: .]"),
        )
}

fn checkpoint(table: Command) -> Command {
    table.about("Write a running container to disk (not supported yet)")
}

fn restore(table: Command) -> Command {
    table.about("Run a container from what checkpoint wrote (not supported yet)")
}

fn table(name: &'static str, full_name: String) -> Command {
    Command::new(name)
        .display_name(&full_name)
        .bin_name(full_name)
        .no_binary_name(true)
        .args_override_self(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
}

fn help() -> Arg {
    flag("help").short('h').help("Print this help")
}

fn id(help: &'static str) -> Arg {
    Arg::new("id").value_name("ID").required(true).value_parser(value_parser!(OsString)).help(help)
}

fn flag(name: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue)
}

fn value(name: &'static str, placeholder: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(placeholder).value_parser(value_parser!(OsString))
}

fn list(name: &'static str, placeholder: &'static str) -> Arg {
    value(name, placeholder).action(ArgAction::Append)
}

fn words(name: &'static str, placeholder: &'static str) -> Arg {
    Arg::new(name).value_name(placeholder).num_args(0..).value_parser(value_parser!(OsString))
}

fn bundle() -> Arg {
    value("bundle", "DIR")
        .short('b')
        .value_hint(ValueHint::DirPath)
        .help("The bundle's directory [default: .]")
}

fn regex() -> Arg {
    flag("regex").help("Take ID as a regular expression, for all containers whose names have a match of it")
}

fn console_socket() -> Arg {
    value("console-socket", "PATH").help("Send the terminal's master end to the unix socket at PATH")
}

fn pid_file() -> Arg {
    value("pid-file", "FILE").help("Write the process's pid to FILE")
}

fn pidfd_socket() -> Arg {
    value("pidfd-socket", "PATH").help("Send the process's pidfd to the unix socket at PATH")
}

fn preserve_fds() -> Arg {
    value("preserve-fds", "N").help("Pass on N open files from number 3 on")
}

//! argv → what is meant.
//!
//! Two steps, as in ripgrep: `LowArgs` is what was typed, each flag in one spelling, checked against the tables
//! in `flags.rs`; [`Global`] and [`Command`] are what it means, as values that can't be wrong. The global flags
//! are read first, so that an error in the rest reaches the log file that they name.
//!
//! Callers of a container runtime write flags as Go programs take them: see [`go`] and `low.rs`.

mod args;
mod flags;
pub mod go;
mod low;

use std::ffi::{OsStr, OsString};

pub use args::{
    CgroupManager, Command, CreateArgs, DeleteArgs, EventsArgs, ExecArgs, ExecCgroup, ExecProcess, Global,
    IdArgs, KillArgs, ListArgs, ListFormat, PlanArgs, ProcessArgs, PsArgs, RootPath, RunArgs, SpecArgs,
    UpdateArgs, UpdateSource, Which,
};
use flags::Flags;
use low::{LowArgs, Typed};

use crate::error::{Error, Result};
pub use crate::report::NAME;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The newest version of the runtime specification that is followed.
pub const SPEC_VERSION: &str = "1.3.0";

/// A command line whose global flags have been read.
pub struct CommandLine {
    /// The global flags.
    pub global: Global,
    print: Option<String>,
    command: Vec<OsString>,
}

/// What is asked for.
pub enum Request {
    /// A text to be printed: the help or the version.
    Print(String),
    /// A command to be carried out.
    Run(Command),
}

impl CommandLine {
    /// Reads the global flags of `argv`, which begins with the program's name.
    pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<CommandLine> {
        let words = argv.into_iter().skip(1);
        let mut low = match LowArgs::read(&mut flags::global(), Flags::First, words)? {
            Typed::Args(low) => low,
            Typed::Help => return Ok(CommandLine::to_print(flags::global_help())),
        };
        if low.flag("version") {
            return Ok(CommandLine::to_print(version()));
        }
        let command = low.take_all("command");
        let print = command.is_empty().then(flags::global_help);
        Ok(CommandLine { global: Global::from(low)?, print, command })
    }

    fn to_print(text: String) -> CommandLine {
        CommandLine { global: Global::default(), print: Some(text), command: Vec::new() }
    }

    /// The name of the command, if there is one.
    pub fn command_name(&self) -> Option<&OsStr> {
        self.command.first().map(OsString::as_os_str)
    }

    /// Reads the command and its flags.
    pub fn request(&mut self) -> Result<Request> {
        if let Some(text) = self.print.take() {
            return Ok(Request::Print(text));
        }
        let mut words = std::mem::take(&mut self.command).into_iter();
        let name = words.next().unwrap_or_default();
        if name == "help" || name == "h" {
            return help(words.next()).map(Request::Print);
        }
        let (table, flags) = find(&name)?;
        read(table, flags, words).map_err(|err| {
            let name = name.to_string_lossy();
            err.context(name.to_string()).with_hint(format!("`{NAME} {name} --help` lists its flags"))
        })
    }
}

fn read(
    mut table: clap::Command,
    flags: Flags,
    mut words: impl Iterator<Item = OsString>,
) -> Result<Request> {
    if flags == Flags::NotYet {
        let asks_for_help = words.any(|word| word == "--help" || word == "-h");
        return if asks_for_help {
            Ok(Request::Print(flags::help_of(table)))
        } else {
            Err(Error::unsupported("not supported yet"))
        };
    }
    match LowArgs::read(&mut table, flags, words)? {
        Typed::Help => Ok(Request::Print(flags::help_of(table))),
        Typed::Args(low) => Command::from(table.get_name(), low).map(Request::Run),
    }
}

fn help(topic: Option<OsString>) -> Result<String> {
    match topic {
        None => Ok(flags::global_help()),
        Some(name) => find(&name).map(|(table, _)| flags::help_of(table)),
    }
}

fn find(name: &OsStr) -> Result<(clap::Command, Flags)> {
    name.to_str().and_then(flags::command).ok_or_else(|| {
        let name = name.to_string_lossy();
        // Go's command line libraries say it like this, and test suites look for it.
        Error::invalid(format!("{name}: no such command: No help topic for '{name}'"))
            .with_hint(format!("`{NAME} help` lists the commands"))
    })
}

/// What `--version` prints: engines split on "version" and look for a line with "commit:".
fn version() -> String {
    let commit = option_env!("CORTEN_COMMIT").unwrap_or("unknown");
    format!("{NAME} version {VERSION}\ncommit: {commit}\nspec: {SPEC_VERSION}\n")
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::args::{ExecUser, Rootless};
    use super::flags::{all_commands, names};
    use super::*;
    use crate::report::{LogFormat, LogLevel, LogTarget};

    fn line(words: &str) -> Result<CommandLine> {
        CommandLine::parse([NAME.into()].into_iter().chain(words.split_whitespace().map(OsString::from)))
    }

    fn global(words: &str) -> Global {
        line(&format!("{words} list")).expect(words).global
    }

    fn command(words: &str) -> Command {
        match line(words).and_then(|mut line| line.request()).expect(words) {
            Request::Run(command) => command,
            Request::Print(text) => panic!("{words}: {text}"),
        }
    }

    fn printed(words: &str) -> String {
        match line(words).and_then(|mut line| line.request()).expect(words) {
            Request::Run(command) => panic!("{words}: {command:?}"),
            Request::Print(text) => text,
        }
    }

    fn error(words: &str) -> String {
        line(words).and_then(|mut line| line.request()).err().map(|err| err.to_string()).expect(words)
    }

    #[test]
    fn command_lines_of_containerd() {
        let words = "--root /run/containerd/runc/moby --log /b/log.json --log-format json create --bundle /b \
                     --pid-file /b/init.pid --console-socket /tmp/s --no-pivot --no-new-keyring c1";
        let global = line(words).expect(words).global;
        assert_eq!(global.root, RootPath::Given("/run/containerd/runc/moby".into()));
        let log =
            LogTarget { file: Some("/b/log.json".into()), format: LogFormat::Json, level: LogLevel::Warning };
        assert_eq!(global.log, log);
        let Command::Create(create) = command(words) else { panic!("not create") };
        assert_eq!(create.id.as_str(), "c1");
        assert_eq!(create.bundle, Path::new("/b"));
        assert_eq!(create.pid_file, Some(PathBuf::from("/b/init.pid")));
        assert_eq!(create.console_socket, Some(PathBuf::from("/tmp/s")));
        assert!(create.no_pivot && create.no_new_keyring);

        let Command::Exec(exec) = command("exec --process /p.json --detach --pid-file /x.pid c1") else {
            panic!("not exec")
        };
        assert!(matches!(&exec.process, ExecProcess::File(file) if file == Path::new("/p.json")));
        assert!(exec.detach);
        let Command::Kill(kill) = command("kill --all c1 9") else { panic!("not kill") };
        assert_eq!((kill.signal, kill.all), (9, true));
        let Command::Update(update) = command("update --resources=- c1") else { panic!("not update") };
        assert!(matches!(update.source, UpdateSource::Stdin));
        assert!(matches!(
            command("ps --format json c1"),
            Command::Ps(PsArgs { format: ListFormat::Json, .. })
        ));
        let Command::Run(run) = command("run -no-subreaper --detach --bundle /b c1") else {
            panic!("not run")
        };
        assert!(run.no_subreaper && run.detach);
    }

    #[test]
    fn ways_to_write_a_flag_in_go() {
        for words in ["--force c1", "-force c1", "-f c1", "c1 --force", "--f=1 c1"] {
            let command = command(&format!("delete {words}"));
            assert!(matches!(command, Command::Delete(DeleteArgs { force: true, .. })), "{words}");
        }
        for words in ["--force=false c1", "-f --force=F c1", "-- c1"] {
            let command = command(&format!("delete {words}"));
            assert!(matches!(command, Command::Delete(DeleteArgs { force: false, .. })), "{words}");
        }
        for words in ["-root=/r/./x/..", "-root /r", "--root=/nope --root /r/"] {
            assert_eq!(global(words).root, RootPath::Given("/r".into()), "{words}");
        }
        let Command::Update(update) = command("update c1 --resources -") else { panic!("not update") };
        assert!(matches!(update.source, UpdateSource::Stdin));
    }

    #[test]
    fn words_after_the_first_positional_are_the_users() {
        let Command::Exec(exec) = command("exec -t --env A=1 -e B=2 -u 1:2 c1 ls -t --env --help") else {
            panic!("not exec")
        };
        let ExecProcess::Changed(process) = exec.process else { panic!("not a process") };
        assert_eq!(process.args, ["ls", "-t", "--env", "--help"]);
        assert_eq!(process.env, ["A=1", "B=2"]);
        assert_eq!(process.user, Some(ExecUser { uid: 1, gid: Some(2) }));
        assert!(process.tty);
        let Command::Ps(ps) = command("ps c1 -e -x") else { panic!("not ps") };
        assert_eq!(ps.options, ["-e", "-x"]);
    }

    #[test]
    fn values_of_exec() {
        let words = "exec -u 1 --cgroup a/b --cgroup cpu,memory:c --preserve-fds 2 c1 x";
        let Command::Exec(exec) = command(words) else { panic!("not exec") };
        let whole = ExecCgroup { controllers: vec![], path: "a/b".into() };
        let some = ExecCgroup { controllers: vec!["cpu".into(), "memory".into()], path: "c".into() };
        assert_eq!(exec.cgroups, [whole, some]);
        assert_eq!(exec.preserve_fds, 2);
        let ExecProcess::Changed(process) = exec.process else { panic!("not a process") };
        assert_eq!(process.user, Some(ExecUser { uid: 1, gid: None }));
        for user in ["root", "-1", "4294967295", "1:x", "1:", "+1", "0x1"] {
            let text = error(&format!("exec -u {user} c1 x"));
            assert!(text.starts_with("exec: --user: "), "{text}");
        }
    }

    #[test]
    fn signals() {
        let signal = |text: &str| match command(&format!("kill c1 {text}")) {
            Command::Kill(kill) => kill.signal,
            _ => -1,
        };
        assert_eq!(signal(""), 15);
        for text in ["9", "KILL", "SIGKILL", "sigkill", "Kill"] {
            assert_eq!(signal(text), 9, "{text}");
        }
        assert_eq!(signal("SIGRTMIN+3"), 37);
        assert_eq!(signal("RTMAX-1"), 63);
        assert_eq!(signal("0"), 0);
        for text in ["NOPE", "65", "-9", "RTMIN+31", "RTMIN-1", "SIG"] {
            assert_eq!(error(&format!("kill c1 {text}")), format!("kill: unknown signal {text:?}"));
        }
    }

    #[test]
    fn flags_of_update_become_resources() {
        let words = "update --memory 50M --memory-swap -1 --cpu-quota -1 --pids-limit 0 --cpuset-cpus 0-1 c1";
        let Command::Update(update) = command(words) else { panic!("not update") };
        let UpdateSource::Flags(resources) = update.source else { panic!("not flags") };
        let json = serde_json::to_string(&resources).expect("json");
        assert_eq!(
            json,
            r#"{"memory":{"limit":52428800,"swap":-1},"cpu":{"quota":-1,"cpus":"0-1"},"pids":{"limit":0}}"#
        );
        assert_eq!(
            error("update --cpu-share x c1"),
            "update: --cpu-share: \"x\" is not a number in its range"
        );
        assert!(error("update --l3-cache-schema L3:0=f c1").contains("Intel RDT is not enabled"));
    }

    #[test]
    fn interval_of_events() {
        let Command::Events(events) = command("events --interval 100ms c1") else { panic!("not events") };
        assert_eq!(events.interval, Duration::from_millis(100));
        assert!(error("events --interval 0s c1").ends_with("duration interval must be greater than 0"));
    }

    #[test]
    fn global_flags() {
        assert_eq!(global("--debug").log.level, LogLevel::Debug);
        assert_eq!(global("--log-level error").log.level, LogLevel::Error);
        assert_eq!(global("--cgroup-manager disabled").cgroup_manager, CgroupManager::Disabled);
        assert_eq!(global("--rootless=true").rootless, Rootless::Yes);
        assert_eq!(global("--criu /usr/sbin/criu").root, RootPath::Default);
        assert_eq!(global("--trace t.json").trace, Some("t.json".into()));
        assert_eq!(error("--systemd-cgroup list"), "--systemd-cgroup: not supported yet");
        assert_eq!(error("--cgroup-manager systemd list"), "--systemd-cgroup: not supported yet");
        assert_eq!(error("--root / list"), "--root must not be /");
        assert!(error("--log-format xml list").starts_with("--log-format: "));
    }

    #[test]
    fn faults_are_one_clear_line() {
        assert_eq!(error("state"), "state: ID is missing");
        assert_eq!(error("state a b"), "state: unexpected argument \"b\"");
        assert_eq!(error("list x"), "list: unexpected argument \"x\"");
        assert_eq!(error("state --nope c1"), "state: unknown flag: --nope");
        assert_eq!(error("--nope state c1"), "unknown flag: --nope");
        assert_eq!(error("create c1 --bundle"), "create: flag needs an argument: --bundle");
        assert_eq!(
            error("delete --force=maybe c1"),
            "delete: --force is either true or false, not \"maybe\""
        );
        assert_eq!(error("exec c1"), "exec: COMMAND is missing, and so is --process FILE");
        assert_eq!(error("kill a b c"), "kill: unexpected argument \"c\"");
        assert!(error("foo -h").contains("No help topic for 'foo'"));
        assert_eq!(error("checkpoint --image-path x c1"), "checkpoint: not supported yet");
        assert!(error("state a/b").starts_with("state: invalid container ID format: "));
    }

    #[test]
    fn help_is_there_for_every_command() {
        for name in names() {
            for words in [format!("{name} --help"), format!("{name} -h"), format!("help {name}")] {
                let text = printed(&words);
                assert!(text.starts_with(&format!("NAME:\n   corten {name} - ")), "{text}");
            }
            assert!(printed("help").contains(&format!("\n  {name} ")), "{name}");
        }
        for words in ["", "-h", "--help", "help", "--root /x"] {
            let text = printed(words);
            assert!(text.starts_with("NAME:\n   corten - Open Container Initiative runtime"), "{words}");
        }
    }

    #[test]
    fn every_command_has_a_meaning() {
        let args = |name| match name {
            "list" | "features" | "spec" | "plan" => "",
            "exec" => "c1 true",
            _ => "c1",
        };
        for name in names().filter(|name| !["checkpoint", "restore"].contains(name)) {
            command(&format!("{name} {}", args(name)));
        }
    }

    #[test]
    fn version_has_what_engines_look_for() {
        for words in ["--version", "-v"] {
            let text = printed(words);
            let lines: Vec<&str> = text.lines().collect();
            assert!(lines[0].starts_with("corten version 0."), "{text}");
            assert!(lines[1].starts_with("commit: "), "{text}");
            assert_eq!(lines[2], "spec: 1.3.0");
        }
    }

    #[test]
    fn tables_hold_what_clap_asks_of_them() {
        all_commands().debug_assert();
    }
}

//! argv → what is meant.
//!
//! Two steps, as in ripgrep: `LowArgs` is what was typed, each flag in one spelling, checked against a table of flags;
//! [`Global`] and [`Command`] are what it means, as values that can't be wrong. The global flags are read first, so
//! that an error in the rest reaches the log file that they name.
//!
//! `commands!` below lists the commands. The file of a command has all else of the command: the table of its flags, the
//! values that they become, and the way from flags to values. A caller of a container runtime writes flags as Go
//! programs take them: see [`go`] and `low.rs`.

mod container;
mod create;
mod delete;
mod events;
mod exec;
mod global;
pub mod go;
mod help;
mod kill;
mod list;
mod low;
mod manual;
mod not_yet;
mod spec;
mod table;
mod update;

use std::ffi::{OsStr, OsString};

pub use container::{IdArgs, Which};
pub use create::{CreateArgs, RunArgs};
pub use delete::DeleteArgs;
pub use events::EventsArgs;
pub use exec::{ExecArgs, ExecCgroup, ExecProcess, ProcessArgs};
pub use global::{CgroupManager, Global, RootPath, Rootless};
pub use kill::KillArgs;
pub use list::{ListArgs, ListFormat, PsArgs};
use low::{Flags, LowArgs, Typed};
pub use manual::all_commands;
pub use not_yet::NotYet;
pub use spec::{NoArgs, PlanArgs, SpecArgs};
pub use update::{UpdateArgs, UpdateSource};

use crate::error::{Error, Result};
use crate::report::LogTarget;
pub use crate::report::NAME;
pub use crate::spec::SPEC_VERSION;
use crate::state::ContainerId;

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a command was given, as values that can't be wrong.
trait Args: Sized {
    /// Reads what was typed.
    fn read(low: &mut LowArgs) -> Result<Self>;

    /// The container that a message about the command names.
    fn container(&self) -> Option<&ContainerId> {
        None
    }
}

impl<T: Args> Args for Box<T> {
    fn read(low: &mut LowArgs) -> Result<Self> {
        T::read(low).map(Box::new)
    }

    fn container(&self) -> Option<&ContainerId> {
        T::container(self)
    }
}

/// Makes [`CommandName`] and [`Command`] from one row for each command: its word, whether a process of the command
/// enters a container, where its flags stand, the table of its flags, the values that the flags become.
macro_rules! commands {
    ($($name:ident = $word:literal, $side:ident, $flags:ident, $table:path, $args:ty;)*) => {
        /// The name of a command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CommandName {
            $($name,)*
        }

        /// A command with what it was given.
        #[derive(Debug)]
        pub enum Command {
            $($name($args),)*
        }

        impl CommandName {
            /// All commands, in the order of the help.
            pub const ALL: &[CommandName] = &[$(CommandName::$name,)*];

            /// The word that is typed.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(CommandName::$name => $word,)*
                }
            }

            fn of_text(word: &str) -> Option<CommandName> {
                match word {
                    $($word => Some(CommandName::$name),)*
                    _ => None,
                }
            }

            fn side(self) -> Side {
                match self {
                    $(CommandName::$name => Side::$side,)*
                }
            }

            fn flags(self) -> Flags {
                match self {
                    $(CommandName::$name => Flags::$flags,)*
                }
            }

            /// Only the wanted table takes room on the stack: the call goes by a pointer, so none is inlined here.
            fn own_table(self, empty: clap::Command) -> clap::Command {
                let table: fn(clap::Command) -> clap::Command = match self {
                    $(CommandName::$name => $table,)*
                };
                table(empty)
            }

            fn read(self, low: &mut LowArgs) -> Result<Command> {
                match self {
                    $(CommandName::$name => <$args>::read(low).map(Command::$name),)*
                }
            }
        }

        impl Command {
            /// The command's name.
            pub fn name(&self) -> CommandName {
                match self {
                    $(Command::$name(_) => CommandName::$name,)*
                }
            }

            fn container(&self) -> Option<&ContainerId> {
                match self {
                    $(Command::$name(args) => args.container(),)*
                }
            }
        }
    };
}

commands! {
    Checkpoint = "checkpoint", Outside, Unread, not_yet::checkpoint, NotYet;
    Create = "create", Entering, Anywhere, create::create, CreateArgs;
    Delete = "delete", Outside, Anywhere, delete::table, DeleteArgs;
    Events = "events", Outside, Anywhere, events::table, EventsArgs;
    Exec = "exec", Entering, First, exec::table, Box<ExecArgs>;
    Features = "features", Outside, Anywhere, spec::features, NoArgs;
    Kill = "kill", Outside, Anywhere, kill::table, KillArgs;
    List = "list", Outside, Anywhere, list::list, ListArgs;
    Pause = "pause", Outside, Anywhere, container::pause, IdArgs;
    Plan = "plan", Outside, Anywhere, spec::plan, PlanArgs;
    Ps = "ps", Outside, First, list::ps, PsArgs;
    Restore = "restore", Outside, Unread, not_yet::restore, NotYet;
    Resume = "resume", Outside, Anywhere, container::resume, IdArgs;
    Run = "run", Entering, Anywhere, create::run, RunArgs;
    Spec = "spec", Outside, Anywhere, spec::spec, SpecArgs;
    Start = "start", Outside, Anywhere, container::start, IdArgs;
    State = "state", Outside, Anywhere, container::state, IdArgs;
    Update = "update", Outside, Anywhere, update::table, Box<UpdateArgs>;
}

/// Whether a process of the command enters a container.
#[derive(PartialEq, Eq)]
enum Side {
    /// A process enters a container.
    Entering,
    /// All processes stay outside.
    Outside,
}

impl CommandName {
    /// The command that `word` names.
    pub fn of(word: &OsStr) -> Option<CommandName> {
        word.to_str().and_then(CommandName::of_text)
    }

    /// Whether a process of the command goes into a container.
    pub fn enters_a_container(self) -> bool {
        self.side() == Side::Entering
    }

    fn table(self) -> clap::Command {
        let empty = table::named(self.as_str(), format!("{NAME} {}", self.as_str()));
        self.own_table(empty).arg(table::help())
    }
}

impl Command {
    /// The command and its container, as a message says them: `create web1`.
    pub fn doing(&self) -> String {
        let name = self.name().as_str();
        self.container().map_or_else(|| name.into(), |id| format!("{name} {id}"))
    }
}

/// A command line whose global flags have been read.
pub struct CommandLine {
    /// The global flags.
    pub global: Global,
    print: Option<String>,
    command: Vec<OsString>,
}

/// What a command line means.
pub enum Meaning {
    /// A text to be printed: the help or the version.
    Print(String),
    /// A command to be carried out.
    Run(Command),
}

impl CommandLine {
    /// Reads the global flags of `argv`, which begins with the program's name.
    pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<CommandLine> {
        let words = argv.into_iter().skip(1);
        let mut table = global::table().arg(table::words("command", "COMMAND"));
        let mut low = match LowArgs::read(&mut table, Flags::First, words)? {
            Typed::Args(low) => low,
            Typed::Help => return Ok(CommandLine::to_print(help::of_program())),
        };
        if low.flag("version") {
            return Ok(CommandLine::to_print(help::version()));
        }
        let command = low.take_all("command");
        let print = command.is_empty().then(help::of_program);
        Ok(CommandLine { global: Global::read(&mut low)?, print, command })
    }

    /// The log that `argv` names, where [`parse`](Self::parse) refuses it.
    pub fn log_of_refused(argv: impl IntoIterator<Item = OsString>) -> LogTarget {
        global::log_of_refused(argv.into_iter().skip(1))
    }

    fn to_print(text: String) -> CommandLine {
        CommandLine { global: Global::default(), print: Some(text), command: Vec::new() }
    }

    /// The command's name, if the command line has a command that is known.
    pub fn command_name(&self) -> Option<CommandName> {
        self.command.first().and_then(|word| CommandName::of(word))
    }

    /// Reads the command and its flags.
    pub fn meaning(&mut self) -> Result<Meaning> {
        if let Some(text) = self.print.take() {
            return Ok(Meaning::Print(text));
        }
        let mut words = std::mem::take(&mut self.command).into_iter();
        let word = words.next().unwrap_or_default();
        if is_help(&word) {
            return help(words.find(|word| word != "--")).map(Meaning::Print);
        }
        let name = find(&word)?;
        let meaning = read(name, words).map_err(|err| {
            let name = name.as_str();
            err.context(name).with_hint(format!("`{NAME} {name} --help` lists its flags"))
        })?;
        Ok(meaning)
    }
}

fn read(name: CommandName, words: impl Iterator<Item = OsString>) -> Result<Meaning> {
    let mut table = name.table();
    match LowArgs::read(&mut table, name.flags(), words)? {
        Typed::Help => Ok(Meaning::Print(help::of(table))),
        Typed::Args(mut low) => name.read(&mut low).map(Meaning::Run),
    }
}

fn is_help(word: &OsStr) -> bool {
    word == "help" || word == "h"
}

fn help(topic: Option<OsString>) -> Result<String> {
    match topic {
        None => Ok(help::of_program()),
        Some(word) if is_help(&word) || word == "--help" || word == "-h" => Ok(help::of_program()),
        Some(word) => find(&word).map(|name| help::of(name.table())),
    }
}

fn find(word: &OsStr) -> Result<CommandName> {
    CommandName::of(word).ok_or_else(|| {
        let word = word.to_string_lossy();
        // Go's command line libraries say it like this, and test suites look for it.
        Error::invalid(format!("{word}: no such command: No help topic for '{word}'"))
            .with_hint(format!("`{NAME} help` lists the commands"))
    })
}

#[cfg(test)]
mod testing {
    //! What the tests of the commands share.

    use super::*;

    pub(super) fn line(words: &str) -> Result<CommandLine> {
        CommandLine::parse([NAME.into()].into_iter().chain(words.split_whitespace().map(OsString::from)))
    }

    pub(super) fn global(words: &str) -> Global {
        line(&format!("{words} list")).expect(words).global
    }

    pub(super) fn command(words: &str) -> Command {
        match line(words).and_then(|mut line| line.meaning()).expect(words) {
            Meaning::Run(command) => command,
            Meaning::Print(text) => panic!("{words}: {text}"),
        }
    }

    pub(super) fn printed(words: &str) -> String {
        match line(words).and_then(|mut line| line.meaning()).expect(words) {
            Meaning::Run(command) => panic!("{words}: {command:?}"),
            Meaning::Print(text) => text,
        }
    }

    pub(super) fn error(words: &str) -> String {
        line(words).and_then(|mut line| line.meaning()).err().map(|err| err.to_string()).expect(words)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{command, error, global, line};
    use super::*;
    use crate::report::{LogFormat, LogLevel};

    #[test]
    fn global_flags_and_command_of_containerd() {
        let words =
            "--root /run/containerd/runc/moby --log /b/log.json --log-format json create --bundle /b c1";
        let line = line(words).expect(words);
        assert_eq!(line.command_name(), Some(CommandName::Create));
        assert_eq!(line.global.root, RootPath::Given("/run/containerd/runc/moby".into()));
        let log =
            LogTarget { file: Some("/b/log.json".into()), format: LogFormat::Json, level: LogLevel::Warning };
        assert_eq!(line.global.log, log);
        assert_eq!(command(words).doing(), "create c1");
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
        assert!(error("foo -h").contains("No help topic for 'foo'"));
        assert!(error("state a/b").starts_with("state: invalid container ID format: "));
    }

    #[test]
    fn messages_name_the_command_and_its_container() {
        for (words, doing) in [
            ("run c1", "run c1"),
            ("exec c1 true", "exec c1"),
            ("kill c1", "kill c1"),
            ("delete --regex c", "delete"),
            ("plan", "plan"),
            ("features", "features"),
        ] {
            assert_eq!(command(words).doing(), doing);
        }
    }
}

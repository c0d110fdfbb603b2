//! Reads a command line by its tree: flags take a boolean as Go's do, and what is wrong is told in docker's words.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::error::{shown, tell_lines};

/// Why a command line is not carried out.
#[derive(Debug)]
pub enum Unread {
    /// Help or the version is what was asked for, or what is shown for want of a command.
    Help(Box<clap::Error>),
    /// What is wrong with a flag, and the command that it was for.
    Flag(String, Vec<String>),
    /// What is wrong with the words beside the flags, and the command that they were for.
    Words(String, Vec<String>),
}

impl Unread {
    /// Tells the user.
    pub fn tell(&self) {
        match self {
            Unread::Help(help) => drop(help.print()),
            Unread::Flag(line, command) | Unread::Words(line, command) => {
                tell_lines(format_args!("{}\nSee '{} --help'.", shown(line), command.join(" ")));
            }
        }
    }

    /// Whether it is the words that are wrong, of a command that makes no container.
    pub fn is_of_words(&self) -> bool {
        let makes = |command: &[String]| {
            let command: Vec<&str> = command.iter().skip(1).map(String::as_str).collect();
            makes_a_container(&command)
        };
        matches!(self, Unread::Words(_, command) if !makes(command))
    }

    /// Whether the user has got what was asked for.
    pub fn is_asked(&self) -> bool {
        matches!(self, Unread::Help(help) if !help.use_stderr())
    }
}

/// Whether docker's command makes a container: whatever keeps it from that has an exit code of its own.
pub fn makes_a_container(command: &[&str]) -> bool {
    matches!(command, ["run" | "create"] | ["container", "run" | "create"])
}

/// What was typed, by a tree of commands. `words` begin with the program's name.
///
/// Errors: help that is to be printed, and what is wrong.
pub fn read(tree: Command, words: &[OsString]) -> Result<ArgMatches, Unread> {
    let wrong = match with_booleans(tree.clone()).try_get_matches_from(words) {
        Ok(matches) => return Ok(matches),
        Err(wrong) => wrong,
    };
    match wrong.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // The plain tree's help shows flags without their booleans.
            let plain = tree.try_get_matches_from(words).err().filter(|plain| plain.kind() == wrong.kind());
            Err(Unread::Help(Box::new(plain.unwrap_or(wrong))))
        }
        _ => Err(told(&wrong, tree, words)),
    }
}

/// The tree with a boolean allowed at each flag: `--rm=false`.
fn with_booleans(tree: Command) -> Command {
    tree.mut_args(|arg| if matches!(arg.get_action(), ArgAction::SetTrue) { with_boolean(arg) } else { arg })
        .mut_subcommands(with_booleans)
}

fn with_boolean(flag: Arg) -> Arg {
    let id = flag.get_id().clone();
    let usual = flag.get_default_values().first().cloned().unwrap_or_else(|| "false".into());
    flag.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .default_value(usual)
        .hide_default_value(true)
        .value_parser(boolean)
        .overrides_with(id)
}

/// A boolean as Go reads it.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn told(wrong: &clap::Error, tree: Command, words: &[OsString]) -> Unread {
    let root = tree.clone();
    let (command, mut at) = meant(tree, words);
    let context = |kind| match wrong.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let about = context(ContextKind::InvalidArg);
    // `--name <NAME>` is how a flag with a value is called.
    let flag = about.split([' ', '=', '[']).next().unwrap_or_default();
    let value = context(ContextKind::InvalidValue);
    let has = |command: &Command| {
        command
            .get_arguments()
            .any(|arg| arg.get_long().is_some() && arg.get_long() == flag.strip_prefix("--"))
    };
    // A flag of all commands is in the help of none of them.
    if !has(&command) && has(&root) {
        at.truncate(1);
    }
    let count = || Unread::Words(counts(&command, &at.join(" ")), at.clone());
    match wrong.kind() {
        ErrorKind::UnknownArgument if about.starts_with("--") => {
            Unread::Flag(format!("unknown flag: {flag}"), at)
        }
        ErrorKind::UnknownArgument if about.len() > 1 && about.starts_with('-') => {
            let letter = about.chars().nth(1).unwrap_or_default();
            Unread::Flag(format!("unknown shorthand flag: '{letter}' in {}", cluster(letter, words)), at)
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            Unread::Flag(format!("flag needs an argument: {flag}"), at)
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation | ErrorKind::TooManyValues => {
            let why = match (wrong.source(), context(ContextKind::ValidValue)) {
                (Some(why), _) => why.to_string(),
                (None, valid) if valid.is_empty() => "it takes none".to_owned(),
                (None, valid) => format!("must be one of {}", valid.replace(' ', ", ")),
            };
            Unread::Flag(format!("invalid argument \"{value}\" for \"{flag}\" flag: {why}"), at)
        }
        ErrorKind::InvalidSubcommand => {
            let unknown = context(ContextKind::InvalidSubcommand);
            Unread::Words(format!("unknown command: {} {unknown}", at.join(" ")), at)
        }
        ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument => count(),
        _ => {
            let whole = wrong.to_string();
            let line = whole.lines().next().unwrap_or_default();
            Unread::Words(line.trim_start_matches("error: ").to_owned(), at)
        }
    }
}

/// The command that is meant, and what it is called with those above it.
fn meant(tree: Command, words: &[OsString]) -> (Command, Vec<String>) {
    let mut command = with_booleans(tree);
    let mut at = vec![command.get_name().to_owned()];
    let Ok(matches) = command.clone().ignore_errors(true).try_get_matches_from(words) else {
        return (command, at);
    };
    let mut matches = &matches;
    while let Some((name, of)) = matches.subcommand() {
        let Some(next) = command.find_subcommand(name).cloned() else { break };
        at.push(name.to_owned());
        (command, matches) = (next, of);
    }
    (command, at)
}

/// The word with the letter of a flag that isn't known.
fn cluster(letter: char, words: &[OsString]) -> String {
    let mut words = words.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    let found = words.find(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter));
    found.unwrap_or_else(|| format!("-{letter}"))
}

/// How many words a command takes beside its flags.
fn counts(command: &Command, name: &str) -> String {
    let positionals: Vec<&Arg> = command.get_positionals().collect();
    let range = |arg: &&Arg| arg.get_num_args().unwrap_or_else(|| 1.into());
    let required = positionals.iter().filter(|arg| arg.is_required_set());
    let least: usize = required.map(|arg| range(arg).min_values().max(1)).sum();
    let most = positionals.iter().fold(0_usize, |sum, arg| sum.saturating_add(range(arg).max_values()));
    let words =
        |count: usize| if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") };
    match (least, most) {
        (_, 0) => format!("\"{name}\" accepts no arguments"),
        (least, most) if least == most => format!("\"{name}\" requires {}", words(least)),
        (0, most) => format!("\"{name}\" requires at most {}", words(most)),
        (least, usize::MAX) => format!("\"{name}\" requires at least {}", words(least)),
        (least, most) => format!("\"{name}\" requires at least {least} and at most {}", words(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{compose, docker};

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    /// What is said of a line that is wrong.
    fn said(line: &str) -> String {
        let tree = if line.starts_with("cortenctl") { docker::tree() } else { compose::command() };
        match read(tree, &words(line)) {
            Err(Unread::Flag(line, _) | Unread::Words(line, _)) => line,
            read => format!("{read:?}"),
        }
    }

    #[test]
    fn flags_take_booleans_as_go_does() {
        for (typed, is_set) in [
            ("--rm", true),
            ("--rm=true", true),
            ("--rm=1", true),
            ("--rm=T", true),
            ("--rm=false", false),
            ("--rm=0", false),
            ("--rm=False", false),
            ("--rm --rm=f", false),
            ("--rm=false --rm", true),
            ("--tty=false", false),
        ] {
            let read = read(docker::tree(), &words(&format!("cortenctl run {typed} -it box --rm=x")));
            let matches = read.expect(typed);
            let (_, run) = matches.subcommand().expect("a command");
            assert_eq!(run.get_flag("rm"), is_set, "{typed}");
            assert!(run.get_flag("interactive") && run.get_flag("tty") && !run.get_flag("init"), "{typed}");
            assert!(run.get_flag("sig-proxy"));
        }
        let matches = read(compose::command(), &words("corten-compose up -d=false --wait=true --no-deps"));
        let matches = matches.expect("a line");
        let (_, up) = matches.subcommand().expect("a command");
        assert!(!up.get_flag("detach") && up.get_flag("wait") && up.get_flag("no-deps"));
    }

    #[test]
    fn what_is_wrong_is_one_line_in_dockers_words() {
        for (line, expected) in [
            ("cortenctl run --what=1 box", "unknown flag: --what"),
            ("cortenctl run -it1 box", "unknown shorthand flag: '1' in -it1"),
            ("cortenctl run -1 box", "unknown shorthand flag: '1' in -1"),
            ("cortenctl run --rm=x box", "invalid argument \"x\" for \"--rm\" flag: must be true or false"),
            ("cortenctl run --name", "flag needs an argument: --name"),
            ("cortenctl run", "\"cortenctl run\" requires at least 1 argument"),
            ("cortenctl tag a", "\"cortenctl tag\" requires 2 arguments"),
            ("cortenctl tag a b c", "\"cortenctl tag\" requires 2 arguments"),
            ("cortenctl volume ls a", "\"cortenctl volume ls\" accepts no arguments"),
            ("cortenctl nothing", "unknown command: cortenctl nothing"),
            ("cortenctl volume nothing", "unknown command: cortenctl volume nothing"),
            ("corten-compose up --what", "unknown flag: --what"),
            ("corten-compose ps -x", "unknown shorthand flag: 'x' in -x"),
            (
                "corten-compose config --format x",
                "invalid argument \"x\" for \"--format\" flag: must be one of yaml, json",
            ),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
    }
}

//! What was typed, in one spelling.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches};

use super::go::parse_bool;
use crate::error::{Error, Result};

/// Where the flags of a command stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flags {
    /// Before, between and after the positionals.
    Anywhere,
    /// Before the first positional. From there on, a word that looks like a flag is the user's.
    First,
    /// Nowhere: the command is known by name only, and what else was typed is not read.
    Unread,
}

/// What was typed: flags and positionals that the table of the command knows, none of them understood yet.
///
/// Go's style is brought to clap's first: `-x` and `--x` are one flag, whatever its length; `--x=v` and `--x v` are one
/// value; `--x=false` is a flag not given. Clap can't do that, nor stop at the first positional. What is left to it is
/// to count positionals, to write the help, and to make man pages and completions of the same tables when the program
/// is installed.
pub(super) struct LowArgs(ArgMatches);

/// What a command line is read as.
pub(super) enum Typed {
    /// `--help`, whatever else there is.
    Help,
    /// Anything else.
    Args(LowArgs),
}

impl LowArgs {
    /// Reads `words`, whose flags stand where `flags` says.
    pub(super) fn read(
        table: &mut clap::Command,
        flags: Flags,
        mut words: impl Iterator<Item = OsString>,
    ) -> Result<Typed> {
        if flags == Flags::Unread {
            let asks_for_help = words.any(|word| word == "--help" || word == "-h");
            return Ok(if asks_for_help { Typed::Help } else { Typed::Args(LowArgs(ArgMatches::default())) });
        }
        let canonical = Canonical::of(table, flags, words)?;
        if canonical.flags.iter().any(|flag| flag == "--help") {
            return Ok(Typed::Help);
        }
        let words = canonical.flags.into_iter().chain([OsString::from("--")]).chain(canonical.positionals);
        match table.try_get_matches_from_mut(words) {
            Ok(matches) => Ok(Typed::Args(LowArgs(matches))),
            Err(err) => Err(one_line(&err)),
        }
    }

    /// Whether a flag without a value was given.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get_flag(name)
    }

    /// Takes the value of a flag or a positional.
    pub(super) fn take(&mut self, name: &str) -> Option<OsString> {
        self.0.remove_one(name)
    }

    /// Takes all values of a flag that can be repeated, or of the positionals of one name.
    pub(super) fn take_all(&mut self, name: &str) -> Vec<OsString> {
        self.0.remove_many(name).map(Iterator::collect).unwrap_or_default()
    }

    /// Takes a value that has to be text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>> {
        self.take(name).map(|value| utf8(name, value)).transpose()
    }

    /// Takes the values of a flag that can be repeated and has to be text.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        self.take_all(name).into_iter().map(|value| utf8(name, value)).collect()
    }

    /// Takes a value that is a path. An empty value counts as none, as with Go's flags.
    pub(super) fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.take(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Takes a value that `parse` understands. An empty value counts as none.
    pub(super) fn value<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let given = |text: &str| if text.is_empty() { Ok(None) } else { parse(text).map(Some) };
        self.parsed(name, given).map(Option::flatten)
    }

    /// Takes a value that `parse` understands. An empty value is given to `parse` too, as with Go's flags of numbers.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Option<T>> {
        let text = self.text(name)?;
        text.map(|text| parse(&text).map_err(|err| err.context(format!("--{name}")))).transpose()
    }
}

/// The values of the flags before the first positional, as far as they can be made out. A flag that the table doesn't
/// know is passed over.
pub(super) fn values_before_positionals(
    table: &clap::Command,
    mut words: impl Iterator<Item = OsString>,
) -> Vec<(String, OsString)> {
    let mut values = Vec::new();
    while let Some(word) = words.next() {
        let Word::Flag { name, value } = Word::of(&word) else { break };
        let Some(flag) = find(table, name).filter(|flag| flag.get_action().takes_values()) else { continue };
        let value = value.map(OsStr::to_owned).or_else(|| words.next());
        let long = flag.get_long().unwrap_or_default().to_owned();
        values.extend(value.map(|value| (long, value)));
    }
    values
}

/// A number that fits its type.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Result<N> {
    text.parse().map_err(|_| Error::invalid(format!("{text:?} is not a number in its range")))
}

fn utf8(name: &str, value: OsString) -> Result<String> {
    value.into_string().map_err(|value| Error::invalid(format!("{name}: {value:?} is not UTF-8")))
}

/// A command line in which each flag is `--long` or `--long=value`.
#[derive(Debug, Default, PartialEq)]
struct Canonical {
    flags: Vec<OsString>,
    positionals: Vec<OsString>,
}

impl Canonical {
    fn of(
        table: &clap::Command,
        flags: Flags,
        mut words: impl Iterator<Item = OsString>,
    ) -> Result<Canonical> {
        let mut canonical = Canonical::default();
        while let Some(word) = words.next() {
            match Word::of(&word) {
                Word::End => canonical.positionals.extend(words.by_ref()),
                Word::Positional => {
                    canonical.positionals.push(word);
                    if flags == Flags::First {
                        canonical.positionals.extend(words.by_ref());
                    }
                }
                Word::Flag { name, value } => {
                    let flag = find(table, name)
                        .ok_or_else(|| Error::invalid(format!("unknown flag: {}", word.to_string_lossy())))?;
                    canonical.push_flag(flag, value.map(OsStr::to_owned), &mut words)?;
                }
            }
        }
        Ok(canonical)
    }

    fn push_flag(
        &mut self,
        flag: &Arg,
        value: Option<OsString>,
        words: &mut impl Iterator<Item = OsString>,
    ) -> Result<()> {
        let long = flag.get_long().unwrap_or_default();
        let spelled = OsString::from(format!("--{long}"));
        if flag.get_action().takes_values() {
            let value = value.or_else(|| words.next());
            let value = value.ok_or_else(|| Error::invalid(format!("flag needs an argument: --{long}")))?;
            self.flags.push([spelled.as_os_str(), OsStr::new("="), &value].into_iter().collect());
            return Ok(());
        }
        // If the flag is given several times, the last counts.
        self.flags.retain(|given| *given != spelled);
        match value.as_deref().map(|value| value.to_str().and_then(parse_bool)) {
            None | Some(Some(true)) => self.flags.push(spelled),
            Some(Some(false)) => {}
            Some(None) => {
                return Err(Error::invalid(format!(
                    "--{long} is either true or false, not {:?}",
                    value.unwrap_or_default()
                )));
            }
        }
        Ok(())
    }
}

/// What one word of a command line is.
enum Word<'a> {
    /// `--`
    End,
    Positional,
    Flag {
        name: &'a [u8],
        value: Option<&'a OsStr>,
    },
}

impl Word<'_> {
    fn of(word: &OsStr) -> Word<'_> {
        let bytes = word.as_bytes();
        let Some(name) = bytes.strip_prefix(b"-").filter(|name| !name.is_empty()) else {
            return Word::Positional;
        };
        let name = name.strip_prefix(b"-").unwrap_or(name);
        if name.is_empty() {
            return Word::End;
        }
        match name.iter().position(|byte| *byte == b'=') {
            Some(at) => Word::Flag { name: &name[..at], value: Some(OsStr::from_bytes(&name[at + 1..])) },
            None => Word::Flag { name, value: None },
        }
    }
}

fn find<'a>(table: &'a clap::Command, name: &[u8]) -> Option<&'a Arg> {
    let name = std::str::from_utf8(name).ok()?;
    let short = name.chars().next().filter(|first| first.len_utf8() == name.len());
    table
        .get_arguments()
        .find(|arg| arg.get_long() == Some(name) || short.is_some() && arg.get_short() == short)
}

/// Clap's error in our words. Clap can only find fault with the number of positionals.
fn one_line(err: &clap::Error) -> Error {
    let about = |kind| match err.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    match err.kind() {
        ErrorKind::MissingRequiredArgument => {
            let name = about(ContextKind::InvalidArg);
            Error::invalid(format!("{} is missing", name.trim_matches(['<', '>'])))
        }
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => {
            Error::invalid(format!("unexpected argument {:?}", about(ContextKind::InvalidArg)))
        }
        ErrorKind::ArgumentConflict => {
            Error::invalid(format!("{} may be given once", about(ContextKind::InvalidArg)))
        }
        kind => Error::invalid(kind.to_string()),
    }
}

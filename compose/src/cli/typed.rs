//! Arguments of clap's, and what was typed for them.

use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches};

use crate::error::{Error, Kind, Result};
use crate::model::values::Restart;

/// A flag without a value.
pub fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// A flag without a value that is set unless somebody says `--NAME=false`.
pub fn flag_that_is_set(name: &'static str, help: &'static str) -> Arg {
    flag(name, help).default_value("true")
}

/// A flag with a value. The last one counts.
pub fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).action(ArgAction::Set).overrides_with(name).help(help)
}

/// A flag with a value, that can be repeated.
pub fn values(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).action(ArgAction::Append).help(help)
}

/// One or more positionals.
pub fn operands(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).value_name(name).required(true).num_args(1..).help(help)
}

/// A positional and all that follows it, flags too: those are the container's.
pub fn command_line(name: &'static str, help: &'static str) -> Arg {
    operands(name, help).trailing_var_arg(true)
}

/// What was typed.
pub struct Typed<'a>(pub &'a ArgMatches);

impl Typed<'_> {
    pub fn flag(&self, name: &str) -> bool {
        self.0.get_flag(name)
    }

    pub fn text(&self, name: &str) -> Option<String> {
        self.0.get_one::<String>(name).cloned()
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        self.0.get_many::<String>(name).map(|values| values.cloned().collect()).unwrap_or_default()
    }

    /// A value that is more than text.
    ///
    /// Errors: `invalid argument "x" for "--name"`, and why.
    pub fn read<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>> {
        self.text(name).map(|text| self.read_text(name, &text)).transpose()
    }

    pub fn read_text<T: FromStr<Err: std::fmt::Display>>(&self, name: &str, text: &str) -> Result<T> {
        text.parse().map_err(|why| {
            Error::of_kind(Kind::Usage, format!("invalid argument \"{text}\" for \"--{name}\": {why}"))
        })
    }

    /// `--restart POLICY`.
    ///
    /// Errors: what is no policy, in Docker's words.
    pub fn restart(&self) -> Result<Option<Restart>> {
        let policy = |text: String| {
            text.parse().map_err(|_| {
                Error::new(format!(
                    "invalid restart policy: unknown policy '{text}'; use one of 'no', 'always', 'on-failure', or \
                     'unless-stopped'"
                ))
            })
        };
        self.text("restart").map(policy).transpose()
    }

    /// `--filter KEY=VALUE`, as Docker reads them.
    ///
    /// Errors: one without `=`.
    pub fn filters(&self) -> Result<Vec<(String, String)>> {
        let filter = |typed: &String| match typed.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_lowercase(), value.trim().to_owned())),
            None => Err(Error::of_kind(
                Kind::Usage,
                format!("invalid argument \"{typed}\" for \"-f, --filter\" flag: must be KEY=VALUE"),
            )),
        };
        self.texts("filter").iter().filter(|typed| !typed.is_empty()).map(filter).collect()
    }

    /// `KEY=VALUE` each; without `=`, the value is empty.
    pub fn pairs(&self, name: &str) -> impl Iterator<Item = (String, String)> {
        self.texts(name).into_iter().map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (pair, String::new()),
        })
    }
}

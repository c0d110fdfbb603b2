//! Arguments of clap's, and what was typed for them.

use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches};

use crate::error::{Error, Result};

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
        text.parse().map_err(|why| Error::new(format!("invalid argument \"{text}\" for \"--{name}\": {why}")))
    }

    /// `KEY=VALUE` each; without `=`, the value is empty.
    pub fn pairs(&self, name: &str) -> impl Iterator<Item = (String, String)> {
        self.texts(name).into_iter().map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.to_owned()),
            None => (pair, String::new()),
        })
    }
}

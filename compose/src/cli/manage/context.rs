//! `context …`: the one that there is.

use clap::Command;

use super::{List, group, inspect_command};
use crate::cli::docker;
use crate::cli::typed::{Typed, command_line, flag, operands};

/// What is asked of contexts.
#[derive(Clone, Debug)]
pub enum Context {
    List(List),
    Show,
    Use {
        name: String,
    },
    Inspect {
        names: Vec<String>,
        format: Option<String>,
    },
    /// What would make, change or move one.
    Other {
        verb: String,
    },
}

/// Docker's verbs that need more than one context.
const OTHERS: [&str; 5] = ["create", "export", "import", "rm", "update"];

pub fn tree() -> Command {
    let other = |verb| {
        Command::new(verb)
            .hide(true)
            .arg(command_line("ARG", "Not done").required(false).num_args(0..).allow_hyphen_values(true))
    };
    group("context", "Show where commands go: to this host's containerd")
        .subcommands([
            Command::new("ls")
                .about("List contexts")
                .visible_alias("list")
                .arg(flag("quiet", "Only the names").short('q'))
                .arg(docker::format()),
            Command::new("show").about("Print the name of the context"),
            Command::new("use").about("Choose a context").arg(operands("CONTEXT", "The name").num_args(1)),
            inspect_command("Show all about contexts", "CONTEXT")
                .mut_arg("CONTEXT", |names| names.required(false).num_args(0..)),
        ])
        .subcommands(OTHERS.map(other))
}

pub fn asked(verb: &str, typed: &Typed) -> Context {
    match verb {
        "ls" => Context::List(List {
            quiet: typed.flag("quiet"),
            format: typed.text("format"),
            ..List::default()
        }),
        "show" => Context::Show,
        "use" => Context::Use { name: typed.text("CONTEXT").unwrap_or_default() },
        "inspect" => Context::Inspect { names: typed.texts("CONTEXT"), format: typed.text("format") },
        other => Context::Other { verb: other.to_owned() },
    }
}

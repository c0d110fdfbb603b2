//! The whole program as one table, from which `make install` makes man pages and completions: see `examples/manual.rs`.

use clap::{Arg, Command, ValueHint};

use super::{CommandName, NAME, VERSION, global};

/// The program with all its commands, for man pages and completions.
pub fn all_commands() -> Command {
    let program = global::table().version(VERSION).mut_args(hinted);
    program.subcommands(CommandName::ALL.iter().map(|name| {
        // The name of the command's man page.
        let page = format!("{NAME}-{}", name.as_str());
        name.table().display_name(page).mut_args(hinted)
    }))
}

/// Says what a shell offers for a flag's value. A table that parses a command line has no hints: each hint costs clap
/// an allocation.
fn hinted(arg: Arg) -> Arg {
    let placeholder = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
    let hint = match placeholder {
        Some("DIR" | "BUNDLE") => ValueHint::DirPath,
        Some("FILE" | "PATH") => ValueHint::FilePath,
        _ => return arg,
    };
    arg.value_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_hold_what_clap_asks_of_them() {
        all_commands().debug_assert();
    }

    #[test]
    fn paths_are_completed() {
        let program = all_commands();
        let create = program.find_subcommand("create").expect("create");
        let hint = |name: &str| {
            create.get_arguments().find(|arg| arg.get_id() == name).map(|arg| arg.get_value_hint())
        };
        assert_eq!(hint("bundle"), Some(ValueHint::DirPath));
        assert_eq!(hint("pid-file"), Some(ValueHint::FilePath));
        assert_eq!(hint("preserve-fds"), Some(ValueHint::Unknown));
    }
}

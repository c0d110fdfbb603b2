//! The texts that `--help` and `--version` print.

use super::{CommandName, NAME, SPEC_VERSION, VERSION, global};

/// The help of one command.
pub(super) fn of(table: clap::Command) -> String {
    let arguments =
        if table.get_positionals().next().is_some() { "ARGUMENTS:\n{positionals}\n\n" } else { "" };
    let text = format!(
        "NAME:\n   {{name}} - {{about}}\n\nUSAGE:\n   {{usage}}\n\n{arguments}OPTIONS:\n{{options}}\n"
    );
    table.help_template(text).render_help().to_string()
}

/// The help of the program.
pub(super) fn of_program() -> String {
    let mut text = of(global::table());
    text.push_str("\nCOMMANDS:\n");
    for name in CommandName::ALL {
        let table = name.table();
        let about = table.get_about().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("  {:<12}{about}\n", name.as_str()));
    }
    text.push_str(&format!("\n`{NAME} help COMMAND` tells more of each.\n"));
    text
}

/// What `--version` prints: engines split on "version" and look for a line with "commit:".
pub(super) fn version() -> String {
    let commit = option_env!("CORTEN_COMMIT").unwrap_or("unknown");
    format!("{NAME} version {VERSION}\ncommit: {commit}\nspec: {SPEC_VERSION}\n")
}

#[cfg(test)]
mod tests {
    use super::super::testing::printed;
    use super::*;

    #[test]
    fn help_is_there_for_every_command() {
        for name in CommandName::ALL.iter().map(|name| name.as_str()) {
            for words in [format!("{name} --help"), format!("{name} -h"), format!("help {name}")] {
                let text = printed(&words);
                assert!(text.starts_with(&format!("NAME:\n   corten {name} - ")), "{text}");
            }
            assert!(printed("help").contains(&format!("\n  {name} ")), "{name}");
        }
        for words in ["", "-h", "--help", "help", "--root /x", "help -h", "help --", "help help"] {
            let text = printed(words);
            assert!(text.starts_with("NAME:\n   corten - Open Container Initiative runtime"), "{words}");
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
}

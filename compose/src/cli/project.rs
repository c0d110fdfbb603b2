//! The flags of all of docker compose's commands.

use clap::Arg;
use clap::builder::PossibleValuesParser;

use super::typed::{flag, value, values};

/// docker compose's flags for colors and its speed. We show lines without colors, each as soon as it is there.
pub fn of_no_effect() -> [Arg; 3] {
    [
        value("ansi", "WHEN", "As always")
            .value_parser(PossibleValuesParser::new(["never", "always", "auto"])),
        value("parallel", "NUMBER", "As always")
            .value_parser(clap::value_parser!(i64))
            .allow_hyphen_values(true),
        flag("verbose", "As always"),
    ]
    .map(|flag| flag.hide(true))
}

/// The flags that say which project is meant.
pub fn flags() -> [Arg; 5] {
    [
        values("file", "FILE", "Read this Compose file; may be given several times; - is standard input")
            .short('f'),
        value("project-name", "NAME", "Call the project so").short('p'),
        values("profile", "NAME", "Switch on the services of this profile; may be given several times"),
        values(
            "env-file",
            "FILE",
            "Take variables from this file in place of .env; may be given several times",
        ),
        value("project-directory", "DIR", "Begin relative paths here; by default, where the first file is"),
    ]
}

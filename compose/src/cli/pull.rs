//! `pull` of a project.

use clap::Command;

use super::typed::{Typed, flag, operands, value};
use crate::apply::image::When;
use crate::error::{Error, Result};

/// `pull`
#[derive(Clone, Debug, Default)]
pub struct Pull {
    pub services: Vec<String>,
    /// Also the images of what the services depend on.
    pub with_dependencies: bool,
    /// Whether an image that can't be pulled is passed over.
    pub ignores_failures: bool,
    pub quiet: bool,
    /// When images are pulled; none: always.
    pub when: Option<When>,
}

/// The command.
pub fn command() -> Command {
    Command::new("pull")
        .about("Pull the services' images")
        .after_help("Example: pull --policy missing web")
        .arg(flag("quiet", "Show no progress").short('q'))
        .arg(flag("ignore-pull-failures", "Go on though an image can't be pulled"))
        // What can be built is not pulled.
        .arg(flag("ignore-buildable", "As always").hide(true))
        .arg(flag("include-deps", "Also the images of what they depend on"))
        .arg(value("policy", "WHEN", "When images are pulled: always, missing [default: always]"))
        .arg(operands("service", "Only these").value_name("SERVICE").required(false).num_args(0..))
}

/// What is meant by it.
///
/// Errors: a policy that isn't known.
pub fn pull_of(typed: &Typed) -> Result<Pull> {
    Ok(Pull {
        services: typed.texts("service"),
        with_dependencies: typed.flag("include-deps"),
        ignores_failures: typed.flag("ignore-pull-failures"),
        quiet: typed.flag("quiet"),
        when: when("policy", typed.text("policy").as_deref())?,
    })
}

/// When images are pulled, by the flag of this name.
///
/// Errors: what is none of `always`, `missing` and, but for `pull` itself, `never`.
pub fn when(flag: &str, typed: Option<&str>) -> Result<Option<When>> {
    match typed {
        None | Some("policy") if flag == "pull" => Ok(None),
        None => Ok(None),
        Some("always") => Ok(Some(When::Always)),
        Some("missing") => Ok(Some(When::Missing)),
        Some("never") if flag == "pull" => Ok(Some(When::Never)),
        Some(other) if flag == "pull" => {
            Err(Error::new(format!("--{flag} {other}: must be always, missing, never or policy")))
        }
        Some(other) => Err(Error::new(format!("--{flag} {other}: must be always or missing"))),
    }
}

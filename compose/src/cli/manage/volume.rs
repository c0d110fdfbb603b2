//! `volume …`

use clap::Command;

use super::{Managed, PruneOf, group, inspect_command, list, list_command, prune, prune_command};
use crate::cli::typed::{Typed, flag, operands, value, values};
use crate::error::{Error, Result};

/// `volume create`
#[derive(Clone, Debug, Default)]
pub struct NewVolume {
    /// None: a name that nobody has.
    pub name: Option<String>,
    pub driver: String,
    pub labels: Vec<(String, String)>,
    pub options: Vec<(String, String)>,
}

pub fn tree() -> Command {
    group("volume", "Manage volumes").subcommands([
        Command::new("create")
            .about("Create a volume")
            .after_help("Example: cortenctl volume create --label of=shop db")
            .arg(value("driver", "DRIVER", "local, as always").short('d'))
            .arg(value("name", "NAME", "The name").hide(true))
            .arg(values("label", "KEY=VALUE", "A label"))
            .arg(values("opt", "KEY=VALUE", "An option of the driver").short('o'))
            .arg(operands("VOLUME", "The name").required(false).num_args(0..=1)),
        list_command("List volumes", "Only the names", "dangling, driver, label, name"),
        inspect_command("Show all about volumes", "VOLUME"),
        Command::new("rm")
            .about("Remove volumes")
            .visible_alias("remove")
            .arg(flag("force", "What isn't there is fine").short('f'))
            .arg(operands("VOLUME", "Names")),
        prune_command("Remove anonymous volumes that no container uses", "label=KEY=VALUE, all=true")
            .arg(flag("all", "Also those that have names").short('a')),
    ])
}

pub fn managed(name: &str, typed: &Typed) -> Result<Managed> {
    Ok(match name {
        "create" => Managed::CreateVolume(new(typed)?),
        "ls" => Managed::Volumes(list(typed)?),
        "inspect" => Managed::InspectVolumes { names: typed.texts("VOLUME"), format: typed.text("format") },
        "rm" => Managed::RemoveVolumes { names: typed.texts("VOLUME"), force: typed.flag("force") },
        "prune" => Managed::Prune(prune(PruneOf::Volumes, typed)?),
        other => return Err(Error::new(format!("volume {other}: no such command"))),
    })
}

fn new(typed: &Typed) -> Result<NewVolume> {
    let name = match (typed.text("VOLUME"), typed.text("name")) {
        (Some(_), Some(_)) => {
            return Err(Error::new(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
        (name, flag) => name.or(flag),
    };
    Ok(NewVolume {
        name,
        driver: typed.text("driver").unwrap_or_else(|| "local".to_owned()),
        labels: typed.pairs("label").collect(),
        options: typed.pairs("opt").collect(),
    })
}

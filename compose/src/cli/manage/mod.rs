//! What is managed beside the life of a container: networks, volumes, the system, images on their way in and out; and
//! Docker's second spelling of all verbs: `container ls`, `image rm`.

use clap::{ArgMatches, Command};

use super::docker::{self, Verb};
use super::typed::{Typed, flag, value, values};
use crate::error::{Error, Result};

mod context;
mod groups;
mod images;
mod network;
mod system;
mod volume;

pub use context::Context;
pub use images::{Import, Login, Push, Save};
pub use network::{Connect, NewNetwork};
pub use volume::NewVolume;

/// A verb that asks containerd.
#[derive(Debug)]
pub enum Managed {
    CreateNetwork(Box<NewNetwork>),
    Networks(List),
    InspectNetworks { names: Vec<String>, format: Option<String> },
    RemoveNetworks { names: Vec<String>, force: bool },
    Connect(Box<Connect>),
    Disconnect { network: String, container: String, force: bool },
    CreateVolume(NewVolume),
    Volumes(List),
    InspectVolumes { names: Vec<String>, format: Option<String> },
    RemoveVolumes { names: Vec<String>, force: bool },
    Prune(Prune),
    DiskUsage { verbose: bool, format: Option<String> },
    Info { format: Option<String> },
    History { image: String, list: List },
    Save(Save),
    Load { input: Option<String>, quiet: bool },
    Push(Push),
    Import(Import),
}

/// A verb that needs no containerd.
#[derive(Debug)]
pub enum Local {
    Doctor,
    Login(Login),
    Logout { server: Option<String> },
    Search { term: String },
    Context(Context),
}

/// What a list shows of each thing, and of which.
#[derive(Clone, Debug, Default)]
pub struct List {
    pub quiet: bool,
    pub no_trunc: bool,
    pub filters: Vec<(String, String)>,
    pub format: Option<String>,
}

/// What nobody uses is removed.
#[derive(Clone, Debug)]
pub struct Prune {
    pub of: PruneOf,
    /// Images that have names, volumes that have names, all of the build cache.
    pub all: bool,
    /// `system prune --volumes`
    pub volumes: bool,
    /// Without a question.
    pub force: bool,
    pub filters: Vec<(String, String)>,
    /// How much of the build cache stays.
    pub keep_storage: Option<String>,
}

/// Of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruneOf {
    Containers,
    Images,
    Networks,
    Volumes,
    BuildCache,
    System,
}

/// The verbs of this module, for the top of the tree.
pub fn tree() -> Vec<Command> {
    let mut verbs = images::tree();
    verbs.extend([network::tree(), volume::tree(), system::builder(), system::tree(), context::tree()]);
    verbs.extend(system::alone());
    verbs
}

/// `container …` and `image …`: the verbs of the tree by their second names.
pub fn groups(tree: &Command) -> Vec<Command> {
    vec![groups::containers(tree), groups::images(tree)]
}

/// What is meant by a verb of this module.
pub fn verb(name: &str, matches: &ArgMatches) -> Result<Verb> {
    let below = || matches.subcommand().ok_or_else(|| Error::new(format!("{name}: no command")));
    Ok(match name {
        "container" | "image" => {
            let (verb, matches) = below()?;
            groups::verb(name, verb, matches)?
        }
        "network" => {
            let (verb, matches) = below()?;
            Verb::Managed(network::managed(verb, &Typed(matches))?)
        }
        "volume" => {
            let (verb, matches) = below()?;
            Verb::Managed(volume::managed(verb, &Typed(matches))?)
        }
        "context" => {
            let (verb, matches) = below()?;
            Verb::Local(Local::Context(context::asked(verb, &Typed(matches))))
        }
        "builder" => {
            let (_, matches) = below()?;
            Verb::Managed(Managed::Prune(prune(PruneOf::BuildCache, &Typed(matches))?))
        }
        "system" => {
            let (verb, matches) = below()?;
            Verb::Managed(system::managed(verb, &Typed(matches))?)
        }
        "info" | "doctor" => system::verb(name, &Typed(matches))?,
        _ => images::verb(name, &Typed(matches))?,
    })
}

/// `prune` of a group. `all` and `volumes` are helps for what has these flags.
fn prune_command(about: &'static str, filters: &'static str) -> Command {
    Command::new("prune").about(about).arg(flag("force", "Don't ask").short('f')).arg(values(
        "filter",
        "KEY=VALUE",
        filters,
    ))
}

fn prune(of: PruneOf, typed: &Typed) -> Result<Prune> {
    let said = |flag: &str| typed.0.try_get_one::<bool>(flag).ok().flatten().copied().unwrap_or_default();
    let keep_storage = typed.0.try_get_one::<String>("keep-storage").ok().flatten().cloned();
    Ok(Prune {
        of,
        all: said("all"),
        volumes: said("volumes"),
        force: said("force"),
        filters: typed.filters()?,
        keep_storage,
    })
}

/// `ls` of a group.
fn list_command(about: &'static str, quiet: &'static str, filters: &'static str) -> Command {
    Command::new("ls")
        .about(about)
        .visible_alias("list")
        .arg(flag("quiet", quiet).short('q'))
        .arg(values("filter", "KEY=VALUE", filters).short('f'))
        .arg(docker::format())
}

fn list(typed: &Typed) -> Result<List> {
    let no_trunc = typed.0.try_get_one::<bool>("no-trunc").ok().flatten().copied().unwrap_or_default();
    let filters = match typed.0.try_contains_id("filter") {
        Ok(_) => typed.filters()?,
        Err(_) => Vec::new(),
    };
    Ok(List { quiet: typed.flag("quiet"), no_trunc, filters, format: typed.text("format") })
}

/// `inspect` of a group.
fn inspect_command(about: &'static str, operand: &'static str) -> Command {
    Command::new("inspect")
        .about(about)
        .arg(value("format", "FORMAT", "json, or a Go template").short('f'))
        .arg(super::typed::operands(operand, "Names or ids"))
}

/// A group without a verb shows its help.
fn group(name: &'static str, about: &'static str) -> Command {
    Command::new(name).about(about).subcommand_required(true).arg_required_else_help(true)
}

//! `container …` and `image …`.

use clap::{ArgMatches, Command};

use super::{Managed, PruneOf, group, prune, prune_command};
use crate::cli::docker::{self, Verb};
use crate::cli::typed::{Typed, flag};
use crate::error::Result;

/// The verbs of containers, as far as the tree has them.
const CONTAINER: [&str; 25] = [
    "attach", "commit", "cp", "create", "diff", "exec", "export", "inspect", "kill", "logs", "pause", "port",
    "ps", "rename", "restart", "rm", "run", "start", "stats", "stop", "top", "unpause", "update", "wait",
    "events",
];

/// The verbs of images, as far as the tree has them.
const IMAGE: [&str; 11] =
    ["build", "history", "images", "import", "inspect", "load", "pull", "push", "rmi", "save", "tag"];

/// The names in a group of what has another name at the top.
const RENAMED: [(&str, &str, &str, &[&str]); 3] = [
    // Its second name, `list`, comes along.
    ("container", "ps", "ls", &["ps"]),
    ("image", "images", "ls", &["list"]),
    ("image", "rmi", "rm", &["remove"]),
];

pub fn containers(tree: &Command) -> Command {
    let prune = prune_command("Remove all containers that don't run", "until=10m, label=KEY=VALUE");
    group("container", "Manage containers")
        .subcommands(chosen(tree, "container", &CONTAINER))
        .subcommand(prune)
}

pub fn images(tree: &Command) -> Command {
    let prune = prune_command("Remove images without a tag", "until=10m, label=KEY=VALUE")
        .arg(flag("all", "All that no container uses").short('a'));
    group("image", "Manage images").subcommands(chosen(tree, "image", &IMAGE)).subcommand(prune)
}

fn chosen(tree: &Command, group: &str, names: &[&str]) -> Vec<Command> {
    let found = names.iter().filter_map(|name| tree.find_subcommand(name));
    let renamed = found.map(|verb| {
        let verb = verb.clone();
        let verb =
            if verb.get_name() == "inspect" { verb.mut_arg("type", |kind| kind.hide(true)) } else { verb };
        match RENAMED.iter().find(|(of, name, ..)| *of == group && *name == verb.get_name()) {
            Some((_, _, name, aliases)) => verb.name(*name).visible_aliases(*aliases),
            None => verb,
        }
    });
    renamed.collect()
}

/// What is meant by a verb of a group.
pub fn verb(group: &str, name: &str, matches: &ArgMatches) -> Result<Verb> {
    let top = RENAMED.iter().find(|(of, _, renamed, _)| *of == group && *renamed == name);
    match (group, name) {
        ("container", "prune") => {
            Ok(Verb::Managed(Managed::Prune(prune(PruneOf::Containers, &Typed(matches))?)))
        }
        (_, "prune") => Ok(Verb::Managed(Managed::Prune(prune(PruneOf::Images, &Typed(matches))?))),
        (kind, "inspect") => {
            let typed = Typed(matches);
            let kind = Some(kind.to_owned());
            let (names, size) = (typed.texts("NAME"), typed.flag("size"));
            Ok(Verb::Inspect { names, size, format: typed.text("format"), kind })
        }
        _ => docker::verb(top.map_or(name, |(_, top, ..)| top), matches),
    }
}

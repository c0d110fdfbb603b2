//! The commands of `corten-compose` that look at a project's containers while they run, or change what they do: flags,
//! and what is meant by them.

use std::collections::BTreeMap;

use clap::Command;

use super::observe::{self, Stats};
use super::typed::{Typed, flag, operands, value};
use crate::error::{Error, Result};

/// A verb with what belongs to it.
#[derive(Debug)]
pub enum Verb {
    Top(Vec<String>),
    Stats(Stats),
    Kill { services: Vec<String>, signal: String, orphans: bool },
    Pause(Vec<String>),
    Unpause(Vec<String>),
    Events(Events),
    Images { services: Vec<String>, quiet: bool, format: Option<String> },
    Port(Port),
    Wait { services: Vec<String>, down: bool },
    Volumes { services: Vec<String>, quiet: bool, format: Option<String> },
    Scale { counts: BTreeMap<String, u32>, no_deps: bool },
    Remove(Remove),
    Version { short: bool, format: Option<String> },
    Export { service: String, index: Option<u32>, output: Option<String> },
    Commit { service: String, index: Option<u32>, commit: Box<observe::Commit> },
}

impl Verb {
    /// The services that the command names.
    pub fn services(&self) -> Vec<String> {
        match self {
            Verb::Top(services) | Verb::Pause(services) | Verb::Unpause(services) => services.clone(),
            Verb::Kill { services, .. }
            | Verb::Images { services, .. }
            | Verb::Wait { services, .. }
            | Verb::Volumes { services, .. } => services.clone(),
            Verb::Stats(asked) => asked.containers.clone(),
            Verb::Events(asked) => asked.services.clone(),
            Verb::Port(asked) => vec![asked.service.clone()],
            Verb::Export { service, .. } | Verb::Commit { service, .. } => vec![service.clone()],
            Verb::Scale { counts, .. } => counts.keys().cloned().collect(),
            Verb::Remove(asked) => asked.services.clone(),
            Verb::Version { .. } => Vec::new(),
        }
    }
}

/// `events`
#[derive(Clone, Debug, Default)]
pub struct Events {
    pub services: Vec<String>,
    pub json: bool,
    pub since: Option<String>,
    pub until: Option<String>,
}

/// `port`
#[derive(Clone, Debug, Default)]
pub struct Port {
    pub service: String,
    pub number: u16,
    pub protocol: String,
    /// None: the first one that runs.
    pub index: Option<u32>,
}

/// `rm`
#[derive(Clone, Debug, Default)]
pub struct Remove {
    pub services: Vec<String>,
    pub stop: bool,
    /// Whether nobody is asked.
    pub force: bool,
    pub volumes: bool,
}

/// The commands.
pub fn commands() -> Vec<Command> {
    let mut commands = verbs();
    commands.extend(files());
    commands
}

/// What makes an archive or an image of a container.
fn files() -> [Command; 2] {
    let index = || value("index", "NUMBER", "Of which of the service's containers");
    [
        Command::new("export")
            .about("Write the filesystem of a service's container as a tar archive")
            .after_help("Example: export -o web.tar web")
            .arg(value("output", "FILE", "Write to FILE instead of standard output").short('o'))
            .arg(index())
            .arg(operands("SERVICE", "The service").num_args(1)),
        observe::commit_flags(
            Command::new("commit")
                .about("Make an image of a service's container and what it has written")
                .after_help("Example: commit -m 'with tools' web web:2"),
        )
        .arg(index())
        .arg(operands("SERVICE", "The service").num_args(1))
        .arg(operands("REPOSITORY[:TAG]", "The image's name").required(false).num_args(0..=1)),
    ]
}

fn verbs() -> Vec<Command> {
    let services = || operands("SERVICE", "Only these").required(false).num_args(0..);
    let format = || value("format", "FORMAT", "table, json, or a template of Go");
    let quiet = |help| flag("quiet", help).short('q');
    vec![
        Command::new("top").about("List the processes of containers").arg(services()),
        observe::stats("SERVICE"),
        Command::new("kill")
            .about("Send a signal to containers")
            .after_help("Example: kill -s SIGHUP web")
            .arg(value("signal", "SIGNAL", "The signal [default: SIGKILL]").short('s'))
            .arg(flag("remove-orphans", "Also to containers of services that aren't in the project"))
            .arg(services()),
        Command::new("pause").about("Freeze containers").arg(services()),
        Command::new("unpause").about("Let frozen containers go on").arg(services()),
        Command::new("events")
            .about("Show what happens to containers, as it happens")
            .after_help("Example: events --json web")
            .arg(flag("json", "Each event as a line of JSON"))
            .arg(value("since", "TIME", "containerd keeps no past events: only times to come"))
            .arg(value("until", "TIME", "Come back then: 2026-01-02T03:04:05Z, 10m"))
            .arg(services()),
        Command::new("images")
            .about("List the images of containers")
            .arg(quiet("Only the ids"))
            .arg(format())
            .arg(services()),
        Command::new("port")
            .about("Say where on the host a port of a service is")
            .after_help("Example: port web 80")
            .arg(value("protocol", "PROTOCOL", "tcp, udp or sctp [default: tcp]"))
            .arg(value("index", "NUMBER", "Of which of the service's containers"))
            .arg(operands("SERVICE", "The service").num_args(1))
            .arg(operands("PRIVATE_PORT", "The port inside").num_args(1)),
        Command::new("wait")
            .about("Wait for the end of containers, and end with their exit code")
            .arg(flag("down-project", "Bring the project down once the first one has ended"))
            .arg(operands("SERVICE", "Of these services")),
        Command::new("volumes")
            .about("List the project's volumes")
            .arg(quiet("Only the names"))
            .arg(format())
            .arg(services()),
        Command::new("scale")
            .about("Set how many containers services have")
            .after_help("Example: scale web=3")
            .arg(flag("no-deps", "Leave alone what they depend on"))
            .arg(operands("SERVICE=NUMBER", "The services")),
        Command::new("rm")
            .about("Remove containers that don't run")
            .arg(flag("force", "Don't ask").short('f'))
            .arg(flag("stop", "Stop those that run, and remove them too").short('s'))
            .arg(flag("volumes", "With their anonymous volumes").short('v'))
            .arg(flag("all", "As always").short('a').hide(true))
            .arg(services()),
        Command::new("version")
            .about("Say which version this is")
            .arg(value("format", "FORMAT", "pretty or json").short('f'))
            .arg(flag("short", "Only the number")),
    ]
}

/// What is meant, if it is one of these verbs.
pub fn verb(name: &str, typed: &Typed) -> Result<Option<Verb>> {
    let services = || typed.texts("SERVICE");
    let first = |name: &str| typed.text(name).unwrap_or_default();
    let index = || typed.read::<u32>("index").map(|index| index.filter(|&index| index != 0));
    Ok(Some(match name {
        "top" => Verb::Top(services()),
        "stats" => Verb::Stats(observe::stats_of(typed, "SERVICE")),
        "kill" => Verb::Kill {
            services: services(),
            signal: typed.text("signal").unwrap_or_else(|| "SIGKILL".to_owned()),
            orphans: typed.flag("remove-orphans"),
        },
        "pause" => Verb::Pause(services()),
        "unpause" => Verb::Unpause(services()),
        "events" => Verb::Events(Events {
            services: services(),
            json: typed.flag("json"),
            since: typed.text("since"),
            until: typed.text("until"),
        }),
        "images" => {
            Verb::Images { services: services(), quiet: typed.flag("quiet"), format: typed.text("format") }
        }
        "port" => Verb::Port(Port {
            service: first("SERVICE"),
            number: port(&first("PRIVATE_PORT"))?,
            protocol: typed.text("protocol").unwrap_or_else(|| "tcp".to_owned()),
            index: index()?,
        }),
        "export" => Verb::Export { service: first("SERVICE"), index: index()?, output: typed.text("output") },
        "commit" => Verb::Commit {
            service: first("SERVICE"),
            index: index()?,
            commit: Box::new(observe::commit_of(typed)?),
        },
        "wait" => Verb::Wait { services: services(), down: typed.flag("down-project") },
        "volumes" => {
            Verb::Volumes { services: services(), quiet: typed.flag("quiet"), format: typed.text("format") }
        }
        "scale" => {
            Verb::Scale { counts: counts(&typed.texts("SERVICE=NUMBER"))?, no_deps: typed.flag("no-deps") }
        }
        "rm" => Verb::Remove(Remove {
            services: services(),
            stop: typed.flag("stop"),
            force: typed.flag("force"),
            volumes: typed.flag("volumes"),
        }),
        "version" => Verb::Version { short: typed.flag("short"), format: typed.text("format") },
        _ => return Ok(None),
    }))
}

fn port(typed: &str) -> Result<u16> {
    typed.parse().map_err(|_| Error::new(format!("invalid port {typed:?}: must be a number up to 65535")))
}

fn counts(typed: &[String]) -> Result<BTreeMap<String, u32>> {
    let count = |typed: &String| {
        let wrong = || Error::new(format!("invalid scale specifier {typed:?}: must be SERVICE=NUMBER"));
        let (service, count) = typed.split_once('=').ok_or_else(wrong)?;
        Ok((service.to_owned(), count.parse().map_err(|_| wrong())?))
    };
    typed.iter().map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::compose::{asked, command};

    #[test]
    fn the_tree_is_sound_and_what_is_typed_is_meant() {
        command().debug_assert();
        let meant = |typed: &[&str]| {
            let words = ["corten-compose"].into_iter().chain(typed.iter().copied());
            let matches = command().try_get_matches_from(words).map_err(|err| Error::new(err.to_string()))?;
            asked(&matches, "/".into(), std::iter::empty()).map(|asked| format!("{:?}", asked.verb))
        };
        for verb in commands() {
            let typed: &[&str] = match verb.get_name() {
                "port" => &["port", "web", "80"],
                "scale" => &["scale", "web=3", "db=0"],
                name => &[name, "web"],
            };
            let is_alone = verb.get_name() == "version";
            assert!(meant(if is_alone { &typed[..1] } else { typed }).is_ok(), "{typed:?}");
        }
        assert!(meant(&["kill", "-s", "HUP"]).unwrap().contains("signal: \"HUP\""));
        for wrong in [&["scale", "web"][..], &["scale", "web=-1"], &["port", "web", "65536"], &["wait"]] {
            assert!(meant(wrong).is_err(), "{wrong:?}");
        }
    }
}

//! Docker's tree: `cortenctl`.

use clap::{ArgMatches, Command};

use super::build::{self, Build};
use super::container::{self, Asked};
use super::inside::{self, Attach, Copy};
use super::manage::{self, Local, Managed};
use super::observe;
use super::typed::{Typed, command_line, flag, operands, value, values};
use crate::apply::attach::Tie;
use crate::apply::detach::Keys;
use crate::apply::exec::Addition;
use crate::engine::DEFAULT_ADDRESS;
use crate::error::{Error, Result};

/// What is meant by a command line.
#[derive(Debug)]
pub struct Meant {
    pub namespace: String,
    pub address: String,
    pub verb: Verb,
}

/// A verb with what belongs to it.
#[derive(Debug)]
pub enum Verb {
    Run {
        asked: Box<Asked>,
        detach: bool,
        tie: Tie,
    },
    Create(Box<Asked>),
    Start {
        containers: Vec<String>,
        attach: bool,
        interactive: bool,
        detach_keys: Keys,
    },
    Stop {
        containers: Vec<String>,
        stop: Stop,
    },
    Restart {
        containers: Vec<String>,
        stop: Stop,
    },
    Kill {
        containers: Vec<String>,
        signal: String,
    },
    Pause {
        containers: Vec<String>,
    },
    Unpause {
        containers: Vec<String>,
    },
    Remove {
        containers: Vec<String>,
        force: bool,
        volumes: bool,
    },
    Wait {
        containers: Vec<String>,
    },
    Ps(Ps),
    Exec(Exec),
    Attach(Attach),
    Copy(Copy),
    Logs {
        container: String,
        logs: Logs,
    },
    Top {
        container: String,
        options: Vec<String>,
    },
    Inspect {
        names: Vec<String>,
        /// Whether the sizes of containers are told.
        size: bool,
        format: Option<String>,
        kind: Option<String>,
    },
    Images(Images),
    Observe(observe::Verb),
    Pull {
        image: String,
        platform: Option<String>,
        quiet: bool,
    },
    RemoveImages {
        images: Vec<String>,
        force: bool,
    },
    Tag {
        source: String,
        target: String,
    },
    Version {
        format: Option<String>,
    },
    /// What is managed beside.
    Managed(Managed),
    /// What needs no containerd.
    Local(Local),
    Build(Box<Build>),
}

/// How a process is stopped, where the container doesn't say.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    pub signal: Option<String>,
    /// -1: it may take for ever.
    pub seconds: Option<i64>,
}

/// `ps`
#[derive(Clone, Debug, Default)]
pub struct Ps {
    pub all: bool,
    pub quiet: bool,
    pub no_trunc: bool,
    pub last: Option<usize>,
    /// Whether sizes are measured and shown.
    pub size: bool,
    pub filters: Vec<(String, String)>,
    pub format: Option<String>,
}

/// `exec`
#[derive(Clone, Debug, Default)]
pub struct Exec {
    pub container: String,
    pub process: Addition,
    pub detach: bool,
    pub interactive: bool,
    pub detach_keys: Keys,
}

/// `logs`
#[derive(Clone, Debug, Default)]
pub struct Logs {
    pub follow: bool,
    /// None: all.
    pub tail: Option<usize>,
    pub since: Option<String>,
    pub until: Option<String>,
    pub timestamps: bool,
    /// Whether each line is behind what the log options `labels` and `env` name.
    pub details: bool,
}

/// `images`
#[derive(Clone, Debug, Default)]
pub struct Images {
    pub reference: Option<String>,
    pub quiet: bool,
    pub no_trunc: bool,
    pub digests: bool,
    pub filters: Vec<(String, String)>,
    pub format: Option<String>,
}

/// The tree.
pub fn tree() -> Command {
    let tree = verbs();
    let groups = manage::groups(&tree);
    tree.subcommands(groups)
}

fn verbs() -> Command {
    Command::new("cortenctl")
        .about("Docker's everyday on containerd, without a daemon")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(value("namespace", "NAME", "containerd's namespace [default: default]").short('n'))
        .arg(value("address", "SOCKET", "containerd's socket").short('a'))
        .subcommands(lives())
        .subcommands(looks())
        .subcommands(observe::commands())
        .subcommands(images())
        .subcommands(manage::tree())
        .subcommand(Command::new("version").about("Say which versions are at work").arg(format()))
}

/// What begins and ends containers.
fn lives() -> Vec<Command> {
    let some = || operands("CONTAINER", "Names or ids");
    let time = || {
        value("time", "SECONDS", "How long before SIGKILL; -1: for ever")
            .short('t')
            .alias("timeout")
            .allow_hyphen_values(true)
    };
    let signal = || value("signal", "SIGNAL", "The signal").short('s');
    vec![
        container::flags(Command::new("run").about("Create and start a container"))
            .arg(flag("detach", "Come back as soon as it runs, and print its id").short('d'))
            .args(inside::tie_flags()),
        container::flags(Command::new("create").about("Create a container that can be started")),
        Command::new("start")
            .about("Start containers")
            .arg(flag("attach", "Show its output").short('a'))
            .arg(flag("interactive", "Give it our standard input").short('i'))
            .arg(inside::detach_keys_flag())
            .arg(some()),
        Command::new("stop").about("Stop containers").arg(time()).arg(signal()).arg(some()),
        Command::new("restart")
            .about("Stop containers and start them again")
            .arg(time())
            .arg(signal())
            .arg(some()),
        Command::new("kill").about("Send a signal to containers").arg(signal()).arg(some()),
        Command::new("pause").about("Freeze containers").arg(some()),
        Command::new("unpause").about("Let frozen containers go on").arg(some()),
        Command::new("rm")
            .about("Remove containers")
            .arg(flag("force", "Also those that run").short('f'))
            .arg(flag("volumes", "With their anonymous volumes").short('v'))
            .arg(some()),
        Command::new("wait").about("Wait for the end of containers, and print their exit codes").arg(some()),
    ]
}

/// What shows containers, or does something within them.
fn looks() -> Vec<Command> {
    vec![
        Command::new("ps")
            .about("List containers")
            .after_help("Example: ps -a --filter status=exited --filter label=of=shop --format '{{.Names}}'")
            .visible_alias("list")
            .arg(flag("all", "Also those that don't run").short('a'))
            .arg(flag("quiet", "Only the ids").short('q'))
            .arg(flag("no-trunc", "Nothing shortened"))
            .arg(flag("size", "What each has written, and with its image").short('s'))
            .arg(flag("latest", "Only the newest one").short('l'))
            .arg(value("last", "NUMBER", "Only the newest ones").short('n').allow_hyphen_values(true))
            .arg(
                values(
                    "filter",
                    "KEY=VALUE",
                    "id, name, label, status, health, ancestor, exited, before, since, network, volume, publish, expose",
                )
                .short('f'),
            )
            .arg(format()),
        Command::new("exec")
            .about("Run a command in a container that runs")
            .arg(flag("detach", "Come back as soon as it runs").short('d'))
            .arg(flag("interactive", "Keep standard input open").short('i'))
            .arg(flag("tty", "Give it a terminal").short('t'))
            .arg(flag("privileged", "Let it do what the host can"))
            .arg(value("user", "USER[:GROUP]", "Who runs").short('u'))
            .arg(value("workdir", "DIR", "The directory that it starts in").short('w'))
            .arg(values("env", "KEY=VALUE", "Set a variable").short('e'))
            .arg(values("env-file", "FILE", "Read variables from FILE"))
            .arg(inside::detach_keys_flag())
            .arg(command_line("CONTAINER COMMAND [ARG...]", "The container and what runs")),
        inside::attach_flags(
            Command::new("attach").about("Tie our streams to those of a container that runs"),
        )
        .arg(operands("CONTAINER", "Name or id").num_args(1)),
        inside::copy_flags(Command::new("cp").about("Copy files between a container and the host")),
        Command::new("logs")
            .about("Show what a container has put out")
            .arg(flag("follow", "Show what comes, too").short('f'))
            .arg(value("tail", "NUMBER", "Only the last lines").short('n'))
            .arg(value("since", "TIME", "Only from then on: 2026-01-02T03:04:05Z, 10m"))
            .arg(value("until", "TIME", "Only until then"))
            .arg(flag("timestamps", "With the time of each line").short('t'))
            .arg(flag("details", "With the labels and variables that log options name"))
            .arg(operands("CONTAINER", "Name or id").num_args(1)),
        Command::new("top").about("List a container's processes").arg(
            command_line("CONTAINER [OPTIONS]", "The container, and options of ps").allow_hyphen_values(true),
        ),
        Command::new("inspect")
            .about("Show all about containers, images, networks and volumes")
            .arg(value("type", "container|image|network|volume", "Only of this kind"))
            .arg(flag("size", "What containers have written, and with their images").short('s'))
            .arg(format().short('f'))
            .arg(operands("NAME", "Names or ids")),
    ]
}

fn images() -> Vec<Command> {
    vec![
        Command::new("images")
            .about("List images")
            .after_help("Example: images --filter 'reference=web*' --filter since=base:1")
            .arg(flag("all", "All, as always").short('a').hide(true))
            .arg(flag("quiet", "Only the ids").short('q'))
            .arg(flag("no-trunc", "Nothing shortened"))
            .arg(flag("digests", "With digests"))
            .arg(values("filter", "KEY=VALUE", "reference, label, dangling, before, since, until").short('f'))
            .arg(format())
            .arg(operands("REPOSITORY[:TAG]", "Only these").required(false).num_args(0..=1)),
        Command::new("pull")
            .about("Pull an image")
            .arg(flag("quiet", "Only print the name").short('q'))
            .arg(value("platform", "OS/ARCH", "The image's platform"))
            .arg(operands("IMAGE", "The name").num_args(1)),
        build::docker(),
        Command::new("rmi")
            .about("Remove images")
            .arg(flag("force", "Also what containers use").short('f'))
            // No image is another one's parent.
            .arg(flag("no-prune", "As always").hide(true))
            .arg(operands("IMAGE", "Names or ids")),
        Command::new("tag")
            .about("Give an image one more name")
            .arg(operands("SOURCE", "Name or id").num_args(1))
            .arg(operands("TARGET", "The name").num_args(1)),
    ]
}

pub(super) fn format() -> clap::Arg {
    value("format", "FORMAT", "table, json, or a Go template: '{{.ID}}'")
}

/// What is meant by what was typed.
///
/// Errors: one line for the user.
pub fn meant(matches: &ArgMatches) -> Result<Meant> {
    let typed = Typed(matches);
    // The variables are those of `ctr` and `nerdctl`.
    let said = |flag: &str, variable: &str, default: &str| {
        let said = typed.text(flag).or_else(|| std::env::var(variable).ok());
        said.filter(|said| !said.is_empty()).unwrap_or_else(|| default.to_owned())
    };
    let (name, matches) = matches.subcommand().ok_or_else(|| Error::new("no command"))?;
    Ok(Meant {
        namespace: said("namespace", "CONTAINERD_NAMESPACE", "default"),
        address: said("address", "CONTAINERD_ADDRESS", DEFAULT_ADDRESS),
        verb: verb(name, matches)?,
    })
}

#[expect(clippy::too_many_lines, reason = "a match over all verbs")]
pub(super) fn verb(name: &str, matches: &ArgMatches) -> Result<Verb> {
    let typed = Typed(matches);
    let containers = || typed.texts("CONTAINER");
    let first = |name: &str| typed.text(name).unwrap_or_default();
    Ok(match name {
        "run" => Verb::Run {
            asked: Box::new(container::asked(matches)?),
            detach: typed.flag("detach"),
            tie: inside::tie(&typed)?,
        },
        "create" => Verb::Create(Box::new(container::asked(matches)?)),
        "start" => Verb::Start {
            containers: containers(),
            attach: typed.flag("attach"),
            interactive: typed.flag("interactive"),
            detach_keys: inside::detach_keys(&typed)?,
        },
        "stop" => Verb::Stop { containers: containers(), stop: stop(&typed)? },
        "restart" => Verb::Restart { containers: containers(), stop: stop(&typed)? },
        "kill" => Verb::Kill {
            containers: containers(),
            signal: typed.text("signal").unwrap_or_else(|| "KILL".to_owned()),
        },
        "pause" => Verb::Pause { containers: containers() },
        "unpause" => Verb::Unpause { containers: containers() },
        "rm" => Verb::Remove {
            containers: containers(),
            force: typed.flag("force"),
            volumes: typed.flag("volumes"),
        },
        "wait" => Verb::Wait { containers: containers() },
        "ps" => Verb::Ps(ps(&typed)?),
        "exec" => Verb::Exec(exec(&typed)?),
        "attach" => Verb::Attach(inside::attach(&typed, "CONTAINER")?),
        "cp" => Verb::Copy(inside::copy(&typed)),
        "logs" => Verb::Logs {
            container: first("CONTAINER"),
            logs: Logs {
                follow: typed.flag("follow"),
                // `all` and a negative number are all.
                tail: typed.text("tail").and_then(|number| number.parse().ok()),
                since: typed.text("since"),
                until: typed.text("until"),
                timestamps: typed.flag("timestamps"),
                details: typed.flag("details"),
            },
        },
        "top" => {
            let mut words = typed.texts("CONTAINER [OPTIONS]").into_iter();
            Verb::Top { container: words.next().unwrap_or_default(), options: words.collect() }
        }
        "inspect" => Verb::Inspect {
            names: typed.texts("NAME"),
            size: typed.flag("size"),
            format: typed.text("format"),
            kind: typed.text("type"),
        },
        "images" => Verb::Images(Images {
            reference: typed.text("REPOSITORY[:TAG]"),
            quiet: typed.flag("quiet"),
            no_trunc: typed.flag("no-trunc"),
            digests: typed.flag("digests"),
            filters: typed.filters()?,
            format: typed.text("format"),
        }),
        "pull" => {
            Verb::Pull { image: first("IMAGE"), platform: typed.text("platform"), quiet: typed.flag("quiet") }
        }
        "build" => Verb::Build(Box::new(build::of_docker(matches)?)),
        "rmi" => Verb::RemoveImages { images: typed.texts("IMAGE"), force: typed.flag("force") },
        "tag" => Verb::Tag { source: first("SOURCE"), target: first("TARGET") },
        "version" => Verb::Version { format: typed.text("format") },
        other => match observe::verb(other, &typed)? {
            Some(verb) => Verb::Observe(verb),
            None => return manage::verb(other, matches),
        },
    })
}

fn stop(typed: &Typed) -> Result<Stop> {
    Ok(Stop { signal: typed.text("signal"), seconds: typed.read("time")? })
}

fn ps(typed: &Typed) -> Result<Ps> {
    let last = typed.read::<i64>("last")?.and_then(|last| usize::try_from(last).ok());
    Ok(Ps {
        all: typed.flag("all"),
        quiet: typed.flag("quiet"),
        no_trunc: typed.flag("no-trunc"),
        last: if typed.flag("latest") { Some(1) } else { last },
        size: typed.flag("size"),
        filters: typed.filters()?,
        format: typed.text("format"),
    })
}

fn exec(typed: &Typed) -> Result<Exec> {
    let mut words = typed.texts("CONTAINER COMMAND [ARG...]").into_iter();
    let container = words.next().unwrap_or_default();
    let command: Vec<String> = words.collect();
    if command.is_empty() {
        return Err(Error::new("\"cortenctl exec\" requires at least 2 arguments"));
    }
    let environment = container::environment(typed)?.into_iter();
    let set = |(name, value): (String, Option<String>)| value.map(|value| format!("{name}={value}"));
    Ok(Exec {
        container,
        process: Addition {
            command,
            tty: typed.flag("tty"),
            privileged: typed.flag("privileged"),
            user: typed.text("user"),
            directory: typed.text("workdir"),
            environment: environment.filter_map(set).collect(),
        },
        detach: typed.flag("detach"),
        interactive: typed.flag("interactive"),
        detach_keys: inside::detach_keys(typed)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound_and_each_verb_is_meant() {
        let tree = tree();
        tree.clone().debug_assert();
        for verb in tree.get_subcommands() {
            let matches = tree.clone().try_get_matches_from(["cortenctl", verb.get_name(), "one", "two"]);
            if let Ok(matches) = matches {
                assert!(meant(&matches).is_ok(), "{}", verb.get_name());
            }
        }
    }
}

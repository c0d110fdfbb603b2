//! What of containers is looked at or changed while they run, of both trees: flags, and what is meant by them.

use clap::Command;

use super::typed::{Typed, flag, operands, value, values};
use crate::error::Result;
use crate::spec::update::Change;

/// A verb of `cortenctl`'s.
#[derive(Debug)]
pub enum Verb {
    Stats(Stats),
    Port { container: String, port: Option<String> },
    Update { containers: Vec<String>, change: Box<Change> },
    Events(Events),
    Rename { container: String, name: String },
    Diff { container: String },
    Export { container: String, output: Option<String> },
    Commit(Commit),
}

/// `commit`
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub container: String,
    /// None: the image has no name.
    pub name: Option<String>,
    pub author: Option<String>,
    pub message: Option<String>,
    /// Instructions of a Dockerfile.
    pub changes: Vec<String>,
    /// Whether the container is frozen meanwhile.
    pub pause: bool,
}

/// `stats`
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// None: all that run.
    pub containers: Vec<String>,
    pub all: bool,
    pub no_stream: bool,
    pub no_trunc: bool,
    pub format: Option<String>,
}

/// `events`
#[derive(Clone, Debug, Default)]
pub struct Events {
    pub since: Option<String>,
    pub until: Option<String>,
    pub filters: Vec<(String, String)>,
    pub format: Option<String>,
}

/// The flags of `stats`, which both trees have.
pub fn stats(operand: &'static str) -> Command {
    Command::new("stats")
        .about("Show what containers use, again and again")
        .after_help("Example: stats --no-stream --format '{{.Name}}: {{.CPUPerc}} {{.MemUsage}}'")
        .arg(flag("all", "Also those that don't run").short('a'))
        .arg(flag("no-stream", "Only once"))
        .arg(flag("no-trunc", "Nothing shortened"))
        .arg(value("format", "FORMAT", "table, json, or a Go template: '{{.CPUPerc}}'"))
        .arg(operands(operand, "Only these").required(false).num_args(0..))
}

/// What is meant by the flags of `stats`.
pub fn stats_of(typed: &Typed, operand: &str) -> Stats {
    Stats {
        containers: typed.texts(operand),
        all: typed.flag("all"),
        no_stream: typed.flag("no-stream"),
        no_trunc: typed.flag("no-trunc"),
        format: typed.text("format"),
    }
}

/// The verbs.
pub fn commands() -> Vec<Command> {
    let one = || operands("CONTAINER", "Name or id").num_args(1);
    vec![
        stats("CONTAINER"),
        Command::new("port")
            .about("List a container's published ports")
            .after_help("Example: port web 80/tcp")
            .arg(one())
            .arg(operands("PORT[/PROTOCOL]", "Only where this port is").required(false).num_args(0..=1)),
        update(),
        Command::new("events")
            .about("Show what happens, as it happens")
            .after_help("Example: events --filter event=die --format '{{.Actor.Attributes.name}}'")
            .arg(value("since", "TIME", "containerd keeps no past events: only times to come"))
            .arg(value("until", "TIME", "Come back then: 2026-01-02T03:04:05Z, 10m"))
            .arg(values("filter", "KEY=VALUE", "container, event, image, label, type").short('f'))
            .arg(value("format", "FORMAT", "json, or a Go template: '{{.Action}}'")),
        Command::new("rename")
            .about("Give a container another name")
            .arg(one())
            .arg(operands("NEW_NAME", "The name").num_args(1)),
        Command::new("diff")
            .about("List what a container has changed in its filesystem: A added, C changed, D deleted")
            .arg(one()),
        commit(),
        Command::new("export")
            .about("Write a container's filesystem as a tar archive")
            .after_help("Example: export -o web.tar web")
            .arg(value("output", "FILE", "Write to FILE instead of standard output").short('o'))
            .arg(one()),
    ]
}

fn commit() -> Command {
    let command = Command::new("commit")
        .about("Make an image of a container and what it has written")
        .after_help("Example: commit -m 'with tools' -c 'CMD [\"sh\"]' web web:2");
    commit_flags(command)
        .arg(operands("CONTAINER", "Name or id").num_args(1))
        .arg(operands("REPOSITORY[:TAG]", "The image's name").required(false).num_args(0..=1))
}

/// The flags of `commit`, which both trees have.
pub fn commit_flags(command: Command) -> Command {
    let pause = value("pause", "BOOL", "Freeze the container meanwhile [default: true]")
        .short('p')
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true");
    command
        .arg(value("author", "NAME", "Who makes it").short('a'))
        .arg(value("message", "TEXT", "What is to be said of it").short('m'))
        .arg(
            values("change", "INSTRUCTION", "An instruction of a Dockerfile: CMD, ENV, EXPOSE, ...")
                .short('c'),
        )
        .arg(pause)
        .arg(flag("no-pause", "Let the container run meanwhile"))
}

/// What is meant by the flags of `commit`, but for the container.
pub fn commit_of(typed: &Typed) -> Result<Commit> {
    Ok(Commit {
        container: String::new(),
        name: typed.text("REPOSITORY[:TAG]"),
        author: typed.text("author"),
        message: typed.text("message"),
        changes: typed.texts("change"),
        pause: typed.read("pause")?.unwrap_or(true) && !typed.flag("no-pause"),
    })
}

fn update() -> Command {
    Command::new("update")
        .about("Change limits and the restart policy of containers")
        .after_help("Example: update --restart always -m 512m --cpus 1.5 web")
        .arg(value("restart", "POLICY", "no, always, unless-stopped, on-failure[:TIMES]"))
        .arg(value("memory", "BYTES", "Memory at most").short('m'))
        .arg(
            value("memory-swap", "BYTES", "Memory and swap at most; -1: any amount of swap")
                .allow_hyphen_values(true),
        )
        .arg(value("memory-reservation", "BYTES", "Memory that it keeps under pressure"))
        .arg(value("cpus", "NUMBER", "CPUs at most"))
        .arg(value("cpu-shares", "WEIGHT", "Its weight among others").short('c'))
        .arg(value("cpu-period", "MICROSECONDS", "Period of the CFS quota"))
        .arg(value("cpu-quota", "MICROSECONDS", "CFS quota").allow_hyphen_values(true))
        .arg(value("cpuset-cpus", "CPUS", "Which CPUs: 0-3, 0,1"))
        .arg(value("pids-limit", "NUMBER", "Processes at most; -1: any number").allow_hyphen_values(true))
        .arg(value("blkio-weight", "WEIGHT", "Its weight among users of disks"))
        .arg(operands("CONTAINER", "Names or ids"))
}

/// What is meant, if it is one of these verbs.
pub fn verb(name: &str, typed: &Typed) -> Result<Option<Verb>> {
    let first = |name: &str| typed.text(name).unwrap_or_default();
    Ok(Some(match name {
        "stats" => Verb::Stats(stats_of(typed, "CONTAINER")),
        "port" => Verb::Port { container: first("CONTAINER"), port: typed.text("PORT[/PROTOCOL]") },
        "update" => Verb::Update { containers: typed.texts("CONTAINER"), change: Box::new(change(typed)?) },
        "events" => Verb::Events(Events {
            since: typed.text("since"),
            until: typed.text("until"),
            filters: typed.filters()?,
            format: typed.text("format"),
        }),
        "rename" => Verb::Rename { container: first("CONTAINER"), name: first("NEW_NAME") },
        "commit" => Verb::Commit(Commit { container: first("CONTAINER"), ..commit_of(typed)? }),
        "diff" => Verb::Diff { container: first("CONTAINER") },
        "export" => Verb::Export { container: first("CONTAINER"), output: typed.text("output") },
        _ => return Ok(None),
    }))
}

fn change(typed: &Typed) -> Result<Change> {
    Ok(Change {
        restart: typed.restart()?,
        memory: typed.read("memory")?,
        memory_swap: typed.read("memory-swap")?,
        memory_reservation: typed.read("memory-reservation")?,
        cpus: typed.read("cpus")?,
        cpu_shares: typed.read("cpu-shares")?,
        cpu_period: typed.read("cpu-period")?,
        cpu_quota: typed.read("cpu-quota")?,
        cpuset_cpus: typed.text("cpuset-cpus"),
        pids_limit: typed.read("pids-limit")?,
        blkio_weight: typed.read("blkio-weight")?,
    })
}

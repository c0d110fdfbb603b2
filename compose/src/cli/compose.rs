//! `corten-compose`: docker compose's commands and flags.

use super::config;
use crate::model::request::{Request, Without};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::attended::{self, Attended};
use super::build::{self, BuildServices};
use super::docker;
use super::inside::{self, Attach, CopyServices, ExecService, RunService};
use super::members;
use super::project;
use super::pull::{self, Pull};
use super::start::{self, Start};
use super::telling::Telling;
use super::typed::Typed;
use crate::apply::image::When;
use crate::error::{Error, Result};
use crate::plan;
use crate::plan::up::Recreate;

/// What the user asks for.
#[derive(Debug)]
pub struct Asked {
    /// Of which project.
    pub request: Request,
    /// containerd's namespace, and its socket.
    pub namespace: Option<String>,
    pub address: Option<String>,
    /// Whether plans are printed in place of being carried out.
    pub dry_run: bool,
    /// How the command tells of what it does.
    pub telling: Telling,
    /// Whether builds show no progress.
    pub quiet_build: bool,
    pub verb: Verb,
}

/// A command with what belongs to it.
#[derive(Debug)]
pub enum Verb {
    Config(config::Options),
    Up(Up),
    Down(Down),
    Start(Start),
    Stop(StopServices),
    Restart { stop: StopServices, no_deps: bool },
    Ps(Ps),
    Logs(Logs),
    Ls(Ls),
    Pull(Pull),
    Members(members::Verb),
    Build(BuildServices),
    Exec(Box<ExecService>),
    Run(Box<RunService>),
    Attach(Attach),
    Copy(CopyServices),
}

impl Verb {
    /// The services that the command names.
    fn services(&self) -> Vec<String> {
        match self {
            Verb::Config(options) => options.services.clone(),
            Verb::Up(up) => up.plan.services.clone(),
            Verb::Down(down) => down.plan.services.clone(),
            Verb::Stop(stop) | Verb::Restart { stop, .. } => stop.services.clone(),
            Verb::Start(start) => start.services.clone(),
            Verb::Pull(asked) => asked.services.clone(),
            Verb::Ps(ps) => ps.services.clone(),
            Verb::Logs(logs) => logs.services.clone(),
            Verb::Build(build) => build.services.clone(),
            Verb::Exec(exec) => vec![exec.service.clone()],
            Verb::Run(run) => vec![run.service.clone()],
            Verb::Attach(attach) => vec![attach.name.clone()],
            Verb::Copy(cp) => {
                let sides = [&cp.copy.source, &cp.copy.destination];
                let names = sides.into_iter().filter_map(|side| side.split_once(':'));
                names.map(|(name, _)| name.to_owned()).collect()
            }
            Verb::Members(verb) => verb.services(),
            Verb::Ls(_) => Vec::new(),
        }
    }

    /// Whether it leaves alone what the named services depend on.
    fn no_deps(&self) -> bool {
        match self {
            Verb::Up(up) => up.plan.no_deps,
            Verb::Run(run) => run.no_deps,
            Verb::Restart { no_deps, .. } | Verb::Members(members::Verb::Scale { no_deps, .. }) => *no_deps,
            _ => false,
        }
    }
}

/// `up`, `create`
#[derive(Clone, Debug, Default)]
pub struct Up {
    pub plan: plan::up::Options,
    pub detach: bool,
    pub pull: Option<When>,
    pub building: Building,
    pub stop_seconds: Option<i64>,
    /// How long it waits for a container at most; none: as long as it takes.
    pub wait_timeout: Option<Duration>,
    pub quiet_pull: bool,
    pub attended: Attended,
}

/// Which services `up` builds, of those that can be built.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Building {
    /// Where the image isn't there, or the service's policy says so.
    #[default]
    Missing,
    /// All of them.
    All,
    /// None.
    None,
}

/// `down`
#[derive(Clone, Debug, Default)]
pub struct Down {
    pub plan: plan::down::Options,
    pub stop_seconds: Option<i64>,
    /// Which images go.
    pub images: ImagesOfDown,
}

/// Which images `down` removes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ImagesOfDown {
    #[default]
    None,
    /// Images that have no name of their own.
    Local,
    /// The images of all services.
    All,
}

/// `stop`
#[derive(Clone, Debug, Default)]
pub struct StopServices {
    pub services: Vec<String>,
    /// How long before SIGKILL; -1: for ever.
    pub seconds: Option<i64>,
}

/// `ps`
#[derive(Clone, Debug, Default)]
pub struct Ps {
    pub services: Vec<String>,
    pub all: bool,
    pub quiet: bool,
    /// Whether only the names of services are printed.
    pub names: bool,
    pub no_trunc: bool,
    /// Whether containers of services are shown that aren't in the project.
    pub orphans: bool,
    /// Which states are shown; none: those that run.
    pub statuses: Vec<String>,
    pub format: Option<String>,
}

/// `logs`
#[derive(Clone, Debug, Default)]
pub struct Logs {
    pub services: Vec<String>,
    pub no_prefix: bool,
    /// Of which of the service's containers; none: of all.
    pub index: Option<u32>,
    pub logs: docker::Logs,
}

/// `ls`
#[derive(Clone, Debug, Default)]
pub struct Ls {
    pub all: bool,
    pub quiet: bool,
    pub format: Option<String>,
    /// A part of the names that are shown; none: all are.
    pub named: Option<String>,
}

/// The commands and their flags.
pub fn command() -> Command {
    Command::new("corten-compose")
        .about("Compose projects on containerd")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .arg(
            Arg::new("version")
                .long("version")
                .short('v')
                .action(ArgAction::Version)
                .help("Print the version"),
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(project::flags())
        .args([
            value("namespace", "NAME", "containerd's namespace [default: default]").short('n'),
            value("address", "SOCKET", "containerd's socket").short('a'),
            flag("dry-run", "Print the plan, and do nothing").global(true),
            value("progress", "TYPE", "How it tells of what it does: plain, json, quiet"),
        ])
        .args(project::of_no_effect())
        .subcommand(config::command())
        .subcommands(life())
        .subcommands(looks())
        .subcommands(members::commands())
        .subcommands(inside::commands())
}

/// What the arguments mean, in a process that is at `here` with this environment.
pub fn asked(
    matches: &ArgMatches,
    here: PathBuf,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Asked> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let Some((name, of)) = matches.subcommand() else { return Err(Error::new("no command")) };
    let verb = verb(name, of)?;
    let request = Request {
        here,
        environment: environment.collect(),
        files: texts(matches, "file"),
        env_files: texts(matches, "env-file"),
        directory: matches.get_one("project-directory").cloned(),
        name: matches.get_one("project-name").cloned(),
        profiles: texts(matches, "profile"),
        services: verb.services(),
        no_deps: verb.no_deps(),
        without: match &verb {
            Verb::Config(options) => options.without,
            _ => Without::default(),
        },
    };
    let telling = text("progress").or_else(|| request.environment.get("COMPOSE_PROGRESS").cloned());
    let telling = match Telling::of(telling.as_deref())? {
        _ if name == "run" && has(of, "quiet") => Telling::Quiet,
        telling => telling,
    };
    let quiet_build = telling != Telling::Lines || has(of, "quiet-build");
    Ok(Asked {
        request,
        namespace: text("namespace"),
        address: text("address"),
        dry_run: matches.get_flag("dry-run"),
        telling,
        quiet_build,
        verb,
    })
}

fn verb(name: &str, of: &ArgMatches) -> Result<Verb> {
    Ok(match name {
        "config" => Verb::Config(config::options(&Typed(of))),
        "up" => {
            let up = up(of)?;
            let attended = attended::attended(&Typed(of), of.get_flag("detach"), up.plan.wait)?;
            Verb::Up(Up { attended, wait_timeout: start::wait_timeout(&Typed(of))?, ..up })
        }
        "create" => {
            let up = up(of)?;
            let plan = plan::up::Options { no_start: true, ..up.plan };
            Verb::Up(Up { plan, detach: true, ..up })
        }
        "down" => Verb::Down(Down {
            plan: plan::down::Options {
                services: texts(of, "service"),
                volumes: of.get_flag("volumes"),
                remove_orphans: of.get_flag("remove-orphans"),
            },
            stop_seconds: seconds(of)?,
            images: match of.get_one::<String>("rmi").map(String::as_str) {
                None | Some("") => ImagesOfDown::None,
                Some("local") => ImagesOfDown::Local,
                Some("all") => ImagesOfDown::All,
                Some(other) => return Err(Error::new(format!("invalid value for --rmi: {other:?}"))),
            },
        }),
        "start" => Verb::Start(start::start(&Typed(of))?),
        "stop" => Verb::Stop(stop(of)?),
        "restart" => Verb::Restart { stop: stop(of)?, no_deps: of.get_flag("no-deps") },
        "ps" => Verb::Ps(ps(&Typed(of))?),
        "logs" => Verb::Logs(logs(of)?),
        "ls" => Verb::Ls(Ls {
            all: of.get_flag("all"),
            quiet: of.get_flag("quiet"),
            format: of.get_one::<String>("format").cloned(),
            named: named(&Typed(of))?,
        }),
        "pull" => Verb::Pull(pull::pull_of(&Typed(of))?),
        "exec" => Verb::Exec(Box::new(inside::exec_service(of)?)),
        "run" => Verb::Run(Box::new(inside::run_service(of)?)),
        "attach" => Verb::Attach(inside::attach_service(of)?),
        "cp" => Verb::Copy(inside::copy_services(of)?),
        "build" => Verb::Build(build::of_compose(of)),
        other => match members::verb(other, &Typed(of))? {
            Some(verb) => Verb::Members(verb),
            None => return Err(Error::new(format!("{other}: no such command"))),
        },
    })
}

fn has(of: &ArgMatches, flag: &str) -> bool {
    of.try_get_one::<bool>(flag).ok().flatten().copied().unwrap_or(false)
}

fn up(of: &ArgMatches) -> Result<Up> {
    let mut scale = BTreeMap::new();
    for typed in texts(of, "scale") {
        let wrong = || Error::new(format!("--scale {typed}: must be SERVICE=NUMBER"));
        let (service, count) = typed.split_once('=').ok_or_else(wrong)?;
        scale.insert(service.to_owned(), count.parse().map_err(|_| wrong())?);
    }
    let no_deps = of.get_flag("no-deps");
    let recreate = match (of.get_flag("force-recreate"), of.get_flag("no-recreate")) {
        (true, true) => {
            return Err(Error::new("--force-recreate and --no-recreate are incompatible"));
        }
        (false, true) if of.get_flag("always-recreate-deps") => {
            return Err(Error::new("--always-recreate-deps and --no-recreate are incompatible"));
        }
        (false, true) if of.get_flag("renew-anon-volumes") => {
            return Err(Error::new("--no-recreate and --renew-anon-volumes are incompatible"));
        }
        (true, false) if of.get_flag("always-recreate-deps") => Recreate::All,
        (true, false) => Recreate::Asked,
        (false, true) => Recreate::None,
        (false, false) => Recreate::Changed,
    };
    let pull = pull::when("pull", of.get_one::<String>("pull").map(String::as_str))?;
    let building = match (of.get_flag("build"), of.get_flag("no-build")) {
        (true, true) => return Err(Error::new("--build and --no-build are incompatible")),
        (true, false) => Building::All,
        (false, true) => Building::None,
        (false, false) => Building::Missing,
    };
    let wait = of.get_flag("wait");
    Ok(Up {
        plan: plan::up::Options {
            services: texts(of, "service"),
            no_deps,
            recreate,
            no_start: of.get_flag("no-start"),
            remove_orphans: of.get_flag("remove-orphans"),
            scale,
            renew_anonymous_volumes: of.get_flag("renew-anon-volumes"),
            wait,
        },
        detach: of.get_flag("detach") || of.get_flag("no-start") || wait,
        pull,
        building,
        stop_seconds: seconds(of)?,
        wait_timeout: None,
        quiet_pull: of.get_flag("quiet-pull"),
        attended: Attended::default(),
    })
}

fn ps(typed: &Typed) -> Result<Ps> {
    let mut statuses = typed.texts("status");
    if let Some(filter) = typed.text("filter").filter(|filter| !filter.is_empty()) {
        match filter.split_once('=') {
            Some(("status", status)) => statuses.push(status.to_owned()),
            Some((key, _)) => return Err(Error::new(format!("unknown filter {key}"))),
            None => return Err(Error::new("arguments to --filter should be in form KEY=VAL")),
        }
    }
    Ok(Ps {
        services: typed.texts("service"),
        all: typed.flag("all"),
        quiet: typed.flag("quiet"),
        names: typed.flag("services"),
        no_trunc: typed.flag("no-trunc"),
        orphans: typed.read("orphans")?.unwrap_or(true),
        statuses,
        format: typed.text("format"),
    })
}

/// What the name of a project has in it, by `--filter`.
fn named(typed: &Typed) -> Result<Option<String>> {
    match typed.text("filter").as_deref().map(|filter| filter.split_once('=').unwrap_or((filter, ""))) {
        None => Ok(None),
        Some(("name", part)) => Ok(Some(part.to_owned())),
        Some((key, _)) => Err(Error::new(format!("invalid filter '{key}'"))),
    }
}

fn stop(of: &ArgMatches) -> Result<StopServices> {
    Ok(StopServices { services: texts(of, "service"), seconds: seconds(of)? })
}

fn seconds(of: &ArgMatches) -> Result<Option<i64>> {
    let typed = of.get_one::<String>("timeout");
    let wrong = |typed: &String| Error::new(format!("--timeout {typed}: must be a number of seconds"));
    typed.map(|typed| typed.parse().map_err(|_| wrong(typed))).transpose()
}

fn logs(of: &ArgMatches) -> Result<Logs> {
    let text = |name: &str| of.get_one::<String>(name).cloned();
    let wrong = |typed: &str| Error::new(format!("--tail {typed}: must be a number, or all"));
    let tail = match text("tail").as_deref() {
        None | Some("all") => None,
        Some(typed) => Some(typed.parse().map_err(|_| wrong(typed))?),
    };
    Ok(Logs {
        services: texts(of, "service"),
        no_prefix: of.get_flag("no-log-prefix"),
        index: Typed(of).read::<u32>("index")?.filter(|&index| index != 0),
        logs: docker::Logs {
            follow: of.get_flag("follow"),
            tail,
            since: text("since"),
            until: text("until"),
            timestamps: of.get_flag("timestamps"),
            details: of.get_flag("details"),
        },
    })
}

fn services() -> Arg {
    Arg::new("service").value_name("SERVICE").num_args(0..).help("Only these")
}

fn timeout() -> Arg {
    value("timeout", "SECONDS", "How long before SIGKILL; -1: for ever").short('t').allow_hyphen_values(true)
}

/// The commands that change what is there.
fn life() -> Vec<Command> {
    let making = |command: Command| {
        command
            .arg(flag("no-deps", "Leave alone what they depend on"))
            .arg(flag("force-recreate", "Make containers anew though nothing has changed"))
            .arg(flag("always-recreate-deps", "With --force-recreate: those that they depend on, too"))
            .arg(flag("no-recreate", "Leave containers as they are though something has changed"))
            .arg(flag("remove-orphans", "Remove containers of services that aren't in the project"))
            .arg(
                value("scale", "SERVICE=NUMBER", "How many containers a service has")
                    .action(ArgAction::Append),
            )
            .arg(value("pull", "WHEN", "When images are pulled: always, missing, never, policy"))
            .arg(flag("quiet-pull", "Show no progress of pulls"))
            .arg(flag("build", "Build images before"))
            .arg(flag("quiet-build", "Show no progress of builds"))
            .arg(flag("no-build", "Build nothing though an image is missing"))
            .arg(flag("renew-anon-volumes", "Make anonymous volumes anew, too").short('V'))
            .arg(flag("no-start", "Start nothing"))
            // Nobody is asked.
            .arg(flag("yes", "As always").short('y').hide(true))
            .arg(timeout())
            .arg(services())
    };
    vec![
        attended::flags(making(Command::new("up").about("Create and start what the project says")))
            .arg(flag("detach", "Come back as soon as all runs").short('d'))
            .arg(flag("wait", "Come back as soon as all runs and is healthy"))
            .arg(start::wait_timeout_flag()),
        making(Command::new("create").about("Create what the project says"))
            .arg(flag("detach", "As always").hide(true))
            .arg(flag("wait", "As always").hide(true)),
        Command::new("down")
            .about("Stop and remove what the project has made")
            .arg(value(
                "rmi",
                "WHICH",
                "Remove images, too: local for those without a name of their own, all",
            ))
            .arg(flag("volumes", "Remove volumes and what is in them, too").short('v'))
            .arg(flag("remove-orphans", "Remove containers of services that aren't in the project"))
            .arg(timeout())
            .arg(services()),
        start::command().arg(services()),
        Command::new("stop").about("Stop containers").arg(timeout()).arg(services()),
        Command::new("restart")
            .about("Stop containers and start them again")
            .arg(flag("no-deps", "Leave alone what depends on them"))
            .arg(timeout())
            .arg(services()),
        pull::command(),
        build::compose(),
    ]
}

/// The commands that only look.
fn looks() -> Vec<Command> {
    let format = || value("format", "FORMAT", "table, json, or a template of Go");
    let quiet = || flag("quiet", "Print names or ids only").short('q');
    vec![
        Command::new("ps")
            .about("List the project's containers")
            .after_help("Example: ps --status exited --format '{{.Name}}: {{.ExitCode}}'")
            .arg(flag("all", "Those that don't run, too").short('a'))
            .arg(quiet())
            .arg(flag("services", "Print the names of their services only"))
            .arg(
                value(
                    "status",
                    "STATUS",
                    "Those of this state only: running, paused, restarting, created, exited",
                )
                .action(ArgAction::Append),
            )
            .arg(value("filter", "KEY=VALUE", "status"))
            .arg(
                value("orphans", "BOOL", "Also those of services that aren't in the project [default: true]")
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_missing_value("true"),
            )
            .arg(flag("no-trunc", "Nothing shortened"))
            .arg(format())
            .arg(services()),
        Command::new("logs")
            .about("Show the output of containers")
            .arg(flag("follow", "Go on as more comes").short('f'))
            .arg(value("tail", "NUMBER", "So many lines from the end").short('n'))
            .arg(value("since", "TIME", "Only what came since then"))
            .arg(value("until", "TIME", "Only what came until then"))
            .arg(flag("timestamps", "Show when each line came").short('t'))
            .arg(flag("details", "Show the labels and variables that log options name"))
            .arg(flag("no-log-prefix", "Show lines without their container's name"))
            .arg(flag("no-color", "As always").hide(true))
            .arg(value("index", "NUMBER", "Of this one of the service's containers only"))
            .arg(services()),
        Command::new("ls")
            .about("List projects")
            .after_help("Example: ls --filter name=shop")
            .arg(flag("all", "Those of which nothing runs, too").short('a'))
            .arg(value("filter", "KEY=VALUE", "name"))
            .arg(quiet())
            .arg(format()),
    ]
}

fn texts(matches: &ArgMatches, id: &str) -> Vec<String> {
    matches.get_many(id).into_iter().flatten().cloned().collect()
}

fn value(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

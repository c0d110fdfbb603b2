//! What begins a process in a container, or joins one: `exec`, `run` of a project, `attach`, `cp`; with both trees.

use std::io::{IsTerminal, stdin, stdout};
use std::path::Path;

use clap::{Arg, ArgMatches, Command};

use super::container;
use super::docker::Exec;
use super::mounts;
use super::pull;
use super::typed::{Typed, command_line, flag, flag_that_is_set, operands, value, values};
use crate::apply::attach::{Shows, Tie};
use crate::apply::detach::Keys;
use crate::apply::exec::Addition;
use crate::apply::image::When;
use crate::error::{Context, Error, Kind, Result};
use crate::model::dotenv;
use crate::model::refused::variable;
use crate::model::short::words;
use crate::model::types::{Mount, Port};

const EXEC: &str = "SERVICE COMMAND [ARG...]";
const RUN: &str = "SERVICE [COMMAND] [ARG...]";

/// `attach`
#[derive(Clone, Debug, Default)]
pub struct Attach {
    /// A container, or a service.
    pub name: String,
    /// Which of the service's containers; none: the first.
    pub index: Option<u32>,
    pub no_stdin: bool,
    pub sig_proxy: bool,
    pub detach_keys: Keys,
}

/// `cp`
#[derive(Clone, Debug, Default)]
pub struct Copy {
    pub source: String,
    pub destination: String,
    /// Whether files that come out keep their owners.
    pub archive: bool,
    /// Whether a link that is the source is followed.
    pub follow: bool,
    pub quiet: bool,
}

/// `cp` of a project.
#[derive(Clone, Debug, Default)]
pub struct CopyServices {
    pub copy: Copy,
    pub index: Option<u32>,
    /// Whether containers of `run` are meant, too.
    pub all: bool,
}

/// `exec` of a project.
#[derive(Clone, Debug, Default)]
pub struct ExecService {
    pub service: String,
    pub index: Option<u32>,
    pub exec: Exec,
}

/// `run` of a project: what differs from the service.
#[derive(Clone, Debug, Default)]
pub struct RunService {
    pub service: String,
    pub command: Vec<String>,
    pub name: Option<String>,
    pub detach: bool,
    pub auto_remove: bool,
    pub interactive: bool,
    pub tty: bool,
    pub entrypoint: Option<Vec<String>>,
    /// `KEY=VALUE`, or `KEY` for one of the project's own variables.
    pub environment: Vec<String>,
    pub labels: Vec<(String, String)>,
    pub user: Option<String>,
    pub directory: Option<String>,
    pub volumes: Vec<Mount>,
    pub ports: Vec<Port>,
    pub service_ports: bool,
    pub use_aliases: bool,
    pub no_deps: bool,
    pub build: bool,
    pub quiet_pull: bool,
    /// When the image is pulled; none: as the service has it.
    pub pull: Option<When>,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub remove_orphans: bool,
}

/// The commands of a project.
pub fn commands() -> Vec<Command> {
    let index = || value("index", "NUMBER", "Which of the service's containers [default: the first]");
    vec![
        Command::new("exec")
            .about("Run a command in a container that runs: exec web ls -l /srv")
            .arg(flag("detach", "Come back as soon as it runs").short('d'))
            .args(no_tty())
            .arg(flag("privileged", "Let it do what the host can"))
            .arg(value("user", "USER[:GROUP]", "Who runs").short('u'))
            .arg(value("workdir", "DIR", "The directory that it starts in").short('w'))
            .arg(values("env", "KEY[=VALUE]", "Set a variable").short('e'))
            .arg(index())
            .arg(command_line(EXEC, "The service and what runs")),
        run(),
        attach_flags(Command::new("attach").about("Tie our streams to those of a service's container"))
            .arg(index())
            .arg(operands("SERVICE", "The service").num_args(1)),
        copy_flags(Command::new("cp").about("Copy files between a service's container and the host"))
            .arg(flag("all", "Containers of `run`, too"))
            .arg(index()),
    ]
}

fn no_tty() -> [Arg; 3] {
    [
        flag("no-tty", "Give it no terminal; by default it has one if we have").short('T').alias("no-TTY"),
        flag("interactive", "Keep standard input open, as always").short('i').hide(true),
        flag("tty", "Give it a terminal, as always").short('t').hide(true),
    ]
}

fn run() -> Command {
    Command::new("run")
        .about("Run a command in a new container of a service: run --rm web ls -l /srv")
        .arg(flag("detach", "Come back as soon as it runs, and print its name").short('d'))
        .arg(flag("rm", "Remove it when it ends"))
        .arg(flag("quiet", "Tell nothing of what is made before").short('q'))
        .arg(flag("quiet-build", "Show no progress of builds"))
        .args(no_tty())
        .arg(value("name", "NAME", "The container's name"))
        .arg(value("entrypoint", "COMMAND", "What runs in place of the service's entrypoint"))
        .arg(values("env", "KEY[=VALUE]", "Set a variable; without a value, take it from here").short('e'))
        .arg(values("label", "KEY=VALUE", "A label").short('l'))
        .arg(value("user", "USER[:GROUP]", "Who runs").short('u'))
        .arg(value("workdir", "DIR", "The directory that it starts in").short('w'))
        .arg(values("volume", "[SOURCE:]TARGET[:OPTIONS]", "Mount a volume or a path of the host").short('v'))
        .arg(
            values("publish", "[IP:][HOST:]PORT[/PROTOCOL]", "Publish a port")
                .short('p')
                .conflicts_with("service-ports"),
        )
        .arg(flag("service-ports", "Publish the service's ports").short('P'))
        .arg(flag("use-aliases", "Answer to the service's name on its networks"))
        .arg(flag("no-deps", "Leave alone what it depends on"))
        .arg(flag("build", "Build the image before"))
        .arg(flag("quiet-pull", "Show no progress of a pull"))
        .arg(value("pull", "WHEN", "When the image is pulled: always, missing, never, policy"))
        .arg(values("cap-add", "CAPABILITY", "Give it a capability"))
        .arg(values("cap-drop", "CAPABILITY", "Take a capability from it"))
        .arg(values("env-from-file", "FILE", "Set the variables of this file"))
        .arg(flag("remove-orphans", "Remove containers of services that aren't in the project"))
        .arg(command_line(RUN, "The service, and what runs in place of its command"))
}

/// How the streams of a container that is run are tied to ours.
pub fn tie_flags() -> [Arg; 3] {
    [
        values("attach", "stdin|stdout|stderr", "Tie this stream to ours, and no other").short('a'),
        flag_that_is_set("sig-proxy", "Give signals to it [default: true]"),
        detach_keys_flag(),
    ]
}

/// What is meant by them.
///
/// Errors: what is no stream, and streams of who is left alone at once, in Docker's words.
pub fn tie(typed: &Typed) -> Result<Tie> {
    let streams: Vec<String> = typed.texts("attach").iter().map(|stream| stream.to_lowercase()).collect();
    let is_none = |stream: &&String| !["stdin", "stdout", "stderr"].contains(&stream.as_str());
    if let Some(wrong) = streams.iter().find(is_none) {
        let line = format!(
            "invalid argument \"{wrong}\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR"
        );
        return Err(Error::of_kind(Kind::Usage, line));
    }
    if !streams.is_empty() && typed.flag("detach") {
        return Err(Error::new("conflicting options: cannot specify both --attach and --detach"));
    }
    let has = |stream: &str| streams.is_empty() || streams.iter().any(|named| named == stream);
    Ok(Tie {
        // Who asks for input to be kept open gives it, whatever else is named.
        stdin: None,
        shows: Shows { stdout: has("stdout"), stderr: has("stderr") },
        signals: typed.flag("sig-proxy"),
        keys: detach_keys(typed)?,
    })
}

/// `attach`, but for its operand.
pub fn attach_flags(command: Command) -> Command {
    command
        .arg(flag("no-stdin", "Don't give it our standard input"))
        .arg(flag_that_is_set("sig-proxy", "Give signals to it [default: true]"))
        .arg(detach_keys_flag())
}

/// The keys that leave a process alone.
pub fn detach_keys_flag() -> Arg {
    value("detach-keys", "KEYS", "The keys that leave it alone [default: ctrl-p,ctrl-q]")
}

/// `cp`
pub fn copy_flags(command: Command) -> Command {
    command
        .arg(flag("archive", "Keep owners").short('a'))
        .arg(flag("follow-link", "Follow a link that is the source").short('L'))
        .arg(flag("quiet", "Say nothing").short('q'))
        .arg(operands("SOURCE", "NAME:PATH, a path, or - for a tar of ours").num_args(1))
        .arg(operands("DESTINATION", "NAME:PATH, a path, or - for a tar").num_args(1))
}

/// The keys that were typed on the command line.
pub fn detach_keys(typed: &Typed) -> Result<Keys> {
    typed.text("detach-keys").map_or(Ok(Keys::default()), |text| Keys::read(&text))
}

/// `attach`, where the name of the operand is `operand`.
pub fn attach(typed: &Typed, operand: &str) -> Result<Attach> {
    Ok(Attach {
        name: typed.text(operand).unwrap_or_default(),
        index: None,
        no_stdin: typed.flag("no-stdin"),
        sig_proxy: typed.flag("sig-proxy"),
        detach_keys: detach_keys(typed)?,
    })
}

/// `cp`
pub fn copy(typed: &Typed) -> Copy {
    Copy {
        source: typed.text("SOURCE").unwrap_or_default(),
        destination: typed.text("DESTINATION").unwrap_or_default(),
        archive: typed.flag("archive"),
        follow: typed.flag("follow-link"),
        quiet: typed.flag("quiet") || !stdout().is_terminal(),
    }
}

/// `attach` of a project.
pub fn attach_service(matches: &ArgMatches) -> Result<Attach> {
    let typed = Typed(matches);
    Ok(Attach { index: index(&typed)?, ..attach(&typed, "SERVICE")? })
}

/// `cp` of a project.
pub fn copy_services(matches: &ArgMatches) -> Result<CopyServices> {
    let typed = Typed(matches);
    Ok(CopyServices { copy: copy(&typed), index: index(&typed)?, all: typed.flag("all") })
}

/// `exec` of a project.
pub fn exec_service(matches: &ArgMatches) -> Result<ExecService> {
    let typed = Typed(matches);
    let mut line = typed.texts(EXEC).into_iter();
    let service = line.next().unwrap_or_default();
    let command: Vec<String> = line.collect();
    if command.is_empty() {
        return Err(Error::new("\"corten-compose exec\" requires at least 2 arguments"));
    }
    let ours = |name: String| std::env::var(&name).ok().map(|value| format!("{name}={value}"));
    let variable = |line: String| if line.contains('=') { Some(line) } else { ours(line) };
    named(&typed)?;
    let detach = typed.flag("detach");
    Ok(ExecService {
        service,
        index: index(&typed)?,
        exec: Exec {
            container: String::new(),
            process: Addition {
                command,
                tty: has_terminal(&typed),
                privileged: typed.flag("privileged"),
                user: typed.text("user"),
                directory: typed.text("workdir"),
                environment: typed.texts("env").into_iter().filter_map(variable).collect(),
            },
            detach,
            interactive: !detach,
            detach_keys: Keys::default(),
        },
    })
}

/// `run` of a project.
pub fn run_service(matches: &ArgMatches) -> Result<RunService> {
    let typed = Typed(matches);
    let mut line = typed.texts(RUN).into_iter();
    let entrypoint = typed.text("entrypoint");
    let entrypoint =
        entrypoint.map(|text| words(&text).map_err(|why| Error::new(format!("--entrypoint: {why}"))));
    named(&typed)?;
    let unfit = typed.texts("label").into_iter().find(|label| !label.contains('='));
    if unfit.is_some() {
        return Err(Error::new("label must be set as KEY=VALUE"));
    }
    let detach = typed.flag("detach");
    Ok(RunService {
        service: line.next().unwrap_or_default(),
        command: line.collect(),
        name: typed.text("name"),
        detach,
        auto_remove: typed.flag("rm"),
        interactive: !detach,
        tty: has_terminal(&typed),
        entrypoint: entrypoint.transpose()?,
        environment: variables(&typed)?,
        labels: typed.pairs("label").collect(),
        user: typed.text("user"),
        directory: typed.text("workdir"),
        volumes: typed.texts("volume").iter().map(|text| mounts::volume(text)).collect::<Result<_>>()?,
        ports: container::ports(&typed)?,
        service_ports: typed.flag("service-ports"),
        use_aliases: typed.flag("use-aliases"),
        no_deps: typed.flag("no-deps"),
        build: typed.flag("build"),
        quiet_pull: typed.flag("quiet-pull"),
        pull: pull::when("pull", typed.text("pull").as_deref())?,
        cap_add: typed.texts("cap-add"),
        cap_drop: typed.texts("cap-drop"),
        remove_orphans: typed.flag("remove-orphans"),
    })
}

/// The variables of files, and over them the command line's.
fn variables(typed: &Typed) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for file in typed.texts("env-from-file") {
        let outside = |name: &str| std::env::var(name).ok();
        let text = crate::input::text(Path::new(&file)).at(&file)?;
        let found = dotenv::parse(&text, &outside).map_err(|why| Error::new(format!("{file}: {why}")))?;
        lines.extend(found.into_iter().map(|(name, value)| format!("{name}={value}")));
    }
    lines.extend(typed.texts("env"));
    Ok(lines)
}

/// Errors: a variable without a name.
fn named(typed: &Typed) -> Result<()> {
    let variables =
        typed.pairs("env").map(|(name, value)| (name, Some(value).filter(|value| !value.is_empty())));
    variables.into_iter().try_for_each(|(name, value)| variable(&name, value.as_deref()).map_err(Error::new))
}

fn has_terminal(typed: &Typed) -> bool {
    !typed.flag("no-tty") && !typed.flag("detach") && stdin().is_terminal() && stdout().is_terminal()
}

fn index(typed: &Typed) -> Result<Option<u32>> {
    typed.read("index").map(|index| index.filter(|number| *number > 0))
}

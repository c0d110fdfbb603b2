//! docker's flags of `build`, and docker compose's.

use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};

use super::typed::{Typed, flag, operands, value, values};
use crate::build::from_model::{Options, attestation};
use crate::build::{Dockerfile, Further, Progress, Request, Source};
use crate::client_config::proxies;
use crate::error::{Context, Error, Result};
use crate::model::values::Bytes;
use crate::reference::Reference;

/// `cortenctl build`
#[derive(Debug)]
pub struct Build {
    pub request: Request,
    pub progress: Progress,
    /// What standard input is.
    pub stdin: Stdin,
    /// Where the id of the image is written.
    pub iidfile: Option<String>,
}

/// What a build reads from standard input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    #[default]
    Nothing,
    /// `-f -`
    Dockerfile,
    /// `-`: a Dockerfile without a context, or an archive.
    Context,
}

/// `corten-compose build`
#[derive(Clone, Debug)]
pub struct BuildServices {
    pub services: Vec<String>,
    pub with_dependencies: bool,
    pub options: Options,
    pub progress: Progress,
}

/// docker's `build`.
pub fn docker() -> Command {
    Command::new("build")
        .about("Build an image by BuildKit")
        .after_help(
            "Example: cortenctl build -t web:1 --build-arg VERSION=1 .\n\
             The context is a directory, a URL of git or of an archive, or - for standard input.",
        )
        .arg(values("tag", "NAME[:TAG]", "A name of the image").short('t'))
        .arg(
            value("file", "FILE", "The Dockerfile, - for standard input [default: CONTEXT/Dockerfile]")
                .short('f'),
        )
        .args([
            values(
                "build-arg",
                "KEY[=VALUE]",
                "An argument of the Dockerfile; without a value, taken from here",
            ),
            values(
                "build-context",
                "NAME=SOURCE",
                "A further context: a directory, a URL, docker-image://NAME",
            ),
            value("target", "STAGE", "The stage to build"),
            values("platform", "OS/ARCH", "The image's platform; several between commas"),
            values("label", "KEY=VALUE", "A label of the image"),
            values("annotation", "KEY=VALUE", "An annotation of the image's manifest"),
            flag("pull", "Ask for base images in their registry though they are here"),
            value("iidfile", "FILE", "Write the image's id to FILE"),
            value("metadata-file", "FILE", "Write what BuildKit tells of the result to FILE"),
        ])
        .args(common())
        .args([
            values("cache-from", "CACHE", "A cache to read: a name, or type=TYPE,KEY=VALUE"),
            values("cache-to", "CACHE", "A cache to write"),
            values("no-cache-filter", "STAGE", "A stage to build without the cache"),
            values("secret", "id=ID,src=FILE", "A secret of RUN instructions; also id=ID,env=VARIABLE"),
            values("allow", "ENTITLEMENT", "What the build is entitled to: network.host, security.insecure"),
            value("network", "MODE", "The network of RUN instructions: default, host, none"),
            values("add-host", "NAME:ADDRESS", "A line of /etc/hosts for RUN instructions"),
            value("shm-size", "BYTES", "The size of /dev/shm"),
            values("ulimit", "NAME=SOFT[:HARD]", "A resource limit of RUN instructions"),
            value("cgroup-parent", "CGROUP", "The cgroup above that of RUN instructions"),
            values("output", "DEST", "Where the result goes: a directory, -, type=TYPE,dest=PATH").short('o'),
            flag("load", "Into containerd, as always").hide(true),
            flag("force-rm", "As always").hide(true),
            flag("rm", "As always").hide(true),
        ])
        .arg(operands("CONTEXT", "A directory, a URL, or -").num_args(1))
}

/// docker compose's `build`.
pub fn compose() -> Command {
    Command::new("build")
        .about("Build the services' images by BuildKit")
        .after_help("Example: corten-compose build --build-arg VERSION=1 web")
        .arg(values(
            "build-arg",
            "KEY[=VALUE]",
            "An argument of the Dockerfiles; without a value, taken from here",
        ))
        .arg(flag("pull", "Ask for base images in their registry though they are here"))
        .arg(flag("with-dependencies", "With the services that they depend on"))
        .args(common())
        .arg(
            clap::Arg::new("service")
                .value_name("SERVICE")
                .num_args(0..)
                .help("The services; without any, all of them"),
        )
}

fn common() -> [clap::Arg; 7] {
    [
        flag("no-cache", "Build all anew"),
        value("progress", "auto|plain|tty|quiet|rawjson", "What is shown meanwhile"),
        flag("quiet", "Show nothing unless the build fails").short('q'),
        values("ssh", "default|ID=PATH", "An SSH agent or key of RUN instructions"),
        flag("push", "Push the image to its registry"),
        value("provenance", "true|false|KEY=VALUE", "A provenance attestation"),
        value("sbom", "true|false|KEY=VALUE", "An SBOM attestation"),
    ]
}

/// What is meant by docker's flags.
///
/// Errors: the flag, and why its value is none.
pub fn of_docker(matches: &ArgMatches) -> Result<Build> {
    let typed = Typed(matches);
    let context = typed.text("CONTEXT").unwrap_or_default();
    let file = typed.text("file");
    let stdin = match (context.as_str(), file.as_deref()) {
        ("-", Some("-")) => {
            return Err(Error::new(
                "invalid argument: can't use stdin for both build context and dockerfile",
            ));
        }
        ("-", _) => Stdin::Context,
        (_, Some("-")) => Stdin::Dockerfile,
        _ => Stdin::Nothing,
    };
    let context = if context == "-" { Source::default() } else { Source::of(&context) };
    let names = typed.texts("tag");
    let names = names
        .iter()
        .map(|name| Ok(Reference::parse(name).at(format_args!("invalid tag \"{name}\""))?.full()));
    let platforms = typed.texts("platform");
    let request = Request {
        names: names.collect::<Result<_>>()?,
        dockerfile: dockerfile(&context, file.as_deref())?,
        context,
        target: typed.text("target"),
        args: proxies::variables().into_iter().chain(args(&typed)).collect(),
        labels: typed.pairs("label").collect(),
        annotations: typed.pairs("annotation").collect(),
        contexts: typed.pairs("build-context").map(|(name, source)| (name, Further::of(&source))).collect(),
        platforms: platforms.iter().flat_map(|some| some.split(',')).map(str::to_owned).collect(),
        cache_from: typed.texts("cache-from"),
        cache_to: typed.texts("cache-to"),
        no_cache: typed.flag("no-cache"),
        no_cache_filter: typed.texts("no-cache-filter"),
        pull: typed.flag("pull"),
        network: typed.text("network"),
        hosts: typed.texts("add-host").iter().map(|host| of_host(host)).collect(),
        shm_bytes: typed.read::<Bytes>("shm-size")?.map(|bytes| bytes.0),
        ulimits: typed.texts("ulimit"),
        cgroup_parent: typed.text("cgroup-parent"),
        secrets: typed.texts("secret"),
        ssh: typed.texts("ssh"),
        allow: typed.texts("allow"),
        attest: attest(&typed),
        outputs: typed.texts("output"),
        push: typed.flag("push"),
        metadata_file: typed.text("metadata-file"),
        environment: Vec::new(),
    };
    Ok(Build { request, progress: progress(&typed), stdin, iidfile: typed.text("iidfile") })
}

/// What is meant by docker compose's flags.
pub fn of_compose(matches: &ArgMatches) -> BuildServices {
    let typed = Typed(matches);
    let options = Options {
        no_cache: typed.flag("no-cache"),
        pull: typed.flag("pull"),
        push: typed.flag("push"),
        args: args(&typed),
        ssh: typed.texts("ssh"),
        attest: attest(&typed),
        proxies: proxies::variables(),
        all_platforms: true,
    };
    BuildServices {
        services: typed.texts("service"),
        with_dependencies: typed.flag("with-dependencies"),
        options,
        progress: progress(&typed),
    }
}

fn progress(typed: &Typed) -> Progress {
    Progress::of(typed.text("progress"), typed.flag("quiet"))
}

/// An argument without a value is the variable of that name; if there is none, it isn't given.
fn args(typed: &Typed) -> Vec<(String, String)> {
    let args = typed.texts("build-arg").into_iter().filter_map(|arg| match arg.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => std::env::var(&arg).ok().map(|value| (arg, value)),
    });
    args.collect()
}

fn attest(typed: &Typed) -> Vec<(String, String)> {
    let asked = ["provenance", "sbom"].map(|kind| (kind, typed.text(kind)));
    let asked = asked.into_iter().filter_map(|(kind, asked)| Some((kind.to_owned(), attestation(&asked?)?)));
    asked.collect()
}

/// The Dockerfile: what is named is a file of this directory; without a name, the context's.
fn dockerfile(context: &Source, file: Option<&str>) -> Result<Dockerfile> {
    match (context, file) {
        (_, Some("-")) => Ok(Dockerfile::default()),
        (Source::Directory(directory), file) => {
            let file = file.map_or_else(|| directory.join("Dockerfile"), PathBuf::from);
            if !directory.is_dir() {
                return Err(Error::new(format!(
                    "unable to prepare context: path \"{}\" not found",
                    directory.display()
                )));
            }
            Ok(Dockerfile::File(file))
        }
        (Source::Elsewhere(_), file) => {
            Ok(Dockerfile::File(Path::new(file.unwrap_or("Dockerfile")).to_owned()))
        }
    }
}

/// `NAME:ADDRESS`, or with `=`, and brackets around an address of IPv6.
fn of_host(typed: &str) -> String {
    let (name, address) = typed.split_once(['=', ':']).unwrap_or((typed, ""));
    format!("{name}={}", address.trim_start_matches('[').trim_end_matches(']'))
}

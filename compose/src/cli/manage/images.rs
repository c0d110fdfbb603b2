//! `save`, `load`, `push`, `login`, `logout`, `history`.

use clap::Command;

use super::{List, Local, Managed};
use crate::cli::docker::{self, Verb};
use crate::cli::typed::{Typed, flag, operands, value, values};
use crate::error::{Error, Result};

/// `save`
#[derive(Clone, Debug, Default)]
pub struct Save {
    pub images: Vec<String>,
    /// None: standard output.
    pub output: Option<String>,
    pub platform: Option<String>,
}

/// `import`
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// A file, an address, or `-`.
    pub source: String,
    /// None: the image has no name.
    pub name: Option<String>,
    pub message: Option<String>,
    /// Instructions of a Dockerfile.
    pub changes: Vec<String>,
    pub platform: Option<String>,
}

/// `push`
#[derive(Clone, Debug, Default)]
pub struct Push {
    pub image: String,
    pub quiet: bool,
    pub all_tags: bool,
    pub platform: Option<String>,
}

/// `login`
#[derive(Clone, Default)]
pub struct Login {
    pub server: Option<String>,
    pub user: Option<String>,
    pub password: Option<String>,
    pub password_stdin: bool,
}

/// A password is nobody's to read.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("server", &self.server)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

pub fn tree() -> Vec<Command> {
    let platform = || value("platform", "OS/ARCH", "The image's platform");
    let server = || operands("SERVER", "The registry [default: Docker Hub]").required(false).num_args(0..=1);
    vec![
        Command::new("history")
            .about("Show how an image was made")
            .arg(flag("human", "Sizes and dates for people, as always").short('H').hide(true))
            .arg(flag("quiet", "Only the ids").short('q'))
            .arg(flag("no-trunc", "Nothing shortened"))
            .arg(docker::format())
            .arg(operands("IMAGE", "Name or id").num_args(1)),
        Command::new("save")
            .about("Write images into an archive")
            .after_help("Example: cortenctl save nginx | gzip > nginx.tar.gz")
            .arg(value("output", "FILE", "The archive [default: standard output]").short('o'))
            .arg(platform())
            .arg(operands("IMAGE", "Names or ids")),
        Command::new("load")
            .about("Read images from an archive")
            .after_help("Example: cortenctl load -i nginx.tar.gz")
            .arg(value("input", "FILE", "The archive [default: standard input]").short('i'))
            .arg(flag("quiet", "Without progress").short('q')),
        Command::new("import")
            .about("Make an image of an archive of files")
            .after_help("Example: cortenctl export web | cortenctl import -c 'CMD [\"sh\"]' - web:flat")
            .arg(
                values("change", "INSTRUCTION", "An instruction of a Dockerfile: CMD, ENV, EXPOSE, ...")
                    .short('c'),
            )
            .arg(value("message", "TEXT", "What is to be said of it").short('m'))
            .arg(platform())
            .arg(operands("FILE|URL|-", "A tar archive, compressed or not").num_args(1))
            .arg(operands("REPOSITORY[:TAG]", "The image's name").required(false).num_args(0..=1)),
        search(),
        Command::new("push")
            .about("Push an image to its registry")
            .arg(flag("quiet", "Only print the name").short('q'))
            .arg(flag("all-tags", "All names of the repository").short('a'))
            .arg(flag("disable-content-trust", "As always").hide(true))
            .arg(platform())
            .arg(operands("IMAGE", "The name").num_args(1)),
        Command::new("login")
            .about("Remember how to log in to a registry")
            .after_help(
                "Example: pass show registry | cortenctl login -u me --password-stdin registry.example.org",
            )
            .arg(value("username", "NAME", "Who").short('u'))
            .arg(value("password", "PASSWORD", "The password; others can see it here").short('p'))
            .arg(flag("password-stdin", "Read the password from standard input"))
            .arg(server()),
        Command::new("logout").about("Forget how to log in to a registry").arg(server()),
    ]
}

/// Registries have no search in common, so that it only says where to look.
fn search() -> Command {
    Command::new("search")
        .about("Say where to look for images")
        .arg(values("filter", "KEY=VALUE", "Not done").short('f').hide(true))
        .arg(value("format", "FORMAT", "Not done").hide(true))
        .arg(value("limit", "NUMBER", "Not done").hide(true))
        .arg(flag("no-trunc", "Not done").hide(true))
        .arg(operands("TERM", "What is looked for").num_args(1))
}

pub fn verb(name: &str, typed: &Typed) -> Result<Verb> {
    let image = || typed.text("IMAGE").unwrap_or_default();
    Ok(match name {
        "history" => Verb::Managed(Managed::History {
            image: image(),
            list: List {
                quiet: typed.flag("quiet"),
                no_trunc: typed.flag("no-trunc"),
                format: typed.text("format"),
                ..List::default()
            },
        }),
        "save" => Verb::Managed(Managed::Save(Save {
            images: typed.texts("IMAGE"),
            output: typed.text("output"),
            platform: typed.text("platform"),
        })),
        "load" => Verb::Managed(Managed::Load { input: typed.text("input"), quiet: typed.flag("quiet") }),
        "import" => Verb::Managed(Managed::Import(Import {
            source: typed.text("FILE|URL|-").unwrap_or_default(),
            name: typed.text("REPOSITORY[:TAG]"),
            message: typed.text("message"),
            changes: typed.texts("change"),
            platform: typed.text("platform"),
        })),
        "search" => Verb::Local(Local::Search { term: typed.text("TERM").unwrap_or_default() }),
        "push" => Verb::Managed(Managed::Push(Push {
            image: image(),
            quiet: typed.flag("quiet"),
            all_tags: typed.flag("all-tags"),
            platform: typed.text("platform"),
        })),
        "login" => Verb::Local(Local::Login(Login {
            server: typed.text("SERVER"),
            user: typed.text("username"),
            password: typed.text("password"),
            password_stdin: typed.flag("password-stdin"),
        })),
        "logout" => Verb::Local(Local::Logout { server: typed.text("SERVER") }),
        other => return Err(Error::new(format!("{other}: no such command"))),
    })
}

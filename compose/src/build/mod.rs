//! Images that are built: a request → `buildctl`'s arguments → BuildKit → an image in containerd.
//!
//! Nothing of a Dockerfile is read here: BuildKit's frontend does that.

use std::path::PathBuf;

pub mod arguments;
pub mod buildctl;
pub mod from_model;
pub mod staged;

/// What is built, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The image's whole names. None: it is only known by its digest.
    pub names: Vec<String>,
    pub context: Source,
    pub dockerfile: Dockerfile,
    /// The stage to build. None: the last one.
    pub target: Option<String>,
    pub args: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    /// Of the image's index and manifest, where there are such.
    pub annotations: Vec<(String, String)>,
    /// Further contexts by their names.
    pub contexts: Vec<(String, Further)>,
    /// `OS/ARCHITECTURE`. None: the builder's own.
    pub platforms: Vec<String>,
    /// `type=TYPE,KEY=VALUE,…`, or a name in a registry.
    pub cache_from: Vec<String>,
    pub cache_to: Vec<String>,
    pub no_cache: bool,
    /// The stages that are built without the cache.
    pub no_cache_filter: Vec<String>,
    /// Whether base images are asked for in their registry though they are here.
    pub pull: bool,
    /// Of the RUN instructions: `host`, `none`, `default`.
    pub network: Option<String>,
    /// `HOST=ADDRESS`.
    pub hosts: Vec<String>,
    /// Of /dev/shm.
    pub shm_bytes: Option<i64>,
    /// `NAME=SOFT:HARD`.
    pub ulimits: Vec<String>,
    pub cgroup_parent: Option<String>,
    /// `id=ID,src=FILE`, `id=ID,env=VARIABLE`.
    pub secrets: Vec<String>,
    /// `default`, `ID=PATH`.
    pub ssh: Vec<String>,
    /// What the build is entitled to: `network.host`, `security.insecure`.
    pub allow: Vec<String>,
    /// Attestations with their parameters: `provenance`, `mode=max`.
    pub attest: Vec<(String, String)>,
    /// Where the result goes, as `--output` has it. None: into containerd.
    pub outputs: Vec<String>,
    /// Whether the image goes to its registry, too.
    pub push: bool,
    /// Where BuildKit's own account of the result is written.
    pub metadata_file: Option<String>,
    /// Variables that secrets are read from.
    pub environment: Vec<(String, String)>,
}

/// Where a build's files come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    Directory(PathBuf),
    /// A URL that BuildKit fetches: of git, or of an archive.
    Elsewhere(String),
}

impl Default for Source {
    fn default() -> Source {
        Source::Directory(".".into())
    }
}

impl Source {
    /// What is meant by a text.
    pub fn of(text: &str) -> Source {
        if is_elsewhere(text) { Source::Elsewhere(text.to_owned()) } else { Source::Directory(text.into()) }
    }
}

/// Whether the text is no path but the address of something that is to be fetched.
fn is_elsewhere(text: &str) -> bool {
    text.contains("://") || text.starts_with("git@") || text.starts_with("github.com/")
}

/// The Dockerfile.
#[derive(Clone, Debug, PartialEq)]
pub enum Dockerfile {
    /// A file of this machine; within a context that is fetched, its path there.
    File(PathBuf),
    /// The text itself.
    Text(String),
}

impl Default for Dockerfile {
    fn default() -> Dockerfile {
        Dockerfile::File("Dockerfile".into())
    }
}

/// A further context.
#[derive(Clone, Debug, PartialEq)]
pub enum Further {
    Source(Source),
    /// An image of containerd, by its whole name.
    Image(String),
    /// A directory that is a layout of OCI, with the digest of what is meant in it. None: what comes first.
    Layout(PathBuf, Option<String>),
}

impl Further {
    /// What is meant by a text.
    pub fn of(text: &str) -> Further {
        let Some(layout) = text.strip_prefix("oci-layout://") else {
            return Further::Source(Source::of(text));
        };
        match layout.split_once('@') {
            Some((directory, digest)) => Further::Layout(directory.into(), Some(digest.to_owned())),
            None => Further::Layout(layout.into(), None),
        }
    }
}

/// What is shown of a build meanwhile: `auto`, `plain`, `tty`, `rawjson`, and `quiet` for nothing unless it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress(pub String);

impl Progress {
    /// What was typed, or the variable that BuildKit has for it.
    pub fn of(typed: Option<String>, quiet: bool) -> Progress {
        let said = typed.or_else(|| std::env::var("BUILDKIT_PROGRESS").ok()).filter(|said| !said.is_empty());
        Progress(if quiet { "quiet".to_owned() } else { said.unwrap_or_else(|| "auto".to_owned()) })
    }

    pub fn is_quiet(&self) -> bool {
        self.0 == "quiet"
    }
}

/// What a build has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// The id of the image. None: the result went elsewhere.
    pub id: Option<String>,
}

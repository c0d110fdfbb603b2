//! Images: found by what people type, pulled, read.

use std::io::IsTerminal;

use serde::Deserialize;
use tokio::process::Command;

use super::platform::Platform;
use super::{credentials, ctr, unpack};
use crate::engine::Engine;
use crate::engine::images::{CreateImage, DeleteImage, GetImage, Image as Name, ListImages, UpdateImage};
use crate::engine::types::{Descriptor, FieldMask};
use crate::error::{Context, Error, Kind, Result, tell_lines};
use crate::reference::{Reference, familiar};
use crate::spec::image::Image as Document;

/// An image as it is used: whose name was typed, and what its manifest and config say.
#[derive(Clone, Debug)]
pub struct Image {
    /// The name in containerd.
    pub name: String,
    /// The config's digest, which is the image's id.
    pub id: String,
    /// The digest that the name stands for: of an index or a manifest.
    pub target: String,
    /// Whether that is an index, which may name other platforms' images.
    pub is_index: bool,
    /// The manifest's digest.
    pub manifest: String,
    /// What the manifest lists.
    pub layers: Vec<Descriptor>,
    /// The config.
    pub document: Document,
}

/// This machine's platform.
pub fn own_platform() -> String {
    Platform::own().to_string()
}

/// An index or a manifest: a manifest has a config.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manifest {
    manifests: Vec<Entry>,
    config: Option<Entry>,
    layers: Vec<Entry>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: String,
    size: i64,
    platform: Option<Its>,
}

/// The platform that an entry of an index is for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Its {
    os: String,
    architecture: String,
}

impl From<Entry> for Descriptor {
    fn from(entry: Entry) -> Descriptor {
        let Entry { media_type, digest, size, .. } = entry;
        Descriptor { media_type, digest, size, ..Descriptor::default() }
    }
}

/// How an index may lead to another one.
const INDEXES_MAX: usize = 4;

impl Image {
    /// Reads what a name stands for, on this machine's platform or on `platform`, `OS/ARCHITECTURE`.
    pub async fn read(engine: &Engine, name: &Name, platform: Option<&str>) -> Result<Image> {
        Image::of_name(engine, name, platform).await.at(&name.name)
    }

    async fn of_name(engine: &Engine, name: &Name, platform: Option<&str>) -> Result<Image> {
        let target = name.target.as_ref().map(|target| target.digest.clone()).unwrap_or_default();
        let platform = platform.map_or_else(|| Ok(Platform::own()), Platform::parse)?;
        let mut digest = target.clone();
        for _ in 0..INDEXES_MAX {
            let manifest: Manifest =
                serde_json::from_slice(&engine.read_document(&digest).await?).at(&digest)?;
            if let Some(config) = manifest.config {
                let document = serde_json::from_slice(&engine.read_document(&config.digest).await?);
                return Ok(Image {
                    name: name.name.clone(),
                    id: config.digest.clone(),
                    is_index: digest != target,
                    manifest: digest,
                    target,
                    layers: manifest.layers.into_iter().map(Descriptor::from).collect(),
                    document: document.at(&config.digest)?,
                });
            }
            let fits = |entry: &&Entry| {
                entry.platform.as_ref().is_none_or(|its| platform.has(&its.os, &its.architecture))
            };
            let fitting = manifest.manifests.iter().find(fits);
            let missing = || Error::of_kind(Kind::NotFound, format!("no image for {platform}"));
            digest = fitting.map(|entry| entry.digest.clone()).ok_or_else(missing)?;
        }
        Err(Error::new("indexes of indexes without end"))
    }

    /// The image, if it is for the platform that somebody asks for.
    ///
    /// Errors: NotFound, in Docker's words.
    fn for_platform(self, platform: Option<&str>) -> Result<Image> {
        let Some(asked) = platform.map(Platform::parse).transpose()? else { return Ok(self) };
        let (os, architecture) = (&self.document.os, &self.document.architecture);
        // An image that says nothing is for whoever wants it.
        if architecture.is_empty() || asked.has(os, architecture) {
            return Ok(self);
        }
        Err(Error::of_kind(
            Kind::NotFound,
            format!(
                "image with reference {} was found but its platform ({os}/{architecture}) does not match the specified \
                 platform ({asked})",
                familiar(&self.name)
            ),
        ))
    }

    /// The bytes of what was pulled.
    pub fn size(&self) -> i64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// The snapshot that containers begin from.
    pub fn chain_id(&self) -> String {
        unpack::chain_id(&self.document.rootfs.diff_ids)
    }
}

/// Finds an image by its name, or by the beginning of its id.
///
/// Errors: NotFound, in Docker's words.
pub async fn find(engine: &Engine, typed: &str, platform: Option<&str>) -> Result<Image> {
    let reference = Reference::parse(typed.strip_prefix("sha256:").unwrap_or(typed));
    if let Ok(reference) = &reference {
        match engine.call(GetImage { name: reference.full() }).await {
            Ok(answer) => {
                let image = Image::read(engine, &answer.image.unwrap_or_default(), platform).await?;
                return image.for_platform(platform);
            }
            Err(err) if err.kind() == Kind::NotFound => {}
            Err(err) => return Err(err),
        }
    }
    match by_id(engine, typed).await?.into_iter().next() {
        Some(image) => image.for_platform(platform),
        None => {
            let name = reference?.familiar();
            Err(Error::of_kind(Kind::NotFound, format!("No such image: {name}")))
        }
    }
}

/// The names of the image whose id begins so. A beginning that is too short for an id is none.
pub async fn by_id(engine: &Engine, typed: &str) -> Result<Vec<Image>> {
    const DIGITS_MIN: usize = 4;
    let typed = typed.strip_prefix("sha256:").unwrap_or(typed);
    if typed.len() < DIGITS_MIN || !typed.chars().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(Vec::new());
    }
    let images = all(engine).await?.into_iter();
    Ok(images.filter(|image| image.id.trim_start_matches("sha256:").starts_with(typed)).collect())
}

/// All images that can be read. Of some, only another platform's part is here.
pub async fn all(engine: &Engine) -> Result<Vec<Image>> {
    let mut images = Vec::new();
    for name in engine.call(ListImages { filters: Vec::new() }).await?.images {
        images.extend(Image::read(engine, &name, None).await.ok());
    }
    Ok(images)
}

/// When an image is pulled: `run --pull`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Always,
    Missing,
    Never,
}

/// Finds an image, and pulls it before if that is asked for; says first that it pulls.
pub async fn ensure(
    engine: &Engine,
    typed: &str,
    when: When,
    platform: Option<&str>,
    shows: Shows,
) -> Result<Image> {
    platform.map(Platform::parse).transpose()?;
    match find(engine, typed, platform).await {
        Ok(image) if when != When::Always => Ok(image),
        Err(err) if when == When::Never || err.kind() != Kind::NotFound => Err(err),
        _ => {
            let reference = Reference::parse(typed)?;
            if when == When::Missing {
                tell_lines(format_args!("Unable to find image '{}' locally", reference.familiar()));
            }
            pull(engine, &reference, platform, shows).await?;
            find(engine, typed, platform).await
        }
    }
}

/// What a pull shows meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    Progress,
    Nothing,
}

/// Where people say which registries have mirrors, or speak plain HTTP.
const HOSTS_DIR: &str = "/etc/containerd/certs.d";

/// Pulls an image by `ctr`, which knows every containerd's way. Progress goes to standard error.
pub async fn pull(
    engine: &Engine,
    reference: &Reference,
    platform: Option<&str>,
    shows: Shows,
) -> Result<()> {
    let mut command = ctr::command(engine, &["images", "pull", "--snapshotter", &unpack::snapshotter()]);
    command.args(platform.iter().flat_map(|platform| ["--platform", platform]));
    match shows {
        // Its progress is on standard output, where ours has nothing to do. It paints, so it needs a terminal.
        Shows::Progress if std::io::stderr().is_terminal() => command.stdout(std::io::stderr()),
        Shows::Progress | Shows::Nothing => command.stdout(std::process::Stdio::null()),
    };
    with_registry(command, reference).await
}

/// Pushes an image. Of one for several platforms only `platform`'s part goes, or all that its index names.
pub async fn push(engine: &Engine, reference: &Reference, platform: Option<&str>) -> Result<()> {
    let mut command = ctr::command(engine, &["images", "push"]);
    command.args(platform.iter().flat_map(|platform| ["--platform", platform]));
    command.stdout(std::process::Stdio::null());
    with_registry(command, reference).await
}

/// The digest and the size of what was pushed: of the manifest of one platform, or of all that the name stands for.
pub async fn pushed(engine: &Engine, image: &Image, of_platform: bool) -> Result<(String, usize)> {
    let digest = if of_platform { &image.manifest } else { &image.target };
    let document = engine.read_document(digest).await.at(digest)?;
    Ok((digest.clone(), document.len()))
}

/// Has `ctr` speak to the registry of an image, as whom the user has logged in.
async fn with_registry(mut command: Command, reference: &Reference) -> Result<()> {
    let credentials = credentials::of_registry(reference.registry())?;
    if std::path::Path::new(HOSTS_DIR).is_dir() {
        command.args(["--hosts-dir", HOSTS_DIR]);
    }
    let done = match credentials {
        Some(credentials) if credentials.user.contains(':') => {
            Err(Error::new("a user's name with a colon can't be given to ctr"))
        }
        Some(credentials) => {
            command.arg(format!("--user={}", credentials.user)).arg(reference.full());
            ctr::run_as(command, &credentials).await
        }
        None => {
            command.arg(reference.full());
            ctr::run(command).await
        }
    };
    done.at(reference.familiar())
}

/// Gives an image one more name. A name that another image has moves.
pub async fn tag(engine: &Engine, image: &Image, name: &Reference) -> Result<()> {
    name_as(engine, image, &name.full()).await
}

/// Gives an image that is about to lose its last name one that tells its digest, as a build without a name has it.
pub async fn keep_unnamed(engine: &Engine, image: &Image) -> Result<()> {
    name_as(engine, image, &unnamed(&image.target)).await
}

/// The name of an image that nobody has named.
pub fn unnamed(digest: &str) -> String {
    format!("<none>@{digest}")
}

async fn name_as(engine: &Engine, image: &Image, name: &str) -> Result<()> {
    let source = engine.call(GetImage { name: image.name.clone() }).await.at(&image.name)?;
    name_target(engine, source.image.and_then(|image| image.target), name).await
}

/// Has a name stand for a manifest or an index, whatever it has stood for before.
pub async fn name_target(engine: &Engine, target: Option<Descriptor>, name: &str) -> Result<()> {
    let image = Name { name: name.to_owned(), target, ..Name::default() };
    match engine.call(CreateImage { image: Some(image.clone()) }).await {
        Err(err) if err.kind() == Kind::AlreadyExists => {
            let update = UpdateImage { image: Some(image), update_mask: FieldMask::of(&["target"]) };
            engine.call(update).await.at(name).map(drop)
        }
        created => created.at(name).map(drop),
    }
}

/// Takes a name away. What nothing else needs is gone when this comes back.
pub async fn remove(engine: &Engine, name: &str) -> Result<()> {
    engine.call(DeleteImage { name: name.to_owned(), sync: true }).await.at(name).map(drop)
}

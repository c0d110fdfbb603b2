//! Which container of which project a container is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::actual::Ingredients;
use crate::process::Process;

/// docker compose's labels: whoever looks for its containers finds ours.
mod label {
    pub const PROJECT: &str = "com.docker.compose.project";
    pub const SERVICE: &str = "com.docker.compose.service";
    pub const NUMBER: &str = "com.docker.compose.container-number";
    pub const ONE_OFF: &str = "com.docker.compose.oneoff";
    pub const SLUG: &str = "com.docker.compose.slug";
    pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
    pub const IMAGE: &str = "com.docker.compose.image";
    pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
    pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
    pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
}

/// What a label's key and value may have together: containerd refuses longer ones.
const LABEL_BYTES_MAX: usize = 4096;

/// Which container of which project a container is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Member {
    pub project: String,
    pub service: String,
    pub number: u32,
    /// Whether `run` or a hook has made it.
    pub one_off: bool,
    /// The command that runs a hook in it.
    pub hook_of: Option<Process>,
    /// What tells a container of `run` from others.
    pub slug: String,
    /// How often the container of this number was replaced.
    pub generation: u64,
    pub made_of: Ingredients,
    /// The project's directory.
    pub directory: String,
    /// The project's files, between commas.
    pub files: String,
    /// `SERVICE:CONDITION:RESTART`, between commas.
    pub depends_on: String,
}

impl Member {
    /// Whether this container takes the other's place.
    pub fn replaces(&self, other: &Member) -> bool {
        let place = |member: &Member| (member.project.clone(), member.service.clone(), member.number);
        !self.one_off && !other.one_off && place(self) == place(other) && self.generation > other.generation
    }

    /// docker compose's labels. One that is too long for containerd is left out: the record has it all.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let one_off = if self.one_off { "True" } else { "False" };
        let all = [
            (label::PROJECT, self.project.clone()),
            (label::SERVICE, self.service.clone()),
            (label::NUMBER, self.number.to_string()),
            (label::ONE_OFF, one_off.to_owned()),
            (label::CONFIG_HASH, self.made_of.config.clone()),
            (label::IMAGE, self.made_of.image.clone()),
            (label::WORKING_DIR, self.directory.clone()),
            (label::CONFIG_FILES, self.files.clone()),
            (label::DEPENDS_ON, self.depends_on.clone()),
        ];
        let slug = Some((label::SLUG, self.slug.clone())).filter(|(_, slug)| !slug.is_empty());
        let fits = |(key, value): &(&str, String)| key.len() + value.len() <= LABEL_BYTES_MAX;
        all.into_iter().chain(slug).filter(fits).map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

/// The labels of a project's networks and volumes.
pub fn object_labels(project: &str, kind: &str, key: &str, hash: &str) -> BTreeMap<String, String> {
    let kind = format!("com.docker.compose.{kind}");
    [(label::PROJECT, project), (&kind, key), (label::CONFIG_HASH, hash)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The hash of a network or volume that the project has made; empty for what it hasn't.
pub fn hash_of(project: &str, labels: &BTreeMap<String, String>) -> String {
    let is_ours = labels.get(label::PROJECT).is_some_and(|name| name == project);
    labels.get(label::CONFIG_HASH).filter(|_| is_ours).cloned().unwrap_or_default()
}

/// Whether the project has made what has these labels.
pub fn is_of(project: &str, labels: &BTreeMap<String, String>) -> bool {
    labels.get(label::PROJECT).is_some_and(|name| name == project)
}

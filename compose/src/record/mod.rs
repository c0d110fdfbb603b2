//! What a container's record in containerd says beside the spec: all that a later command has to know.

pub mod member;

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::engine::containers::Container;
use crate::engine::types::Any;
use crate::error::{Context, Result};
use crate::model::types::{Mount, Service};
use crate::model::values::Restart;
use member::Member;

/// The key of the extension, and its type.
const EXTENSION: &str = "corten.compose/record";

/// Labels, for what containerd filters by and its restart monitor reads.
pub const NAME: &str = "corten.compose/name";
const RESTART: &str = "corten.compose/restart";
const STOP_SIGNAL: &str = "corten.compose/stop-signal";
const STOP_TIMEOUT: &str = "corten.compose/stop-timeout";
pub const STATUS: &str = "containerd.io/restart.status";
const POLICY: &str = "containerd.io/restart.policy";
/// Whether the user has stopped it, so that nobody is to start it again.
pub const STOPPED_BY_USER: &str = "containerd.io/restart.explicitly-stopped";
/// The URI of the log: the monitor's tasks get it as their streams.
pub const LOG_URI: &str = "containerd.io/restart.loguri";

/// containerd refuses a label whose name and value are longer together. It forgets one whose value is empty.
const LABEL_BYTES_MAX: usize = 4096;

/// How long a process has from the stop signal to SIGKILL.
const STOP_SECONDS: u64 = 10;

/// What an image may not set: labels that containerd and its clients act on (CVE-2026-53488).
const RESERVED: [&str; 6] =
    ["containerd.io/", "io.containerd", "io.cri-containerd", "nerdctl/", "com.docker.compose.", "corten."];

/// The record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Its name, unique in the namespace.
    pub name: String,
    /// What it was asked to be.
    pub service: Service,
    /// The image as it was typed.
    pub image: String,
    /// The image's id.
    pub image_id: String,
    /// What runs, without an init before it.
    pub command: Vec<String>,
    /// The signal that stops it.
    pub stop_signal: String,
    /// Volumes that go with the container.
    pub anonymous_volumes: Vec<String>,
    /// The volume at each place, named or not.
    pub volumes: BTreeMap<String, String>,
    /// The mounts that it has of other containers.
    pub inherited: Vec<Mount>,
    /// Volumes among these that go with the last container that has them.
    pub inherited_anonymous: Vec<String>,
    /// The ports that its image exposes: `80/tcp`.
    pub exposed: Vec<String>,
    /// Whether it is removed at its end.
    pub auto_remove: bool,
    /// Which container of which project it is.
    pub member: Option<Member>,
    /// Whether it is without a network because it has left its last one.
    pub has_left_networks: bool,
    /// Labels that containerd doesn't keep.
    pub unkept_labels: BTreeMap<String, String>,
}

impl Record {
    /// The record of a container, if the container is one of ours.
    pub fn of(container: &Container) -> Result<Option<Record>> {
        container.extensions.get(EXTENSION).map(Any::read_json).transpose().at(&container.id)
    }

    /// The volumes that go with it if it is the last one to have them: as with Docker, those of other containers, too.
    pub fn goes_along(&self) -> impl Iterator<Item = &String> {
        self.anonymous_volumes.iter().chain(&self.inherited_anonymous)
    }

    /// Gives a container, as containerd knows it, the labels that containerd doesn't keep.
    pub fn complete(&self, container: &mut Container) {
        let labels = self.unkept_labels.iter().map(|(name, value)| (name.clone(), value.clone()));
        container.labels.extend(labels);
    }

    /// The record as containerd keeps it.
    pub fn extensions(&self) -> Result<HashMap<String, Any>> {
        Ok(HashMap::from([(EXTENSION.to_owned(), Any::json(EXTENSION, self)?)]))
    }

    /// Stores the record in a container, and gives the name of the field for an update.
    pub fn store(&self, container: &mut Container) -> Result<String> {
        container.extensions.insert(EXTENSION.to_owned(), Any::json(EXTENSION, self)?);
        Ok(format!("extensions.{EXTENSION}"))
    }

    /// The labels of the restart policy, for a container that `runs` or doesn't, whose log is at `log_uri`. An empty
    /// one is none.
    pub fn restart_labels(&self, runs: bool, log_uri: &str) -> Vec<(&'static str, String)> {
        let policy = self.service.restart_policy().to_string();
        let if_revived = |value: &str| if self.is_revived() { value.to_owned() } else { String::new() };
        let mut labels = vec![
            (RESTART, policy.clone()),
            (POLICY, if_revived(&policy)),
            (LOG_URI, if_revived(log_uri)),
            (STATUS, String::new()),
            (STOPPED_BY_USER, String::new()),
        ];
        for (name, value) in self.wanted(if runs { Wanted::Running } else { Wanted::Stopped }) {
            labels.retain(|(other, _)| *other != name);
            labels.push((name, value.to_owned()));
        }
        labels
    }

    /// How long the process has from the stop signal to SIGKILL.
    pub fn stop_seconds(&self) -> u64 {
        self.service.stop_grace_period.map_or(STOP_SECONDS, |period| period.0.as_secs())
    }

    /// The labels that containerd is to keep: the image's, the service's, and what others look for. The record has the
    /// rest of them from now on.
    pub fn divide_labels(&mut self, image: &BTreeMap<String, String>) -> HashMap<String, String> {
        let is_free = |(name, _): &(&String, &String)| !RESERVED.iter().any(|start| name.starts_with(start));
        let images = image.iter().filter(is_free).map(|(name, value)| (name.clone(), value.clone()));
        let mut labels: HashMap<String, String> = images.chain(self.service.labels.clone()).collect();
        let restart = self.service.restart_policy().to_string();
        labels.extend([
            (NAME.to_owned(), self.name.clone()),
            (RESTART.to_owned(), restart.clone()),
            (STOP_SIGNAL.to_owned(), self.stop_signal.clone()),
            (STOP_TIMEOUT.to_owned(), self.stop_seconds().to_string()),
        ]);
        labels.extend(self.member.iter().flat_map(Member::labels));
        if self.is_revived() {
            labels.insert(POLICY.to_owned(), restart);
        }
        let is_kept =
            |name: &str, value: &str| !value.is_empty() && name.len() + value.len() <= LABEL_BYTES_MAX;
        self.unkept_labels.clear();
        labels.retain(|name, value| {
            let is_kept = is_kept(name, value);
            if !is_kept {
                self.unkept_labels.insert(name.clone(), value.clone());
            }
            is_kept
        });
        labels
    }

    /// Whether containerd's restart monitor brings it back, after a reboot and when its shim was killed.
    ///
    /// 1.6's monitor knows no policies and would restart what ended well. Where the namespaces of a second container
    /// are joined, the spec is stale by then.
    pub fn is_revived(&self) -> bool {
        let service = &self.service;
        let modes = [&service.network_mode, &service.pid, &service.ipc].into_iter().flatten();
        let joins = modes.into_iter().any(|mode| mode.contains(':'));
        let restarts = matches!(service.restart_policy(), Restart::Always | Restart::UnlessStopped);
        restarts && !joins && !self.auto_remove
    }

    /// The labels of one that is wanted to run, or isn't any more: for the keeper, and for the monitor.
    pub fn wanted(&self, wanted: Wanted) -> Vec<(&'static str, &'static str)> {
        let (status, stopped) = match wanted {
            Wanted::Starting => ("created", "false"),
            Wanted::Running => ("running", "false"),
            Wanted::Stopped => ("stopped", "true"),
        };
        let restarts = self.service.restart_policy() != Restart::No;
        let for_keeper = restarts.then_some((STOPPED_BY_USER, stopped));
        let for_monitor = self.is_revived().then_some((STATUS, status));
        for_keeper.into_iter().chain(for_monitor).collect()
    }
}

/// What the user wants of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It is on its way. The monitor would take a task that isn't started yet for one that has ended.
    Starting,
    Running,
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_sets_no_label_that_anybody_acts_on() {
        let image = ["containerd.io/restart.loguri", "nerdctl/name", "corten.compose/name", "maintainer"];
        let image = image.map(|name| (name.to_owned(), "evil".to_owned())).into_iter().collect();
        let mut record = Record { name: "web".to_owned(), ..Record::default() };
        let labels = record.divide_labels(&image);
        assert_eq!(labels.get("maintainer").map(String::as_str), Some("evil"));
        assert_eq!(labels.get(NAME).map(String::as_str), Some("web"));
        assert_eq!(labels.values().filter(|value| *value == "evil").count(), 1);
    }

    #[test]
    fn what_containerd_does_not_keep_is_told_apart() {
        let (long, longest) = ("x".repeat(LABEL_BYTES_MAX), "x".repeat(LABEL_BYTES_MAX - 2));
        let image = BTreeMap::from([("empty".to_owned(), String::new()), ("of".to_owned(), longest)]);
        let service =
            Service { labels: [("a".to_owned(), long)].into_iter().collect(), ..Service::default() };
        let mut record =
            Record { name: "web".to_owned(), stop_signal: "TERM".to_owned(), service, ..Record::default() };
        let kept = record.divide_labels(&image);
        assert!(kept.contains_key("of") && kept.contains_key(NAME) && !kept.contains_key("a"));
        assert_eq!(record.unkept_labels.keys().collect::<Vec<_>>(), ["a", "empty"]);
    }

    #[test]
    fn another_policy_takes_the_labels_of_the_last_one_along() {
        let labels = |restart, runs| {
            let service = Service { restart: Some(restart), ..Service::default() };
            let labels = Record { service, ..Record::default() }.restart_labels(runs, "uri");
            labels.into_iter().filter(|(_, value)| !value.is_empty()).collect::<HashMap<_, _>>()
        };
        let always = labels(Restart::Always, true);
        assert_eq!((always[STATUS].as_str(), always[LOG_URI].as_str()), ("running", "uri"));
        assert_eq!(labels(Restart::Always, false)[STATUS], "stopped");
        assert_eq!(labels(Restart::No, true), HashMap::from([(RESTART, "no".to_owned())]));
        let on_failure = labels(Restart::OnFailure(Some(3)), false);
        assert_eq!(on_failure[STOPPED_BY_USER], "true");
        assert!(!on_failure.contains_key(STATUS) && !on_failure.contains_key(POLICY));
    }

    #[test]
    fn a_restart_on_failure_is_the_keepers_alone_but_a_stop_is_told_to_all() {
        let told = |restart| {
            let service = Service { restart: Some(restart), ..Service::default() };
            let labels = Record { service, ..Record::default() }.wanted(Wanted::Stopped);
            labels.into_iter().map(|(label, _)| label).collect::<Vec<_>>()
        };
        assert_eq!(told(Restart::Always), [STOPPED_BY_USER, STATUS]);
        assert_eq!(told(Restart::UnlessStopped), [STOPPED_BY_USER, STATUS]);
        assert_eq!(told(Restart::OnFailure(None)), [STOPPED_BY_USER]);
        assert!(told(Restart::No).is_empty());
    }
}

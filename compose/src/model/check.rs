//! What has to fit together: names that are used and defined, fields that exclude each other, no circles.

use super::node::Path;
use super::types::{Config, FileReference, Mount, Project, Secret, Service};
use super::values::{Bytes, MountKind};
use super::{addresses, refused};
use std::collections::HashMap;
use std::fmt::Display;

/// A field, and what is wrong with it.
pub type Problem = (Path, String);

/// The first thing that is wrong with the project, if there is one.
pub fn check(project: &Project) -> Option<Problem> {
    let mut problems = Problems::default();
    problems.names(project);
    for (name, service) in &project.services {
        Checked { project, service, path: Path::of(&["services", name]), problems: &mut problems }.all();
    }
    problems.resources(project);
    problems.container_names(project);
    problems.circles(project);
    problems.0.into_iter().next()
}

/// What can be written, and can't be run: what no container can be made with, and one port of the host for several
/// containers of a service.
pub fn check_to_run(project: &Project) -> Vec<Problem> {
    let mut problems = Problems::default();
    for (name, service) in &project.services {
        problems.0.extend(refused::problems(service, &Path::of(&["services", name])));
    }
    for (name, service) in project.services.iter().filter(|(_, service)| service.replicas() > 1) {
        for (index, port) in service.ports.iter().enumerate() {
            let fixed =
                port.published.as_ref().filter(|published| !published.contains('-') && *published != "0");
            if let Some(published) = fixed {
                let path = Path::of(&["services", name, "ports"]).index(index);
                let containers = service.replicas();
                problems.add(
                    path,
                    format_args!("port {published} of the host can't be that of {containers} containers"),
                );
            }
        }
    }
    addresses::problems(project, &mut problems.0);
    problems.0
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, path: Path, what: impl Display) {
        self.0.push((path, what.to_string()));
    }

    fn names(&mut self, project: &Project) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let sections: [(&str, Vec<&String>); 6] = [
            ("services", project.services.keys().chain(project.disabled.keys()).collect()),
            ("networks", project.networks.keys().collect()),
            ("volumes", project.volumes.keys().collect()),
            ("secrets", project.secrets.keys().collect()),
            ("configs", project.configs.keys().collect()),
            ("models", project.models.keys().collect()),
        ];
        for (section, names) in sections {
            for name in names.into_iter().filter(|name| name.is_empty() || !name.chars().all(is_part)) {
                self.add(
                    Path::of(&[section, name]),
                    "is a name of other characters than a-z, A-Z, 0-9, `.`, `_`, `-`",
                );
            }
        }
    }

    fn resources(&mut self, project: &Project) {
        for (name, network) in project.networks.iter().filter(|(_, network)| network.external) {
            let set = network.driver.is_some()
                || network.ipam.is_some()
                || network.internal
                || network.attachable
                || network.enable_ipv4.is_some()
                || network.enable_ipv6.is_some()
                || !network.driver_opts.is_empty()
                || !network.labels.is_empty();
            self.external(Path::of(&["networks", name]), set);
        }
        for (name, volume) in project.volumes.iter().filter(|(_, volume)| volume.external) {
            let set = volume.driver.is_some() || !volume.driver_opts.is_empty() || !volume.labels.is_empty();
            self.external(Path::of(&["volumes", name]), set);
        }
        for (name, secret) in &project.secrets {
            let Secret { file, environment, external, driver, .. } = secret;
            let sources = [file, environment].into_iter().flatten().count();
            let path = Path::of(&["secrets", name]);
            self.one_source(path, sources, *external || driver.is_some(), "`file` and `environment`");
        }
        for (name, config) in &project.configs {
            let Config { file, environment, content, external, .. } = config;
            let sources = [file, environment, content].into_iter().flatten().count();
            self.one_source(
                Path::of(&["configs", name]),
                sources,
                *external,
                "`file`, `environment` and `content`",
            );
        }
    }

    fn external(&mut self, path: Path, set: bool) {
        if set {
            self.add(path, "is external, and can't say more than its name");
        }
    }

    fn one_source(&mut self, path: Path, sources: usize, elsewhere: bool, which: &str) {
        match (sources, elsewhere) {
            (1, _) | (0, true) => {}
            _ => self.add(path, format_args!("needs one of {which}")),
        }
    }

    fn container_names(&mut self, project: &Project) {
        let mut known: HashMap<&str, &str> = HashMap::new();
        for (name, service) in &project.services {
            let Some(container) = &service.container_name else { continue };
            let path = Path::of(&["services", name, "container_name"]);
            if let Some(other) = known.insert(container, name) {
                self.add(path.clone(), format_args!("is the name of services.{other}'s container too"));
            }
            if service.replicas() > 1 {
                self.add(path, format_args!("can't be the name of {} containers", service.replicas()));
            }
        }
    }

    /// Looks for services that wait for themselves, by way of others.
    fn circles(&mut self, project: &Project) {
        let mut done: HashMap<&str, bool> = HashMap::new();
        for name in project.services.keys() {
            // An own stack: a chain of services may be as long as the file.
            let mut stack = vec![(name.as_str(), false)];
            let mut way: Vec<&str> = Vec::new();
            while let Some((name, seen)) = stack.pop() {
                if seen {
                    done.insert(name, true);
                    way.pop();
                    continue;
                }
                match done.get(name) {
                    Some(true) => continue,
                    Some(false) => {
                        let from = way.iter().position(|other| *other == name).unwrap_or(0);
                        let circle =
                            way[from..].iter().chain([&name]).copied().collect::<Vec<_>>().join(" → ");
                        let path = Path::of(&["services", way.last().unwrap_or(&name), "depends_on", name]);
                        return self.add(path, format_args!("goes round in a circle: {circle}"));
                    }
                    None => {}
                }
                done.insert(name, false);
                way.push(name);
                stack.push((name, true));
                let service = project.services.get(name);
                stack.extend(
                    service
                        .into_iter()
                        .flat_map(|service| service.depends_on.keys())
                        .map(|name| (name.as_str(), false)),
                );
            }
        }
    }
}

/// One service that is checked.
struct Checked<'a> {
    project: &'a Project,
    service: &'a Service,
    path: Path,
    problems: &'a mut Problems,
}

impl Checked<'_> {
    fn all(&mut self) {
        self.image();
        self.namespaces();
        self.dependencies();
        self.health();
        self.references();
        self.mounts();
        self.ports();
        self.limits();
        self.watches();
    }

    fn wrong(&mut self, field: &str, what: impl Display) {
        self.problems.add(self.path.key(field), what);
    }

    fn image(&mut self) {
        let service = self.service;
        let Some(build) = &service.build else {
            if service.image.is_none() && service.provider.is_none() {
                self.problems.add(self.path.clone(), "needs an `image` or a `build`");
            }
            return;
        };
        if build.dockerfile.is_some() && build.dockerfile_inline.is_some() {
            self.wrong("build", "can't have both `dockerfile` and `dockerfile_inline`");
        }
        match &service.platform {
            Some(platform) if !build.platforms.is_empty() && !build.platforms.contains(platform) => {
                self.wrong("platform", "isn't among build.platforms");
            }
            _ => {}
        }
    }

    fn namespaces(&mut self) {
        if self.service.network_mode.is_some() && !self.service.networks.is_empty() {
            self.wrong("network_mode", "can't be there beside `networks`");
        }
    }

    fn dependencies(&mut self) {
        for (name, dependency) in &self.service.depends_on {
            if self.project.services.contains_key(name) || !dependency.required {
                continue;
            }
            let switched_off = self.project.disabled.contains_key(name);
            let path = self.path.key("depends_on").key(name);
            let what = if switched_off { "that no active profile switches on" } else { "that isn't defined" };
            self.problems.add(path, format_args!("is a service {what}"));
        }
    }

    fn health(&mut self) {
        let test = self.service.healthcheck.as_ref().and_then(|healthcheck| healthcheck.test.first());
        if let Some(first) = test.filter(|first| !["CMD", "CMD-SHELL", "NONE"].contains(&first.as_str())) {
            let path = self.path.key("healthcheck").key("test");
            self.problems.add(path, format_args!("must begin with CMD, CMD-SHELL or NONE, not {first:?}"));
        }
    }

    fn references(&mut self) {
        let project = self.project;
        for name in self.service.networks.keys().filter(|name| !project.networks.contains_key(*name)) {
            self.problems.add(self.path.key("networks").key(name), "is a network that isn't defined");
        }
        for name in self.service.models.keys().filter(|name| !project.models.contains_key(*name)) {
            self.problems.add(self.path.key("models").key(name), "is a model that isn't defined");
        }
        let secret = |name: &str| project.secrets.contains_key(name);
        let config = |name: &str| project.configs.contains_key(name);
        self.files(&self.service.secrets, "secrets", "secret", &secret);
        self.files(&self.service.configs, "configs", "config", &config);
        let build = self.service.build.as_ref();
        for (index, file) in build.into_iter().flat_map(|build| &build.secrets).enumerate() {
            if !secret(&file.source) {
                let path = self.path.key("build").key("secrets").index(index);
                self.problems.add(path, format_args!("{:?} is a secret that isn't defined", file.source));
            }
        }
        let contexts = build.into_iter().flat_map(|build| &build.additional_contexts);
        for (name, context) in contexts {
            let known =
                |name: &str| project.services.contains_key(name) || project.disabled.contains_key(name);
            if let Some(service) = context.strip_prefix("service:").filter(|name| !known(name)) {
                let path = self.path.key("build").key("additional_contexts").key(name);
                self.problems.add(path, format_args!("{service:?} is a service that isn't defined"));
            }
        }
    }

    fn files(&mut self, files: &[FileReference], field: &str, what: &str, defined: &dyn Fn(&str) -> bool) {
        for (index, file) in files.iter().enumerate().filter(|(_, file)| !defined(&file.source)) {
            let path = self.path.key(field).index(index);
            self.problems.add(path, format_args!("{:?} is a {what} that isn't defined", file.source));
        }
    }

    fn mounts(&mut self) {
        for (index, mount) in self.service.volumes.iter().enumerate() {
            let path = self.path.key("volumes").index(index);
            let Mount { kind, source, .. } = mount;
            match (kind, source) {
                (MountKind::Volume, Some(name)) if !self.project.volumes.contains_key(name) => {
                    self.problems.add(path, format_args!("{name:?} is a volume that isn't defined"));
                }
                (MountKind::Bind | MountKind::Image, None) => self.problems.add(path, "has no `source`"),
                (MountKind::Tmpfs, Some(_)) => {
                    self.problems.add(path, "is a tmpfs, and can't have a `source`")
                }
                _ => {}
            }
        }
    }

    fn ports(&mut self) {
        for (index, _) in self.service.ports.iter().enumerate().filter(|(_, port)| port.target == 0) {
            self.problems.add(self.path.key("ports").index(index), "needs a `target` of 1 to 65535");
        }
    }

    /// A limit that is there twice, in its old and its new field, has to be the same.
    fn limits(&mut self) {
        let service = self.service;
        let resources = service.deploy.as_ref().and_then(|deploy| deploy.resources.as_ref());
        let limits = resources.and_then(|resources| resources.limits.as_ref());
        let reservations = resources.and_then(|resources| resources.reservations.as_ref());
        let bytes = |bytes: Option<Bytes>| bytes.filter(|bytes| bytes.0 != 0).map(|bytes| bytes.to_string());
        let number =
            |number: Option<f64>| number.filter(|number| *number != 0.0).map(|number| number.to_string());
        let count = |count: Option<i64>| count.filter(|count| *count != 0).map(|count| count.to_string());
        let pairs = [
            ("cpus", "limits.cpus", number(service.cpus), number(limits.and_then(|limits| limits.cpus))),
            (
                "mem_limit",
                "limits.memory",
                bytes(service.mem_limit),
                bytes(limits.and_then(|limits| limits.memory)),
            ),
            (
                "pids_limit",
                "limits.pids",
                count(service.pids_limit),
                count(limits.and_then(|limits| limits.pids)),
            ),
            (
                "mem_reservation",
                "reservations.memory",
                bytes(service.mem_reservation),
                bytes(reservations.and_then(|reservations| reservations.memory)),
            ),
        ];
        for (old, new, one, other) in pairs {
            if one.is_some() && other.is_some() && one != other {
                self.wrong(old, format_args!("is another value than that of deploy.resources.{new}"));
            }
        }
        let replicas = service.deploy.as_ref().and_then(|deploy| deploy.replicas);
        if service.scale.is_some() && replicas.is_some() && service.scale != replicas {
            self.wrong("scale", "is another value than that of deploy.replicas");
        }
    }

    fn watches(&mut self) {
        for (index, watch) in self.service.develop.iter().flat_map(|develop| &develop.watch).enumerate() {
            let path = self.path.key("develop").key("watch").index(index);
            if watch.action.contains("sync") && watch.target.is_none() {
                self.problems.add(path, format_args!("needs a `target` for the action {:?}", watch.action));
            }
        }
    }
}

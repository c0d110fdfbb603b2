//! What an image says that a container is made to: its base's document, as the container was asked to be otherwise, and
//! as instructions of a Dockerfile change it. Pure.

use serde_json::{Map, Value, json};

use super::process::set;
use crate::error::{Error, Result};
use crate::model::refused::{exposed, signal};
use crate::model::short::words;
use crate::model::types::{Healthcheck, Service};
use crate::model::values::{Duration, MountKind};

/// The step that makes the image.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// RFC 3339.
    pub created: String,
    pub author: Option<String>,
    pub message: Option<String>,
    /// What has run in the container.
    pub command: Vec<String>,
    /// The digest of the layer's archive without its compression.
    pub diff_id: String,
}

/// The document of the new image.
///
/// Errors: a document that is none; an instruction that can't be, in Docker's words.
pub fn document(base: &Value, service: &Service, changes: &[String], step: &Step) -> Result<Value> {
    let mut document = base.clone();
    let Some(fields) = document.as_object_mut() else { return Err(Error::new("the image's config is none")) };
    fields.insert("created".to_owned(), json!(step.created));
    fields.remove("author");
    if let Some(author) = &step.author {
        fields.insert("author".to_owned(), json!(author));
    }
    let mut config = Config(fields.get("config").and_then(Value::as_object).cloned().unwrap_or_default());
    config.ask(service);
    let mut sets_command = false;
    for change in changes {
        config.change(change, &mut sets_command)?;
    }
    fields.insert("config".to_owned(), Value::Object(config.0));
    push(
        &mut fields.entry("rootfs").or_insert_with(|| json!({"type": "layers"}))["diff_ids"],
        json!(step.diff_id),
    );
    let mut history = json!({"created": step.created, "created_by": step.command.join(" ")});
    for (key, value) in [("author", &step.author), ("comment", &step.message)] {
        if let Some(value) = value {
            history[key] = json!(value);
        }
    }
    push(fields.entry("history").or_insert(Value::Null), history);
    Ok(document)
}

fn push(list: &mut Value, value: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(value),
        None => *list = json!([value]),
    }
}

/// How containers of the image run.
struct Config(Map<String, Value>);

impl Config {
    fn ask(&mut self, service: &Service) {
        match (&service.entrypoint, &service.command) {
            (Some(entrypoint), command) => {
                self.put("Entrypoint", json!(entrypoint));
                self.put("Cmd", json!(command));
            }
            (None, Some(command)) => self.put("Cmd", json!(command)),
            (None, None) => {}
        }
        for (name, value) in &service.environment {
            if let Some(value) = value {
                self.variable(format!("{name}={value}"));
            }
        }
        for (key, value) in [
            ("User", &service.user),
            ("WorkingDir", &service.working_dir),
            ("StopSignal", &service.stop_signal),
        ] {
            if let Some(value) = value {
                self.put(key, json!(value));
            }
        }
        for (name, value) in &service.labels {
            self.entry("Labels", name, json!(value));
        }
        for port in &service.expose {
            self.entry("ExposedPorts", &with_protocol(port), json!({}));
        }
        for port in &service.ports {
            let protocol = port.protocol.as_deref().unwrap_or("tcp");
            self.entry("ExposedPorts", &format!("{}/{protocol}", port.target), json!({}));
        }
        let is_anonymous =
            |mount: &&crate::model::types::Mount| mount.kind == MountKind::Volume && mount.source.is_none();
        for mount in service.volumes.iter().filter(is_anonymous) {
            self.entry("Volumes", &mount.target, json!({}));
        }
        if let Some(check) = &service.healthcheck {
            self.probe(check);
        }
    }

    /// What isn't said of a probe is the image's.
    fn probe(&mut self, check: &Healthcheck) {
        let nanos = |time: Option<Duration>| time.and_then(|time| i64::try_from(time.0.as_nanos()).ok());
        let test = if check.disable { vec!["NONE".to_owned()] } else { check.test.clone() };
        let test = (!test.is_empty()).then(|| json!(test));
        for (key, value) in [
            ("Test", test),
            ("Interval", nanos(check.interval).map(|nanos| json!(nanos))),
            ("Timeout", nanos(check.timeout).map(|nanos| json!(nanos))),
            ("StartPeriod", nanos(check.start_period).map(|nanos| json!(nanos))),
            ("StartInterval", nanos(check.start_interval).map(|nanos| json!(nanos))),
            ("Retries", check.retries.map(|retries| json!(retries))),
        ] {
            if let Some(value) = value {
                self.entry("Healthcheck", key, value);
            }
        }
    }

    /// Does one instruction of a Dockerfile.
    fn change(&mut self, change: &str, sets_command: &mut bool) -> Result<()> {
        let (name, rest) = change.trim().split_once(char::is_whitespace).unwrap_or((change.trim(), ""));
        let rest = rest.trim();
        let name = name.to_ascii_uppercase();
        let wrong = |why: String| Error::new(format!("{change}: {why}"));
        if rest.is_empty() {
            return Err(wrong(format!("{name} requires at least one argument")));
        }
        match name.as_str() {
            "CMD" => {
                *sets_command = true;
                self.put("Cmd", json!(command(rest)));
            }
            "ENTRYPOINT" => {
                self.put("Entrypoint", json!(command(rest)));
                // The command before was for the entrypoint before.
                if !*sets_command {
                    self.put("Cmd", Value::Null);
                }
            }
            "ENV" => pairs(rest).map_err(wrong)?.into_iter().for_each(|pair| self.variable(pair.join("="))),
            "LABEL" => {
                for [name, value] in pairs(rest).map_err(wrong)? {
                    self.entry("Labels", &name, json!(value));
                }
            }
            "EXPOSE" => {
                for port in rest.split_whitespace() {
                    exposed(port).map_err(wrong)?;
                    self.entry("ExposedPorts", &with_protocol(port), json!({}));
                }
            }
            "USER" => self.put("User", json!(rest)),
            "STOPSIGNAL" => {
                signal(rest).map_err(wrong)?;
                self.put("StopSignal", json!(rest));
            }
            "WORKDIR" => {
                let before = self.0.get("WorkingDir").and_then(Value::as_str).unwrap_or("/");
                let whole = std::path::Path::new("/").join(before).join(rest);
                self.put("WorkingDir", json!(whole));
            }
            "VOLUME" => {
                let targets = serde_json::from_str(rest)
                    .unwrap_or_else(|_| rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
                targets.iter().for_each(|target| self.entry("Volumes", target, json!({})));
            }
            "HEALTHCHECK" | "ONBUILD" => return Err(wrong("can't be done here".to_owned())),
            _ => return Err(Error::new(format!("{name} is not a valid change command"))),
        }
        Ok(())
    }

    fn put(&mut self, key: &str, value: Value) {
        match value {
            Value::Null => drop(self.0.remove(key)),
            value => drop(self.0.insert(key.to_owned(), value)),
        }
    }

    /// Sets an entry of an object.
    fn entry(&mut self, key: &str, name: &str, value: Value) {
        let object = self.0.entry(key).or_insert_with(|| json!({}));
        if !object.is_object() {
            *object = json!({});
        }
        object[name] = value;
    }

    fn variable(&mut self, variable: String) {
        let before = self.0.get("Env").cloned().unwrap_or_default();
        let mut environment: Vec<String> = serde_json::from_value(before).unwrap_or_default();
        set(&mut environment, variable);
        self.put("Env", json!(environment));
    }
}

/// A list in JSON, or what a shell is given.
fn command(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|_| ["/bin/sh", "-c", text].map(str::to_owned).to_vec())
}

/// `A=1 B="2 3"`, or `A 1`.
fn pairs(text: &str) -> Result<Vec<[String; 2]>, String> {
    let split = words(text)?;
    if !split.first().is_some_and(|word| word.contains('=')) {
        let (name, value) = text.split_once(char::is_whitespace).ok_or("must be NAME=VALUE")?;
        return Ok(vec![[name.to_owned(), value.trim().to_owned()]]);
    }
    let pair = |word: &String| {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("{word:?}: must be NAME=VALUE"))?;
        Ok([name.to_owned(), value.to_owned()])
    };
    split.iter().map(pair).collect()
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Value {
        json!({
            "architecture": "amd64", "os": "linux", "author": "before", "variant": "kept",
            "config": {"Env": ["PATH=/bin", "A=0"], "Cmd": ["old"], "Labels": {"of": "base"}},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:a"]},
        })
    }

    fn config(service: &Service, changes: &[&str]) -> Result<Value> {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        document(&base(), service, &changes, &Step::default()).map(|document| document["config"].clone())
    }

    #[test]
    fn a_document_has_one_layer_more_and_tells_of_it() {
        let step = Step {
            created: "2026-01-02T03:04:05Z".to_owned(),
            message: Some("fixed".to_owned()),
            command: vec!["sh".to_owned(), "-c".to_owned(), "x".to_owned()],
            diff_id: "sha256:b".to_owned(),
            ..Step::default()
        };
        let made = document(&base(), &Service::default(), &[], &step).unwrap();
        assert_eq!(made["rootfs"]["diff_ids"], json!(["sha256:a", "sha256:b"]));
        let history = json!([{"created": step.created, "created_by": "sh -c x", "comment": "fixed"}]);
        assert_eq!((&made["history"], &made["variant"]), (&history, &json!("kept")));
        assert_eq!((&made["author"], &made["created"]), (&Value::Null, &json!(step.created)));
        assert_eq!(made["config"], base()["config"]);
        assert!(document(&json!(1), &Service::default(), &[], &step).is_err());
    }

    #[test]
    fn what_the_container_was_asked_to_be_is_the_images_word() {
        let service = Service {
            command: Some(vec!["new".to_owned()]),
            environment: [("A".to_owned(), Some("1".to_owned()))].into_iter().collect(),
            user: Some("www".to_owned()),
            expose: vec!["80".to_owned()],
            ..Service::default()
        };
        let expected = json!({
            "Env": ["PATH=/bin", "A=1"], "Cmd": ["new"], "Labels": {"of": "base"}, "User": "www",
            "ExposedPorts": {"80/tcp": {}},
        });
        assert_eq!(config(&service, &[]).unwrap(), expected);
    }

    #[test]
    fn instructions_change_it_and_others_are_refused() {
        let changes = [
            "ENTRYPOINT [\"/run\", \"it\"]",
            "env B='2 3' C=4",
            "ENV D five",
            "LABEL of=shop \"a b\"=c",
            "EXPOSE 53/udp 80",
            "WORKDIR /srv",
            "WORKDIR www",
            "VOLUME [\"/data\"]",
            "USER 33:33",
            "STOPSIGNAL QUIT",
        ];
        let made = config(&Service::default(), &changes).unwrap();
        let expected = json!({
            "Env": ["PATH=/bin", "A=0", "B=2 3", "C=4", "D=five"], "Entrypoint": ["/run", "it"],
            "Labels": {"of": "shop", "a b": "c"}, "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
            "WorkingDir": "/srv/www", "Volumes": {"/data": {}}, "User": "33:33", "StopSignal": "QUIT",
        });
        assert_eq!(made, expected);
        let both = config(&Service::default(), &["CMD echo hi", "ENTRYPOINT [\"/run\"]"]).unwrap();
        assert_eq!(both["Cmd"], json!(["/bin/sh", "-c", "echo hi"]));
        for (change, why) in [
            ("RUN true", "RUN is not a valid change command"),
            ("ONBUILD USER x", "can't be done here"),
            ("ENV A", "must be NAME=VALUE"),
            ("CMD", "requires at least one argument"),
            ("STOPSIGNAL SIGXX", "SIGXX"),
            ("EXPOSE http", "http"),
        ] {
            let err = config(&Service::default(), &[change]).unwrap_err().to_string();
            assert!(err.contains(why), "{err}");
        }
    }
}

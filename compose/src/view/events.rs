//! `events`: what has happened, as Docker writes it. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::time;

/// What has happened to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// When, in seconds and nanoseconds since 1970.
    pub at: (i64, u32),
    /// `container` or `image`.
    pub kind: &'static str,
    /// Docker's word for what has happened.
    pub action: String,
    /// The object's id, or an image's name.
    pub id: String,
    /// What else is to be said: image, name, exitCode, labels.
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// A line for people.
    pub fn line(&self) -> String {
        let (second, nanos) = self.at;
        let second = time::rfc3339(second, 0);
        let moment = format!("{}.{nanos:09}Z", second.trim_end_matches('Z'));
        format!("{moment} {} {} {}{}", self.kind, self.action, self.id, self.in_brackets())
    }

    /// docker compose's line for people.
    pub fn compose_line(&self) -> String {
        let (second, nanos) = self.at;
        let moment = time::rfc3339(second, 0).replace('T', " ");
        let moment = format!("{}.{:06}", moment.trim_end_matches('Z'), nanos / 1000);
        format!("{moment} {} {} {}{}", self.kind, self.action, self.id, self.in_brackets())
    }

    fn in_brackets(&self) -> String {
        let all: Vec<String> =
            self.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
    }

    /// Docker's JSON.
    pub fn json(&self) -> Value {
        let mut all = json!({
            "Type": self.kind,
            "Action": self.action,
            "Actor": self.actor(),
            "scope": "local",
            "time": self.at.0,
            "timeNano": self.nanos(),
        });
        if self.kind == "container" {
            all["status"] = json!(self.action);
            all["id"] = json!(self.id);
            all["from"] = json!(self.attributes.get("image"));
        }
        all
    }

    /// What a template looks at, by the names that Docker's templates have for it.
    pub fn fields(&self) -> Value {
        json!({
            "Type": self.kind,
            "Action": self.action,
            "Actor": self.actor(),
            "Scope": "local",
            "Time": self.at.0,
            "TimeNano": self.nanos(),
            "Status": self.action,
            "ID": self.id,
            "From": self.attributes.get("image").map(String::as_str).unwrap_or_default(),
        })
    }

    fn actor(&self) -> Value {
        json!({ "ID": self.id, "Attributes": self.attributes })
    }

    fn nanos(&self) -> i64 {
        self.at.0.saturating_mul(1_000_000_000).saturating_add(self.at.1.into())
    }

    /// docker compose's JSON. `service` is the container's.
    pub fn compose_json(&self, service: &str) -> Value {
        json!({
            "time": time::rfc3339(self.at.0, self.at.1),
            "type": self.kind,
            "service": service,
            "id": self.id,
            "action": self.action,
            "attributes": self.attributes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_as_dockers() {
        let attributes = [("image", "box"), ("exitCode", "3"), ("name", "web")];
        let event = Event {
            at: (1_795_725_353, 7_000),
            kind: "container",
            action: "die".to_owned(),
            id: "0123".to_owned(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        };
        assert_eq!(
            event.line(),
            "2026-11-26T20:35:53.000007000Z container die 0123 (exitCode=3, image=box, name=web)"
        );
        assert_eq!(
            event.compose_line(),
            "2026-11-26 20:35:53.000007 container die 0123 (exitCode=3, image=box, name=web)"
        );
        let json = event.json();
        assert_eq!((&json["status"], &json["from"]), (&json!("die"), &json!("box")));
        assert_eq!(json["timeNano"], json!(1_795_725_353_000_007_000_i64));
        assert_eq!(event.fields()["Actor"]["Attributes"]["exitCode"], "3");
        assert_eq!(event.compose_json("web")["time"], "2026-11-26T20:35:53.000007Z");
        assert_eq!(Event { kind: "image", ..Event::default() }.json()["status"], Value::Null);
    }
}

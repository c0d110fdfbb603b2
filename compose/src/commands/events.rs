//! `events`

use std::time::Duration;

use super::filters::check;
use super::{Ended, Session, written};
use crate::cli::observe::Events;
use crate::error::{Error, Result};
use crate::happenings::Happenings;
use crate::reference::familiar;
use crate::time;
use crate::view::events::Event;
use crate::view::template::Template;

use super::logs::moment;

pub async fn events(session: &Session, asked: &Events) -> Ended {
    let format = Format::of(asked.format.as_deref())?;
    check(&asked.filters, &["container", "event", "image", "label", "scope", "type"])?;
    let span = Span::of(&asked.since, &asked.until)?;
    let mut happenings = Happenings::of(&session.engine).await?;
    while let Some(event) = span.next(&mut happenings).await? {
        if passes(&event, &asked.filters) && !written(&format.line(&event)?) {
            break;
        }
    }
    Ok(0)
}

/// How an event is written.
enum Format {
    Line,
    Json,
    Template(Template),
}

impl Format {
    fn of(typed: Option<&str>) -> Result<Format> {
        let is_json = |typed: &str| typed.split_whitespace().collect::<String>() == "{{json.}}";
        match typed {
            None | Some("") => Ok(Format::Line),
            Some(typed) if typed == "json" || is_json(typed) => Ok(Format::Json),
            Some(typed) => Template::parse(typed).map(Format::Template),
        }
    }

    fn line(&self, event: &Event) -> Result<String> {
        Ok(match self {
            Format::Line => event.line(),
            Format::Json => event.json().to_string(),
            Format::Template(template) => template.render(&event.fields())?,
        })
    }
}

/// From which moment to which events are shown.
pub struct Span {
    since: Option<(i64, u32)>,
    until: Option<(i64, u32)>,
}

impl Span {
    /// What `--since` and `--until` say.
    ///
    /// Errors: a moment that is over. containerd keeps nothing of what has happened.
    pub fn of(since: &Option<String>, until: &Option<String>) -> Result<Span> {
        let (since, until) = (moment("since", since)?, moment("until", until)?);
        let now = i64::try_from(time::now().as_secs()).unwrap_or(i64::MAX);
        if since.is_some_and(|(seconds, _)| seconds < now) {
            return Err(Error::new(
                "--since: containerd keeps no past events: only what is to come can be shown",
            ));
        }
        Ok(Span { since, until })
    }

    /// Waits for the next event in this time. None: the time is over.
    pub async fn next(&self, happenings: &mut Happenings) -> Result<Option<Event>> {
        loop {
            let left = self.until.map_or(Duration::MAX, |(seconds, nanos)| {
                let until = Duration::new(seconds.try_into().unwrap_or_default(), nanos);
                until.saturating_sub(time::now())
            });
            match tokio::time::timeout(left, happenings.next()).await {
                Err(_) => return Ok(None),
                Ok(event) => {
                    let event = event?;
                    if self.until.is_some_and(|until| event.at > until) {
                        return Ok(None);
                    }
                    if self.since.is_none_or(|since| event.at >= since) {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }
}

/// Values of one key are alternatives; keys have to fit all.
fn passes(event: &Event, filters: &[(String, String)]) -> bool {
    filters.iter().all(|(key, _)| {
        filters.iter().filter(|(other, _)| other == key).any(|(_, value)| fits(event, key, value))
    })
}

fn fits(event: &Event, key: &str, value: &str) -> bool {
    let attribute = |name: &str| event.attributes.get(name).map(String::as_str);
    match key {
        "container" => {
            event.kind == "container"
                && !value.is_empty()
                && (event.id.starts_with(value) || attribute("name") == Some(value.trim_start_matches('/')))
        }
        // `health_status` is that of each health.
        "event" => event.action == value || event.action.split(':').next() == Some(value),
        "image" => {
            let name = if event.kind == "image" { Some(event.id.as_str()) } else { attribute("image") };
            name.is_some_and(|name| familiar(name) == familiar(value))
        }
        "label" => match value.split_once('=') {
            Some((name, value)) => attribute(name) == Some(value),
            None => event.attributes.contains_key(value),
        },
        "type" => event.kind == value,
        _ => value == "local",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_key_are_alternatives_and_keys_are_not() {
        let event = Event {
            kind: "container",
            action: "health_status: healthy".to_owned(),
            id: "0123".to_owned(),
            attributes: [("image", "box"), ("name", "web"), ("tier", "front")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Event::default()
        };
        let passes = |filters: &[(&str, &str)]| {
            let owned = filters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            super::passes(&event, &owned.collect::<Vec<_>>())
        };
        assert!(passes(&[]));
        assert!(passes(&[("event", "die"), ("event", "health_status"), ("container", "web")]));
        assert!(passes(&[("image", "box:latest"), ("label", "tier=front"), ("type", "container")]));
        assert!(!passes(&[("event", "health_status"), ("container", "db")]));
        assert!(!passes(&[("label", "tier=back")]) && !passes(&[("container", "")]));
    }

    #[test]
    fn what_is_over_can_not_be_shown() {
        let typed = |text: &str| Some(text.to_owned());
        assert!(Span::of(&typed("10m"), &None).is_err());
        assert!(Span::of(&None, &typed("10m")).is_ok());
        assert!(
            Span::of(&None, &typed("never")).err().is_some_and(|err| err.to_string().contains("\"until\""))
        );
    }
}

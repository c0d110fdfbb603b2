//! What containerd has no event for: what a client has done to a container, or its keeper has found out. It is
//! published by way of containerd, for all who listen to its events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::events::Publish;
use super::types::Any;

/// What the topics begin with. An action follows, without what it says behind a colon.
pub const TOPIC: &str = "/corten-compose/container/";

const TYPE: &str = "corten.compose/event";

/// What has been done to a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The container's id.
    pub id: String,
    /// Docker's word: `kill`, `stop`, `rename`, `health_status: healthy`.
    pub action: String,
    /// What else is to be said of it.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

impl Done {
    /// An action, with nothing else to be said.
    pub fn to(id: &str, action: impl Into<String>) -> Done {
        Done { id: id.to_owned(), action: action.into(), attributes: BTreeMap::new() }
    }

    /// Says one thing more.
    pub fn with(mut self, name: &str, value: impl ToString) -> Done {
        self.attributes.insert(name.to_owned(), value.to_string());
        self
    }

    /// Publishes it. What is done is done, whether somebody hears of it or not.
    pub async fn announce(self, engine: &Engine) {
        let word = self.action.split(':').next().unwrap_or_default();
        let publish = Any::json(TYPE, &self)
            .map(|event| Publish { topic: format!("{TOPIC}{word}"), event: Some(event) });
        if let Ok(publish) = publish {
            drop(engine.call(publish).await);
        }
    }
}

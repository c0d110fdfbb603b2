//! `history`

use serde_json::{Value, json};

use super::{Ended, Session, print, say};
use crate::apply::image;
use crate::apply::room::{self, Layers};
use crate::cli::manage::List;
use crate::error::Result;
use crate::id;
use crate::time;
use crate::view::table::{self, Column, bytes, shortened};

const COLUMNS: [Column; 5] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];
/// What stands for images that were built on the way, which nobody keeps.
const MISSING: &str = "<missing>";
const COMMAND_LENGTH: usize = 45;

pub async fn history(session: &Session, name: &str, list: &List) -> Ended {
    let image = image::find(&session.engine, name, None).await?;
    let rows = rows(session, &image, list.no_trunc).await?;
    if list.quiet {
        rows.iter().for_each(|row| say(row["ID"].as_str().unwrap_or_default()));
    } else {
        print(&table::list(&rows, &COLUMNS, &COLUMNS, list.format.as_deref())?)?;
    }
    Ok(0)
}

/// The newest step first.
async fn rows(session: &Session, image: &image::Image, no_trunc: bool) -> Result<Vec<Value>> {
    let layers = Layers::of(&session.engine, &[image]).await?;
    let mut chain = room::chain(image).into_iter();
    let now = time::now().as_secs() as i64;
    let mut rows = Vec::new();
    for step in &image.document.history {
        let layer = if step.empty_layer { None } else { chain.next() };
        let created = step.created.as_deref().and_then(time::parse_rfc3339).map(|(seconds, _)| seconds);
        let age = created.map(|created| u64::try_from(now - created).unwrap_or_default());
        let command = step.created_by.replace('\t', " ");
        rows.push(json!({
            "ID": MISSING,
            "CreatedAt": created.map_or_else(String::new, |created| time::rfc3339(created, 0)),
            "CreatedSince": age.map_or_else(
                || "N/A".to_owned(),
                |age| format!("{} ago", time::words(std::time::Duration::from_secs(age))),
            ),
            "CreatedBy": if no_trunc { command } else { shortened(&command, COMMAND_LENGTH) },
            "Size": bytes(layer.map_or(0, |layer| layers.of_layer(&layer))),
            "Comment": step.comment,
        }));
    }
    // What says nothing of how it was made has its layers nevertheless.
    for layer in chain {
        rows.push(json!({ "ID": MISSING, "CreatedAt": "", "CreatedSince": "N/A", "CreatedBy": "",
            "Size": bytes(layers.of_layer(&layer)), "Comment": "" }));
    }
    if let Some(last) = rows.last_mut() {
        let short = id::short(image.id.trim_start_matches("sha256:"));
        last["ID"] = json!(if no_trunc { image.id.as_str() } else { short });
    }
    rows.reverse();
    Ok(rows)
}

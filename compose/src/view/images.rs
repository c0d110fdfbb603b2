//! `images`: a row for each name.

use std::time::Duration;

use serde_json::{Value, json};

use super::table::{Column, bytes};
use crate::apply::image::Image;
use crate::id;
use crate::reference::Reference;
use crate::time;

pub const COLUMNS: [Column; 5] = [
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
];

/// With `--digests`.
pub const COLUMNS_WITH_DIGESTS: [Column; 6] = [
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
];

const NONE: &str = "<none>";

/// The row of an image, `now` seconds after 1970.
pub fn row(image: &Image, now: Duration, no_trunc: bool) -> Value {
    let reference = Reference::parse(&image.name).ok();
    let created =
        image.document.created.as_deref().and_then(time::parse_rfc3339).map_or(0, |(seconds, _)| seconds);
    let age = now.saturating_sub(Duration::from_secs(u64::try_from(created).unwrap_or_default()));
    let id = if no_trunc { image.id.as_str() } else { id::short(image.id.trim_start_matches("sha256:")) };
    json!({
        "ID": id,
        "Repository": reference.as_ref().map_or_else(|| NONE.to_owned(), Reference::repository),
        "Tag": reference.as_ref().and_then(Reference::tag).unwrap_or(NONE),
        "Digest": image.target,
        "CreatedAt": time::table(created),
        "CreatedSince": if created == 0 { "N/A".to_owned() } else { format!("{} ago", time::words(age)) },
        "Size": bytes(image.size()),
    })
}

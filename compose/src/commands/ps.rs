//! `ps`

use super::{Ended, Session, print, say};
use crate::cli::docker::Ps;
use crate::error::{Error, Result};
use crate::observe::{Observed, State};
use crate::reference::familiar;
use crate::view::{self, table};
use crate::{id, time};

pub async fn ps(session: &Session, ps: &Ps) -> Ended {
    let mut shown = Vec::new();
    let by_state = ps.filters.iter().any(|(key, _)| key == "status" || key == "exited");
    for one in session.containers().await? {
        let is_listed = ps.all || ps.last.is_some() || by_state || one.state.is_listed();
        if is_listed && passes(&one, &ps.filters)? {
            shown.push(one);
        }
    }
    shown.truncate(ps.last.unwrap_or(usize::MAX));
    if ps.quiet {
        shown.iter().for_each(|one| say(if ps.no_trunc { one.id() } else { id::short(one.id()) }));
        return Ok(0);
    }
    let now = time::now();
    let rows: Vec<_> = shown.iter().map(|one| view::ps::row(one, now, ps.no_trunc)).collect();
    print(&table::list(&rows, &view::ps::COLUMNS, &view::ps::HEADINGS, ps.format.as_deref())?)?;
    Ok(0)
}

/// Values of one key are alternatives; keys have to fit all.
fn passes(one: &Observed, filters: &[(String, String)]) -> Result<bool> {
    for (key, _) in filters {
        let mut fits = false;
        for (_, value) in filters.iter().filter(|(other, _)| other == key) {
            fits |= fits_one(one, key, value)?;
        }
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

fn fits_one(one: &Observed, key: &str, value: &str) -> Result<bool> {
    let labels = &one.container.labels;
    let mut volumes = one.record.iter().flat_map(|record| &record.volumes);
    Ok(match key {
        "id" => one.id().starts_with(value),
        // Docker takes a regular expression; what people type is a part of the name, or `^/NAME$`.
        "name" => match value.strip_prefix('^') {
            Some(exact) => one.name() == exact.trim_start_matches('/').trim_end_matches('$'),
            None => one.name().contains(value.trim_start_matches('/').trim_end_matches('$')),
        },
        "label" => match value.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|label| label == value),
            None => labels.contains_key(value),
        },
        "status" => one.state.name() == value,
        "exited" => matches!(one.state, State::Exited { code, .. } if code.to_string() == value),
        "ancestor" => familiar(&one.container.image) == familiar(value),
        "volume" => volumes.any(|(target, name)| target == value || name == value),
        _ => return Err(Error::new(format!("invalid filter '{key}'"))),
    })
}

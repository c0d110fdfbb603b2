//! `list`: all containers below the root.

use std::fmt::Write as _;

use super::state::StateView;
use super::{Container, Invocation, print};
use crate::cli::{ListArgs, ListFormat, RootPath};
use crate::error::{Error, Kind, Result};
use crate::state::{ContainerId, StateRoot, Status};
use crate::sys::passwd;

/// Prints all containers.
pub fn run(invocation: &Invocation, args: ListArgs) -> Result<u8> {
    let containers = load_all(invocation)?;
    let views: Vec<StateView> = containers
        .iter()
        .map(|listed| StateView::of(&listed.container, listed.status, &listed.owner))
        .collect();
    print(match args {
        ListArgs { quiet: true, .. } => views.iter().map(|view| format!("{}\n", view.id)).collect(),
        ListArgs { format: ListFormat::Table, .. } => table(&views),
        ListArgs { format: ListFormat::Json, .. } => json(&views)?,
    })?;
    Ok(0)
}

struct Listed {
    container: Container,
    status: Status,
    owner: String,
}

/// A container that can't be read doesn't hide the others: it is reported and passed over.
fn load_all(invocation: &Invocation) -> Result<Vec<Listed>> {
    let root = invocation.root()?;
    let ids = match root.list() {
        // Nobody has created a container yet; a root that was named has to be there.
        Err(err) if err.kind() == Kind::NotFound && invocation.global.root == RootPath::Default => Vec::new(),
        result => result?,
    };
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut all = Vec::with_capacity(ids.len());
    for (id, uid) in ids {
        match load(&root, &id) {
            Ok((container, status)) => all.push(Listed { container, status, owner: user_name(&passwd, uid) }),
            Err(err) => invocation.report.warning(&format!("load container {id}: {err}")),
        }
    }
    Ok(all)
}

fn load(root: &StateRoot, id: &ContainerId) -> Result<(Container, Status)> {
    let container = Container::open(root, id)?;
    let status = container.status()?;
    Ok((container, status))
}

/// The name of a user, or `#uid`.
fn user_name(passwd: &str, uid: u32) -> String {
    let user = passwd::entries(passwd).find(|user| user.uid == uid);
    user.map_or_else(|| format!("#{uid}"), |user| user.name.to_owned())
}

fn json(views: &[StateView]) -> Result<String> {
    // runc prints Go's nil slice for an empty list, and callers have got used to it.
    let json = if views.is_empty() { Ok("null".into()) } else { serde_json::to_string(views) };
    json.map(|json| json + "\n").map_err(|err| Error::internal(err.to_string()))
}

/// Columns are as wide as their widest cell and three spaces, but never narrower than 12; the last one isn't padded.
fn table(views: &[StateView]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from)];
    rows.extend(views.iter().map(|view| {
        [
            view.id.to_owned(),
            view.pid.to_string(),
            view.status.to_string(),
            view.bundle.display().to_string(),
            view.created.to_owned(),
            view.owner.to_owned(),
        ]
    }));
    let width = |column: usize| {
        let widest = rows.iter().map(|row: &[String; 6]| row[column].chars().count()).max().unwrap_or(0);
        (widest + 3).max(12)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let [cells @ .., last] = row;
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(text, "{cell:<width$}");
        }
        text.push_str(last);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_is_a_name_or_a_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n# a comment\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(user_name(passwd, 0), "root");
        assert_eq!(user_name(passwd, 1000), "ann");
        assert_eq!(user_name(passwd, 7), "#7");
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(table(&[]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    }

    #[test]
    fn empty_list_is_null() {
        assert_eq!(json(&[]).ok().as_deref(), Some("null\n"));
    }
}

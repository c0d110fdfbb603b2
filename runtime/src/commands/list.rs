//! `list`: all containers below the root.

use super::state::StateView;
use super::{Invocation, print};
use crate::cli::{ListArgs, ListFormat, RootPath};
use crate::container::{Container, ContainerId};
use crate::error::{Error, Kind, Result};
use crate::text;

/// Prints all containers.
pub(super) fn run(invocation: &Invocation, args: ListArgs) -> Result<u8> {
    let containers = load_all(invocation)?;
    let views: Vec<StateView> = containers.iter().filter_map(|listed| view(invocation, listed)).collect();
    print(match args {
        ListArgs { quiet: true, .. } => views.iter().map(|view| format!("{}\n", view.state.id)).collect(),
        ListArgs { format: ListFormat::Table, .. } => table(&views),
        ListArgs { format: ListFormat::Json, .. } => json(&views)?,
    })?;
    Ok(0)
}

struct Listed {
    id: ContainerId,
    container: Container,
    owner: String,
}

fn load_all(invocation: &Invocation) -> Result<Vec<Listed>> {
    let runtime = invocation.runtime()?;
    let ids = match runtime.list() {
        // The default root is made with the first container. A root that was named has to be there.
        Err(err) if err.kind() == Kind::NotFound && invocation.global.root == RootPath::Default => Vec::new(),
        result => result?,
    };
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut all = Vec::with_capacity(ids.len());
    for (id, uid) in ids {
        if let Some(container) = or_warn(invocation, &id, runtime.find(&id)) {
            all.push(Listed { id, container, owner: user_name(&passwd, uid) });
        }
    }
    Ok(all)
}

fn view<'a>(invocation: &Invocation, listed: &'a Listed) -> Option<StateView<'a>> {
    let state = or_warn(invocation, &listed.id, listed.container.state())?;
    Some(StateView { state, owner: &listed.owner })
}

/// A container that can't be read is reported and passed over, so that the list still has all further containers.
fn or_warn<T>(invocation: &Invocation, id: &ContainerId, loaded: Result<T>) -> Option<T> {
    loaded.inspect_err(|err| invocation.report.warning(&format!("load container {id}: {err}"))).ok()
}

/// The name of a user, or `#uid`. getpwuid(3) would load libraries of the host, which a static program can't.
fn user_name(passwd: &str, uid: u32) -> String {
    let of_uid = |line: &&str| line.split(':').nth(2).and_then(|field| field.parse().ok()) == Some(uid);
    let name = passwd.lines().find(of_uid).and_then(|line| line.split(':').next());
    name.map_or_else(|| format!("#{uid}"), str::to_owned)
}

fn json(views: &[StateView]) -> Result<String> {
    // runc prints Go's nil slice for an empty list, and callers have got used to it.
    let json = if views.is_empty() { Ok("null".into()) } else { serde_json::to_string(views) };
    json.map(|json| json + "\n").map_err(|err| Error::internal(err.to_string()))
}

/// Columns are as wide as their widest cell and three spaces, but never narrower than 12. The last column isn't padded.
fn table(views: &[StateView]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from)];
    rows.extend(views.iter().map(|StateView { state, owner }| {
        [
            state.id.to_owned(),
            state.pid.to_string(),
            state.status.to_string(),
            text::on_one_line(&state.bundle.to_string_lossy()).into_owned(),
            state.created.to_owned(),
            (*owner).to_owned(),
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
            text.push_str(&format!("{cell:<width$}"));
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

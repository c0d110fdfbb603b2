//! `context …`

use serde_json::{Value, json};

use super::{Ended, print, say};
use crate::cli::manage::Context as Asked;
use crate::commands::inspect;
use crate::error::{Error, Result, tell};
use crate::view::table::{self, Column};

/// The only one.
const NAME: &str = "default";

const COLUMNS: [Column; 4] = [
    ("Name", "NAME"),
    ("Description", "DESCRIPTION"),
    ("DockerEndpoint", "DOCKER ENDPOINT"),
    ("Error", "ERROR"),
];

/// `address` is containerd's.
pub fn context(asked: &Asked, address: &str) -> Ended {
    let endpoint = if address.contains("://") { address.to_owned() } else { format!("unix://{address}") };
    match asked {
        Asked::List(list) if list.quiet => say(NAME),
        Asked::List(list) => print(&rows(&endpoint, list.format.as_deref())?)?,
        Asked::Show => say(NAME),
        Asked::Use { name } => {
            known(name)?;
            say(name);
            tell(format_args!("Current context is now {name:?}"));
        }
        Asked::Inspect { names, format } => {
            let endpoint = json!({"docker": {"Host": endpoint, "SkipTLSVerify": false}});
            let one = json!({"Name": NAME, "Metadata": {}, "Endpoints": endpoint, "TLSMaterial": {},
                "Storage": {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"}});
            let default = [NAME.to_owned()];
            let names = if names.is_empty() { &default } else { names.as_slice() };
            let found = names.iter().map(|name| known(name).map(|()| one.clone()));
            return inspect::tell(found, format.as_deref());
        }
        Asked::Other { verb } => {
            return Err(Error::new(format!(
                "context {verb}: can't be done here: {NAME:?} is the only context"
            )));
        }
    }
    Ok(0)
}

fn known(name: &str) -> Result<()> {
    if name == NAME {
        return Ok(());
    }
    Err(Error::new(format!("context {name:?}: context not found: {NAME:?} is the only context")))
}

fn rows(endpoint: &str, format: Option<&str>) -> Result<String> {
    let is_table = format.is_none_or(|format| format.starts_with("table"));
    let row: Value = json!({
        "Name": if is_table { format!("{NAME} *") } else { NAME.to_owned() },
        "Current": true,
        "Description": "This host's containerd",
        "DockerEndpoint": endpoint,
        "Error": "",
    });
    table::list(&[row], &COLUMNS, &COLUMNS, format)
}

//! `version`

use serde_json::json;

use super::{Ended, Session, print, say};
use crate::apply::host;
use crate::engine::version::Version;
use crate::view::template::Template;

pub async fn version(session: &Session, format: Option<&str>) -> Ended {
    let server = session.engine.call(Version {}).await?;
    let about = json!({
        "Client": { "Version": env!("CARGO_PKG_VERSION"), "Os": "linux", "Arch": std::env::consts::ARCH },
        "Server": { "Name": "containerd", "Version": server.version, "GitCommit": server.revision },
        "Runtime": host::runtime(),
    });
    match format {
        Some("json") => say(about),
        Some(format) => print(&(Template::parse(format)?.render(&about)? + "\n"))?,
        None => {
            say(format_args!("Client:\n Version:  {}\n", env!("CARGO_PKG_VERSION")));
            say(format_args!(
                "Server: containerd\n Version:  {}\n GitCommit: {}",
                server.version, server.revision
            ));
            say(format_args!(" Runtime:  {}", host::runtime()));
        }
    }
    Ok(0)
}

//! `cp`: files between a container and the host.

use super::{Ended, Session};
use crate::apply::copy::{self, Copying, Host, How, Owners};
use crate::apply::inside::{self, Access};
use crate::cli::inside::Copy;
use crate::error::{Error, Result, tell_lines};
use crate::observe::{self, Observed};
use crate::view::table;

pub async fn cp(session: &Session, asked: &Copy) -> Ended {
    let (name, copying) = meant(asked)?.map_err(|sides| {
        Error::new(match sides {
            Sides::Both => "copying between containers is not supported",
            Sides::None => "must specify at least one container source",
        })
    })?;
    let containers = session.containers().await?;
    let one = observe::find(&containers, &name)?;
    let bytes = copied(session, one, &name, copying, asked).await?;
    if !asked.quiet {
        tell_lines(format_args!(
            "Successfully copied {} to {}",
            table::bytes(i64::try_from(bytes).unwrap_or(i64::MAX)),
            asked.destination
        ));
    }
    Ok(0)
}

/// Which sides of a copy are a container's, if it isn't one of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sides {
    Both,
    None,
}

/// The container, or the service, and what is copied.
pub fn meant(asked: &Copy) -> Result<Result<(String, Copying), Sides>> {
    for (side, text) in [("source", &asked.source), ("destination", &asked.destination)] {
        if text.is_empty() {
            return Err(Error::new(format!("{side} can not be empty")));
        }
    }
    let host = |text: &str| if text == "-" { Host::Tar } else { Host::Path(text.to_owned()) };
    Ok(match (split(&asked.source), split(&asked.destination)) {
        ((Some(name), from), (None, to)) => {
            Ok((name.to_owned(), Copying::Out { from: from.to_owned(), to: host(to) }))
        }
        ((None, from), (Some(name), to)) => {
            Ok((name.to_owned(), Copying::In { from: host(from), to: to.to_owned() }))
        }
        ((Some(_), _), (Some(_), _)) => Err(Sides::Both),
        ((None, _), (None, _)) => Err(Sides::None),
    })
}

/// `NAME:PATH`, or a path of the host: one that has a colon begins with `/` or `.`.
fn split(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((name, path)) if !text.starts_with(['/', '.']) && !name.is_empty() => (Some(name), path),
        _ => (None, text),
    }
}

/// Copies, and tells the bytes of files.
pub async fn copied(
    session: &Session,
    one: &Observed,
    name: &str,
    copying: Copying,
    asked: &Copy,
) -> Result<u64> {
    // As Docker does: what comes out is the caller's unless owners are kept, and what goes in keeps its numbers.
    let (access, owners) = match copying {
        Copying::Out { .. } if !asked.archive => (Access::Read, Owners::Caller),
        Copying::Out { .. } => (Access::Read, Owners::Kept),
        Copying::In { .. } => (Access::Write, Owners::Kept),
    };
    let how = How { follow: asked.follow, owners };
    let name = name.to_owned();
    let copy = move |tree: &_| copy::copy(tree, &name, &copying, how);
    inside::see((&session.engine, &session.disk), one, access, copy).await
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_path_of_the_host_with_a_colon_begins_with_a_slash_or_a_dot() {
        assert_eq!(split("web:/a:b"), (Some("web"), "/a:b"));
        assert_eq!(split("web:"), (Some("web"), ""));
        for own in ["/a:b", "./a:b", "../a:b", "file", ":x", "-"] {
            assert_eq!(split(own), (None, own));
        }
    }
}

//! Names of images: short as people type them, whole as containerd has them.

use crate::error::{Error, Result};

const REGISTRY: &str = "docker.io";
const OFFICIAL: &str = "library/";

/// A whole name: `docker.io/library/busybox:latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Fills in what a short name leaves out: the registry, `library/`, `latest`.
    ///
    /// Errors: what can't be a name, in Docker's words.
    pub fn parse(typed: &str) -> Result<Reference> {
        let wrong = || Error::new(format!("{typed}: invalid reference format"));
        let (name, digest) = match typed.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (typed, None),
        };
        // A colon after the last slash begins a tag; one before it, a port.
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match name[slash..].split_once(':') {
            Some((last, tag)) => (&name[..slash + last.len()], Some(tag)),
            None => (name, None),
        };
        let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (registry, path) = match name.split_once('/') {
            Some((registry, path)) if is_registry(registry) => (registry, path.to_owned()),
            _ => (REGISTRY, name.to_owned()),
        };
        let registry = if registry == "index.docker.io" { REGISTRY } else { registry };
        let path =
            if registry == REGISTRY && !path.contains('/') { format!("{OFFICIAL}{path}") } else { path };
        let is_path = path.split('/').all(is_path_part);
        if !is_host(registry)
            || !is_path
            || tag.is_some_and(|tag| !is_tag(tag))
            || digest.is_some_and(|digest| !is_digest(digest))
        {
            return Err(wrong());
        }
        let default = digest.is_none().then_some("latest");
        Ok(Reference {
            registry: registry.to_owned(),
            path,
            tag: tag.or(default).map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The whole name.
    pub fn full(&self) -> String {
        format!("{}/{}{}", self.registry, self.path, self.suffix())
    }

    /// The name as it is shown: without the registry where that is Docker's.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.repository(), self.suffix())
    }

    /// The name as it is shown, without tag and digest.
    pub fn repository(&self) -> String {
        match self.registry.as_str() {
            REGISTRY => self.path.strip_prefix(OFFICIAL).unwrap_or(&self.path).to_owned(),
            registry => format!("{registry}/{}", self.path),
        }
    }

    /// The registry: a host, with a port maybe.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name within its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

/// A name as it is shown. What isn't a name stays as it is.
pub fn familiar(name: &str) -> String {
    Reference::parse(name).map_or_else(|_| name.to_owned(), |reference| reference.familiar())
}

/// A name or an address of a host, with a port maybe.
fn is_host(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let is_part = |part: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !part.is_empty() && part.chars().all(fits) && !part.starts_with('-') && !part.ends_with('-')
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_name = match address {
        Some(address) => !address.is_empty() && address.chars().all(|c| c.is_ascii_hexdigit() || c == ':'),
        None => host.split('.').all(is_part),
    };
    is_name && port.is_none_or(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()))
}

fn is_path_part(part: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(is_letter)
        && part.ends_with(is_letter)
        && part.chars().all(|c| is_letter(c) || "._-".contains(c))
}

fn is_tag(tag: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.starts_with(is_letter) && tag.len() <= 128 && tag.chars().all(|c| is_letter(c) || ".-".contains(c))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    !algorithm.is_empty() && hex.len() >= 32 && hex.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_filled_in_and_shown_short_again() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (typed, full, familiar) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("docker.io/busybox:1", "docker.io/library/busybox:1", "busybox:1"),
            ("a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("localhost:5000/a:t", "localhost:5000/a:t", "localhost:5000/a:t"),
            ("[::1]:5000/a:t", "[::1]:5000/a:t", "[::1]:5000/a:t"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            ("ghcr.io/a/b-c_d:v1.0", "ghcr.io/a/b-c_d:v1.0", "ghcr.io/a/b-c_d:v1.0"),
            (&format!("a@{digest}"), &format!("docker.io/library/a@{digest}"), &format!("a@{digest}")),
        ] {
            let reference = Reference::parse(typed).unwrap();
            assert_eq!((reference.full().as_str(), reference.familiar().as_str()), (full, familiar));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for typed in [
            "",
            "A",
            "a:",
            "a@",
            "a@sha256:1",
            "/a",
            "a//b",
            "a:b:c",
            "-a",
            "é",
            "a b",
            "../x",
            "a..b/x",
            "./x",
            "a.b:x/y",
            "-a.b/x",
        ] {
            assert!(Reference::parse(typed).is_err(), "{typed}");
        }
    }
}

//! Platforms as people type them: `linux/arm64`, `arm64`, `linux/arm/v7`. Pure.

use crate::error::{Error, Result};

/// Systems and architectures by their names in Go, as far as a word alone may be one.
const SYSTEMS: [&str; 12] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "illumos",
    "ios",
    "linux",
    "netbsd",
    "openbsd",
    "solaris",
    "windows",
];
const ARCHITECTURES: [&str; 14] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le",
    "riscv64", "s390x", "wasm",
];

/// What an image is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
}

/// What this machine's architecture is called by. Rust's names are not Go's.
fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Platform {
    /// This machine's.
    pub fn own() -> Platform {
        Platform { os: "linux".to_owned(), architecture: own_architecture().to_owned() }
    }

    /// `OS`, `ARCHITECTURE` or `OS/ARCHITECTURE[/VARIANT]`. Variants of an architecture are taken as one.
    ///
    /// Errors: what is no platform, in Docker's words.
    pub fn parse(typed: &str) -> Result<Platform> {
        let parts: Vec<String> = typed.split('/').map(str::to_ascii_lowercase).collect();
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if let Some(part) = parts.iter().find(|part| part.is_empty() || !part.chars().all(fits)) {
            let why = "platform specifier component must match \"^[A-Za-z0-9_.-]+$\": invalid argument";
            return Err(Error::new(format!("\"{part}\" is an invalid component of \"{typed}\": {why}")));
        }
        match parts.as_slice() {
            [one] if SYSTEMS.contains(&one.as_str()) || one == "macos" => {
                Ok(Platform { os: system(one).to_owned(), ..Platform::own() })
            }
            [one] if ARCHITECTURES.contains(&architecture(one)) => {
                Ok(Platform { architecture: architecture(one).to_owned(), ..Platform::own() })
            }
            [_] => Err(Error::new(format!(
                "\"{typed}\": unknown operating system or architecture: invalid argument"
            ))),
            [os, arch] | [os, arch, _] => {
                Ok(Platform { os: system(os).to_owned(), architecture: architecture(arch).to_owned() })
            }
            _ => Err(Error::new(format!("\"{typed}\": cannot parse platform specifier: invalid argument"))),
        }
    }

    /// Whether an image that says so of itself is for this platform.
    pub fn has(&self, os: &str, architecture: &str) -> bool {
        self.os == system(os) && self.architecture == self::architecture(architecture)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

fn system(name: &str) -> &str {
    if name == "macos" { "darwin" } else { name }
}

/// The name in Go of an architecture that the kernel's people call otherwise.
fn architecture(name: &str) -> &str {
    match name {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        "armhf" | "armel" => "arm",
        "i386" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    #[test]
    fn platforms_have_several_spellings() {
        for (typed, meant) in [
            ("linux/arm64", "linux/arm64"),
            ("Linux/x86_64", "linux/amd64"),
            ("aarch64", "linux/arm64"),
            ("linux/arm/v7", "linux/arm"),
            ("windows", &format!("windows/{}", Platform::own().architecture)),
        ] {
            assert_eq!(Platform::parse(typed).expect(typed).to_string(), meant);
        }
        let wrong = |typed: &str| Platform::parse(typed).expect_err(typed).to_string();
        assert_eq!(wrong("nan"), "\"nan\": unknown operating system or architecture: invalid argument");
        assert!(
            ["", "linux/", "a b", "a/b/c/d"].iter().all(|typed| wrong(typed).ends_with("invalid argument"))
        );
    }
}

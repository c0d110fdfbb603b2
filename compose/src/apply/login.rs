//! Whether a registry takes a user's password, asked by `curl`: the program has the host's certificates and proxies.

use std::io::Write;
use std::process::Stdio;

use super::credentials::{Credentials, HUB_KEY, key_of};
use super::host;
use crate::error::{Context, Error, Result};
use crate::process::child;

/// How long a registry may take.
const SECONDS_MAX: u32 = 30;
/// Where Docker Hub's registry is.
const HUB_HOST: &str = "registry-1.docker.io";

/// What is known of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    /// `curl` isn't installed.
    Unknown,
}

/// An answer: its code, and the challenge of a 401.
struct Answer {
    code: u32,
    challenge: String,
}

/// Asks the registry.
///
/// Errors: it refuses, or can't be reached.
pub fn verify(server: &str, credentials: &Credentials) -> Result<Verdict> {
    if host::on_path("curl").is_none() {
        return Ok(Verdict::Unknown);
    }
    let key = key_of(server);
    let host = if key == HUB_KEY { HUB_HOST } else { key.as_str() };
    let scheme = if is_loopback(host) { "http" } else { "https" };
    let url = format!("{scheme}://{host}/v2/");
    let object = format!("Get \"{url}\"");
    let answer = get(&url, None).at(&object)?;
    let answer = match (answer.code, realm(&answer.challenge)) {
        (401, Some(realm)) if scheme == "https" && !realm.starts_with("https://") => {
            Err(Error::new(format!("asks for the password to be sent unencrypted to {realm}")))
        }
        (401, Some(realm)) => get(&realm, Some(credentials)),
        (401, None) => get(&url, Some(credentials)),
        _ => Ok(answer),
    };
    match answer.at(&object)?.code {
        200..300 => Ok(Verdict::Taken),
        401 | 403 => Err(Error::new("unauthorized: incorrect username or password")).at(object),
        code => Err(Error::new(format!("unexpected status code {code}"))).at(object),
    }
}

/// Whether a registry is this host's own, which speaks plain HTTP: `ctr` takes it so, too.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The URL at which a challenge wants a token asked for: `Bearer realm="…",service="…"`.
fn realm(challenge: &str) -> Option<String> {
    let (scheme, rest) = challenge.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let value = |name: &str| {
        let at = rest.find(&format!("{name}=\""))? + name.len() + 2;
        Some(rest[at..].split('"').next()?.to_owned())
    };
    let realm = value("realm")?;
    let Some(service) = value("service") else { return Some(realm) };
    let between = if realm.contains('?') { '&' } else { '?' };
    Some(format!("{realm}{between}service={}", encoded(&service)))
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// What `curl` is told comes by its standard input: arguments could be read by everybody.
fn get(url: &str, credentials: Option<&Credentials>) -> Result<Answer> {
    let mut told = format!(
        "silent\nshow-error\nmax-time = {SECONDS_MAX}\nproto = \"=http,https\"\nurl = {}\noutput = /dev/null\n\
         dump-header = -\nwrite-out = \"%{{http_code}}\"\n",
        quoted(url)?
    );
    if let Some(Credentials { user, secret }) = credentials {
        told += &format!("user = {}\n", quoted(&format!("{user}:{secret}"))?);
    }
    let mut child = child::command("curl")
        .args(["-q", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .at("curl")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(told.as_bytes()).at("curl")?;
    }
    let done = child.wait_with_output().at("curl")?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(Error::new(
            said.lines().next().unwrap_or("curl failed").trim_start_matches("curl: ").to_owned(),
        ));
    }
    let said = String::from_utf8_lossy(&done.stdout);
    let code = said.lines().last().and_then(|code| code.trim().parse().ok());
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("www-authenticate").then(|| value.trim().to_owned())
    };
    let challenge = said.lines().filter_map(header).next().unwrap_or_default();
    Ok(Answer { code: code.ok_or_else(|| Error::new("curl gave no status"))?, challenge })
}

/// A value in a file for `curl`.
fn quoted(value: &str) -> Result<String> {
    if value.chars().any(char::is_control) {
        return Err(Error::new("control characters in a URL, a user's name or a password"));
    }
    Ok(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_asked_for_where_the_challenge_says() {
        let challenge = "Bearer realm=\"https://auth.example.org/token\",service=\"reg example\"";
        assert_eq!(realm(challenge).as_deref(), Some("https://auth.example.org/token?service=reg%20example"));
        assert_eq!(realm("Basic realm=\"r\""), None);
        assert_eq!(realm(""), None);
    }

    #[test]
    fn what_is_typed_tells_curl_nothing_else() {
        assert_eq!(quoted("a\"b\\c").unwrap(), "\"a\\\"b\\\\c\"");
        assert!(quoted("a\nurl = file:///etc/shadow").is_err());
    }

    #[test]
    fn only_this_hosts_registry_speaks_plain_http() {
        assert!(
            ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"]
                .iter()
                .all(|host| is_loopback(host))
        );
        assert!(
            !["localhost.example.org", "10.0.0.1:5000", "127.example.org"]
                .iter()
                .any(|host| is_loopback(host))
        );
    }
}

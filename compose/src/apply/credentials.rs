//! How to log in to registries: Docker's `config.json`, and the helper programs that it names.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Context, Error, Kind, Result};
use crate::process::child;
use crate::{client_config, disk};

/// Docker Hub's registry in images' names, and its key in the file.
const HUB: &str = "docker.io";
pub const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Other names of it.
const HUBS: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "docker.io"];
/// The user that stands for a token in place of a password.
const TOKEN_USER: &str = "<token>";
/// What a helper says of a server that it doesn't know.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Who logs in, by which password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub secret: String,
}

/// A secret is nobody's to read.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a helper says and is told.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Helped {
    #[serde(rename = "ServerURL", default)]
    server: String,
    username: String,
    secret: String,
}

/// The file.
pub struct Store {
    path: PathBuf,
    config: Value,
}

/// The key of a registry in the file, given a server as people type it: with or without a scheme and a path.
pub fn key_of(server: &str) -> String {
    let host = host_of(server);
    if HUBS.contains(&host) { HUB_KEY.to_owned() } else { host.to_owned() }
}

fn host_of(server: &str) -> &str {
    let rest = server.strip_prefix("https://").or_else(|| server.strip_prefix("http://")).unwrap_or(server);
    rest.split('/').next().unwrap_or_default()
}

impl Store {
    /// Reads the configuration of Docker's client. A file that isn't there is empty.
    pub fn open() -> Result<Store> {
        Store::at(client_config::file())
    }

    fn at(path: PathBuf) -> Result<Store> {
        // A file that is a link stays one.
        let path = fs::canonicalize(&path).unwrap_or(path);
        let config: Option<Value> = disk::read_json(&path)?;
        let config = config.unwrap_or_else(|| json!({}));
        if config.is_object() {
            Ok(Store { path, config })
        } else {
            Err(Error::new("not an object")).at(path.display())
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How to log in to a registry, if anybody has said so.
    pub fn credentials(&self, server: &str) -> Result<Option<Credentials>> {
        let key = key_of(server);
        let found = match self.helper(&key) {
            Some(helper) => ask(&helper, &key)?,
            None => self
                .entry(&key)
                .map(|(_, entry)| of_entry(entry))
                .transpose()
                .at(self.path.display())?
                .flatten(),
        };
        match found {
            Some(Credentials { user, .. }) if user == TOKEN_USER => Err(Error::new(format!(
                "{key}: a token in place of a password can't be given to ctr; log in with a password"
            ))),
            found => Ok(found.filter(|found| !found.user.is_empty())),
        }
    }

    /// Whether the password goes to a helper, and not into the file.
    pub fn is_helped(&self, server: &str) -> bool {
        self.helper(&key_of(server)).is_some()
    }

    /// Remembers how to log in.
    pub fn remember(&mut self, server: &str, credentials: &Credentials) -> Result<()> {
        let key = key_of(server);
        let Credentials { user, secret } = credentials.clone();
        if let Some(helper) = self.helper(&key) {
            let told = Helped { server: key.clone(), username: user, secret };
            let done = call(&helper, "store", &serde_json::to_string(&told)?)?;
            refused(&helper, &done)?;
            self.auths()?.insert(key, json!({}));
        } else {
            let auth = STANDARD.encode(format!("{user}:{secret}"));
            self.auths()?.insert(key, json!({ "auth": auth }));
        }
        self.save()
    }

    /// Forgets how to log in. Says whether anything was known.
    pub fn forget(&mut self, server: &str) -> Result<bool> {
        let key = key_of(server);
        let known = self.entry(&key).map(|(key, _)| key.to_owned());
        if let Some(helper) = self.helper(&key) {
            let is_known = ask(&helper, &key)?.is_some();
            if !is_known && known.is_none() {
                return Ok(false);
            }
            if is_known {
                refused(&helper, &call(&helper, "erase", &key)?)?;
            }
        }
        let Some(known) = known else { return Ok(self.helper(&key).is_some()) };
        self.auths()?.remove(&known);
        self.save().map(|()| true)
    }

    /// The entry of a registry, with its key as the file has it.
    fn entry(&self, key: &str) -> Option<(&str, &Value)> {
        let auths = self.config["auths"].as_object()?;
        auths.iter().find(|(known, _)| key_of(known) == key).map(|(known, entry)| (known.as_str(), entry))
    }

    fn auths(&mut self) -> Result<&mut serde_json::Map<String, Value>> {
        if self.config["auths"].is_null() {
            self.config["auths"] = json!({});
        }
        self.config["auths"].as_object_mut().ok_or_else(|| Error::new("config.json: auths: not an object"))
    }

    /// The helper program of a registry.
    fn helper(&self, key: &str) -> Option<String> {
        let host = host_of(key);
        let named = self.config["credHelpers"].as_object().and_then(|helpers| {
            helpers.iter().find(|(known, _)| *known == key || host_of(known) == host).map(|(_, name)| name)
        });
        let name = named.unwrap_or(&self.config["credsStore"]).as_str()?;
        Some(name.to_owned()).filter(|name| !name.is_empty())
    }

    /// Writes the file, which only its owner may read.
    fn save(&self) -> Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).at(dir.display())?;
        let unfinished = self.path.with_extension(format!("json.{}", std::process::id()));
        let mut text = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        self.config.serialize(&mut serde_json::Serializer::with_formatter(&mut text, tabs))?;
        let mut options = fs::File::options();
        let file = options.create(true).truncate(true).write(true).mode(0o600).open(&unfinished);
        let written = file.and_then(|mut file| {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(&text)
        });
        written.and_then(|()| fs::rename(&unfinished, &self.path)).at(self.path.display())
    }
}

/// `auth` is user and password in base64; older files have both in the open.
fn of_entry(entry: &Value) -> Result<Option<Credentials>> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    if !text("identitytoken").is_empty() {
        return Ok(Some(Credentials { user: TOKEN_USER.to_owned(), secret: text("identitytoken") }));
    }
    let auth = text("auth");
    if auth.is_empty() {
        let (user, secret) = (text("username"), text("password"));
        return Ok(Some(Credentials { user, secret }).filter(|found| !found.user.is_empty()));
    }
    let wrong = || Error::new("auths: an auth that is no user and password in base64");
    let decoded = STANDARD.decode(auth.trim()).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let (user, secret) = decoded.split_once(':').ok_or_else(wrong)?;
    Ok(Some(Credentials { user: user.to_owned(), secret: secret.trim_end_matches('\0').to_owned() }))
}

/// Asks a helper.
fn ask(helper: &str, key: &str) -> Result<Option<Credentials>> {
    let done = call(helper, "get", key)?;
    if !done.status.success() && said(&done.stdout).contains(NOT_FOUND) {
        return Ok(None);
    }
    refused(helper, &done)?;
    let Helped { username, secret, .. } =
        serde_json::from_slice(&done.stdout).map_err(|_| Error::new("no JSON")).at(program(helper))?;
    Ok(Some(Credentials { user: username, secret }))
}

fn call(helper: &str, operation: &str, input: &str) -> Result<Output> {
    let program = program(helper);
    if helper.contains('/') {
        return Err(Error::new(format!("{program}: not a name of a program")));
    }
    let mut child = child::command(&program)
        .arg(operation)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .at(&program)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that doesn't read says why at its end.
        drop(stdin.write_all(input.as_bytes()));
    }
    child.wait_with_output().at(&program)
}

fn refused(helper: &str, done: &Output) -> Result<()> {
    if done.status.success() {
        return Ok(());
    }
    // Helpers say on standard output why they refuse.
    let why = [said(&done.stdout), said(&done.stderr)].into_iter().find(|text| !text.is_empty());
    let why = why.unwrap_or_else(|| done.status.to_string());
    Err(Error::of_kind(Kind::Other, why)).at(program(helper))
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().replace('\n', " ")
}

fn program(helper: &str) -> String {
    format!("docker-credential-{helper}")
}

/// How to log in to the registry of an image.
pub fn of_registry(registry: &str) -> Result<Option<Credentials>> {
    Store::open()?.credentials(if registry.is_empty() { HUB } else { registry })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(config: Value) -> Store {
        Store { path: PathBuf::from("/nowhere/config.json"), config }
    }

    #[test]
    fn entries_are_found_however_their_registry_is_written() {
        let auth = STANDARD.encode("me:pass:word");
        let store = store(json!({"auths": {
            "https://reg.example.org/v2/": {"auth": auth},
            "https://index.docker.io/v1/": {"username": "hub", "password": "p"},
            "token.example.org": {"identitytoken": "t"},
            "empty.example.org": {},
            "broken.example.org": {"auth": "?"},
        }}));
        let found = |server: &str| {
            store.credentials(server).map(|found| found.map(|found| (found.user, found.secret)))
        };
        let both = |user: &str, secret: &str| Ok(Some((user.to_owned(), secret.to_owned())));
        assert_eq!(found("reg.example.org"), both("me", "pass:word"));
        assert_eq!(found("docker.io"), both("hub", "p"));
        assert_eq!(found("reg.example.org:5000"), Ok(None));
        assert_eq!(found("empty.example.org"), Ok(None));
        assert!(found("token.example.org").is_err() && found("broken.example.org").is_err());
    }

    #[test]
    fn a_helper_is_the_registrys_own_or_the_one_of_all() {
        let store = store(
            json!({"credsStore": "all", "credHelpers": {"a.example.org": "own", "b.example.org": "../x"}}),
        );
        assert_eq!(store.helper("a.example.org").as_deref(), Some("own"));
        assert_eq!(store.helper("other").as_deref(), Some("all"));
        let err = store.credentials("b.example.org").unwrap_err().to_string();
        assert_eq!(err, "docker-credential-../x: not a name of a program");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let credentials = Credentials { user: "me".to_owned(), secret: "hush".to_owned() };
        assert!(!format!("{credentials:?}").contains("hush"));
    }

    #[test]
    fn what_else_the_file_says_stays_and_only_its_owner_reads_it() {
        let dir = std::env::temp_dir().join(format!("corten-compose-credentials-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("config.json");
        fs::write(&path, r#"{"proxies":{"default":{}},"auths":{"http://old/v1/":{"auth":"bTpw"}}}"#).unwrap();
        let mut store = Store::at(path.clone()).unwrap();
        let me = Credentials { user: "me".to_owned(), secret: "pw".to_owned() };
        store.remember("new:5000", &me).unwrap();
        let mut store = Store::at(path.clone()).unwrap();
        assert_eq!(store.credentials("new:5000").unwrap(), Some(me));
        assert!(store.forget("old").unwrap() && !store.forget("old").unwrap());
        let left: Value = disk::read_json(&path).unwrap().unwrap();
        assert_eq!(left, json!({"proxies": {"default": {}}, "auths": {"new:5000": {"auth": "bWU6cHc="}}}));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        disk::remove_dir(&dir).unwrap();
    }
}

//! A client of CNI plugins: command and target in the environment, the configuration on stdin, the answer on stdout.
//!
//! Source: the CNI specification 1.0.0, sections 2 and 4.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Context, Error, Result};

/// The version of the specification that configurations are written in.
pub const VERSION: &str = "1.0.0";

/// Where distributions put plugins, and where people do.
const PLUGIN_DIRS: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
/// Plugins look for `iptables` on a path that the runtime's hook may not have.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where plugins are.
pub struct Client {
    dirs: Vec<PathBuf>,
}

/// Whom an interface is for.
pub struct Target<'a> {
    /// The container's id.
    pub container: &'a str,
    /// Its network namespace, unless it is gone.
    pub netns: Option<&'a Path>,
    /// The interface's name inside.
    pub interface: &'a str,
}

/// What plugins have made.
#[derive(Clone, Debug, Default)]
pub struct Added {
    /// The interface's addresses.
    pub addresses: Vec<IpNet>,
    /// Its hardware address.
    pub mac: Option<String>,
    /// The whole answer, which `CHECK` and `DEL` want to see again.
    pub result: Value,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    ips: Vec<AnsweredIp>,
    #[serde(default)]
    interfaces: Vec<AnsweredInterface>,
}

#[derive(Deserialize)]
struct AnsweredIp {
    address: IpNet,
}

#[derive(Deserialize)]
struct AnsweredInterface {
    name: String,
    #[serde(default)]
    mac: Option<String>,
    #[serde(default)]
    sandbox: String,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    msg: String,
    #[serde(default)]
    details: String,
}

impl Client {
    /// Plugins of `CNI_PATH`, or of where they usually are.
    pub fn new() -> Client {
        let dirs = match std::env::var_os("CNI_PATH") {
            Some(path) => std::env::split_paths(&path).collect(),
            None => PLUGIN_DIRS.iter().map(PathBuf::from).collect(),
        };
        Client { dirs }
    }

    /// Makes an interface by these plugins in turn.
    pub fn add(&self, target: &Target, plugins: &[Value]) -> Result<Added> {
        let mut result = Value::Null;
        for plugin in plugins {
            result = self.call("ADD", target, with_previous(plugin, &result))?;
        }
        added(target, result)
    }

    /// Takes an interface away by the same plugins in reverse. What is away already is fine.
    ///
    /// Errors: the first one. All plugins are called nevertheless.
    pub fn delete(&self, target: &Target, plugins: &[Value], result: &Value) -> Result<()> {
        let mut all = Ok(());
        for plugin in plugins.iter().rev() {
            all = all.and(self.call("DEL", target, with_previous(plugin, result)).map(drop));
        }
        all
    }

    fn call(&self, command: &str, target: &Target, config: Value) -> Result<Value> {
        let kind = config["type"].as_str().unwrap_or_default().to_owned();
        let object = format!("CNI plugin {kind}");
        let path = self.find(&kind)?;
        let output = self.run(&path, command, target, &config.to_string()).at(&object)?;
        if !output.status.success() {
            return Err(refused(&output)).at(&object);
        }
        // DEL and CHECK answer with nothing.
        if output.stdout.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout).at(&object)
    }

    /// Whether a plugin is there.
    pub fn has(&self, kind: &str) -> bool {
        self.find(kind).is_ok()
    }

    fn find(&self, kind: &str) -> Result<PathBuf> {
        let found = self.dirs.iter().map(|dir| dir.join(kind)).find(|path| path.is_file());
        found.ok_or_else(|| {
            let dirs = self.dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ");
            Error::new(format!(
                "CNI plugin {kind}: not in {dirs} (Debian has containernetworking-plugins; else set CNI_PATH)"
            ))
        })
    }

    fn run(&self, path: &Path, command: &str, target: &Target, config: &str) -> Result<Output> {
        let mut child = Command::new(path)
            .env_clear()
            .env("PATH", PATH)
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", target.container)
            .env("CNI_NETNS", target.netns.map(Path::as_os_str).unwrap_or_default())
            .env("CNI_IFNAME", target.interface)
            .env("CNI_ARGS", "IgnoreUnknown=1")
            .env("CNI_PATH", std::env::join_paths(&self.dirs).unwrap_or_else(|_| OsString::new()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(config.as_bytes())?;
        }
        Ok(child.wait_with_output()?)
    }
}

fn with_previous(plugin: &Value, result: &Value) -> Value {
    let mut plugin = plugin.clone();
    if !result.is_null() {
        plugin["prevResult"] = result.clone();
    }
    plugin
}

fn added(target: &Target, result: Value) -> Result<Added> {
    let answer: Answer = serde_json::from_value(result.clone()).at("CNI result")?;
    let inside =
        |interface: &&AnsweredInterface| !interface.sandbox.is_empty() && interface.name == target.interface;
    let mac = answer.interfaces.iter().find(inside).and_then(|interface| interface.mac.clone());
    Ok(Added { addresses: answer.ips.into_iter().map(|ip| ip.address).collect(), mac, result })
}

/// Plugins say on stdout why they refuse. What crashes says it on stderr.
fn refused(output: &Output) -> Error {
    let line = match serde_json::from_slice::<Refusal>(&output.stdout) {
        Ok(refusal) if refusal.details.is_empty() => refusal.msg,
        Ok(refusal) => format!("{}: {}", refusal.msg, refusal.details),
        Err(_) => format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
    };
    Error::new(line)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const TARGET: Target = Target { container: "c1", netns: None, interface: "eth0" };

    /// A directory with one plugin, which is a script.
    fn with_plugin(name: &str, script: &str) -> (Client, Value) {
        let dir = std::env::temp_dir().join(format!("corten-compose-cni-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        (Client { dirs: vec![dir] }, serde_json::json!({"cniVersion": VERSION, "name": "n", "type": name}))
    }

    #[test]
    fn a_missing_plugin_is_named_with_where_it_was_looked_for() {
        let client = Client { dirs: vec!["/nowhere".into()] };
        let err = client.add(&TARGET, &[serde_json::json!({"type": "bridge"})]).unwrap_err().to_string();
        assert!(err.starts_with("CNI plugin bridge: not in /nowhere"), "{err}");
    }

    #[test]
    fn a_refusal_is_told_in_the_plugins_words() {
        let (client, plugin) = with_plugin(
            "refuses",
            r#"cat >/dev/null; echo '{"code":7,"msg":"no","details":"none left"}'; exit 1"#,
        );
        let err = client.add(&TARGET, &[plugin]).unwrap_err().to_string();
        assert_eq!(err, "CNI plugin refuses: no: none left");
    }

    #[test]
    fn a_crash_is_told_by_its_stderr() {
        let (client, plugin) = with_plugin("crashes", "cat >/dev/null; echo oops >&2; exit 2");
        let err = client.add(&TARGET, &[plugin]).unwrap_err().to_string();
        assert_eq!(err, "CNI plugin crashes: exit status: 2: oops");
    }

    #[test]
    fn addresses_and_mac_are_those_of_the_interface_inside() {
        let answer = r#"{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.2/24","interface":1}],"interfaces":
            [{"name":"eth0","mac":"00:00:00:00:00:01"},{"name":"eth0","mac":"00:00:00:00:00:02","sandbox":"/n"}]}"#;
        let (client, plugin) = with_plugin("answers", &format!("cat >/dev/null; cat <<'E'\n{answer}\nE"));
        let added = client.add(&TARGET, &[plugin]).unwrap();
        assert_eq!(added.addresses, ["10.1.0.2/24".parse().unwrap()]);
        assert_eq!(added.mac.as_deref(), Some("00:00:00:00:00:02"));
    }

    #[test]
    fn the_next_plugin_sees_the_result_of_the_one_before() {
        let (client, plugin) = with_plugin("echoes", r#"read config; echo "{\"ips\":[],\"seen\":$config}""#);
        let added = client.add(&TARGET, &[plugin.clone(), plugin]).unwrap();
        assert!(added.result["seen"]["prevResult"]["seen"].is_object(), "{}", added.result);
    }

    #[test]
    fn delete_goes_on_after_a_failure_and_tells_it() {
        let marker = std::env::temp_dir().join(format!("corten-compose-cni-marker-{}", std::process::id()));
        let (mut client, first) =
            with_plugin("marks", &format!("cat >/dev/null; touch {}", marker.display()));
        let (other, last) = with_plugin("fails", "cat >/dev/null; exit 3");
        client.dirs.extend(other.dirs);
        client.delete(&TARGET, &[first, last], &Value::Null).unwrap_err();
        std::fs::remove_file(marker).unwrap();
    }
}

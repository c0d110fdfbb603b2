//! The files that the shim keeps in a container's bundle, for `delete` and for a containerd that starts anew.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use corten::error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::machine::call::Exit;
use crate::options::Options;

const ADDRESS: &str = "address";
const CONFIG: &str = "config.json";
const EXIT: &str = "exitstatus.json";
const INIT_PID: &str = "init.pid";
const OPTIONS: &str = "options.json";
const RUNTIME: &str = "runtime";
/// A link to the directory of sockets, which containerd's own shim makes if it isn't the usual directory.
const SOCKETS: &str = "s";

/// A bundle, by its directory.
#[derive(Clone, Debug)]
pub struct Bundle {
    dir: PathBuf,
}

impl Bundle {
    /// The bundle in `dir`.
    pub fn at(dir: impl Into<PathBuf>) -> Bundle {
        Bundle { dir: dir.into() }
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the root filesystem is mounted.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// The file for the pid of init.
    pub fn init_pid_file(&self) -> PathBuf {
        self.dir.join(INIT_PID)
    }

    /// The group that the container says it belongs to. The containers of a group have one server.
    pub fn group(&self) -> Result<Option<String>> {
        let text =
            fs::read(self.dir.join(CONFIG)).map_err(|err| Error::io(format!("read({CONFIG})"), &err))?;
        let config: Annotated =
            serde_json::from_slice(&text).map_err(|err| Error::invalid(format!("{CONFIG}: {err}")))?;
        let Annotations { group, sandbox } = config.annotations.unwrap_or_default();
        Ok(group.or(sandbox))
    }

    /// Where the server listens. containerd 1.x finds it here after a restart.
    pub fn address(&self) -> Result<Option<String>> {
        self.read(ADDRESS)
    }

    /// See [`Bundle::address`].
    pub fn write_address(&self, address: &str) -> Result<()> {
        self.write(ADDRESS, address)
    }

    /// Takes the address away again, if it is there.
    pub fn remove_address(&self) -> Result<()> {
        match fs::remove_file(self.dir.join(ADDRESS)) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|err| Error::io(format!("unlink({ADDRESS})"), &err)),
        }
    }

    /// Where containerd's own shim says that sockets are.
    pub fn socket_dir(&self) -> Option<PathBuf> {
        fs::read_link(self.dir.join(SOCKETS)).ok()
    }

    /// The name of the runtime that has made the container; see [`Driver`](crate::driver::Driver).
    pub fn runtime(&self) -> Result<Option<String>> {
        self.read(RUNTIME)
    }

    /// See [`Bundle::runtime`].
    pub fn write_runtime(&self, name: &str) -> Result<()> {
        self.write(RUNTIME, name)
    }

    /// The options of the container, which may be those that another shim has written.
    pub fn options(&self) -> Result<Options> {
        let Some(text) = self.read(OPTIONS)? else { return Ok(Options::default()) };
        // Go writes null where there are none.
        let options: Option<Options> =
            serde_json::from_str(&text).map_err(|err| Error::invalid(format!("{OPTIONS}: {err}")))?;
        Ok(options.unwrap_or_default())
    }

    /// See [`Bundle::options`].
    pub fn write_options(&self, options: &Options) -> Result<()> {
        self.write(OPTIONS, &to_json(options)?)
    }

    /// The pid of init, if the container was created.
    pub fn init_pid(&self) -> Result<Option<u32>> {
        let Some(text) = self.read(INIT_PID)? else { return Ok(None) };
        let pid =
            text.trim().parse().map_err(|_| Error::internal(format!("{INIT_PID}: {text:?} is no pid")))?;
        Ok(Some(pid))
    }

    /// How init ended, if a server has seen it end, and the pid that init had.
    pub fn exit(&self) -> Result<Option<(u32, Exit)>> {
        let Some(text) = self.read(EXIT)? else { return Ok(None) };
        let stored: StoredExit =
            serde_json::from_str(&text).map_err(|err| Error::internal(format!("{EXIT}: {err}")))?;
        let at = clock::from_text(&stored.timestamp).unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Some((stored.pid, Exit { status: stored.status, at })))
    }

    /// See [`Bundle::exit`].
    pub fn write_exit(&self, pid: u32, exit: Exit) -> Result<()> {
        let stored = StoredExit { timestamp: clock::to_text(exit.at), pid, status: exit.status };
        self.write(EXIT, &to_json(&stored)?)
    }

    fn read(&self, name: &str) -> Result<Option<String>> {
        match fs::read_to_string(self.dir.join(name)) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
            result => result.map(Some).map_err(|err| Error::io(format!("read({name})"), &err)),
        }
    }

    /// Writes a file whole or not at all.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let (unfinished, finished) = (self.dir.join(format!(".{name}")), self.dir.join(name));
        write_new(&unfinished, text)
            .and_then(|()| fs::rename(&unfinished, &finished))
            .map_err(|err| Error::io(format!("write({name})"), &err))
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|err| Error::internal(err.to_string()))
}

/// What the shim reads of config.json before it starts the server. All else is passed over as it is parsed.
#[derive(Deserialize)]
struct Annotated {
    annotations: Option<Annotations>,
}

#[derive(Default, Deserialize)]
struct Annotations {
    #[serde(rename = "io.containerd.runc.v2.group")]
    group: Option<String>,
    #[serde(rename = "io.kubernetes.cri.sandbox-id")]
    sandbox: Option<String>,
}

/// The form in which containerd's own shim stores it: Go's names of the fields.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StoredExit {
    timestamp: String,
    pid: u32,
    status: u32,
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    /// A bundle in a directory of its own, which goes with it.
    struct Throwaway(Bundle);

    impl Throwaway {
        fn new(name: &str) -> Throwaway {
            let dir = std::env::temp_dir().join(format!("corten-shim-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).expect("a directory");
            Throwaway(Bundle::at(dir))
        }

        fn put(&self, name: &str, text: &str) {
            fs::write(self.0.dir.join(name), text).expect("a file");
        }
    }

    impl Drop for Throwaway {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0.dir).expect("it is there");
        }
    }

    #[test]
    fn the_first_annotation_that_is_there_names_the_group() {
        let made = Throwaway::new("group");
        for (annotations, group) in [
            (r#"{}"#, None),
            (r#"null"#, None),
            (r#"{"io.kubernetes.cri.sandbox-id": "pod", "x": "y"}"#, Some("pod")),
            (r#"{"io.kubernetes.cri.sandbox-id": "pod", "io.containerd.runc.v2.group": "g"}"#, Some("g")),
            (r#"{"io.containerd.runc.v2.group": ""}"#, Some("")),
        ] {
            made.put(
                CONFIG,
                &format!(r#"{{"process":{{"args":["a"]}},"annotations":{annotations},"linux":{{}}}}"#),
            );
            assert_eq!(made.0.group().expect("a config").as_deref(), group, "{annotations}");
        }
        made.put(CONFIG, r#"{"ociVersion":"1.0.2"}"#);
        assert_eq!(made.0.group().expect("a config"), None);
        made.put(CONFIG, r#"{"annotations":"#);
        assert!(made.0.group().is_err());
        fs::remove_file(made.0.dir.join(CONFIG)).expect("it is there");
        assert!(made.0.group().is_err());
    }

    #[test]
    fn what_is_written_is_read_and_nobody_elses_to_read() {
        let made = Throwaway::new("files");
        let bundle = &made.0;
        assert_eq!((bundle.address().ok(), bundle.runtime().ok()), (Some(None), Some(None)));
        assert_eq!(bundle.options().ok(), Some(Options::default()));
        assert!(
            bundle.exit().is_ok_and(|exit| exit.is_none())
                && bundle.init_pid().is_ok_and(|pid| pid.is_none())
        );
        let options = Options { binary_name: "crun".into(), systemd_cgroup: true, ..Options::default() };
        let exit = Exit { status: 137, at: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5) };
        bundle.write_address("unix:///run/s/x").expect("written");
        bundle.write_runtime("crun").expect("written");
        bundle.write_options(&options).expect("written");
        bundle.write_exit(42, exit).expect("written");
        made.put(INIT_PID, "42");
        assert_eq!(bundle.address().ok().flatten().as_deref(), Some("unix:///run/s/x"));
        assert_eq!(bundle.runtime().ok().flatten().as_deref(), Some("crun"));
        assert_eq!(bundle.options().ok(), Some(options));
        assert_eq!(bundle.exit().ok().flatten(), Some((42, exit)));
        assert_eq!(bundle.init_pid().ok().flatten(), Some(42));
        let mut names: Vec<_> = fs::read_dir(&bundle.dir).expect("it is there").flatten().collect();
        names.retain(|entry| entry.file_name() != INIT_PID);
        assert_eq!(names.len(), 4);
        for entry in names {
            assert_eq!(
                entry.metadata().expect("it is there").permissions().mode() & 0o777,
                0o600,
                "{entry:?}"
            );
        }
        bundle.remove_address().and_then(|()| bundle.remove_address()).expect("gone twice");
    }

    #[test]
    fn files_of_containerds_shim_are_read() {
        let made = Throwaway::new("go");
        made.put(OPTIONS, "null");
        assert_eq!(made.0.options().ok(), Some(Options::default()));
        made.put(OPTIONS, r#"{"binary_name":"runc","new_in_3":true}"#);
        assert_eq!(made.0.options().map(|options| options.binary_name).ok().as_deref(), Some("runc"));
        made.put(EXIT, r#"{"Timestamp":"2026-09-04T10:00:00.5+02:00","Pid":7,"Status":3}"#);
        let (pid, exit) = made.0.exit().ok().flatten().expect("an exit");
        assert_eq!((pid, exit.status), (7, 3));
        assert_eq!(clock::to_text(exit.at), "2026-09-04T08:00:00.5Z");
        made.put(RUNTIME, "");
        assert_eq!(made.0.runtime().ok().flatten().as_deref(), Some(""));
    }
}

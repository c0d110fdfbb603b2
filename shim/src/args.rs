//! The command line. Whatever isn't the shim's belongs to the runtime, whose command line this file understands too.
//!
//! containerd's own shims are written in Go, so flags are those of Go's package `flag`: `-k v`, `-k=v`, and each of
//! them with two dashes. The first argument that is no flag is the command.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The name under which the file is the `corten` command and nothing else.
const RUNTIME: &str = "corten";
/// The name under which the file mounts a root filesystem with mapped ids, and nothing else.
pub const MOUNTER: &str = "corten-rootfs";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Starts the server of a container's group, or finds it.
    Start(Args),
    /// Cleans up after a server that is gone.
    Delete(Args),
    /// Is the server.
    Serve(Args),
    /// Mounts a root filesystem with mapped ids: the server asks for it.
    MountIdMapped,
    /// Tells what the runtime can do.
    Info,
    /// Tells the version.
    Version,
    /// Tells what this file is for, and its flags.
    Help,
    /// The arguments are the runtime's.
    Runtime,
}

/// What containerd says of a container, and of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// The namespace of containerd that the container is in: always one path component.
    pub namespace: String,
    /// The container's id: always one path component.
    pub id: String,
    /// Where containerd listens for gRPC.
    pub address: String,
    /// The bundle, if it isn't the working directory.
    pub bundle: Option<PathBuf>,
    /// The socket to serve on, for a server that inherits none.
    pub socket: Option<PathBuf>,
    /// Whether the log tells everything.
    pub debug: bool,
}

/// Reads argv. The text of an error is for people.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut argv = argv.into_iter();
    let program = argv.next().unwrap_or_default();
    match Path::new(&program).file_name().and_then(OsStr::to_str) {
        Some(RUNTIME) => return Ok(Command::Runtime),
        Some(MOUNTER) => return Ok(Command::MountIdMapped),
        _ => {}
    }
    let mut argv = argv.peekable();
    if argv.peek().is_none() {
        return Err("no command: containerd starts this file (--help)".to_owned());
    }
    let mut flags = Flags::default();
    let command = match flags.read(&mut argv) {
        // The runtime has flags that the shim has not, and says itself what is wrong with the others.
        Err(_) if !flags.are_the_shims => return Ok(Command::Runtime),
        command => command?,
    };
    let is_a_word = matches!(command.as_deref().and_then(OsStr::to_str), Some("start" | "delete"));
    // `delete c1` is the runtime's, and no flag of the shim's stands before it.
    if !flags.are_the_shims && (!is_a_word || argv.next().is_some()) {
        return Ok(Command::Runtime);
    }
    flags.command(command.as_deref())
}

#[derive(Default)]
struct Flags {
    args: Args,
    info: bool,
    version: bool,
    help: bool,
    /// Whether a flag was there that the runtime hasn't.
    are_the_shims: bool,
}

impl Flags {
    /// Reads the flags and returns the first argument after them.
    fn read(&mut self, argv: &mut impl Iterator<Item = OsString>) -> Result<Option<OsString>, String> {
        while let Some(argument) = argv.next() {
            let text = argument.to_string_lossy();
            let Some(flag) = text.strip_prefix("--").or_else(|| text.strip_prefix('-')) else {
                return Ok(Some(argument));
            };
            match flag {
                // Go takes a single dash for a word, and two for the end of flags.
                "" if text == "-" => return Ok(Some(argument)),
                "" => return Ok(argv.next()),
                _ => {}
            }
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            self.set(name, value, argv)?;
        }
        Ok(None)
    }

    fn set(
        &mut self,
        name: &str,
        value: Option<String>,
        argv: &mut impl Iterator<Item = OsString>,
    ) -> Result<(), String> {
        match name {
            "debug" => self.args.debug = switch(name, value)?,
            "info" => self.info = switch(name, value)?,
            "v" | "version" => self.version = switch(name, value)?,
            "h" | "help" => self.help = switch(name, value)?,
            "namespace" | "id" | "address" | "bundle" | "socket" | "debug-socket" | "publish-binary" => {
                self.are_the_shims = true;
                let given = value.or_else(|| argv.next().map(|next| next.to_string_lossy().into_owned()));
                self.set_text(name, given.ok_or_else(|| format!("flag needs an argument: -{name}"))?);
            }
            _ => return Err(format!("flag provided but not defined: -{name}")),
        }
        self.are_the_shims |= name != "debug";
        Ok(())
    }

    fn set_text(&mut self, name: &str, value: String) {
        match name {
            "namespace" => self.args.namespace = value,
            "id" => self.args.id = value,
            "address" => self.args.address = value,
            "bundle" => {
                self.args.bundle = Some(value.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty())
            }
            "socket" => {
                self.args.socket = Some(value.into()).filter(|path: &PathBuf| !path.as_os_str().is_empty())
            }
            // Events go to $TTRPC_ADDRESS, and there is no socket for a debugger.
            _ => {}
        }
    }

    fn command(self, word: Option<&OsStr>) -> Result<Command, String> {
        if self.help {
            return Ok(Command::Help);
        }
        if self.version {
            return Ok(Command::Version);
        }
        if self.info {
            return Ok(Command::Info);
        }
        check_name("namespace", &self.args.namespace)?;
        check_name("id", &self.args.id)?;
        match word.map(OsStr::to_string_lossy).as_deref() {
            Some("start") => Ok(Command::Start(self.args)),
            Some("delete") => Ok(Command::Delete(self.args)),
            None => Ok(Command::Serve(self.args)),
            Some(other) => Err(format!("unknown command {other:?}: start and delete are all there are")),
        }
    }
}

/// The value of a flag that may stand without one, in Go's words.
fn switch(name: &str, value: Option<String>) -> Result<bool, String> {
    match value.as_deref() {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(format!("invalid boolean value {other:?} for -{name}")),
    }
}

/// Namespaces and ids become names of directories.
fn check_name(flag: &str, name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    match name {
        "" => Err(format!("-{flag} is missing or empty")),
        "." | ".." => Err(format!("-{flag} {name:?} is not a name")),
        _ if name.bytes().all(allowed) => Ok(()),
        _ => {
            Err(format!("-{flag} {name:?} has other characters than letters, digits, '_', '+', '-' and '.'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIM: &str = "/usr/bin/containerd-shim-corten-v2";

    fn parsed(line: &str) -> Result<Command, String> {
        parse([SHIM].into_iter().chain(line.split_whitespace()).map(OsString::from))
    }

    fn args(id: &str) -> Args {
        Args { namespace: "ns".into(), id: id.into(), address: "/s".into(), ..Args::default() }
    }

    #[test]
    fn command_lines_of_containerd_are_understood() {
        let common = "-namespace ns -address /s -publish-binary /usr/bin/containerd -id c1";
        assert_eq!(parsed(&format!("{common} start")), Ok(Command::Start(args("c1"))));
        let bundle = Some(PathBuf::from("/b"));
        let debug = Args { debug: true, bundle, ..args("c1") };
        assert_eq!(parsed(&format!("{common} -bundle /b -debug delete")), Ok(Command::Delete(debug)));
        assert_eq!(parsed("-namespace ns -id c1 -address /s"), Ok(Command::Serve(args("c1"))));
        assert_eq!(parsed("-info"), Ok(Command::Info));
        assert_eq!(parsed("-v"), Ok(Command::Version));
        assert_eq!(parsed("--version"), Ok(Command::Version));
        assert_eq!(parsed("-h"), Ok(Command::Help));
        assert_eq!(parsed("--help"), Ok(Command::Help));
        assert!(parsed("").is_err_and(|text| text.contains("--help")));
    }

    #[test]
    fn flags_are_gos() {
        let start = Ok(Command::Start(args("-c")));
        assert_eq!(parsed("--namespace=ns --id -c --address=/s --debug=false start"), start);
        assert_eq!(parsed("-namespace=ns -id=-c -address /s -- start"), start);
        let equals = Args { address: "/a=b".into(), ..args("c1") };
        assert_eq!(parsed("-namespace=ns -id=c1 -address=/a=b start"), Ok(Command::Start(equals)));
        assert!(parsed("-namespace ns -id").is_err_and(|text| text.contains("-id")));
        assert!(parsed("-namespace ns -id c1 -debug=maybe start").is_err_and(|text| text.contains("maybe")));
        assert!(parsed("-namespace ns -id c1 -nonsense start").is_err_and(|text| text.contains("-nonsense")));
        assert!(parsed("-namespace ns -id c1 -address /s stop").is_err_and(|text| text.contains("stop")));
    }

    #[test]
    fn names_that_are_no_path_component_are_refused() {
        for line in
            ["-namespace ../x -id c1 start", "-namespace ns -id .. start", "-namespace ns -id a/b start"]
        {
            assert!(parsed(line).is_err(), "{line}");
        }
        assert!(parsed("start").is_err_and(|text| text.contains("-namespace")));
        assert!(parsed("-namespace ns start").is_err_and(|text| text.contains("-id")));
    }

    #[test]
    fn whatever_else_is_the_runtimes() {
        for line in [
            "--root /run/x create --bundle /b c1",
            "--root /run/x --log /l --log-format json delete --force c1",
            "--debug state c1",
            "--debug=2 state c1",
            "delete c1",
            "start c1",
            "features",
            "create --help",
        ] {
            assert_eq!(parsed(line), Ok(Command::Runtime), "{line}");
        }
        let as_corten = ["corten", "-info"].map(OsString::from);
        assert_eq!(parse(as_corten), Ok(Command::Runtime));
    }
}

//! `-info`: what the runtime can do, for containerd and for people. `-v`: the version. `-h`: the flags.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Stdio};

use containerd_shim_protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use corten::container;
use corten::error::{Error, Result};
use protobuf::Message;
use protobuf::well_known_types::any::Any;

use crate::bootstrap;
use crate::driver::Driver;
use crate::options::Parsed;
use crate::start::read_stdin;

const NAME: &str = "io.containerd.corten.v2";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: Option<&str> = option_env!("CORTEN_COMMIT");
const HELP: &str = "\
containerd-shim-corten-v2: what containerd starts for each container, or each pod, of the runtime
io.containerd.corten.v2. It is found on the PATH of containerd, and needs no other file.

  containerd-shim-corten-v2 -namespace NS -id ID -address SOCKET [-bundle DIR] start|delete
  containerd-shim-corten-v2 -info < OPTIONS
  containerd-shim-corten-v2 -v

  -namespace NS      the namespace of containerd that the container is in
  -id ID             the container
  -address SOCKET    where containerd listens
  -bundle DIR        the container's bundle, by default the working directory
  -debug             log everything
  -info              print what the runtime can do, as containerd asks for it
  -v                 print the version

Any other arguments are those of the runtime, corten: see `containerd-shim-corten-v2 help`.
";
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// Prints a `RuntimeInfo`. Standard input has the options that containers get, or nothing.
///
/// Errors: InvalidSpec for options that can't be read; there is no use in a runtime with these.
pub fn run() -> Result<()> {
    let options = bootstrap::any(&read_stdin()?)
        .ok_or_else(|| Error::invalid("standard input is not an Any of options"))?;
    let parsed = Parsed::of_any(options.as_ref(), &|path| std::fs::read_to_string(path));
    let parsed = parsed.map_err(|refusal| Error::invalid(refusal.text))?;
    let features = features(&Driver::asked(&parsed.options.binary_name))?;
    let info = RuntimeInfo {
        name: NAME.into(),
        version: Some(RuntimeVersion {
            version: VERSION.into(),
            revision: COMMIT.unwrap_or_default().into(),
            ..RuntimeVersion::default()
        })
        .into(),
        options: options.into(),
        features: features.map(|value| Any { type_url: FEATURES.into(), value, ..Any::default() }).into(),
        annotations: HashMap::new(),
        ..RuntimeInfo::default()
    };
    print(&info.write_to_bytes().map_err(|err| Error::internal(err.to_string()))?)
}

/// Prints what this file is for.
pub fn help() -> Result<()> {
    print(HELP.as_bytes())
}

/// The features in JSON; `None` of another runtime that doesn't tell them.
fn features(driver: &Driver) -> Result<Option<Vec<u8>>> {
    match driver {
        Driver::Library => container::features().map(Some),
        Driver::Binary(binary) => {
            let mut command = Command::new::<&OsStr>(binary.as_ref());
            let output = command.arg("features").stdin(Stdio::null()).stderr(Stdio::null()).output();
            let output =
                output.map_err(|err| Error::io(format!("execute {:?}", binary.as_os_str()), &err))?;
            Ok(output.status.success().then_some(output.stdout))
        }
    }
}

/// Prints the version, in the form that engines read of a runtime.
pub fn version() -> Result<()> {
    let name = "containerd-shim-corten-v2";
    print(format!("{name} version {VERSION}\ncommit: {}\n", COMMIT.unwrap_or("unknown")).as_bytes())
}

fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|err| Error::io("write(stdout)", &err))
}

//! A runtime's options: what containerd sends of them, in three types, and `options.json`, which keeps them.
//!
//! Containerd's own shim is sent `containerd.runc.v1.Options`. A shim by another name is sent
//! `runtimeoptions.v1.Options`, TOML in a message, by CRI and by dockerd; older versions of dockerd send
//! `containerd.linux.runc.CreateOptions`. Nothing here looks at a file but by the reader that the caller hands in.

use std::path::Path;

use containerd_shim_protos::shim::oci;
use protobuf::rt::WireType;
use protobuf::well_known_types::any::Any;
use protobuf::{CodedInputStream, Message};
use serde::{Deserialize, Serialize};

use crate::refusal::{Code, Refusal};

/// The options, with the names that `options.json` has for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// The root is moved rather than pivoted.
    #[serde(skip_serializing_if = "is_unset")]
    pub no_pivot_root: bool,
    /// The container keeps the shim's session keyring.
    #[serde(skip_serializing_if = "is_unset")]
    pub no_new_keyring: bool,
    /// The cgroup that the shim itself goes to.
    #[serde(skip_serializing_if = "is_unset")]
    pub shim_cgroup: String,
    /// The owner of the pipes that are the container's standard streams.
    #[serde(skip_serializing_if = "is_unset")]
    pub io_uid: u32,
    /// The group of these pipes.
    #[serde(skip_serializing_if = "is_unset")]
    pub io_gid: u32,
    /// The runtime, if it isn't this file.
    #[serde(skip_serializing_if = "is_unset")]
    pub binary_name: String,
    /// Where states are, without the namespace.
    #[serde(skip_serializing_if = "is_unset")]
    pub root: String,
    /// Where CRIU is. containerd 2 has no such option any more.
    #[serde(skip_serializing_if = "is_unset")]
    pub criu_path: String,
    /// systemd makes the container's cgroup.
    #[serde(skip_serializing_if = "is_unset")]
    pub systemd_cgroup: bool,
    /// Where checkpoints go.
    #[serde(skip_serializing_if = "is_unset")]
    pub criu_image_path: String,
    /// Where CRIU works.
    #[serde(skip_serializing_if = "is_unset")]
    pub criu_work_path: String,
    /// Where the task service of a sandbox listens.
    #[serde(skip_serializing_if = "is_unset")]
    pub task_api_address: String,
    /// Which version that service has.
    #[serde(skip_serializing_if = "is_unset")]
    pub task_api_version: u32,
}

fn is_unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Options as they were read, and what of them was passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The options.
    pub options: Options,
    /// For the log: keys that nobody knows.
    pub warnings: Vec<String>,
}

/// How a file that options name is read.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> std::io::Result<String>;

impl Parsed {
    /// Reads options of any type, from the type's URL and the bytes. No type and no bytes are no options.
    ///
    /// Errors: InvalidArgument, which names the type.
    pub fn of(type_url: &str, bytes: &[u8], read_file: ReadFile) -> Result<Parsed, Refusal> {
        let name = type_url.rsplit('/').next().unwrap_or_default();
        let parsed = match name {
            "" if bytes.is_empty() => Ok(Parsed::default()),
            RUNC => runc(bytes).map(Parsed::from),
            CREATE => create(bytes).map(Parsed::from),
            GENERIC => generic(bytes, read_file),
            _ => Err("no such type of options is known".into()),
        };
        parsed.map_err(|why| {
            Refusal::new(Code::InvalidArgument, format!("options of type {type_url:?}: {why}"))
        })
    }

    /// Reads options that may not be there.
    pub fn of_any(any: Option<&Any>, read_file: ReadFile) -> Result<Parsed, Refusal> {
        any.map_or_else(|| Ok(Parsed::default()), |any| Parsed::of(&any.type_url, &any.value, read_file))
    }
}

/// Whether options of this type are understood.
pub fn knows(type_url: &str) -> bool {
    matches!(type_url.rsplit('/').next(), Some(RUNC | GENERIC | CREATE))
}

const RUNC: &str = "containerd.runc.v1.Options";
const GENERIC: &str = "runtimeoptions.v1.Options";
const CREATE: &str = "containerd.linux.runc.CreateOptions";

impl From<Options> for Parsed {
    fn from(options: Options) -> Parsed {
        Parsed { options, warnings: Vec::new() }
    }
}

fn runc(bytes: &[u8]) -> Result<Options, String> {
    let sent = oci::Options::parse_from_bytes(bytes).map_err(|err| err.to_string())?;
    Ok(Options {
        no_pivot_root: sent.no_pivot_root,
        no_new_keyring: sent.no_new_keyring,
        shim_cgroup: sent.shim_cgroup,
        io_uid: sent.io_uid,
        io_gid: sent.io_gid,
        binary_name: sent.binary_name,
        root: sent.root,
        // Its number, 8, is reserved since containerd 2.
        criu_path: String::new(),
        systemd_cgroup: sent.systemd_cgroup,
        criu_image_path: sent.criu_image_path,
        criu_work_path: sent.criu_work_path,
        task_api_address: sent.task_api_address,
        task_api_version: sent.task_api_version,
    })
}

fn create(bytes: &[u8]) -> Result<Options, String> {
    let mut options = Options::default();
    fields(bytes, |number, wire, input| {
        match (number, wire) {
            (1, WireType::Varint) => options.no_pivot_root = input.read_bool()?,
            (8, WireType::Varint) => options.no_new_keyring = input.read_bool()?,
            (9, WireType::LengthDelimited) => options.shim_cgroup = input.read_string()?,
            (10, WireType::Varint) => options.io_uid = input.read_uint32()?,
            (11, WireType::Varint) => options.io_gid = input.read_uint32()?,
            (12, WireType::LengthDelimited) => options.criu_work_path = input.read_string()?,
            (13, WireType::LengthDelimited) => options.criu_image_path = input.read_string()?,
            // 2 to 7 are a checkpoint's.
            _ => input.skip_field(wire)?,
        }
        Ok(())
    })?;
    Ok(options)
}

fn generic(bytes: &[u8], read_file: ReadFile) -> Result<Parsed, String> {
    let (mut path, mut body) = (String::new(), Vec::new());
    fields(bytes, |number, wire, input| {
        match (number, wire) {
            (2, WireType::LengthDelimited) => path = input.read_string()?,
            (3, WireType::LengthDelimited) => body = input.read_bytes()?,
            // 1 is a name for what is inside, which each engine makes up.
            _ => input.skip_field(wire)?,
        }
        Ok(())
    })?;
    if path.is_empty() {
        return from_toml(&String::from_utf8(body).map_err(|err| err.to_string())?);
    }
    let text = read_file(Path::new(&path)).map_err(|err| format!("read {path:?}: {err}"))?;
    from_toml(&text).map_err(|why| format!("{path:?}: {why}"))
}

/// Walks over a message, field by field.
fn fields(
    bytes: &[u8],
    mut take: impl FnMut(u32, WireType, &mut CodedInputStream) -> protobuf::Result<()>,
) -> Result<(), String> {
    const NUMBER_SHIFT: u32 = 3;
    const WIRE_TYPE: u32 = 7;
    let mut input = CodedInputStream::from_bytes(bytes);
    let broken = |err: protobuf::Error| err.to_string();
    while let Some(tag) = input.read_raw_tag_or_eof().map_err(broken)? {
        let wire = WireType::new(tag & WIRE_TYPE).ok_or("a field of no known wire type")?;
        take(tag >> NUMBER_SHIFT, wire, &mut input).map_err(broken)?;
    }
    Ok(())
}

/// The keys of TOML: those of containerd's configuration, whatever their case, with the names in [`Options`].
const TOML_KEYS: [(&str, &str); 13] = [
    ("NoPivotRoot", "no_pivot_root"),
    ("NoNewKeyring", "no_new_keyring"),
    ("ShimCgroup", "shim_cgroup"),
    ("IoUid", "io_uid"),
    ("IoGid", "io_gid"),
    ("BinaryName", "binary_name"),
    ("Root", "root"),
    ("CriuPath", "criu_path"),
    ("SystemdCgroup", "systemd_cgroup"),
    ("CriuImagePath", "criu_image_path"),
    ("CriuWorkPath", "criu_work_path"),
    ("TaskApiAddress", "task_api_address"),
    ("TaskApiVersion", "task_api_version"),
];

fn from_toml(text: &str) -> Result<Parsed, String> {
    let table: toml::Table = toml::from_str(text).map_err(|err| err.message().to_owned())?;
    let mut known = serde_json::Map::new();
    let mut warnings = Vec::new();
    for (key, value) in table {
        let Some((_, name)) = TOML_KEYS.iter().find(|(word, _)| word.eq_ignore_ascii_case(&key)) else {
            warnings.push(format!("unknown option {key:?}"));
            continue;
        };
        let value = serde_json::to_value(value).map_err(|err| format!("{key}: {err}"))?;
        let alone = serde_json::Map::from_iter([((*name).to_owned(), value.clone())]);
        serde_json::from_value::<Options>(alone.into()).map_err(|err| format!("{key}: {err}"))?;
        known.insert((*name).to_owned(), value);
    }
    let options = serde_json::from_value(known.into()).map_err(|err| err.to_string())?;
    Ok(Parsed { options, warnings })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn no_file(_: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn parsed(type_url: &str, bytes: &[u8]) -> Result<Parsed, String> {
        Parsed::of(type_url, bytes, &no_file).map_err(|refusal| {
            assert_eq!(refusal.code, Code::InvalidArgument);
            refusal.text
        })
    }

    /// A field that is a text, with its number.
    fn text(number: u8, value: &str) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, value.len() as u8];
        bytes.extend(value.as_bytes());
        bytes
    }

    fn number(field: u8, value: u8) -> Vec<u8> {
        vec![field << 3, value]
    }

    fn all() -> Options {
        Options {
            no_pivot_root: true,
            no_new_keyring: true,
            shim_cgroup: "/shims".into(),
            io_uid: 7,
            io_gid: 8,
            binary_name: "crun".into(),
            root: "/run/r".into(),
            criu_path: String::new(),
            systemd_cgroup: true,
            criu_image_path: "/i".into(),
            criu_work_path: "/w".into(),
            task_api_address: "/t".into(),
            task_api_version: 3,
        }
    }

    fn runc_bytes() -> Vec<u8> {
        [
            number(1, 1),
            number(2, 1),
            text(3, "/shims"),
            number(4, 7),
            number(5, 8),
            text(6, "crun"),
            text(7, "/run/r"),
            text(8, "/sbin/criu"),
            number(9, 1),
            text(10, "/i"),
            text(11, "/w"),
            text(12, "/t"),
            number(13, 3),
        ]
        .concat()
    }

    #[test]
    fn options_of_runc_are_taken_whatever_stands_before_the_types_name() {
        for url in ["containerd.runc.v1.Options", "types.containerd.io/containerd.runc.v1.Options"] {
            assert_eq!(parsed(url, &runc_bytes()).map(|parsed| parsed.options), Ok(all()), "{url}");
            assert_eq!(parsed(url, b"").map(|parsed| parsed.options), Ok(Options::default()));
        }
    }

    #[test]
    fn no_options_are_the_default() {
        assert_eq!(parsed("", b""), Ok(Parsed::default()));
        assert_eq!(Parsed::of_any(None, &no_file).map(|parsed| parsed.options), Ok(Options::default()));
    }

    #[test]
    fn an_unknown_type_is_refused_by_its_name() {
        let refused = parsed("kata.v1.Options", b"").expect_err("no such type");
        assert!(refused.contains("kata.v1.Options"), "{refused}");
        assert!(parsed("", b"\x08\x01").is_err());
        assert!(knows("x/runtimeoptions.v1.Options") && !knows("kata.v1.Options"));
    }

    #[test]
    fn options_of_an_old_dockerd_have_other_numbers() {
        let bytes = [
            number(1, 1),
            number(2, 1),
            text(6, "network"),
            number(8, 1),
            text(9, "/shims"),
            number(10, 7),
            number(11, 8),
            text(12, "/w"),
            text(13, "/i"),
        ]
        .concat();
        let expected = Options {
            binary_name: String::new(),
            root: String::new(),
            systemd_cgroup: false,
            task_api_address: String::new(),
            task_api_version: 0,
            ..all()
        };
        let options = parsed("containerd.linux.runc.CreateOptions", &bytes).map(|parsed| parsed.options);
        assert_eq!(options, Ok(expected));
    }

    #[test]
    fn toml_is_read_whatever_the_case_of_its_keys() {
        let toml = "SystemdCgroup = true\nbinaryname = \"crun\"\nROOT = \"/run/r\"\nIoUid = 7\nNew = 1\n[deep]\na = 1\n";
        let bytes = [text(1, "corten.v1.Options"), text(3, toml)].concat();
        let Parsed { options, mut warnings } = parsed("runtimeoptions.v1.Options", &bytes).expect("options");
        let expected = Options {
            systemd_cgroup: true,
            binary_name: "crun".into(),
            root: "/run/r".into(),
            io_uid: 7,
            ..Options::default()
        };
        assert_eq!(options, expected);
        warnings.sort();
        assert_eq!(warnings, ["unknown option \"New\"", "unknown option \"deep\""]);
    }

    #[test]
    fn every_key_of_toml_is_an_option() {
        let json = serde_json::to_value(Options { criu_path: "/c".into(), ..all() }).expect("json");
        let names: Vec<&str> = TOML_KEYS.iter().map(|(_, name)| *name).collect();
        assert_eq!(json.as_object().map(|object| object.len()), Some(names.len()));
        assert!(names.iter().all(|name| json.get(name).is_some()));
    }

    #[test]
    fn a_file_of_options_goes_before_a_body() {
        let read = |path: &Path| match path.to_str() {
            Some("/etc/corten/shim.toml") => Ok("NoPivotRoot = true".to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let at = |path: &str| [text(2, path), text(3, "NoNewKeyring = true")].concat();
        let found = Parsed::of("runtimeoptions.v1.Options", &at("/etc/corten/shim.toml"), &read);
        assert_eq!(
            found.map(|parsed| parsed.options),
            Ok(Options { no_pivot_root: true, ..Options::default() })
        );
        let missing = Parsed::of("runtimeoptions.v1.Options", &at("/gone"), &read).expect_err("no file");
        assert!(missing.text.contains("/gone"), "{}", missing.text);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let with = |toml: &str| parsed("runtimeoptions.v1.Options", &text(3, toml)).expect_err("refused");
        assert!(with("SystemdCgroup = \"yes\"").contains("SystemdCgroup"));
        assert!(with("IoUid = -1").contains("IoUid"));
        assert!(with("= = =").contains("runtimeoptions.v1.Options"));
        for url in [RUNC, GENERIC, CREATE] {
            assert!(parsed(url, b"\x1a\x20short").is_err(), "{url}");
            assert!(parsed(url, b"\x0f").is_err(), "{url}");
        }
    }

    #[test]
    fn options_json_is_containerds() {
        let written =
            serde_json::to_string(&Options { systemd_cgroup: true, io_uid: 7, ..Options::default() });
        assert_eq!(written.expect("json"), r#"{"io_uid":7,"systemd_cgroup":true}"#);
        let old = r#"{"binary_name":"crun","criu_path":"/c","some_day":{"a":[1]},"XXX_sizecache":0}"#;
        let read: Options = serde_json::from_str(old).expect("whatever Go wrote");
        let expected = Options { binary_name: "crun".into(), criu_path: "/c".into(), ..Options::default() };
        assert_eq!(read, expected);
    }
}

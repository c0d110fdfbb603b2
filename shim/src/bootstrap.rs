//! What containerd hands to `start` on standard input, and the answer that it expects on standard output.
//!
//! | containerd | standard input | answer |
//! | --- | --- | --- |
//! | 1.6, 1.7, 2.0 to 2.2 | options in an `Any`, or nothing | the bare address: version 2 of the task service, ttrpc |
//! | 2.3 and later | `BootstrapParams` | `BootstrapResult`: version 3, ttrpc |
//!
//! The generations before 2.3 can't be told from each other, and 1.7 refuses version 3, so it is never answered there.

use containerd_shim_protos::TASK_API_VERSION;
use containerd_shim_protos::bootstrap_api::{BootstrapParams, BootstrapResult};
use protobuf::Message;
use protobuf::well_known_types::any::Any;

/// The level of a log that tells everything: slog's numbers.
const DEBUG: i32 = -4;

/// What containerd has said on standard input.
#[derive(Debug, PartialEq)]
pub enum Handshake {
    /// Before 2.3: options, if there are any.
    Legacy(Option<Any>),
    /// Since 2.3.
    Params(Box<BootstrapParams>),
}

impl Handshake {
    /// Tells the two handshakes apart. An `Any` can be read as `BootstrapParams` too, with its type as the id, so these
    /// are taken only if they name the container that the command line names.
    ///
    /// `None` for what is neither.
    pub fn read(bytes: &[u8], id: &str, namespace: &str) -> Option<Handshake> {
        let names_it = |params: &BootstrapParams| params.instance_id == id && params.namespace == namespace;
        match BootstrapParams::parse_from_bytes(bytes).ok().filter(names_it) {
            Some(params) => Some(Handshake::Params(Box::new(params))),
            None => any(bytes).map(Handshake::Legacy),
        }
    }

    /// What may be options. containerd 2.3 hands over other extensions too, and more may come.
    pub fn extensions(&self) -> impl Iterator<Item = &Any> {
        let (legacy, params) = match self {
            Handshake::Legacy(options) => (options.as_ref(), None),
            Handshake::Params(params) => (None, Some(params)),
        };
        let extensions = params.into_iter().flat_map(|params| &params.extensions);
        legacy.into_iter().chain(extensions.filter_map(|extension| extension.value.as_ref()))
    }

    /// Whether a type of options that isn't known may be passed over.
    pub fn may_have_unknown_extensions(&self) -> bool {
        matches!(self, Handshake::Params(_))
    }

    /// The directory for the socket, if containerd wants a certain directory.
    pub fn socket_dir(&self) -> Option<&str> {
        self.params().map(|params| params.socket_dir()).filter(|dir| !dir.is_empty())
    }

    /// Where containerd listens for gRPC, if it says so here.
    pub fn grpc_address(&self) -> Option<&str> {
        self.params()
            .map(|params| params.containerd_grpc_address.as_str())
            .filter(|address| !address.is_empty())
    }

    /// Whether the log is to tell everything.
    pub fn is_debug(&self) -> bool {
        // Protobuf's default, 0, is the level info.
        self.params().is_some_and(|params| params.log_level.value() <= DEBUG)
    }

    /// The answer: the shim listens at `address`.
    pub fn answer(&self, address: &str) -> Vec<u8> {
        let Handshake::Params(_) = self else { return address.into() };
        let result = BootstrapResult {
            version: TASK_API_VERSION,
            address: address.into(),
            protocol: "ttrpc".into(),
            ..BootstrapResult::default()
        };
        // Writing to memory doesn't fail: all strings are there already.
        result.write_to_bytes().unwrap_or_default()
    }

    fn params(&self) -> Option<&BootstrapParams> {
        match self {
            Handshake::Legacy(_) => None,
            Handshake::Params(params) => Some(params),
        }
    }
}

/// Options as they come bare; the inner `None` for none, the outer for what is no `Any`.
pub fn any(bytes: &[u8]) -> Option<Option<Any>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let any = Any::parse_from_bytes(bytes).ok()?;
    Some(Some(any))
}

#[cfg(test)]
mod tests {
    use containerd_shim_protos::bootstrap_api::Extension;
    use proptest::prelude::*;
    use protobuf::EnumOrUnknown;

    use super::*;

    fn an_any(type_url: &str, value: &[u8]) -> Any {
        Any { type_url: type_url.into(), value: value.into(), ..Any::default() }
    }

    fn params(id: &str, namespace: &str) -> BootstrapParams {
        BootstrapParams {
            instance_id: id.into(),
            namespace: namespace.into(),
            containerd_version: "2.3.4".into(),
            containerd_grpc_address: "/run/containerd/containerd.sock".into(),
            ..BootstrapParams::default()
        }
    }

    fn bytes(message: &impl Message) -> Vec<u8> {
        message.write_to_bytes().expect("bytes")
    }

    #[test]
    fn each_generation_is_answered_in_its_own_words() {
        let legacy = Handshake::read(b"", "c1", "ns").expect("nothing is fine");
        assert_eq!(legacy, Handshake::Legacy(None));
        assert_eq!(legacy.answer("unix:///run/s"), b"unix:///run/s");
        let new = Handshake::read(&bytes(&params("c1", "ns")), "c1", "ns").expect("params");
        let answer = BootstrapResult::parse_from_bytes(&new.answer("unix:///run/s")).expect("a result");
        assert_eq!((answer.version, &*answer.address, &*answer.protocol), (3, "unix:///run/s", "ttrpc"));
    }

    #[test]
    fn options_of_every_type_are_found_in_both_handshakes() {
        for type_url in [
            "containerd.runc.v1.Options",
            "types.containerd.io/containerd.runc.v1.Options",
            "runtimeoptions.v1.Options",
            "containerd.linux.runc.CreateOptions",
            "somebody.else.v1.Options",
        ] {
            for value in [&b""[..], b"\x08\x01", b"ns", b"\xff\xfe"] {
                let options = an_any(type_url, value);
                let legacy = Handshake::read(&bytes(&options), "c1", "ns");
                assert_eq!(legacy, Some(Handshake::Legacy(Some(options.clone()))), "{type_url}");
                let extension = Extension { value: Some(options.clone()).into(), ..Extension::default() };
                let with = BootstrapParams { extensions: vec![extension], ..params("c1", "ns") };
                let new = Handshake::read(&bytes(&with), "c1", "ns").expect("params");
                assert_eq!(new.extensions().collect::<Vec<_>>(), [&options], "{type_url}");
            }
        }
    }

    #[test]
    fn what_the_parameters_say_is_taken_from_them_alone() {
        let said = BootstrapParams {
            log_level: EnumOrUnknown::from_i32(-8),
            socket_dir: Some("/run/s".into()),
            ..params("c1", "ns")
        };
        let new = Handshake::read(&bytes(&said), "c1", "ns").expect("params");
        assert!(new.is_debug());
        assert_eq!(
            (new.socket_dir(), new.grpc_address()),
            (Some("/run/s"), Some("/run/containerd/containerd.sock"))
        );
        let quiet = Handshake::read(&bytes(&params("c1", "ns")), "c1", "ns").expect("params");
        assert!(!quiet.is_debug() && quiet.socket_dir().is_none());
    }

    #[test]
    fn parameters_of_another_container_are_not_taken() {
        for other in [params("c2", "ns"), params("c1", "other"), params("", "")] {
            let read = Handshake::read(&bytes(&other), "c1", "ns");
            assert!(!matches!(read, Some(Handshake::Params(_))), "{other:?}");
        }
    }

    #[test]
    fn garbage_is_neither() {
        for garbage in [&b"\xff\xff\xff"[..], b"\x0a\x20short", b"{\"version\":2}", b"\x00"] {
            assert_eq!(Handshake::read(garbage, "c1", "ns"), None, "{garbage:?}");
        }
    }

    proptest! {
        #[test]
        fn no_any_is_taken_for_parameters(url in "[a-z./0-9A-Z]{1,60}", value: Vec<u8>) {
            let options = an_any(&url, &value);
            let read = Handshake::read(&bytes(&options), "c1", "ns");
            prop_assert_eq!(read, Some(Handshake::Legacy(Some(options))));
        }

        #[test]
        fn whatever_comes_nothing_breaks(input: Vec<u8>, cut in 0_usize..200) {
            Handshake::read(&input, "c1", "ns");
            let whole = bytes(&params("c1", "ns"));
            let part = &whole[..cut.min(whole.len())];
            if let Some(Handshake::Params(read)) = Handshake::read(part, "c1", "ns") {
                prop_assert_eq!(&read.instance_id, "c1");
            }
        }
    }
}

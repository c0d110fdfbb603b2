//! What `network_mode` says: a network by its name, or that a container has none of its own.

use super::types::Service;

/// The network that is there as soon as somebody wants it.
pub const DEFAULT_NETWORK: &str = "bridge";

/// Networks that need no record: their containers are in the host's namespace, or alone.
const BUILT_IN: [&str; 2] = ["host", "none"];

/// Whether the name of a network means no network.
pub fn is_built_in(name: &str) -> bool {
    BUILT_IN.contains(&name)
}

/// The network that a service names by its mode.
pub fn network(service: &Service) -> Option<&str> {
    match service.network_mode.as_deref()? {
        "" => None,
        "default" => Some(DEFAULT_NETWORK),
        mode if is_built_in(mode) || mode.starts_with("service:") || mode.starts_with("container:") => None,
        name => Some(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mode_is_the_name_of_a_network() {
        for (mode, name) in [
            ("", None),
            ("host", None),
            ("none", None),
            ("service:db", None),
            ("container:db", None),
            ("bridge", Some("bridge")),
            ("default", Some("bridge")),
            ("front", Some("front")),
            ("network:front", Some("network:front")),
        ] {
            let service = Service { network_mode: Some(mode.to_owned()), ..Service::default() };
            assert_eq!(network(&service), name, "{mode:?}");
        }
        assert_eq!(network(&Service::default()), None);
    }
}

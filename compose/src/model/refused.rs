//! Fields of a service with which no container can be made, in docker's words. They end up in files by lines, in the
//! kernel, in the keeper.

use super::addresses;
use super::check::Problem;
use super::node::Path;
use super::types::{Logging, Service, Ulimit};
use crate::signals;
use std::net::IpAddr;

/// So many ports of a container are published at most: the keeper holds two sockets of each.
const PORTS_MAX: usize = 16_384;
/// What an extra host may have as address: the host itself.
const HOST_GATEWAY: &str = "host-gateway";
/// The options of the driver `json-file`, and of each driver. `cache-*` are for drivers that can't be read.
const LOG_OPTIONS: [&str; 14] = [
    "cache-compress",
    "cache-disabled",
    "cache-max-file",
    "cache-max-size",
    "max-size",
    "max-file",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "mode",
    "max-buffer-size",
];

/// The limits that a process can have, by Docker's names.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The modes of namespaces, with Docker's names, the words that there are, and whether another container's may be
/// joined. What a network's mode says is the name of a network otherwise.
const MODES: [(&str, &str, &[&str], bool); 5] = [
    ("pid", "PID mode", &["host", "private"], true),
    ("ipc", "IPC mode", &["host", "private", "shareable", "none"], true),
    ("uts", "UTS mode", &["host", "private"], false),
    ("userns_mode", "userns mode", &["host"], false),
    ("cgroup", "cgroup namespace mode", &["host", "private"], false),
];

/// What a text of a list must be.
type Check = fn(&str) -> Result<(), String>;

/// The first thing that is wrong with the service.
pub fn refused(service: &Service) -> Option<String> {
    problems(service, &Path::default()).into_iter().next().map(|(_, what)| what)
}

/// All that is wrong with the service, which is at that place.
pub fn problems(service: &Service, at: &Path) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut one = |field: &str, done: Result<(), String>| {
        found.extend(done.err().map(|what| (at.key(field), what)));
    };
    one("hostname", service.hostname.as_deref().map_or(Ok(()), |name| word("hostname", name)));
    one("hostname", names_of_host(service.uts.as_deref(), "hostname", service.hostname.as_deref()));
    one("domainname", names_of_host(service.uts.as_deref(), "domainname", service.domainname.as_deref()));
    one("domainname", service.domainname.as_deref().map_or(Ok(()), |name| word("domainname", name)));
    let modes = [&service.pid, &service.ipc, &service.uts, &service.userns_mode, &service.cgroup];
    for ((field, name, words, joins), mode) in MODES.into_iter().zip(modes) {
        one(field, mode_of((name, words, joins), mode.as_deref().unwrap_or_default()));
    }
    one("stop_signal", service.stop_signal.as_deref().map_or(Ok(()), signal));
    one("mac_address", service.mac_address.as_deref().map_or(Ok(()), addresses::hardware));
    one("logging", service.logging.as_ref().map_or(Ok(()), logging));
    one("ports", ports(service.ports.len()));
    let lists: [(&str, &[String], Check); 7] = [
        ("extra_hosts", &service.extra_hosts, extra_host),
        ("dns", &service.dns, server),
        ("dns_search", &service.dns_search, domain),
        ("dns_opt", &service.dns_opt, |option| word("dns option", option)),
        ("expose", &service.expose, exposed),
        ("links", &service.links, link),
        ("external_links", &service.external_links, link),
    ];
    for (field, texts, check) in lists {
        let wrong = texts.iter().enumerate().filter_map(|(index, text)| Some((index, check(text).err()?)));
        found.extend(wrong.map(|(index, what)| (at.key(field).index(index), what)));
    }
    for (name, value) in &service.environment {
        let wrong = variable(name, value.as_deref()).err();
        found.extend(wrong.map(|what| (at.key("environment"), what)));
    }
    for (name, limit) in &service.ulimits {
        let wrong = limit_name(name).and_then(|()| limit_values(limit)).err();
        found.extend(wrong.map(|what| (at.key("ulimits").key(name), what)));
    }
    for (network, attachment) in &service.networks {
        let wrong = attachment.aliases.iter().find_map(|alias| self::alias(alias).err());
        let wrong = wrong.or_else(|| addresses::attachment(attachment).err());
        found.extend(wrong.map(|what| (at.key("networks").key(network), what)));
    }
    found
}

/// What becomes a word of a line.
fn word(kind: &str, text: &str) -> Result<(), String> {
    let ends_word = |c: char| c.is_whitespace() || c.is_control();
    if text.contains(ends_word) { Err(format!("invalid {kind} format: {text}")) } else { Ok(()) }
}

/// How a namespace is had.
fn mode_of((name, words, joins): (&str, &[&str], bool), mode: &str) -> Result<(), String> {
    let whose = ["service:", "container:"].iter().find_map(|start| mode.strip_prefix(start));
    let is_joined = joins && whose.is_some_and(|name| !name.is_empty());
    if mode.is_empty() || words.contains(&mode) || is_joined {
        return Ok(());
    }
    Err(format!("invalid {name}: {mode}"))
}

/// In the host's UTS namespace the names are the host's, and nobody sets others.
fn names_of_host(uts: Option<&str>, field: &str, name: Option<&str>) -> Result<(), String> {
    match (uts, name.unwrap_or_default()) {
        (Some("host"), name) if !name.is_empty() => {
            Err(format!("conflicting options: {field} and the UTS mode"))
        }
        _ => Ok(()),
    }
}

/// A further name on a network.
pub fn alias(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("invalid network alias: it is empty".to_owned())
    } else {
        word("network alias", text)
    }
}

/// The name of a resource limit.
pub fn limit_name(name: &str) -> Result<(), String> {
    if ULIMITS.contains(&name) { Ok(()) } else { Err(format!("invalid ulimit type: {name}")) }
}

/// What a resource limit is at first, and what a process may make of it at most.
pub fn limit_values(limit: &Ulimit) -> Result<(), String> {
    let Ulimit { soft, hard, .. } = *limit;
    // -1 is no limit.
    let told =
        if soft == -1 { format!("soft: -1 (unlimited), hard: {hard}") } else { format!("{soft} > {hard}") };
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {told}"));
    }
    Ok(())
}

pub fn signal(text: &str) -> Result<(), String> {
    signals::number(text).map(drop).map_err(|err| err.to_string())
}

/// `NAME=ADDRESS`
fn extra_host(text: &str) -> Result<(), String> {
    match text.split_once('=') {
        Some((name, _)) if name.is_empty() || word("", name).is_err() => {}
        Some((_, address)) if address == HOST_GATEWAY || address.parse::<IpAddr>().is_ok() => return Ok(()),
        Some((_, address)) => return Err(format!("invalid IP address in add-host: {address:?}")),
        None => {}
    }
    Err(format!("bad format for add-host: {text:?}"))
}

fn server(text: &str) -> Result<(), String> {
    text.trim().parse::<IpAddr>().map(drop).map_err(|_| format!("{text} is not an ip address"))
}

fn domain(text: &str) -> Result<(), String> {
    let is_part = |part: &str| {
        let is_inner = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        part.chars().all(is_inner) && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    let is_domain = text.strip_suffix('.').unwrap_or(text).split('.').all(is_part);
    // A single dot is how people say that nothing is searched, or nothing at all.
    if matches!(text, "" | ".") || is_domain { Ok(()) } else { Err(format!("{text} is not a valid domain")) }
}

/// `CONTAINER[:NAME]`
pub fn link(text: &str) -> Result<(), String> {
    let (container, name) = text.split_once(':').unwrap_or((text, text));
    let is_word = |part: &str| !part.is_empty() && !part.contains(':') && word("", part).is_ok();
    match text {
        "" => Err("empty string specified for links".to_owned()),
        _ if is_word(container) && is_word(name) => Ok(()),
        _ => Err(format!("invalid format for links: {text}")),
    }
}

/// `PORT[-PORT][/PROTOCOL]`
pub fn exposed(text: &str) -> Result<(), String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0 && !text.starts_with('+'));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let is_range = matches!((number(first), number(last)), (Some(first), Some(last)) if first <= last);
    if !is_range {
        return Err(format!("invalid range format for --expose: {text}"));
    }
    match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" | "udp" | "sctp" => Ok(()),
        other => Err(format!("invalid proto: {other}")),
    }
}

/// A variable of the environment.
pub fn variable(name: &str, value: Option<&str>) -> Result<(), String> {
    let value = value.map(|value| format!("={value}")).unwrap_or_default();
    if name.is_empty() { Err(format!("invalid environment variable: {value}")) } else { Ok(()) }
}

/// How many ports of a container are published.
pub fn ports(count: usize) -> Result<(), String> {
    if count <= PORTS_MAX {
        return Ok(());
    }
    Err(format!("{count} published ports are more than can be held for a container: {PORTS_MAX}"))
}

fn logging(logging: &Logging) -> Result<(), String> {
    let driver = logging.driver.as_deref().filter(|driver| !driver.is_empty()).unwrap_or("json-file");
    if !["json-file", "local", "none"].contains(&driver) {
        return Err(format!(
            "logger: no log driver named '{driver}' is registered: only json-file, local and none"
        ));
    }
    if driver == "none" {
        return Ok(());
    }
    if let Some(unknown) = logging.options.keys().find(|option| !LOG_OPTIONS.contains(&option.as_str())) {
        return Err(format!("unknown log opt '{unknown}' for {driver} log driver"));
    }
    match (logging.options.get("max-size"), logging.options.get("max-file")) {
        (Some(size), _) if log_bytes(size).is_none() => {
            Err(format!("invalid max-size: invalid size: '{size}'"))
        }
        (_, Some(count)) if log_files(count).is_none() => Err(format!("invalid max-file: '{count}'")),
        _ => Ok(()),
    }
}

/// Bytes in Docker's decimal units: `10m`, `1.5 GB`, `10MiB`, `-1` for no limit.
pub fn log_bytes(text: &str) -> Option<u64> {
    if text == "-1" {
        return Some(u64::MAX);
    }
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.')? + 1;
    let (number, unit) = text.split_at(end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    // A suffix of binary units means the decimal ones too.
    let factor = match unit.as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1e3,
        "m" | "mb" | "mib" => 1e6,
        "g" | "gb" | "gib" => 1e9,
        "t" | "tb" | "tib" => 1e12,
        "p" | "pb" | "pib" => 1e15,
        _ => return None,
    };
    let bytes = number.trim_start().parse::<f64>().ok()? * factor;
    (bytes >= 1.0).then_some(bytes as u64)
}

/// How many files a log has.
pub fn log_files(text: &str) -> Option<u32> {
    text.parse().ok().filter(|files| *files > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_name_a_container_and_what_it_is_called() {
        assert!(["db", "db:a", "p-db-1:mysql"].iter().all(|text| link(text).is_ok()));
        assert!(["db:a:b", "db:", ":x", ":", "db:a b", "db:a\n1.2.3.4 evil"].iter().all(|text| {
            link(text).is_err_and(|line| line == format!("invalid format for links: {text}"))
        }));
        assert_eq!(link(""), Err("empty string specified for links".to_owned()));
    }

    #[test]
    fn sizes_are_decimal_as_in_dockers_logs() {
        assert_eq!(log_bytes("10m"), Some(10_000_000));
        assert_eq!(log_bytes("1.5GB"), Some(1_500_000_000));
        assert_eq!(log_bytes("512"), Some(512));
        assert_eq!((log_bytes("10MiB"), log_bytes("10 KiB")), (Some(10_000_000), Some(10_000)));
        assert_eq!(log_bytes("1p"), Some(1_000_000_000_000_000));
        assert_eq!(log_bytes("-1"), Some(u64::MAX));
        for text in ["", "m", "10x", "-5", "0", "1kk", "1ib", "1m "] {
            assert!(log_bytes(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn what_goes_into_lines_of_files_is_one_word() {
        for text in ["up=host-gateway", "db=10.9.9.9", "db=::1"] {
            assert_eq!(extra_host(text), Ok(()), "{text}");
        }
        for (text, what) in [
            ("nan", "bad format for add-host: \"nan\""),
            ("=1.1.1.1", "bad format for add-host: \"=1.1.1.1\""),
            ("a b=1.1.1.1", "bad format for add-host: \"a b=1.1.1.1\""),
            ("nan=notanip", "invalid IP address in add-host: \"notanip\""),
            ("x=1.1.1.1\n2.2.2.2 y", "invalid IP address in add-host: \"1.1.1.1\\n2.2.2.2 y\""),
        ] {
            assert_eq!(extra_host(text), Err(what.to_owned()));
        }
        assert!(["", ".", "a", "a.b.", "a-b.c_d", "é.x"].iter().all(|text| domain(text).is_ok()));
        assert!(["a b", "a\nnameserver 6.6.6.6", "-a", "a..b"].iter().all(|text| domain(text).is_err()));
        assert!(alias("db").is_ok() && alias("").is_err() && alias("a\nb").is_err());
        assert!(server("::1").is_ok() && server("1.1.1.1\nx").is_err() && server("").is_err());
    }

    #[test]
    fn in_the_hosts_uts_namespace_nobody_has_a_name_of_ones_own() {
        let uts = Some("host".to_owned());
        let named = Service { uts: uts.clone(), hostname: Some("h".to_owned()), ..Service::default() };
        assert_eq!(refused(&named).as_deref(), Some("conflicting options: hostname and the UTS mode"));
        let named = Service { uts: uts.clone(), domainname: Some("d".to_owned()), ..Service::default() };
        assert_eq!(refused(&named).as_deref(), Some("conflicting options: domainname and the UTS mode"));
        assert_eq!(refused(&Service { uts, hostname: Some(String::new()), ..Service::default() }), None);
    }

    #[test]
    fn a_namespace_is_had_by_a_word_that_there_is() {
        let of = |[pid, ipc, uts, userns_mode, cgroup]: [&str; 5]| {
            let [pid, ipc, uts, userns_mode, cgroup] =
                [pid, ipc, uts, userns_mode, cgroup].map(|mode| Some(mode.to_owned()));
            let found = problems(
                &Service { pid, ipc, uts, userns_mode, cgroup, ..Service::default() },
                &Path::default(),
            );
            found.into_iter().map(|(_, what)| what).collect::<Vec<_>>()
        };
        assert!(of(["service:db", "shareable", "host", "host", "private"]).is_empty());
        assert!(of(["container:db", "", "", "", "host"]).is_empty());
        assert_eq!(
            of(["shareable", "service:", "foo", "private", "service:db"]),
            [
                "invalid PID mode: shareable",
                "invalid IPC mode: service:",
                "invalid UTS mode: foo",
                "invalid userns mode: private",
                "invalid cgroup namespace mode: service:db"
            ]
        );
    }

    #[test]
    fn numbers_are_numbers() {
        assert!(["80", "80/udp", "80-90/tcp"].iter().all(|text| exposed(text).is_ok()));
        assert!(["", "nan", "99999", "0", "90-80", "80/x", "+1"].iter().all(|text| exposed(text).is_err()));
        assert_eq!(signal("FOO"), Err("invalid signal: FOO".to_owned()));
        assert!(signal("99").is_err() && signal("SIGRTMIN+3").is_ok());
    }

    #[test]
    fn a_problem_names_its_field() {
        let service = Service {
            hostname: Some("h\n6.6.6.6".to_owned()),
            expose: vec!["80".to_owned(), "x".to_owned()],
            ulimits: [
                ("foo".to_owned(), Ulimit { soft: 1, hard: 1, ..Ulimit::default() }),
                ("nofile".to_owned(), Ulimit { soft: 2, hard: 1, ..Ulimit::default() }),
                ("core".to_owned(), Ulimit { soft: 2, hard: -1, ..Ulimit::default() }),
            ]
            .into_iter()
            .collect(),
            environment: [(String::new(), Some("x".to_owned()))].into_iter().collect(),
            logging: Some(Logging {
                options: [("foo".to_owned(), "bar".to_owned())].into_iter().collect(),
                ..Logging::default()
            }),
            ..Service::default()
        };
        let problems = problems(&service, &Path::of(&["services", "web"]));
        let told: Vec<String> = problems.iter().map(|(path, what)| format!("{path}: {what}")).collect();
        assert_eq!(
            told,
            [
                "services.web.hostname: invalid hostname format: h\n6.6.6.6",
                "services.web.logging: unknown log opt 'foo' for json-file log driver",
                "services.web.expose[1]: invalid range format for --expose: x",
                "services.web.environment: invalid environment variable: =x",
                "services.web.ulimits.foo: invalid ulimit type: foo",
                "services.web.ulimits.nofile: ulimit soft limit must be less than or equal to hard limit: 2 > 1",
            ]
        );
    }
}

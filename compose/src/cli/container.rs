//! Docker's flags of `run` and `create` → a Service, as a Compose file would have it.

use std::path::Path;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::mounts;
use super::networks::networks;
use super::typed::{Typed, command_line, flag, value, values};
use super::values_of;
use crate::apply::image::When;
use crate::apply::resolved::with_profiles;
use crate::error::{Error, Kind, Result};
use crate::model::refused::{refused, variable};
use crate::model::types::{
    BlkioConfig, Healthcheck, Logging, Map, Port, Service, ThrottleDevice, WeightDevice,
};

/// A container as `run` and `create` ask for it.
#[derive(Debug)]
pub struct Asked {
    pub name: Option<String>,
    pub image: String,
    pub service: Service,
    pub pull: When,
    pub quiet: bool,
    pub cidfile: Option<String>,
    pub auto_remove: bool,
    /// Whether each port that is exposed is published.
    pub publish_all: bool,
}

/// The flags that `run` and `create` share.
pub fn flags(command: Command) -> Command {
    command
        // `-h` is the host name here, as it is with Docker.
        .disable_help_flag(true)
        .arg(Arg::new("help").long("help").action(ArgAction::Help).help("Print help"))
        .args(what_runs())
        .args(where_it_is())
        .args(what_it_may())
        .args(what_it_gets())
        .args(how_it_is_kept())
        .arg(command_line("IMAGE [COMMAND] [ARG...]", "The image, and what runs in place of its command"))
}

fn what_runs() -> Vec<Arg> {
    vec![
        value("name", "NAME", "The container's name"),
        values("env", "KEY[=VALUE]", "Set a variable; without a value, take it from here").short('e'),
        values("env-file", "FILE", "Read variables from FILE"),
        value("workdir", "DIR", "The directory that it starts in").short('w'),
        value("user", "USER[:GROUP]", "Who runs").short('u'),
        values("group-add", "GROUP", "A group beside the user's"),
        value("entrypoint", "PROGRAM", "What runs in place of the image's entrypoint"),
        flag("init", "Run an init as process 1"),
        flag("interactive", "Keep standard input open").short('i'),
        flag("tty", "Give it a terminal").short('t'),
        value("platform", "OS/ARCH", "The image's platform"),
        value("pull", "always|missing|never", "When to pull the image [default: missing]"),
        flag("quiet", "Show no progress of the pull").short('q'),
    ]
}

fn where_it_is() -> Vec<Arg> {
    vec![
        values(
            "network",
            "NETWORK",
            "A network: a name, name=NAME,alias=NAME,ip=ADDRESS; or host, none, container:NAME",
        )
        .alias("net"),
        values("network-alias", "NAME", "A further name on the network").alias("net-alias"),
        value("ip", "ADDRESS", "Its IPv4 address"),
        value("ip6", "ADDRESS", "Its IPv6 address"),
        values("link-local-ip", "ADDRESS", "A further address of its interface, link-local"),
        values("link", "CONTAINER[:NAME]", "A name that only it knows another container by"),
        value("mac-address", "ADDRESS", "Its hardware address"),
        values("publish", "[IP:][HOST:]PORT[/PROTOCOL]", "Publish a port").short('p'),
        flag("publish-all", "Publish all ports of the image and of --expose, at free ports of the host")
            .short('P'),
        values("expose", "PORT[-PORT][/PROTOCOL]", "A port that others reach"),
        value("hostname", "NAME", "Its host name").short('h'),
        value("domainname", "NAME", "Its NIS domain name"),
        values("add-host", "NAME:ADDRESS", "A line of /etc/hosts"),
        values("dns", "ADDRESS", "A name server"),
        values("dns-search", "DOMAIN", "A search domain"),
        values("dns-option", "OPTION", "An option of resolv.conf").alias("dns-opt"),
        value("pid", "MODE", "The PID namespace: host, container:NAME"),
        value("ipc", "MODE", "The IPC namespace: host, none, private, shareable, container:NAME"),
        value("uts", "MODE", "The UTS namespace: host"),
        value("userns", "MODE", "The user namespace: host"),
        value("cgroupns", "MODE", "The cgroup namespace: host, private"),
        value("cgroup-parent", "CGROUP", "The cgroup above its own"),
        value("runtime", "NAME", "The runtime: corten, runc, or a shim's whole name"),
    ]
}

fn what_it_may() -> Vec<Arg> {
    vec![
        flag("privileged", "Let it do what the host can"),
        values("cap-add", "CAPABILITY", "A capability beside the default ones"),
        values("cap-drop", "CAPABILITY", "A default capability that it doesn't get"),
        values(
            "security-opt",
            "OPTION",
            "no-new-privileges, seccomp=FILE, seccomp=unconfined, apparmor=PROFILE",
        ),
        flag("read-only", "Make its root filesystem read-only"),
        values("device", "HOST[:CONTAINER][:rwm]", "A device of the host"),
        value("gpus", "DEVICES", "GPUs: all, or how many"),
        values("device-cgroup-rule", "RULE", "A rule of its devices: c 42:* rwm"),
        values("sysctl", "NAME=VALUE", "A parameter of the kernel"),
        values("ulimit", "NAME=SOFT[:HARD]", "A resource limit of its processes"),
        flag("oom-kill-disable", "Leave it alone when memory runs out"),
        value("oom-score-adj", "NUMBER", "How gladly it is killed when memory runs out: -1000 to 1000")
            .allow_hyphen_values(true),
    ]
}

fn what_it_gets() -> Vec<Arg> {
    vec![
        value("memory", "BYTES", "Memory at most").short('m'),
        value("memory-swap", "BYTES", "Memory and swap at most; -1: any amount of swap")
            .allow_hyphen_values(true),
        value("memory-reservation", "BYTES", "Memory that it keeps under pressure"),
        value("memory-swappiness", "PERCENT", "How gladly its memory is swapped").allow_hyphen_values(true),
        value("cpus", "NUMBER", "CPUs at most"),
        value("cpu-shares", "WEIGHT", "Its weight among others").short('c'),
        value("cpu-period", "MICROSECONDS", "Period of the CFS quota"),
        value("cpu-quota", "MICROSECONDS", "CFS quota").allow_hyphen_values(true),
        value("cpuset-cpus", "CPUS", "Which CPUs: 0-3, 0,1"),
        value("cpuset-mems", "NODES", "Which memory nodes: 0-1, 0,1"),
        value("blkio-weight", "WEIGHT", "Its weight among users of disks"),
        values("blkio-weight-device", "DEVICE:WEIGHT", "Its weight among users of a disk"),
        values("device-read-bps", "DEVICE:BYTES", "Bytes that it reads of a disk in a second at most"),
        values("device-write-bps", "DEVICE:BYTES", "Bytes that it writes to a disk in a second at most"),
        values("device-read-iops", "DEVICE:NUMBER", "Reads of a disk in a second at most"),
        values("device-write-iops", "DEVICE:NUMBER", "Writes to a disk in a second at most"),
        value("pids-limit", "NUMBER", "Processes at most; -1: any number").allow_hyphen_values(true),
        value("shm-size", "BYTES", "The size of /dev/shm"),
        values("volume", "[SOURCE:]TARGET[:OPTIONS]", "Mount a volume or a path of the host").short('v'),
        values("mount", "type=TYPE,source=SOURCE,target=TARGET,...", "Mount something"),
        values("storage-opt", "KEY=VALUE", "Not done").hide(true),
        values("tmpfs", "TARGET[:OPTIONS]", "Mount memory"),
        values("volumes-from", "CONTAINER[:ro]", "Mount what another container has"),
    ]
}

fn how_it_is_kept() -> Vec<Arg> {
    vec![
        flag("rm", "Remove it when it ends"),
        value("restart", "POLICY", "no, always, unless-stopped, on-failure[:TIMES]"),
        value("stop-signal", "SIGNAL", "What stops it"),
        value("stop-timeout", "SECONDS", "How long it has to stop"),
        values("label", "KEY=VALUE", "A label").short('l'),
        values("label-file", "FILE", "Read labels from FILE"),
        values("annotation", "KEY=VALUE", "An annotation for the runtime"),
        value("health-cmd", "COMMAND", "How its health is probed"),
        value("health-interval", "DURATION", "The pause between two probes"),
        value("health-timeout", "DURATION", "How long a probe may take"),
        value("health-retries", "NUMBER", "How many failures make it unhealthy"),
        value("health-start-period", "DURATION", "For how long failures don't count"),
        value("health-start-interval", "DURATION", "The pause meanwhile"),
        flag("no-healthcheck", "Don't probe, whatever the image says"),
        value("log-driver", "NAME", "Where output goes: json-file, local, none"),
        values("log-opt", "KEY=VALUE", "max-size, max-file"),
        value("cidfile", "FILE", "Write the container's id to FILE"),
    ]
}

/// What is meant by the flags.
///
/// Errors: the flag, and why its value is none.
pub fn asked(matches: &ArgMatches) -> Result<Asked> {
    let typed = Typed(matches);
    if let Some(option) = typed.texts("storage-opt").first() {
        let why = "can't be done here: containerd's snapshotters take no options of a container";
        return Err(Error::new(format!("--storage-opt {option}: {why}")));
    }
    let mut words = typed.texts("IMAGE [COMMAND] [ARG...]").into_iter();
    let image = words.next().unwrap_or_default();
    let command: Vec<String> = words.collect();
    let service = Service {
        image: Some(image.clone()),
        command: Some(command).filter(|command| !command.is_empty()),
        ..service(&typed)?
    };
    if let Some(wrong) = refused(&service) {
        return Err(Error::new(wrong));
    }
    let auto_remove = typed.flag("rm");
    if auto_remove && service.restart.unwrap_or_default() != crate::model::values::Restart::No {
        return Err(Error::new("conflicting options: cannot specify both --restart and --rm"));
    }
    Ok(Asked {
        name: typed.text("name"),
        image,
        service,
        pull: when(typed.text("pull").as_deref())?,
        quiet: typed.flag("quiet"),
        cidfile: typed.text("cidfile"),
        auto_remove,
        publish_all: typed.flag("publish-all"),
    })
}

fn when(typed: Option<&str>) -> Result<When> {
    match typed {
        None | Some("missing") => Ok(When::Missing),
        Some("always") => Ok(When::Always),
        Some("never") => Ok(When::Never),
        Some(other) => Err(Error::new(format!(
            "invalid pull option: '{other}': must be one of \"always\", \"missing\" or \"never\""
        ))),
    }
}

#[expect(clippy::too_many_lines, reason = "a table: each field and its flag")]
fn service(typed: &Typed) -> Result<Service> {
    let (network_mode, networks) = networks(typed)?;
    Ok(Service {
        entrypoint: typed
            .text("entrypoint")
            .map(|program| if program.is_empty() { Vec::new() } else { vec![program] }),
        environment: environment(typed)?,
        working_dir: typed.text("workdir"),
        user: typed.text("user"),
        group_add: typed.texts("group-add"),
        init: typed.flag("init").then_some(true),
        stdin_open: typed.flag("interactive"),
        tty: typed.flag("tty"),
        platform: typed.text("platform"),
        network_mode,
        networks,
        ports: ports(typed)?,
        expose: typed.texts("expose"),
        hostname: typed.text("hostname"),
        domainname: typed.text("domainname"),
        external_links: typed.texts("link"),
        mac_address: typed.text("mac-address"),
        extra_hosts: typed.texts("add-host").iter().map(|host| extra_host(host)).collect(),
        dns: typed.texts("dns"),
        dns_search: searched(typed)?,
        dns_opt: typed.texts("dns-option"),
        pid: typed.text("pid"),
        ipc: typed.text("ipc"),
        uts: typed.text("uts"),
        userns_mode: typed.text("userns"),
        cgroup: typed.text("cgroupns"),
        cgroup_parent: typed.text("cgroup-parent"),
        runtime: typed.text("runtime"),
        privileged: typed.flag("privileged"),
        cap_add: typed.texts("cap-add"),
        cap_drop: typed.texts("cap-drop"),
        security_opt: with_profiles(&typed.texts("security-opt"), Path::new(""))?,
        gpus: values_of::gpus(typed)?,
        read_only: typed.flag("read-only"),
        devices: values_of::devices(typed)?,
        device_cgroup_rules: typed.texts("device-cgroup-rule"),
        sysctls: values_of::sysctls(typed)?,
        ulimits: values_of::ulimits(typed)?,
        oom_kill_disable: typed.flag("oom-kill-disable"),
        oom_score_adj: typed.read("oom-score-adj")?,
        mem_limit: typed.read("memory")?,
        memswap_limit: typed.read("memory-swap")?,
        mem_reservation: typed.read("memory-reservation")?,
        mem_swappiness: typed.read("memory-swappiness")?,
        cpus: typed.read("cpus")?,
        cpu_shares: typed.read("cpu-shares")?,
        cpu_period: typed.read("cpu-period")?,
        cpu_quota: typed.read("cpu-quota")?,
        cpuset: typed.text("cpuset-cpus"),
        cpuset_mems: typed.text("cpuset-mems"),
        blkio_config: blkio(typed)?,
        pids_limit: typed.read("pids-limit")?,
        shm_size: typed.read("shm-size")?,
        volumes: mounts::volumes(typed)?,
        tmpfs: typed.texts("tmpfs"),
        volumes_from: typed.texts("volumes-from"),
        restart: typed.restart()?,
        stop_signal: typed.text("stop-signal"),
        stop_grace_period: values_of::stop_timeout(typed)?,
        labels: values_of::labels(typed)?,
        annotations: typed.pairs("annotation").collect(),
        healthcheck: healthcheck(typed)?,
        logging: logging(typed),
        ..Service::default()
    })
}

/// The files' variables, then those of the command line. One without a value has ours, if we have it.
pub(super) fn environment(typed: &Typed) -> Result<Map<Option<String>>> {
    let mut lines = Vec::new();
    for file in typed.texts("env-file") {
        lines.extend(values_of::lines(&file, "env")?);
    }
    lines.extend(typed.texts("env"));
    let mut environment = Map::new();
    for line in lines {
        let (name, value) =
            line.split_once('=').map_or((line.as_str(), None), |(name, value)| (name, Some(value)));
        variable(name, value).map_err(Error::new)?;
        match line.split_once('=') {
            Some((name, value)) => {
                environment.insert(name.to_owned(), Some(value.to_owned()));
            }
            None => {
                // One that we don't have either is left as the image has it.
                if let Ok(value) = std::env::var(&line) {
                    environment.insert(line, Some(value));
                }
            }
        }
    }
    Ok(environment)
}

fn blkio(typed: &Typed) -> Result<Option<BlkioConfig>> {
    let devices = |flag: &'static str| -> Result<Vec<(String, String)>> {
        let device = |text: String| match text.split_once(':') {
            Some((path, value)) if path.starts_with("/dev/") => Ok((path.to_owned(), value.to_owned())),
            _ => Err(Error::of_kind(
                Kind::Usage,
                format!("invalid argument \"{text}\" for \"--{flag}\": bad format: DEVICE:VALUE, of /dev"),
            )),
        };
        typed.texts(flag).into_iter().map(device).collect()
    };
    let throttles = |flag: &'static str| -> Result<Vec<ThrottleDevice>> {
        let read = |(path, rate): (String, String)| {
            Ok(ThrottleDevice { path, rate: typed.read_text(flag, &rate)?, ..ThrottleDevice::default() })
        };
        devices(flag)?.into_iter().map(read).collect()
    };
    let weight = |(path, weight): (String, String)| {
        let weight = typed.read_text("blkio-weight-device", &weight)?;
        Ok(WeightDevice { path, weight, ..WeightDevice::default() })
    };
    let config = BlkioConfig {
        weight: typed.read("blkio-weight")?,
        weight_device: devices("blkio-weight-device")?.into_iter().map(weight).collect::<Result<_>>()?,
        device_read_bps: throttles("device-read-bps")?,
        device_read_iops: throttles("device-read-iops")?,
        device_write_bps: throttles("device-write-bps")?,
        device_write_iops: throttles("device-write-iops")?,
        ..BlkioConfig::default()
    };
    Ok(Some(config).filter(|config| *config != BlkioConfig::default()))
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`, as a Compose file has it.
fn extra_host(text: &str) -> String {
    let Some((name, address)) = text.split_once('=').or_else(|| text.split_once(':')) else {
        return text.to_owned();
    };
    let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    format!("{name}={}", bare.trim())
}

/// Domains that are searched. A file may have an empty one, which means that nothing is.
fn searched(typed: &Typed) -> Result<Vec<String>> {
    let domains: Vec<_> = typed.texts("dns-search").iter().map(|text| text.trim().to_owned()).collect();
    if domains.iter().any(String::is_empty) {
        return Err(Error::new("invalid argument \"\" for \"--dns-search\" flag:  is not a valid domain"));
    }
    Ok(domains)
}

/// `[IP:][HOST:]PORT[/PROTOCOL]`, each of the ports a range maybe.
pub(super) fn ports(typed: &Typed) -> Result<Vec<Port>> {
    let mut ports = Vec::new();
    for typed in typed.texts("publish") {
        let wrong =
            |why: &str| Error::new(format!("invalid argument \"{typed}\" for \"-p, --publish\": {why}"));
        let text = if typed.contains('=') { values_of::port(&typed)? } else { typed.clone() };
        let (rest, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
        let (rest, container) = rest.rsplit_once(':').unwrap_or(("", rest));
        let (ip, host) = match rest.rsplit_once(':') {
            Some((ip, host)) => (Some(ip.trim_matches(['[', ']']).to_owned()), host),
            None => (None, rest),
        };
        let ip = ip.filter(|ip| !ip.is_empty());
        let container = range(container).ok_or_else(|| wrong("invalid containerPort"))?;
        let host_range =
            if host.is_empty() { None } else { Some(range(host).ok_or_else(|| wrong("invalid hostPort"))?) };
        let count = container.1 - container.0;
        let is_pool = host_range.is_some() && count == 0;
        if host_range.is_some_and(|(from, to)| to - from != count) && !is_pool {
            return Err(wrong("invalid ranges specified for container and host Ports"));
        }
        for at in 0..=count {
            let published = if is_pool {
                Some(host.to_owned())
            } else {
                host_range.map(|(from, _)| (from + at).to_string())
            };
            ports.push(Port {
                host_ip: ip.clone(),
                target: container.0 + at,
                published,
                protocol: Some(protocol.clone()),
                ..Port::default()
            });
        }
    }
    Ok(ports)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some((from, to))
}

fn healthcheck(typed: &Typed) -> Result<Option<Healthcheck>> {
    let check = Healthcheck {
        test: typed
            .text("health-cmd")
            .map(|command| vec!["CMD-SHELL".to_owned(), command])
            .unwrap_or_default(),
        interval: typed.read("health-interval")?,
        timeout: typed.read("health-timeout")?,
        retries: typed.read("health-retries")?,
        start_period: typed.read("health-start-period")?,
        start_interval: typed.read("health-start-interval")?,
        disable: typed.flag("no-healthcheck"),
        ..Healthcheck::default()
    };
    Ok(Some(check).filter(|check| *check != Healthcheck::default()))
}

fn logging(typed: &Typed) -> Option<Logging> {
    let logging = Logging {
        driver: typed.text("log-driver"),
        options: typed.pairs("log-opt").collect(),
        ..Logging::default()
    };
    Some(logging).filter(|logging| *logging != Logging::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::values::MountKind;

    fn meant(line: &str) -> Result<Asked> {
        let matches = flags(Command::new("run")).try_get_matches_from(line.split(' '));
        asked(&matches.map_err(|err| Error::new(err.to_string()))?)
    }

    #[test]
    fn flags_end_where_the_image_stands() {
        let asked = meant("run -it --rm -e A=1 --name web busybox ls -l --name x").unwrap();
        assert_eq!(asked.name.as_deref(), Some("web"));
        assert_eq!(asked.image, "busybox");
        assert_eq!(asked.service.command.unwrap(), ["ls", "-l", "--name", "x"]);
        assert!(asked.auto_remove && asked.service.tty && asked.service.stdin_open);
        assert_eq!(asked.service.environment["A"].as_deref(), Some("1"));
    }

    #[test]
    fn disks_have_weights_and_limits_by_device() {
        let line = "run --blkio-weight-device /dev/sda:300 --device-read-bps /dev/sda:1mb --device-write-iops \
                    /dev/sda:9 i";
        let config = meant(line).unwrap().service.blkio_config.unwrap();
        assert_eq!((config.weight, config.weight_device[0].weight), (None, 300));
        assert_eq!((config.device_read_bps[0].rate.0, config.device_write_iops[0].rate.0), (1 << 20, 9));
        for wrong in ["/dev/sda", "sda:1", "/dev/sda:x"] {
            let err = meant(&format!("run --device-read-bps {wrong} i")).unwrap_err().to_string();
            assert!(err.starts_with("invalid argument"), "{err}");
        }
    }

    #[test]
    fn volumes_are_volumes_binds_or_anonymous() {
        let asked =
            meant("run -v /a:/b:ro -v db:/data -v /anon --mount type=tmpfs,target=/t,tmpfs-mode=1777 i")
                .unwrap();
        let volumes = asked.service.volumes;
        let short: Vec<_> =
            volumes.iter().map(|mount| (mount.kind, mount.source.as_deref(), mount.read_only)).collect();
        assert_eq!(
            short,
            [
                (MountKind::Bind, Some("/a"), true),
                (MountKind::Volume, Some("db"), false),
                (MountKind::Volume, None, false),
                (MountKind::Tmpfs, None, false),
            ]
        );
        assert!(meant("run -v a:b i").is_err());
        assert!(meant("run -v /a:/b:what i").is_err());
    }

    #[test]
    fn ports_come_one_by_one() {
        let asked = meant(
            "run -p 127.0.0.1:8080:80 -p 53:53/udp -p ::90 -p 7000-7001:80-81 -p [::1]:1:2/TCP -p \
                   target=7,published=8 i",
        )
        .unwrap();
        let ports = asked.service.ports.into_iter().map(|port| {
            (
                port.host_ip.unwrap_or_default(),
                port.published.unwrap_or_default(),
                port.target,
                port.protocol.unwrap(),
            )
        });
        let of = |ip: &str, host: &str, container, protocol: &str| {
            (ip.to_owned(), host.to_owned(), container, protocol.to_owned())
        };
        assert_eq!(
            ports.collect::<Vec<_>>(),
            [
                of("127.0.0.1", "8080", 80, "tcp"),
                of("", "53", 53, "udp"),
                of("", "", 90, "tcp"),
                of("", "7000", 80, "tcp"),
                of("", "7001", 81, "tcp"),
                of("::1", "1", 2, "tcp"),
                of("", "8", 7, "tcp"),
            ]
        );
        assert!(meant("run -p 1-2:1-3 i").is_err());
        assert!(meant("run -p 70000 i").is_err());
    }

    #[test]
    fn limits_are_read_in_dockers_units() {
        let asked =
            meant("run -m 64m --memory-swap -1 --cpus 0.5 --pids-limit -1 --ulimit nofile=1:2 i").unwrap();
        let service = asked.service;
        assert_eq!((service.mem_limit.unwrap().0, service.memswap_limit.unwrap().0), (64 << 20, -1));
        assert_eq!((service.cpus, service.pids_limit), (Some(0.5), Some(-1)));
        assert_eq!((service.ulimits["nofile"].soft, service.ulimits["nofile"].hard), (1, 2));
        let err = meant("run -m much i").unwrap_err().to_string();
        assert!(err.starts_with("invalid argument \"much\" for \"--memory\""), "{err}");
    }
}

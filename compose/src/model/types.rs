//! The Model: a Compose project as it is meant, in the words and order of the Compose Specification.
//!
//! Short forms, variables, merges and references to files are resolved: what reads a [`Service`] meets one form of each
//! field. A field that the user didn't set is `None`, empty or false, and isn't printed.

use super::values::{Bytes, Condition, Duration, FileMode, MountKind, PullPolicy, Restart};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a mapping of the user's own names is, in the order that it is printed in.
pub type Map<T> = BTreeMap<String, T>;

/// The keys `x-…`, which mean nothing to us and are printed as they were.
pub type Extensions = Map<serde_json::Value>;

/// Tells which fields are left out when they are printed.
trait Unset {
    fn is_unset(&self) -> bool;
}

impl<T> Unset for Option<T> {
    fn is_unset(&self) -> bool {
        self.is_none()
    }
}

impl<T> Unset for Vec<T> {
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Unset for Map<T> {
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

impl Unset for bool {
    fn is_unset(&self) -> bool {
        !self
    }
}

impl Unset for String {
    fn is_unset(&self) -> bool {
        self.is_empty()
    }
}

/// What a structure makes no sense without, so that it is always printed.
macro_rules! always_set {
    ($($kind:ty)*) => {$(
        impl Unset for $kind {
            fn is_unset(&self) -> bool {
                false
            }
        }
    )*};
}
always_set!(u16 i64 Bytes MountKind);

/// Gives each of the structures what all have: a default, both ways of serde, and its extensions.
///
/// The extensions are kept under the key `x-*`, for serde's `flatten` would take the names of the fields from whoever
/// reads them: see `print` and `read`.
macro_rules! model {
    ($($(#[$about:meta])* pub struct $name:ident {
        $($(#[$what:meta])* pub $field:ident: $kind:ty,)*
    })*) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$what])* #[serde(skip_serializing_if = "Unset::is_unset")] pub $field: $kind,)*
            /// The keys `x-…`.
            #[serde(rename = "x-*", skip_serializing_if = "Unset::is_unset")]
            pub extensions: Extensions,
        }
    )*};
}

/// A project: all that one or several Compose files say together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Project {
    /// The prefix of what the project makes: `[a-z0-9][a-z0-9_-]*`. Empty: a part of a project, which has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The services that are switched on, by their names.
    pub services: Map<Service>,
    /// The networks that the services use.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub networks: Map<Network>,
    /// The volumes that the services use.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub volumes: Map<Volume>,
    /// The secrets that the services use.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub secrets: Map<Secret>,
    /// The configs that the services use.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub configs: Map<Config>,
    /// The language models that the services use.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub models: Map<LanguageModel>,
    /// The keys `x-…`.
    #[serde(rename = "x-*", skip_serializing_if = "Map::is_empty")]
    pub extensions: Extensions,

    /// The project's directory, absolute: where relative paths begin.
    #[serde(skip)]
    pub directory: PathBuf,
    /// The files that the project was read from, absolute, in their order.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
    /// The services that no active profile switches on.
    #[serde(skip)]
    pub disabled: Map<Service>,
    /// What variables were taken from: `.env` and the environment, which goes first.
    #[serde(skip)]
    pub environment: Map<String>,
}

model! {

/// A service: how each of its containers is made.
pub struct Service {
    /// Profiles, one of which has to be active. None: always on.
    pub profiles: Vec<String>,
    /// Annotations of the container.
    pub annotations: Map<String>,
    /// Whether `up` shows its output. Unset: yes.
    pub attach: Option<bool>,
    /// How its image is built.
    pub build: Option<Build>,
    /// What `watch` does.
    pub develop: Option<Develop>,
    /// Limits and weights of block devices.
    pub blkio_config: Option<BlkioConfig>,
    /// Capabilities beside the default ones: `ALL`, `NET_ADMIN`, `CAP_NET_ADMIN`.
    pub cap_add: Vec<String>,
    /// Capabilities to take from the default ones.
    pub cap_drop: Vec<String>,
    /// The cgroup above the container's.
    pub cgroup_parent: Option<String>,
    /// The cgroup namespace: `host` or `private`.
    pub cgroup: Option<String>,
    /// Windows only.
    pub cpu_count: Option<i64>,
    /// Windows only.
    pub cpu_percent: Option<f64>,
    /// CFS period in microseconds.
    pub cpu_period: Option<i64>,
    /// CFS quota in microseconds.
    pub cpu_quota: Option<i64>,
    /// Realtime period in microseconds.
    pub cpu_rt_period: Option<i64>,
    /// Realtime runtime in microseconds.
    pub cpu_rt_runtime: Option<i64>,
    /// How many CPUs it may use at most.
    pub cpus: Option<f64>,
    /// Which CPUs it may use: `0-3`, `0,1`.
    pub cpuset: Option<String>,
    /// Which memory nodes it may use: `0-1`. No Compose file says so, but `cortenctl run`.
    pub cpuset_mems: Option<String>,
    /// Relative weight, 1024 by default.
    pub cpu_shares: Option<i64>,
    /// In place of the image's CMD. `Some([])` clears the image's.
    pub command: Option<Vec<String>>,
    /// Configs to mount.
    pub configs: Vec<FileReference>,
    /// In place of the name `PROJECT-SERVICE-N`.
    pub container_name: Option<String>,
    /// Windows only.
    pub credential_spec: Option<CredentialSpec>,
    /// The services that go before it, those of `links`, `volumes_from` and shared namespaces too.
    pub depends_on: Map<Dependency>,
    /// Replicas, resources, restart policy; the rest is swarm's.
    pub deploy: Option<Deploy>,
    /// Rules of the device cgroup: `c 1:3 mr`.
    pub device_cgroup_rules: Vec<String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Options of resolv.conf.
    pub dns_opt: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// In place of the image's ENTRYPOINT. Set, even to `Some([])`, it drops the image's CMD too.
    pub entrypoint: Option<Vec<String>>,
    /// Who else provides the service.
    pub provider: Option<Provider>,
    /// Variables, those of `env_file` too. `None`: the variable is in nobody's environment, and is left out.
    pub environment: Map<Option<String>>,
    /// Ports that other containers reach: `80`, `80-81/udp`.
    pub expose: Vec<String>,
    /// Containers outside of the project: `NAME` or `NAME:ALIAS`.
    pub external_links: Vec<String>,
    /// Lines of /etc/hosts: `HOST=ADDRESS`, where the address may be `host-gateway`.
    pub extra_hosts: Vec<String>,
    /// Groups of the process beside its user's, names or numbers.
    pub group_add: Vec<String>,
    /// GPUs.
    pub gpus: Vec<DeviceRequest>,
    /// Host name.
    pub hostname: Option<String>,
    /// In place of the image's HEALTHCHECK.
    pub healthcheck: Option<Healthcheck>,
    /// Its image, or the name of the image that is built.
    pub image: Option<String>,
    /// Whether an init runs as process 1. Unset: as the engine is configured.
    pub init: Option<bool>,
    /// `host`, `private`, `shareable`, `none`, `service:NAME`, `container:NAME`.
    pub ipc: Option<String>,
    /// Windows only.
    pub isolation: Option<String>,
    /// Labels of the container.
    pub labels: Map<String>,
    /// Services under further names: `SERVICE` or `SERVICE:ALIAS`.
    pub links: Vec<String>,
    /// Log driver.
    pub logging: Option<Logging>,
    /// Memory at most.
    pub mem_limit: Option<Bytes>,
    /// Memory that it keeps under pressure.
    pub mem_reservation: Option<Bytes>,
    /// Memory and swap together at most; -1: as much swap as there is.
    pub memswap_limit: Option<Bytes>,
    /// 0 to 100.
    pub mem_swappiness: Option<Bytes>,
    /// MAC address on its first network.
    pub mac_address: Option<String>,
    /// The language models that it uses.
    pub models: Map<ModelBinding>,
    /// `host`, `none`, `bridge`, `service:NAME`, `container:NAME`. Unset: `networks` say.
    pub network_mode: Option<String>,
    /// The networks that it is on, by their names in the project.
    pub networks: Map<Attachment>,
    /// Whether the OOM killer leaves it alone.
    pub oom_kill_disable: bool,
    /// -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// `host`, `private`, `service:NAME`, `container:NAME`.
    pub pid: Option<String>,
    /// Processes at most; -1: any number.
    pub pids_limit: Option<i64>,
    /// `OS[/ARCH[/VARIANT]]`.
    pub platform: Option<String>,
    /// Published ports, one port or range each.
    pub ports: Vec<Port>,
    /// Whether the container is privileged.
    pub privileged: bool,
    /// When its image is pulled.
    pub pull_policy: Option<PullPolicy>,
    /// Whether its root filesystem is read-only.
    pub read_only: bool,
    /// Restart policy. See [`Service::restart_policy`].
    pub restart: Option<Restart>,
    /// The OCI runtime, or containerd's shim.
    pub runtime: Option<String>,
    /// How many containers. See [`Service::replicas`].
    pub scale: Option<u32>,
    /// Secrets to mount.
    pub secrets: Vec<FileReference>,
    /// `no-new-privileges:true`, `seccomp=…`, `apparmor=…`, `label=…`.
    pub security_opt: Vec<String>,
    /// Size of /dev/shm.
    pub shm_size: Option<Bytes>,
    /// Whether standard input stays open.
    pub stdin_open: bool,
    /// How long it has from the stop signal to SIGKILL. Unset: 10 s.
    pub stop_grace_period: Option<Duration>,
    /// In place of the image's STOPSIGNAL.
    pub stop_signal: Option<String>,
    /// Options of the storage driver.
    pub storage_opt: Map<String>,
    /// Kernel parameters of its namespaces.
    pub sysctls: Map<String>,
    /// File systems in memory: `PATH[:OPTIONS]`.
    pub tmpfs: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Resource limits by their names: `nofile`.
    pub ulimits: Map<Ulimit>,
    /// Whether it gets the engine's socket.
    pub use_api_socket: bool,
    /// `USER[:GROUP]`, names or numbers, in place of the image's USER.
    pub user: Option<String>,
    /// User namespace: `host`.
    pub userns_mode: Option<String>,
    /// UTS namespace: `host`.
    pub uts: Option<String>,
    /// What is mounted into it.
    pub volumes: Vec<Mount>,
    /// Whose mounts it takes over: `SERVICE[:ro|rw]`, `container:NAME[:ro|rw]`.
    pub volumes_from: Vec<String>,
    /// In place of the image's WORKDIR.
    pub working_dir: Option<String>,
    /// What runs, each in a container of its own, before the service's container starts.
    pub pre_start: Vec<Hook>,
    /// What runs in the container once it is started.
    pub post_start: Vec<Hook>,
    /// What runs in the container before it is stopped.
    pub pre_stop: Vec<Hook>,
}

/// How an image is built.
pub struct Build {
    /// Absolute directory, or a URL.
    pub context: Option<String>,
    /// Dockerfile within the context.
    pub dockerfile: Option<String>,
    /// The Dockerfile itself.
    pub dockerfile_inline: Option<String>,
    /// What the build is entitled to: `network.host`.
    pub entitlements: Vec<String>,
    /// Build arguments. `None`: the argument is in nobody's environment, and is left out.
    pub args: Map<Option<String>>,
    /// Provenance attestation.
    pub provenance: Option<String>,
    /// SBOM attestation.
    pub sbom: Option<String>,
    /// SSH agents and keys: `default`, `ID=PATH`.
    pub ssh: Vec<String>,
    /// Labels of the image.
    pub labels: Map<String>,
    /// Caches to read.
    pub cache_from: Vec<String>,
    /// Caches to write.
    pub cache_to: Vec<String>,
    /// Whether caches are left alone.
    pub no_cache: bool,
    /// The stages whose cache is left alone.
    pub no_cache_filter: Vec<String>,
    /// Further contexts by their names: absolute directories, URLs, `service:NAME`.
    pub additional_contexts: Map<String>,
    /// Whether base images are always pulled.
    pub pull: bool,
    /// `HOST=ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// Windows only.
    pub isolation: Option<String>,
    /// Network of the RUN instructions: `host`, `none`.
    pub network: Option<String>,
    /// The stage to build.
    pub target: Option<String>,
    /// Secrets of the RUN instructions.
    pub secrets: Vec<FileReference>,
    /// Size of /dev/shm.
    pub shm_size: Option<Bytes>,
    /// Further names of the image.
    pub tags: Vec<String>,
    /// Resource limits.
    pub ulimits: Map<Ulimit>,
    /// Platforms to build for.
    pub platforms: Vec<String>,
    /// Whether RUN instructions are privileged.
    pub privileged: bool,
}

/// What `watch` does.
pub struct Develop {
    /// Each path and what follows its change.
    pub watch: Vec<Watch>,
}

/// One path that is watched.
pub struct Watch {
    /// The path, absolute.
    pub path: String,
    /// `sync`, `rebuild`, `restart`, `sync+restart`, `sync+exec`.
    pub action: String,
    /// Where changed files go.
    pub target: Option<String>,
    /// What is run after `sync+exec`.
    pub exec: Option<Hook>,
    /// Patterns of files to watch.
    pub include: Vec<String>,
    /// Patterns of files to leave alone.
    pub ignore: Vec<String>,
    /// Whether files are synced at the start.
    pub initial_sync: bool,
}

/// Limits and weights of block devices.
pub struct BlkioConfig {
    /// 10 to 1000.
    pub weight: Option<u16>,
    /// Weights of devices.
    pub weight_device: Vec<WeightDevice>,
    /// Bytes read in a second.
    pub device_read_bps: Vec<ThrottleDevice>,
    /// Reads in a second.
    pub device_read_iops: Vec<ThrottleDevice>,
    /// Bytes written in a second.
    pub device_write_bps: Vec<ThrottleDevice>,
    /// Writes in a second.
    pub device_write_iops: Vec<ThrottleDevice>,
}

/// A device and its weight.
pub struct WeightDevice {
    /// Path on the host.
    pub path: String,
    /// 10 to 1000.
    pub weight: u16,
}

/// A device and its limit.
pub struct ThrottleDevice {
    /// Path on the host.
    pub path: String,
    /// Bytes or operations in a second.
    pub rate: Bytes,
}

/// A config or secret as a service or a build uses it.
pub struct FileReference {
    /// Its name in the project.
    pub source: String,
    /// Where it is mounted. Unset for a build.
    pub target: Option<String>,
    /// Owner, a number.
    pub uid: Option<String>,
    /// Group, a number.
    pub gid: Option<String>,
    /// Permissions.
    pub mode: Option<FileMode>,
}

/// Windows only.
pub struct CredentialSpec {
    /// The name of a config.
    pub config: Option<String>,
    /// A file.
    pub file: Option<String>,
    /// A registry value.
    pub registry: Option<String>,
}

/// What is asked of whoever deploys the service.
pub struct Deploy {
    /// `replicated`, `global`: swarm's.
    pub mode: Option<String>,
    /// How many containers. See [`Service::replicas`].
    pub replicas: Option<u32>,
    /// Labels of the service: swarm's.
    pub labels: Map<String>,
    /// Swarm's.
    pub update_config: Option<UpdateConfig>,
    /// Swarm's.
    pub rollback_config: Option<UpdateConfig>,
    /// Limits and reservations.
    pub resources: Option<Resources>,
    /// Restart policy. See [`Service::restart_policy`].
    pub restart_policy: Option<RestartPolicy>,
    /// Swarm's.
    pub placement: Option<Placement>,
    /// Swarm's.
    pub endpoint_mode: Option<String>,
}

/// How swarm updates a service.
pub struct UpdateConfig {
    /// How many containers at a time.
    pub parallelism: Option<u64>,
    /// Pause between them.
    pub delay: Option<Duration>,
    /// `continue`, `rollback`, `pause`.
    pub failure_action: Option<String>,
    /// How long each is watched.
    pub monitor: Option<Duration>,
    /// Failures that are put up with.
    pub max_failure_ratio: Option<f64>,
    /// `start-first`, `stop-first`.
    pub order: Option<String>,
}

/// Limits and reservations.
pub struct Resources {
    /// At most.
    pub limits: Option<Resource>,
    /// At least.
    pub reservations: Option<Resource>,
}

/// Amounts of resources.
pub struct Resource {
    /// CPUs.
    pub cpus: Option<f64>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Processes.
    pub pids: Option<i64>,
    /// Devices, GPUs among them.
    pub devices: Vec<DeviceRequest>,
    /// Swarm's.
    pub generic_resources: Vec<GenericResource>,
}

/// A device that a driver picks.
pub struct DeviceRequest {
    /// What it can do: `gpu`.
    pub capabilities: Vec<String>,
    /// `nvidia`.
    pub driver: Option<String>,
    /// How many; -1: all.
    pub count: Option<i64>,
    /// Which ones.
    pub device_ids: Vec<String>,
    /// Options of the driver.
    pub options: Map<String>,
}

/// Swarm's.
pub struct GenericResource {
    /// A kind and how many.
    pub discrete_resource_spec: Option<DiscreteResource>,
}

/// Swarm's.
pub struct DiscreteResource {
    /// Kind.
    pub kind: Option<String>,
    /// How many.
    pub value: Option<i64>,
}

/// Swarm's restart policy, which goes before `restart`.
pub struct RestartPolicy {
    /// `none`, `on-failure`, `any`.
    pub condition: Option<String>,
    /// Pause before a restart.
    pub delay: Option<Duration>,
    /// Restarts at most.
    pub max_attempts: Option<u64>,
    /// How long it has to live to count as started.
    pub window: Option<Duration>,
}

/// Where swarm puts containers.
pub struct Placement {
    /// Conditions on nodes.
    pub constraints: Vec<String>,
    /// Wishes.
    pub preferences: Vec<Preference>,
    /// Containers on a node at most.
    pub max_replicas_per_node: Option<u64>,
}

/// Where swarm would rather put containers.
pub struct Preference {
    /// A label of nodes.
    pub spread: Option<String>,
}

/// A device of the host.
pub struct Device {
    /// Path on the host, or a CDI name.
    pub source: String,
    /// Path in the container.
    pub target: Option<String>,
    /// Of `rwm`.
    pub permissions: Option<String>,
}

/// A program that provides a service.
pub struct Provider {
    /// Its name.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its options.
    pub options: Map<Vec<String>>,
}

/// How a container's health is probed.
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", COMMAND]`. Empty: the image's.
    pub test: Vec<String>,
    /// Unset: 30 s, as the image or else the engine has it.
    pub timeout: Option<Duration>,
    /// Unset: 30 s.
    pub interval: Option<Duration>,
    /// Failures in a row that make it unhealthy. Unset: 3.
    pub retries: Option<u64>,
    /// How long failures don't count after a start.
    pub start_period: Option<Duration>,
    /// The interval within `start_period`. Unset: 5 s.
    pub start_interval: Option<Duration>,
    /// Whether even the image's is switched off.
    pub disable: bool,
}

/// Log driver.
pub struct Logging {
    /// Its name.
    pub driver: Option<String>,
    /// Its options.
    pub options: Map<String>,
}

/// How a service uses a language model.
pub struct ModelBinding {
    /// The variable for the URL.
    pub endpoint_var: Option<String>,
    /// The variable for the name.
    pub model_var: Option<String>,
}

/// A service's place on a network.
pub struct Attachment {
    /// Further names on this network.
    pub aliases: Vec<String>,
    /// Options of the network driver.
    pub driver_opts: Map<String>,
    /// The highest one gives the default route.
    pub gw_priority: Option<i64>,
    /// Name of the interface.
    pub interface_name: Option<String>,
    /// Static IPv4 address.
    pub ipv4_address: Option<String>,
    /// Static IPv6 address.
    pub ipv6_address: Option<String>,
    /// Link-local addresses.
    pub link_local_ips: Vec<String>,
    /// MAC address.
    pub mac_address: Option<String>,
    /// The highest one is joined first.
    pub priority: Option<i64>,
}

/// A published port.
pub struct Port {
    /// A name for people.
    pub name: Option<String>,
    /// `ingress`, `host`: swarm's.
    pub mode: Option<String>,
    /// Address on the host. Unset: all.
    pub host_ip: Option<String>,
    /// Port in the container.
    pub target: u16,
    /// Port on the host, or a range to pick one from. Unset: any free one.
    pub published: Option<String>,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: Option<String>,
    /// A protocol for people: `http`.
    pub app_protocol: Option<String>,
}

/// A resource limit of processes; -1: none.
pub struct Ulimit {
    /// What a process starts with.
    pub soft: i64,
    /// How far a process may raise it.
    pub hard: i64,
}

/// What is mounted into a container.
pub struct Mount {
    /// What is mounted.
    #[serde(rename = "type")]
    pub kind: MountKind,
    /// Absolute path, volume in the project, or image. Unset: an anonymous volume.
    pub source: Option<String>,
    /// Path in the container.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// macOS only.
    pub consistency: Option<String>,
    /// Options of a bind mount.
    pub bind: Option<BindOptions>,
    /// Options of a volume.
    pub volume: Option<VolumeOptions>,
    /// Options of a tmpfs.
    pub tmpfs: Option<TmpfsOptions>,
    /// Options of an image.
    pub image: Option<ImageOptions>,
}

/// Options of a bind mount.
pub struct BindOptions {
    /// `z`: labelled for many containers, `Z`: for this one.
    pub selinux: Option<String>,
    /// `rprivate`, `private`, `rshared`, `shared`, `rslave`, `slave`.
    pub propagation: Option<String>,
    /// Whether a source that isn't there is made as a directory. Unset: yes.
    pub create_host_path: Option<bool>,
    /// `enabled`, `disabled`, `writable`, `readonly`.
    pub recursive: Option<String>,
}

/// Options of a volume's mount.
pub struct VolumeOptions {
    /// Labels of an anonymous volume.
    pub labels: Map<String>,
    /// Whether an empty volume stays empty.
    pub nocopy: bool,
    /// Path within the volume.
    pub subpath: Option<String>,
}

/// Options of a tmpfs.
pub struct TmpfsOptions {
    /// Size at most.
    pub size: Option<Bytes>,
    /// Permissions of its root.
    pub mode: Option<u32>,
}

/// Options of an image's mount.
pub struct ImageOptions {
    /// Path within the image.
    pub subpath: Option<String>,
}

/// A command at a turn of a container's life.
pub struct Hook {
    /// The command.
    pub command: Option<Vec<String>>,
    /// Image of a `pre_start` container. Unset: the service's.
    pub image: Option<String>,
    /// In place of the service's user.
    pub user: Option<String>,
    /// Whether it is privileged.
    pub privileged: bool,
    /// In place of the service's working directory.
    pub working_dir: Option<String>,
    /// Further variables.
    pub environment: Map<Option<String>>,
    /// Whether a `pre_start` command runs for each container. Else once for the service.
    pub per_replica: bool,
}

/// A network.
pub struct Network {
    /// Its name on the host.
    pub name: String,
    /// `bridge`, `macvlan`, `ipvlan`, `host`, `none`. Unset: `bridge`.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: Map<String>,
    /// Subnets.
    pub ipam: Option<Ipam>,
    /// Whether it has to be there before.
    pub external: bool,
    /// Whether it has no way out.
    pub internal: bool,
    /// Swarm's.
    pub attachable: bool,
    /// Labels.
    pub labels: Map<String>,
    /// Unset: yes.
    pub enable_ipv4: Option<bool>,
    /// Unset: no.
    pub enable_ipv6: Option<bool>,
}

/// Subnets of a network.
pub struct Ipam {
    /// `default`.
    pub driver: Option<String>,
    /// Each subnet.
    pub config: Vec<IpamPool>,
    /// Options of the driver.
    pub options: Map<String>,
}

/// A subnet.
pub struct IpamPool {
    /// CIDR.
    pub subnet: Option<String>,
    /// Address of the gateway.
    pub gateway: Option<String>,
    /// The part of the subnet that containers get addresses from.
    pub ip_range: Option<String>,
    /// Addresses that nobody gets, by their names.
    pub aux_addresses: Map<String>,
}

/// A volume.
pub struct Volume {
    /// Its name on the host.
    pub name: String,
    /// Unset: `local`.
    pub driver: Option<String>,
    /// Options of the driver: `type`, `o`, `device`.
    pub driver_opts: Map<String>,
    /// Whether it has to be there before.
    pub external: bool,
    /// Labels.
    pub labels: Map<String>,
}

/// A secret: of a file, a variable, or external.
pub struct Secret {
    /// Its name.
    pub name: String,
    /// Absolute path.
    pub file: Option<String>,
    /// The variable that holds it.
    pub environment: Option<String>,
    /// Whether it has to be there before.
    pub external: bool,
    /// Labels.
    pub labels: Map<String>,
    /// Swarm's.
    pub driver: Option<String>,
    /// Swarm's.
    pub driver_opts: Map<String>,
    /// Swarm's.
    pub template_driver: Option<String>,
}

/// A config: of a file, a variable, the Compose file itself, or external.
pub struct Config {
    /// Its name.
    pub name: String,
    /// Absolute path.
    pub file: Option<String>,
    /// The variable that holds it.
    pub environment: Option<String>,
    /// The content itself.
    pub content: Option<String>,
    /// Whether it has to be there before.
    pub external: bool,
    /// Labels.
    pub labels: Map<String>,
    /// Swarm's.
    pub template_driver: Option<String>,
}

/// A language model.
pub struct LanguageModel {
    /// Its name.
    pub name: String,
    /// The OCI artifact.
    pub model: String,
    /// Tokens of context.
    pub context_size: Option<i64>,
    /// Flags of whoever runs it.
    pub runtime_flags: Vec<String>,
}

}

/// What a service waits for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dependency {
    /// How far the other service has to be.
    pub condition: Condition,
    /// Whether it restarts when the other service is replaced or restarted.
    #[serde(skip_serializing_if = "Unset::is_unset")]
    pub restart: bool,
    /// Whether the other service has to be there. Printed always, for its default is true.
    pub required: bool,
    /// The keys `x-…`.
    #[serde(rename = "x-*", skip_serializing_if = "Unset::is_unset")]
    pub extensions: Extensions,
}

impl Default for Dependency {
    fn default() -> Dependency {
        Dependency { condition: Condition::default(), restart: false, required: true, extensions: Map::new() }
    }
}

//! `network …`

use clap::Command;

use super::{Managed, PruneOf, group, inspect_command, list, list_command, prune, prune_command};
use crate::cli::typed::{Typed, flag, operands, value, values};
use crate::error::{Error, Result};

/// `network create`, as it was typed.
#[derive(Clone, Debug, Default)]
pub struct NewNetwork {
    pub name: String,
    pub driver: String,
    pub subnets: Vec<String>,
    pub gateways: Vec<String>,
    pub ranges: Vec<String>,
    /// Addresses that no container gets, by what they are for.
    pub reserved: Vec<(String, String)>,
    pub internal: bool,
    pub ipv6: bool,
    pub labels: Vec<(String, String)>,
    pub options: Vec<(String, String)>,
}

/// `network connect`
#[derive(Clone, Debug, Default)]
pub struct Connect {
    pub network: String,
    pub container: String,
    pub aliases: Vec<String>,
    pub ip: Option<String>,
    pub ip6: Option<String>,
    pub mac: Option<String>,
    pub gateway_priority: Option<i64>,
}

/// Flags of Docker's that we have no thing for, each with what is said of it.
const REFUSED: [(&str, &str); 5] = [
    ("config-from", "a network's configuration alone"),
    ("config-only", "a network's configuration alone"),
    ("ingress", "swarm's networks"),
    ("ipam-driver", "drivers of addresses"),
    ("ipam-opt", "drivers of addresses"),
];

pub fn tree() -> Command {
    group("network", "Manage networks").subcommands([
        create(),
        list_command("List networks", "Only the ids", "driver, id, label, name, scope, type, dangling")
            .arg(flag("no-trunc", "Nothing shortened")),
        inspect_command("Show all about networks", "NETWORK")
            .arg(flag("verbose", "All, as always").short('v').hide(true)),
        Command::new("rm")
            .about("Remove networks")
            .visible_alias("remove")
            .arg(flag("force", "What isn't there is fine").short('f'))
            .arg(operands("NETWORK", "Names or ids")),
        prune_command("Remove networks that no container uses", "until=10m, label=KEY=VALUE"),
        Command::new("connect")
            .about("Connect a container to a network")
            .arg(values("alias", "NAME", "A further name on the network"))
            .arg(value("ip", "ADDRESS", "The IPv4 address"))
            .arg(value("ip6", "ADDRESS", "The IPv6 address"))
            .arg(value("mac-address", "ADDRESS", "The hardware address").hide(true))
            .arg(
                value("gw-priority", "NUMBER", "Where it is highest, the default route is")
                    .allow_hyphen_values(true),
            )
            .arg(values("link", "CONTAINER:ALIAS", "Not done: names resolve without").hide(true))
            .arg(values("driver-opt", "KEY=VALUE", "Options of the driver").hide(true))
            .args(both()),
        Command::new("disconnect")
            .about("Disconnect a container from a network")
            .arg(flag("force", "As without").short('f'))
            .args(both()),
    ])
}

fn both() -> [clap::Arg; 2] {
    [operands("NETWORK", "Name or id").num_args(1), operands("CONTAINER", "Name or id").num_args(1)]
}

fn create() -> Command {
    let refused = REFUSED
        .map(|(flag, _)| values(flag, "VALUE", "Not done").hide(true).num_args(0..=1).require_equals(true));
    Command::new("create")
        .about("Create a network")
        .after_help("Example: cortenctl network create --subnet 10.9.0.0/24 --internal back")
        .arg(value("driver", "DRIVER", "bridge, macvlan, ipvlan [default: bridge]").short('d'))
        .arg(values("subnet", "SUBNET", "A subnet: 10.9.0.0/24").value_delimiter(','))
        .arg(values("gateway", "ADDRESS", "The host's address in a subnet").value_delimiter(','))
        .arg(values("ip-range", "RANGE", "What is given out of a subnet").value_delimiter(','))
        .arg(
            values("aux-address", "NAME=ADDRESS", "An address that no container gets: router=10.9.0.2")
                .value_delimiter(','),
        )
        .arg(flag("internal", "Without a way outside"))
        .arg(flag("ipv6", "With addresses of IPv6"))
        .arg(flag("attachable", "As always").hide(true))
        .arg(value("scope", "SCOPE", "local, as always").hide(true))
        .arg(values("label", "KEY=VALUE", "A label"))
        .arg(values("opt", "KEY=VALUE", "An option of the driver: parent=eth0").short('o'))
        .args(refused)
        .arg(operands("NETWORK", "The name").num_args(1))
}

pub fn managed(name: &str, typed: &Typed) -> Result<Managed> {
    let first = |name: &str| typed.text(name).unwrap_or_default();
    Ok(match name {
        "create" => Managed::CreateNetwork(Box::new(new(typed)?)),
        "ls" => Managed::Networks(list(typed)?),
        "inspect" => Managed::InspectNetworks { names: typed.texts("NETWORK"), format: typed.text("format") },
        "rm" => Managed::RemoveNetworks { names: typed.texts("NETWORK"), force: typed.flag("force") },
        "prune" => Managed::Prune(prune(PruneOf::Networks, typed)?),
        "connect" => Managed::Connect(Box::new(connect(typed)?)),
        "disconnect" => Managed::Disconnect {
            network: first("NETWORK"),
            container: first("CONTAINER"),
            force: typed.flag("force"),
        },
        other => return Err(Error::new(format!("network {other}: no such command"))),
    })
}

fn new(typed: &Typed) -> Result<NewNetwork> {
    for (flag, what) in REFUSED {
        // Docker's own default is what we do.
        let said = typed.texts(flag);
        let is_said = typed.0.value_source(flag).is_some();
        if is_said && !(flag == "ipam-driver" && said == ["default"]) {
            return Err(Error::new(format!("--{flag}: {what}: can't be done here")));
        }
    }
    if let Some(scope) = typed.text("scope").filter(|scope| scope != "local") {
        return Err(Error::new(format!("--scope {scope}: can't be done here")));
    }
    Ok(NewNetwork {
        name: typed.text("NETWORK").unwrap_or_default(),
        driver: typed.text("driver").unwrap_or_else(|| "bridge".to_owned()),
        subnets: typed.texts("subnet"),
        gateways: typed.texts("gateway"),
        ranges: typed.texts("ip-range"),
        reserved: typed.pairs("aux-address").collect(),
        internal: typed.flag("internal"),
        ipv6: typed.flag("ipv6"),
        labels: typed.pairs("label").collect(),
        options: typed.pairs("opt").collect(),
    })
}

fn connect(typed: &Typed) -> Result<Connect> {
    if !typed.texts("link").is_empty() || !typed.texts("driver-opt").is_empty() {
        return Err(Error::new("--link, --driver-opt: can't be done here"));
    }
    Ok(Connect {
        network: typed.text("NETWORK").unwrap_or_default(),
        container: typed.text("CONTAINER").unwrap_or_default(),
        aliases: typed.texts("alias"),
        ip: typed.text("ip"),
        ip6: typed.text("ip6"),
        mac: typed.text("mac-address"),
        gateway_priority: typed.read("gw-priority")?,
    })
}

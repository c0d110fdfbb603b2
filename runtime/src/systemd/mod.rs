//! systemd, as far as a container's cgroup is a unit of it: units are started, changed and stopped over D-Bus.
//!
//! `bus` is the connection, `address` where it leads; here stands what is said. A connection is let in within
//! [`GREETING_PATIENCE`], and lasts no longer than [`PATIENCE`].

mod address;
mod bus;

use std::path::{Component, Path};
use std::time::Duration;

use rustbus::message_builder::{DynamicHeader, MarshalledMessage};

pub use address::{Address, runs};
use bus::{Bus, Reply, fault};

use crate::error::{Context, Error, Kind, Result};
use crate::plan::cgroup::host::SystemdManager;
use crate::plan::cgroup::properties::{Property, description};
use crate::plan::cgroup::{RecordedUnit, Unit};
use crate::sys::clock::Deadline;

/// How long the server may take to let the caller in.
const GREETING_PATIENCE: Duration = Duration::from_secs(10);

/// How long systemd may take for all that a caller wants of it. Under load it needs seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to one manager of units.
pub struct Manager {
    bus: Bus,
    deadline: Deadline,
}

/// A unit that systemd was asked to start.
pub struct Starting {
    manager: Manager,
    unit: String,
    call: u32,
    request: MarshalledMessage,
}

impl Manager {
    /// Connects to the manager, if it can be reached at all.
    ///
    /// Errors: Unsupported where its sockets are missing; Denied where it rejects the caller.
    pub fn connect(manager: SystemdManager) -> Result<Manager> {
        let address = Address::find(manager).ok_or_else(|| {
            let who = match manager {
                SystemdManager::System => "systemd",
                SystemdManager::User => "the user's systemd",
            };
            Error::unsupported(format!("{who} can't be reached: its sockets are missing"))
        })?;
        let bus = Bus::connect(&address, Deadline::after(GREETING_PATIENCE))?;
        Ok(Manager { bus, deadline: Deadline::after(PATIENCE) })
    }

    /// Asks for a transient unit around the process `pid`. systemd goes to work, and [`Starting::wait`] has the answer.
    pub fn start(mut self, unit: &Unit, pid: i32) -> Result<Starting> {
        self.refuse_unknown(&unit.properties)?;
        self.bus.listen_to_jobs_of(&unit.name)?;
        let mut request = call("StartTransientUnit");
        let processes = unit.is_scope.then_some(("PIDs", vec![pid as u32]));
        request.body.push_param2(unit.name.as_str(), MODE).map_err(fault)?;
        request.body.push_param(bus::properties(&unit.properties, processes)).map_err(fault)?;
        // Units that would be started with this one: none.
        request.body.push_param(bus::no_further_units()).map_err(fault)?;
        let call = self.bus.send(&request)?;
        Ok(Starting { manager: self, unit: unit.name.clone(), call, request })
    }

    /// Moves a process into the cgroup of a unit, or into the cgroup that is at `below` there.
    pub fn attach(&mut self, unit: &str, below: &Path, pid: i32) -> Result<()> {
        let mut request = call("AttachProcessesToUnit");
        let below = below.components().filter(|part| matches!(part, Component::Normal(_)));
        let below: String = below.map(|part| format!("/{}", part.as_os_str().to_string_lossy())).collect();
        request.body.push_param2(unit, below.as_str()).map_err(fault)?;
        request.body.push_param(vec![pid as u32]).map_err(fault)?;
        self.ask(&request)?.done()
    }

    /// Sets properties of a unit for as long as it runs, and returns once they are in force.
    pub fn set_properties(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        self.refuse_unknown(properties)?;
        let mut request = call("SetUnitProperties");
        // `true`: until the unit ends, and in no file.
        request.body.push_param2(unit, true).map_err(fault)?;
        request.body.push_param(bus::properties(properties, None)).map_err(fault)?;
        self.ask(&request)?.done()?;
        // systemd answers before it writes into the cgroup, and writes before it hears the next call.
        let mut ping = call("Ping");
        ping.dynheader.interface = Some("org.freedesktop.DBus.Peer".to_owned());
        self.ask(&ping)?.done()
    }

    /// Whether somebody else than the container `id` has a unit of that name: a start may have died before it knew, and
    /// a unit whose processes have all ended leaves its name to anybody.
    pub fn is_of_others(&mut self, unit: &str, id: &str) -> Result<bool> {
        Ok(self.description(unit)?.is_some_and(|text| text != description(id)))
    }

    /// Ends the unit of the container `id`, if it is there. Returns once systemd has forgotten it. A unit of that name
    /// that somebody else has started stays.
    pub fn stop(&mut self, unit: &str, id: &str) -> Result<()> {
        if self.description(unit)?.is_none_or(|text| text != description(id)) {
            return Ok(());
        }
        self.bus.listen_to_jobs_of(unit)?;
        let mut request = call("StopUnit");
        request.body.push_param2(unit, MODE).map_err(fault)?;
        let reply = self.ask(&request)?;
        if reply.is_error(NO_SUCH_UNIT) {
            return Ok(());
        }
        let job = reply.path()?;
        self.bus.await_job(&job, self.deadline)?;
        // A unit that failed before is kept under its name.
        self.forget_failed(unit)
    }

    /// What a unit that systemd knows is described as.
    fn description(&mut self, unit: &str) -> Result<Option<String>> {
        let mut request = call("GetUnit");
        request.body.push_param(unit).map_err(fault)?;
        let reply = self.ask(&request)?;
        if reply.is_error(NO_SUCH_UNIT) {
            return Ok(None);
        }
        let object = reply.path()?;
        let mut request = call("Get");
        request.dynheader.interface = Some(PROPERTIES.to_owned());
        request.dynheader.object = Some(object);
        request.body.push_param2("org.freedesktop.systemd1.Unit", "Description").map_err(fault)?;
        let reply = self.ask(&request)?;
        // It has gone in this moment.
        if reply.is_error(UNKNOWN_OBJECT) { Ok(None) } else { reply.text_in_variant().map(Some) }
    }

    fn forget_failed(&mut self, unit: &str) -> Result<()> {
        let mut request = call("ResetFailedUnit");
        request.body.push_param(unit).map_err(fault)?;
        let reply = self.ask(&request)?;
        if reply.is_error(NO_SUCH_UNIT) { Ok(()) } else { reply.done() }
    }

    fn ask(&mut self, request: &MarshalledMessage) -> Result<Reply> {
        let call = self.bus.send(request)?;
        self.bus.reply_to(call, self.deadline)
    }

    /// An older systemd would refuse the whole call for a property that it doesn't know, in words about a syntax.
    fn refuse_unknown(&mut self, properties: &[Property]) -> Result<()> {
        /// What every distribution has had for years.
        const COMMON: u32 = 239;
        let newest = properties.iter().max_by_key(|property| property.since);
        let Some(Property { name, since, .. }) = newest.filter(|property| property.since > COMMON) else {
            return Ok(());
        };
        let mut request = call("Get");
        request.dynheader.interface = Some(PROPERTIES.to_owned());
        request.body.push_param2(INTERFACE, "Version").map_err(fault)?;
        let text = self.ask(&request)?.text_in_variant()?;
        match version(&text) {
            Some(version) if version < *since => {
                let cause = format!("{name}: systemd {version} doesn't know this property, {since} does");
                Err(Error::unsupported(cause))
            }
            _ => Ok(()),
        }
    }
}

impl Starting {
    /// Waits until systemd has started the unit.
    ///
    /// Errors: AlreadyExists if it has another unit of that name, which stays as it is; otherwise what systemd says.
    pub fn wait(self) -> Result<()> {
        let Starting { mut manager, unit, call, request } = self;
        let mut reply = manager.bus.reply_to(call, manager.deadline)?;
        if reply.is_error(UNIT_EXISTS) {
            // What has failed is gone, and leaves only its name. What runs is not touched.
            manager.forget_failed(&unit)?;
            reply = manager.ask(&request)?;
        }
        if reply.is_error(UNIT_EXISTS) {
            return Err(reply.error().with_kind(Kind::AlreadyExists));
        }
        let job = reply.path()?;
        match manager.bus.await_job(&job, manager.deadline)?.as_str() {
            "done" => Ok(()),
            result => {
                let cause = format!("systemd could not start {unit}: its job ended with {result:?}");
                Err(Error::new(Kind::Denied, cause).with_hint(format!("journalctl -u {unit} may know more")))
            }
        }
    }
}

/// Ends the unit of the container `id`, if systemd still has it.
pub fn stop(unit: &RecordedUnit, id: &str) -> Result<()> {
    let stopped = Manager::connect(unit.manager).and_then(|mut manager| manager.stop(&unit.name, id));
    stopped.doing_with(|| format!("stop the unit {}", unit.name))
}

/// Conflicting jobs are cancelled.
const MODE: &str = "replace";

const INTERFACE: &str = "org.freedesktop.systemd1.Manager";

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

const UNKNOWN_OBJECT: &str = "org.freedesktop.DBus.Error.UnknownObject";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// A call of the manager's.
fn call(method: &str) -> MarshalledMessage {
    let mut message = MarshalledMessage::new();
    message.typ = rustbus::MessageType::Call;
    message.dynheader = DynamicHeader {
        member: Some(method.to_owned()),
        interface: Some(INTERFACE.to_owned()),
        object: Some("/org/freedesktop/systemd1".to_owned()),
        destination: Some("org.freedesktop.systemd1".to_owned()),
        ..DynamicHeader::default()
    };
    message
}

/// `257.13-1~deb13u1` is 257.
fn version(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn version_is_the_first_number() {
        assert_eq!(version("257.13-1~deb13u1"), Some(257));
        assert_eq!(version("systemd 239 (239-78.el8)"), Some(239));
        assert_eq!(version("v250-rc1"), Some(250));
        assert_eq!(version(""), None);
    }
}

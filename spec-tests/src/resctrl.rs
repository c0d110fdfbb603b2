//! A filesystem that behaves as resctrl does, for machines without it: a FUSE filesystem, served by a thread.
//!
//! The kernel's own is on servers of some kinds only. The runtime finds this one because the table of mounts that its
//! command sees has a line more, which says that it is of type `resctrl`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::runtime::Call;

/// The bandwidths that a group can have are multiples of this.
const BANDWIDTH_STEP: u64 = 10;
const MASK_MAX: u64 = 0xff;

/// The filesystem, mounted until it is dropped.
pub struct Resctrl {
    directory: PathBuf,
    groups: Arc<Mutex<Groups>>,
}

impl Resctrl {
    /// Tells whether this machine can have one.
    pub fn possible() -> bool {
        OpenOptions::new().read(true).write(true).open("/dev/fuse").is_ok()
    }

    /// Mounts it, with nothing in it but the default group.
    pub fn mount() -> Resctrl {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("resctrl-{}-{number}", std::process::id()));
        fs::create_dir_all(directory.join("top")).expect("make a directory");
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse").expect("open /dev/fuse");
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let data = std::ffi::CString::new(data).expect("no NUL");
        mount("resctrl", directory.join("top"), "fuse.resctrl", MountFlags::NOSUID, Some(data.as_c_str()))
            .expect("mount a FUSE filesystem");
        let groups = Arc::new(Mutex::new(Groups::new()));
        let server = Server { device, groups: Arc::clone(&groups), paths: vec![String::new()] };
        std::thread::spawn(|| server.serve());
        Resctrl { directory, groups }
    }

    /// Where it is mounted.
    pub fn top(&self) -> PathBuf {
        self.directory.join("top")
    }

    /// Has a command find it in its table of mounts.
    pub fn seen_by<'a>(&self, call: Call<'a>) -> Call<'a> {
        let (top, copy) = (self.top(), self.directory.join("mountinfo"));
        // The shell becomes the command, so the table is of the process that reads it.
        let lines = format!(
            "{{ cat /proc/$$/mountinfo; echo '999 1 0:999 / {} rw - resctrl resctrl rw'; }} > {copy}.$$
            mount --bind {copy}.$$ /proc/$$/mountinfo",
            top.display(),
            copy = copy.display()
        );
        call.private_mounts().prologue(&lines)
    }

    /// Makes a group, as an administrator does.
    pub fn make(&self, name: &str) {
        fs::create_dir(self.top().join(name)).expect("make a group");
    }

    /// All groups but the default one, by their paths.
    pub fn groups(&self) -> Vec<String> {
        let groups = self.groups.lock().expect("the groups");
        groups.0.keys().filter(|path| !path.is_empty()).cloned().collect()
    }

    /// The processes in a group.
    pub fn tasks(&self, group: &str) -> Vec<u32> {
        let text = fs::read_to_string(self.top().join(group).join("tasks")).expect("read tasks");
        text.lines().map(|pid| pid.parse().expect("a pid")).collect()
    }

    /// How many processes have entered a group, those that have ended among them. A child that such a process forks is
    /// born in the group, but nothing tells this filesystem of a fork.
    pub fn entered(&self, group: &str) -> usize {
        let groups = self.groups.lock().expect("the groups");
        groups.0.get(group.trim_end_matches('/')).map_or(0, |group| group.tasks.len())
    }

    /// What a group gets.
    pub fn schemata(&self, group: &str) -> String {
        fs::read_to_string(self.top().join(group).join("schemata")).expect("read schemata")
    }
}

impl Drop for Resctrl {
    fn drop(&mut self) {
        let _ = unmount(self.top(), UnmountFlags::DETACH);
        let _ = Command::new("rm").arg("-r").arg("--one-file-system").arg(&self.directory).status();
    }
}

type Settings = BTreeMap<(String, u32), u64>;

/// One group; a monitoring group has no settings.
#[derive(Default)]
struct Group {
    settings: Settings,
    tasks: BTreeSet<u32>,
}

/// The groups by their paths, of which the default one is empty.
struct Groups(BTreeMap<String, Group>, String);

impl Groups {
    fn new() -> Groups {
        Groups(
            BTreeMap::from([(String::new(), Group { settings: defaults(), ..Group::default() })]),
            "ok".into(),
        )
    }

    fn is_directory(&self, path: &str) -> bool {
        let of_monitors = parent(path).is_some_and(|(above, name)| {
            name == "mon_groups" && self.0.contains_key(above) && above_monitor(above).is_none()
        });
        self.0.contains_key(path) || of_monitors || ["info", "info/MB"].contains(&path)
    }

    fn read(&self, path: &str) -> Option<String> {
        let (group, file) = parent(path)?;
        match (self.0.get(group), file) {
            (Some(group), "tasks") => {
                let alive = group.tasks.iter().filter(|pid| is_alive(**pid));
                Some(alive.map(|pid| format!("{pid}\n")).collect())
            }
            (Some(found), "schemata") if above_monitor(group).is_none() => Some(text(&found.settings)),
            _ if path == "info/last_cmd_status" => Some(format!("{}\n", self.1)),
            _ if path == "info/MB/bandwidth_gran" => Some(format!("{BANDWIDTH_STEP}\n")),
            _ => None,
        }
    }

    fn make(&mut self, path: &str) -> Result<(), Errno> {
        let (above, name) = parent(path).ok_or(Errno::EXIST)?;
        if self.is_directory(path) || self.read(path).is_some() {
            return Err(Errno::EXIST);
        }
        let settings = match above {
            "" => defaults(),
            _ if above.ends_with("mon_groups") => Settings::new(),
            _ => return Err(Errno::PERM),
        };
        if name.contains('\n') {
            return Err(Errno::INVAL);
        }
        self.0.insert(path.to_owned(), Group { settings, ..Group::default() });
        Ok(())
    }

    /// The processes of a group that is removed fall back to the default group.
    fn remove(&mut self, path: &str) -> Result<(), Errno> {
        if path.is_empty() || !self.0.contains_key(path) {
            return Err(Errno::PERM);
        }
        let below = format!("{path}/");
        self.0.retain(|other, _| other != path && !other.starts_with(&below));
        Ok(())
    }

    fn write(&mut self, path: &str, text: &str, writer: u32) -> Result<(), Errno> {
        let (group, file) = parent(path).ok_or(Errno::ISDIR)?;
        let written = match file {
            "tasks" => self.enter(group, text, writer),
            "schemata" => self.set(group, text),
            _ => Err(("Not to be written", Errno::ACCESS)),
        };
        self.1 = written.as_ref().map_or_else(|(what, _)| (*what).to_owned(), |()| "ok".to_owned());
        written.map_err(|(_, errno)| errno)
    }

    fn enter(&mut self, path: &str, text: &str, writer: u32) -> Result<(), (&'static str, Errno)> {
        let pid: u32 = text.trim().parse().map_err(|_| ("Task list parsing error", Errno::INVAL))?;
        let pid = if pid == 0 { writer } else { pid };
        match above_monitor(path) {
            Some(above) if !self.0.get(above).is_some_and(|above| above.tasks.contains(&pid)) => {
                return Err(("Can't move task to different control group", Errno::INVAL));
            }
            Some(_) => {}
            None => self.0.values_mut().for_each(|group| group.tasks.retain(|other| *other != pid)),
        }
        let group = self.0.get_mut(path).ok_or(("No such group", Errno::NODEV))?;
        group.tasks.insert(pid);
        Ok(())
    }

    fn set(&mut self, path: &str, text: &str) -> Result<(), (&'static str, Errno)> {
        let group = self.0.get_mut(path).ok_or(("No such group", Errno::NODEV))?;
        let lines = text.strip_suffix('\n').ok_or(("No trailing newline", Errno::INVAL))?;
        let mut settings = group.settings.clone();
        for line in lines.split('\n') {
            let (resource, domains) = line.split_once(':').ok_or(("Missing ':'", Errno::INVAL))?;
            for domain in domains.split(';') {
                let (domain, value) = domain.split_once('=').ok_or(("Missing '='", Errno::INVAL))?;
                let at = (resource.to_owned(), domain.parse().map_err(|_| ("Bad domain", Errno::INVAL))?);
                let value = value_of(resource, value).ok_or(("Mask out of range", Errno::INVAL))?;
                *settings.get_mut(&at).ok_or(("Unknown resource or domain", Errno::INVAL))? = value;
            }
        }
        group.settings = settings;
        Ok(())
    }
}

fn defaults() -> Settings {
    let domains =
        [0, 1].map(|domain| [(("L3".to_owned(), domain), MASK_MAX), (("MB".to_owned(), domain), 100)]);
    domains.into_iter().flatten().collect()
}

fn value_of(resource: &str, value: &str) -> Option<u64> {
    match resource {
        "MB" => value.parse::<u64>().ok().map(|value| value.next_multiple_of(BANDWIDTH_STEP)),
        _ => u64::from_str_radix(value, 16).ok().filter(|mask| *mask <= MASK_MAX),
    }
}

/// As the kernel prints it.
fn text(settings: &Settings) -> String {
    let line = |resource: &str| {
        let of_it = settings.iter().filter(|((name, _), _)| name == resource);
        let values = of_it.map(|((_, domain), value)| match resource {
            "MB" => format!("{domain}={value:3}"),
            _ => format!("{domain}={value:02x}"),
        });
        format!("    {resource}:{}\n", values.collect::<Vec<_>>().join(";"))
    };
    ["MB", "L3"].map(line).concat()
}

/// The group that a monitoring group is in; none for any other group.
fn above_monitor(path: &str) -> Option<&str> {
    match path.rsplit_once('/')?.0 {
        "mon_groups" => Some(""),
        groups => groups.strip_suffix("/mon_groups"),
    }
}

/// The directory of a path, and the name in it; none for the top.
fn parent(path: &str) -> Option<(&str, &str)> {
    if path.is_empty() { None } else { Some(path.rsplit_once('/').unwrap_or(("", path))) }
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Answers the kernel. Source: fuse(4), <linux/fuse.h>.
struct Server {
    device: File,
    groups: Arc<Mutex<Groups>>,
    /// The path of each node that the kernel knows, by its number less 1.
    paths: Vec<String>,
}

/// What the kernel asks: a header, and what follows it.
struct Request<'a> {
    opcode: u32,
    node: u64,
    pid: u32,
    body: &'a [u8],
}

impl Request<'_> {
    fn number(&self, at: usize) -> u32 {
        let bytes = self.body.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_ne_bytes(bytes.unwrap_or_default())
    }

    fn name(&self, at: usize) -> Option<&str> {
        std::str::from_utf8(self.body.get(at..)?.split(|byte| *byte == 0).next()?).ok()
    }
}

impl Server {
    const HEADER: usize = 40;

    /// Until the filesystem is unmounted.
    fn serve(mut self) {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(len) = self.device.read(&mut buffer) {
            let number = |at: usize| u32::from_ne_bytes(buffer[at..at + 4].try_into().expect("4 bytes"));
            let unique = u64::from_ne_bytes(buffer[8..16].try_into().expect("8 bytes"));
            let node = u64::from_ne_bytes(buffer[16..24].try_into().expect("8 bytes"));
            let request =
                Request { opcode: number(4), node, pid: number(32), body: &buffer[Self::HEADER..len] };
            let Some(answer) = self.answer(&request) else { continue };
            let (error, body) = match answer {
                Ok(body) => (0, body),
                Err(errno) => (-errno.raw_os_error(), Vec::new()),
            };
            let mut reply = Vec::with_capacity(16 + body.len());
            reply.extend((16 + body.len() as u32).to_ne_bytes());
            reply.extend(error.to_ne_bytes());
            reply.extend(unique.to_ne_bytes());
            reply.extend(body);
            // A process that was killed waits for no answer any more.
            let _ = self.device.write(&reply);
        }
    }

    /// The answer; none to a request that wants none.
    fn answer(&mut self, request: &Request) -> Option<Result<Vec<u8>, Errno>> {
        const DIRECT_IO: u32 = 1;
        let path = self.paths.get(request.node.wrapping_sub(1) as usize).cloned().unwrap_or_default();
        let groups = Arc::clone(&self.groups);
        let mut groups = groups.lock().expect("the groups");
        let below = |at: usize| {
            let name = request.name(at).ok_or(Errno::INVAL)?;
            Ok(if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") })
        };
        Some(match request.opcode {
            // FORGET, INTERRUPT, BATCH_FORGET
            2 | 36 | 42 => return None,
            // LOOKUP
            1 => below(0).and_then(|path| self.entry(&groups, path)),
            // GETATTR, SETATTR
            3 | 4 => {
                attributes(&groups, &path, request.node).map(|attributes| [vec![0; 16], attributes].concat())
            }
            // MKDIR
            9 => below(8).and_then(|path| {
                groups.make(&path)?;
                self.entry(&groups, path)
            }),
            // RMDIR
            11 => below(0).and_then(|path| groups.remove(&path)).map(|()| Vec::new()),
            // OPEN
            14 => Ok([0_u64.to_ne_bytes().as_slice(), &DIRECT_IO.to_ne_bytes(), &[0; 4]].concat()),
            // READ
            15 => groups.read(&path).ok_or(Errno::NODEV).map(|text| {
                let (offset, size) = (request.number(8) as usize, request.number(16) as usize);
                text.bytes().skip(offset).take(size).collect()
            }),
            // WRITE
            16 => {
                let data = request.body.get(40..).unwrap_or_default();
                let text = std::str::from_utf8(data).map_err(|_| Errno::INVAL);
                let written = text.and_then(|text| groups.write(&path, text, request.pid));
                written.map(|()| [(data.len() as u32).to_ne_bytes(), [0; 4]].concat())
            }
            // RELEASE, FLUSH, DESTROY
            18 | 25 | 38 => Ok(Vec::new()),
            // INIT: version 7.31, no features.
            26 => {
                let words: [u32; 16] = [7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                Ok(words.into_iter().flat_map(u32::to_ne_bytes).collect())
            }
            _ => Err(Errno::NOSYS),
        })
    }

    fn entry(&mut self, groups: &Groups, path: String) -> Result<Vec<u8>, Errno> {
        let known = self.paths.iter().position(|known| *known == path);
        let index = known.unwrap_or(self.paths.len());
        let node = index as u64 + 1;
        let attributes = attributes(groups, &path, node)?;
        if known.is_none() {
            self.paths.push(path);
        }
        // Nothing is to be remembered: groups come and go.
        Ok([node.to_ne_bytes().as_slice(), &[0; 32], &attributes].concat())
    }
}

/// The `struct fuse_attr` of what is at `path`.
fn attributes(groups: &Groups, path: &str, node: u64) -> Result<Vec<u8>, Errno> {
    let mode: u32 = if groups.is_directory(path) {
        0o040_755
    } else if groups.read(path).is_some() {
        0o100_644
    } else {
        return Err(Errno::NOENT);
    };
    let mut bytes = node.to_ne_bytes().to_vec();
    // Sizes and times.
    bytes.resize(60, 0);
    bytes.extend(mode.to_ne_bytes());
    bytes.extend(2_u32.to_ne_bytes());
    bytes.resize(88, 0);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_made_written_and_removed_as_in_resctrl() {
        if !Resctrl::possible() {
            return;
        }
        let resctrl = Resctrl::mount();
        let (top, own) = (resctrl.top(), std::process::id());
        resctrl.make("gold");
        let write =
            |file: &str, text: &str| fs::write(top.join(file), text).map_err(|err| err.raw_os_error());
        assert_eq!(resctrl.schemata("gold"), "    MB:0=100;1=100\n    L3:0=ff;1=ff\n");
        write("gold/schemata", "L3:0=0f\nMB:1=21\n").expect("write schemata");
        assert_eq!(resctrl.schemata("gold"), "    MB:0=100;1= 30\n    L3:0=0f;1=ff\n");
        assert_eq!(write("gold/schemata", "L3:0=fff\n"), Err(Some(22)));
        assert_eq!(
            fs::read_to_string(top.join("info/last_cmd_status")).expect("read"),
            "Mask out of range\n"
        );
        fs::create_dir(top.join("gold/mon_groups/one")).expect("make a monitoring group");
        assert_eq!(write("gold/mon_groups/one/tasks", &own.to_string()), Err(Some(22)));
        write("gold/tasks", &own.to_string()).expect("enter");
        write("gold/mon_groups/one/tasks", &own.to_string()).expect("enter");
        assert_eq!((resctrl.tasks("gold"), resctrl.tasks("gold/mon_groups/one")), (vec![own], vec![own]));
        assert!(fs::create_dir(top.join("gold/inner")).is_err() && fs::create_dir(top.join("info")).is_err());
        fs::remove_dir(top.join("gold")).expect("remove");
        assert_eq!(resctrl.groups(), [""; 0]);
    }
}

//! Other limits for a container's cgroup, and what they are as properties of its unit.

use super::live::Cgroup;
use super::write::{Places, perform};
use crate::error::{Error, Result, best_effort};
use crate::plan::cgroup::properties::{self, Property};
use crate::plan::cgroup::{CgroupPaths, Value, Write};
use crate::sys::cgroupfs::Dir;

impl Cgroup {
    /// Writes what [`decide_update`](crate::plan::cgroup::decide_update) has decided, and does what belongs to it. If
    /// either fails, the earlier values are restored as far as the kernel allows.
    pub fn update(&self, writes: &[Write], and: impl FnOnce() -> Result<()>) -> Result<()> {
        let open = OpenDirs::of(&self.paths, writes)?;
        let standing = open.standing(writes);
        perform(&open, writes).and_then(|()| and()).inspect_err(|_| open.restore(&standing))
    }

    /// What `writes` have changed, as it is now.
    pub fn in_force(&self, writes: &[Write]) -> Result<InForce> {
        let open = OpenDirs::of(&self.paths, writes)?;
        let writes: Vec<Write> = writes.iter().map(|write| open.in_force(write)).collect();
        let quota =
            writes.iter().find(|write| write.controller == "cpu").map(|write| open.quota_in_force(write));
        Ok(InForce { properties: properties::of_limits(writes.iter().chain(quota.iter().flatten())), writes })
    }

    /// Writes values once more that hold already, or have held.
    pub fn write_again(&self, in_force: &InForce) -> Result<()> {
        // What depends on other values, and can't be read, has had its effect.
        let fixed: Vec<Write> =
            in_force.writes.iter().filter(|write| matches!(write.value, Value::Text(_))).cloned().collect();
        perform(&OpenDirs::of(&self.paths, &fixed)?, &fixed)
    }
}

/// Limits with the values that the kernel has made of them.
pub struct InForce {
    /// The same as properties of a unit of systemd's.
    pub properties: Vec<Property>,
    writes: Vec<Write>,
}

/// The directories that an update writes into.
struct OpenDirs<'a> {
    paths: &'a CgroupPaths,
    dirs: Vec<(String, Dir)>,
}

impl<'a> OpenDirs<'a> {
    /// The directories of all `writes`.
    fn of(paths: &'a CgroupPaths, writes: &[Write]) -> Result<OpenDirs<'a>> {
        let mut open = OpenDirs { paths, dirs: Vec::new() };
        for write in writes {
            open.open(&write.controller)?;
        }
        Ok(open)
    }

    fn open(&mut self, controller: &str) -> Result<()> {
        if self.dirs.iter().all(|(name, _)| name != controller) {
            let path = self.paths.get(controller);
            let path =
                path.ok_or_else(|| Error::unsupported(format!("the container has no {controller} cgroup")))?;
            self.dirs.push((controller.to_owned(), Dir::open(path)?));
        }
        Ok(())
    }

    /// The present values of the files that `writes` go into.
    fn standing<'w>(&self, writes: &'w [Write]) -> Vec<(&'w Write, String)> {
        writes.iter().filter_map(|write| Some((write, self.read(write, &write.file)?))).collect()
    }

    fn restore(&self, standing: &[(&Write, String)]) {
        for (write, text) in standing.iter().rev() {
            // A file of several lines takes them one by one.
            for line in text.lines() {
                let restored = self.place(&write.controller).and_then(|dir| dir.write(&write.file, line));
                best_effort(restored, "not every file takes back what it says");
            }
        }
    }

    /// The write with the value that the kernel has made of it: that may depend on other values.
    fn in_force(&self, write: &Write) -> Write {
        let is_of_one_device = write.file.starts_with("io.") && matches!(write.value, Value::Text(_));
        let is_one = |text: &String| !is_of_one_device && text.lines().count() == 1;
        match self.read(write, &write.file).filter(is_one) {
            Some(text) => Write { value: Value::Text(text.trim().to_owned()), ..write.clone() },
            None => write.clone(),
        }
    }

    /// v1: the quota and its period, which are one property, whichever of the two was written.
    fn quota_in_force(&self, write: &Write) -> Vec<Write> {
        let of_file = |file: &'static str| {
            let value = Value::Text(self.read(write, file)?.trim().to_owned());
            Some(Write { file: file.into(), value, ..write.clone() })
        };
        ["cpu.cfs_quota_us", "cpu.cfs_period_us"].into_iter().filter_map(of_file).collect()
    }

    /// What a file beside that of `write` says; `None` if it can't be read.
    fn read(&self, write: &Write, file: &str) -> Option<String> {
        self.place(&write.controller).and_then(|dir| dir.read(file)).ok()
    }
}

impl Places for OpenDirs<'_> {
    fn place(&self, controller: &str) -> Result<&Dir> {
        let found = self.dirs.iter().find(|(name, _)| name == controller);
        found
            .map(|(_, dir)| dir)
            .ok_or_else(|| Error::internal(format!("the {controller} cgroup isn't open")))
    }
}

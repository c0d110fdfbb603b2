//! Counts how often a command and its descendants sleep in a kernel function, by the scheduler's events with stacks.
//!
//! A probe of the function would count its calls, but many kernels come without probes or don't allow them. Every
//! kernel that has a tracefs has the scheduler's events.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::Result;
use crate::fixture::Fixture;

/// An instance of tracefs, with a buffer of the bench's own.
pub struct Waits {
    tracefs: PathBuf,
    instance: PathBuf,
}

impl Waits {
    /// Mounts a tracefs in the thread's mount namespace and sets an instance up.
    ///
    /// Errors: where the kernel has no tracefs, or does not let it be used.
    pub fn open(fixture: &Fixture) -> Result<Waits> {
        let tracefs = fixture.dir.join("tracefs");
        fs::create_dir_all(&tracefs)?;
        mount("tracefs", &tracefs, "tracefs", MountFlags::empty(), None)
            .map_err(|error| format!("mount a tracefs: {error}"))?;
        let instance = tracefs.join("instances").join(&fixture.marker);
        let made = fs::create_dir(&instance);
        let waits = Waits { tracefs, instance };
        made.map_err(|error| format!("make an instance of tracefs: {error}"))?;
        waits.write("options/stacktrace", "1")?;
        // Processes that a followed process forks are followed, too.
        waits.write("options/event-fork", "1")?;
        waits.write("events/sched/sched_process_fork/enable", "1")?;
        // TASK_INTERRUPTIBLE and TASK_UNINTERRUPTIBLE: a process that was merely preempted doesn't wait.
        waits.write("events/sched/sched_switch/filter", "prev_state & 3")?;
        waits.write("events/sched/sched_switch/enable", "1")?;
        Ok(waits)
    }

    /// Performs `action`, and counts how often a process that this thread forked meanwhile, or a descendant of such a
    /// process, slept in the kernel's `function`.
    pub fn count<T>(&self, function: &str, action: impl FnOnce() -> Result<T>) -> Result<usize> {
        self.write("trace", "")?;
        self.write("set_event_pid", &rustix::thread::gettid().to_string())?;
        let result = action();
        self.write("set_event_pid", "")?;
        result?;
        Ok(sleeps(&fs::read_to_string(self.instance.join("trace"))?, function))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.instance.join(name), text).map_err(|error| format!("write {name}: {error}").into())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        // An error has nowhere to go here. An instance that stays traces nothing, because it follows no process.
        let _ = fs::remove_dir(&self.instance);
        let _ = unmount(&self.tracefs, UnmountFlags::DETACH);
    }
}

/// The events of a trace in which a forked process goes to sleep with the function on its stack.
///
/// The trace also has switches from other processes to a followed process. They don't count.
fn sleeps(trace: &str, function: &str) -> usize {
    let frame = format!(" => {function}");
    let mut forked = HashSet::new();
    let (mut asleep, mut count) = (false, 0);
    for line in trace.lines() {
        if let Some(child) = field(line, " child_pid=") {
            forked.insert(child);
        } else if let Some(sleeper) = field(line, " prev_pid=") {
            asleep = forked.contains(sleeper);
        } else if asleep && line == frame {
            count += 1;
        }
    }
    count
}

/// The word after `name`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(name)?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "\
# tracer: nop
  bench-10 [000] ..... 7.1: sched_process_fork: comm=bench pid=10 child_comm=bench child_pid=11
  bench-10 [000] ..... 7.1: <stack trace>
 => kernel_clone
  crun-11 [000] d..2. 7.2: sched_switch: prev_comm=crun prev_pid=11 prev_prio=120 prev_state=D ==> next_comm=x
  crun-11 [000] d..2. 7.2: <stack trace>
 => schedule
 => synchronize_rcu_expedited
 => namespace_unlock
  y-99 [000] d..2. 7.3: sched_switch: prev_comm=y prev_pid=99 prev_prio=120 prev_state=D ==> next_comm=crun
  y-99 [000] d..2. 7.3: <stack trace>
 => synchronize_rcu_expedited
  crun-11 [000] d..2. 7.4: sched_switch: prev_comm=crun prev_pid=11 prev_prio=120 prev_state=S ==> next_comm=x
  crun-11 [000] d..2. 7.4: <stack trace>
 => do_wait
";

    #[test]
    fn a_sleep_counts_if_it_is_a_descendant_s_and_in_the_function() {
        assert_eq!(sleeps(TRACE, "synchronize_rcu_expedited"), 1);
        assert_eq!(sleeps(TRACE, "do_wait"), 1);
        assert_eq!(sleeps(TRACE, "synchronize_rcu"), 0);
    }
}

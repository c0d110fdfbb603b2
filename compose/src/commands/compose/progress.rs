//! What a plan does, a line on standard error at a step's beginning and at its end, in docker compose's words.

use std::collections::BTreeSet;

use crate::apply::walk::Progress;
use crate::error;
use crate::plan::actual::Actual;
use crate::plan::graph::{Action, Plan, Step, Until};

/// Tells of a step.
pub fn tell(step: &Step, progress: Progress) {
    error::tell(line(step, progress));
}

/// Tells of the steps of a plan's restarts: of each container that it begins, and that it is done.
pub fn restarting(plan: &Plan) -> impl FnMut(&Step, Progress) {
    let stopped = plan.steps().iter().filter_map(|step| match &step.action {
        Action::Stop(target) => Some(target.name.clone()),
        _ => None,
    });
    let stopped: BTreeSet<String> = stopped.collect();
    move |step, progress| {
        line_of_restart(&stopped, step, progress).into_iter().for_each(error::tell);
    }
}

/// Tells of containers that are stopped already, as if they were stopped now: docker compose asks its daemon to.
pub fn tell_stopped(names: &[&str]) {
    for name in names {
        error::tell(format_args!(" Container {name}  Stopping"));
        error::tell(format_args!(" Container {name}  Stopped"));
    }
}

/// Tells of those containers of the services that run and that the plan of `up` leaves as they are.
pub fn tell_running(plan: &Plan, actual: &Actual, services: &BTreeSet<String>) {
    for name in running(plan, actual, services) {
        error::tell(format_args!(" Container {name}  Running"));
    }
}

fn running<'a>(plan: &Plan, actual: &'a Actual, services: &BTreeSet<String>) -> Vec<&'a str> {
    let containers = actual.containers.iter().filter(|container| {
        let is_meant = !container.one_off && services.contains(&container.service);
        is_meant && container.state.is_up() && !plan.touches(&container.name)
    });
    containers.map(|container| container.name.as_str()).collect()
}

fn line(step: &Step, progress: Progress) -> String {
    let (object, [begun, done]) = words(&step.action);
    let word = match progress {
        Progress::Begun => begun,
        Progress::Done => done,
        Progress::Skipped => "Skipped",
        Progress::Failed => "Error",
    };
    format!(" {object}  {word}")
}

/// `stopped` are the names of those that the restart stops before. None: nothing is told.
fn line_of_restart(stopped: &BTreeSet<String>, step: &Step, progress: Progress) -> Option<String> {
    match (&step.action, progress) {
        (Action::Stop(_), Progress::Done) => None,
        (Action::Start(target), Progress::Begun) if stopped.contains(&target.name) => None,
        (Action::Stop(target) | Action::Start(target), Progress::Begun) => {
            Some(format!(" Container {}  Restarting", target.name))
        }
        _ => Some(line(step, progress)),
    }
}

fn words(action: &Action) -> (String, [&'static str; 2]) {
    match action {
        Action::CreateNetwork(named) => (format!("Network {}", named.name), ["Creating", "Created"]),
        Action::RemoveNetwork(named) => (format!("Network {}", named.name), ["Removing", "Removed"]),
        Action::CreateVolume(named) => (format!("Volume {}", named.name), ["Creating", "Created"]),
        Action::RemoveVolume(named) => (format!("Volume {}", named.name), ["Removing", "Removed"]),
        Action::Create(creation) if creation.target.generation > 0 => {
            (format!("Container {}", creation.target.name), ["Recreate", "Recreated"])
        }
        Action::Create(creation) => (format!("Container {}", creation.target.name), ["Creating", "Created"]),
        Action::Start(target) => (format!("Container {}", target.name), ["Starting", "Started"]),
        Action::Kill(target, _) => (format!("Container {}", target.name), ["Killing", "Killed"]),
        Action::Pause(target) => (format!("Container {}", target.name), ["Pausing", "Paused"]),
        Action::Unpause(target) => (format!("Container {}", target.name), ["Unpausing", "Unpaused"]),
        Action::Stop(target) => (format!("Container {}", target.name), ["Stopping", "Stopped"]),
        Action::Remove(target, _) => (format!("Container {}", target.name), ["Removing", "Removed"]),
        Action::RunHook(target, ..) => (format!("Container {}", target.name), ["Running hook", "Hook done"]),
        Action::Await(target, goal) => {
            let done = match goal.until {
                Until::Healthy | Until::Ready => "Healthy",
                Until::Completed => "Exited",
            };
            (format!("Container {}", target.name), ["Waiting", done])
        }
    }
}

//! What a plan does, a line on standard error at a step's beginning and at its end, in docker compose's words.

use std::collections::BTreeSet;

use serde_json::json;

use crate::apply::walk::Progress;
use crate::cli::telling::Telling;
use crate::error;
use crate::plan::actual::Actual;
use crate::plan::graph::{Action, Plan, Step, Until};

/// Tells of a step.
pub fn tell(telling: Telling, step: &Step, progress: Progress) {
    event(telling, &Event::of(step, progress));
}

/// Tells of the steps of a plan's restarts: of each container that it begins, and that it is done.
pub fn restarting(telling: Telling, plan: &Plan) -> impl FnMut(&Step, Progress) + use<> {
    let stopped = plan.steps().iter().filter_map(|step| match &step.action {
        Action::Stop(target) => Some(target.name.clone()),
        _ => None,
    });
    let stopped: BTreeSet<String> = stopped.collect();
    move |step, progress| {
        event_of_restart(&stopped, step, progress).iter().for_each(|told| event(telling, told));
    }
}

/// Tells of containers that are stopped already, as if they were stopped now: docker compose asks its daemon to.
pub fn tell_stopped(telling: Telling, names: &[&str]) {
    for name in names {
        event(telling, &Event::working(name, "Stopping"));
        event(telling, &Event { status: "Done", ..Event::working(name, "Stopped") });
    }
}

/// Tells of those containers of the services that run and that the plan of `up` leaves as they are.
pub fn tell_running(telling: Telling, plan: &Plan, actual: &Actual, services: &BTreeSet<String>) {
    for name in running(plan, actual, services) {
        event(telling, &Event { status: "Done", ..Event::working(name, "Running") });
    }
}

/// What happens to an object, in docker compose's words.
struct Event {
    id: String,
    /// `Working`, `Done`, `Warning`, `Error`.
    status: &'static str,
    text: &'static str,
}

impl Event {
    fn working(container: &str, text: &'static str) -> Event {
        Event { id: format!("Container {container}"), status: "Working", text }
    }

    fn of(step: &Step, progress: Progress) -> Event {
        let (id, [begun, done]) = words(&step.action);
        let (status, text) = match progress {
            Progress::Begun => ("Working", begun),
            Progress::Done => ("Done", done),
            Progress::Skipped => ("Warning", "Skipped"),
            Progress::InUse => ("Warning", "Resource is still in use"),
            Progress::Failed => ("Error", "Error"),
        };
        Event { id, status, text }
    }
}

fn event(telling: Telling, Event { id, status, text }: &Event) {
    match telling {
        Telling::Lines => error::tell(format_args!(" {id}  {text}")),
        Telling::Json => error::tell(json!({ "id": id, "status": status, "text": text })),
        Telling::Quiet => {}
    }
}

fn running<'a>(plan: &Plan, actual: &'a Actual, services: &BTreeSet<String>) -> Vec<&'a str> {
    let containers = actual.containers.iter().filter(|container| {
        let is_meant = !container.one_off && services.contains(&container.service);
        is_meant && container.state.is_up() && !plan.touches(&container.name)
    });
    containers.map(|container| container.name.as_str()).collect()
}

/// `stopped` are the names of those that the restart stops before. None: nothing is told.
fn event_of_restart(stopped: &BTreeSet<String>, step: &Step, progress: Progress) -> Option<Event> {
    match (&step.action, progress) {
        (Action::Stop(_), Progress::Done) => None,
        (Action::Start(target), Progress::Begun) if stopped.contains(&target.name) => None,
        (Action::Stop(target) | Action::Start(target), Progress::Begun) => {
            Some(Event::working(&target.name, "Restarting"))
        }
        _ => Some(Event::of(step, progress)),
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

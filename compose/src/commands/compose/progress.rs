//! What a plan does, a line on standard error at a step's beginning and at its end, in docker compose's words.

use crate::apply::walk::Progress;
use crate::model::values::Condition;
use crate::plan::graph::{Action, Step};

/// Tells of a step.
pub fn tell(step: &Step, progress: Progress) {
    let (object, [begun, done]) = words(&step.action);
    match progress {
        Progress::Begun => eprintln!(" {object}  {begun}"),
        Progress::Done => eprintln!(" {object}  {done}"),
        Progress::Failed => eprintln!(" {object}  Error"),
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
        Action::Await(target, condition) => {
            let done = match condition {
                Condition::Started => "Running",
                Condition::Healthy => "Healthy",
                Condition::CompletedSuccessfully => "Exited",
            };
            (format!("Container {}", target.name), ["Waiting", done])
        }
    }
}

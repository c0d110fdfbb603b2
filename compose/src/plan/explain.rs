//! A plan in words, for `--dry-run` and for tests: a line a step, with what it waits for and why it is taken.

use super::graph::{Action, AnonymousVolumes, Plan, Turn, Until};

/// The plan, a line a step. Steps count from 1.
pub fn explain(plan: &Plan) -> String {
    let mut text = String::new();
    for (index, step) in plan.steps().iter().enumerate() {
        let after: Vec<String> = step.after.iter().map(|step| (step.index() + 1).to_string()).collect();
        let after = if after.is_empty() { String::new() } else { format!(" after {}", after.join(", ")) };
        text += &format!("{:>3}  {}{after}  ({})\n", index + 1, action(&step.action), step.cause);
    }
    for warning in &plan.warnings {
        text += &format!("warning: {warning}\n");
    }
    text
}

/// What a step does, in words.
pub fn action(action: &Action) -> String {
    match action {
        Action::CreateNetwork(network) => format!("create network {}", network.name),
        Action::RemoveNetwork(network) => format!("remove network {}", network.name),
        Action::CreateVolume(volume) => format!("create volume {}", volume.name),
        Action::RemoveVolume(volume) => format!("remove volume {}", volume.name),
        Action::Create(creation) => {
            let volumes =
                creation.anonymous_volumes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let with =
                if volumes.is_empty() { String::new() } else { format!(" with the volume of {volumes}") };
            format!("create {}{with}", creation.target.name)
        }
        Action::Start(target) => format!("start {}", target.name),
        Action::Await(target, goal) => {
            let state = match goal.until {
                Until::Healthy => "is healthy",
                Until::Ready => "is ready",
                Until::Completed => "has completed",
            };
            let or = if goal.required { "" } else { " or can't be" };
            format!("wait until {} {state}{or}", target.name)
        }
        Action::RunHook(target, turn, index) => {
            let turn = match turn {
                Turn::PreStart => "pre_start",
                Turn::PostStart => "post_start",
                Turn::PreStop => "pre_stop",
            };
            format!("run {turn}[{index}] of {}", target.name)
        }
        Action::Kill(target, signal) => format!("send {signal} to {}", target.name),
        Action::Pause(target) => format!("freeze {}", target.name),
        Action::Unpause(target) => format!("let {} go on", target.name),
        Action::Stop(target) => format!("stop {}", target.name),
        Action::Remove(target, volumes) => {
            let with = match volumes {
                AnonymousVolumes::Keep => "",
                AnonymousVolumes::Remove => " with its anonymous volumes",
            };
            format!("remove {}{with}", target.name)
        }
    }
}

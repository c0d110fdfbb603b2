//! `plan`: what creating a container would do, and why. Nothing is done.

use std::fmt::Write;

use super::{Invocation, create, print};
use crate::cli::{CreateArgs, PlanArgs};
use crate::error::{Context, Result};
use crate::spec::Spec;

/// Prints the plan of a bundle.
pub fn run(invocation: &Invocation, args: PlanArgs) -> Result<u8> {
    let steps = args.steps;
    let args = CreateArgs {
        id: args.id,
        bundle: args.bundle,
        config: None,
        console_socket: None,
        pid_file: None,
        pidfd_socket: None,
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        preserve_fds: 0,
    };
    let spec = Spec::load(&create::read_config(&args)?).doing("config.json")?;
    let plan = create::decide(invocation, &spec, &args, create::Then::Wait, false)?;
    if !steps {
        return print(plan.explain()).map(|()| 0);
    }
    let mut names = String::new();
    let mut before = None;
    for stage in plan.steps.iter().map(|step| step.stage()) {
        if before.replace(stage) != Some(stage) {
            let _infallible = writeln!(names, "{}", stage.name());
        }
    }
    print(names).map(|()| 0)
}

//! `plan`: what creating a container would do, and why. Nothing is done.

use super::{Invocation, print};
use crate::cli::PlanArgs;
use crate::container::{Bundle, CreateOptions};
use crate::error::Result;

/// Prints the plan of a bundle.
pub(super) fn run(invocation: &Invocation, args: PlanArgs) -> Result<u8> {
    let bundle = Bundle::load(&args.bundle, None)?;
    let options = CreateOptions {
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        ..invocation.options_for(&args.id)?
    };
    let planned = bundle.plan(&args.id, options)?;
    print(if args.steps {
        planned.step_names().iter().map(|name| format!("{name}\n")).collect()
    } else {
        planned.explain()
    })?;
    Ok(0)
}

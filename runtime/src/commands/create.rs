//! `create`: makes a container, which waits for `start`.

use super::Invocation;
use crate::apply::foreground::Signals;
use crate::cli::CreateArgs;
use crate::container::{Bundle, Console, CreateOptions, NewContainer, Tracer};
use crate::error::Result;

/// Creates a container.
///
/// Process-wide effects: the signals that end this process are blocked.
pub(super) fn run(invocation: &Invocation, args: CreateArgs) -> Result<u8> {
    let _signals = Signals::collect_ending()?;
    let console = args.console_socket.clone().map_or(Console::Nobody, Console::Socket);
    create(invocation, args, Then::Wait, console).map(|_| 0)
}

/// What comes after a container is created.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It waits for `start`.
    Wait,
    /// It is started at once.
    Start,
}

/// Loads, plans and creates the container that `args` describe.
pub(super) fn create(
    invocation: &Invocation,
    args: CreateArgs,
    then: Then,
    console: Console,
) -> Result<NewContainer> {
    let tracer = Tracer::to(invocation.global.trace.as_deref())?;
    let bundle = Bundle::load(&args.bundle, args.config.as_deref())?;
    invocation.report.warnings(bundle.warnings());
    let options = CreateOptions {
        console,
        pid_file: args.pid_file,
        pidfd_socket: args.pidfd_socket,
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        start_at_once: then == Then::Start,
        preserve_fds: args.preserve_fds,
        tracer,
        ..invocation.options_for(&args.id)?
    };
    let planned = bundle.plan(&args.id, options)?;
    invocation.report.warnings(planned.warnings());
    invocation.report.debug(|| planned.explain());
    invocation.runtime()?.create(planned, invocation.process()?)
}

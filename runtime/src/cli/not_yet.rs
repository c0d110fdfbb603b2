//! `checkpoint` and `restore`: known by name, so that a caller is told what is missing.

use super::Args;
use super::low::LowArgs;
use crate::error::{Error, Result};

/// The arguments of a command that isn't there yet. The type has no value, so the command can't be carried out.
#[derive(Debug)]
pub enum NotYet {}

pub(super) fn checkpoint(table: clap::Command) -> clap::Command {
    table.about("Write a running container to disk (not supported yet)")
}

pub(super) fn restore(table: clap::Command) -> clap::Command {
    table.about("Run a container from what checkpoint wrote (not supported yet)")
}

impl Args for NotYet {
    fn read(_: &mut LowArgs) -> Result<NotYet> {
        Err(Error::unsupported("not supported yet"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, printed};

    #[test]
    fn whatever_flags_there_are_the_command_is_refused_by_name() {
        assert_eq!(error("checkpoint --image-path x c1"), "checkpoint: not supported yet");
        assert_eq!(error("restore"), "restore: not supported yet");
        assert!(printed("checkpoint --image-path x --help").starts_with("NAME:\n   corten checkpoint"));
    }
}

//! The `corten` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    corten::commands::main(std::env::args_os()).into()
}

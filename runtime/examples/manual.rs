//! Writes the man pages and the completions of `corten`, from the tables that the command line is checked against.
//!
//! `make install` runs it: `cargo run -p corten --example manual -- DIR` writes below DIR, as an installation has it
//! below `$(PREFIX)/share`. It is no part of the binary, which would carry the two generators into every start.

use std::fs;
use std::io::{Error, Result};
use std::path::Path;

use clap_complete::{Shell, generate_to};
use corten::internals::cli::{NAME, all_commands};

fn main() -> Result<()> {
    let Some(share) = std::env::args_os().nth(1) else {
        return Err(Error::other("usage: manual DIR"));
    };
    let share = Path::new(&share);
    write_man_pages(&share.join("man/man1"))?;
    write_completions(Shell::Bash, &share.join("bash-completion/completions"))?;
    write_completions(Shell::Zsh, &share.join("zsh/site-functions"))?;
    write_completions(Shell::Fish, &share.join("fish/vendor_completions.d"))
}

/// One page for the program, and one for each command: `corten.1`, `corten-create.1` and so on.
fn write_man_pages(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(all_commands(), dir)
}

fn write_completions(shell: Shell, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    generate_to(shell, &mut all_commands(), NAME, dir)?;
    Ok(())
}

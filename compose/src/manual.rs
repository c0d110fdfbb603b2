//! Writes the man pages and the completions of both names, from the tables that the command lines are checked against.
//!
//! Only with the feature `manual`, which `make install` asks for: the program itself carries no generator.

use std::fs;
use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate_to};

use crate::cli;
use crate::error::{Context, Result};

/// Where each shell looks below an installation's `share`.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

/// Writes all of them below `share`, as an installation has it.
pub fn write(share: &Path) -> Result<()> {
    for tree in [cli::compose::command, cli::docker::tree] {
        let pages = share.join("man/man1");
        fs::create_dir_all(&pages).at(pages.display())?;
        clap_mangen::generate_to(tree(), &pages).at(pages.display())?;
        for (shell, below) in COMPLETIONS {
            completion(tree(), shell, &share.join(below))?;
        }
    }
    Ok(())
}

fn completion(mut tree: Command, shell: Shell, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).at(dir.display())?;
    let name = tree.get_name().to_owned();
    generate_to(shell, &mut tree, name, dir).at(dir.display()).map(drop)
}

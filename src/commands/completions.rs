//! `gatefold completions`: what a shell needs to complete what is typed, names of the project among it.
//!
//! The script that a shell reads asks this program at every TAB, so that jobs, tags and tables are those of the project that
//! the line names, and a new version completes its own flags.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, ValueEnum};
use clap_complete::CompleteEnv;
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::cli::Cli;
use crate::error::{Error, Result};

/// Set by the script of a shell when it asks; one of our own, so that no other program's is taken for it.
const VARIABLE: &str = "GATEFOLD_COMPLETE";
const NAME: &str = "gatefold";
const BASH: &str = include_str!("completions/bash.sh");

const EXAMPLES: &str = "\
Examples:
  gatefold completions bash                          # into ~/.bashrc: source <(gatefold completions bash)
  gatefold completions zsh                           # into ~/.zshrc: source <(gatefold completions zsh)
  gatefold completions fish > ~/.config/fish/completions/gatefold.fish

Load it at the start of a shell: the script asks the program, and both change together.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The shell that is to read it.
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

pub fn exec(args: &Args) -> Result<u8> {
    let text = script(args.shell, &completer())
        .map_err(|error| Error::internal("failed to write the script").source(error))?;
    println!("{}", text.trim());
    Ok(0)
}

/// Answers a shell that asks, and ends the process then. To be called before anything else is.
pub fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

fn script(shell: Shell, completer: &str) -> std::io::Result<String> {
    let builtin: &dyn EnvCompleter = match shell {
        Shell::Bash => {
            let quoted = format!("'{}'", completer.replace('\'', r"'\''"));
            return Ok(BASH.replace("@VARIABLE@", VARIABLE).replace("@COMPLETER@", &quoted));
        }
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Zsh => &Zsh,
    };
    let mut text = Vec::new();
    builtin.write_registration(VARIABLE, NAME, NAME, completer, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// This program as it was called: by its name, or by its path when it is not among the programs of the shell.
fn completer() -> String {
    let called = std::env::args_os().next().map_or_else(|| PathBuf::from(NAME), PathBuf::from);
    let path = match called.components().count() {
        1 => called,
        _ => std::path::absolute(&called).unwrap_or(called),
    };
    Path::new(&path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_asks_the_program() {
        for shell in Shell::value_variants() {
            let text = script(*shell, "/opt/my tools/gatefold").unwrap();
            assert!(text.contains(VARIABLE) && text.contains("/opt/my tools/gatefold"), "{shell:?}:\n{text}");
            assert!(*shell != Shell::Bash || !text.contains("@COMPLETER@"), "{text}");
        }
    }
}

//! `uturn completions`: what a shell needs to complete commands and options.

use std::io::{self, Write, stdout};
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{FAILED, FINE, complain};

/// Print the completions of commands and options for a shell
///
/// They are for the version that prints them: print them anew after an upgrade.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

const HELP: &str = "\
Examples:
  uturn completions bash > /etc/bash_completion.d/uturn
  uturn completions zsh > /usr/local/share/zsh/site-functions/_uturn
  uturn completions fish > ~/.config/fish/completions/uturn.fish";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match print(arguments.shell) {
        Ok(()) => FINE.into(),
        Err(error) => {
            complain(&format!("cannot print the completions: {error}"));
            FAILED.into()
        }
    }
}

fn print(shell: Shell) -> io::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut super::Arguments::command(), "uturn", &mut text);
    let mut out = stdout().lock();
    out.write_all(&text)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_of_every_command() {
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::Elvish,
            Shell::PowerShell,
        ] {
            let (mut command, mut text) = (crate::cli::Arguments::command(), Vec::new());
            clap_complete::generate(shell, &mut command, "uturn", &mut text);
            let text = String::from_utf8(text).unwrap();
            for command in command.get_subcommands() {
                assert!(
                    text.contains(command.get_name()),
                    "{shell}: {}",
                    command.get_name()
                );
            }
        }
    }
}

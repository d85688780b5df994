//! `uturn man`: the manual pages, one for the program and one for each command.

use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory;

use super::{FAILED, FINE, complain};

/// Write the manual pages, one for each command
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The folder that they are written to; without it the page of the program is printed
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

const HELP: &str = "\
Examples:
  uturn man | man -l -                     read the page of the program
  uturn man /usr/local/share/man/man1      install them all; then: man uturn-serve";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let written = match &arguments.folder {
        None => print().map_err(|error| format!("cannot print the manual page: {error}")),
        Some(folder) => write_all(folder)
            .map_err(|error| format!("cannot write manual pages to {}: {error}", folder.display())),
    };
    match written {
        Ok(()) => FINE.into(),
        Err(sentence) => {
            complain(&sentence);
            FAILED.into()
        }
    }
}

fn print() -> io::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(super::Arguments::command()).render(&mut page)?;
    let mut out = stdout().lock();
    out.write_all(&page)?;
    out.flush()
}

/// `uturn.1`, `uturn-serve.1` and so on.
fn write_all(folder: &Path) -> io::Result<()> {
    // A page about `help` would say nothing that the others do not.
    let command = super::Arguments::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_that_says_what_it_does() {
        let folder = std::env::temp_dir().join(format!("uturn-man-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let written = write_all(&folder);
        let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let pages: Vec<_> = crate::cli::Arguments::command()
            .get_subcommands()
            .map(|command| {
                (
                    command.get_name().to_owned(),
                    page(&format!("uturn-{}.1", command.get_name())),
                )
            })
            .collect();
        let (program, help) = (page("uturn.1"), folder.join("uturn-help.1").exists());
        std::fs::remove_dir_all(&folder).unwrap();
        written.unwrap();
        assert!(program.contains("import\\-coturn") && !help);
        for (name, page) in pages {
            assert!(
                page.starts_with(".ie") && page.contains(".SH SYNOPSIS"),
                "{name}: {page}"
            );
        }
    }
}

//! `uturn check`: says what is wrong with a configuration, or what it would serve.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{FAILED, FINE, count, refuse, show, summary};
use crate::config;

/// Check a configuration without serving it
///
/// Shows every problem at once, each with its line and with what to write instead. Files, certificates,
/// environment variables and this host's addresses are looked at; no port is opened.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// The configuration file (TOML)
    #[arg(value_name = "FILE", env = "UTURN_CONFIG", default_value = super::DEFAULT_FILE)]
    file: PathBuf,
}

const HELP: &str = "\
Examples:
  uturn check /etc/uturn/uturn.toml
  sudo -u uturn uturn check            as the user who has to read the files

Exit codes:
  0  it can be served; warnings may have been shown
  1  it has errors
  2  wrong usage";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let file = arguments.file.display();
    match config::load(&arguments.file) {
        Ok(loaded) => {
            show(&loaded.warnings);
            let warnings = match loaded.warnings.warnings() {
                0 => String::new(),
                number => format!(", with {}", count(number, "warning")),
            };
            println!("{file} is fine{warnings}. It serves:\n");
            print!("{}", summary::of(&loaded.checked));
            FINE.into()
        }
        Err(report) => {
            refuse(&arguments.file, &report, "");
            FAILED.into()
        }
    }
}

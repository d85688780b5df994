//! `uturn top`: the sessions of a running server, live in the terminal.
//!
//! What is shown is a pure value: [`state::State`] is told of keys, of the server's answers and of the time, and says what to ask
//! for; [`screen::draw`] draws it. [`shell`] alone knows the terminal, threads and clocks. Start at [`state::State::update`].

mod columns;
mod detail;
mod filter;
mod screen;
mod shell;
mod snapshot;
mod state;
mod text;

#[cfg(test)]
mod tests;

use std::io::{IsTerminal, Write, stderr, stdin, stdout};
use std::process::ExitCode;
use std::time::Duration;

use super::load::values::duration;
use super::operator::{Which, failed};
use super::{BAD_CONFIGURATION, FAILED, FINE, complain};

/// Watch the sessions of a running server
///
/// A table of all sessions with their rates, the busiest first, and the server's own figures above it; asked for anew every
/// second. Sessions can be looked at one by one, and ended. `?` shows the keys.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Arguments {
    /// How often the server is asked, such as 2s; a second at least
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = every)]
    every: Duration,

    #[command(flatten)]
    which: Which,
}

/// Reads how often the server is asked.
fn every(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    match every < Duration::from_secs(1) {
        true => Err("the server is asked once a second at most".to_owned()),
        false => Ok(every),
    }
}

const HELP: &str = "\
UP is from a client to its peers, DOWN from peers to the client; both count data without headers.
Up to 20,000 sessions are shown, and the header says when there are more.

Examples:
  uturn top
  uturn top --every 5s
  uturn top --url https://turn.example.org:9642 --token-file token

Exit codes:
  0  ended by `q` or a signal
  1  the server cannot be asked, or the terminal has failed
  2  wrong usage, or no terminal: `uturn sessions` shows the same once";

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match watch(arguments) {
        Ok(()) => FINE.into(),
        Err(code) => code.into(),
    }
}

fn watch(arguments: &Arguments) -> Result<(), u8> {
    let client = arguments.which.client()?;
    if let Some(lacking) = lacking_terminal() {
        complain(&format!(
            "top draws on a terminal, and {lacking}: `uturn sessions` prints the same once"
        ));
        return Err(BAD_CONFIGURATION);
    }
    // A wrong socket or token is told where it can be read and copied, not on a screen of its own.
    client.server().map_err(|error| failed(&error))?;
    shell::run(&client, arguments.every).map_err(|error| {
        // A terminal that is gone takes standard error along.
        let _ = writeln!(stderr(), "uturn: {error}");
        FAILED
    })
}

/// Why nothing can be drawn.
fn lacking_terminal() -> Option<&'static str> {
    if !stdout().is_terminal() {
        return Some("standard output is none");
    }
    if !stdin().is_terminal() {
        return Some("standard input is none");
    }
    match std::env::var("TERM").as_deref() {
        Ok("dumb") => Some("TERM says that this one cannot move its cursor (dumb)"),
        _ => None,
    }
}

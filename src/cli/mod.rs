//! The command line: one file per command, `service` for what `serve` and `dev` have in common.

mod check;
mod completions;
mod credential;
mod dev;
mod dns;
mod doctor;
mod explain;
mod import_coturn;
mod kick;
mod load;
mod logging;
mod man;
mod operator;
mod probe;
mod serve;
mod service;
mod sessions;
mod summary;
mod token;
mod top;
mod trace;

use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::auth;
use crate::config::Report;
use crate::net::Relay;

/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::ImportCoturn(arguments) => import_coturn::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Dns(arguments) => dns::run(&arguments),
        Command::Credential(arguments) => credential::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Top(arguments) => top::run(&arguments),
        Command::Sessions(arguments) => sessions::run(&arguments),
        Command::Kick(arguments) => kick::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Load(arguments) => load::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// A STUN/TURN server for public hosts.
///
/// Relays WebRTC traffic for clients that no direct path connects, and issues the time-limited credentials
/// that they need.
#[derive(Parser)]
#[command(version, subcommand_required = true, arg_required_else_help = true, after_help = HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Dev(dev::Arguments),
    Check(check::Arguments),
    ImportCoturn(import_coturn::Arguments),
    Doctor(doctor::Arguments),
    Explain(explain::Arguments),
    Dns(dns::Arguments),
    Credential(credential::Arguments),
    Token(token::Arguments),
    Top(top::Arguments),
    Sessions(sessions::Arguments),
    Kick(kick::Arguments),
    Trace(trace::Arguments),
    Probe(Box<probe::Arguments>),
    Load(Box<load::Arguments>),
    Man(man::Arguments),
    Completions(completions::Arguments),
}

/// Which configuration file is read.
#[derive(Args)]
struct ConfigFile {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "UTURN_CONFIG", default_value = DEFAULT_FILE)]
    config: PathBuf,
}

/// Something ended well.
const FINE: u8 = 0;
/// Something failed while it ran.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const BAD_CONFIGURATION: u8 = 2;

const DEFAULT_FILE: &str = "/etc/uturn/uturn.toml";

const HELP: &str = "\
First steps:
  uturn dev                            try it on this machine, without any configuration
  uturn check /etc/uturn/uturn.toml    see what is wrong with a configuration
  uturn import-coturn                  make a configuration out of /etc/turnserver.conf
  uturn doctor                         see what is wrong with this host for it, and what mends it
  uturn serve                          serve clients with /etc/uturn/uturn.toml
  uturn probe turn.example.org         find out how a server can be reached, and what is wrong with it
  uturn sessions                       see who is served by the server on this host
  uturn top                            the same, live

`uturn help COMMAND` explains a command, with examples.

Exit codes:
  0  fine
  1  failed while running, such as a port in use; `check`: the configuration has errors;
     `probe`, `doctor`: something is wrong; `sessions`, `top`, `kick`, `trace`: no answer, or no such session
  2  wrong usage or a wrong configuration; nothing was started";

/// The credentials of a realm, or of the default one.
fn auth_of(relay: Relay, realm: Option<&str>, file: &Path) -> Result<auth::Settings, u8> {
    let Some(name) = realm else {
        return Ok(relay.auth);
    };
    let mut all =
        std::iter::once(relay.auth).chain(relay.realms.into_iter().map(|realm| realm.auth));
    all.find(|auth| auth.realm == name).ok_or_else(|| {
        complain(&format!("{} has no realm `{name}`", file.display()));
        BAD_CONFIGURATION
    })
}

/// Where the credentials of a realm stand.
fn table_of(realm: Option<&str>) -> String {
    match realm {
        None => "[auth]".to_owned(),
        Some(name) => format!("the realm `{name}`"),
    }
}

/// Shows the problems of a configuration on standard error.
fn show(report: &Report) {
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", report.render(colour));
}

/// Shows why a configuration is refused, and with what `consequence`.
fn refuse(file: &Path, report: &Report, consequence: &str) {
    show(report);
    if report.is_unread() {
        return;
    }
    let errors = count(report.errors(), "error");
    let found = match report.warnings() {
        0 => errors,
        warnings => format!("{errors} and {}", count(warnings, "warning")),
    };
    complain(&format!("{} has {found}{consequence}", file.display()));
}

/// Says on standard error why the program ends, in one sentence.
fn complain(sentence: &str) {
    eprintln!("uturn: {sentence}");
}

/// `1 error`, `2 errors`.
fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

//! The command line, from what was asked to the exit code.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use serde_json::json;

use super::rounds::{Rounds, cells};
use super::rows::{Section, sections};
use super::server::{Binaries, Cores, Server, Servers};
use super::{document, floor, machine, namespace, process, table};

/// Compares this server with Debian's coturn, on this machine and in a network namespace of its own
///
/// Each row is measured in rounds: uturn, coturn, and the next row. Ratios are of neighbouring runs; their median and their
/// spread are told. Takes two cores that have nothing else to do; all rows take about five minutes a round.
#[derive(Parser)]
#[command(name = "vs_coturn", bin_name = "cargo bench --bench vs_coturn --", after_help = HELP)]
pub struct Options {
    /// How often every row is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// How long each run sends
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    seconds: Duration,

    /// Only the rows whose names contain this; may be repeated
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    /// Show the names of the rows, and measure nothing
    #[arg(long)]
    list: bool,

    /// Another uturn to be measured; the generator stays this one
    #[arg(long, value_name = "PATH")]
    uturn: Option<PathBuf>,

    /// Put the table into PERFORMANCE.md: all of it, or none
    #[arg(long, conflicts_with = "only")]
    write: bool,

    /// Write rows and runs as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Be the third server, at this port of 127.0.0.1
    #[arg(long, hide = true, value_name = "PORT")]
    floor: Option<u16>,

    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// What to type to measure the same again, wherever the results went.
    fn command(&self) -> String {
        let (rounds, seconds) = (self.rounds, self.seconds.as_secs_f64());
        let mut command =
            format!("cargo bench --bench vs_coturn -- --rounds {rounds} --seconds {seconds}");
        for text in &self.only {
            command += &format!(" --only '{text}'");
        }
        if let Some(uturn) = &self.uturn {
            command += &format!(" --uturn {}", uturn.display());
        }
        command
    }
}

const HELP: &str = "\
Exit codes:
  0  every row has been measured
  1  a run failed, or it was stopped; what was measured is shown
  2  it cannot run here, or wrong usage";

/// Why nothing can be measured, in one sentence.
#[derive(Debug)]
pub struct CannotRun(pub String);

impl From<String> for CannotRun {
    fn from(sentence: String) -> Self {
        Self(sentence)
    }
}

pub fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(code) => code,
        Err(CannotRun(sentence)) => {
            eprintln!("vs_coturn: {sentence}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, CannotRun> {
    if let Some(port) = options.floor {
        return floor::run(port)
            .map(|never| match never {})
            .map_err(|error| CannotRun(format!("the floor: {error}")));
    }
    let sections = chosen(&options.only)?;
    if options.list {
        for row in sections.iter().flat_map(|section| &section.rows) {
            println!("{}", row.name);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let wanted = cells(&sections);
    let needs_coturn = wanted
        .iter()
        .any(|cell| cell.servers.contains(&Server::Coturn));
    let binaries = Binaries::find(options.uturn.as_deref(), needs_coturn)?;
    let cores = Cores::find()?;
    namespace::enter()?;
    process::end_children_on_signal();
    let mut servers = Servers::new(binaries, cores)?;
    let mut rounds = Rounds::new(wanted, options.seconds);
    for round in 1..=options.rounds {
        rounds.run(round, options.rounds, &mut servers);
        if process::is_stopped() {
            break;
        }
    }
    show(options, &sections, &rounds, &servers)
}

/// The rows that are asked for; asking for none that exists is an error.
fn chosen(only: &[String]) -> Result<Vec<Section>, CannotRun> {
    let mut sections = sections();
    if !only.is_empty() {
        for section in &mut sections {
            section
                .rows
                .retain(|row| only.iter().any(|text| row.name.contains(text)));
        }
        sections.retain(|section| !section.rows.is_empty());
    }
    match sections.is_empty() {
        true => Err(CannotRun(format!(
            "no row's name contains {}: --list shows them",
            only.join(" or ")
        ))),
        false => Ok(sections),
    }
}

/// Shows and keeps what has been measured.
fn show(
    options: &Options,
    sections: &[Section],
    rounds: &Rounds,
    servers: &Servers,
) -> Result<ExitCode, CannotRun> {
    let results = rounds.results();
    let tables = table::render(sections, results);
    let about = machine::describe(
        servers.binaries(),
        options.rounds,
        options.seconds,
        &options.command(),
    );
    println!("{about}\n\n{tables}");
    if let Some(file) = &options.json {
        let report = json!({
            "about": about,
            "rows": table::summaries(sections, results),
            "runs": results.runs(),
        });
        fs::write(file, format!("{report:#}\n"))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    for failure in rounds.failures() {
        eprintln!("vs_coturn: {failure}");
    }
    let is_whole = sections
        .iter()
        .flat_map(|section| &section.rows)
        .all(|row| row.is_measured(results));
    if !is_whole || !rounds.failures().is_empty() || process::is_stopped() {
        return Ok(ExitCode::FAILURE);
    }
    if options.write {
        document::write(&format!("{about}\n\n{tables}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "it is a number of seconds, such as 0.5")?;
    match seconds {
        0.05..=600.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("it is between 0.05 and 600".to_owned()),
    }
}

//! The command line, from what was asked to the exit code.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use serde_json::{Value, json};

use super::coturn::Coturn;
use super::document::{self, Document, Verdicts};
use super::rows::{Row, Rows};
use super::suite::{self, Run, Test};
use super::verdict::{Outcome, Verdict};
use super::{namespace, process};

/// Runs the tests of each row of CONFORMANCE.md, against this server and against Debian's coturn
///
/// Each test is run by itself, in a network namespace. All rows take about four minutes.
#[derive(Parser)]
#[command(name = "conformance", bin_name = "cargo run --example conformance --", after_help = HELP)]
struct Options {
    /// Only the rows whose ids contain this; may be repeated
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,

    /// Show the rows, and run nothing
    #[arg(long)]
    list: bool,

    /// Run nothing against coturn
    #[arg(long)]
    without_coturn: bool,

    /// Write CONFORMANCE.md: all of it, or none
    #[arg(long, conflicts_with_all = ["only", "without_coturn"])]
    write: bool,

    /// Fail if CONFORMANCE.md says anything else of a row that is run
    #[arg(long, conflicts_with = "write")]
    check: bool,

    /// Write what became of each test as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const HELP: &str = "\
Exit codes:
  0  every row has been judged
  1  a row of this server failed, or CONFORMANCE.md says something else (--check)
  2  it cannot run here, or wrong usage";

/// Why nothing can be said, in one sentence.
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
            eprintln!("conformance: {sentence}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, CannotRun> {
    let rows = Rows::read()?;
    let chosen = chosen(&rows, &options.only)?;
    if options.list {
        for row in chosen {
            println!("{}  {:6}  {}", row.id, row.tier, row.requirement);
        }
        return Ok(ExitCode::SUCCESS);
    }
    namespace::enter()?;
    process::end_children_on_signal();
    let coturn = match options.without_coturn {
        true => None,
        false => Some(Coturn::find()?),
    };
    let tests = suite::find()?;
    let mut judged = Vec::new();
    for row in chosen {
        let judgement = Judgement::of(row, &tests, coturn.as_ref())?;
        println!("{judgement}");
        judged.push(judgement);
    }
    conclude(options, &rows, &judged, coturn.as_ref())
}

/// The rows that are asked for; asking for none that exists is an error.
fn chosen<'r>(rows: &'r Rows, only: &[String]) -> Result<Vec<&'r Row>, CannotRun> {
    let is_chosen = |row: &&Row| only.is_empty() || only.iter().any(|text| row.id.contains(text));
    let chosen: Vec<_> = rows.all().filter(is_chosen).collect();
    match chosen.is_empty() {
        true => Err(CannotRun(format!(
            "no row's id contains {}: --list shows them",
            only.join(" or ")
        ))),
        false => Ok(chosen),
    }
}

/// A row, and what became of its tests.
struct Judgement<'a> {
    row: &'a Row,
    uturn: Vec<(&'a Test, Outcome)>,
    /// `None` where it was not to be run.
    coturn: Option<Vec<(&'a Test, Outcome)>>,
}

impl<'a> Judgement<'a> {
    fn of(row: &'a Row, tests: &'a [Test], coturn: Option<&Coturn>) -> Result<Self, CannotRun> {
        let tests: Vec<_> = tests.iter().filter(|test| test.id == row.id).collect();
        let run = |judge: &dyn Fn(&Test) -> Result<Outcome, CannotRun>| {
            let outcomes = tests.iter().map(|test| Ok((*test, judge(test)?)));
            outcomes.collect::<Result<Vec<_>, CannotRun>>()
        };
        Ok(Self {
            row,
            uturn: run(&outcome)?,
            coturn: match coturn {
                Some(coturn) => Some(run(&|test| coturn.outcome(test))?),
                None => None,
            },
        })
    }

    fn uturn_verdict(&self) -> Verdict {
        match &self.row.untested {
            Some(reason) => Verdict::NotRun(reason.clone()),
            None => Verdict::of(self.uturn.iter().map(|(_, outcome)| outcome)),
        }
    }

    fn coturn_verdict(&self) -> Option<Verdict> {
        let outcomes = self.coturn.as_ref()?;
        Some(Verdict::of(outcomes.iter().map(|(_, outcome)| outcome)))
    }

    fn json(&self) -> Value {
        json!({
            "row": self.row.id,
            "uturn": {"verdict": self.uturn_verdict().to_string(), "tests": outcomes_json(&self.uturn)},
            "coturn": self.coturn.as_ref().map(|outcomes| json!({
                "verdict": self.coturn_verdict().map(|verdict| verdict.to_string()),
                "tests": outcomes_json(outcomes),
            })),
        })
    }
}

/// Verdicts, and what each test that failed complained of.
impl std::fmt::Display for Judgement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}  uturn: {}", self.row.id, self.uturn_verdict())?;
        if let Some(verdict) = self.coturn_verdict() {
            write!(f, ", coturn: {verdict}")?;
        }
        for (test, outcome) in self.uturn.iter().chain(self.coturn.iter().flatten()) {
            if let Outcome::Failed(why) = outcome {
                write!(f, "\n        {}: {why}", test.short_name())?;
            }
        }
        Ok(())
    }
}

/// What becomes of a test against this server.
fn outcome(test: &Test) -> Result<Outcome, CannotRun> {
    let log = env::temp_dir().join(format!("uturn-conformance-{}.log", std::process::id()));
    let run = test.run(&[], &log);
    // It may not have got as far as writing it.
    let _ = fs::remove_file(log);
    Ok(match run? {
        Run::Passed => Outcome::Passed,
        Run::Failed(why) => Outcome::Failed(why),
        Run::Lacking(what) => Outcome::NotRun(format!("it needs {}", what.join(", "))),
    })
}

fn outcomes_json(outcomes: &[(&Test, Outcome)]) -> Value {
    let of = |(test, outcome): &(&Test, Outcome)| {
        let (result, why) = match outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed(why) => ("failed", Some(why)),
            Outcome::NotRun(why) => ("not run", Some(why)),
        };
        json!({"test": test.name, "result": result, "why": why})
    };
    outcomes.iter().map(of).collect()
}

/// Keeps what has been judged, and says how it went.
fn conclude(
    options: &Options,
    rows: &Rows,
    judged: &[Judgement<'_>],
    coturn: Option<&Coturn>,
) -> Result<ExitCode, CannotRun> {
    if let Some(file) = &options.json {
        let report: Value = judged.iter().map(Judgement::json).collect();
        write(file, &format!("{report:#}\n"))?;
    }
    if options.write
        && let Some(coturn) = coturn
    {
        let document = Document {
            about: about(coturn),
            verdicts: judged.iter().filter_map(verdicts).collect(),
        };
        write(Path::new(document::FILE), &document.render(rows))?;
    }
    let differs = options.check && differs(judged)?;
    let failed = judged
        .iter()
        .any(|judgement| judgement.uturn_verdict() == Verdict::Fail);
    Ok(match failed || differs {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn verdicts(judgement: &Judgement<'_>) -> Option<(String, Verdicts)> {
    let verdicts = Verdicts {
        uturn: judgement.uturn_verdict(),
        coturn: judgement.coturn_verdict()?,
    };
    Some((judgement.row.id.clone(), verdicts))
}

/// Whether CONFORMANCE.md says anything else; tells what.
fn differs(judged: &[Judgement<'_>]) -> Result<bool, CannotRun> {
    let text = fs::read_to_string(document::FILE)
        .map_err(|error| format!("cannot read {}: {error}", document::FILE))?;
    let written: BTreeMap<_, _> = Document::parse(&text)?.verdicts;
    let mut differs = false;
    for judgement in judged {
        let id = &judgement.row.id;
        let Some(said) = written.get(id) else {
            eprintln!("conformance: CONFORMANCE.md lacks {id}");
            differs = true;
            continue;
        };
        let ours = (Some(judgement.uturn_verdict()), &said.uturn, "uturn");
        let theirs = (judgement.coturn_verdict(), &said.coturn, "coturn");
        for (is, said, server) in [ours, theirs] {
            if let Some(is) = is
                && is != *said
            {
                eprintln!(
                    "conformance: {id}, {server}: CONFORMANCE.md says {said}, and it is {is}"
                );
                differs = true;
            }
        }
    }
    Ok(differs)
}

/// When, where and with what.
fn about(coturn: &Coturn) -> String {
    format!(
        "uturn {} and {}, on Linux {}, {}.",
        env!("CARGO_PKG_VERSION"),
        coturn.version(),
        fs::read_to_string("/proc/sys/kernel/osrelease")
            .unwrap_or_default()
            .trim(),
        today(),
    )
}

/// As `date` writes it.
fn today() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d"]).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

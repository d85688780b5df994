//! The tests: found, and each run by itself, with an end to its time.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::command::CannotRun;
use super::process::{Process, cores, is_stopped};
use super::rows::id_in;

/// How long a test may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether a test has ended.
const LOOK: Duration = Duration::from_millis(5);
/// What a test writes that lacks something, before what it lacks.
const LACKING: &str = ": it needs ";

/// A test that is named after a row.
pub struct Test {
    /// Of that row.
    pub id: String,
    /// With its modules.
    pub name: String,
    /// Whether it can be run against any server, and not only against the core of this one, in simulated time.
    pub is_black_box: bool,
    program: PathBuf,
}

/// What a run of a test shows.
pub enum Run {
    Passed,
    Failed(String),
    /// It passed, but lacked this.
    Lacking(Vec<String>),
}

/// All tests of rows, built if need be.
pub fn find() -> Result<Vec<Test>, CannotRun> {
    let programs = build()?;
    let mut tests = Vec::new();
    for (target, program) in programs {
        for name in list(&program)? {
            if let Some(id) = id_in(&name) {
                tests.push(Test {
                    id,
                    name,
                    is_black_box: target == "conformance",
                    program: program.clone(),
                });
            }
        }
    }
    Ok(tests)
}

/// Has cargo build the tests; returns the programs and what they are called.
fn build() -> Result<Vec<(String, PathBuf)>, CannotRun> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // What cargo tells of this program makes it build some crates anew, if it finds that in its own environment.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_CRATE_",
            "CARGO_BIN_",
        ]
        .iter()
        .any(|begin| text.starts_with(begin))
        {
            command.env_remove(name);
        }
    }
    let output = command
        .args(["test", "--no-run", "--test", "conformance", "--test", "sim"])
        .arg("--message-format=json")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err(CannotRun("cargo could not build the tests".to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(messages.filter_map(|message| program(&message)).collect())
}

fn program(message: &Value) -> Option<(String, PathBuf)> {
    message["profile"]["test"].as_bool().filter(|test| *test)?;
    let name = message["target"]["name"].as_str()?;
    let path = message["executable"].as_str()?;
    Some((name.to_owned(), path.into()))
}

fn list(program: &Path) -> Result<Vec<String>, CannotRun> {
    let output = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()
        .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(str::to_owned).collect())
}

impl Test {
    /// Its name without its modules.
    pub fn short_name(&self) -> &str {
        self.name.rsplit("::").next().unwrap_or(&self.name)
    }

    /// Runs it with these variables in its environment, and no others that tests look at. What it writes goes to `log`.
    pub fn run(&self, variables: &[(String, String)], log: &Path) -> Result<Run, CannotRun> {
        let failed = |error: io::Error| CannotRun(format!("cannot run {}: {error}", self.name));
        let output = File::create(log).map_err(failed)?;
        let mut command = Command::new(&self.program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("UTURN_TEST_") {
                command.env_remove(name);
            }
        }
        command
            .args([&self.name, "--exact", "--nocapture", "--test-threads=1"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("RUST_BACKTRACE", "0")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output);
        let process = Process::start(&mut command, &cores()).map_err(failed)?;
        let ended = success_within(process, LIMIT)?;
        let text = String::from_utf8_lossy(&fs::read(log).map_err(failed)?).into_owned();
        Ok(match ended {
            Some(true) => self.passed(&text),
            Some(false) => Run::Failed(complaint(&text)),
            None => Run::Failed(format!("it took longer than {} s", LIMIT.as_secs())),
        })
    }

    fn passed(&self, text: &str) -> Run {
        let lines = text.lines().filter(|line| line.contains("NOT RUN"));
        let lacking: Vec<_> = lines
            .filter_map(|line| line.split_once(LACKING))
            .map(|(_, what)| what.to_owned())
            .collect();
        match lacking.is_empty() {
            true if text.contains("test result: ok. 1 passed") => Run::Passed,
            true => Run::Failed("the test was not found".to_owned()),
            false => Run::Lacking(lacking),
        }
    }
}

/// Whether it succeeds; `None` if it takes too long, and is ended.
fn success_within(mut process: Process, limit: Duration) -> Result<Option<bool>, CannotRun> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = process.ended() {
            return Ok(Some(status.success()));
        }
        if is_stopped() {
            return Err(CannotRun("it was stopped".to_owned()));
        }
        if Instant::now() > end {
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// What a failed test complained of: the line behind the place where it panicked, and what it compared.
fn complaint(text: &str) -> String {
    let mut lines = text
        .lines()
        .skip_while(|line| !line.contains(" panicked at "));
    let Some(place) = lines.next() else {
        return "it ended without a word".to_owned();
    };
    let place = place.rsplit(" panicked at ").next().unwrap_or(place);
    let said: Vec<_> = lines
        .take(3)
        .take_while(|line| !line.starts_with("note: "))
        .map(str::trim)
        .collect();
    format!("{place} {}", said.join(" "))
}

//! The program as an operator meets it: exit codes, messages, signals; a module for each command.

mod check;
mod credential;
mod dev;
mod dns;
mod doctor;
mod documents;
mod explain;
mod help;
mod import_coturn;
mod operator;
mod serve;
mod token;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

const SECRET: &str = "q7Jv0aXzq7Jv0aXz";
/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Variables that would change what the program does.
const VARIABLES: [&str; 7] = [
    "UTURN_CONFIG",
    "RUST_LOG",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "CREDENTIALS_DIRECTORY",
    "JOURNAL_STREAM",
];

/// A directory of its own for each test, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("uturn-cli-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory can be made");
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("and protected");
        path
    }

    /// Writes a configuration with a secret and `rest`.
    fn config(&self, rest: &str) -> PathBuf {
        let auth = format!("[auth]\nshared_secrets = [\"{SECRET}\"]\n");
        self.write("uturn.toml", &(auth + rest))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn uturn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uturn"));
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    uturn().args(arguments).output().expect("uturn runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths are UTF-8 here")
}

/// A program that runs until it is told to stop; killed if a test fails before that.
struct Running {
    program: Child,
    lines: Receiver<String>,
    log: String,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = piped.spawn().expect("uturn starts");
        let stderr = program.stderr.take().expect("stderr is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let line = line.expect("logs are text");
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            program,
            lines,
            log: String::new(),
        }
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args([signal, &self.program.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits until a line that contains `wanted` is logged.
    fn logs(&mut self, wanted: &str) {
        while !self.log.contains(wanted) {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.log += &(line + "\n"),
                Err(error) => panic!("no {wanted}: {error}\n{}", self.log),
            }
        }
    }

    /// Waits for the end and returns the exit code with what was logged.
    fn end(mut self) -> (Option<i32>, String) {
        while let Ok(line) = self.lines.recv() {
            self.log += &(line + "\n");
        }
        let status = self.program.wait().expect("it ends");
        (status.code(), std::mem::take(&mut self.log))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

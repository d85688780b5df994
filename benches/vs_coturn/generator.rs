//! One run of `uturn load`.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::cell::{Cell, Rate};
use super::command::CannotRun;
use super::others::Reading;
use super::process::Process;
use super::server::{Server, Servers, USER};

/// Runs the generator against a server that is ready; the error says why there is no result.
pub fn run(
    servers: &mut Servers,
    server: Server,
    cell: &Cell,
    duration: Duration,
) -> Result<Value, String> {
    if cell.wants_fresh_server() {
        servers.end(server);
    }
    let pid = servers
        .ready(server)
        .map_err(|CannotRun(sentence)| sentence)?;
    let mut command = Command::new(&servers.binaries().generator);
    command
        .arg("load")
        .arg(server.uri(cell.transport))
        .args(["--username", USER, "--password-file"])
        .arg(servers.password_file())
        .args(["--pid", &pid.to_string(), "--json", "-"])
        .args(cell.arguments(duration))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let before = Reading::take(pid);
    let process = Process::start(&mut command, &[servers.generator_core()])
        .map_err(|error| format!("cannot start `uturn load`: {error}"))?;
    let mut result = match process.output(LIMIT + 40 * duration) {
        None => Err("it was stopped, or took too long".to_owned()),
        Some(output) if !output.status.success() => {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
        Some(output) => result(&output.stdout),
    };
    if cell.rate == Rate::Search
        && let Ok(run) = &mut result
        && let Some(others) = before.and_then(|before| before.others_since(pid))
    {
        run["other_cpu_percent"] = others.into();
    }
    // What has failed may have left allocations behind.
    if result.is_err() || cell.wants_fresh_server() {
        servers.end(server);
    }
    result
}

/// The longest that a run may take, beside the time in which it sends.
const LIMIT: Duration = Duration::from_secs(120);

/// What the first line tells: each run of the generator is for one result.
fn result(output: &[u8]) -> Result<Value, String> {
    let line = output.split(|byte| *byte == b'\n').next();
    let result: Value = serde_json::from_slice(line.unwrap_or_default())
        .map_err(|error| format!("its result cannot be read: {error}"))?;
    match result["failed"].as_u64() {
        None | Some(0) => Ok(result),
        Some(failed) => Err(format!(
            "{failed} allocations failed: {}",
            result["warnings"]
        )),
    }
}

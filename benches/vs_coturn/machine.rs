//! When, where and with what it was measured.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::server::Binaries;

/// All of that, in a few lines; `command` is what to type for the same again.
pub fn describe(binaries: &Binaries, rounds: u32, duration: Duration, command: &str) -> String {
    let coturn = match &binaries.coturn {
        Some(program) => format!("coturn {}", last_line(program, &["--version"])),
        None => "no coturn".to_owned(),
    };
    let rounds = match rounds {
        1 => "1 round".to_owned(),
        _ => format!("{rounds} rounds"),
    };
    format!(
        "{}; Linux {}, {}, {} cores; {} and {coturn}; {rounds} of {} s:\n`{command}`",
        last_line(Path::new("date"), &["-u", "+%Y-%m-%d"]),
        read("/proc/sys/kernel/osrelease").trim(),
        processor(&read("/proc/cpuinfo")),
        // SAFETY: it takes a number and gives one.
        unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) },
        last_line(&binaries.uturn, &["--version"]),
        duration.as_secs_f64(),
    )
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn processor(cpuinfo: &str) -> &str {
    cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model)
}

/// The last line that a program writes: coturn writes others before its version.
fn last_line(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines().last().unwrap_or("?").trim().to_owned()
}

//! `uturn dev`.

use std::io::{BufRead, BufReader};

use super::{Directory, Running, run, stderr, stdout, text, uturn};

#[test]
fn dev_prints_what_a_web_developer_pastes() {
    let ports = ["--port", "0", "--tls-port", "0", "--http-port", "0"];
    let directory = Directory::new("dev");
    let session = ("XDG_RUNTIME_DIR", &directory.0);
    let mut running = Running::start(uturn().arg("dev").args(ports).env(session.0, session.1));
    let printed = running.program.stdout.take().expect("stdout is piped");
    let mut greeting = String::new();
    for line in BufReader::new(printed).lines() {
        greeting.push_str(&line.expect("the greeting is text"));
        greeting.push('\n');
        if greeting.contains("uturn top") {
            break;
        }
    }
    for part in [
        "turn:127.0.0.1:",
        "turns:localhost:",
        "username ",
        "credential ",
        "const { iceServers } = await (await fetch(\"http://127.0.0.1:",
        "Ctrl-C",
    ] {
        assert!(greeting.contains(part), "{part}: {greeting}");
    }
    assert!(!greeting.contains("turn:127.0.0.1:0"), "{greeting}");
    let socket = directory.0.join("uturn-dev.sock");
    assert!(greeting.contains(&format!("uturn top --socket {}", socket.display())));
    let sessions = run(&["sessions", "--socket", text(&socket)]);
    assert_eq!(stdout(&sessions), "no sessions\n", "{}", stderr(&sessions));
    running.signal("-INT");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
}

//! `uturn dev`.

use std::io::{BufRead, BufReader};

use super::{Running, uturn};

#[test]
fn dev_prints_what_a_web_developer_pastes() {
    let ports = ["--port", "0", "--tls-port", "0", "--http-port", "0"];
    let mut running = Running::start(uturn().arg("dev").args(ports));
    let stdout = running.program.stdout.take().expect("stdout is piped");
    let mut greeting = String::new();
    for line in BufReader::new(stdout).lines() {
        greeting.push_str(&line.expect("the greeting is text"));
        greeting.push('\n');
        if greeting.contains("RTCPeerConnection") {
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
    running.signal("-INT");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
}

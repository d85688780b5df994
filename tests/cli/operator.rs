//! The commands that ask a running server: `uturn sessions`, `uturn kick`, `uturn trace`, `uturn top`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::{Directory, Running, run, stderr, stdout, text, uturn};

#[test]
fn who_asks_a_server_that_is_not_there_is_told_what_to_look_at() {
    let directory = Directory::new("operator");
    let plain = directory.config("[admin]\nsocket = \"off\"\n");
    let absent = directory.0.join("absent.sock");
    let token = directory.write("token", "q7Jv0aXzq7Jv0aXzq7Jv0aXzq7Jv0aXz");
    let refused = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}", refused.local_addr().expect("bound"));
    drop(refused);
    let remote = ["sessions", "--url", &url, "--token-file", text(&token)];
    for (arguments, code, says) in [
        (
            &["sessions", "--socket", text(&absent)][..],
            1,
            "is the server running? If it is, its log says where it answers operators",
        ),
        (
            &["kick", "1", "--socket", text(&absent)],
            1,
            "there is no admin socket",
        ),
        (
            &["trace", "1", "--socket", text(&plain)],
            1,
            "or the file is no socket",
        ),
        (
            &["sessions", "--config", text(&plain)],
            2,
            "has socket = \"off\" in [admin]: remove that line, restart the server, and ask again",
        ),
        (&remote, 1, "Connection refused"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains(says), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn a_server_without_a_socket_says_so_when_it_starts() {
    let directory = Directory::new("no-socket");
    let nowhere =
        "[listen]\nudp = [\"127.0.0.1:0\"]\ntcp = []\n[relay]\naddresses = [\"127.0.0.1\"]\n";
    let log = |rest: &str| {
        let config = directory.config(&format!("{nowhere}{rest}"));
        let mut server = Running::start(uturn().args(["serve", "--config", text(&config)]));
        server.logs(" serving ");
        server.signal("-TERM");
        let (code, log) = server.end();
        assert_eq!(code, Some(0), "{log}");
        log
    };
    let off = log("[admin]\nsocket = \"off\"\n");
    assert!(!off.contains("operators"), "{off}");
    // On a host that serves, there is the directory.
    if !Path::new("/run/uturn").exists() {
        let auto = log("");
        let says = " INFO operators cannot ask this server, as there is no directory /run/uturn: to have /run/uturn/admin.sock";
        assert!(auto.contains(says), "{auto}");
    }
}

#[test]
fn a_server_that_was_killed_leaves_a_socket_that_the_next_one_replaces() {
    let directory = Directory::new("stale");
    let socket = directory.0.join("admin.sock");
    let config = directory.config(
        "[listen]\nudp = [\"127.0.0.1:0\"]\ntcp = []\n[relay]\naddresses = [\"127.0.0.1\"]\n\
         [admin]\nsocket = \"admin.sock\"\n",
    );
    let serve = || {
        let mut server = uturn()
            .args(["serve", "--config", text(&config)])
            .stderr(Stdio::piped())
            .spawn()
            .expect("uturn runs");
        let lines = BufReader::new(server.stderr.take().expect("piped")).lines();
        let mut lines = lines.map_while(Result::ok);
        let found = lines.find(|line| line.contains(" serving ") || line.contains("cannot"));
        thread::spawn(move || lines.for_each(drop));
        (server, found.expect("a line"))
    };
    let (mut first, said) = serve();
    assert!(said.contains(" serving "), "{said}");
    let sessions = run(&["sessions", "--config", text(&config)]);
    assert_eq!(stdout(&sessions), "no sessions\n", "{}", stderr(&sessions));
    let (mut second, said) = serve();
    assert!(said.contains("another server answers there"), "{said}");
    assert_eq!(second.wait().expect("its status").code(), Some(1));
    first.kill().expect("it runs");
    first.wait().expect("its status");
    assert!(socket.exists());
    let (mut third, said) = serve();
    assert!(said.contains(" serving "), "{said}");
    let sessions = run(&["sessions", "--socket", text(&socket), "--json"]);
    assert_eq!(stdout(&sessions), "[]\n");
    let pid = third.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(asked.expect("kill runs").success());
    assert!(third.wait().expect("its status").success());
    assert!(!socket.exists());
}

#[test]
fn top_needs_a_terminal_and_names_what_does_not() {
    let output = run(&["top", "--socket", "/nowhere/admin.sock"]);
    let said = "uturn: top draws on a terminal, and standard output is none: `uturn sessions` prints the same once\n";
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(2), said));
    assert_eq!(stdout(&output), "");
    for every in ["0.5s", "2", "2000m"] {
        let output = run(&["top", "--every", every]);
        assert_eq!(output.status.code(), Some(2), "{every}");
    }
}

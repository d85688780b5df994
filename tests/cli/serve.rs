//! `uturn serve`: what it refuses, what it says, signals.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;

use super::{Directory, PATIENCE, Running, run, stderr, text, uturn};

#[test]
fn serve_refuses_placeholders_open_relays_and_missing_files() {
    let directory = Directory::new("refuse");
    for (content, says) in [
        ("[auth]\nshared_secrets = [\"changeme\"]\n", "placeholder"),
        ("[auth]\n", "nobody is authenticated"),
        ("[auth\n", "mend this first"),
    ] {
        let file = directory.write("bad.toml", content);
        let output = run(&["serve", "--config", text(&file)]);
        assert_eq!(output.status.code(), Some(2), "{content}");
        let report = stderr(&output);
        assert!(report.contains(says), "{content}: {report}");
        assert!(!report.contains("changeme"), "{report}");
    }
    let mut absent = uturn();
    let output = absent.arg("serve").env("UTURN_CONFIG", "/nonexistent");
    let output = output.output().expect("uturn runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("there is no such file"));
}

/// Serves `tables`, which name a port that is taken, and returns the one error.
#[track_caller]
fn refused_port(directory: &Directory, tables: &str) -> String {
    let file = directory.config(tables);
    let output = run(&["serve", "--config", text(&file)]);
    assert_eq!(output.status.code(), Some(1), "{tables}");
    let log = stderr(&output);
    let errors: Vec<_> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    let (_, sentence) = errors[0].split_once("cannot listen").expect("a reason");
    format!("cannot listen{sentence}")
}

#[test]
fn a_port_in_use_is_one_sentence_and_exit_code_1() {
    let directory = Directory::new("in-use");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let udp = udp.local_addr().map(|address| (udp, address));
    let (_udp, udp) = udp.expect("it is bound");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let tcp = tcp.local_addr().map(|address| (tcp, address));
    let (_tcp, tcp) = tcp.expect("it is bound");
    for (tables, protocol, taken, ss) in [
        (
            format!("[listen]\nudp = [\"{udp}\"]\ntcp = []\n"),
            "UDP",
            udp,
            "-lnup",
        ),
        (
            format!("[listen]\nudp = []\ntcp = [\"{tcp}\"]\n"),
            "TCP",
            tcp,
            "-lntp",
        ),
        (
            format!("[listen]\nudp = [\"127.0.0.5:0\"]\ntcp = []\n[api]\nlisten = [\"{tcp}\"]\n"),
            "HTTP",
            tcp,
            "-lntp",
        ),
    ] {
        let port = taken.port();
        assert_eq!(
            refused_port(&directory, &tables),
            format!(
                "cannot listen for {protocol} on {taken}: \
                 another process has the port (`ss {ss} sport = :{port}` shows which)"
            )
        );
    }
}

#[test]
fn the_program_says_why_it_ends_even_if_nothing_is_logged() {
    let directory = Directory::new("silent");
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it is bound");
    let file = directory.config(&format!(
        "[listen]\nudp = [\"{address}\"]\ntcp = []\n[log]\nlevel = \"off\"\n"
    ));
    let silent = stderr(&run(&["serve", "--config", text(&file)]));
    assert!(silent.starts_with("uturn: "), "{silent}");
    assert!(silent.contains(&address.to_string()), "{silent}");
    // RUST_LOG comes before the configured level.
    let mut loud = uturn();
    let loud = loud
        .args(["serve", "--config", text(&file)])
        .env("RUST_LOG", "info");
    let loud = stderr(&loud.output().expect("uturn runs"));
    assert!(loud.contains("INFO") && loud.contains("ERROR"), "{loud}");
    let mut wrong = uturn();
    let wrong = wrong
        .args(["serve", "--config", text(&file)])
        .env("RUST_LOG", "==");
    let wrong = wrong.output().expect("uturn runs");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).starts_with("uturn: RUST_LOG is wrong"));
}

/// Reads what the program tells its service manager until a message contains `wanted`.
fn told(manager: &UnixDatagram, wanted: &str) -> String {
    let mut buffer = [0; 4096];
    loop {
        let received = manager.recv(&mut buffer);
        let length = received.unwrap_or_else(|error| panic!("no {wanted}: {error}"));
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.contains(wanted) {
            return message;
        }
    }
}

#[test]
fn serve_tells_its_service_manager_how_it_is_and_survives_signals_meant_for_others() {
    let directory = Directory::new("serve");
    let socket = directory.0.join("notify");
    let manager = UnixDatagram::bind(&socket).expect("a socket can be bound");
    manager
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout can be set");
    let file = directory.config(
        "[listen]\nudp = [\"127.0.0.1:0\"]\ntcp = [\"127.0.0.1:0\"]\n[log]\nformat = \"json\"\n",
    );
    let mut running = Running::start(
        uturn()
            .args(["serve", "--config", text(&file)])
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "100000"),
    );
    let ready = told(&manager, "READY=1");
    let port = ready
        .split_once("tcp 127.0.0.1:")
        .and_then(|(_, rest)| rest.lines().next());
    let port: u16 = port.and_then(|port| port.parse().ok()).expect(&ready);
    TcpStream::connect(("127.0.0.1", port)).expect("it listens once it is ready");
    told(&manager, "WATCHDOG=1");
    for (signal, named) in [
        ("-HUP", "SIGHUP"),
        ("-USR1", "SIGUSR1"),
        ("-USR2", "SIGUSR2"),
    ] {
        running.signal(signal);
        running.logs(named);
    }
    running.signal("-TERM");
    told(&manager, "STOPPING=1");
    let (code, log) = running.end();
    assert_eq!(code, Some(0), "{log}");
    for line in log.lines() {
        let _: serde_json::Value = serde_json::from_str(line).expect("every line is JSON");
    }
    assert!(log.contains("\"message\":\"stopped\""), "{log}");
}

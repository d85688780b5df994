//! `uturn load` as an operator meets it, against a relay on loopback: every kind of traffic over every transport, and what
//! it says where it cannot go on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::Value;
use uturn::auth::{Secret, StaticPassword, StaticUser};
use uturn::net::{self, Certificate, Listener, ListenerTransport, Relay, Running};
use uturn::wire::Message;
use uturn::wire::reply::Reply;

use support::{SECRET, loopback_relay};

#[path = "load/probe.rs"]
mod probe;
mod support;

const USER: &str = "load";
const PASSWORD: &str = "a password for tests only";

/// A relay with files that its clients need.
struct Server {
    relay: Running,
    directory: PathBuf,
}

impl Server {
    fn start(test: &str, change: impl FnOnce(&mut Relay)) -> Self {
        let directory =
            std::env::temp_dir().join(format!("uturn-load-{test}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        fs::write(directory.join("ca.pem"), certified.cert.pem()).unwrap();
        fs::write(directory.join("secret"), SECRET).unwrap();
        fs::write(directory.join("wrong"), "not the secret of anybody").unwrap();
        fs::write(directory.join("password"), format!("{PASSWORD}\n")).unwrap();

        let mut relay = loopback_relay();
        let listener = |transport| Listener {
            transport,
            address: "127.0.0.1:0".parse().unwrap(),
        };
        use ListenerTransport::{Tcp, Tls, Udp};
        relay.net.listeners = [Udp, Tcp, Tls].map(listener).to_vec();
        relay.net.certificate = Some(Certificate::Pem {
            chain: certified.cert.pem(),
            key: certified.signing_key.serialize_pem(),
        });
        relay.auth.static_users.push(StaticUser {
            name: USER.to_owned(),
            password: StaticPassword::Plain(Secret::new(PASSWORD)),
        });
        change(&mut relay);
        let relay = net::start(relay).expect("it starts");
        Self { relay, directory }
    }

    fn uri(&self, transport: ListenerTransport) -> String {
        let mut listeners = self.relay.listeners().iter();
        let listener = listeners.find(|listener| listener.transport == transport);
        let port = listener.unwrap().address.port();
        match transport {
            ListenerTransport::Udp => format!("turn:127.0.0.1:{port}"),
            ListenerTransport::Tcp => format!("turn:127.0.0.1:{port}?transport=tcp"),
            ListenerTransport::Tls | ListenerTransport::Shared => format!("turns:127.0.0.1:{port}"),
            ListenerTransport::Dtls => format!("turns:127.0.0.1:{port}?transport=udp"),
        }
    }

    fn file(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Runs a load with the shared secret and returns the objects that it writes.
    fn load(&self, uri: &str, more: &str) -> Vec<Value> {
        let secret = self.file("secret");
        let output = load(&format!("{uri} --secret-file {secret} --json - {more}"));
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let lines = text(&output.stdout);
        lines
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line is an object"))
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What keeps a load short and gentle, unless `line` says otherwise.
fn brief(line: &str) -> String {
    let mut line = line.to_owned();
    for (option, value) in [
        ("--clients", "4"),
        ("--rate", "500"),
        ("--duration", "200ms"),
        ("--hold", "1ms"),
        ("--sleep", ""),
    ] {
        if !line.contains(option) {
            line += &format!(" {option} {value}");
        }
    }
    line
}

fn load(line: &str) -> Output {
    let line = if line.is_empty() {
        String::new()
    } else {
        brief(line)
    };
    let output = Command::new(env!("CARGO_BIN_EXE_uturn"))
        .arg("load")
        .args(line.split_whitespace())
        .output();
    output.expect("uturn runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a load that fails, and returns the sentence that says why.
fn refusal(line: &str, code: i32) -> String {
    let output = load(line);
    let sentence = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{sentence}");
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    sentence
}

fn number(object: &Value, name: &str) -> f64 {
    object[name]
        .as_f64()
        .unwrap_or_else(|| panic!("{name} of {object}"))
}

#[test]
fn all_that_is_sent_arrives_over_every_transport() {
    let server = Server::start("all", |_| {});
    for transport in [
        ListenerTransport::Udp,
        ListenerTransport::Tcp,
        ListenerTransport::Tls,
    ] {
        let ca = server.file("ca.pem");
        let kinds = "up,down,echo,pairs,binding,allocate";
        let results = server.load(
            &server.uri(transport),
            &format!("--traffic {kinds} --size 161 --ca {ca}"),
        );
        let traffic: Vec<_> = results
            .iter()
            .map(|result| result["traffic"].as_str())
            .collect();
        assert_eq!(traffic, kinds.split(',').map(Some).collect::<Vec<_>>());
        let (storm, packets) = results.split_last().unwrap();
        for result in packets {
            assert!(number(result, "sent") >= 50.0, "{result}");
            assert_eq!(
                number(result, "received"),
                number(result, "sent"),
                "{result}"
            );
            assert_eq!(number(result, "lost"), 0.0, "{result}");
            let latency = &result["latency_us"];
            assert!(number(latency, "p50") > 0.0, "{result}");
            assert!(number(latency, "max") >= number(latency, "p99"), "{result}");
        }
        assert_eq!(number(storm, "failed"), 0.0, "{storm}");
        assert!(number(storm, "allocations_per_second") > 0.0, "{storm}");
    }
}

#[test]
fn results_keep_their_names() {
    let server = Server::start("names", |_| {});
    let own = std::process::id();
    let results = server.load(
        &server.uri(ListenerTransport::Udp),
        &format!("--traffic up,binding,allocate --pid {own}"),
    );
    let names =
        |object: &Value| -> Vec<String> { object.as_object().unwrap().keys().cloned().collect() };
    let mut expected = vec![
        "traffic",
        "transport",
        "size",
        "clients",
        "rate",
        "train",
        "round",
        "seconds",
        "offered_pps",
        "delivered_pps",
        "sent",
        "received",
        "lost",
        "loss_percent",
        "unsent",
        "latency_us",
        "server_cpu_us_per_packet",
        "server_cpu_percent",
        "generator_cpu_us_per_packet",
        "other_cpu_percent",
        "warnings",
    ];
    expected.sort_unstable();
    assert_eq!(names(&results[0]), expected);
    expected.retain(|name| *name != "size");
    assert_eq!(names(&results[1]), expected);
    assert_eq!(results[0]["rate"], 500);
    assert_eq!(results[0]["transport"], "udp");
    assert_eq!(results[0]["size"], 160);
    assert_eq!(results[0]["clients"], 4);
    if cfg!(target_os = "linux") {
        assert!(number(&results[0], "server_cpu_us_per_packet") > 0.0);
        assert!(number(&results[2], "server_cpu_us_per_allocation") > 0.0);
        assert!(results[2]["kernel_slab_bytes_per_allocation"].is_number());
    }
}

#[test]
fn rates_forms_and_trains_can_be_chosen() {
    let server = Server::start("rates", |_| {});
    let uri = server.uri(ListenerTransport::Udp);
    for (more, packets) in [
        ("--rate max --window 8 --traffic up,pairs", 100.0),
        ("--rate search --window 8 --max-loss 50", 1.0),
        ("--send --traffic up,down,echo,pairs --size 24,161", 50.0),
        ("--train 5 --gso --gro --traffic echo --size 1200", 50.0),
        ("--train 100 --rate 5000 --traffic down", 500.0),
    ] {
        for result in server.load(&uri, more) {
            assert!(number(&result, "received") >= packets, "{more}: {result}");
            assert!(number(&result, "loss_percent") < 5.0, "{more}: {result}");
        }
    }
    let results = server.load(&uri, "--rounds 3 --traffic up");
    let rounds: Vec<_> = results
        .iter()
        .map(|result| number(result, "round"))
        .collect();
    assert_eq!(rounds, [1.0, 2.0, 3.0]);
}

#[test]
fn people_get_lines_and_medians() {
    let server = Server::start("people", |_| {});
    let (uri, secret) = (server.uri(ListenerTransport::Udp), server.file("secret"));
    let output = load(&format!(
        "{uri} --secret-file {secret} --rounds 2 --traffic echo,allocate"
    ));
    let lines = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        lines.starts_with(&format!("{uri} over UDP, 4 clients\n")),
        "{lines}"
    );
    assert!(lines.contains("medians of 2 rounds"), "{lines}");
    assert_eq!(lines.matches("\necho ").count(), 3, "{lines}");
    assert_eq!(lines.matches("\nallocate ").count(), 3, "{lines}");
    assert_eq!(text(&output.stderr), "", "no progress without a terminal");
}

#[test]
fn allocations_are_given_back() {
    let server = Server::start("released", |relay| {
        relay.admission.quotas.total = 4;
    });
    let uri = server.uri(ListenerTransport::Udp);
    for more in [
        "--traffic up,pairs",
        "--traffic allocate --churn 3",
        "--traffic up",
    ] {
        server.load(&uri, more);
    }
}

#[test]
fn a_password_works_as_a_secret_does() {
    let server = Server::start("password", |_| {});
    let (uri, password) = (server.uri(ListenerTransport::Udp), server.file("password"));
    let line = format!("{uri} --username {USER} --password-file {password}");
    assert_eq!(load(&line).status.code(), Some(0));
    let wrong = server.file("wrong");
    let sentence = refusal(
        &format!("{uri} --username {USER} --password-file {wrong}"),
        1,
    );
    let expected =
        format!("uturn: {uri} refuses the credential of \"load\": its answer to Allocate is 401");
    assert!(sentence.starts_with(&expected), "{sentence}");
}

#[test]
fn nobody_there_is_told_at_once() {
    let file = "--username u --password p";
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let sentence = refusal(&format!("turn:{free} {file}"), 1);
    assert!(sentence.contains("nothing listens at"), "{sentence}");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let sentence = refusal(&format!("turn:{free}?transport=tcp {file}"), 1);
    assert!(sentence.contains("Connection refused"), "{sentence}");
    let sentence = refusal(&format!("turn:nowhere.invalid {file}"), 1);
    assert!(sentence.contains("nowhere.invalid"), "{sentence}");
}

/// A server that leaves the first `lost` requests unanswered, and answers each later one as a Binding.
fn forgetful_server(lost: usize) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut request = [0; 64];
        for count in 0.. {
            let (len, client) = socket.recv_from(&mut request).unwrap();
            if count >= lost {
                let request = Message::parse(&request[..len]).unwrap();
                let reply = Reply::success(&request).mapped(client).finish();
                socket.send_to(&reply, client).unwrap();
            }
        }
    });
    address
}

#[test]
fn a_lost_request_is_sent_again() {
    let server = forgetful_server(2);
    let output = load(&format!("stun:{server} --clients 1 --json -"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(number(&result, "lost"), 0.0, "{result}");
}

#[test]
fn a_silent_server_is_given_up() {
    let server = forgetful_server(usize::MAX);
    let sentence = refusal(&format!("turn:{server} --username u --password p"), 1);
    assert!(sentence.contains("does not answer Allocate"), "{sentence}");
}

#[test]
fn an_interrupted_load_leaves_nothing_behind() {
    let server = Server::start("interrupted", |relay| {
        relay.admission.quotas.total = 4;
    });
    let (uri, secret) = (server.uri(ListenerTransport::Udp), server.file("secret"));
    let line = brief(&format!("{uri} --secret-file {secret} --duration 1m"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_uturn"))
        .arg("load")
        .args(line.split_whitespace())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut first).unwrap();
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "uturn: stopped by a signal\n");
    server.load(&uri, "");
}

#[test]
fn a_certificate_is_not_accepted_unasked() {
    let server = Server::start("certificate", |_| {});
    let (uri, secret) = (server.uri(ListenerTransport::Tls), server.file("secret"));
    let another = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(server.file("another.pem"), another.cert.pem()).unwrap();
    let another = server.file("another.pem");
    let line = format!("{uri} --secret-file {secret}");
    let sentence = refusal(&format!("{line} --ca {another}"), 1);
    assert!(sentence.contains("--insecure accepts any"), "{sentence}");
    assert_eq!(load(&format!("{line} --insecure")).status.code(), Some(0));
}

#[test]
fn refusals_say_what_to_do() {
    let server = Server::start("refusals", |relay| {
        relay.admission.peers.allowed.clear();
        relay.admission.quotas.total = 6;
    });
    let (uri, secret) = (server.uri(ListenerTransport::Udp), server.file("secret"));
    let line = format!("{uri} --secret-file {secret}");
    let sentence = refusal(&line, 1);
    assert!(sentence.contains("reach the peer 127.0.0.1"), "{sentence}");
    assert!(sentence.contains("403"), "{sentence}");
    let sentence = refusal(&format!("{line} --traffic pairs --clients 8"), 1);
    assert!(sentence.contains("allocations after 6"), "{sentence}");
}

#[test]
fn some_of_a_storm_may_fail() {
    let server = Server::start("storm", |relay| {
        relay.admission.quotas.total = 3;
    });
    let uri = server.uri(ListenerTransport::Udp);
    let results = server.load(&uri, "--traffic allocate");
    assert_eq!(number(&results[0], "failed"), 1.0);
    let warning = results[0]["warnings"][0].as_str().unwrap();
    assert!(warning.contains("allocations after 3"), "{warning}");
}

#[test]
fn wrong_usage_exits_with_2() {
    for line in [
        "",
        "example.org",
        "turn:127.0.0.1",
        "turn:127.0.0.1 --secret-file /nowhere",
        "stun:127.0.0.1 --traffic up",
        "stun:127.0.0.1 --pid 4194999",
        "stun:127.0.0.1 --json /nowhere/results",
    ] {
        assert_eq!(load(line).status.code(), Some(2), "{line}");
    }
}

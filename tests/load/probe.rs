//! `uturn probe` against a relay on loopback, and against servers that mean no good.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stun::attributes::ATTR_SOFTWARE;
use stun::error_code::{CODE_BAD_REQUEST, CODE_UNAUTHORIZED};
use uturn::net::{Certificate, Listener, ListenerTransport, Relay};
use uturn::wire::Message;
use uturn::wire::reply::Reply;

use super::{Server, number, text};

fn probe(line: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_uturn"))
        .arg("probe")
        .args(line.split_whitespace())
        .output();
    output.expect("uturn runs")
}

fn speak_dtls(relay: &mut Relay) {
    relay.net.listeners.push(Listener {
        transport: ListenerTransport::Dtls,
        address: "127.0.0.1:0".parse().unwrap(),
    });
}

/// Runs a probe and returns its report.
fn report(line: &str, code: i32) -> Value {
    let output = probe(&format!("{line} --json"));
    let said = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{said}{}",
        text(&output.stderr)
    );
    assert_eq!(text(&output.stderr), "", "nobody watches");
    serde_json::from_str(&said).expect("one object")
}

fn conclusion(report: &Value) -> &str {
    report["verdict"]["conclusion"].as_str().unwrap_or_default()
}

#[test]
fn a_probe_goes_through_the_relay_over_every_transport() {
    let server = Server::start("probe", speak_dtls);
    let files = format!(
        "--secret-file {} --ca {}",
        server.file("secret"),
        server.file("ca.pem")
    );
    for (transport, query) in [
        (ListenerTransport::Udp, "?transport=udp"),
        (ListenerTransport::Tcp, ""),
        (ListenerTransport::Tls, ""),
        (ListenerTransport::Dtls, ""),
    ] {
        let uri = server.uri(transport) + query;
        let report = report(
            &format!("{uri} {files} --packets 10 --throughput 1M --for 1"),
            0,
        );
        assert_eq!(conclusion(&report), "works", "{report}");
        let [attempt] = report["attempts"].as_array().unwrap().as_slice() else {
            panic!("{report}");
        };
        assert_eq!(attempt["relay"]["path"], "relay-to-relay", "{attempt}");
        assert_eq!(number(&attempt["relay"], "received"), 10.0, "{attempt}");
        assert_eq!(attempt["relay_range"], "open", "{attempt}");
        assert_eq!(attempt["realm"], "example.org", "{attempt}");
        let steps = attempt["steps"].as_array().unwrap();
        let steps: Vec<_> = steps.iter().map(|s| s["name"].as_str().unwrap()).collect();
        let end = [
            "binding",
            "allocate",
            "permission",
            "channel",
            "round-trips",
            "release",
        ];
        assert!(steps.ends_with(&end), "{steps:?}");
        let pushed = &report["throughput"];
        assert!(number(pushed, "received") > 50.0, "{pushed}");
        assert!(number(pushed, "sent_mbps") < 1.2, "{pushed}");
        let tls = &attempt["tls"];
        let expected = match transport {
            ListenerTransport::Tls => json!(["TLS 1.3", "stun.turn", "connect", "tls"]),
            ListenerTransport::Dtls => json!(["DTLS 1.2", null, "dtls", "binding"]),
            _ => Value::Null,
        };
        if expected.is_array() {
            assert_eq!(
                json!([tls["version"], tls["alpn"], steps[0], steps[1]]),
                expected
            );
            assert_eq!(tls["certificate"]["error"], Value::Null, "{tls}");
            let names = tls["certificate"]["names"].as_array().unwrap();
            assert!(names.contains(&"127.0.0.1".into()), "{tls}");
            assert!(number(&tls["certificate"], "days_left") > 1.0, "{tls}");
        }
    }
}

#[test]
fn a_probe_names_what_is_wrong() {
    let server = Server::start("probe-wrong", |relay| {
        relay.admission.peers.allowed.clear();
    });
    let udp = server.uri(ListenerTransport::Udp) + "?transport=udp";
    let tls = server.uri(ListenerTransport::Tls);
    let secret = server.file("secret");
    let brief = "--timeout 500ms --packets 5";
    let wrong = report(
        &format!("{udp} --secret-file {} {brief}", server.file("wrong")),
        1,
    );
    assert_eq!(conclusion(&wrong), "credential", "{wrong}");
    let expired = report(
        &format!("{udp} --username 1700000000:a --password p {brief}"),
        1,
    );
    let sentence = expired["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("by this host's clock"), "{sentence}");

    // Neither its own rules nor those of a firewall keep the server's clients from each other.
    let denied = report(&format!("{udp} --secret-file {secret} {brief}"), 0);
    assert_eq!(denied["attempts"][0]["relay_range"], "denied", "{denied}");
    let notes = denied["verdict"]["notes"].to_string();
    assert!(
        notes.contains("does not let its clients reach this host"),
        "{notes}"
    );

    let unknown = report(&format!("{tls} --secret-file {secret} {brief}"), 1);
    assert_eq!(conclusion(&unknown), "certificate", "{unknown}");
    let accepted = report(
        &format!("{tls} --secret-file {secret} {brief} --insecure"),
        0,
    );
    assert!(
        accepted["attempts"][0]["tls"]["certificate"]["error"].is_string(),
        "{accepted}"
    );

    let challenged = report(&format!("{udp} {brief}"), 0);
    assert_eq!(conclusion(&challenged), "answers", "{challenged}");
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = report(&format!("turn:{free}?transport=tcp {brief}"), 1);
    assert_eq!(conclusion(&refused), "refused", "{refused}");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let silent = report(&format!("turn:{address}?transport=udp {brief}"), 1);
    assert_eq!(conclusion(&silent), "silent", "{silent}");
    assert_eq!(probe("127.0.0.1 --username u").status.code(), Some(2));
}

#[test]
fn one_allocation_a_user_is_enough_for_a_probe() {
    let server = Server::start("probe-quota", |relay| {
        relay.admission.quotas.total = 1;
    });
    let udp = server.uri(ListenerTransport::Udp) + "?transport=udp";
    let secret = server.file("secret");
    let report = report(&format!("{udp} --secret-file {secret} --packets 5"), 0);
    let attempt = &report["attempts"][0];
    assert_eq!(attempt["relay"]["path"], "own-socket", "{report}");
    assert_eq!(number(&attempt["relay"], "received"), 5.0, "{report}");
    assert_eq!(attempt["aside"][0]["kind"], "code", "{report}");
}

/// Answers every datagram by what `answer` makes of it.
fn udp_server(answer: impl Fn(&Message<'_>, SocketAddr) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut room = [0; 2048];
        while let Ok((len, client)) = socket.recv_from(&mut room) {
            if let Ok(request) = Message::parse(&room[..len]) {
                let _ = socket.send_to(&answer(&request, client), client);
            }
        }
    });
    address
}

#[test]
fn what_a_server_says_cannot_reach_the_terminal() {
    let evil = "\x1b]0;x\x07\u{9b}31m\r\n\u{202e}";
    let challenges = udp_server(move |request, _| {
        let reply = Reply::error(request, CODE_UNAUTHORIZED, evil);
        reply
            .challenge(evil, "nonce", None)
            .with_raw(ATTR_SOFTWARE, evil.as_bytes())
            .finish()
    });
    let refuses = udp_server(move |request, _| {
        let reply = Reply::error(request, CODE_BAD_REQUEST, evil);
        reply.with_raw(ATTR_SOFTWARE, evil.as_bytes()).finish()
    });
    for server in [challenges, refuses] {
        for more in ["", "--username u --password p"] {
            for form in ["", "--json"] {
                let line = format!("turn:{server}?transport=udp --timeout 300ms {more} {form}");
                let output = probe(&line);
                assert!(matches!(output.status.code(), Some(0 | 1)), "{line}");
                let said = text(&output.stdout) + &text(&output.stderr);
                let is_bad = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
                assert_eq!(said.chars().find(is_bad), None, "{said:?}");
                assert!(!said.contains("\\u001b"), "{said}");
            }
        }
    }
}

/// Answers every connection by what `serve` does with it.
fn tcp_server(serve: impl Fn(std::net::TcpStream) + Send + Copy + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn no_server_makes_a_probe_hang() {
    let garbage = tcp_server(|mut stream| while stream.write_all(&[0xa5; 4096]).is_ok() {});
    // Messages without end that answer nothing.
    let strays = tcp_server(|mut stream| {
        let stray = *b"\x01\x01\0\0\x21\x12\xa4\x42aaaaaaaaaaaa";
        while stream.write_all(&stray.repeat(100)).is_ok() {}
    });
    // The beginning of the longest message, a byte at a time.
    let drips = tcp_server(|mut stream| {
        let _ = stream.write_all(b"\x01\x01\xff\xfc\x21\x12\xa4\x42");
        while stream.write_all(&[0]).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let swallows =
        tcp_server(|mut stream| while stream.read(&mut [0; 512]).is_ok_and(|n| n > 0) {});
    for (server, scheme, expected) in [
        (garbage, "turn", "not-turn"),
        (strays, "turn", "not-turn"),
        (drips, "turn", "not-turn"),
        (swallows, "turn", "not-turn"),
        (garbage, "turns", "tls"),
        (swallows, "turns", "not-turn"),
    ] {
        let started = Instant::now();
        let line = format!("{scheme}:{server}?transport=tcp --timeout 300ms");
        assert_eq!(conclusion(&report(&line, 1)), expected, "{line}");
        assert!(started.elapsed() < Duration::from_secs(5), "{line}");
    }
}

#[test]
fn a_chain_of_rsa_certificates_is_judged_over_dtls_as_over_tls() {
    let key = || rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let authority = |name: &str| {
        let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let name_type = rcgen::DnType::CommonName;
        parameters.distinguished_name.push(name_type, name);
        parameters
    };
    let (root, root_key) = (authority("root"), key());
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root = rcgen::Issuer::new(root, root_key);
    let (between, between_key) = (authority("between"), key());
    let between_pem = between.signed_by(&between_key, &root).unwrap().pem();
    let between = rcgen::Issuer::new(between, between_key);
    let (leaf, leaf_key) = (
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap(),
        key(),
    );
    let leaf = leaf.signed_by(&leaf_key, &between).unwrap().pem();
    for (chain, code, expected) in [
        (leaf.clone() + &between_pem, 0, "works"),
        (leaf, 1, "certificate"),
    ] {
        let server = Server::start("probe-rsa", |relay| {
            speak_dtls(relay);
            relay.net.certificate = Some(Certificate::Pem {
                chain,
                key: leaf_key.serialize_pem(),
            });
        });
        std::fs::write(server.file("root.pem"), &root_pem).unwrap();
        let uri = server.uri(ListenerTransport::Dtls);
        let files = format!(
            "--secret-file {} --ca {}",
            server.file("secret"),
            server.file("root.pem")
        );
        let found = report(
            &format!(
                "{} {files} --packets 5",
                uri.replace("127.0.0.1", "localhost")
            ),
            code,
        );
        assert_eq!(conclusion(&found), expected, "{found}");
        // It is for the name alone.
        let found = report(&format!("{uri} {files} --packets 5"), 1);
        assert_eq!(conclusion(&found), "certificate", "{found}");
    }
}

#[test]
fn a_server_that_does_not_end_a_handshake_is_told_and_does_not_hold() {
    let server = Server::start("probe-dtls", speak_dtls);
    let real = server.uri(ListenerTransport::Dtls);
    let real: SocketAddr = real["turns:".len()..]
        .split('?')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    // Lets through what a server says, but only so many datagrams of it.
    let passes = move |most: usize| {
        udp_answers(move |socket, datagram, client, count| {
            let way = UdpSocket::bind("127.0.0.1:0").unwrap();
            way.connect(real).unwrap();
            way.send(datagram).unwrap();
            way.set_read_timeout(Some(Duration::from_millis(100)))
                .unwrap();
            let mut room = [0; 2048];
            while let Ok(len) = way.recv(&mut room) {
                *count += 1;
                if *count <= most {
                    let _ = socket.send_to(&room[..len], client);
                }
            }
        })
    };
    let silent = udp_answers(|_, _, _, _| {});
    let garbage = udp_answers(|socket, datagram, client, _| {
        for at in 0..1000 {
            let noise = [&[0xa5, at as u8], datagram].concat();
            let _ = socket.send_to(&noise, client);
            let _ = socket.send_to(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 2], client);
        }
    });
    let refuses = udp_answers(|socket, _, client, _| {
        let _ = socket.send_to(
            &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40],
            client,
        );
    });
    for (server, expected, says) in [
        (passes(1), "tls", "the server begins it and does not end it"),
        (
            silent,
            "silent",
            "Nothing comes back from 127.0.0.1 over DTLS: ",
        ),
        (garbage, "tls", "who answers there does not speak DTLS"),
        (
            refuses,
            "tls",
            "the server refuses the handshake (HandshakeFailure)",
        ),
    ] {
        let started = Instant::now();
        let line = format!("turns:{server}?transport=udp --timeout 1s --insecure");
        let found = report(&line, 1);
        assert_eq!(conclusion(&found), expected, "{found}");
        let sentence = found["verdict"]["sentence"].as_str().unwrap();
        assert!(sentence.contains(says), "{sentence}");
        assert!(started.elapsed() < Duration::from_secs(5), "{line}");
    }
}

/// A UDP server that does what `answer` does with each datagram, and a count of its own.
fn udp_answers(
    answer: impl Fn(&UdpSocket, &[u8], SocketAddr, &mut usize) + Send + 'static,
) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let (mut room, mut count) = ([0; 2048], 0);
        while let Ok((len, client)) = socket.recv_from(&mut room) {
            answer(&socket, &room[..len], client, &mut count);
        }
    });
    address
}

#[test]
fn nothing_is_missing_where_a_host_has_no_dtls_and_it_is_not_waited_for() {
    let probe_host = |server: &Server| {
        let uri = server.uri(ListenerTransport::Udp);
        let host = uri.trim_start_matches("turn:");
        let secret = server.file("secret");
        let more = "--packets 5 --timeout 20s --insecure";
        let found = report(&format!("{host} --secret-file {secret} {more}"), 0);
        let sentence = found["verdict"]["sentence"].to_string();
        assert!(sentence.contains("Works: UDP relays; "), "{sentence}");
        assert!(number(&found, "seconds") < 10.0, "{found}");
        found
    };
    let found = probe_host(&Server::start("probe-bare", |_| {}));
    let attempts = found["attempts"].as_array().unwrap();
    let dtls = attempts.iter().find(|a| a["transport"] == "dtls").unwrap();
    assert_eq!(dtls["steps"][0]["trouble"]["kind"], "no-answer", "{dtls}");
    assert_eq!(found["verdict"]["notes"], json!([]), "{found}");

    // One socket for both.
    let found = probe_host(&Server::start("probe-bare-dtls", speak_dtls));
    let notes = found["verdict"]["notes"].to_string();
    assert!(notes.contains("DTLS to 127.0.0.1:"), "{notes}");
    assert!(notes.contains("works as well"), "{notes}");
}

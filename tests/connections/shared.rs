//! TURN, TURNS and HTTPS on one port.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::client::{Draft, Link, Peer, method};
use crate::program::{
    API_KEY, Config, DEFAULT_NAME, PATIENCE, Program, Tls, agreed, alice, ask, connect, get,
    handshake, is_closed, mapped_address,
};

fn with_api() -> Config {
    Config {
        api: true,
        ..Config::default()
    }
}

fn https(server: &Program, protocols: &[&str]) -> Tls {
    let config = Arc::new(server.client_config(protocols));
    handshake(connect(server.shared()), config, DEFAULT_NAME).expect("a session")
}

#[test]
fn turn_turns_and_https_are_served_at_once() {
    let server = Program::start(&with_api());
    let peer = Peer::at("127.0.0.1");
    let clear = connect(server.shared());
    let links = [
        Link::over(&clear),
        Link::over_tls(https(&server, &["stun.turn"])),
        Link::over_tls(https(&server, &[])),
    ];
    let mut clients = links.map(alice);
    for client in &mut clients {
        client.allocate();
        client.bind(0x4000, peer.address());
    }
    for protocols in [&["http/1.1"][..], &["h2", "http/1.1"], &[]] {
        let mut tls = https(&server, protocols);
        let expected = protocols.last().map(|name| name.as_bytes());
        assert_eq!(agreed(&tls).1, expected);
        let (status, answer) = ask(&mut tls, &get("/ice"));
        assert_eq!(status, 200, "{answer}");
        assert!(answer.contains("turns:turn.example.org:443"), "{answer}");
    }
    for client in &mut clients {
        client.channel_data(0x4000, b"still here");
        assert_eq!(peer.receive().0, b"still here");
    }
    for transport in ["transport=tcp", "transport=tls"] {
        server.logs(&["allocation opened", transport]);
    }
}

#[test]
fn no_byte_is_lost_however_the_first_ones_are_cut() {
    let server = Program::start(&with_api());
    let request = Draft::request(method::BINDING);
    for cut in [1, 2, 3, 19] {
        let mut stream = connect(server.shared());
        let bytes = request.bytes();
        stream.write_all(&bytes[..cut]).expect("writing");
        stream.write_all(&bytes[cut..]).expect("writing");
        alice(Link::over(&stream)).answer_to(&request).success();
        // The same within TLS, in records of their own.
        for protocols in [&[][..], &["stun.turn"]] {
            let mut tls = https(&server, protocols);
            tls.write_all(&bytes[..cut]).expect("writing");
            tls.write_all(&bytes[cut..]).expect("writing");
            alice(Link::over_tls(tls)).answer_to(&request).success();
        }
        for protocols in [&[][..], &["http/1.1"]] {
            let mut tls = https(&server, protocols);
            let request = get("/healthz");
            tls.write_all(&request.as_bytes()[..cut]).expect("writing");
            let (status, _) = ask(&mut tls, &request[cut..]);
            assert_eq!(status, 200);
        }
    }
    // A ClientHello, byte by byte.
    let mut stream = connect(server.shared());
    let config = Arc::new(server.client_config(&[]));
    let name = DEFAULT_NAME.try_into().expect("a name");
    let mut session = rustls::ClientConnection::new(config, name).expect("a client");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("a ClientHello");
    for byte in hello {
        stream.write_all(&[byte]).expect("writing");
    }
    let mut tls = rustls::StreamOwned::new(session, stream);
    assert_eq!(ask(&mut tls, &get("/healthz")).0, 200);
}

#[test]
fn http_in_the_clear_is_refused_but_for_health_checks() {
    let server = Program::start(&with_api());
    for path in ["/ice", "/", "/healthz/x", "/nothing"] {
        let (status, answer) = ask(&mut connect(server.shared()), &get(path));
        assert_eq!(status, 400, "{answer}");
        assert!(
            answer.ends_with("This port answers over https:// only.\n"),
            "{answer}"
        );
        assert!(!answer.contains("credential"), "{answer}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask(&mut connect(server.shared()), &get(path)).0, 200);
    }
}

#[test]
fn without_an_http_interface_http_is_not_spoken() {
    let server = Program::start(&Config::default());
    let mut clear = connect(server.shared());
    clear
        .write_all(get("/healthz").as_bytes())
        .expect("writing");
    assert!(is_closed(&mut clear));
    let mut tls = https(&server, &[]);
    tls.write_all(get("/healthz").as_bytes()).expect("writing");
    assert!(is_closed(&mut tls));
    server.logs(&["connection ended", "HTTP, which is not served"]);
}

#[test]
fn what_is_none_of_these_is_closed_and_what_says_nothing_in_time() {
    let server = Program::start(&Config {
        limits: "handshake_timeout = \"1s\"",
        ..with_api()
    });
    for bytes in [
        &b"SSH-2.0-OpenSSH\r\n"[..],
        b"\x40\0\0\x04abcd",
        b"PROXY TCP4 192.0.2.7 203.0.113.5 40001 443\r\n",
        b"\x16\x02\x01",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = connect(server.shared());
        stream.write_all(bytes).expect("writing");
        assert!(is_closed(&mut stream));
        let mut tls = https(&server, &[]);
        tls.write_all(bytes).expect("writing");
        assert!(is_closed(&mut tls));
    }
    let began = Instant::now();
    let mut silent = connect(server.shared());
    let mut undecided = connect(server.shared());
    undecided.write_all(b"OPTIO").expect("writing");
    let mut half_a_hello = connect(server.shared());
    half_a_hello
        .write_all(b"\x16\x03\x01\x02\0\x01")
        .expect("writing");
    let mut within = https(&server, &[]);
    assert!(is_closed(&mut silent) && is_closed(&mut undecided) && is_closed(&mut half_a_hello));
    assert!(is_closed(&mut within));
    assert!(began.elapsed() < PATIENCE);
    for reason in ["said nothing in time", "TLS handshake timed out"] {
        server.logs(&["connection ended", reason]);
    }
}

/// An HTTP connection has the limits of HTTP, not those of a client of TURN that has no allocation.
#[test]
fn a_connection_that_speaks_http_is_used_for_long() {
    let server = Program::start(&Config {
        more: "requests_per_key_per_minute = 10000\nrequests_per_address_per_minute = 10000",
        ..with_api()
    });
    let mut tls = https(&server, &["http/1.1"]);
    let request = get("/ice").replace("Connection: close", "Connection: keep-alive");
    let mut sent = 0;
    while sent < 200_000 {
        tls.write_all(request.as_bytes()).expect("writing");
        sent += request.len();
        let head = read_head(&mut tls);
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    assert_eq!(ask(&mut tls, &get("/healthz")).0, 200);
}

/// The head of an answer, and its body behind it.
fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    let length = head.split("content-length: ").nth(1).expect("a length");
    let length = length
        .split("\r\n")
        .next()
        .expect("a line")
        .parse()
        .expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    head.to_uppercase()
}

/// Who answers HTTP ends while the client still speaks: what was answered arrives all the same.
#[test]
fn a_refusal_in_the_middle_of_a_request_arrives() {
    let server = Program::start(&with_api());
    let mut tls = https(&server, &["http/1.1"]);
    let head = format!(
        "POST /ice HTTP/1.1\r\nHost: {DEFAULT_NAME}\r\nAuthorization: Bearer {API_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: 10000000\r\n\r\n"
    );
    tls.write_all(head.as_bytes()).expect("writing");
    for _ in 0..64 {
        if tls.write_all(&[b' '; 1024]).is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    tls.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
    // And it is not gone on with for ever.
    let end = Instant::now() + PATIENCE;
    while tls
        .write_all(&[b' '; 1024])
        .and_then(|()| tls.flush())
        .is_ok()
    {
        assert!(Instant::now() < end, "it is still read");
    }
}

#[test]
fn the_end_of_an_http_connection_is_heard_on_both_sides() {
    let server = Program::start(&with_api());
    // The client ends without a request.
    for protocols in [&["http/1.1"][..], &[]] {
        let mut tls = https(&server, protocols);
        tls.conn.send_close_notify();
        tls.flush().expect("writing");
        assert!(is_closed(&mut tls));
    }
    // The server has answered, and the client does not go.
    let mut clear = connect(server.shared());
    assert_eq!(ask(&mut clear, &get("/healthz")).0, 200);
    let end = Instant::now() + PATIENCE;
    while clear.write_all(b"x").is_ok() {
        assert!(Instant::now() < end, "it is kept");
    }
    // Half of a request, and then no more.
    let mut clear = connect(server.shared());
    clear
        .write_all(b"GET /healthz HTTP/1.1\r\n")
        .expect("writing");
    clear.shutdown(Shutdown::Write).expect("connected");
    let mut rest = Vec::new();
    clear.read_to_end(&mut rest).expect("its end");
}

#[test]
fn the_client_counts_for_http_whom_a_proxy_names() {
    let server = Program::start(&Config {
        listen: "proxy_protocol_from = [\"127.0.0.1\"]",
        more: "requests_per_address_per_minute = 6",
        ..with_api()
    });
    let ask_as = |client: &str, forwarded: &str| {
        let mut stream = connect(server.shared());
        let header = format!("PROXY TCP4 {client} 203.0.113.5 40001 443\r\n");
        stream.write_all(header.as_bytes()).expect("writing");
        let config = Arc::new(server.client_config(&["http/1.1"]));
        let mut tls = handshake(stream, config, DEFAULT_NAME).expect("a session");
        let request = format!(
            "GET /ice HTTP/1.1\r\nHost: {DEFAULT_NAME}\r\nX-Forwarded-For: {forwarded}\r\nConnection: close\r\n\r\n"
        );
        ask(&mut tls, &request).0
    };
    // A failed attempt counts as six; whom the client says that it is for does not matter.
    assert_eq!(ask_as("192.0.2.7", "198.51.100.1"), 401);
    assert_eq!(ask_as("192.0.2.7", "198.51.100.2"), 429);
    assert_eq!(ask_as("192.0.2.8", "198.51.100.2"), 401);
}

/// HTTP's connections are limited for each address as they are at its own listeners; TURN goes on.
#[test]
fn many_http_connections_do_not_keep_turn_out() {
    let server = Program::start(&Config {
        limits: "new_connections_burst = 1000",
        ..with_api()
    });
    let config = Arc::new(server.client_config(&["http/1.1"]));
    let mut held: Vec<_> = (0..140)
        .map(|_| handshake(connect(server.shared()), Arc::clone(&config), DEFAULT_NAME))
        .map(|tls| tls.expect("a session"))
        .collect();
    let mut alice = alice(Link::over_tls(https(&server, &["stun.turn"])));
    mapped_address(&mut alice);
    alice.allocate();
    // 128 from one address, as at the listeners of the HTTP interface.
    let closed = held
        .drain(128..)
        .filter_map(|mut tls| is_closed(&mut tls).then_some(()));
    assert_eq!(closed.count(), 12);
    let mut first = held.swap_remove(0);
    assert_eq!(ask(&mut first, &get("/healthz")).0, 200);
}

/// A connection that comes right behind another takes its place in the worker, and hears nothing of what happened to that.
#[test]
fn connections_that_follow_each_other_closely_do_not_disturb_each_other() {
    let server = Program::start(&Config {
        limits: "new_connections_per_second = 100000\nnew_connections_burst = 100000",
        more: "requests_per_key_per_minute = 100000\nrequests_per_address_per_minute = 100000",
        ..with_api()
    });
    let config = |protocols: &[&str]| Arc::new(server.client_config(protocols));
    let (http, turn) = (config(&["http/1.1"]), config(&["stun.turn"]));
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        // These go at once, and leave session tickets unread: the server is told of a reset.
        for config in [&http, &turn] {
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let stream = connect(server.shared());
                    let session = handshake(stream, Arc::clone(config), DEFAULT_NAME);
                    if let Ok(mut tls) = session {
                        tls.conn.send_close_notify();
                        let _ = tls.flush();
                    }
                }
            });
        }
        let asked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            for n in 0..500 {
                let stream = connect(server.shared());
                let session = handshake(stream, Arc::clone(&http), DEFAULT_NAME);
                let mut tls = session.unwrap_or_else(|error| panic!("connection {n}: {error}"));
                assert_eq!(ask(&mut tls, &get("/ice")).0, 200);
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        asked.unwrap_or_else(|panic| panic::resume_unwind(panic));
    });
}

//! ALPN (RFC 7443), certificates by name, and resumption.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind};

use crate::client::Link;
use crate::program::{
    Config, DEFAULT_NAME, NAMED, Program, Tls, WILDCARD, agreed, alice, connect, handshake,
    mapped_address, shown,
};

#[test]
fn the_protocols_of_rfc_7443_are_agreed_upon() {
    let server = Program::start(&Config::default());
    for address in [server.tls(), server.shared()] {
        for (offered, expected) in [
            (&["stun.turn"][..], Some("stun.turn")),
            (&["stun.nat-discovery"], Some("stun.nat-discovery")),
            (&["stun.nat-discovery", "stun.turn"], Some("stun.turn")),
            (&["h2", "stun.turn"], Some("stun.turn")),
            (&[], None),
        ] {
            let config = Arc::new(server.client_config(offered));
            let tls = handshake(connect(address), config, DEFAULT_NAME).expect("a session");
            assert_eq!(agreed(&tls).1, expected.map(str::as_bytes), "{offered:?}");
            let mut alice = alice(Link::over_tls(tls));
            mapped_address(&mut alice);
            alice.allocate();
        }
    }
}

/// RFC 7301 §3.2, which keeps a browser from taking one service of a host for another.
#[test]
fn who_offers_other_protocols_alone_is_told_so() {
    let server = Program::start(&Config::default());
    for version in [&TLS12, &TLS13] {
        for (address, offered) in [
            (server.tls(), &["h2", "http/1.1"][..]),
            (server.tls(), &["webrtc"]),
            // No HTTP interface is configured.
            (server.shared(), &["h2", "http/1.1"]),
        ] {
            let config = Arc::new(server.client_config_of(offered, &[version]));
            let error = handshake(connect(address), config, DEFAULT_NAME).expect_err("an alert");
            let error = error.to_string();
            assert!(error.contains("NoApplicationProtocol"), "{error}");
        }
    }
}

#[test]
fn a_client_gets_the_certificate_of_the_name_that_it_asks_for() {
    let server = Program::start(&Config::default());
    let config = Arc::new(server.client_config(&[]));
    for address in [server.tls(), server.shared()] {
        for (name, expected) in [
            (DEFAULT_NAME, DEFAULT_NAME),
            (NAMED, NAMED),
            ("TURN.Example.NET", NAMED),
            ("any.example.com", WILDCARD),
            // No name at all.
            ("127.0.0.1", DEFAULT_NAME),
        ] {
            let tls = handshake(connect(address), Arc::clone(&config), name).expect("a session");
            assert_eq!(shown(&tls), [expected], "{name}");
            mapped_address(&mut alice(Link::over_tls(tls)));
        }
        // A wildcard is one label, and an unknown name gets the default one, which is not for it.
        for name in ["a.b.example.com", "example.com", "turn.example.edu"] {
            let refused = handshake(connect(address), Arc::clone(&config), name);
            let error = refused.expect_err("another name").to_string();
            assert!(error.contains("not valid for name"), "{error}");
        }
    }
}

/// A session is resumed at whichever worker its client comes back to, by session tickets of either version.
#[test]
fn sessions_are_resumed_by_every_worker_for_every_certificate() {
    let server = Program::start(&Config {
        workers: 4,
        ..Config::default()
    });
    for version in [&TLS12, &TLS13] {
        for name in [DEFAULT_NAME, NAMED, "any.example.com"] {
            let config = Arc::new(server.client_config_of(&[], &[version]));
            let first = open(&server, &config, name);
            assert_eq!(first.conn.handshake_kind(), Some(HandshakeKind::Full));
            // From other ports: of sixteen connections, hardly all come to one of four workers.
            for _ in 0..16 {
                let tls = open(&server, &config, name);
                let kind = tls.conn.handshake_kind();
                assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?} {name}");
            }
        }
    }
}

/// A session that has been answered, so that the client has the ticket that comes behind the handshake of TLS 1.3.
fn open(server: &Program, config: &Arc<ClientConfig>, name: &str) -> Tls {
    let stream = connect(server.tls());
    let mut tls = handshake(stream, Arc::clone(config), name).expect("a session");
    let request = crate::client::Draft::request(crate::client::method::BINDING).bytes();
    tls.write_all(&request).expect("writing to the server");
    let mut answer = [0; 32];
    tls.read_exact(&mut answer).expect("an answer");
    tls
}

//! Starting and stopping: what is refused, in one sentence, and what is left behind.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use uturn::api::{Settings, start};
use uturn::auth::Secret;

use crate::client::get;
use crate::{KEY, open_settings, serve, settings};

#[track_caller]
fn error(settings: Settings) -> String {
    let error = start(settings, || true).err().expect("refused").to_string();
    assert!(!error.ends_with('.') && !error.contains('\n'), "{error}");
    error
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left_running() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("binds");
    let taken = taken.local_addr().map(|address| (taken, address));
    let (_held, taken) = taken.expect("bound");
    // On an address that no other test binds, so that none of them takes the port meanwhile.
    let free = TcpListener::bind("127.0.0.2:0").expect("binds");
    let free_address = free.local_addr().expect("bound");
    drop(free);
    let error = error(Settings {
        listen: vec![free_address, taken],
        ..settings()
    });
    let port = taken.port();
    let expected = format!(
        "cannot listen for HTTP on {taken}: \
         another process has the port (`ss -lntp sport = :{port}` shows which)"
    );
    assert_eq!(error, expected);
    TcpListener::bind(free_address).expect("the other port is free again");
}

#[test]
fn without_keys_only_loopback_is_listened_on() {
    for public in ["0.0.0.0:0", "[::]:0", "192.0.2.1:3480"] {
        let error = error(Settings {
            listen: vec![address("127.0.0.1:0"), address(public)],
            ..open_settings()
        });
        assert!(
            error.contains(public) && error.contains("API key"),
            "{error}"
        );
    }
    serve(Settings {
        listen: vec![address("0.0.0.0:0")],
        ..settings()
    });
}

#[test]
fn without_keys_no_proxy_is_trusted() {
    let proxy = address("127.0.0.1:0").ip();
    let error = error(Settings {
        trusted_proxies: vec![proxy..=proxy],
        ..open_settings()
    });
    assert!(
        error.contains("trusted proxies") && error.contains("API key"),
        "{error}"
    );
}

#[test]
fn everyone_is_no_proxy() {
    let [first, last] = ["0.0.0.0:0", "255.255.255.255:0"].map(|text| address(text).ip());
    let error = error(Settings {
        trusted_proxies: vec![first..=last],
        ..settings()
    });
    assert!(error.contains("0.0.0.0 to 255.255.255.255"), "{error}");
}

#[test]
fn both_families_share_a_port() {
    let first = serve(Settings {
        listen: vec![address("0.0.0.0:0")],
        ..settings()
    });
    let port = first.addresses()[0].port();
    let second = serve(Settings {
        listen: vec![SocketAddr::new(address("[::]:0").ip(), port)],
        ..settings()
    });
    TcpStream::connect(("127.0.0.1", port)).expect("IPv4");
    TcpStream::connect(("::1", port)).expect("IPv6");
    second.stop();
    first.stop();
}

#[test]
fn settings_that_could_serve_nobody_are_refused() {
    let mut empty_key = settings();
    empty_key.keys[0].secret = Secret::new("");
    assert!(error(empty_key).contains("`web`"));

    let mut twice = settings();
    twice.keys.push(twice.keys[0].clone());
    assert!(error(twice).contains("`web`"));

    let uris = |uris: &[&str]| Settings {
        uris: uris.iter().map(|&uri| uri.to_owned()).collect(),
        ..settings()
    };
    assert!(error(uris(&[])).contains("TURN URI"));
    assert!(error(uris(&["stun:turn.example.org"])).contains("TURN URI"));
    assert!(error(uris(&["https://turn.example.org"])).contains("`https://turn.example.org`"));

    let no_requests = Settings {
        per_address_per_minute: 0,
        ..settings()
    };
    assert!(error(no_requests).contains("minute"));
    let no_time = Settings {
        max_ttl: Duration::ZERO,
        ..settings()
    };
    assert!(error(no_time).contains("second"));
}

#[test]
fn stopping_frees_every_port() {
    let server = serve(Settings {
        listen: vec![address("127.0.0.3:0"), address("127.0.0.3:0")],
        ..settings()
    });
    let addresses = server.addresses().to_vec();
    get(&server, "/ice").bearer(KEY).send().credentials();
    server.stop();
    for address in addresses {
        TcpListener::bind(address).expect("free");
    }
}

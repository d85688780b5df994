//! Behind a web server: whose limit a request counts against.

use std::net::IpAddr;

use uturn::api::{Running, Settings};

use crate::client::{Answer, get};
use crate::{KEY, serve, settings};

/// A server that lets each address fail once, and trusts the proxy at `proxy`.
fn behind(proxy: &str) -> Running {
    let proxy: IpAddr = proxy.parse().expect("an address");
    serve(Settings {
        trusted_proxies: vec![proxy..=proxy],
        per_address_per_minute: 6,
        ..settings()
    })
}

/// Asks with a wrong key, as a proxy would pass it on.
fn guess(server: &Running, header: &str, value: &str) -> Answer {
    let guess = get(server, "/ice").bearer("wrong");
    guess.header(header, value).send()
}

#[test]
fn each_client_of_a_trusted_proxy_has_a_limit_of_its_own() {
    let server = behind("127.0.0.1");
    for (header, first, second) in [
        ("X-Forwarded-For", "198.51.100.1", "198.51.100.2"),
        (
            "Forwarded",
            "for=198.51.100.3",
            "for=\"[2001:db8::1]:4711\"",
        ),
    ] {
        guess(&server, header, first).problem(401);
        guess(&server, header, first).problem(429);
        guess(&server, header, second).problem(401);
    }
    // What the client claims to the left of its address changes nothing.
    guess(&server, "X-Forwarded-For", "203.0.113.9, 198.51.100.1").problem(429);
}

#[test]
fn requests_of_the_proxy_itself_share_its_limit() {
    let server = behind("127.0.0.1");
    guess(&server, "X-Forwarded-For", "unknown").problem(401);
    guess(&server, "X-Forwarded-For", "app.example.org").problem(429);
    get(&server, "/ice").bearer(KEY).send().problem(429);
    let elsewhere = get(&server, "/ice").header("X-Forwarded-For", "198.51.100.1");
    elsewhere.bearer(KEY).send().credentials();
}

#[test]
fn from_anyone_else_the_headers_are_ignored() {
    let server = behind("127.0.0.9");
    guess(&server, "X-Forwarded-For", "198.51.100.1").problem(401);
    guess(&server, "X-Forwarded-For", "198.51.100.2").problem(429);
    guess(&server, "Forwarded", "for=198.51.100.3").problem(429);
}

#[test]
fn a_refused_origin_counts_against_the_client() {
    let server = behind("127.0.0.1");
    let ask = |client: &str| {
        let ask = get(&server, "/ice").header("Origin", "https://evil.example");
        ask.header("X-Forwarded-For", client).send()
    };
    for _ in 0..6 {
        ask("198.51.100.1").problem(403);
    }
    ask("198.51.100.1").problem(429);
    ask("198.51.100.2").problem(403);
}

//! Redirection to another server (RFC 8489 §10, §14.15, §14.16).

use std::net::SocketAddr;

use crate::client::attribute::{self, ALTERNATE_SERVER, PASSWORD_ALGORITHM, PASSWORD_ALGORITHMS};
use crate::client::{Client, Draft, Message, allocate, method, sha256_key};
use crate::target::{ALTERNATE_DOMAIN, ALTERNATES, Flavour, Target};

/// RFC 8489 §14.8: only who has authenticated learns of another server.
#[test]
fn alt_01_redirection_needs_credentials() {
    let Some(server) = Target::with(Flavour::Redirecting) else {
        return;
    };
    let mut client = server.udp();
    let answer = client.exchange(&allocate()).error(401);
    assert!(!answer.has(ALTERNATE_SERVER), "{answer:?}");
    let key = b"not the key of anybody".to_vec();
    let wrong = client.name_as(&server.alice, allocate()).sign(&key);
    let answer = client.exchange(&wrong).error(401);
    assert!(!answer.has(ALTERNATE_SERVER), "{answer:?}");
}

/// RFC 8489 §10, §14.15: a signed 300 names a server of the request's family, then one of the other.
#[test]
fn alt_02_allocate_is_sent_to_a_server_of_its_family() {
    let Some(server) = Target::with(Flavour::Redirecting) else {
        return;
    };
    let mut told = Vec::new();
    for _ in 0..4 {
        let mut client = server.udp();
        let answer = client.call(allocate()).error(300);
        assert!(answer.is_signed_with(&client.key()), "{answer:?}");
        let servers = servers(&answer);
        assert!(servers[0].is_ipv4() && servers[1].is_ipv6(), "{servers:?}");
        told.extend(servers);
    }
    // Clients are spread over all of them.
    for alternate in ALTERNATES {
        assert!(told.contains(&alternate.parse().expect("an address")));
    }
    if let Some(mut client) = server.udp_over_ipv6() {
        let servers = servers(&client.call(allocate()).error(300));
        assert!(servers[0].is_ipv6() && servers[1].is_ipv4(), "{servers:?}");
    }
}

/// RFC 8489 §12: a Binding is not redirected.
#[test]
fn alt_03_binding_is_not_redirected() {
    let Some(server) = Target::with(Flavour::Redirecting) else {
        return;
    };
    let mut client = server.udp();
    client.exchange(&Draft::request(method::BINDING)).success();
}

/// RFC 8489 §14.16: over TLS, a client that signs by SHA-256 is told the name in the other server's certificate.
#[test]
fn alt_04_name_of_the_other_certificate_is_told_over_tls() {
    let Some(server) = Target::with(Flavour::Redirecting) else {
        return;
    };
    let Some(client) = server.tls() else {
        return;
    };
    let answer = call_by_sha256(&server, client);
    assert_eq!(
        answer.text(attribute::ALTERNATE_DOMAIN),
        Some(ALTERNATE_DOMAIN)
    );
    // Where no certificate is checked, none is named.
    let answer = call_by_sha256(&server, server.udp());
    assert!(!answer.has(attribute::ALTERNATE_DOMAIN), "{answer:?}");
}

#[track_caller]
fn call_by_sha256(server: &Target, mut client: Client) -> Message {
    let challenge = client.exchange(&allocate()).error(401);
    let list = challenge.get(PASSWORD_ALGORITHMS).expect("the list");
    let realm = client.realm();
    let key = sha256_key(&server.alice.name, &realm, &server.alice.password);
    let request = client
        .name_as(&server.alice, allocate())
        .put(PASSWORD_ALGORITHMS, list)
        .put(PASSWORD_ALGORITHM, [0, 2, 0, 0]);
    client.exchange(&request.sign_sha256(&key)).error(300)
}

/// ALTERNATE-SERVER is not XORed.
#[track_caller]
fn servers(answer: &Message) -> Vec<SocketAddr> {
    answer.plain_addresses(ALTERNATE_SERVER).collect()
}

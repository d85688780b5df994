//! EVEN-PORT and RESERVATION-TOKEN (RFC 8656 §7.2).

use std::net::SocketAddr;
use std::time::Duration;

use uturn::turn::{Protocol, RESERVATION_LIFETIME, RelayAddress, Transport};

use crate::net::codec::{EVEN_PORT, RESERVATION_TOKEN, Request};
use crate::net::setup::SERVER_V6;
use crate::net::{ClientId, Net, Step, at};

const INSTANT: Duration = Duration::from_nanos(1);

fn even() -> Request {
    Request::allocate().with(EVEN_PORT, [0])
}

fn pair() -> Request {
    Request::allocate().with(EVEN_PORT, [0x80])
}

fn with_token(token: &[u8]) -> Request {
    Request::allocate().with(RESERVATION_TOKEN, token)
}

/// A client that reserved the port above its own, and the token.
fn reserve(net: &mut Net) -> (ClientId, Vec<u8>) {
    let alice = net.client("alice");
    let response = net.succeed(alice, pair());
    let token = response.get(RESERVATION_TOKEN).expect("a token").to_vec();
    assert_eq!(token.len(), 8);
    assert_eq!(net.relayed(alice).port() % 2, 0);
    (alice, token)
}

fn next_port(mut address: SocketAddr) -> SocketAddr {
    address.set_port(address.port() + 1);
    address
}

#[test]
fn an_even_port_is_even_and_reserves_nothing() {
    let mut net = Net::new();
    for _ in 0..8 {
        let alice = net.client("alice");
        let response = net.succeed(alice, even());
        assert_eq!(net.relayed(alice).port() % 2, 0);
        assert!(!response.has(RESERVATION_TOKEN));
    }
    assert_eq!(net.shell.reservations(), 0);
}

#[test]
fn a_token_is_good_for_the_next_higher_port() {
    let mut net = Net::new();
    let (alice, token) = reserve(&mut net);
    let bob = net.client("bob");
    net.succeed(bob, with_token(&token));
    assert_eq!(net.relayed(bob), next_port(net.relayed(alice)));
    assert_eq!(net.shell.reservations(), 0);
}

#[test]
fn alc_24_a_token_is_usable_over_tcp_28_seconds_later() {
    let mut net = Net::new();
    let (alice, token) = reserve(&mut net);
    net.advance_secs(28);
    let other = net.client_at(Transport::Tcp, at("192.0.2.77:5000"), "alice");
    net.succeed(other, with_token(&token));
    assert_eq!(net.relayed(other), next_port(net.relayed(alice)));
    // The end of the reservation does not touch the port that is used by then.
    net.advance_secs(100);
    assert!(
        net.relayed
            .open_behind(net.relayed(other), Protocol::Udp)
            .is_some()
    );
}

#[test]
fn alc_24_a_reservation_ends_exactly_after_30_seconds() {
    let mut net = Net::new();
    let (_, token) = reserve(&mut net);
    net.advance(RESERVATION_LIFETIME - INSTANT);
    assert_eq!(net.relayed.open_ports(), 2);
    net.advance(INSTANT);
    assert_eq!(net.relayed.open_ports(), 1);
    let bob = net.client("bob");
    assert_eq!(net.refusal(bob, with_token(&token)), 508);
}

#[test]
fn a_reservation_has_ended_although_its_deadline_waits() {
    let mut net = Net::new();
    let (_, token) = reserve(&mut net);
    net.advance_unnoticed(RESERVATION_LIFETIME);
    let bob = net.client("bob");
    assert_eq!(net.refusal(bob, with_token(&token)), 508);
}

#[test]
fn a_token_is_good_once() {
    let mut net = Net::new();
    let (_, token) = reserve(&mut net);
    let (bob, carol) = (net.client("bob"), net.client("carol"));
    net.succeed(bob, with_token(&token));
    assert_eq!(net.refusal(carol, with_token(&token)), 508);
    net.succeed(bob, Request::refresh().lifetime(0));
    assert_eq!(net.refusal(carol, with_token(&token)), 508);
}

#[test]
fn an_unknown_token_is_refused() {
    let mut net = Net::new();
    let alice = net.client("alice");
    assert_eq!(net.refusal(alice, with_token(b"whatever")), 508);
    assert_eq!(net.refusal(alice, with_token(b"short")), 400);
    assert_eq!(net.quotas.allocations(), 0);
}

#[test]
fn a_token_excludes_whatever_else_chooses_an_address() {
    let mut net = Net::new();
    let (_, token) = reserve(&mut net);
    let bob = net.client("bob");
    for token in [&token[..], b"whatever"] {
        for request in [
            with_token(token).with(EVEN_PORT, [0]),
            with_token(token).family(1),
            with_token(token).family(2),
            with_token(token).with(0x8000, [2, 0, 0, 0]),
        ] {
            assert_eq!(net.refusal(bob, request), 400);
        }
    }
    net.succeed(bob, with_token(&token));
}

#[test]
fn a_reservation_outlives_the_allocation_that_made_it() {
    let mut net = Net::new();
    let (alice, token) = reserve(&mut net);
    let reserved = next_port(net.relayed(alice));
    net.succeed(alice, Request::refresh().lifetime(0));
    net.succeed(alice, with_token(&token));
    assert_eq!(net.relayed(alice), reserved);
}

#[test]
fn an_unused_reservation_is_given_back_once() {
    let mut net = Net::new();
    reserve(&mut net);
    net.journal.clear();
    net.advance_secs(599);
    assert_eq!(net.journal, [Step::ReservationDropped]);
}

#[test]
fn a_pair_of_ipv6_ports_is_of_ipv6() {
    let mut net = Net::with(|setup| {
        setup.relay = vec![RelayAddress {
            bind: SERVER_V6,
            external: None,
        }];
    });
    let alice = net.client("alice");
    let response = net.succeed(alice, pair().family(2));
    let token = response.get(RESERVATION_TOKEN).unwrap().to_vec();
    let bob = net.client("bob");
    net.succeed(bob, with_token(&token));
    assert_eq!(net.relayed(bob), next_port(net.relayed(alice)));
}

#[test]
fn no_pair_and_no_port_are_insufficient_capacity() {
    let mut net = Net::with(|setup| setup.ports = 50_001..=50_003);
    let (alice, bob, carol) = (net.client("alice"), net.client("bob"), net.client("carol"));
    net.succeed(alice, even());
    assert_eq!(net.relayed(alice).port(), 50_002);
    assert_eq!(net.refusal(bob, pair()), 508);
    assert_eq!(net.refusal(bob, even()), 508);
    net.succeed(bob, Request::allocate());
    net.succeed(carol, Request::allocate());
    let dave = net.client("carol");
    assert_eq!(net.refusal(dave, Request::allocate()), 508);
    assert_eq!(net.quotas.allocations(), 3);
}

#[test]
fn a_malformed_even_port_is_refused() {
    let mut net = Net::new();
    let alice = net.client("alice");
    for value in [&[][..], &[0, 0, 0, 0]] {
        let request = Request::allocate().with(EVEN_PORT, value);
        assert_eq!(net.refusal(alice, request), 400);
    }
}

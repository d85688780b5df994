//! Allocations with a relayed transport address of each family.

use std::time::Duration;

use uturn::turn::{EndReason, OpenError};

use crate::net::codec::{Request, XOR_RELAYED_ADDRESS};
use crate::net::setup::{SERVER_V4, SERVER_V6};
use crate::net::{Net, at};

const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
const ADDRESS_ERROR_CODE: u16 = 0x8001;

fn dual() -> Request {
    Request::allocate().with(ADDITIONAL_ADDRESS_FAMILY, [2, 0, 0, 0])
}

#[test]
fn an_additional_family_is_ipv6_and_excludes_a_requested_one() {
    let mut net = Net::new();
    let alice = net.client("alice");
    let with = |family| Request::allocate().with(ADDITIONAL_ADDRESS_FAMILY, [family, 0, 0, 0]);
    for family in [0, 1, 9] {
        assert_eq!(net.refusal(alice, with(family)), 400, "{family}");
    }
    assert_eq!(net.refusal(alice, with(2).family(2)), 400);
    let response = net.succeed(alice, with(2));
    assert!(!response.has(ADDRESS_ERROR_CODE));
    assert_eq!((net.server.allocations(), net.server.relays()), (1, 2));
}

#[test]
fn a_family_that_the_server_lacks_is_told_with_440() {
    for (lacking, family) in [(SERVER_V6, 2), (SERVER_V4, 1)] {
        let mut net = Net::with(|setup| setup.relay.retain(|relay| relay.bind != lacking));
        let alice = net.client("alice");
        let response = net.succeed(alice, dual());
        let error = response.get(ADDRESS_ERROR_CODE).expect("the reason");
        assert_eq!(error[..4], [family, 0, 4, 40]);
        let relayed = response.address(XOR_RELAYED_ADDRESS);
        assert_ne!(relayed.is_ipv4(), lacking.is_ipv4());
        let refreshed = net.succeed(alice, Request::refresh());
        assert!(!refreshed.has(ADDRESS_ERROR_CODE));
    }
}

#[test]
fn an_address_without_a_port_is_told_with_508() {
    for (spared, family) in [(0, 1), (1, 2)] {
        let mut net = Net::new();
        let alice = net.client("alice");
        net.shell.fails_with = Some(OpenError::NoPort);
        net.shell.spared = spared;
        let response = net.succeed(alice, dual());
        let error = response.get(ADDRESS_ERROR_CODE).expect("the reason");
        assert_eq!(error[..4], [family, 0, 5, 8]);
        assert_eq!((net.server.allocations(), net.server.relays()), (1, 1));
    }
}

#[test]
fn without_any_port_the_allocation_fails() {
    let mut net = Net::with(|setup| setup.ports = 50_000..=50_000);
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    net.succeed(alice, dual());
    assert_eq!(net.refusal(bob, dual()), 508);
    assert_eq!(net.server.allocations(), 1);
    // What failed holds nothing.
    net.succeed(alice, Request::refresh().lifetime(0));
    net.succeed(bob, dual());
}

#[test]
fn both_addresses_end_with_the_allocation() {
    let mut net = Net::new();
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    net.succeed(alice, dual());
    net.advance(Duration::from_secs(600));
    assert_eq!((net.server.allocations(), net.server.relays()), (0, 0));
    assert_eq!(net.endings(), [EndReason::Expired]);
    // Names of relays are used again.
    net.succeed(bob, dual());
    net.succeed(alice, dual());
    net.disconnect(alice);
    assert_eq!((net.server.allocations(), net.server.relays()), (1, 2));
}

#[test]
fn one_address_can_be_deleted_and_its_name_used_again() {
    for family in [1, 2] {
        let mut net = Net::new();
        let (alice, bob) = (net.client("alice"), net.client("bob"));
        net.succeed(alice, dual());
        net.succeed(alice, Request::refresh().lifetime(0).family(family));
        assert_eq!((net.server.allocations(), net.server.relays()), (1, 1));
        net.succeed(bob, dual());
        assert_eq!((net.server.allocations(), net.server.relays()), (2, 3));
        let other = 3 - family;
        assert_eq!(net.refusal(alice, Request::refresh().family(family)), 443);
        net.succeed(alice, Request::refresh().lifetime(0).family(other));
        assert_eq!(net.refusal(alice, Request::refresh()), 437);
        assert_eq!((net.server.allocations(), net.server.relays()), (1, 2));
    }
}

#[test]
fn a_peer_is_reached_from_the_address_of_its_family() {
    let mut net = Net::new();
    let alice = net.client("alice");
    net.succeed(alice, dual());
    for (peer, server) in [("1.2.3.4:9", SERVER_V4), ("[2600:2::9]:9", SERVER_V6)] {
        let peer = at(peer);
        net.permit(alice, peer);
        let sent = net.send(alice, peer, b"data").expect("relayed");
        assert_eq!(sent.from.ip(), server);
    }
}

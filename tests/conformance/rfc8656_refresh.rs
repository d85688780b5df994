//! Refresh, and the end of an allocation (RFC 8656 §8).

use std::time::Duration;

use crate::client::attribute::*;
use crate::client::{Draft, Peer, QUIET_TIME, is_refused, method};
use crate::target::{Flavour, Target};

/// RFC 8656 §5: without an allocation: 437.
#[test]
fn rfr_01_refresh_without_allocation_gets_437() {
    let mut client = Target::shared().udp();
    client.refresh(None).error(437);
}

/// RFC 8656 §8.2: LIFETIME 0 deletes at once, and the answer says 0; over a stream it arrives too.
#[test]
fn rfr_02_lifetime_0_deletes_at_once() {
    let server = Target::shared();
    for mut client in server.streams().into_iter().chain([server.udp()]) {
        client.allocate();
        assert_eq!(client.refresh(Some(0)).success().lifetime(), Some(0));
        client.refresh(None).error(437);
    }
}

/// RFC 8656 §8.2: without LIFETIME the default is granted.
#[test]
fn rfr_03_lifetime_defaults_to_600_s() {
    let mut client = Target::shared().udp();
    client.allocate();
    assert_eq!(client.refresh(None).success().lifetime(), Some(600));
}

/// RFC 8656 §8.2: LIFETIME is clamped as in Allocate.
#[test]
fn rfr_04_lifetime_is_clamped() {
    let mut client = Target::shared().udp();
    client.allocate();
    let longest = client.refresh(Some(u32::MAX)).success().lifetime();
    assert!(
        longest.is_some_and(|seconds| (600..=3600).contains(&seconds)),
        "{longest:?}"
    );
    assert_eq!(client.refresh(Some(5)).success().lifetime(), Some(600));
}

/// RFC 8656 §8.2: a family that the allocation does not have: 443, and the allocation stays.
#[test]
fn rfr_05_other_family_gets_443() {
    let mut client = Target::shared().udp();
    client.allocate();
    let request = Draft::request(method::REFRESH).put(LIFETIME, [0; 4]);
    client
        .call(request.put(REQUESTED_ADDRESS_FAMILY, [2, 0, 0, 0]))
        .error(443);
    client.refresh(None).success();
}

/// RFC 8656 §8.2: a retransmitted deletion gets its success again, or 437.
#[test]
fn rfr_07_retransmitted_deletion_gets_success_or_437() {
    let mut client = Target::shared().udp();
    client.allocate();
    let request = client.seal(Draft::request(method::REFRESH).put(LIFETIME, [0; 4]));
    client.exchange(&request).success();
    let answer = client.exchange(&request);
    if answer.code().is_some() {
        answer.error(437);
    }
}

/// RFC 8656 §8.2: the relay socket closes with the allocation.
#[test]
fn rfr_08_deleted_allocation_closes_its_port() {
    let mut client = Target::shared().udp();
    let relay = client.allocate();
    client.refresh(Some(0)).success();
    assert!(is_refused(relay, QUIET_TIME), "the relay port stays open");
}

/// RFC 8656 §5: Refresh responses are signed and carry SOFTWARE.
#[test]
fn rfr_09_refresh_responses_are_signed_and_carry_software() {
    let mut client = Target::shared().udp();
    client.allocate();
    for answer in [
        client.refresh(None).success(),
        client.refresh(Some(0)).success(),
    ] {
        assert!(
            answer.is_signed_with(&client.key()) && answer.has(SOFTWARE),
            "{answer:?}"
        );
    }
}

/// RFC 8656 §8.2: nothing is relayed after the deletion, either way.
#[test]
fn rfr_10_nothing_is_relayed_after_deletion() {
    let mut client = Target::shared().udp();
    let peer = Peer::at("127.0.0.2");
    let relay = client.allocate();
    client.bind(0x4000, peer.address());
    client.channel_data(0x4000, b"before");
    peer.expect(b"before");
    client.refresh(Some(0)).success();
    client.send_indication(peer.address(), b"after");
    client.channel_data(0x4000, b"after");
    peer.send(relay, b"after");
    peer.expect_nothing();
    client.expect_nothing();
}

/// RFC 8656 §6: an allocation that is not refreshed ends by itself, with its permissions, its channels and its port.
#[test]
fn rfr_11_allocation_expires() {
    let Some(server) = Target::with(Flavour::ShortLifetime) else {
        return;
    };
    let mut client = server.udp();
    let peer = Peer::at("127.0.0.2");
    let relay = client.allocate();
    client.bind(0x4000, peer.address());
    let refreshed = client.refresh(None).success().lifetime();
    assert!(
        refreshed.is_some_and(|seconds| seconds <= 10),
        "too long to wait for: {refreshed:?}"
    );
    assert!(
        is_refused(relay, Duration::from_secs(20)),
        "the relay port stays open"
    );
    client.refresh(None).error(437);
    client.allocate();
    client.channel_data(0x4000, b"through a channel of the last allocation");
    client.permit(peer.address());
    client.send_indication(peer.address(), b"through the new permission");
    peer.expect(b"through the new permission");
}

//! ICMP errors about data to a peer (RFC 8656 §11.5).

use std::time::Duration;

use uturn::admission::bandwidth::LEAST_BURST;
use uturn::turn::{DropReason, IcmpErrors, PERMISSION_LIFETIME, Transport};
use uturn::wire::Icmp;

use crate::net::codec::{DATA, ICMP, Request, XOR_PEER_ADDRESS};
use crate::net::{Net, Setup, at};

const PORT_UNREACHABLE: Icmp = Icmp {
    typ: 3,
    code: 3,
    mtu: 0,
};
/// Of the indication of an IPv4 peer: header, XOR-PEER-ADDRESS, ICMP.
const INDICATION: usize = 20 + 12 + 12;

/// A server that tells every client.
fn telling() -> Net {
    telling_with(|_| {})
}

fn telling_with(change: impl FnOnce(&mut Setup)) -> Net {
    Net::with(|setup| {
        setup.turn.icmp_errors = IcmpErrors::All;
        change(setup);
    })
}

#[test]
fn who_names_no_password_algorithm_is_not_told_unless_all_are() {
    for (icmp_errors, is_told) in [
        (IcmpErrors::All, true),
        (IcmpErrors::Rfc8489, false),
        (IcmpErrors::None, false),
    ] {
        let mut net = Net::with(|setup| setup.turn.icmp_errors = icmp_errors);
        let alice = net.allocate("alice");
        let peer = net.peer();
        net.permit(alice, peer);
        let told = net.icmp_about(peer, alice, PORT_UNREACHABLE);
        assert_eq!(told.is_some(), is_told);
    }
}

#[test]
fn an_error_reaches_the_client_as_a_data_indication() {
    for transport in [Transport::Udp, Transport::Tcp, Transport::Tls] {
        let mut net = telling();
        let alice = net.client_at(transport, at("192.0.2.1:7"), "alice");
        net.succeed(alice, Request::allocate());
        let peer = net.peer();
        net.permit(alice, peer);
        for with_channel in [false, true] {
            if with_channel {
                net.bind(alice, 0x4000, peer);
            }
            let told = net.icmp_about(peer, alice, PORT_UNREACHABLE).unwrap();
            assert_eq!(told.address(XOR_PEER_ADDRESS), peer);
            assert_eq!(told.get(ICMP), Some(&[0, 0, 3, 3, 0, 0, 0, 0][..]));
            assert!(!told.has(DATA));
        }
    }
}

#[test]
fn each_indication_has_a_transaction_id_of_its_own() {
    let mut net = telling();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    let [first, second] =
        [(); 2].map(|()| net.icmp_about(peer, alice, PORT_UNREACHABLE).unwrap().id);
    assert_ne!(first, second);
}

#[test]
fn any_port_of_a_permitted_address_is_told_of() {
    let mut net = telling();
    let alice = net.allocate("alice");
    let mut peer = net.peer();
    net.permit(alice, peer);
    // 0 is what the kernel says where it does not know.
    for port in [0, 9] {
        peer.set_port(port);
        let told = net.icmp_about(peer, alice, PORT_UNREACHABLE).unwrap();
        assert_eq!(told.address(XOR_PEER_ADDRESS), peer);
    }
}

#[test]
fn errors_of_the_other_family_have_their_own_types() {
    let mut net = telling();
    let alice = net.client("alice");
    net.succeed(alice, Request::allocate().family(2));
    let peer = net.peer_v6();
    net.permit(alice, peer);
    let too_big = Icmp {
        typ: 2,
        code: 0,
        mtu: 1280,
    };
    let told = net.icmp_about(peer, alice, too_big).unwrap();
    assert_eq!(told.address(XOR_PEER_ADDRESS), peer);
    assert_eq!(told.get(ICMP), Some(&[0, 0, 2, 0, 0, 0, 5, 0][..]));
    // Destination unreachable of IPv4 is time exceeded of IPv6; type 11 is of IPv4 alone.
    for (typ, arrives) in [(1, true), (3, true), (4, false), (11, false), (128, false)] {
        let icmp = Icmp {
            typ,
            code: 0,
            mtu: 0,
        };
        assert_eq!(
            net.icmp_about(peer, alice, icmp).is_some(),
            arrives,
            "{typ}"
        );
    }
}

/// ICM-04: what counts is the permission of the peer that the datagram was for.
#[test]
fn icm_04_an_error_about_a_peer_without_permission_is_dropped() {
    let mut net = telling();
    let alice = net.allocate("alice");
    let (peer, other) = (net.peer(), net.peer());
    net.permit(alice, peer);
    assert!(net.icmp_about(other, alice, PORT_UNREACHABLE).is_none());
    net.advance(PERMISSION_LIFETIME - Duration::from_secs(1));
    assert!(net.icmp_about(peer, alice, PORT_UNREACHABLE).is_some());
    net.advance_secs(1);
    assert!(net.icmp_about(peer, alice, PORT_UNREACHABLE).is_none());
    assert_eq!(net.drops(DropReason::NoPermission), 2);
}

#[test]
fn an_error_about_a_peer_that_may_not_be_reached_is_dropped() {
    let mut net = telling();
    let alice = net.allocate("alice");
    let denied = at("10.0.0.1:9");
    assert!(net.icmp_about(denied, alice, PORT_UNREACHABLE).is_none());
    assert_eq!(net.drops(DropReason::PeerDenied), 1);
}

#[test]
fn an_error_after_the_allocation_has_ended_is_dropped() {
    let mut net = telling();
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    net.advance_unnoticed(Duration::from_secs(600));
    assert!(net.icmp_about(peer, alice, PORT_UNREACHABLE).is_none());
    assert_eq!(net.drops(DropReason::NoAllocation), 1);
}

#[test]
fn a_flood_of_errors_is_held_to_the_bandwidth_of_the_allocation() {
    let mut net = telling_with(|setup| setup.bandwidth.per_allocation = 100_000);
    let alice = net.allocate("alice");
    let peer = net.peer();
    net.permit(alice, peer);
    let told = |net: &mut Net| {
        let told = |_: &usize| net.icmp_about(peer, alice, PORT_UNREACHABLE).is_some();
        (0..20_000).filter(told).count()
    };
    assert_eq!(told(&mut net), LEAST_BURST as usize / INDICATION);
    net.advance_secs(1);
    assert!(told(&mut net).abs_diff(100_000 / INDICATION) <= 1);
}

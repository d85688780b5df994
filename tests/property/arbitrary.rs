//! Nothing that arrives, whenever it arrives, makes the relay panic.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use uturn::auth::UnixTime;
use uturn::turn::{FromClient, RelayId};
use uturn::wire::Icmp;
use uturn::wire::data_header::MAX_HEADER;

use crate::net::codec::Request;
use crate::net::{ClientId, Net, at};

/// What arrives.
#[derive(Clone, Debug)]
enum Arrival {
    /// Any bytes from a client.
    Bytes(Vec<u8>),
    /// A message with any attributes, signed or not.
    Message {
        typ: u16,
        attributes: Vec<(u16, Vec<u8>)>,
        signed: bool,
    },
    /// A request that would work, with one byte changed and the end cut off.
    Damaged {
        which: usize,
        at: usize,
        value: u8,
        cut: usize,
    },
    /// Something at a relay socket that may not be there.
    FromPeer {
        relay: u32,
        source: SocketAddr,
        len: usize,
    },
    /// An ICMP error at a relay socket that may not be there.
    Icmp {
        relay: u32,
        peer: SocketAddr,
        icmp: Icmp,
    },
    /// Time, by either clock.
    Time { forward: Duration, unix: u64 },
}

fn attribute() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let known = prop::sample::select(vec![
        0x0001_u16, 0x0006, 0x0008, 0x0009, 0x000A, 0x000C, 0x000D, 0x0012, 0x0013, 0x0014, 0x0015,
        0x0016, 0x0017, 0x0018, 0x0019, 0x001A, 0x0020, 0x0022, 0x8000, 0x8022, 0x8028,
    ]);
    let typ = prop_oneof![4 => known, 1 => any::<u16>()];
    (typ, vec(any::<u8>(), 0..24))
}

fn arrival() -> impl Strategy<Value = Arrival> {
    let typ = prop::sample::select(vec![
        0x0001_u16, 0x0003, 0x0004, 0x0008, 0x0009, 0x0016, 0x0017, 0x0101,
    ]);
    let source = (any::<std::net::IpAddr>(), any::<u16>());
    let icmp_peer = prop_oneof![
        source.clone().prop_map(SocketAddr::from),
        Just(at("9.9.9.9:9"))
    ];
    prop_oneof![
        vec(any::<u8>(), 0..80).prop_map(Arrival::Bytes),
        (0x40..0x80_u8, vec(any::<u8>(), 0..40)).prop_map(|(first, mut bytes)| {
            bytes.insert(0, first);
            Arrival::Bytes(bytes)
        }),
        (typ, vec(attribute(), 0..6), any::<bool>()).prop_map(|(typ, attributes, signed)| {
            Arrival::Message {
                typ,
                attributes,
                signed,
            }
        }),
        (0..6_usize, 0..160_usize, any::<u8>(), 0..24_usize).prop_map(|(which, at, value, cut)| {
            Arrival::Damaged {
                which,
                at,
                value,
                cut,
            }
        }),
        (0..4_u32, source, 0..70_000_usize).prop_map(|(relay, source, len)| Arrival::FromPeer {
            relay,
            source: source.into(),
            len,
        }),
        (0..4_u32, icmp_peer, any::<(u8, u8, u32)>()).prop_map(
            |(relay, peer, (typ, code, mtu))| {
                let icmp = Icmp { typ, code, mtu };
                Arrival::Icmp { relay, peer, icmp }
            }
        ),
        (0..10_000_u64, any::<u64>()).prop_map(|(millis, unix)| Arrival::Time {
            forward: Duration::from_millis(millis * millis),
            unix,
        }),
    ]
}

fn arrive(net: &mut Net, client: ClientId, arrival: Arrival) {
    let flow = net.flow(client);
    let packet = match arrival {
        Arrival::Bytes(bytes) => bytes,
        Arrival::Message {
            typ,
            attributes,
            signed,
        } => {
            let request = attributes
                .iter()
                .fold(Request::new(typ), |request, (typ, value)| {
                    request.with(*typ, value)
                });
            if signed {
                let nonce = net.nonce(client);
                let signature = signature(net, client, nonce);
                request.encode(net.transaction(), Some(&signature))
            } else {
                request.encode(net.transaction(), None)
            }
        }
        Arrival::Damaged {
            which,
            at: position,
            value,
            cut,
        } => {
            let peer = at("9.9.9.9:9");
            let request = [
                Request::allocate(),
                Request::refresh(),
                Request::create_permission(&[peer, peer]),
                Request::channel_bind(0x4000, peer),
                Request::send(peer, b"data"),
                Request::binding(),
            ][which]
                .clone();
            let nonce = net.nonce(client);
            let signature = signature(net, client, nonce);
            let mut bytes = request.encode(net.transaction(), Some(&signature));
            let position = position % bytes.len();
            bytes[position] = value;
            bytes.truncate(bytes.len() - cut);
            bytes
        }
        Arrival::FromPeer { relay, source, len } => {
            let routed = net.server.handle_peer(RelayId(relay), source, len, net.now);
            assert!(routed.is_none_or(|route| route.header.fits(len)));
            return;
        }
        Arrival::Icmp { relay, peer, icmp } => {
            let routed = net.server.handle_icmp(RelayId(relay), peer, icmp, net.now);
            if let Some(route) = routed {
                let mut room = [0; MAX_HEADER];
                route.header.write_before(&mut room, 0);
            }
            return;
        }
        Arrival::Time { forward, unix } => {
            net.now.instant += forward;
            net.now.unix = UnixTime(unix);
            net.server.handle_timeout(net.now);
            net.do_outputs();
            return;
        }
    };
    let length = packet.len();
    let routed = net.server.handle_client(flow, &packet, net.now);
    let payload = match routed {
        FromClient::ToPeer(route) => route.payload,
        FromClient::ToClient(local) => local.payload,
        FromClient::ToWorker(handover) => handover.payload,
        FromClient::Reply(_)
        | FromClient::Control
        | FromClient::Elsewhere { .. }
        | FromClient::Dropped => 0..0,
    };
    assert!(payload.start <= payload.end && payload.end <= length);
    net.do_outputs();
}

/// Credentials that hold, whatever became of the nonce.
fn signature(
    net: &mut Net,
    client: ClientId,
    nonce: Option<String>,
) -> crate::net::codec::Signature {
    crate::net::codec::Signature {
        username: Some("alice".to_owned()),
        realm: Some(crate::net::setup::REALM.to_owned()),
        nonce,
        key: net.key(client),
    }
}

proptest! {
    #[test]
    fn nothing_that_arrives_makes_the_relay_panic(arrivals in vec(arrival(), 0..40)) {
        let mut net = Net::new();
        let alice = net.allocate("alice");
        let peer = at("9.9.9.9:9");
        net.permit(alice, peer);
        net.bind(alice, 0x4000, peer);
        for arrival in arrivals {
            arrive(&mut net, alice, arrival);
        }
    }
}

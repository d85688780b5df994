//! NAT behaviour discovery (RFC 5780): from where replies leave, where they go, and how many there are.

use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use uturn::admission::rate_limit;
use uturn::turn::{DropReason, NatDiscovery, Origins, Transport};

use crate::net::codec::{Message, Request, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS};
use crate::net::{Net, at, ip};

const MAPPED_ADDRESS: u16 = 0x0001;
const CHANGE_REQUEST: u16 = 0x0003;
const PADDING: u16 = 0x0026;
const RESPONSE_PORT: u16 = 0x0027;
const RESPONSE_ORIGIN: u16 = 0x802B;
const OTHER_ADDRESS: u16 = 0x802C;

const CLIENT: &str = "192.0.2.1:40000";
const PRIMARY: &str = "9.1.1.5:3478";
/// The primary address, and what each flag of a CHANGE-REQUEST leads to.
const ORIGINS: [(u8, &str); 4] = [
    (0, PRIMARY),
    (2, "9.1.1.5:3479"),
    (4, "9.1.1.6:3478"),
    (6, "9.1.1.6:3479"),
];

/// For IPv4 alone, with as many replies as a test likes.
fn settings() -> NatDiscovery {
    let addresses = [ip("9.1.1.5"), ip("9.1.1.6")];
    NatDiscovery {
        origins: vec![Origins {
            addresses,
            external: addresses,
            ports: [3478, 3479],
        }],
        response_port: true,
        replies: rate_limit::Settings {
            per_second: 1000,
            burst: 1000,
        },
    }
}

fn net(change: impl FnOnce(&mut NatDiscovery)) -> Net {
    let mut settings = settings();
    change(&mut settings);
    Net::with(|setup| setup.turn.nat_discovery = Some(settings))
}

fn change(flags: u8) -> Request {
    Request::binding().with(CHANGE_REQUEST, [0, 0, 0, flags])
}

/// The one reply to a request: from where, to where, what.
#[track_caller]
fn ask(net: &mut Net, server: &str, request: &Request) -> (SocketAddr, SocketAddr, Message) {
    let bytes = request.encode(net.transaction(), None);
    let mut replies = net.ask((at(CLIENT), at(server)), &bytes);
    assert_eq!(replies.len(), 1, "{replies:?}");
    let (from, to, reply) = replies.remove(0);
    let reply = Message::decode(&reply);
    assert_eq!(reply.id[..], bytes[8..20]);
    (from, to, reply)
}

/// An address that is not XORed.
#[track_caller]
fn plain(reply: &Message, typ: u16) -> SocketAddr {
    let value = reply.get(typ).expect("the attribute");
    let address: [u8; 4] = value[4..].try_into().expect("IPv4");
    assert_eq!(value[..2], [0, 1]);
    SocketAddr::new(address.into(), u16::from_be_bytes([value[2], value[3]]))
}

#[test]
fn a_reply_leaves_from_where_the_request_says() {
    let mut net = net(|_| {});
    // By the table of RFC 5780 §6.1: what is changed is what the request came to.
    for (came_to, server) in ORIGINS {
        for (flags, _) in ORIGINS {
            let origin = ORIGINS[usize::from((came_to ^ flags) / 2)].1;
            let (from, to, reply) = ask(&mut net, server, &change(flags));
            assert_eq!((from, to), (at(origin), at(CLIENT)));
            assert_eq!(plain(&reply, RESPONSE_ORIGIN), from);
            let other = ORIGINS[usize::from((came_to ^ 6) / 2)].1;
            assert_eq!(plain(&reply, OTHER_ADDRESS), at(other));
            assert_eq!(reply.address(XOR_MAPPED_ADDRESS), at(CLIENT));
            assert_eq!(plain(&reply, MAPPED_ADDRESS), at(CLIENT));
        }
    }
}

#[test]
fn a_request_that_asks_for_nothing_is_told_of_the_other_address() {
    let mut net = net(|_| {});
    let (from, to, reply) = ask(&mut net, PRIMARY, &Request::binding());
    assert_eq!((from, to), (at(PRIMARY), at(CLIENT)));
    assert_eq!(plain(&reply, OTHER_ADDRESS), at("9.1.1.6:3479"));
    assert_eq!(reply.bytes.len(), 68);
}

#[test]
fn each_family_has_its_own_four_addresses() {
    let addresses = [ip("2600:1:1::5"), ip("2600:1:1::6")];
    let mut net = net(|settings| {
        settings.origins.push(Origins {
            addresses,
            external: addresses,
            ports: [3478, 4000],
        });
    });
    let (client, server) = (at("[2001:db8::1]:40000"), at("[2600:1:1::5]:3478"));
    let bytes = change(6).encode(net.transaction(), None);
    let replies = net.ask((client, server), &bytes);
    let [(from, to, reply)] = &replies[..] else {
        panic!("{replies:?}");
    };
    assert_eq!((*from, *to), (at("[2600:1:1::6]:4000"), client));
    let reply = Message::decode(reply);
    assert_eq!(reply.address(XOR_MAPPED_ADDRESS), client);
    let other = reply.get(OTHER_ADDRESS).expect("OTHER-ADDRESS");
    assert_eq!(other[..4], [0, 2, 0x0F, 0xA0]);
    assert_eq!(
        other[4..],
        [0x26, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6]
    );
    assert_eq!(reply.bytes.len(), 116);
    let (from, ..) = ask(&mut net, PRIMARY, &change(6));
    assert_eq!(from, at("9.1.1.6:3479"));
}

#[test]
fn behind_a_nat_clients_are_told_what_they_see() {
    let mut net = net(|settings| settings.origins[0].external = [ip("9.8.8.1"), ip("9.8.8.2")]);
    let (from, _, reply) = ask(&mut net, PRIMARY, &change(4));
    assert_eq!(from, at("9.1.1.6:3478"));
    assert_eq!(plain(&reply, RESPONSE_ORIGIN), at("9.8.8.2:3478"));
    assert_eq!(plain(&reply, OTHER_ADDRESS), at("9.8.8.2:3479"));
}

#[test]
fn without_an_alternate_address_the_attributes_are_unknown() {
    // Nothing is configured; an address that is none of the four; the family without a second address.
    let elsewhere = ["9.1.1.7:3478", "9.1.1.5:3480", "[2600:1:1::5]:3478"];
    let mut off = (Net::new(), vec![PRIMARY]);
    let mut on = (net(|_| {}), elsewhere.to_vec());
    for (net, servers) in [&mut off, &mut on] {
        for server in servers {
            for (typ, value) in [
                (CHANGE_REQUEST, &[0, 0, 0, 0][..]),
                (PADDING, &[0; 64]),
                (RESPONSE_PORT, &[0x9C, 0x41]),
            ] {
                let request = Request::binding().with(typ, value);
                let (from, _, reply) = ask(net, server, &request);
                assert_eq!((from, reply.error()), (at(server), Some(420)));
                assert_eq!(reply.get(UNKNOWN_ATTRIBUTES), Some(&typ.to_be_bytes()[..]));
            }
            let (_, _, reply) = ask(net, server, &Request::binding());
            assert!(!reply.has(OTHER_ADDRESS) && !reply.has(RESPONSE_ORIGIN));
            assert_eq!(reply.bytes.len(), 32);
        }
    }
}

#[test]
fn a_connection_is_not_answered_from_elsewhere() {
    let mut net = net(|_| {});
    for transport in [Transport::Tcp, Transport::Tls] {
        let client = net.client_at(transport, at(CLIENT), "nobody");
        let bytes = change(6).encode(net.transaction(), None);
        let reply = net.exchange(client, &bytes).expect("a response");
        assert_eq!(reply.error(), Some(420));
        let bytes = Request::binding().encode(net.transaction(), None);
        let reply = net.exchange(client, &bytes).expect("a response");
        assert_eq!(reply.bytes.len(), 32);
    }
}

#[test]
fn a_response_port_is_of_the_address_that_asks() {
    let mut net = net(|_| {});
    for value in [&[0x9C, 0x41][..], &[0x9C, 0x41, 0, 0]] {
        let request = change(2).with(RESPONSE_PORT, value);
        let (from, to, reply) = ask(&mut net, PRIMARY, &request);
        assert_eq!((from, to), (at("9.1.1.5:3479"), at("192.0.2.1:40001")));
        // It is still the request's source that is told.
        assert_eq!(reply.address(XOR_MAPPED_ADDRESS), at(CLIENT));
    }
}

#[test]
fn a_response_port_is_unknown_unless_it_is_allowed() {
    let mut net = net(|settings| settings.response_port = false);
    let request = change(2).with(RESPONSE_PORT, [0x9C, 0x41]);
    let (from, to, reply) = ask(&mut net, PRIMARY, &request);
    assert_eq!((from, to), (at(PRIMARY), at(CLIENT)));
    assert_eq!(reply.error(), Some(420));
    let expected = RESPONSE_PORT.to_be_bytes();
    assert_eq!(reply.get(UNKNOWN_ATTRIBUTES), Some(&expected[..]));
}

#[test]
fn what_cannot_be_read_or_excludes_each_other_is_refused() {
    let mut net = net(|_| {});
    let binding = Request::binding;
    for (request, code) in [
        (binding().with(CHANGE_REQUEST, [0, 0, 6]), 400),
        (binding().with(CHANGE_REQUEST, []), 400),
        (binding().with(RESPONSE_PORT, [0, 0]), 400),
        (binding().with(RESPONSE_PORT, [1]), 400),
        (
            binding()
                .with(RESPONSE_PORT, [0x9C, 0x41])
                .with(PADDING, [0; 64]),
            400,
        ),
        (change(6).with(0x7F00, []), 420),
    ] {
        let (from, to, reply) = ask(&mut net, PRIMARY, &request);
        assert_eq!((from, to), (at(PRIMARY), at(CLIENT)));
        assert_eq!(reply.error(), Some(code), "{request:?}");
    }
}

#[test]
fn padding_makes_no_reply_longer_than_its_request() {
    let mut net = net(|_| {});
    for length in [
        0, 1, 4, 47, 48, 49, 256, 1400, 1500, 1548, 1549, 9000, 60_000,
    ] {
        let request = Request::binding().with(PADDING, vec![7; length]);
        let sent = request.encode(net.transaction(), None).len();
        let (_, _, reply) = ask(&mut net, PRIMARY, &request);
        let padding = reply.get(PADDING).expect("PADDING");
        assert!(padding.len() <= length.min(1500) && padding.iter().all(|byte| *byte == 0));
        // Without any PADDING it would have 68 bytes, as every other reply.
        assert!(reply.bytes.len() <= sent.max(72), "{length}");
        if (48..=1500).contains(&length) && length % 4 == 0 {
            assert_eq!(reply.bytes.len(), sent, "{length}");
        }
        if length > 1548 {
            assert_eq!(padding.len(), 1500);
        }
    }
}

#[test]
fn past_its_share_a_source_gets_small_replies_or_none() {
    let mut net = net(|settings| {
        settings.replies = rate_limit::Settings {
            per_second: 1,
            burst: 5,
        };
    });
    let mut replies = |request: &Request| {
        let bytes = request.encode(net.transaction(), None);
        let sent = net.ask((at(CLIENT), at(PRIMARY)), &bytes);
        let drops = net.drops(DropReason::ReplyLimit);
        net.advance(Duration::from_secs(10));
        // What is left of the share is used up by this.
        for _ in 0..10 {
            net.ask((at(CLIENT), at(PRIMARY)), &bytes);
        }
        let last = net.ask((at(CLIENT), at(PRIMARY)), &bytes);
        (sent.len(), last, net.drops(DropReason::ReplyLimit) - drops)
    };
    let (first, last, drops) = replies(&Request::binding());
    assert_eq!((first, last[0].2.len(), drops), (1, 32, 0));
    // "Change nothing" is a question of this usage as well.
    for flags in [0, 6] {
        let (_, last, drops) = replies(&change(flags));
        assert_eq!((last.len(), drops), (0, 6));
    }
    // Each weighs two: the fifth is half of one.
    let (_, last, drops) = replies(&Request::binding().with(RESPONSE_PORT, [0x9C, 0x41]));
    assert_eq!((last.len(), drops), (0, 9));
}

#[test]
fn a_flood_gets_fewer_bytes_out_than_it_puts_in() {
    let requests = [
        Request::binding(),
        change(6),
        Request::binding().with(RESPONSE_PORT, [0x9C, 0x41]),
        Request::binding().with(PADDING, [0; 16]),
        Request::binding().with(PADDING, [0; 1400]),
        Request::binding().with(CHANGE_REQUEST, [1]),
        Request::binding().with(0x7F00, []),
    ];
    for request in requests {
        let mut net = net(|settings| settings.replies = default_replies());
        let (mut sent, mut received) = (0, 0);
        // A thousand a second, which is 160 kbit/s of the smallest.
        for _ in 0..5000 {
            net.advance(Duration::from_millis(1));
            let bytes = request.encode(net.transaction(), None);
            sent += bytes.len();
            let replies = net.ask((at(CLIENT), at(PRIMARY)), &bytes);
            received += replies.iter().map(|(.., reply)| reply.len()).sum::<usize>();
        }
        assert!(
            received > 0 && received < sent,
            "{received} of {sent}: {request:?}"
        );
        // Never more than this in five seconds, whatever is sent: the default limits' bursts and rates.
        let larger = 50 + 5 * 10;
        let small = 250 + 5 * 50;
        let largest = request.encode([0; 12], None).len().max(72);
        assert!(
            received <= larger * largest + small * 64,
            "{received}: {request:?}"
        );
    }
}

/// Whatever a request says, at most one reply leaves: to the address that asks, from one of the four, and well-formed.
#[test]
fn no_request_leads_to_more_than_one_small_reply() {
    let seed = rand::random();
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut net = net(|_| {});
    for _ in 0..20_000 {
        let mut request = Request::binding();
        for _ in 0..random.random_range(0..4) {
            let typ = match random.random_range(0..6) {
                0 => CHANGE_REQUEST,
                1 => PADDING,
                2 => RESPONSE_PORT,
                3 => 0x8028,
                4 => 0x0006,
                _ => random.random(),
            };
            let mut value = vec![0; random.random_range(0..40)];
            random.fill_bytes(&mut value);
            request = request.with(typ, value);
        }
        let mut bytes = request.encode(net.transaction(), None);
        if random.random_bool(0.1) {
            // It stays a Binding request: others are answered with a challenge.
            let at = random.random_range(2..bytes.len());
            bytes[at] = random.random();
        }
        net.advance(Duration::from_millis(20));
        let server = at(ORIGINS[random.random_range(0..4)].1);
        let replies = net.ask((at(CLIENT), server), &bytes);
        assert!(replies.len() <= 1);
        for (from, to, reply) in replies {
            assert!(ORIGINS.iter().any(|(_, origin)| at(origin) == from));
            assert_eq!(to.ip(), at(CLIENT).ip());
            assert!(reply.len() <= bytes.len().max(80), "{bytes:02x?}");
            Message::decode(&reply);
        }
    }
}

/// What `[nat_discovery]` has unless another rate is written.
fn default_replies() -> rate_limit::Settings {
    rate_limit::Settings {
        per_second: 10,
        burst: 50,
    }
}

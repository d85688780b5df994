//! NAT behaviour discovery (RFC 5780): from which of four addresses a reply comes, and what it says of them.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use crate::client::attribute::{
    CHANGE_REQUEST, MAPPED_ADDRESS, OTHER_ADDRESS, PADDING, RESPONSE_ORIGIN, RESPONSE_PORT,
    XOR_MAPPED_ADDRESS,
};
use crate::client::{ANSWER_TIME, Draft, Message, method};
use crate::target::{Flavour, Target, is_foreign};

/// "Change IP" and "change port" (RFC 5780 §7.2).
const CHANGE_IP: u8 = 4;
const CHANGE_PORT: u8 = 2;

fn binding() -> Draft {
    Draft::request(method::BINDING)
}

fn change(flags: u8) -> Draft {
    binding().put(CHANGE_REQUEST, [0, 0, 0, flags])
}

/// A socket that hears from everywhere, as a client without a NAT does.
struct Socket(UdpSocket);

impl Socket {
    fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let timeout = Some(ANSWER_TIME);
        socket
            .set_read_timeout(timeout)
            .expect("a timeout above zero");
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket")
    }

    fn send(&self, server: SocketAddr, request: &Draft) {
        let sent = self.0.send_to(&request.bytes(), server);
        sent.expect("sending on loopback");
    }

    /// The next message that arrives, and where it comes from.
    #[track_caller]
    fn receive(&self) -> (SocketAddr, Message) {
        let mut bytes = vec![0; 65_536];
        let (length, source) = self.0.recv_from(&mut bytes).expect("an answer");
        bytes.truncate(length);
        (source, Message::read(bytes))
    }

    #[track_caller]
    fn ask(&self, server: SocketAddr, request: &Draft) -> (SocketAddr, Message) {
        self.send(server, request);
        let (source, answer) = self.receive();
        assert_eq!(answer.id, request.id());
        (source, answer)
    }
}

/// The one address in an attribute that is not XORed.
#[track_caller]
fn only(answer: &Message, kind: u16) -> SocketAddr {
    let addresses: Vec<_> = answer.plain_addresses(kind).collect();
    assert_eq!(addresses.len(), 1, "{answer:?}");
    addresses[0]
}

/// Where a server says that its other address is.
#[track_caller]
fn other_of(socket: &Socket, server: SocketAddr) -> SocketAddr {
    let (_, answer) = socket.ask(server, &binding());
    only(&answer.success(), OTHER_ADDRESS)
}

/// RFC 5780 §6.1, §7.3, §7.4: a reply says where it comes from, and what the other IP address and port are.
#[test]
fn nbd_01_reply_tells_its_origin_and_the_other_address() {
    let Some(server) = Target::with(Flavour::NatDiscovery) else {
        return;
    };
    let socket = Socket::new();
    let (source, answer) = socket.ask(server.address, &binding());
    let answer = answer.success();
    assert_eq!(source, server.address);
    assert_eq!(only(&answer, RESPONSE_ORIGIN), server.address);
    let other = only(&answer, OTHER_ADDRESS);
    assert!(other.is_ipv4(), "{other}");
    assert_ne!(other.ip(), source.ip());
    assert_ne!(other.port(), source.port());
    // The other address is served, and from there the first one is the other.
    let (source, answer) = socket.ask(other, &binding());
    let answer = answer.success();
    assert_eq!(source, other);
    assert_eq!(only(&answer, RESPONSE_ORIGIN), other);
    assert_eq!(only(&answer, OTHER_ADDRESS), server.address);
}

/// RFC 5780 §6.1: MAPPED-ADDRESS tells by its difference that something on the path rewrites addresses in messages.
#[test]
fn nbd_02_mapped_address_stands_beside_the_xored_one() {
    let Some(server) = Target::with(Flavour::NatDiscovery) else {
        return;
    };
    let socket = Socket::new();
    for request in [binding(), change(0)] {
        let (_, answer) = socket.ask(server.address, &request);
        let answer = answer.success();
        assert_eq!(only(&answer, MAPPED_ADDRESS), socket.address());
        assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(socket.address()));
    }
}

/// RFC 5780 §6.1, table 1: the four replies to a request, at each of the four addresses.
#[test]
fn nbd_03_reply_comes_from_where_change_request_says() {
    let Some(server) = Target::with(Flavour::NatDiscovery) else {
        return;
    };
    let socket = Socket::new();
    let first = server.address;
    let second = other_of(&socket, first);
    let at = |ip: SocketAddr, port: SocketAddr| SocketAddr::new(ip.ip(), port.port());
    let pairs = [
        (first, first),
        (first, second),
        (second, first),
        (second, second),
    ];
    for (ip, port) in pairs {
        let other = |of: SocketAddr| if of == first { second } else { first };
        for flags in [0, CHANGE_PORT, CHANGE_IP, CHANGE_IP | CHANGE_PORT] {
            let expected = at(
                if flags & CHANGE_IP == 0 {
                    ip
                } else {
                    other(ip)
                },
                if flags & CHANGE_PORT == 0 {
                    port
                } else {
                    other(port)
                },
            );
            let (source, answer) = socket.ask(at(ip, port), &change(flags));
            let answer = answer.success();
            assert_eq!(source, expected, "{flags} at {ip} {port}");
            assert_eq!(only(&answer, RESPONSE_ORIGIN), expected);
            assert_eq!(only(&answer, OTHER_ADDRESS), at(other(ip), other(port)));
            assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(socket.address()));
        }
    }
}

/// RFC 5780 §6, §6.1: a server with one address refuses every CHANGE-REQUEST.
#[test]
fn nbd_04_change_request_is_unknown_without_a_second_address() {
    let Some(server) = Target::with(Flavour::Ipv4Only) else {
        return;
    };
    let mut client = server.udp();
    for flags in [0, CHANGE_PORT, CHANGE_IP, CHANGE_IP | CHANGE_PORT] {
        let answer = client.exchange(&change(flags)).error(420);
        assert_eq!(answer.unknown_attributes(), [CHANGE_REQUEST]);
    }
}

/// RFC 5780 §6.1, §7.5: a reply goes to another port of the address that asks; where it does not, the attribute is unknown.
#[test]
fn nbd_05_response_port_is_used_where_it_is_allowed() {
    if !is_foreign() {
        let request = binding().put(RESPONSE_PORT, 40_000_u16.to_be_bytes());
        let answer = Target::shared().udp().exchange(&request).error(420);
        assert_eq!(answer.unknown_attributes(), [RESPONSE_PORT]);
    }
    let Some(server) = Target::with(Flavour::NatDiscovery) else {
        return;
    };
    let (socket, elsewhere) = (Socket::new(), Socket::new());
    let port = elsewhere.address().port().to_be_bytes();
    for request in [
        binding().put(RESPONSE_PORT, port),
        change(CHANGE_PORT).put(RESPONSE_PORT, port),
    ] {
        socket.send(server.address, &request);
        let (_, answer) = elsewhere.receive();
        assert_eq!(answer.id, request.id());
        let answer = answer.success();
        assert_eq!(answer.address(XOR_MAPPED_ADDRESS), Some(socket.address()));
    }
    // Nothing has come to the port that asked: the next reply there is that to the next request.
    socket.ask(server.address, &binding());
}

/// RFC 5780 §6.1, §7.6: a request with PADDING has a reply with PADDING, which both ways of a path may have to fragment.
#[test]
fn nbd_06_padding_is_answered_with_padding() {
    let Some(server) = Target::with(Flavour::NatDiscovery) else {
        return;
    };
    let socket = Socket::new();
    for length in [256, 1500] {
        let request = binding().put(PADDING, vec![0; length]);
        let (source, answer) = socket.ask(server.address, &request);
        let answer = answer.success();
        assert_eq!(source, server.address);
        let padding = answer.get(PADDING).expect("PADDING");
        assert!(!padding.is_empty() && padding.len() % 4 == 0, "{answer:?}");
    }
}

/// RFC 5780 §6.1, §7.6: PADDING and RESPONSE-PORT exclude each other.
#[test]
fn nbd_07_padding_with_response_port_is_refused() {
    let Some(server) = Target::with(Flavour::NatDiscovery) else {
        return;
    };
    let socket = Socket::new();
    let port = socket.address().port().to_be_bytes();
    let request = binding().put(RESPONSE_PORT, port).put(PADDING, [0; 256]);
    let (_, answer) = socket.ask(server.address, &request);
    answer.error(400);
}

/// RFC 5780 §6, §7.4: OTHER-ADDRESS is another address of the same family, or is not there.
#[test]
fn nbd_08_other_address_is_told_only_where_there_is_one() {
    let mut client = Target::shared().udp();
    let answer = client.exchange(&binding()).success();
    for address in answer.plain_addresses(OTHER_ADDRESS) {
        assert!(address.is_ipv4() && address.ip() != client.server().ip());
    }
    let Some(server) = Target::with(Flavour::NatDiscovery) else {
        return;
    };
    // That there is a second IPv4 address is none of IPv6's business.
    let Some(mut client) = server.udp_over_ipv6() else {
        return;
    };
    let answer = client.exchange(&binding()).success();
    assert!(!answer.has(OTHER_ADDRESS), "{answer:?}");
    let answer = client.exchange(&change(CHANGE_PORT)).error(420);
    assert_eq!(answer.unknown_attributes(), [CHANGE_REQUEST]);
}

/// RFC 5780 §6, §6.1: a connection cannot be answered from elsewhere, and none is opened to the client.
#[test]
fn nbd_09_change_request_over_a_connection_changes_nothing() {
    let Some(server) = Target::with(Flavour::NatDiscovery) else {
        return;
    };
    for mut client in server.streams() {
        let answer = client.exchange(&change(CHANGE_IP | CHANGE_PORT));
        answer.error_among(&[400, 420]);
        // It is the same connection that serves on.
        client.exchange(&binding()).success();
    }
}

//! The PROXY protocol on listeners for TCP and TLS.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use socket2::{Domain, Socket, Type};

use crate::client::{Link, Peer};
use crate::program::{
    Config, DEFAULT_NAME, PATIENCE, Program, alice, connect, handshake, is_closed, mapped_address,
};

/// The proxy is 127.0.0.1; clients that come by themselves have another address of loopback.
const PROXIED: &str = "proxy_protocol_from = [\"127.0.0.1\"]";

fn text(client: &str, server: &str) -> Vec<u8> {
    let [client, server]: [SocketAddr; 2] = [client, server].map(|text| text.parse().unwrap());
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (client.ip(), server.ip());
    format!(
        "PROXY {family} {from} {to} {} {}\r\n",
        client.port(),
        server.port()
    )
    .into_bytes()
}

/// Version 2 for IPv4, with a TLV behind the addresses.
fn binary(client: &str, server: &str) -> Vec<u8> {
    let [client, server]: [std::net::SocketAddrV4; 2] =
        [client, server].map(|text| text.parse().unwrap());
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12".to_vec();
    header.extend(client.ip().octets());
    header.extend(server.ip().octets());
    header.extend(client.port().to_be_bytes());
    header.extend(server.port().to_be_bytes());
    // PP2_TYPE_NOOP
    header.extend([4, 0, 3, 0, 0, 0]);
    header
}

fn local() -> Vec<u8> {
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec()
}

fn connect_behind(header: &[u8], server: SocketAddr) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(header).expect("writing to the server");
    stream
}

#[test]
fn the_client_that_a_proxy_names_is_the_one_that_counts() {
    let server = Program::start(&Config {
        listen: PROXIED,
        ..Config::default()
    });
    let peer = Peer::at("127.0.0.1");
    for (header, client) in [
        (
            text("192.0.2.7:40001", "203.0.113.5:3478"),
            "192.0.2.7:40001",
        ),
        (
            text("[2001:db8::7]:40002", "[2001:db8::5]:3478"),
            "[2001:db8::7]:40002",
        ),
        (
            binary("192.0.2.8:40003", "203.0.113.5:3478"),
            "192.0.2.8:40003",
        ),
    ] {
        let stream = connect_behind(&header, server.tcp());
        let mut alice = alice(Link::over(&stream));
        assert_eq!(mapped_address(&mut alice).to_string(), client);
        let relayed = alice.allocate();
        alice.bind(0x4000, peer.address());
        alice.channel_data(0x4000, b"hello");
        let (data, from) = peer.receive();
        assert_eq!((data.as_slice(), from), (b"hello".as_slice(), relayed));
        let ip = client.rsplit_once(':').unwrap().0.trim_matches(['[', ']']);
        server.logs(&["allocation opened", &format!("client={ip}")]);
    }
}

#[test]
fn a_header_may_come_in_pieces_and_with_what_follows_it() {
    let server = Program::start(&Config {
        listen: PROXIED,
        ..Config::default()
    });
    let header = binary("192.0.2.7:40001", "203.0.113.5:3478");
    let mut stream = connect(server.tcp());
    for byte in &header {
        stream.write_all(&[*byte]).expect("writing to the server");
    }
    let mapped = mapped_address(&mut alice(Link::over(&stream)));
    assert_eq!(mapped.to_string(), "192.0.2.7:40001");

    let request = crate::client::Draft::request(crate::client::method::BINDING);
    let header = text("192.0.2.7:40002", "203.0.113.5:3478");
    let bytes = request.bytes();
    let (first, rest) = bytes.split_at(5);
    let all = [&header[..], first].concat();
    let mut stream = connect_behind(&all, server.tcp());
    stream.write_all(rest).expect("writing to the server");
    alice(Link::over(&stream)).answer_to(&request).success();
}

#[test]
fn tls_follows_a_header() {
    let server = Program::start(&Config {
        listen: PROXIED,
        ..Config::default()
    });
    let config = Arc::new(server.client_config(&[]));
    for header in [
        text("192.0.2.7:40001", "203.0.113.5:5349"),
        binary("192.0.2.7:40001", "203.0.113.5:5349"),
    ] {
        for address in [server.tls(), server.shared()] {
            let stream = connect_behind(&header, address);
            let tls = handshake(stream, Arc::clone(&config), DEFAULT_NAME).expect("a session");
            let mut alice = alice(Link::over_tls(tls));
            assert_eq!(mapped_address(&mut alice).to_string(), "192.0.2.7:40001");
            alice.allocate();
        }
    }
    server.logs(&["allocation opened", "client=192.0.2.7", "transport=tls"]);
}

#[test]
fn health_checks_of_a_proxy_and_clients_without_address_keep_that_of_their_connection() {
    let server = Program::start(&Config {
        listen: PROXIED,
        ..Config::default()
    });
    for header in [local(), b"PROXY UNKNOWN\r\n".to_vec()] {
        let stream = connect_behind(&header, server.tcp());
        let own = stream.local_addr().expect("connected");
        assert_eq!(mapped_address(&mut alice(Link::over(&stream))), own);
    }
}

#[test]
fn what_a_proxy_passes_on_without_a_header_is_closed() {
    let server = Program::start(&Config {
        listen: PROXIED,
        ..Config::default()
    });
    let binding = crate::client::Draft::request(crate::client::method::BINDING).bytes();
    let too_long = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF".as_slice(),
        &[0; 100],
    ]
    .concat();
    for bytes in [
        &binding[..],
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.7 203.0.113.5 1 99999\r\n",
        &too_long,
        b"\x16\x03\x01\x02\0\x01",
    ] {
        for address in [server.tcp(), server.tls(), server.shared()] {
            let mut stream = connect_behind(bytes, address);
            assert!(is_closed(&mut stream));
        }
    }
    server.logs(&["connection ended", "no header of the PROXY protocol"]);
}

#[test]
fn a_header_that_does_not_come_in_time_is_not_waited_for() {
    let server = Program::start(&Config {
        listen: PROXIED,
        limits: "handshake_timeout = \"1s\"",
        ..Config::default()
    });
    let mut hanging = [
        connect(server.tcp()),
        connect_behind(b"PROXY TCP4 192.0.2.7 ", server.tcp()),
        connect(server.tls()),
        connect(server.shared()),
    ];
    assert!(hanging.iter_mut().all(is_closed));
    server.logs(&["no PROXY header in time"]);
}

/// Whoever is no proxy cannot claim to be someone else.
#[test]
fn a_header_from_elsewhere_is_not_read() {
    let server = Program::start(&Config {
        listen: PROXIED,
        ..Config::default()
    });
    let connect_from_elsewhere = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let elsewhere = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0));
        socket.bind(&elsewhere.into()).expect("a free port");
        socket.connect(&server.tcp().into()).expect("connecting");
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).expect("above zero");
        stream
    };
    let stream = connect_from_elsewhere();
    let own = stream.local_addr().expect("connected");
    assert_eq!(mapped_address(&mut alice(Link::over(&stream))), own);
    for header in [
        text("192.0.2.7:40001", "203.0.113.5:3478"),
        binary("192.0.2.7:40001", "203.0.113.5:3478"),
    ] {
        let mut stream = connect_from_elsewhere();
        stream.write_all(&header).expect("writing to the server");
        assert!(is_closed(&mut stream));
    }
}

#[test]
fn limits_for_each_address_are_those_of_the_client_and_not_of_the_proxy() {
    let server = Program::start(&Config {
        listen: PROXIED,
        limits: "connections_per_address = 3\nnew_connections_per_second = 1\nnew_connections_burst = 5",
        ..Config::default()
    });
    let connect_as = |client: u8, port: u16| {
        let header = text(&format!("192.0.2.{client}:{port}"), "203.0.113.5:3478");
        connect_behind(&header, server.tcp())
    };
    // Many clients come by one proxy: more than one address may have at once, or open in a second.
    let mut held: Vec<_> = (0..20).map(|client| connect_as(client, 40_000)).collect();
    for stream in &held {
        mapped_address(&mut alice(Link::over(stream)));
    }
    // One of them has as many as it may have.
    for port in [40_001, 40_002] {
        held.push(connect_as(1, port));
        mapped_address(&mut alice(Link::over(held.last().expect("just added"))));
    }
    assert!(is_closed(&mut connect_as(1, 40_003)));
    server.logs(&["connection ended", "limit reached"]);
    // And opens no more in a second than it may, however few it holds.
    drop(held);
    let began = Instant::now();
    let refused = (0..40).filter(|port| is_closed_or_answers(connect_as(9, 41_000 + port)));
    let refused = refused.count();
    let served = 5 + began.elapsed().as_secs() as usize + 1;
    assert!(refused >= 40 - served, "{refused} of 40 were refused");
    server.logs(&["too many from this address in a short time"]);
}

/// Whether a connection is closed without an answer.
fn is_closed_or_answers(mut stream: TcpStream) -> bool {
    let binding = crate::client::Draft::request(crate::client::method::BINDING).bytes();
    use std::io::Read as _;
    let _ = stream.write_all(&binding);
    !matches!(stream.read(&mut [0; 100]), Ok(read) if read > 0)
}

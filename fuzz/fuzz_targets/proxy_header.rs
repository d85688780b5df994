//! The header of the PROXY protocol: wherever the bytes are cut, the same comes out, and what a proxy would write reads back.
#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use uturn::wire::proxy_header::{MAX_HEADER, NoHeader, Proxied, ProxyHeader, parse};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    header: Header<'a>,
    /// What follows it.
    behind: &'a [u8],
    /// How many bytes arrive at a time, over and over.
    reads: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Header<'a> {
    Bytes(&'a [u8]),
    Line(&'a str),
    /// A line that is right.
    Text(Addresses),
    Binary {
        command: u8,
        family: u8,
        length: Option<u16>,
        body: &'a [u8],
    },
    /// A header that is right, with TLVs.
    RightBinary(Addresses, &'a [u8]),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Addresses {
    Ipv4([u8; 4], [u8; 4], u16, u16),
    Ipv6([u8; 16], [u8; 16], u16, u16),
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fuzz_target!(|input: Input<'_>| {
    let (mut bytes, expected) = input.header.bytes();
    let length = bytes.len();
    bytes.extend_from_slice(input.behind);
    let whole = parse(&bytes);
    if let Some(proxied) = expected {
        let proxied = Some(proxied);
        assert_eq!(whole, Ok(ProxyHeader::Whole { length, proxied }));
    }
    assert_eq!(whole, in_pieces(&bytes, &input.reads));
});

/// What a connection makes of bytes that arrive in pieces: it looks at all that has come until it knows.
fn in_pieces(bytes: &[u8], sizes: &[u8]) -> Result<ProxyHeader, NoHeader> {
    let mut sizes = sizes.iter().map(|size| usize::from(*size).max(1)).cycle();
    let mut come = 0;
    while come < bytes.len() {
        come += sizes.next().unwrap_or(1).min(bytes.len() - come);
        match parse(&bytes[..come]) {
            Ok(ProxyHeader::Partial) => assert!(come < MAX_HEADER, "a header has an end"),
            known => {
                if let Ok(ProxyHeader::Whole { length, .. }) = known {
                    assert!(length <= come && length <= MAX_HEADER);
                }
                return known;
            }
        }
    }
    parse(bytes)
}

impl Header<'_> {
    /// The bytes, and what they have to say if they are right.
    fn bytes(&self) -> (Vec<u8>, Option<Proxied>) {
        match *self {
            Header::Bytes(bytes) => (bytes.to_vec(), None),
            Header::Line(line) => (format!("PROXY {line}\r\n").into_bytes(), None),
            Header::Text(addresses) => {
                let (family, client, server) = match addresses.both() {
                    (SocketAddr::V4(client), SocketAddr::V4(server)) => {
                        ("TCP4", client.into(), server.into())
                    }
                    (client, server) => ("TCP6", client, server),
                };
                let (from, to) = (client.ip(), server.ip());
                let ports = format!("{} {}", client.port(), server.port());
                let line = format!("PROXY {family} {from} {to} {ports}\r\n");
                (line.into_bytes(), Some(proxied(client, server)))
            }
            Header::Binary {
                command,
                family,
                length,
                body,
            } => {
                let length = length.unwrap_or(body.len() as u16);
                (binary([command, family], length, body), None)
            }
            Header::RightBinary(addresses, tlvs) => {
                let (client, server) = addresses.both();
                let mut body = Vec::new();
                let family = match addresses {
                    Addresses::Ipv4(from, to, ..) => {
                        body.extend([from, to].concat());
                        0x11
                    }
                    Addresses::Ipv6(from, to, ..) => {
                        body.extend([from, to].concat());
                        0x21
                    }
                };
                body.extend(client.port().to_be_bytes());
                body.extend(server.port().to_be_bytes());
                body.extend_from_slice(&tlvs[..tlvs.len().min(1000)]);
                let bytes = binary([0x21, family], body.len() as u16, &body);
                (bytes, Some(proxied(client, server)))
            }
        }
    }
}

impl Addresses {
    fn both(self) -> (SocketAddr, SocketAddr) {
        match self {
            Addresses::Ipv4(client, server, from, to) => {
                ((client, from).into(), (server, to).into())
            }
            Addresses::Ipv6(client, server, from, to) => {
                ((client, from).into(), (server, to).into())
            }
        }
    }
}

/// As the server has them, which writes IPv4 addresses as such.
fn proxied(client: SocketAddr, server: SocketAddr) -> Proxied {
    let canonical = |address: SocketAddr| {
        let ip: IpAddr = address.ip().to_canonical();
        SocketAddr::new(ip, address.port())
    };
    Proxied {
        client: canonical(client),
        server: canonical(server),
    }
}

fn binary(head: [u8; 2], length: u16, body: &[u8]) -> Vec<u8> {
    [SIGNATURE, &head, &length.to_be_bytes(), body].concat()
}

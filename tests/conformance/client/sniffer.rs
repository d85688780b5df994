//! The IP headers that arrive at an address.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// A raw socket that sees, headers and all, every UDP packet or TCP segment to one IPv4 address of this host. Needs root.
pub struct Sniffer {
    socket: Socket,
}

impl Sniffer {
    pub fn at(ip: Ipv4Addr) -> Self {
        Self::of(Protocol::UDP, ip)
    }

    pub fn of_tcp_at(ip: Ipv4Addr) -> Self {
        Self::of(Protocol::TCP, ip)
    }

    fn of(protocol: Protocol, ip: Ipv4Addr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).unwrap_or_else(|error| {
            panic!("this test reads IP headers from a raw socket: run it as root or with CAP_NET_RAW ({error})")
        });
        socket
            .bind(&SocketAddr::from((ip, 0)).into())
            .expect("an address of this host");
        socket
            .set_read_timeout(Some(Duration::from_secs(2)))
            .expect("a timeout above zero");
        Self { socket }
    }

    /// The header of the next packet to `port`.
    #[track_caller]
    pub fn next(&mut self, port: u16) -> Header {
        let mut packet = [0; 65_536];
        loop {
            let length = self.socket.read(&mut packet).expect("a packet to the peer");
            let header = usize::from(packet[0] & 0x0F) * 4;
            assert!(length >= header + 8, "a UDP packet or a TCP segment");
            if packet[header + 2..header + 4] == port.to_be_bytes() {
                return Header {
                    tos: packet[1],
                    dont_fragment: packet[6] & 0x40 != 0,
                    ttl: packet[8],
                    length,
                };
            }
        }
    }
}

/// What an IP header says.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The DSCP and ECN fields.
    pub tos: u8,
    pub dont_fragment: bool,
    pub ttl: u8,
    /// Of the whole packet.
    pub length: usize,
}

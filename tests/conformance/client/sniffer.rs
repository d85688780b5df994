//! The IP headers that arrive at an address.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// A raw socket that sees, headers and all, every UDP packet to one IPv4 address of this host. Needs root.
pub struct Sniffer {
    socket: Socket,
}

impl Sniffer {
    pub fn at(ip: Ipv4Addr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP)).unwrap_or_else(|error| {
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

    /// Whether DF is set in the next packet to `port`.
    #[track_caller]
    pub fn next_has_dont_fragment(&mut self, port: u16) -> bool {
        let mut packet = [0; 4096];
        loop {
            let length = self.socket.read(&mut packet).expect("a packet to the peer");
            let header = usize::from(packet[0] & 0x0F) * 4;
            assert!(length >= header + 8, "a UDP packet");
            if packet[header + 2..header + 4] == port.to_be_bytes() {
                return packet[6] & 0x40 != 0;
            }
        }
    }
}

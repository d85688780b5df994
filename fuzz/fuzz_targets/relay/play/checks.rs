//! What must hold whatever happens.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use uturn::auth::UnixTime;
use uturn::turn::{Protocol, ToClient};
use uturn::wire::DataHeader;

use super::requests::hmac_sha256;
use super::{
    EXTERNAL, LONGEST_LIFETIME, LONGEST_UNSIGNED, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256,
    MOST_STEPS, PORTS, Play,
};
use crate::net::codec::{DATA, Integrity, Message, NONCE, USERNAME, XOR_RELAYED_ADDRESS};
use crate::net::setup::{SERVER_V4, SERVER_V6};
use crate::net::{ClientId, START, ip};
use crate::raw;

impl Play {
    /// The peer that a client names for its data, which is the payload.
    pub(super) fn named(&self, client: usize, packet: &[u8], payload: &Range<usize>) -> SocketAddr {
        if packet[0] < 0x40 {
            assert_eq!(packet[..2], [0, 0x16]);
            let data = raw::first(packet, DATA).expect("DATA");
            assert_eq!(&packet[payload.clone()], data);
            // RFC 8489 §14: of further ones nothing counts, not even whether they can be read.
            return raw::peers(packet).next().expect("a peer");
        }
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!(*payload, 4..4 + usize::from(number(2)));
        let now = self.net.now.instant;
        let peer = self.granted.channel(client, number(0), now);
        peer.expect("a channel that is bound")
    }

    pub(super) fn may_send(&self, client: usize, peer: SocketAddr) {
        let now = self.net.now.instant;
        assert!(
            self.granted.permits(client, peer, now),
            "{peer} without a permission"
        );
        assert!(self.may_be_reached(peer), "{peer} is denied");
        assert_ne!(peer.port(), 0);
    }

    /// Checks data on its way to a client, and says which one.
    pub(super) fn may_hear(&self, route: &ToClient, source: SocketAddr, len: usize) -> usize {
        let same = |id: &ClientId| self.net.flow(*id) == route.flow;
        let client = self.clients.iter().position(same).expect("a client");
        let now = self.net.now.instant;
        let source = self.public(source);
        assert!(
            self.granted.permits(client, source, now),
            "{source} without a permission"
        );
        assert!(self.may_be_reached(source), "{source} is denied");
        assert!(route.header.fits(len));
        match route.header {
            DataHeader::Channel(number) => {
                let bound = self.granted.channel(client, number.get(), now);
                assert_eq!(bound, Some(source));
            }
            DataHeader::Indication { peer, .. } => assert_eq!(peer.0, source),
            DataHeader::Icmp { .. } => panic!("no ICMP error was told of"),
        }
        client
    }

    /// A relayed address of this server that is open, or a public address.
    pub(super) fn may_be_reached(&self, peer: SocketAddr) -> bool {
        if [SERVER_V4, SERVER_V6, ip(EXTERNAL)].contains(&peer.ip()) {
            return self.net.relayed.open_behind(peer, Protocol::Udp).is_some();
        }
        match peer.ip() {
            IpAddr::V4(ip) => {
                let special = [
                    ip.is_private(),
                    ip.is_loopback(),
                    ip.is_link_local(),
                    ip.is_multicast(),
                    ip.is_broadcast(),
                    ip.octets()[0] == 0,
                ];
                !special.contains(&true)
            }
            IpAddr::V6(ip) => ip.segments()[0] & 0xE000 == 0x2000 && ip.segments()[0] != 0x2002,
        }
    }

    /// What clients and peers know an address by.
    pub(super) fn public(&self, address: SocketAddr) -> SocketAddr {
        match self.net.relayed.open_behind(address, Protocol::Udp) {
            Some(bound) => self.net.relayed.public(bound),
            None => address,
        }
    }

    /// Checks a response, and says whether it grants what only the authenticated get.
    pub(super) fn check_reply(&mut self, client: usize, request: &[u8], reply: &[u8]) -> bool {
        let response = Message::decode(reply);
        assert_eq!(response.id[..], request[8..20]);
        let typ = u16::from_be_bytes([request[0], request[1]]);
        let error = response.error();
        let class = if error.is_some() { 0x0110 } else { 0x0100 };
        assert_eq!(response.typ, typ | class);
        let signed = response.has(MESSAGE_INTEGRITY) || response.has(MESSAGE_INTEGRITY_SHA256);
        if !signed {
            assert!(error.is_some() || typ == 1, "{typ:#06x} succeeds unsigned");
            assert!(reply.len() <= LONGEST_UNSIGNED, "{} bytes", reply.len());
        }
        if let Some(nonce) = response.text(NONCE) {
            assert!(matches!(error, Some(401 | 438)) && !signed);
            self.net.set_nonce(self.clients[client], Some(nonce));
        }
        if error.is_some() || typ == 1 {
            return false;
        }
        assert!(self.is_authentic(client, request), "granted to anybody");
        for relayed in raw::addresses(reply, XOR_RELAYED_ADDRESS) {
            self.told.push(relayed);
            // A reserved port is the next one.
            let next = relayed.port() + 1;
            self.told.push(SocketAddr::new(relayed.ip(), next));
        }
        let now = self.net.now.instant;
        self.forget_reopened(client, &response);
        self.granted.note(client, request, &response, now);
        true
    }

    /// Whether a request was signed with the client's credentials.
    pub(super) fn is_authentic(&self, client: usize, request: &[u8]) -> bool {
        let Some((MESSAGE_INTEGRITY_SHA256, end)) = raw::protection(request) else {
            let key = self.net.key(self.clients[client]);
            return Message::decode(request).integrity(&key) == Integrity::Right;
        };
        let username = raw::first(request, USERNAME).unwrap_or_default();
        let username = String::from_utf8_lossy(username);
        request[end + 4..end + 36] == hmac_sha256(&username, &request[..end])
    }

    /// An allocation that took the place of one that had ended begins without permissions.
    pub(super) fn forget_reopened(&mut self, client: usize, response: &Message) {
        let opened = self.net.journal.last_chunk::<2>();
        let opened = opened == Some(&[crate::net::Step::Opened, crate::net::Step::Replied]);
        if response.typ == 0x0103 && opened {
            self.granted.allocations.remove(&client);
        }
    }

    pub(super) fn forget_ended(&mut self) {
        let (server, clients) = (&self.net.server, &self.clients);
        let lives = |client: usize| {
            let flow = self.net.flow(clients[client]);
            server.has_allocation(&flow.five_tuple)
        };
        self.granted.forget_ended(self.net.now.instant, lives);
    }

    /// What holds after every step.
    pub(super) fn check(&mut self) {
        self.forget_ended();
        let server = &self.net.server;
        let held = server.allocations() + self.net.shell.reservations();
        let now = self.net.now.instant;
        assert!(server.allocations() <= 4);
        assert!(self.net.relayed.open_ports() as usize <= 2 * PORTS.len());
        assert!(held == 0 || server.poll_timeout().is_some());
        assert!(
            server
                .poll_timeout()
                .is_none_or(|at| at <= now + LONGEST_LIFETIME)
        );
        assert!(server.deadlines() >= held && server.deadlines() <= MOST_STEPS * 4);
        assert!(self.net.take_replies().is_empty());
    }

    /// Everything ends, and nothing is left.
    pub(super) fn end(mut self) {
        self.net.now.unix = UnixTime(START);
        self.net.advance(2 * LONGEST_LIFETIME);
        assert_eq!(self.net.server.allocations(), 0);
        assert_eq!(self.net.quotas.allocations(), 0);
        assert_eq!(self.net.relayed.open_ports(), 0);
        assert_eq!(self.net.server.poll_timeout(), None);
    }
}

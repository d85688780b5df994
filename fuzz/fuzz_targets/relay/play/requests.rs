//! Requests as clients make and sign them.

use std::net::SocketAddr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{CLIENTS, MESSAGE_INTEGRITY_SHA256, PEERS, Play};
use crate::input::{Ask, Signing};
use crate::net::codec::{
    EVEN_PORT, NONCE, REALM as REALM_ATTRIBUTE, RESERVATION_TOKEN, Request, USERNAME,
};
use crate::net::setup::{REALM, static_password};
use crate::net::{at, name_until};

const PASSWORD_ALGORITHM: u16 = 0x001D;
const PASSWORD_ALGORITHMS: u16 = 0x8002;

impl Play {
    pub(super) fn log_in(&mut self, client: usize, user: u8) {
        let client = self.clients[client];
        match user % 4 {
            0 => self.net.log_in(client, "alice"),
            1 => self.net.log_in(client, "bob"),
            2 => self.net.log_in(client, &name_until(700, "dave")),
            _ => self.net.log_in_with(client, "nobody", "nothing"),
        }
    }

    pub(super) fn request(&self, ask: &Ask) -> Request {
        match ask {
            Ask::Binding => Request::binding(),
            Ask::Allocate {
                transport,
                lifetime,
                even,
                family,
                token,
            } => {
                let mut request = Request::new(0x0003);
                request = request.with(0x0019, [transport.unwrap_or(17), 0, 0, 0]);
                request = lifetime.iter().fold(request, |r, secs| r.lifetime(*secs));
                request = even
                    .iter()
                    .fold(request, |r, bits| r.with(EVEN_PORT, [*bits]));
                request = family
                    .iter()
                    .fold(request, |r, family| r.family(family % 4));
                token.iter().fold(request, |r, token| {
                    let tokens = &self.granted.tokens;
                    let known = tokens.get(usize::from(*token) % tokens.len().max(1));
                    r.with(RESERVATION_TOKEN, known.unwrap_or(b"unknown!"))
                })
            }
            Ask::Refresh { lifetime, family } => {
                let request = Request::refresh();
                let request = lifetime.iter().fold(request, |r, secs| r.lifetime(*secs));
                family
                    .iter()
                    .fold(request, |r, family| r.family(family % 4))
            }
            Ask::CreatePermission(peers) => {
                let peers: Vec<_> = peers.iter().take(8).map(|peer| self.peer(*peer)).collect();
                Request::create_permission(&peers)
            }
            Ask::ChannelBind { number, peer } => {
                Request::channel_bind(channel(*number), self.peer(*peer))
            }
            Ask::Other(typ) => Request::new(*typ),
        }
    }

    pub(super) fn peer(&self, number: u8) -> SocketAddr {
        let number = usize::from(number);
        let told = number.checked_sub(PEERS.len());
        let told = told.and_then(|number| self.told.get(number % self.told.len().max(1)));
        told.copied()
            .unwrap_or_else(|| at(PEERS[number % PEERS.len()]))
    }

    pub(super) fn sign(&mut self, client: usize, request: Request, signing: Signing) -> Vec<u8> {
        if signing == Signing::Unsigned {
            return request.encode(self.net.transaction(), None);
        }
        if signing == Signing::Sha256 {
            return self.sign_sha256(client, request);
        }
        let id = self.clients[client];
        let mut signature = self.net.signature(id);
        match signing {
            Signing::WrongPassword => signature.key[0] ^= 1,
            Signing::OtherNonce => {
                let other = self.clients[(client + 1) % CLIENTS.len()];
                signature.nonce = self.net.signature(other).nonce;
            }
            Signing::NoNonce => signature.nonce = None,
            Signing::NoRealm => signature.realm = None,
            Signing::Right | Signing::Unsigned | Signing::Sha256 => {}
        }
        request.encode(self.net.transaction(), Some(&signature))
    }

    /// As a client of RFC 8489 does it, which repeats the list that it was offered.
    pub(super) fn sign_sha256(&mut self, client: usize, request: Request) -> Vec<u8> {
        let signature = self.net.signature(self.clients[client]);
        let username = signature.username.unwrap_or_default();
        let request = request
            .with(USERNAME, &username)
            .with(REALM_ATTRIBUTE, REALM)
            .with(NONCE, signature.nonce.unwrap_or_default())
            .with(PASSWORD_ALGORITHMS, [0, 2, 0, 0, 0, 1, 0, 0])
            .with(PASSWORD_ALGORITHM, [0, 2, 0, 0])
            .with(MESSAGE_INTEGRITY_SHA256, [0; 32]);
        let mut packet = request.encode(self.net.transaction(), None);
        let end = packet.len() - 36;
        let mac = hmac_sha256(&username, &packet[..end]);
        packet[end + 4..].copy_from_slice(&mac);
        packet
    }
}

/// MESSAGE-INTEGRITY-SHA256 behind what it covers, by a static user.
pub(super) fn hmac_sha256(username: &str, covered: &[u8]) -> [u8; 32] {
    let password = static_password(username);
    let key = Sha256::digest(format!("{username}:{REALM}:{password}"));
    let length = (covered.len() - 20 + 36) as u16;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
    mac.update(&covered[..2]);
    mac.update(&length.to_be_bytes());
    mac.update(&covered[4..]);
    mac.finalize().into_bytes().into()
}

/// Mostly one of a few.
pub(super) fn channel(number: u16) -> u16 {
    match number % 8 {
        0..6 => 0x4000 + number % 8,
        6 => 0x5000,
        _ => number,
    }
}

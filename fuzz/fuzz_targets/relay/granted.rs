//! What the relay has told its clients that they may do. Whatever it relays must follow from it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::net::codec::{CHANNEL_NUMBER, Message, RESERVATION_TOKEN, XOR_RELAYED_ADDRESS};
use crate::raw;

const ALLOCATE: u16 = 0x0103;
const REFRESH: u16 = 0x0104;
const CREATE_PERMISSION: u16 = 0x0108;
const CHANNEL_BIND: u16 = 0x0109;

const PERMISSION: Duration = Duration::from_secs(300);
const CHANNEL: Duration = Duration::from_secs(600);
/// A client is told whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

/// By client.
pub struct Granted {
    pub allocations: HashMap<usize, Allocation>,
    pub tokens: Vec<[u8; 8]>,
    pub channel_keeps_permission: bool,
}

pub struct Allocation {
    /// One, or one of each family.
    pub relayed: Vec<SocketAddr>,
    expires: Instant,
    permissions: HashMap<IpAddr, Instant>,
    channels: HashMap<u16, (SocketAddr, Instant)>,
}

impl Granted {
    /// Reads a success response.
    pub fn note(&mut self, client: usize, request: &[u8], response: &Message, now: Instant) {
        match response.typ {
            ALLOCATE => self.note_allocation(client, response, now),
            REFRESH => match response.lifetime() {
                0 => drop(self.allocations.remove(&client)),
                secs => self.of(client).expires = now + told(secs),
            },
            CREATE_PERMISSION => {
                for peer in raw::peers(request) {
                    let permissions = &mut self.of(client).permissions;
                    permissions.insert(peer.ip(), now + PERMISSION);
                }
            }
            CHANNEL_BIND => {
                let number = raw::first(request, CHANNEL_NUMBER).expect("CHANNEL-NUMBER");
                let number = u16::from_be_bytes([number[0], number[1]]);
                let peer = raw::peers(request).next().expect("a peer");
                let allocation = self.of(client);
                allocation.permissions.insert(peer.ip(), now + PERMISSION);
                allocation.channels.insert(number, (peer, now + CHANNEL));
            }
            _ => {}
        }
    }

    fn note_allocation(&mut self, client: usize, response: &Message, now: Instant) {
        let relayed = raw::addresses(&response.bytes, XOR_RELAYED_ADDRESS).collect();
        if let Some(token) = response.get(RESERVATION_TOKEN) {
            self.tokens.push(token.try_into().expect("eight bytes"));
        }
        // A retransmission is answered alike and grants nothing.
        self.allocations
            .entry(client)
            .or_insert_with(|| Allocation {
                relayed,
                expires: now + told(response.lifetime()),
                permissions: HashMap::new(),
                channels: HashMap::new(),
            });
    }

    fn of(&mut self, client: usize) -> &mut Allocation {
        self.allocations.get_mut(&client).expect("an allocation")
    }

    /// What has ended grants nothing any more.
    pub fn forget_ended(&mut self, now: Instant, lives: impl Fn(usize) -> bool) {
        self.allocations
            .retain(|client, allocation| allocation.expires > now && lives(*client));
    }

    /// The peer of a channel that is bound.
    pub fn channel(&self, client: usize, number: u16, now: Instant) -> Option<SocketAddr> {
        let (peer, expires) = self.allocations.get(&client)?.channels.get(&number)?;
        (*expires > now).then_some(*peer)
    }

    /// Whether data may pass between a client and a peer.
    pub fn permits(&self, client: usize, peer: SocketAddr, now: Instant) -> bool {
        let Some(allocation) = self.allocations.get(&client) else {
            return false;
        };
        let permitted = allocation.permissions.get(&peer.ip());
        let mut channels = allocation.channels.values();
        permitted.is_some_and(|expires| *expires > now)
            || self.channel_keeps_permission
                && channels.any(|(bound, expires)| bound.ip() == peer.ip() && *expires > now)
    }
}

fn told(secs: u32) -> Duration {
    Duration::from_secs(u64::from(secs)) + ROUNDING
}

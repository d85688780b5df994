//! Allocations as an operator sees them: plain values, made when somebody asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Now;
use super::allocation::{Allocation, Traffic};
use super::counters::RealmCounters;
use super::five_tuple::{FiveTuple, LinkId};
use super::relayed_addresses::Protocol;
use super::server::Server;
use crate::wire::PeerAddr;

/// The most sessions of one page.
pub const MAX_PAGE: usize = 256;
/// Places looked at for one page: many of them may be empty.
const PLACES: usize = 4096;
/// Peers listed of each session of a page, and of a session that is asked for by itself.
const PEERS_OF_A_PAGE: usize = 16;
const PEERS_OF_ONE: usize = 1024;

/// An allocation, with its client and its peers.
#[derive(Clone, Debug)]
pub struct Session {
    /// A number that no other allocation of this server has.
    pub serial: u64,
    /// Whose keys, limits and peer rules hold for it.
    pub realm: Arc<str>,
    /// The user id.
    pub user: String,
    /// Client, server, and what is spoken between them.
    pub five_tuple: FiveTuple,
    /// Whether there is a way to the client: a mobile client whose connection is lost has none until it comes back.
    pub is_connected: bool,
    /// Whether the client may come back from another address (RFC 8016).
    pub is_mobile: bool,
    /// The relayed transport addresses, as peers see them.
    pub relayed: Vec<SocketAddr>,
    /// What is relayed: datagrams or connections.
    pub protocol: Protocol,
    /// The IP addresses of peers that may reach the client, and be reached.
    pub permissions: Listed<SessionPermission>,
    /// The peers that have a channel.
    pub channels: Listed<SessionChannel>,
    /// Connections with peers (RFC 6062).
    pub peer_connections: usize,
    /// How long ago it was opened.
    pub age: Duration,
    /// How long it lasts unless it is refreshed.
    pub expires_in: Duration,
    /// What it has moved, and what not.
    pub traffic: Traffic,
}

/// The first ones of a list, and how many there are.
#[derive(Clone, Debug, Default)]
pub struct Listed<T> {
    /// The first ones.
    pub first: Vec<T>,
    /// All of them.
    pub total: usize,
}

/// A permission that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionPermission {
    /// Whose.
    pub peer: IpAddr,
    /// How long it lasts unless it is installed again.
    pub expires_in: Duration,
    /// Whether it is an address that this server relays from.
    pub is_inside: bool,
}

/// A channel that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionChannel {
    /// Its number.
    pub number: u16,
    /// What it stands for.
    pub peer: SocketAddr,
    /// How long it lasts unless it is bound again.
    pub expires_in: Duration,
    /// Whether the peer is a client of this server, too: a relayed transport address that is open.
    pub is_inside: bool,
}

/// Some of a worker's sessions.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    /// In no order that means anything.
    pub sessions: Vec<Session>,
    /// From where to ask for more, if there may be more.
    pub next: Option<u32>,
}

impl Server {
    /// What each realm has counted, the default one first, with the name of the realm.
    pub fn realm_counters(&self) -> impl Iterator<Item = (&Arc<str>, &RealmCounters)> {
        let all = self.realms.all();
        all.map(|realm| (&realm.called, &realm.counters))
    }

    /// Up to `limit` sessions, and no more than [`MAX_PAGE`], from a place on: from 0, then from where the last page says.
    ///
    /// A page is a bounded piece of work, and may have fewer sessions although more follow. What is opened or ended between two
    /// pages may be missing from both.
    pub fn sessions(&self, from: u32, limit: usize, now: Now) -> Sessions {
        let limit = limit.clamp(1, MAX_PAGE);
        let (from, end) = (from as usize, self.slots.end());
        let until = end.min(from.saturating_add(PLACES));
        let mut found = Sessions::default();
        for place in from..until {
            if let Some(allocation) = self.slots.at(place) {
                let session = self.session_of(allocation, PEERS_OF_A_PAGE, now);
                found.sessions.push(session);
            }
            if found.sessions.len() >= limit {
                found.next = Some(place as u32 + 1).filter(|next| (*next as usize) < end);
                return found;
            }
        }
        found.next = (until < end).then_some(until as u32);
        found
    }

    /// The session of this number.
    pub fn session(&self, serial: u64, now: Now) -> Option<Session> {
        let allocation = self.allocation(self.relay_of_serial(serial)?)?;
        Some(self.session_of(allocation, PEERS_OF_ONE, now))
    }

    fn session_of(&self, allocation: &Allocation, peers: usize, now: Now) -> Session {
        let permissions = allocation.permissions.live(now.instant);
        let permissions = permissions.map(|(peer, expires)| SessionPermission {
            peer,
            expires_in: expires.saturating_duration_since(now.instant),
            is_inside: self.relayed.is_ours(peer),
        });
        let channels = allocation.channels.live(now.instant);
        let channels = channels.map(|(number, PeerAddr(peer), expires)| SessionChannel {
            number: number.get(),
            peer,
            expires_in: expires.saturating_duration_since(now.instant),
            is_inside: self.relayed.open_behind(peer, Protocol::Udp).is_some(),
        });
        Session {
            serial: allocation.serial,
            realm: self.realms.get(allocation.owner.realm).called.clone(),
            user: allocation.owner.user_id.clone(),
            five_tuple: allocation.flow.five_tuple,
            is_connected: allocation.flow.link != LinkId::NOWHERE,
            is_mobile: allocation.mobility.is_some(),
            relayed: allocation.relays.all().map(|relay| relay.relayed).collect(),
            protocol: allocation.protocol(),
            permissions: Listed::of(permissions, peers),
            channels: Listed::of(channels, peers),
            peer_connections: allocation.connections.as_ref().map_or(0, |all| all.len()),
            age: now.instant.saturating_duration_since(allocation.opened_at),
            expires_in: allocation.expires.saturating_duration_since(now.instant),
            traffic: allocation.traffic,
        }
    }
}

impl<T> Listed<T> {
    fn of(all: impl Iterator<Item = T>, most: usize) -> Self {
        let mut listed = Self {
            first: Vec::new(),
            total: 0,
        };
        for item in all {
            listed.total += 1;
            if listed.first.len() < most {
                listed.first.push(item);
            }
        }
        listed
    }
}

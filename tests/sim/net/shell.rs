//! What stands for sockets: ports that are open or reserved.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use uturn::turn::{
    ConnectPeer, ConnectionId, Flow, Forward, OpenError, OpenRelay, OpenedRelay, Parity, RelayId,
    RelayedAddresses, ReservationToken, Want,
};

/// Relay sockets without sockets. Every port is claimed and given back as the real shell does it.
pub struct Shell {
    relayed: Arc<RelayedAddresses>,
    open: HashMap<RelayId, SocketAddr>,
    reserved: HashMap<ReservationToken, SocketAddr>,
    opened: u16,
    /// Connections with peers that the core wants made, bound and closed (RFC 6062), in order.
    pub connecting: Vec<ConnectPeer>,
    pub bound: Vec<(ConnectionId, Flow)>,
    pub closed: Vec<ConnectionId>,
    /// What other workers are to know of clients.
    pub forwards: Vec<Forward>,
    /// Makes the next relay socket fail, once [`spared`](Self::spared) ones have been opened.
    pub fails_with: Option<OpenError>,
    pub spared: u32,
}

impl Shell {
    pub fn new(relayed: Arc<RelayedAddresses>) -> Self {
        Self {
            relayed,
            open: HashMap::new(),
            reserved: HashMap::new(),
            opened: 0,
            connecting: Vec::new(),
            bound: Vec::new(),
            closed: Vec::new(),
            forwards: Vec::new(),
            fails_with: None,
            spared: 0,
        }
    }

    pub fn open(&mut self, wish: &OpenRelay) -> Result<OpenedRelay, OpenError> {
        assert!(!self.open.contains_key(&wish.relay), "{wish:?} is open");
        match self.spared.checked_sub(1) {
            Some(spared) => self.spared = spared,
            None => {
                if let Some(error) = self.fails_with.take() {
                    return Err(error);
                }
            }
        }
        let bound = match wish.want {
            Want::Any => self.claim(wish, Parity::Any)?,
            Want::Even => self.claim(wish, Parity::Even)?,
            Want::EvenAndReserve(token) => {
                let lower = self.claim(wish, Parity::EvenPair)?;
                let higher = SocketAddr::new(lower.ip(), lower.port() + 1);
                self.relayed.set_reserved(higher);
                let before = self.reserved.insert(token, higher);
                assert_eq!(before, None, "a token is random");
                lower
            }
            Want::Reserved(token) => self
                .reserved
                .remove(&token)
                .ok_or(OpenError::NoReservation)?,
        };
        self.open.insert(wish.relay, bound);
        Ok(OpenedRelay { bound })
    }

    fn claim(&mut self, wish: &OpenRelay, parity: Parity) -> Result<SocketAddr, OpenError> {
        self.opened = self.opened.wrapping_add(1);
        let random = self.opened.wrapping_mul(7919);
        let port = self
            .relayed
            .claim(wish.ip, parity, random)
            .ok_or(OpenError::NoPort)?;
        Ok(SocketAddr::new(wish.ip, port))
    }

    pub fn close(&mut self, relay: RelayId) {
        let bound = self.open.remove(&relay).expect("an open relay is closed");
        self.relayed.release(bound.ip(), bound.port());
    }

    pub fn drop_reservation(&mut self, token: ReservationToken) {
        if let Some(bound) = self.reserved.remove(&token) {
            self.relayed.release(bound.ip(), bound.port());
        }
    }

    /// The open relay that is bound to an address.
    pub fn relay_at(&self, bound: SocketAddr) -> Option<RelayId> {
        let found = self.open.iter().find(|(_, at)| **at == bound)?;
        Some(*found.0)
    }

    pub fn bound(&self, relay: RelayId) -> SocketAddr {
        self.open[&relay]
    }

    pub fn open_relays(&self) -> usize {
        self.open.len()
    }

    pub fn reservations(&self) -> usize {
        self.reserved.len()
    }
}

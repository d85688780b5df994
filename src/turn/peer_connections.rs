//! Connections with peers that allocations relay (RFC 6062), and what each of them waits for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Instant;

use super::output::{ConnectionId, RelayId};
use crate::wire::PeerAddr;

/// A connection with a peer.
pub(super) struct PeerConnection {
    /// The relay of its allocation.
    pub(super) relay: RelayId,
    pub(super) peer: PeerAddr,
    pub(super) state: State,
}

/// How far it is.
pub(super) enum State {
    /// The peer has not accepted it; the Connect is answered once it has.
    Connecting {
        /// The whole request.
        request: Vec<u8>,
        /// How long the peer has for it.
        until: Instant,
    },
    /// No client connection is bound to it.
    Unbound {
        /// How long the client has for it.
        until: Instant,
    },
    /// A client connection is bound to it.
    Bound,
}

/// All of a worker's, by their CONNECTION-ID. Each allocation knows its own, whose number is bounded.
pub(super) struct PeerConnections {
    by_id: HashMap<ConnectionId, PeerConnection>,
    /// Which worker this is, and of how many: a CONNECTION-ID tells whose it is.
    worker: u32,
    workers: u32,
}

impl PeerConnections {
    pub(super) fn new(worker: u32, workers: u32) -> Self {
        Self {
            by_id: HashMap::new(),
            worker,
            workers: workers.max(1),
        }
    }

    /// The worker that has this connection, if any has.
    pub(super) fn worker_of(&self, id: ConnectionId) -> usize {
        (id.0 % self.workers) as usize
    }

    /// Enters a connection under a number that no other has, made from `random` ones.
    pub(super) fn insert(
        &mut self,
        connection: PeerConnection,
        mut random: impl FnMut() -> u32,
    ) -> ConnectionId {
        loop {
            let random = random();
            let id = (random - random % self.workers).checked_add(self.worker);
            if let Some(id) = id.map(ConnectionId)
                && let Entry::Vacant(entry) = self.by_id.entry(id)
            {
                entry.insert(connection);
                return id;
            }
        }
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&PeerConnection> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut PeerConnection> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<PeerConnection> {
        self.by_id.remove(&id)
    }

    /// Whether a deadline is the one that counts.
    pub(super) fn is_due_at(&self, id: ConnectionId, at: Instant) -> bool {
        match self.get(id).map(|connection| &connection.state) {
            Some(State::Connecting { until, .. } | State::Unbound { until }) => *until == at,
            Some(State::Bound) | None => false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

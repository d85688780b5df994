//! Connect and ConnectionAttempt: connections with peers, made by either side (RFC 6062 §5.2, §5.3).

use std::net::SocketAddr;
use std::time::Instant;

use stun::attributes::ATTR_CONNECTION_ID;

use crate::admission::bandwidth::Direction;
use crate::turn::counters::DropReason;
use crate::turn::deadline::Ending;
use crate::turn::output::{ConnectPeer, ConnectionId, Output, RelayId};
use crate::turn::peer_connections::{PeerConnection, State};
use crate::turn::reject::Reject;
use crate::turn::relayed_addresses::{Family, Protocol};
use crate::turn::request::Signer;
use crate::turn::server::Server;
use crate::turn::trace::Loss;
use crate::turn::{CONNECTION_TIMEOUT, Now};
use crate::wire::reply::Reply;
use crate::wire::{Message, Method, PeerAddr, TransactionId};

impl Server {
    /// Asks the shell for a connection with a peer; the response follows in [`Server::handle_connected`].
    pub(in crate::turn) fn connect(
        &mut self,
        relay: RelayId,
        request: &Message<'_>,
        now: Now,
    ) -> Result<(), (Reject, Option<PeerAddr>)> {
        let peer = Self::only_peer(request).map_err(|reject| (reject, None))?;
        let refused = |reject| (reject, Some(peer));
        let allocation = self.allocation(relay);
        let allocation = allocation.ok_or((Reject::NoAllocation, None))?;
        let Some(connections) = &allocation.connections else {
            return Err((Reject::NoTcpAllocation, None));
        };
        let has_it = |id: &ConnectionId| {
            let connection = self.peer_connections.get(*id);
            connection.is_some_and(|connection| connection.peer == peer)
        };
        if connections.iter().any(has_it) {
            return Err(refused(Reject::ConnectionExists));
        }
        let policy = &self.realms.get(allocation.owner.realm).policy;
        policy
            .admit(peer, &allocation.relays, Protocol::Tcp)
            .map_err(refused)?;
        if !self.has_room_for_connection(connections.len()) {
            return Err(refused(Reject::AllocationFull));
        }
        let from = allocation.relays.toward(peer.ip()).map(|relay| relay.id);
        let target = policy.target(peer, Protocol::Tcp);
        let (Some(from), Some(target)) = (from, target.filter(|target| target.port() != 0)) else {
            return Err(refused(Reject::ConnectFailed));
        };
        let state = State::Connecting {
            request: request.bytes().to_vec(),
            until: now.instant + CONNECTION_TIMEOUT,
        };
        let connection = self.enter_connection(relay, peer, state, now.instant);
        self.outputs.push_back(Output::Connect(ConnectPeer {
            connection,
            relay: from,
            target,
        }));
        Ok(())
    }

    fn has_room_for_connection(&self, existing: usize) -> bool {
        (self.settings.max_peer_connections).is_some_and(|max| existing < max)
    }

    fn enter_connection(
        &mut self,
        relay: RelayId,
        peer: PeerAddr,
        state: State,
        now: Instant,
    ) -> ConnectionId {
        let connection = PeerConnection { relay, peer, state };
        let rng = &mut self.rng;
        let id = (self.peer_connections).insert(connection, || rand::Rng::next_u32(rng));
        self.deadlines
            .add(now + CONNECTION_TIMEOUT, Ending::Connection(id));
        if let Some(connections) = (self.allocation_mut(relay)).and_then(|a| a.connections.as_mut())
        {
            connections.push(id);
        }
        self.sweep_deadlines();
        id
    }

    /// Says whether a peer has accepted the connection of an [`Output::Connect`]; the client is answered.
    pub fn handle_connected(&mut self, connection: ConnectionId, accepted: bool, now: Now) {
        let until = now.instant + CONNECTION_TIMEOUT;
        let Some(entry) = self.peer_connections.get_mut(connection) else {
            return;
        };
        if !matches!(entry.state, State::Connecting { .. }) {
            return;
        }
        if !accepted {
            return self.connect_failed(connection);
        }
        let (relay, before) = (
            entry.relay,
            std::mem::replace(&mut entry.state, State::Unbound { until }),
        );
        self.deadlines.add(until, Ending::Connection(connection));
        let Some(allocation) = self.allocation(relay) else {
            return;
        };
        if let State::Connecting { request, .. } = before
            && let Ok(request) = Message::parse(&request)
        {
            let flow = allocation.flow;
            let reply = Reply::success(&request)
                .with_raw(ATTR_CONNECTION_ID, &connection.0.to_be_bytes())
                .software(self.settings.software.as_deref())
                .sign(allocation.owner.key.as_bytes());
            self.reply(flow, reply);
        }
    }

    /// Answers a Connect that came to nothing.
    fn connect_failed(&mut self, connection: ConnectionId) {
        let Some(entry) = self.forget_connection(connection) else {
            return;
        };
        let State::Connecting { request, .. } = entry.state else {
            return;
        };
        let Some(allocation) = self.allocation(entry.relay) else {
            return;
        };
        let (flow, owner) = (allocation.flow, &allocation.owner);
        let (realm, key, username) = (owner.realm, owner.key.clone(), owner.username.clone());
        if let Ok(request) = Message::parse(&request) {
            let (reject, peer) = (Reject::ConnectFailed, Some(entry.peer));
            let signer = Signer {
                realm,
                key: &key,
                username: &username,
            };
            self.refuse_signed_about(flow, &request, signer, reject, peer);
        }
    }

    /// Says that a peer has connected to a relay. `None` means that the connection is to be closed, with no word about it; else
    /// the client is told (RFC 6062 §5.3).
    pub fn handle_accepted(
        &mut self,
        relay: RelayId,
        source: SocketAddr,
        now: Now,
    ) -> Option<ConnectionId> {
        let admitted = self.admit_connection(relay, source, now);
        let (peer, flow) = match admitted {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.dropped(Direction::ToClient, reason);
                let loss = Loss {
                    direction: Direction::ToClient,
                    reason,
                    peer: Some(source),
                    at: Some(now.instant),
                };
                self.note_drop(relay, loss);
                return None;
            }
        };
        let until = now.instant + CONNECTION_TIMEOUT;
        let state = State::Unbound { until };
        let connection = self.enter_connection(relay, peer, state, now.instant);
        let id = TransactionId(self.random());
        let indication = Reply::indication(Method::ConnectionAttempt, id)
            .with_raw(ATTR_CONNECTION_ID, &connection.0.to_be_bytes())
            .peer(peer)
            .finish();
        self.outputs.push_back(Output::Reply {
            flow,
            bytes: indication,
        });
        Some(connection)
    }

    /// The single place that lets a connection in from a peer.
    fn admit_connection(
        &self,
        relay: RelayId,
        source: SocketAddr,
        now: Now,
    ) -> Result<(PeerAddr, crate::turn::Flow), DropReason> {
        let allocation = self.allocation(relay).ok_or(DropReason::NoAllocation)?;
        let policy = &self.realms.get(allocation.owner.realm).policy;
        let peer = policy.source(source, Protocol::Tcp);
        let Some(connections) = &allocation.connections else {
            return Err(DropReason::NoAllocation);
        };
        if allocation.has_ended(now.instant) {
            return Err(DropReason::NoAllocation);
        }
        let peer = peer.ok_or(DropReason::PeerDenied)?;
        if !allocation.permits(peer, now.instant, false) {
            return Err(DropReason::NoPermission);
        }
        if !self.has_room_for_connection(connections.len()) {
            return Err(DropReason::TooManyConnections);
        }
        Ok((peer, allocation.flow))
    }

    /// Says that a connection with a peer has ended, on its own or with the client's that was bound to it.
    pub fn handle_connection_closed(&mut self, connection: ConnectionId) {
        match self
            .peer_connections
            .get(connection)
            .map(|entry| &entry.state)
        {
            Some(State::Connecting { .. }) => self.connect_failed(connection),
            Some(State::Unbound { .. } | State::Bound) => {
                self.forget_connection(connection);
            }
            None => {}
        }
    }

    /// Removes a connection from the table and from its allocation.
    fn forget_connection(&mut self, connection: ConnectionId) -> Option<PeerConnection> {
        let entry = self.peer_connections.remove(connection)?;
        let allocation = self.allocation_mut(entry.relay);
        if let Some(connections) = allocation.and_then(|a| a.connections.as_mut()) {
            connections.retain(|id| *id != connection);
        }
        Some(entry)
    }

    /// Gives up a connection that the peer or the client has not done its part for.
    pub(in crate::turn) fn connection_overdue(
        &mut self,
        connection: ConnectionId,
        at: Instant,
        _now: Now,
    ) {
        if self.peer_connections.is_due_at(connection, at) {
            self.outputs.push_back(Output::CloseConnection(connection));
            self.handle_connection_closed(connection);
        }
    }

    /// Counts bytes that have passed over a bound connection. Until this says `true` no more are to be read: a stream cannot
    /// lose what exceeds the bandwidth, so it waits.
    pub fn handle_stream_data(
        &mut self,
        connection: ConnectionId,
        direction: Direction,
        len: usize,
        now: Now,
    ) -> bool {
        let Some(entry) = self.peer_connections.get(connection) else {
            return true;
        };
        let Some(allocation) = self.slots.get_mut(entry.relay) else {
            return true;
        };
        let realm = self.realms.get_mut(allocation.owner.realm);
        let totals = (realm.total_bandwidth.as_mut(), &mut self.total_bandwidth);
        let meter = &mut allocation.meter;
        if let Err(exceeded) = meter.take(direction, len, now.instant, totals) {
            self.counters.note_limit(exceeded);
            return false;
        }
        match direction {
            Direction::ToPeer => allocation.traffic.bytes_to_peer += len as u64,
            Direction::ToClient => allocation.traffic.bytes_to_client += len as u64,
        }
        let (transport, family) = (
            allocation.flow.five_tuple.transport,
            Family::of(entry.peer.ip()),
        );
        let amount = (realm.counters).relayed_mut(direction, transport, family);
        amount.bytes += len as u64;
        true
    }
}

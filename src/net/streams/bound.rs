//! Connections that are the other half of a peer's, or of one with who answers HTTP; and those that go to another worker.

use std::io;
use std::time::Instant;

use super::connection::Connection;
use super::outbound::Outbound;
use super::{STREAM_LINK, Slot, Streams, mark};
use crate::net::sys::Source;
use crate::turn::LinkId;

/// A connection on its way to another worker.
pub(in crate::net) struct Moved {
    connection: Box<Connection>,
    outbound: Outbound,
}

/// What there is to know of a connection that is bound to a peer's.
pub(super) struct Bound {
    /// The peer's place among `PeerStreams`.
    pub(super) peer: usize,
    /// Whether there may be something to read that was left there.
    pub(super) held: bool,
    /// Whether the peer says no more, and whether the client has been told.
    pub(super) peer_ended: bool,
    pub(super) told: bool,
    /// Whether it is no peer's, but that of who answers HTTP: it ends both sides of it when it has said everything.
    pub(super) is_http: bool,
}

impl Streams {
    /// Takes a connection out that goes to another worker.
    pub(in crate::net) fn send_away(&mut self, place: usize) -> io::Result<Box<Moved>> {
        let slot = self.slots.try_remove(place);
        let slot = slot.ok_or(io::ErrorKind::NotFound)?;
        let connection = slot.connection.ok_or(io::ErrorKind::NotFound)?;
        self.members.remove(&connection.socket)?;
        Ok(Box::new(Moved {
            connection,
            outbound: slot.outbound,
        }))
    }

    /// Takes in a connection that comes from another worker, and returns its place.
    pub(in crate::net) fn take_in(&mut self, moved: Moved, now: Instant) -> io::Result<usize> {
        let Moved {
            mut connection,
            mut outbound,
        } = moved;
        let entry = self.slots.vacant_entry();
        let place = entry.key();
        self.members
            .add_connection(&connection.socket, Source::Connection(place))?;
        connection.flow.link = LinkId(STREAM_LINK | place as u32);
        connection.goes_to = None;
        outbound.dirty = false;
        outbound.unblock();
        let serial = self.serials;
        self.serials += 1;
        let slot = entry.insert(Slot {
            serial,
            connection: Some(connection),
            outbound,
            bound: None,
        });
        mark(&mut slot.outbound, place, &mut self.dirty);
        self.check_later(place, serial, now);
        Ok(place)
    }

    /// Makes a connection the other half of a peer's, or of one with who answers HTTP.
    pub(in crate::net) fn bind(&mut self, place: usize, peer: usize, is_http: bool) -> bool {
        let Some(slot) = self.slots.get_mut(place) else {
            return false;
        };
        slot.bound = Some(Box::new(Bound {
            peer,
            held: false,
            peer_ended: false,
            told: false,
            is_http,
        }));
        true
    }

    /// The peer's place that a connection is the other half of.
    pub(in crate::net) fn peer_of(&self, place: usize) -> Option<usize> {
        let bound = self.slots.get(place)?.bound.as_ref()?;
        Some(bound.peer)
    }

    /// Remembers that there may be something to read that was left there.
    pub(in crate::net) fn hold(&mut self, place: usize) {
        if let Some(bound) = self.bound_mut(place) {
            bound.held = true;
        }
    }

    /// Whether there may be something to read that was left there, which is read now.
    pub(in crate::net) fn resume(&mut self, place: usize) -> bool {
        let bound = self.bound_mut(place);
        bound.is_some_and(|bound| std::mem::take(&mut bound.held))
    }

    /// Remembers that the peer says no more: the client is told once it has been written everything.
    pub(in crate::net) fn end_peer(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place)
            && let Some(bound) = &mut slot.bound
        {
            bound.peer_ended = true;
            mark(&mut slot.outbound, place, &mut self.dirty);
        }
    }

    /// Whether the client has heard everything that the peer had to say.
    pub(in crate::net) fn has_told(&self, place: usize) -> bool {
        let slot = self.slots.get(place);
        slot.and_then(|slot| slot.bound.as_ref())
            .is_some_and(|bound| bound.told)
    }

    fn bound_mut(&mut self, place: usize) -> Option<&mut Bound> {
        self.slots.get_mut(place)?.bound.as_deref_mut()
    }
}

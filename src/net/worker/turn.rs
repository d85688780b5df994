//! What a worker does: it waits until something happens, and handles a bounded piece of it in each direction.
//!
//! No direction can keep the others waiting: whatever is left over is gone on with in the next turn, after a look at what
//! else has happened.

use std::io;
use std::time::{Duration, Instant};

use super::Worker;
use crate::net::dtls::Dtls;
use crate::net::sys::{Happened, Source};
use crate::turn::RelayId;

/// The longest wait: sockets are asked for drops, and connections for timeouts, once a second.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Pause after the system refused a connection, say for want of descriptors: its client goes on waiting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What has happened and was not handled to its end: it is not reported again.
#[derive(Default)]
pub(super) struct Pending {
    /// UDP listeners that may hold more.
    pub(super) listeners: Vec<usize>,
    /// Listeners at which connections may wait.
    pub(super) acceptors: Vec<usize>,
    /// Relay sockets that may hold more.
    pub(super) relays: Vec<RelayId>,
    /// Relay sockets about whose datagrams there may be more errors.
    pub(super) failed_relays: Vec<RelayId>,
    /// Connections that may hold more.
    pub(super) connections: Vec<Happened>,
    /// Relays at which peers' connections may wait.
    pub(super) peer_acceptors: Vec<RelayId>,
    /// Connections with peers that may hold more.
    pub(super) peer_streams: Vec<Happened>,
    /// Whether other workers may have posted more.
    pub(super) mail: bool,
    /// Whether there may be more to find.
    found_more: bool,
    /// Until when no connection is accepted.
    accepts_again: Option<Instant>,
}

impl Worker {
    /// Waits until there is something to do, and does some of it.
    pub(in crate::net) fn take_turn(&mut self) -> io::Result<()> {
        self.turns += 1;
        let until = self.next_deadline();
        let timeout = if self.pending.is_urgent() {
            Duration::ZERO
        } else {
            until.saturating_duration_since(Instant::now())
        };
        match self.ready_set.wait(&mut self.found, timeout) {
            Ok(()) => self.sort_found(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        self.handle_pending();
        if until <= Instant::now() {
            self.handle_timeout();
        }
        if !self.watched.is_empty() {
            self.tell_watchers();
        }
        Ok(())
    }

    fn sort_found(&mut self) {
        for happened in self.found.all() {
            if happened.source == Source::Bell {
                self.mailboxes[self.mailbox].answer();
            }
            self.pending.add(happened);
        }
        self.pending.merge();
        self.pending.found_more = self.found.is_full();
        self.found.clear();
    }

    fn handle_pending(&mut self) {
        // Before the datagrams that they are about.
        let more_letters = self.pending.mail && self.read_letters();
        if !self.pending.failed_relays.is_empty() {
            self.drain_errors();
        }
        let mut listeners = std::mem::take(&mut self.pending.listeners);
        listeners.retain(|at| self.drain_listener(*at));
        self.pending.listeners = listeners;
        if !self.pending.relays.is_empty() {
            self.drain_relays();
        }
        if self.pending.mail {
            self.pending.mail = self.open_mail() || more_letters;
        }
        if !self.pending.connections.is_empty() {
            self.drain_connections();
        }
        self.write_streams();
        if !self.pending.peer_acceptors.is_empty() {
            self.accept_peers();
        }
        if !self.pending.peer_streams.is_empty() {
            self.drain_peer_streams();
        }
        self.write_streams();
        if !self.pending.acceptors.is_empty() {
            self.accept_connections();
        }
    }

    fn accept_connections(&mut self) {
        let now = Instant::now();
        if self.pending.accepts_again.is_some_and(|again| now < again) {
            return;
        }
        self.pending.accepts_again = None;
        let mut acceptors = std::mem::take(&mut self.pending.acceptors);
        acceptors.retain(|at| match self.accept(*at, now) {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                self.pending.accepts_again = Some(now + ACCEPT_PAUSE);
                true
            }
        });
        self.pending.acceptors = acceptors;
    }

    /// When there is something to do although nothing happens.
    fn next_deadline(&self) -> Instant {
        let longest = self.last_timeout + LONGEST_WAIT;
        [
            self.server.poll_timeout(),
            self.streams.next_check(),
            self.dtls.as_ref().and_then(Dtls::next_check),
            self.pending.accepts_again,
            self.throttled.next(),
        ]
        .into_iter()
        .flatten()
        .fold(longest, Instant::min)
    }
}

impl Pending {
    fn add(&mut self, happened: Happened) {
        match happened.source {
            Source::Listener(at) => self.listeners.push(at),
            Source::Acceptor(at) => self.acceptors.push(at),
            Source::Relay(relay) => {
                if happened.failed {
                    self.failed_relays.push(RelayId(relay));
                }
                if happened.readable {
                    self.relays.push(RelayId(relay));
                }
            }
            Source::Connection(_) => self.connections.push(happened),
            Source::PeerAcceptor(relay) => self.peer_acceptors.push(RelayId(relay)),
            Source::PeerStream(_) => self.peer_streams.push(happened),
            Source::Bell => self.mail = true,
        }
    }

    /// Has each source once, however much has happened to it since it was left unfinished: else one that is flooded would
    /// be worked on more and more often in each turn.
    fn merge(&mut self) {
        for list in [&mut self.listeners, &mut self.acceptors] {
            list.sort_unstable();
            list.dedup();
        }
        for list in [
            &mut self.relays,
            &mut self.failed_relays,
            &mut self.peer_acceptors,
        ] {
            list.sort_unstable_by_key(|relay| relay.0);
            list.dedup();
        }
        for list in [&mut self.connections, &mut self.peer_streams] {
            list.sort_unstable_by_key(|happened| happened.source);
            list.dedup_by(|later, first| {
                let same = later.source == first.source;
                if same {
                    first.readable |= later.readable;
                    first.writable |= later.writable;
                    first.ended |= later.ended;
                }
                same
            });
        }
    }

    /// Whether there is anything that does not have to wait.
    fn is_urgent(&self) -> bool {
        self.found_more
            || self.mail
            || !self.listeners.is_empty()
            || !self.relays.is_empty()
            || !self.failed_relays.is_empty()
            || !self.connections.is_empty()
            || !self.peer_acceptors.is_empty()
            || !self.peer_streams.is_empty()
            || !self.acceptors.is_empty() && self.accepts_again.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(source: Source) -> Happened {
        Happened {
            source,
            readable: true,
            writable: false,
            ended: false,
            failed: false,
        }
    }

    #[test]
    fn a_source_that_is_flooded_has_one_place_in_a_turn() {
        let mut pending = Pending::default();
        for _ in 0..100 {
            for source in [
                Source::Listener(1),
                Source::Acceptor(0),
                Source::Relay(7),
                Source::Relay(3),
                Source::Connection(5),
            ] {
                pending.add(Happened {
                    failed: true,
                    ..happened(source)
                });
            }
            pending.merge();
        }
        assert_eq!(pending.listeners, [1]);
        assert_eq!(pending.acceptors, [0]);
        assert_eq!(pending.relays, [RelayId(3), RelayId(7)]);
        assert_eq!(pending.failed_relays, [RelayId(3), RelayId(7)]);
        assert_eq!(pending.connections.len(), 1);
    }

    #[test]
    fn errors_alone_are_not_taken_for_data() {
        let mut pending = Pending::default();
        pending.add(Happened {
            readable: false,
            failed: true,
            ..happened(Source::Relay(7))
        });
        assert!(pending.relays.is_empty() && pending.is_urgent());
        assert_eq!(pending.failed_relays, [RelayId(7)]);
    }

    #[test]
    fn what_happened_to_a_connection_is_not_lost_in_what_was_left_over() {
        let mut pending = Pending::default();
        pending.add(happened(Source::Connection(5)));
        pending.add(Happened {
            readable: false,
            ended: true,
            ..happened(Source::Connection(5))
        });
        pending.add(Happened {
            writable: true,
            ..happened(Source::Connection(4))
        });
        pending.merge();
        let [four, five] = &pending.connections[..] else {
            panic!("{:?}", pending.connections);
        };
        assert!(four.writable && !four.ended);
        assert!(five.readable && five.ended && !five.writable);
    }
}

//! TURN over DTLS (RFC 7350): the sessions of one worker.
//!
//! DTLS 1.2, as the server speaks it. `record` and `hello` take apart what arrives, `cookie` is the stateless exchange
//! that precedes everything, `handshake` has the order of messages, `secrets` and `keys` what protects records, and `session` is
//! all that a client has. `client` is the other side, for who looks at a server from outside. Whatever is cryptography comes from rustls and its provider. Knows nothing of STUN: `worker/from_dtls.rs` passes
//! messages on. Timeouts are found by looking at each session once a second, as for connections.

mod client;
mod config;
mod cookie;
mod handshake;
mod hello;
mod keys;
mod reader;
mod record;
mod rehearsal;
mod secrets;
mod session;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use slab::Slab;

use super::ConnectionCounters;
use super::connections::Connections;
use crate::admission::rate_limit::SourceLimiter;
use crate::turn::{FiveTuple, Flow, LinkId, Now};
pub(crate) use client::{DtlsClient, DtlsError};
pub(super) use config::DtlsConfig;
pub(super) use cookie::CookieKey;
use hello::Beginning;
pub(super) use hello::HELLO_VERIFY_LEN;
pub(super) use record::Said;
use record::{HEADER, Header};
pub use rehearsal::{Rehearsal, Response};
pub(super) use session::Heard;
use session::Session;

/// Marks the links that are DTLS sessions; the rest of the number is a place in the table.
pub(super) const DTLS_LINK: u32 = 1 << 30;

/// How often each session is looked at: for what to send again, and for whether it has taken too long over something.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Whether a datagram is DTLS, where that is spoken beside STUN (RFC 7983 §7).
pub(super) fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(20..=63))
}

/// What the DTLS sessions of a worker need.
pub(super) struct DtlsSettings {
    /// What sessions are opened with.
    pub(super) config: Arc<DtlsConfig>,
    /// The key behind the cookies, shared by all workers.
    pub(super) cookies: CookieKey,
    /// Places, shared by all workers, and with TCP and TLS connections.
    pub(super) connections: Arc<Connections>,
    /// How long a session without an allocation may stay silent.
    pub(super) idle_timeout: Duration,
    /// How long a handshake may take.
    pub(super) handshake_timeout: Duration,
}

/// The sessions of one worker.
pub(super) struct Dtls {
    settings: DtlsSettings,
    sessions: Slab<Session>,
    /// Finds sessions by their five-tuple, which lies in the session.
    names: HashTable<usize>,
    /// Keyed, so that nobody can choose five-tuples that collide.
    hasher: RandomState,
    /// How often one address may begin a session.
    begins: SourceLimiter,
    /// When to look at each session next, in that order.
    checks: VecDeque<Check>,
    serials: u64,
    counters: ConnectionCounters,
}

struct Check {
    at: Instant,
    place: usize,
    serial: u64,
}

/// What a datagram is.
pub(super) enum Arrival {
    /// A hello without a genuine cookie: the answer, for which nothing was kept.
    Stranger([u8; HELLO_VERIFY_LEN]),
    /// A hello with a genuine cookie, from a client that has a session already: that one is over.
    Anew(usize),
    /// For the session at this place.
    Session(usize),
    /// Nothing that means anything.
    Nothing,
}

/// What is to be done with a session although its client says nothing.
pub(super) enum Due {
    /// There may be something to send for the session at this place.
    Send(usize),
    /// It is over, and why.
    End(usize, &'static str),
}

impl Dtls {
    pub(super) fn new(settings: DtlsSettings, begins: SourceLimiter) -> Self {
        Self {
            settings,
            sessions: Slab::new(),
            names: HashTable::new(),
            hasher: RandomState::default(),
            begins,
            checks: VecDeque::new(),
            serials: 0,
            counters: ConnectionCounters::default(),
        }
    }

    /// Finds out what a datagram is, and begins a session if it is a hello with a genuine cookie.
    pub(super) fn arrive(
        &mut self,
        flow: &Flow,
        listener: usize,
        datagram: &[u8],
        now: Now,
    ) -> Arrival {
        let place = self.find(&flow.five_tuple);
        let Some(hello) = Beginning::read(datagram) else {
            return place.map_or(Arrival::Nothing, Arrival::Session);
        };
        if let Some(place) = place
            && self.sessions[place].began_with(&hello)
        {
            return Arrival::Session(place);
        }
        let (from, cookies) = (&flow.five_tuple, &self.settings.cookies);
        if !cookies.is_genuine(from, &hello, now.unix) {
            return Arrival::Stranger(hello::hello_verify_request(
                &hello,
                &cookies.issue(from, &hello, now.unix),
            ));
        }
        match place {
            // RFC 6347 §4.2.8: the cookie shows that it is the client that begins anew.
            Some(place) => Arrival::Anew(place),
            None => self.enter(flow, listener, &hello, now.instant),
        }
    }

    fn enter(
        &mut self,
        flow: &Flow,
        listener: usize,
        hello: &Beginning<'_>,
        now: Instant,
    ) -> Arrival {
        let client = flow.five_tuple.client.ip();
        if !self.begins.allow(client, now) {
            self.counters.refused_for_rate += 1;
            tracing::debug!("DTLS session refused: too many from this address in a short time");
            return Arrival::Nothing;
        }
        let Some(admitted) = self.settings.connections.admit(client) else {
            self.counters.refused_for_limit += 1;
            tracing::debug!("DTLS session refused: limit reached");
            return Arrival::Nothing;
        };
        let entry = self.sessions.vacant_entry();
        let (place, serial) = (entry.key(), self.serials);
        self.serials += 1;
        let flow = Flow {
            link: LinkId(DTLS_LINK | place as u32),
            ..*flow
        };
        let hash = self.hasher.hash_one(flow.five_tuple);
        entry.insert(Session::new(hello, (flow, listener, serial), admitted, now));
        let (hasher, sessions) = (&self.hasher, &self.sessions);
        self.names.insert_unique(hash, place, |place| {
            hasher.hash_one(sessions[*place].flow.five_tuple)
        });
        self.check_later(place, serial, now);
        Arrival::Session(place)
    }

    fn find(&self, five_tuple: &FiveTuple) -> Option<usize> {
        let hash = self.hasher.hash_one(five_tuple);
        let same = |place: &usize| self.sessions[*place].flow.five_tuple == *five_tuple;
        self.names.find(hash, same).copied()
    }

    /// Handles the first record of a datagram that is a session's: how long it is, and what came of it. `None` if there is no
    /// more. What is to be sent is added to `said`.
    pub(super) fn handle(
        &mut self,
        place: usize,
        datagram: &mut [u8],
        now: Instant,
        said: &mut Said,
    ) -> Option<(usize, Heard)> {
        let session = self.sessions.get_mut(place)?;
        let header = Header::read(datagram)?;
        let len = HEADER + header.len;
        let record = &mut datagram[..len];
        let was_handshaking = session.is_handshaking();
        let heard = session.handle(&self.settings.config, header, record, now, said);
        if was_handshaking && !session.is_handshaking() {
            self.counters.handshakes += 1;
        }
        Some((len, heard))
    }

    /// Whose a session is, and the listener that it goes through.
    pub(super) fn get(&self, place: usize) -> Option<(&Flow, usize)> {
        let session = self.sessions.get(place)?;
        Some((&session.flow, session.listener))
    }

    /// Encrypts a message in these pieces; `false` if it cannot be sent.
    pub(super) fn seal(&mut self, place: usize, pieces: &[&[u8]], out: &mut Vec<u8>) -> bool {
        let session = self.sessions.get_mut(place);
        session.is_some_and(|session| session.seal(pieces, out))
    }

    /// Remembers whether a session ever had an allocation, which `has_allocation` knows.
    pub(super) fn note_allocation(
        &mut self,
        place: usize,
        has_allocation: impl Fn(&FiveTuple) -> bool,
    ) {
        if let Some(session) = self.sessions.get_mut(place) {
            session.note_allocation(has_allocation);
        }
    }

    /// Forgets a session, and returns whose it was and the listener that it went through. Its last words are added to `said`.
    pub(super) fn remove(&mut self, place: usize, said: &mut Said) -> Option<(Flow, usize)> {
        let mut session = self.sessions.try_remove(place)?;
        if session.is_handshaking() {
            self.counters.failed_handshakes += 1;
        }
        let hash = self.hasher.hash_one(session.flow.five_tuple);
        if let Ok(entry) = self.names.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
        session.write_goodbye(said);
        Some((session.flow, session.listener))
    }

    /// What has become of those who began a session.
    pub(super) fn counters(&self) -> ConnectionCounters {
        ConnectionCounters {
            open: self.sessions.len(),
            ..self.counters
        }
    }

    /// One of the sessions, if there is any.
    pub(super) fn any(&self) -> Option<usize> {
        self.sessions.iter().next().map(|(place, _)| place)
    }

    /// When there is a session to look at.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.checks.front().map(|check| check.at)
    }

    /// Looks at the next session that is to be looked at. Whether one that is silent has an allocation is asked of
    /// `has_allocation`.
    pub(super) fn next_due(
        &mut self,
        now: Instant,
        said: &mut Said,
        has_allocation: impl Fn(&FiveTuple) -> bool,
    ) -> Option<Due> {
        let timeouts = (self.settings.handshake_timeout, self.settings.idle_timeout);
        while let Some(Check { place, serial, .. }) =
            self.checks.pop_front_if(|check| check.at <= now)
        {
            let Some(session) = self.sessions.get_mut(place) else {
                continue;
            };
            if session.serial != serial {
                continue;
            }
            if let Some(reason) = session.overdue(timeouts, now, &has_allocation) {
                return Some(Due::End(place, reason));
            }
            session.write_again(said, now);
            self.check_later(place, serial, now);
            if !said.is_empty() {
                return Some(Due::Send(place));
            }
        }
        None
    }

    fn check_later(&mut self, place: usize, serial: u64, now: Instant) {
        self.checks.push_back(Check {
            at: now + CHECK_EVERY,
            place,
            serial,
        });
    }
}

#[cfg(test)]
mod tests;

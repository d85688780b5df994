//! The DTLS session of one client: records in, messages and records out.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::config::DtlsConfig;
use super::handshake::{Alert, FINISHED, FINISHED_LEN, Handshake, Progress};
use super::hello::{Beginning, Fragment, RANDOM};
use super::keys::{EPOCH, Keys};
use super::reader::Reader;
use super::record::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Header, Number, Said,
};
use crate::net::connections::Place;
use crate::turn::{FiveTuple, Flow};

/// What a session may send in all before it has an allocation: each request is checked against every secret.
const MAX_BEFORE_ALLOCATION: usize = 64 * 1024;

pub(super) const FATAL: u8 = 2;
pub(super) const WARNING: u8 = 1;
pub(super) const CLOSE_NOTIFY: u8 = 0;

/// The session of one client.
pub(super) struct Session {
    pub(super) flow: Flow,
    /// The listener that it goes through.
    pub(super) listener: usize,
    /// Tells it from others that had the same place.
    pub(super) serial: u64,
    client_random: [u8; RANDOM],
    /// Until it is over.
    handshake: Option<Box<Handshake>>,
    keys: Option<Box<Keys>>,
    /// Our Finished: the client may not have got it.
    finished: [u8; FINISHED_LEN],
    /// The number of the next record in the clear.
    next_plain: u64,
    /// Whether there ever was an allocation.
    has_allocated: bool,
    /// Bytes received before there was one.
    before_allocation: usize,
    /// When the session began, or was last heard of.
    last_heard: Instant,
    /// Its share of the limits, given back when it ends.
    _admitted: Place,
}

/// What came of a record.
pub(in crate::net) enum Heard {
    /// There may be something to send, and nothing else.
    Nothing,
    /// A message of the client's: where in the record it lies.
    Message(Range<usize>),
    /// The session is over, and why.
    End(&'static str),
}

impl Session {
    /// Begins with a hello whose cookie is genuine.
    pub(super) fn new(
        hello: &Beginning<'_>,
        (flow, listener, serial): (Flow, usize, u64),
        admitted: Place,
        now: Instant,
    ) -> Self {
        Self {
            flow,
            listener,
            serial,
            client_random: hello.random,
            handshake: Some(Box::new(Handshake::new(hello.seq, hello.record, now))),
            keys: None,
            finished: [0; FINISHED_LEN],
            next_plain: 0,
            has_allocated: false,
            before_allocation: 0,
            last_heard: now,
            _admitted: admitted,
        }
    }

    /// Whether its handshake is not over.
    pub(super) fn is_handshaking(&self) -> bool {
        self.handshake.is_some()
    }

    /// Whether this hello is the one that the session began with, said again.
    pub(super) fn began_with(&self, hello: &Beginning<'_>) -> bool {
        self.client_random == hello.random
    }

    /// Handles one record, which is decrypted where it lies. What is to be sent is added to `said`.
    pub(super) fn handle(
        &mut self,
        config: &DtlsConfig,
        header: Header,
        record: &mut [u8],
        now: Instant,
        said: &mut Said,
    ) -> Heard {
        match (header.number.epoch(), &mut self.keys) {
            // Nothing in the clear is obeyed once there is something better: alerts are ignored, as anyone can send them.
            (0, _) if header.typ == HANDSHAKE && self.handshake.is_some() => {
                let fragments = &record[HEADER..HEADER + header.len];
                self.handle_handshake(config, (fragments, false), now, said)
            }
            (EPOCH, Some(keys)) => {
                let Some(range) = keys.open(header, record) else {
                    return Heard::Nothing;
                };
                self.handle_opened(config, header.typ, (record, range), now, said)
            }
            _ => Heard::Nothing,
        }
    }

    fn handle_opened(
        &mut self,
        config: &DtlsConfig,
        typ: u8,
        (record, range): (&[u8], Range<usize>),
        now: Instant,
        said: &mut Said,
    ) -> Heard {
        match (typ, &record[range.clone()]) {
            (APPLICATION_DATA, data) if self.handshake.is_none() => {
                self.last_heard = now;
                if !self.has_allocated {
                    self.before_allocation = self.before_allocation.saturating_add(data.len());
                    if self.before_allocation > MAX_BEFORE_ALLOCATION {
                        return Heard::End("too much without an allocation");
                    }
                }
                Heard::Message(range)
            }
            (HANDSHAKE, fragments) if self.handshake.is_some() => {
                self.handle_handshake(config, (fragments, true), now, said)
            }
            (HANDSHAKE, [FINISHED, ..]) => {
                // It was sent with a new number, so our own has been lost (RFC 6347 §4.2.4).
                self.write_finished(said);
                Heard::Nothing
            }
            (ALERT, [_, CLOSE_NOTIFY]) => Heard::End("closed by the client"),
            (ALERT, [FATAL, _]) => Heard::End("given up by the client"),
            _ => Heard::Nothing,
        }
    }

    fn handle_handshake(
        &mut self,
        config: &DtlsConfig,
        (fragments, encrypted): (&[u8], bool),
        now: Instant,
        said: &mut Said,
    ) -> Heard {
        let (mut reader, mut lost) = (Reader(fragments), false);
        while let Some(fragment) = Fragment::read(&mut reader)
            && let Some(handshake) = &mut self.handshake
        {
            lost |= handshake.is_repeated(&fragment);
            // The last message is encrypted, and no other.
            if encrypted != (fragment.typ == FINISHED) {
                continue;
            }
            match handshake.handle(config, fragment) {
                Ok(Progress::Nothing) => {}
                Ok(Progress::Flight) => handshake.write_flight(said, now),
                Ok(Progress::Keys(keys)) => self.keys = Some(keys),
                Ok(Progress::Done(finished)) => {
                    self.next_plain = handshake.next_record().sequence();
                    self.finished = finished;
                    self.handshake = None;
                    self.last_heard = now;
                    self.write_finished(said);
                }
                Err(alert) => {
                    let number = handshake.next_record();
                    said.add_plain(ALERT, number, &[&[FATAL, alert as u8]]);
                    said.end_datagram();
                    return Heard::End(why(alert));
                }
            }
        }
        if lost && let Some(handshake) = &mut self.handshake {
            handshake.write_lost(said, now);
        }
        Heard::Nothing
    }

    /// Says that all that follows is encrypted, and proves that nobody has changed the handshake.
    fn write_finished(&mut self, said: &mut Said) {
        let number = Number::new(0, self.next_plain);
        self.next_plain += 1;
        said.add_plain(CHANGE_CIPHER_SPEC, number, &[&[1]]);
        if let Some(keys) = &mut self.keys {
            keys.seal(HANDSHAKE, &[&self.finished], said.bytes());
        }
        said.end_datagram();
    }

    /// Adds a record that carries a message in these pieces; `false` if it cannot be sent.
    pub(super) fn seal(&mut self, pieces: &[&[u8]], out: &mut Vec<u8>) -> bool {
        match (&self.handshake, &mut self.keys) {
            (None, Some(keys)) => keys.seal(APPLICATION_DATA, pieces, out),
            _ => false,
        }
    }

    /// Says that nothing more will be said.
    pub(super) fn write_goodbye(&mut self, said: &mut Said) {
        if let (None, Some(keys)) = (&self.handshake, &mut self.keys) {
            keys.seal(ALERT, &[&[WARNING, CLOSE_NOTIFY]], said.bytes());
            said.end_datagram();
        }
    }

    /// Remembers whether there ever was an allocation.
    pub(super) fn note_allocation(&mut self, has_allocation: impl Fn(&FiveTuple) -> bool) {
        if !self.has_allocated {
            self.has_allocated = has_allocation(&self.flow.five_tuple);
        }
    }

    /// Sends what the client has not answered, if it has had time to.
    pub(super) fn write_again(&mut self, said: &mut Said, now: Instant) {
        if let Some(handshake) = &mut self.handshake {
            handshake.write_again(said, now);
        }
    }

    /// What the client has not done in time. It may be silent while it has an allocation, and for a while besides.
    pub(super) fn overdue(
        &mut self,
        (handshake_timeout, idle_timeout): (Duration, Duration),
        now: Instant,
        has_allocation: impl Fn(&FiveTuple) -> bool,
    ) -> Option<&'static str> {
        if self.handshake.is_some() {
            let late = now >= self.last_heard + handshake_timeout;
            return late.then_some("DTLS handshake timed out");
        }
        if self.keys.as_ref().is_some_and(|keys| keys.are_used_up()) {
            return Some("the keys have been used for as much as they may be");
        }
        if now < self.last_heard + idle_timeout {
            return None;
        }
        if has_allocation(&self.flow.five_tuple) {
            self.last_heard = now;
            return None;
        }
        Some("no allocation, and silent for too long")
    }
}

fn why(alert: Alert) -> &'static str {
    match alert {
        Alert::ProtocolVersion => "DTLS 1.2 is not spoken by the client",
        Alert::HandshakeFailure => "no cipher suite, curve or signature in common",
        Alert::DecryptError => "DTLS handshake was tampered with",
        Alert::InternalError => "DTLS handshake failed here",
        Alert::UnexpectedMessage | Alert::IllegalParameter | Alert::DecodeError => {
            "DTLS handshake malformed"
        }
    }
}

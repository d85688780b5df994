//! Clients whose address changes (RFC 8016): the tickets that allocations are found again by, and the way there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Nonce, Tag};
use zeroize::Zeroizing;

use super::five_tuple::{FiveTuple, Flow};
use super::output::RelayId;
use crate::wire::TransactionId;

/// How long a Refresh that has moved an allocation may be retransmitted (RFC 8016 §3.2.2: at least 30 seconds).
const RETRANSMISSIONS: Duration = Duration::from_secs(40);

const NONCE: usize = 12;
const SAYS: usize = 24;
const TAG: usize = 16;
/// The length of a ticket.
const TICKET: usize = NONCE + SAYS + TAG;

/// The key that mobility tickets are sealed with: the same for all workers of one server.
#[derive(Clone)]
pub struct TicketKey(Zeroizing<[u8; 16]>);

impl TicketKey {
    /// Takes 16 bytes that nobody can guess.
    pub fn new(random: [u8; 16]) -> Self {
        Self(Zeroizing::new(random))
    }
}

/// What a ticket says. Whom the allocation belongs to is asked of the allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Which worker has the allocation, counted from 0.
    pub(super) worker: u32,
    pub(super) relay: RelayId,
    /// Tells the allocation from a later one in the same place.
    pub(super) serial: u64,
    /// How many tickets the allocation had before: only the latest one is good.
    pub(super) generation: u64,
}

/// Seals tickets and opens them (RFC 8016 §3.1.2, §5): AES-128-GCM, so that nobody can read, change or make one.
pub(super) struct Tickets(Box<Aes128Gcm>);

impl Tickets {
    pub(super) fn new(key: &TicketKey) -> Self {
        let cipher = Aes128Gcm::new_from_slice(&key.0[..]);
        Self(Box::new(cipher.expect("the key has 16 bytes")))
    }

    /// Seals a ticket. The nonce is random: 2^32 tickets may be sealed with one key, which lasts as long as the process.
    pub(super) fn seal(&self, ticket: Ticket, nonce: [u8; NONCE]) -> [u8; TICKET] {
        let mut sealed = [0; TICKET];
        sealed[..NONCE].copy_from_slice(&nonce);
        let says = &mut sealed[NONCE..NONCE + SAYS];
        says[..4].copy_from_slice(&ticket.worker.to_be_bytes());
        says[4..8].copy_from_slice(&ticket.relay.0.to_be_bytes());
        says[8..16].copy_from_slice(&ticket.serial.to_be_bytes());
        says[16..].copy_from_slice(&ticket.generation.to_be_bytes());
        let tag = (self.0)
            .encrypt_inout_detached(&Nonce::from(nonce), b"", says.into())
            .expect("24 bytes can be encrypted");
        sealed[NONCE + SAYS..].copy_from_slice(&tag);
        sealed
    }

    /// Opens a ticket; `None` for whatever this server has not sealed.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Ticket> {
        let sealed: &[u8; TICKET] = sealed.try_into().ok()?;
        let nonce: [u8; NONCE] = sealed[..NONCE].try_into().ok()?;
        let mut says: [u8; SAYS] = sealed[NONCE..NONCE + SAYS].try_into().ok()?;
        let tag: [u8; TAG] = sealed[NONCE + SAYS..].try_into().ok()?;
        (self.0)
            .decrypt_inout_detached(
                &Nonce::from(nonce),
                b"",
                says.as_mut_slice().into(),
                &Tag::from(tag),
            )
            .ok()?;
        let u32_at = |at: usize| u32::from_be_bytes(says[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_be_bytes(says[at..at + 8].try_into().expect("8 bytes"));
        Some(Ticket {
            worker: u32_at(0),
            relay: RelayId(u32_at(4)),
            serial: u64_at(8),
            generation: u64_at(16),
        })
    }
}

/// What an allocation knows whose client may move.
#[derive(Default)]
pub(super) struct Mobility {
    /// Which ticket is good.
    pub(super) generation: u64,
    /// The worker that receives the client's datagrams, where it is another one.
    pub(super) via: Option<usize>,
    /// Where the client has said that it is now. Data goes there once it has sent some from there.
    pub(super) next: Option<Path>,
    last: Option<Move>,
}

/// A way to a client.
#[derive(Clone, Copy)]
pub(super) struct Path {
    pub(super) flow: Flow,
    pub(super) via: Option<usize>,
}

/// The Refresh that has moved the allocation last.
struct Move {
    transaction_id: TransactionId,
    to: FiveTuple,
    at: Instant,
}

impl Mobility {
    /// Whether a request is the one that has moved the allocation last, sent again.
    pub(super) fn has_answered(&self, id: TransactionId, from: &FiveTuple, now: Instant) -> bool {
        self.last.as_ref().is_some_and(|last| {
            let in_time = now.saturating_duration_since(last.at) < RETRANSMISSIONS;
            last.transaction_id == id && last.to == *from && in_time
        })
    }

    /// Remembers where the client is now; the ticket that it has shown is used up. Returns where it was thought to go before.
    pub(super) fn move_to(&mut self, path: Path, id: TransactionId, now: Instant) -> Option<Path> {
        self.generation += 1;
        self.last = Some(Move {
            transaction_id: id,
            to: path.flow.five_tuple,
            at: now,
        });
        self.next.replace(path)
    }
}

/// The five-tuples of one worker that are on a way to an allocation beside its own.
#[derive(Default)]
pub(super) struct Ways {
    /// Where clients have said that they are now: allocations of this worker.
    next: HashMap<FiveTuple, RelayId>,
    /// What is for allocations of other workers. They say so, and when it is over.
    elsewhere: HashMap<FiveTuple, usize>,
}

impl Ways {
    /// The allocation that a client has moved to a five-tuple, without having sent data from there.
    pub(super) fn next(&self, five_tuple: &FiveTuple) -> Option<RelayId> {
        if self.next.is_empty() {
            return None;
        }
        self.next.get(five_tuple).copied()
    }

    pub(super) fn add_next(&mut self, five_tuple: FiveTuple, relay: RelayId) {
        self.next.insert(five_tuple, relay);
    }

    pub(super) fn remove_next(&mut self, five_tuple: &FiveTuple) {
        self.next.remove(five_tuple);
    }

    /// The worker that has the allocation of a five-tuple.
    pub(super) fn elsewhere(&self, five_tuple: &FiveTuple) -> Option<usize> {
        if self.elsewhere.is_empty() {
            return None;
        }
        self.elsewhere.get(five_tuple).copied()
    }

    pub(super) fn set_elsewhere(&mut self, five_tuple: FiveTuple, worker: Option<usize>) {
        match worker {
            Some(worker) => self.elsewhere.insert(five_tuple, worker),
            None => self.elsewhere.remove(&five_tuple),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET_OF_SOMEBODY: Ticket = Ticket {
        worker: 3,
        relay: RelayId(70_000),
        serial: u64::MAX - 1,
        generation: 5,
    };

    #[test]
    fn what_is_sealed_can_be_opened_and_not_read() {
        let tickets = Tickets::new(&TicketKey::new([7; 16]));
        let sealed = tickets.seal(TICKET_OF_SOMEBODY, [1; 12]);
        assert_eq!(tickets.open(&sealed), Some(TICKET_OF_SOMEBODY));
        let same = tickets.seal(TICKET_OF_SOMEBODY, [2; 12]);
        let alike = (NONCE..TICKET)
            .filter(|at| sealed[*at] == same[*at])
            .count();
        assert!(alike < 8, "{alike} bytes are alike");
        let other = Tickets::new(&TicketKey::new([8; 16]));
        assert_eq!(other.open(&sealed), None);
    }

    #[test]
    fn nothing_else_opens() {
        let tickets = Tickets::new(&TicketKey::new([7; 16]));
        let sealed = tickets.seal(TICKET_OF_SOMEBODY, [1; 12]);
        for bit in 0..TICKET * 8 {
            let mut changed = sealed;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(tickets.open(&changed), None, "bit {bit}");
        }
        for length in 0..TICKET {
            assert_eq!(tickets.open(&sealed[..length]), None);
        }
        assert_eq!(tickets.open(&[&sealed[..], &[0]].concat()), None);
    }
}

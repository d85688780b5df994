//! Clients whose address changes (RFC 8016): the tickets that allocations are found again by, and the way there.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use aes_siv::siv::Aes128Siv;
use aes_siv::{KeyInit, Tag};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::five_tuple::{ClientAddr, FiveTuple, Flow};
use super::output::RelayId;
use crate::wire::TransactionId;

/// How long a Refresh that has moved an allocation may be retransmitted (RFC 8016 §3.2.2: at least 30 seconds).
const RETRANSMISSIONS: Duration = Duration::from_secs(40);

const TAG: usize = 16;
/// What a ticket says, in bytes: the allocation's serial number in five, and in three how many tickets it had before.
const SAYS: usize = 8;
const SERIAL_BITS: u32 = 40;
const GENERATION_BITS: u32 = 24;
const SEALED: usize = TAG + SAYS;
/// The length of a ticket. coturn's `turnutils_uclient` takes no longer one, and only text.
const TICKET: usize = SEALED / 3 * 4;

/// The key that mobility tickets are sealed with: the same for all workers of one server.
#[derive(Clone)]
pub struct TicketKey(Zeroizing<[u8; 32]>);

impl TicketKey {
    /// Takes 32 bytes that nobody can guess.
    pub fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }
}

/// What a ticket says. Whom the allocation belongs to is asked of the allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The allocation's, which tells its worker, too.
    pub serial: u64,
    /// How many tickets the allocation had before: only the latest one is good.
    pub generation: u32,
}

/// Seals tickets and opens them (RFC 8016 §3.1.2, §5): AES-SIV with 128 bits of key and tag (RFC 5297), as text.
///
/// No two tickets say the same, so that sealing needs no nonce. Nobody can read, change or make one.
pub struct Tickets(TicketKey);

impl Tickets {
    /// For the server with this key.
    pub fn new(key: TicketKey) -> Self {
        Self(key)
    }

    fn cipher(&self) -> Aes128Siv {
        Aes128Siv::new((&*self.0.0).into())
    }

    /// Seals a ticket; `None` once there is no number left for it.
    pub fn seal(&self, ticket: Ticket) -> Option<String> {
        if ticket.serial >> SERIAL_BITS != 0 || ticket.generation >> GENERATION_BITS != 0 {
            return None;
        }
        let says = ticket.serial << GENERATION_BITS | u64::from(ticket.generation);
        let mut sealed = [0; SEALED];
        let (tag, says_at) = sealed.split_at_mut(TAG);
        says_at.copy_from_slice(&says.to_be_bytes());
        let made = self
            .cipher()
            .encrypt_inout_detached([[]; 0], says_at.into());
        tag.copy_from_slice(&made.ok()?);
        Some(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a ticket; `None` for whatever this server has not sealed.
    pub fn open(&self, ticket: &[u8]) -> Option<Ticket> {
        if ticket.len() != TICKET {
            return None;
        }
        let mut sealed = [0; SEALED];
        let length = BASE64_URL_SAFE_NO_PAD
            .decode_slice(ticket, &mut sealed)
            .ok()?;
        if length != SEALED {
            return None;
        }
        let (tag, says) = sealed.split_at_mut(TAG);
        let tag = Tag::try_from(&*tag).ok()?;
        let opened = (self.cipher()).decrypt_inout_detached([[]; 0], (&mut *says).into(), &tag);
        opened.ok()?;
        let says = u64::from_be_bytes((&*says).try_into().ok()?);
        Some(Ticket {
            serial: says >> GENERATION_BITS,
            generation: says as u32 & ((1 << GENERATION_BITS) - 1),
        })
    }
}

/// What an allocation knows whose client may move.
#[derive(Default)]
pub(super) struct Mobility {
    /// Which ticket is good.
    pub(super) generation: u32,
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
    from: ClientAddr,
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

    /// Where the client was before its last move, while that may be retransmitted: with the nonce that it had there.
    pub(super) fn was_at(&self, now: Instant) -> Option<ClientAddr> {
        let last = self.last.as_ref()?;
        let in_time = now.saturating_duration_since(last.at) < RETRANSMISSIONS;
        in_time.then_some(last.from)
    }

    /// Remembers where the client is now; the ticket that it has shown is used up. Returns where it was thought to go before.
    pub(super) fn move_to(
        &mut self,
        path: Path,
        from: ClientAddr,
        id: TransactionId,
        now: Instant,
    ) -> Option<Path> {
        self.generation += 1;
        self.last = Some(Move {
            transaction_id: id,
            from,
            to: path.flow.five_tuple,
            at: now,
        });
        self.next.replace(path)
    }
}

/// The ways to the allocations of one worker beside their five-tuples.
#[derive(Default)]
pub(super) struct Ways {
    /// The allocations that have tickets.
    by_serial: HashMap<u64, RelayId>,
    /// Where clients have said that they are now: allocations of this worker.
    next: HashMap<FiveTuple, RelayId>,
    /// What is for allocations of other workers. They say so, and when it is over.
    elsewhere: HashMap<FiveTuple, usize>,
}

impl Ways {
    /// The allocation of this serial number, if it has tickets.
    pub(super) fn by_serial(&self, serial: u64) -> Option<RelayId> {
        self.by_serial.get(&serial).copied()
    }

    pub(super) fn add_serial(&mut self, serial: u64, relay: RelayId) {
        self.by_serial.insert(serial, relay);
    }

    pub(super) fn remove_serial(&mut self, serial: u64) {
        self.by_serial.remove(&serial);
    }

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

    const LAST: Ticket = Ticket {
        serial: (1 << 40) - 1,
        generation: (1 << 24) - 1,
    };

    fn tickets(key: u8) -> Tickets {
        Tickets::new(TicketKey::new([key; 32]))
    }

    #[test]
    fn what_is_sealed_can_be_opened_and_not_read() {
        let tickets = tickets(7);
        let first = Ticket {
            serial: 1,
            generation: 0,
        };
        let sealed: Vec<_> = [
            first,
            Ticket {
                generation: 1,
                ..first
            },
            LAST,
        ]
        .into_iter()
        .map(|ticket| {
            let sealed = tickets.seal(ticket).unwrap();
            assert_eq!(tickets.open(sealed.as_bytes()), Some(ticket));
            assert_eq!(self::tickets(8).open(sealed.as_bytes()), None);
            assert_eq!(sealed.len(), 32);
            sealed
        })
        .collect();
        let both = sealed[0].bytes().zip(sealed[1].bytes());
        let alike = both.filter(|(a, b)| a == b).count();
        assert!(alike < 8, "{alike} characters are alike");
    }

    #[test]
    fn nothing_else_opens() {
        let tickets = tickets(7);
        let sealed = tickets.seal(LAST).unwrap().into_bytes();
        for at in 0..sealed.len() {
            for byte in 0..=255 {
                let mut changed = sealed.clone();
                changed[at] = byte;
                assert_eq!(tickets.open(&changed).is_some(), changed == sealed, "{at}");
            }
        }
        for length in 0..sealed.len() {
            assert_eq!(tickets.open(&sealed[..length]), None);
        }
        assert_eq!(tickets.open(&[&sealed[..], b"A"].concat()), None);
    }

    #[test]
    fn a_number_that_does_not_fit_makes_no_ticket() {
        let tickets = tickets(7);
        assert_eq!(
            tickets.seal(Ticket {
                serial: 1 << 40,
                ..LAST
            }),
            None
        );
        let generation = 1 << 24;
        assert_eq!(tickets.seal(Ticket { generation, ..LAST }), None);
    }
}

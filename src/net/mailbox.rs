//! Data that goes from one worker's allocation to another worker's, without a lock and without the kernel.
//!
//! Each worker has a mailbox. Whoever sends to it fills a parcel with a batch of datagrams and posts it; the owner opens it
//! and leaves it, empty, for the next sender. Parcels are made when there is none to use again, and no more than a mailbox
//! holds.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_queue::{ArrayQueue, SegQueue};

use super::observer::Ask;
use super::streams::Moved;
use super::sys::Bell;
use crate::turn::{FiveTuple, Flow, Handover, RelayId};
use crate::wire::data_header::MAX_HEADER;

/// Parcels that may wait for a worker: more are lost, as datagrams are that a full socket has no room for.
const PARCELS: usize = 64;
/// A parcel with this many bytes or datagrams takes no more.
const PARCEL_BYTES: usize = 64 * 1024;
const PARCEL_DATAGRAMS: usize = 256;
/// Questions that may wait for a worker.
pub(super) const QUESTIONS: usize = 32;

/// Where a worker finds what others hand over to it.
pub(super) struct Mailbox {
    posted: ArrayQueue<Box<Parcel>>,
    empty: ArrayQueue<Box<Parcel>>,
    /// No more of them than there may be connections, and questions.
    letters: SegQueue<Letter>,
    questions: AtomicUsize,
    bell: Bell,
    /// Whether the owner has been rung for and has not looked yet.
    rung: AtomicBool,
}

impl Mailbox {
    pub(super) fn new(bell: Bell) -> Self {
        Self {
            posted: ArrayQueue::new(PARCELS),
            empty: ArrayQueue::new(PARCELS),
            letters: SegQueue::new(),
            questions: AtomicUsize::new(0),
            bell,
            rung: AtomicBool::new(false),
        }
    }

    /// Takes the next parcel. After [`answer`](Self::answer), until there is none, or the owner will look again.
    pub(super) fn take(&self) -> Option<Box<Parcel>> {
        self.posted.pop()
    }

    /// Takes the next letter.
    pub(super) fn take_letter(&self) -> Option<Letter> {
        let letter = self.letters.pop();
        if matches!(letter, Some(Letter::Ask(_))) {
            self.questions.fetch_sub(1, Ordering::Relaxed);
        }
        letter
    }

    /// Sends a question, unless as many wait as may; whether it was sent.
    pub(super) fn ask(&self, ask: Ask) -> bool {
        if self.questions.fetch_add(1, Ordering::Relaxed) >= QUESTIONS {
            self.questions.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.send(Letter::Ask(ask));
        true
    }

    /// Sends what must not be lost.
    pub(super) fn send(&self, letter: Letter) {
        self.letters.push(letter);
        self.ring();
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Has the next parcel ring again.
    pub(super) fn answer(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }

    /// Leaves an opened parcel for the next sender.
    pub(super) fn leave(&self, mut parcel: Box<Parcel>) {
        parcel.clear();
        // As many may be underway as wait here: one more is given up.
        let _ = self.empty.push(parcel);
    }

    fn empty_parcel(&self) -> Box<Parcel> {
        self.empty.pop().unwrap_or_default()
    }

    /// Posts a parcel and rings; how many datagrams were lost for want of room.
    fn post(&self, parcel: Box<Parcel>) -> usize {
        let lost = match self.posted.push(parcel) {
            Ok(()) => 0,
            Err(parcel) => {
                let lost = parcel.items.len();
                self.leave(parcel);
                lost
            }
        };
        self.ring();
        lost
    }

    /// Has the owner look up from waiting.
    pub(super) fn wake(&self) {
        if let Err(error) = self.bell.ring() {
            tracing::warn!(%error, "cannot wake a worker");
        }
    }
}

/// What a worker gets from another, and must not be lost.
pub(super) enum Letter {
    /// A client's connection that asks for something which only that worker has.
    Connection(Box<Moved>),
    /// Whose a client's datagrams are from here on, in place of the worker's own clients.
    Forward {
        five_tuple: FiveTuple,
        to: Option<usize>,
    },
    /// A question of somebody who is no worker.
    Ask(Ask),
}

/// A batch of datagrams for one worker.
#[derive(Default)]
pub(super) struct Parcel {
    /// The data of all, with room for a header before each.
    bytes: Vec<u8>,
    items: Vec<Item>,
}

/// One datagram in a parcel.
pub(super) struct Item {
    pub(super) what: What,
    /// Where the data lies.
    pub(super) body: Range<usize>,
    /// The DSCP and ECN fields that it came with.
    pub(super) tos: u8,
}

/// What a datagram in a parcel is.
pub(super) enum What {
    /// Data from the relay bound to `from` to the one bound to `to`, which was `relay` when it was sent.
    Data {
        relay: RelayId,
        to: SocketAddr,
        from: SocketAddr,
    },
    /// A client's, received by the worker of this number.
    Client { flow: Flow, by: usize },
}

impl Parcel {
    fn add(&mut self, what: What, data: &[u8], tos: u8) {
        let start = self.bytes.len() + MAX_HEADER;
        self.bytes.resize(start, 0);
        self.bytes.extend_from_slice(data);
        self.items.push(Item {
            what,
            body: start..self.bytes.len(),
            tos,
        });
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= PARCEL_BYTES || self.items.len() >= PARCEL_DATAGRAMS
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What one worker is about to hand over to the others.
pub(super) struct Handovers {
    mailboxes: Arc<[Mailbox]>,
    filling: Vec<Option<Box<Parcel>>>,
    /// Datagrams that a mailbox had no room for.
    pub(super) lost: u64,
}

impl Handovers {
    pub(super) fn new(mailboxes: Arc<[Mailbox]>) -> Self {
        Self {
            filling: mailboxes.iter().map(|_| None).collect(),
            mailboxes,
            lost: 0,
        }
    }

    /// Adds a datagram with this data, which came with the DSCP and ECN fields `tos`.
    pub(super) fn add(&mut self, handover: &Handover, data: &[u8], tos: u8) {
        let what = What::Data {
            relay: handover.relay,
            to: handover.to,
            from: handover.from,
        };
        self.push(handover.worker, what, data, tos);
    }

    /// Adds a datagram of a client's, received by the worker of the number `by`, whose allocation `worker` has.
    pub(super) fn add_client(
        &mut self,
        worker: usize,
        by: usize,
        flow: Flow,
        data: &[u8],
        tos: u8,
    ) {
        self.push(worker, What::Client { flow, by }, data, tos);
    }

    fn push(&mut self, worker: usize, what: What, data: &[u8], tos: u8) {
        let Some(mailbox) = self.mailboxes.get(worker) else {
            return;
        };
        let filling = &mut self.filling[worker];
        let parcel = filling.get_or_insert_with(|| mailbox.empty_parcel());
        parcel.add(what, data, tos);
        if parcel.is_full()
            && let Some(parcel) = filling.take()
        {
            self.lost += mailbox.post(parcel) as u64;
        }
    }

    /// Posts everything.
    pub(super) fn post(&mut self) {
        for (filling, mailbox) in self.filling.iter_mut().zip(self.mailboxes.iter()) {
            if let Some(parcel) = filling.take() {
                self.lost += mailbox.post(parcel) as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sys::{Found, ReadySet, Source};
    use super::*;

    fn handover(worker: usize) -> Handover {
        Handover {
            worker,
            relay: RelayId(7),
            to: "192.0.2.1:50000".parse().unwrap(),
            from: "192.0.2.1:50001".parse().unwrap(),
            payload: 0..0,
        }
    }

    fn two() -> (Vec<ReadySet>, Arc<[Mailbox]>) {
        let sets: Vec<_> = (0..2).map(|_| ReadySet::new().unwrap()).collect();
        let mailboxes = sets
            .iter()
            .map(|set| Mailbox::new(set.bell().unwrap()))
            .collect();
        (sets, mailboxes)
    }

    #[test]
    fn what_is_handed_over_arrives_in_order_and_rings_once() {
        let (mut sets, mailboxes) = two();
        let mut handovers = Handovers::new(Arc::clone(&mailboxes));
        for data in [&b"one"[..], b"", b"three"] {
            handovers.add(&handover(1), data, 0);
        }
        handovers.post();
        let mut found = Found::new(4);
        sets[1].wait(&mut found, std::time::Duration::ZERO).unwrap();
        let found: Vec<_> = found.all().map(|happened| happened.source).collect();
        assert_eq!(found, [Source::Bell]);
        let parcel = mailboxes[1].take().unwrap();
        let data: Vec<_> = parcel
            .items()
            .iter()
            .map(|item| &parcel.bytes()[item.body.clone()])
            .collect();
        assert_eq!(data, [&b"one"[..], b"", b"three"]);
        assert!(mailboxes[1].take().is_none() && mailboxes[0].take().is_none());
    }

    #[test]
    fn an_owner_that_does_not_look_loses_data_and_not_memory() {
        let (_sets, mailboxes) = two();
        let mut handovers = Handovers::new(Arc::clone(&mailboxes));
        let data = [0; 1000];
        let total = 100_000;
        for _ in 0..total {
            handovers.add(&handover(1), &data, 0);
        }
        handovers.post();
        let mut arrived = 0;
        let mut parcels = 0;
        while let Some(parcel) = mailboxes[1].take() {
            arrived += parcel.items().len();
            parcels += 1;
            mailboxes[1].leave(parcel);
        }
        assert_eq!(parcels, PARCELS);
        assert_eq!(arrived as u64 + handovers.lost, total);
        // What was opened is used again.
        handovers.add(&handover(1), &data, 0);
        assert_eq!(mailboxes[1].empty.len(), PARCELS - 1);
    }
}

//! Datagrams about to be sent.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

/// A datagram to send: where its data lies, and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// The data, as a range of the buffer that it is sent with.
    pub(crate) body: Range<usize>,
    /// Where it goes.
    pub(crate) to: SocketAddr,
    /// The local address that it comes from, where the socket is bound to none.
    pub(crate) from: Option<IpAddr>,
    /// Its DSCP and ECN fields, as one byte.
    pub(crate) tos: u8,
    /// What precedes the data, as a range of [`Outbox::heads`].
    head: Range<usize>,
    /// Zero bytes that follow the data.
    tail: usize,
}

/// The most zero bytes that may follow the data of a datagram.
pub(crate) const MAX_TAIL: usize = 3;

impl Datagram {
    /// A datagram with nothing around its data, best effort and without ECN.
    pub(crate) fn new(body: Range<usize>, to: SocketAddr, from: Option<IpAddr>) -> Self {
        Self {
            body,
            to,
            from,
            tos: 0,
            head: 0..0,
            tail: 0,
        }
    }

    /// The same with these DSCP and ECN fields.
    pub(crate) fn with_tos(self, tos: u8) -> Self {
        Self { tos, ..self }
    }

    /// How long it is.
    #[cfg(all(target_os = "linux", not(portable)))]
    pub(super) fn len(&self) -> usize {
        self.head.len() + self.body.len() + self.tail
    }

    /// Its bytes, in order.
    pub(super) fn pieces<'a>(&self, heads: &'a [u8], bytes: &'a [u8]) -> [&'a [u8]; 3] {
        const ZEROES: [u8; MAX_TAIL] = [0; MAX_TAIL];
        [
            &heads[self.head.clone()],
            &bytes[self.body.clone()],
            &ZEROES[..self.tail],
        ]
    }
}

/// Datagrams to send from one socket, in order, with the headers that precede their data.
#[derive(Default)]
pub(crate) struct Outbox {
    datagrams: Vec<Datagram>,
    heads: Vec<u8>,
}

impl Outbox {
    /// Adds a datagram.
    pub(crate) fn push(&mut self, datagram: Datagram) {
        self.datagrams.push(datagram);
    }

    /// Adds a datagram with `head` before its data and `tail` zero bytes behind it, at most [`MAX_TAIL`].
    pub(crate) fn push_around(&mut self, head: &[u8], mut datagram: Datagram, tail: usize) {
        let start = self.heads.len();
        self.heads.extend_from_slice(head);
        datagram.head = start..self.heads.len();
        datagram.tail = tail.min(MAX_TAIL);
        self.datagrams.push(datagram);
    }

    /// Adds a datagram that is all head: what `write` adds to what it is given. Nothing is added where `write` says `false`.
    pub(crate) fn push_written(
        &mut self,
        mut datagram: Datagram,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        let start = self.heads.len();
        let written = write(&mut self.heads);
        if written {
            datagram.head = start..self.heads.len();
            self.datagrams.push(datagram);
        } else {
            self.heads.truncate(start);
        }
        written
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.datagrams.len()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Forgets them all and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.datagrams.clear();
        self.heads.clear();
    }

    pub(super) fn datagrams(&self) -> &[Datagram] {
        &self.datagrams
    }

    pub(super) fn heads(&self) -> &[u8] {
        &self.heads
    }
}

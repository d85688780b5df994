//! The open connections of one worker, and what waits to be written to them.

use std::sync::Arc;

use slab::Slab;
use tokio::sync::Notify;

use crate::wire::DataHeader;

/// Relayed data that may wait for one slow reader: beyond it, data is dropped as UDP would drop it.
const MAX_DATA: usize = 256 * 1024;
/// Responses may use this much more; a client that does not read even those is given up.
const MAX_TOTAL: usize = MAX_DATA + 64 * 1024;

/// Open connections by their place in the table.
#[derive(Default)]
pub(super) struct StreamTable(Slab<Outbound>);

/// What waits to be written to one connection.
pub(super) struct Outbound {
    waiting: Vec<u8>,
    writable: Arc<Notify>,
    overrun: bool,
}

/// Whether data was taken or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    Taken,
    Dropped,
}

impl StreamTable {
    /// Enters a connection and returns its place, and what tells when there is something to write.
    pub(super) fn insert(&mut self) -> (usize, Arc<Notify>) {
        let writable = Arc::new(Notify::new());
        let place = self.0.insert(Outbound {
            waiting: Vec::new(),
            writable: Arc::clone(&writable),
            overrun: false,
        });
        (place, writable)
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.0.try_remove(place);
    }

    /// Queues a message of the protocol.
    pub(super) fn queue_reply(&mut self, place: usize, bytes: &[u8]) {
        let Some(outbound) = self.0.get_mut(place) else {
            return;
        };
        if outbound.waiting.len() + bytes.len() > MAX_TOTAL {
            outbound.overrun = true;
        } else {
            outbound.waiting.extend_from_slice(bytes);
        }
        outbound.writable.notify_one();
    }

    /// Queues a peer's data with its header and padding.
    pub(super) fn queue_data(&mut self, place: usize, header: &DataHeader, data: &[u8]) -> Queued {
        let Some(outbound) = self.0.get_mut(place) else {
            return Queued::Dropped;
        };
        let padding = header.padding(data.len(), true);
        let waiting = &mut outbound.waiting;
        let start = waiting.len();
        let whole = header.size() + data.len() + padding;
        if start + whole > MAX_DATA {
            return Queued::Dropped;
        }
        waiting.resize(start + header.size(), 0);
        header.write_before(&mut waiting[start..], data.len());
        waiting.extend_from_slice(data);
        waiting.resize(start + whole, 0);
        outbound.writable.notify_one();
        Queued::Taken
    }

    /// Takes what waits, leaving the buffer `used` for what comes next.
    ///
    /// An error means that the client has not read even its responses.
    pub(super) fn take(&mut self, place: usize, used: &mut Vec<u8>) -> Result<(), Overrun> {
        used.clear();
        let Some(outbound) = self.0.get_mut(place) else {
            return Ok(());
        };
        if outbound.overrun {
            return Err(Overrun);
        }
        std::mem::swap(&mut outbound.waiting, used);
        Ok(())
    }
}

/// A client that does not read.
#[derive(Debug)]
pub(super) struct Overrun;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ChannelNumber;

    #[test]
    fn a_slow_reader_loses_data_and_then_its_connection() {
        let mut table = StreamTable::default();
        let (place, _) = table.insert();
        let header = DataHeader::Channel(ChannelNumber::new(0x4000).unwrap());
        let data = [0; 1000];
        let taken = (0..1000)
            .filter(|_| table.queue_data(place, &header, &data) == Queued::Taken)
            .count();
        assert_eq!(taken, MAX_DATA / 1004);
        for _ in 0..60 {
            table.queue_reply(place, &data);
        }
        assert!(table.take(place, &mut Vec::new()).is_ok());
        for _ in 0..400 {
            table.queue_reply(place, &data);
        }
        assert!(table.take(place, &mut Vec::new()).is_err());
    }

    #[test]
    fn data_is_framed_and_padded() {
        let mut table = StreamTable::default();
        let (place, _) = table.insert();
        let header = DataHeader::Channel(ChannelNumber::new(0x4001).unwrap());
        table.queue_data(place, &header, b"hello");
        table.queue_reply(place, b"next");
        let mut written = Vec::new();
        table.take(place, &mut written).unwrap();
        assert_eq!(written, b"\x40\x01\0\x05hello\0\0\0next");
    }
}

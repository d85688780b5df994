//! What waits to be written to one connection.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::wire::DataHeader;

/// Relayed data that may wait for one slow reader: beyond it, data is dropped as UDP would drop it.
const MAX_DATA: usize = 256 * 1024;
/// Responses may use this much more; a client that does not read even those is given up.
const MAX_TOTAL: usize = MAX_DATA + 64 * 1024;
/// What waits is written at the end of a batch, or once there is this much of it.
const URGENT: usize = 64 * 1024;
/// What may wait of a peer's bytes before the peer is read again.
const MAX_BYTES: usize = 64 * 1024;
/// How long a connection may take nothing of what waits, before its client is given up. The kernel takes more once a
/// third of its buffer is free, so a client on a slow line shows progress in jumps.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Buffers that are kept for whoever needs one next, and the largest of them.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 64 * 1024;

/// What waits to be written to one connection. While nothing does, it holds no memory.
pub(super) struct Outbound {
    /// Whole messages, as the client is to see them.
    messages: Vec<u8>,
    /// What the socket is to take: over TCP the same, over TLS records. The first `taken` bytes of it have been.
    bytes: Vec<u8>,
    taken: usize,
    /// Whether the socket has refused to take more.
    blocked: bool,
    /// Whether the worker knows that something waits.
    pub(super) dirty: bool,
    /// Whether the client has not read even its responses.
    overrun: bool,
    /// Whether `messages` are a peer's bytes, with no messages to be seen in them.
    is_raw: bool,
    /// When the socket last took something, or began to take nothing.
    progress: Instant,
}

/// Whether data was taken or dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Queued {
    Taken,
    Dropped,
}

/// Buffers that nobody uses at the moment.
#[derive(Default)]
pub(super) struct Buffers(Vec<Vec<u8>>);

impl Outbound {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            messages: Vec::new(),
            bytes: Vec::new(),
            taken: 0,
            blocked: false,
            dirty: false,
            overrun: false,
            is_raw: false,
            progress: now,
        }
    }

    pub(super) fn queue_reply(&mut self, reply: &[u8], buffers: &mut Buffers) {
        if self.len() + reply.len() > MAX_TOTAL {
            self.overrun = true;
        } else {
            buffers.lend(&mut self.messages);
            self.messages.extend_from_slice(reply);
        }
    }

    pub(super) fn queue_data(
        &mut self,
        header: &DataHeader,
        data: &[u8],
        buffers: &mut Buffers,
    ) -> Queued {
        let padding = header.padding(data.len(), true);
        let whole = header.size() + data.len() + padding;
        if self.len() + whole > MAX_DATA {
            return Queued::Dropped;
        }
        buffers.lend(&mut self.messages);
        let messages = &mut self.messages;
        let start = messages.len();
        messages.reserve(whole);
        messages.resize(start + header.size(), 0);
        header.write_before(&mut messages[start..], data.len());
        messages.extend_from_slice(data);
        messages.resize(start + whole, 0);
        Queued::Taken
    }

    /// Queues what a peer has sent over a connection, as it is.
    pub(super) fn queue_bytes(&mut self, data: &[u8], buffers: &mut Buffers) {
        buffers.lend(&mut self.messages);
        self.is_raw = true;
        self.messages.extend_from_slice(data);
    }

    /// Whether a peer is to wait until the client has read.
    pub(super) fn is_full(&self) -> bool {
        self.len() >= MAX_BYTES
    }

    /// Queues what is written as it is, before any message that waits.
    pub(super) fn queue_records(&mut self, records: &[u8], buffers: &mut Buffers) {
        if self.len() + records.len() > MAX_TOTAL {
            self.overrun = true;
        } else {
            buffers.lend(&mut self.bytes);
            self.bytes.extend_from_slice(records);
        }
    }

    fn len(&self) -> usize {
        self.messages.len() + self.bytes.len() - self.taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn is_urgent(&self) -> bool {
        !self.blocked && self.messages.len() >= URGENT
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    pub(super) fn unblock(&mut self) {
        self.blocked = false;
    }

    /// What a client that reads nothing has not done in time.
    pub(super) fn overdue(&self, now: Instant) -> Option<&'static str> {
        let late = self.overrun || self.blocked && now >= self.progress + WRITE_TIMEOUT;
        late.then_some("the client does not read")
    }

    /// Writes until the socket takes no more. An error means that the client is gone, or reads not even its responses.
    pub(super) fn write(
        &mut self,
        connection: &mut Connection,
        buffers: &mut Buffers,
        now: Instant,
    ) -> io::Result<()> {
        if self.overrun {
            return Err(io::Error::other("the client does not read"));
        }
        if self.blocked {
            return Ok(());
        }
        self.prepare(connection, buffers)?;
        while self.taken < self.bytes.len() {
            match (&connection.socket).write(&self.bytes[self.taken..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.taken += n;
                    self.progress = now;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.blocked = true;
                        return Ok(());
                    }
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        self.taken = 0;
        buffers.take_back(&mut self.bytes);
        Ok(())
    }

    /// Turns messages into what the socket takes.
    fn prepare(&mut self, connection: &mut Connection, buffers: &mut Buffers) -> io::Result<()> {
        if self.messages.is_empty() {
            return Ok(());
        }
        if let Some(tls) = &mut connection.tls {
            buffers.lend(&mut self.bytes);
            let written = if self.is_raw {
                tls.write_bytes(&self.messages, &mut self.bytes)
            } else {
                tls.write(&self.messages, &mut self.bytes)
            };
            written.map_err(io::Error::other)?;
            buffers.take_back(&mut self.messages);
        } else if self.bytes.is_empty() {
            std::mem::swap(&mut self.messages, &mut self.bytes);
        } else {
            self.bytes.extend_from_slice(&self.messages);
            buffers.take_back(&mut self.messages);
        }
        Ok(())
    }

    /// Gives its memory back.
    pub(super) fn release(&mut self, buffers: &mut Buffers) {
        buffers.take_back(&mut self.messages);
        buffers.take_back(&mut self.bytes);
    }
}

impl Buffers {
    /// Gives memory to one that has none.
    pub(super) fn lend(&mut self, buffer: &mut Vec<u8>) {
        if buffer.capacity() == 0
            && let Some(kept) = self.0.pop()
        {
            *buffer = kept;
        }
    }

    /// Takes the memory of one that is not needed any more.
    pub(super) fn take_back(&mut self, buffer: &mut Vec<u8>) {
        self.give(std::mem::take(buffer));
    }

    pub(super) fn give(&mut self, mut buffer: Vec<u8>) {
        if (1..=KEPT_BYTES).contains(&buffer.capacity()) && self.0.len() < KEPT {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    use super::super::connection::tests::connection_of;
    use super::*;
    use crate::wire::ChannelNumber;

    const DATA: [u8; 1000] = [0; 1000];

    fn header() -> DataHeader {
        DataHeader::Channel(ChannelNumber::new(0x4000).unwrap())
    }

    /// A connection, and the client's end of it.
    fn connected() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (connection_of(listener.accept().unwrap().0), client)
    }

    #[test]
    fn a_slow_reader_loses_data_and_then_its_connection() {
        let (mut outbound, mut buffers) = (Outbound::new(Instant::now()), Buffers::default());
        let taken = (0..1000)
            .filter(|_| outbound.queue_data(&header(), &DATA, &mut buffers) == Queued::Taken)
            .count();
        assert_eq!(taken, MAX_DATA / 1004);
        for _ in 0..60 {
            outbound.queue_reply(&DATA, &mut buffers);
        }
        assert_eq!(outbound.overdue(Instant::now()), None);
        for _ in 0..400 {
            outbound.queue_reply(&DATA, &mut buffers);
        }
        assert!(outbound.overdue(Instant::now()).is_some());
        let (mut connection, _client) = connected();
        assert!(
            outbound
                .write(&mut connection, &mut buffers, Instant::now())
                .is_err()
        );
    }

    #[test]
    fn data_is_framed_padded_and_written_with_what_follows() {
        let (mut connection, mut client) = connected();
        let (mut outbound, mut buffers) = (Outbound::new(Instant::now()), Buffers::default());
        let header = DataHeader::Channel(ChannelNumber::new(0x4001).unwrap());
        outbound.queue_data(&header, b"hello", &mut buffers);
        outbound.queue_reply(b"next", &mut buffers);
        outbound
            .write(&mut connection, &mut buffers, Instant::now())
            .unwrap();
        let mut read = [0; 16];
        client.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"\x40\x01\0\x05hello\0\0\0next");
        assert!(outbound.is_empty());
        assert_eq!(outbound.messages.capacity() + outbound.bytes.capacity(), 0);
    }

    #[test]
    fn a_client_that_reads_now_and_then_is_kept_and_one_that_does_not_is_given_up() {
        let (mut connection, mut client) = connected();
        let mut now = Instant::now();
        let (mut outbound, mut buffers) = (Outbound::new(now), Buffers::default());
        let mut fill = |outbound: &mut Outbound, now| {
            outbound.unblock();
            while !outbound.is_blocked() {
                outbound.queue_data(&header(), &DATA, &mut buffers);
                outbound
                    .write(&mut connection, &mut buffers, now)
                    .expect("the client is there");
            }
        };
        fill(&mut outbound, now);
        for _ in 0..5 {
            now += WRITE_TIMEOUT - Duration::from_secs(1);
            assert_eq!(outbound.overdue(now), None);
            // All that the kernel holds, as it takes no more for every byte read.
            let mut rest = vec![0; 8 << 20];
            client.set_nonblocking(true).unwrap();
            while client.read(&mut rest).is_ok() {}
            fill(&mut outbound, now);
        }
        assert!(outbound.overdue(now + WRITE_TIMEOUT).is_some());
    }
}

//! Clients over TCP.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use slab::Slab;
use uturn::wire::stream::{Frame, next_frame};

use super::Descriptor;

/// All connections, which are read into one buffer.
#[derive(Default)]
pub(super) struct Connections {
    all: Slab<Connection>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// What was received and not looked at.
    rest: Vec<u8>,
    client: Option<usize>,
}

/// What was received of one connection.
pub(super) struct Received {
    bytes: Vec<u8>,
    filled: usize,
    at: usize,
}

/// Bytes read at once.
const READ: usize = 64 << 10;

impl Connections {
    pub(super) fn add(&mut self, stream: TcpStream) -> usize {
        self.all.insert(Connection {
            stream,
            rest: Vec::new(),
            client: None,
        })
    }

    /// Closes a connection, and returns its client.
    pub(super) fn remove(&mut self, key: usize) -> Option<usize> {
        self.all.try_remove(key)?.client
    }

    pub(super) fn client(&self, key: usize) -> Option<usize> {
        self.all.get(key)?.client
    }

    pub(super) fn set_client(&mut self, key: usize, client: Option<usize>) {
        if let Some(connection) = self.all.get_mut(key) {
            connection.client = client;
        }
    }

    pub(super) fn descriptor(&self, key: usize) -> Option<Descriptor> {
        Some(self.all.get(key)?.stream.as_raw_fd())
    }

    /// Reads a connection, and says whose it is; `None` if it has ended.
    pub(super) fn read(&mut self, key: usize) -> Option<(Received, Option<usize>)> {
        let connection = self.all.get_mut(key)?;
        let mut bytes = std::mem::take(&mut self.buffer);
        let rest = connection.rest.len();
        if bytes.len() < rest + READ {
            bytes.resize(rest + READ, 0);
        }
        bytes[..rest].copy_from_slice(&connection.rest);
        connection.rest.clear();
        let read = match connection.stream.read(&mut bytes[rest..rest + READ]) {
            Ok(0) => return None,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => return None,
        };
        let received = Received {
            bytes,
            filled: rest + read,
            at: 0,
        };
        Some((received, connection.client))
    }

    /// Keeps the beginning of a message for the next time.
    pub(super) fn put_back(&mut self, key: usize, received: Received) {
        if let Some(connection) = self.all.get_mut(key) {
            let rest = &received.bytes[received.at..received.filled];
            connection.rest.extend_from_slice(rest);
        }
        self.buffer = received.bytes;
    }

    /// Sends an answer: so few bytes that there is room for them.
    pub(super) fn send(&mut self, key: usize, answer: &[u8]) {
        if let Some(connection) = self.all.get_mut(key) {
            // Who does not get an answer says so.
            let _ = connection.stream.write_all(answer);
        }
    }
}

impl Received {
    /// The next message that is whole, padding included.
    pub(super) fn next_frame(&mut self) -> Option<&[u8]> {
        match next_frame(&self.bytes[self.at..self.filled]) {
            Frame::Whole(len) => {
                self.at += len;
                Some(&self.bytes[self.at - len..self.at])
            }
            Frame::Partial | Frame::Garbage => None,
        }
    }
}

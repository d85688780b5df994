//! TLS of one connection (RFC 8656 §3.1), between bytes from the socket and messages.
//!
//! rustls is used without its buffers: what arrives is decrypted where the worker has read it, and what leaves is encrypted
//! into what is written, so that an idle connection holds no memory but its keys.

use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, ServerConfig};

use crate::wire::stream::{Frame, next_frame};

/// What a record may carry.
const MAX_RECORD: usize = 16 * 1024;
/// What a record adds to it: header, nonce or content type, tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 16 + 1;

/// The TLS of one connection.
pub(super) struct TlsSession {
    tls: UnbufferedServerConnection,
    /// The beginning of a record, or of a message of the handshake.
    incoming: Vec<u8>,
    /// Why the session has failed, after which there is nothing to be heard or said.
    failed: Option<Error>,
}

impl TlsSession {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self {
            tls: UnbufferedServerConnection::new(config)?,
            incoming: Vec::new(),
            failed: None,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// The protocol that client and server have agreed upon (RFC 7301), if the client has named any.
    pub(super) fn agreed_protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// Decrypts what was received. What clients say is added to `messages`; what TLS itself has to answer to `records`,
    /// even where the connection ends with an error. Whether the client has said that it says no more.
    pub(super) fn read(
        &mut self,
        received: &mut [u8],
        messages: &mut Vec<u8>,
        records: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        self.check()?;
        let mut sink = Sink { messages, records };
        let read = if self.incoming.is_empty() {
            let (used, read) = process(&mut self.tls, received, &mut sink);
            self.incoming.extend_from_slice(&received[used..]);
            read
        } else {
            self.incoming.extend_from_slice(received);
            let (used, read) = process(&mut self.tls, &mut self.incoming, &mut sink);
            self.incoming.drain(..used);
            read
        };
        if self.incoming.is_empty() || read.is_err() {
            self.incoming = Vec::new();
        }
        if let Err(error) = &read {
            // The alert that tells the client why.
            let _ = process(&mut self.tls, &mut [], &mut sink);
            self.failed = Some(error.clone());
        }
        read
    }

    /// Adds `messages` to `records`, encrypted: each in a record of its own, unless there are many.
    ///
    /// A stream has no boundaries, and most clients look for none. `turnutils_uclient` takes what one record holds for
    /// one message, and loses the rest. A client with more than a full record waiting is behind, and served better by
    /// fewer records.
    pub(super) fn write(&mut self, messages: &[u8], records: &mut Vec<u8>) -> Result<(), Error> {
        self.say(&Say::Messages(messages), records)
    }

    /// Adds `bytes` to `records`, encrypted, in as few records as can be.
    pub(super) fn write_bytes(&mut self, bytes: &[u8], records: &mut Vec<u8>) -> Result<(), Error> {
        self.say(&Say::Bytes(bytes), records)
    }

    /// Adds to `records` that nothing more will be said.
    pub(super) fn close(&mut self, records: &mut Vec<u8>) -> Result<(), Error> {
        self.say(&Say::Goodbye, records)
    }

    fn check(&self) -> Result<(), Error> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Finds out whether anything may be said, after what TLS itself has to say, and says it.
    fn say(&mut self, what: &Say<'_>, records: &mut Vec<u8>) -> Result<(), Error> {
        self.check()?;
        loop {
            // Without what has arrived of the next record, rustls would lose count of it.
            let UnbufferedStatus { state, discard } =
                self.tls.process_tls_records(&mut self.incoming);
            debug_assert_eq!(discard, 0, "what was whole has been read");
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return what.encrypt(&mut traffic, records);
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, records),
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => {}
                _ => return Err(Error::HandshakeNotComplete),
            }
        }
    }
}

/// What is encrypted.
enum Say<'a> {
    /// Whole messages.
    Messages(&'a [u8]),
    /// Bytes that are no messages.
    Bytes(&'a [u8]),
    /// The end.
    Goodbye,
}

impl Say<'_> {
    fn encrypt<Data>(
        &self,
        traffic: &mut WriteTraffic<'_, Data>,
        records: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *self {
            Say::Goodbye => append(records, RECORD_OVERHEAD + 2, |room| {
                traffic.queue_close_notify(room)
            }),
            Say::Bytes(bytes) => encrypt_record(traffic, bytes, records),
            Say::Messages(messages) if messages.len() > MAX_RECORD => {
                encrypt_record(traffic, messages, records)
            }
            Say::Messages(mut rest) => {
                while let Frame::Whole(length) = next_frame(rest) {
                    encrypt_record(traffic, &rest[..length], records)?;
                    rest = &rest[length..];
                }
                debug_assert!(rest.is_empty(), "whole messages");
                Ok(())
            }
        }
    }
}

/// Encrypts what may need several records, if it is longer than one can be.
fn encrypt_record<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    messages: &[u8],
    records: &mut Vec<u8>,
) -> Result<(), Error> {
    let count = messages.len().div_ceil(MAX_RECORD);
    append(records, messages.len() + count * RECORD_OVERHEAD, |room| {
        traffic.encrypt(messages, room)
    })
}

/// Adds what `write` writes, which needs about `room` bytes.
fn append(
    records: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), Error> {
    let start = records.len();
    loop {
        records.resize(start + room, 0);
        match write(&mut records[start..]) {
            Ok(written) => {
                records.truncate(start + written);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(error)) if error.required_size > room => {
                room = error.required_size;
            }
            Err(EncryptError::InsufficientSize(_) | EncryptError::EncryptExhausted) => {
                records.truncate(start);
                return Err(Error::EncryptError);
            }
        }
    }
}

/// Where what is read goes.
struct Sink<'a> {
    messages: &'a mut Vec<u8>,
    records: &'a mut Vec<u8>,
}

/// Processes what was received as far as it is whole; how many bytes that was, and whether the client has ended its side.
fn process(
    tls: &mut UnbufferedServerConnection,
    received: &mut [u8],
    sink: &mut Sink<'_>,
) -> (usize, Result<bool, Error>) {
    let (mut used, mut ended) = (0, false);
    loop {
        let UnbufferedStatus { discard, state } = tls.process_tls_records(&mut received[used..]);
        let mut more = 0;
        let stop = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            sink.messages.extend_from_slice(record.payload);
                            more += record.discard;
                        }
                        Err(error) => return (used + discard, Err(error)),
                    }
                }
                false
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(&mut data, sink.records);
                false
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                false
            }
            Ok(ConnectionState::PeerClosed) => {
                ended = true;
                false
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => true,
            Ok(ConnectionState::Closed) => {
                ended = true;
                true
            }
            // Early data is not offered, and other states do not exist today.
            Ok(_) => return (used, Err(Error::General("unexpected state".to_owned()))),
            Err(error) => return (used + discard, Err(error)),
        };
        used += discard + more;
        if stop {
            return (used, Ok(ended));
        }
    }
}

fn encode<Data>(data: &mut EncodeTlsData<'_, Data>, records: &mut Vec<u8>) {
    let start = records.len();
    // How long it is, it says when there is no room for it.
    while let Err(EncodeError::InsufficientSize(error)) = data.encode(&mut records[start..]) {
        let room = start + error.required_size;
        if room <= records.len() {
            return records.truncate(start);
        }
        records.resize(room, 0);
    }
}

#[cfg(test)]
#[path = "tls_session_tests.rs"]
mod tests;

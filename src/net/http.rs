//! Connections that turn out to speak HTTP, on listeners that serve it beside TURN.
//!
//! The worker goes on to hold the client's connection and its TLS session. Whoever answers HTTP gets one end of a pair of sockets,
//! and between the other end and the client bytes are passed as they are between a client and its peer (RFC 6062).

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// A client that speaks HTTP.
#[derive(Debug)]
pub struct HttpConnection {
    /// What it says is read here, and what is written here it is told. It does not block.
    pub socket: UnixStream,
    /// Where it connected from.
    pub client: SocketAddr,
    /// Whether it speaks TLS with this server.
    pub is_encrypted: bool,
}

/// Who takes connections that speak HTTP.
#[derive(Clone)]
pub struct HttpService {
    take: Arc<dyn Fn(HttpConnection) -> bool + Send + Sync>,
    most: usize,
}

impl HttpService {
    /// `take` gets each connection and says whether it was taken; it must not block. It has no more than `most` at a time.
    pub fn new(most: usize, take: impl Fn(HttpConnection) -> bool + Send + Sync + 'static) -> Self {
        Self {
            take: Arc::new(take),
            most,
        }
    }

    /// Hands a connection over; whether it was taken.
    pub(super) fn hand_over(&self, connection: HttpConnection) -> bool {
        (self.take)(connection)
    }

    /// Descriptors that its connections may need beside the clients' own.
    pub(super) fn descriptors(&self) -> usize {
        2 * self.most
    }
}

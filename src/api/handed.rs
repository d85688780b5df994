//! Connections that others have accepted, and hand over to be served.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use tokio::sync::mpsc;

/// Connections that may wait to be served: more are refused.
const WAITING: usize = 64;

/// How many connections that were handed over there may be at a time, with those that wait.
pub const MAX_HANDED: usize = super::server::MAX_CONNECTIONS as usize + WAITING;

/// A connection to be served.
pub(super) struct Handed {
    pub(super) socket: UnixStream,
    pub(super) client: SocketAddr,
    pub(super) is_encrypted: bool,
}

/// Hands over connections.
#[derive(Clone)]
pub struct HandOver(mpsc::Sender<Handed>);

/// Connections that were handed over.
pub struct HandedOver(mpsc::Receiver<Handed>);

/// Makes a way for connections to be handed over.
pub fn hand_over() -> (HandOver, HandedOver) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (HandOver(sender), HandedOver(receiver))
}

impl HandOver {
    /// Hands over a connection of `client`, whose socket does not block; whether it is taken.
    ///
    /// One that `is_encrypted` may be told credentials, any other is answered health checks alone.
    pub fn take(&self, socket: UnixStream, client: SocketAddr, is_encrypted: bool) -> bool {
        let handed = Handed {
            socket,
            client,
            is_encrypted,
        };
        self.0.try_send(handed).is_ok()
    }
}

impl HandedOver {
    /// The next connection; none once nobody is left who could hand one over.
    pub(super) async fn next(&mut self) -> Option<Handed> {
        self.0.recv().await
    }
}

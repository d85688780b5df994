//! What became of data that went to peers, where ICMP or the kernel tells.

use std::net::SocketAddr;
use std::os::fd::AsFd;

use super::{Body, Buffer, Worker, now};
use crate::net::sys::{SendError, next_error};
use crate::turn::{Now, RelayId};
use crate::wire::Icmp;

/// Errors read from one relay socket before anything else has its turn: they are easily made in any number.
const ERRORS_PER_RELAY: usize = 4;

impl Worker {
    /// Handles errors about what relay sockets have sent, up to a bound for each; the rest is handled in the next turn.
    ///
    /// Before data: an error that has been read does not come between the socket and the next datagram.
    pub(super) fn drain_errors(&mut self) {
        let now = now();
        let mut failed = std::mem::take(&mut self.pending.failed_relays);
        failed.retain(|relay| self.pass_on_errors(*relay, None, Buffer::Arena, now));
        self.pending.failed_relays = failed;
        self.flush(Buffer::Arena);
    }

    /// Tells a client of errors; whether there may be more. Of a datagram that was just refused, `refused` is where it was to go.
    pub(super) fn pass_on_errors(
        &mut self,
        relay: RelayId,
        refused: Option<SocketAddr>,
        buffer: Buffer<'_>,
        now: Now,
    ) -> bool {
        let mut last = None;
        for _ in 0..ERRORS_PER_RELAY {
            let Some(socket) = self.relays.get(relay) else {
                return false;
            };
            let Some(error) = next_error(socket.as_fd()) else {
                return false;
            };
            // What the kernel refuses is tried twice, as the first refusal may have been about an earlier datagram.
            let is_again = error.is_local && last.replace(error) == Some(error);
            if !is_again {
                self.pass_on_error(relay, with_port(error, refused), buffer, now);
            }
        }
        true
    }

    fn pass_on_error(&mut self, relay: RelayId, error: SendError, buffer: Buffer<'_>, now: Now) {
        let icmp = Icmp {
            typ: error.typ,
            code: error.code,
            mtu: error.mtu,
        };
        if let Some(route) = self.server.handle_icmp(relay, error.to, icmp, now) {
            self.queue_to_client(relay, &route, Body::default(), buffer);
        }
    }
}

/// For IPv4, the kernel does not say which port of an address the datagram was for that it has refused.
fn with_port(mut error: SendError, refused: Option<SocketAddr>) -> SendError {
    if let Some(refused) = refused
        && error.to.port() == 0
        && error.to.ip() == refused.ip()
    {
        error.to = refused;
    }
    error
}

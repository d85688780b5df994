//! Connections that turn out to speak HTTP, and how they come to who answers it.

use std::io;
use std::os::unix::net::UnixStream;

use super::Worker;
use super::peer_streams::readable;
use crate::net::HttpConnection;
use crate::net::streams::Connection;
use crate::net::sys::Source;
use crate::turn::Transport;

impl Worker {
    /// Makes a client's connection the other half of one with who answers HTTP, and passes on what was `said`. An error means
    /// that nobody does.
    pub(super) fn begin_http(
        &mut self,
        place: usize,
        connection: &Connection,
        said: &[u8],
    ) -> io::Result<()> {
        let service = self.http.clone();
        let service = service.ok_or_else(|| io::Error::other("HTTP, which is not served"))?;
        let (here, there) = UnixStream::pair()?;
        here.set_nonblocking(true)?;
        there.set_nonblocking(true)?;
        let here = mio::net::UnixStream::from_std(here);
        let five_tuple = &connection.flow.five_tuple;
        let handed_over = service.hand_over(HttpConnection {
            socket: there,
            client: five_tuple.client.0,
            is_encrypted: five_tuple.transport == Transport::Tls,
        });
        if !handed_over {
            return Err(io::Error::other("too many connections speak HTTP"));
        }
        let at = self.peers.enter_http(here, place)?;
        self.streams.bind(place, at, true);
        self.pass_rest_to_peer(at, said);
        self.pending
            .peer_streams
            .push(readable(Source::PeerStream(at)));
        Ok(())
    }
}

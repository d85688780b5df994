//! How connections come to be: accepted or turned away, and found out about until it is known whose they are and what they speak.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;

use super::connection::Connection;
use super::opening::{Awaited, Header, Opening};
use super::outbound::Outbound;
use super::tls_session::TlsSession;
use super::{STREAM_LINK, Slot, Streams, tls_config};
use crate::net::connections::Place;
use crate::net::sys::Source;
use crate::net::{Listener, ListenerTransport};
use crate::turn::{ClientAddr, FiveTuple, Flow, LinkId, RealmId, Transport};
use crate::wire::first_bytes::FirstBytes;
use crate::wire::proxy_header::Proxied;

/// What the first bytes of a connection say.
pub(in crate::net) enum Opened {
    /// Too little.
    Waiting,
    /// That it is for the relay, of which this was said.
    Turn(Vec<u8>),
    /// That it is for the HTTP interface.
    Http(Vec<u8>),
}

impl Streams {
    /// Accepts one connection at a listener, or turns it away; whether there was one.
    ///
    /// An error means that the system refuses, say for want of descriptors.
    pub(in crate::net) fn accept(&mut self, at: usize, now: Instant) -> io::Result<bool> {
        let (socket, client) = match self.listeners[at].socket.accept() {
            Ok(accepted) => accepted,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::WouldBlock => Ok(false),
                    // It was gone before it was accepted.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Ok(true),
                    _ => Err(error),
                };
            }
        };
        let listener = self.listeners[at].listener;
        // Whose it is, a proxy has to say first.
        let is_proxied = self.is_proxy(client);
        if !is_proxied && !self.accepts.allow(client.ip(), now) {
            self.counters.refused_for_rate += 1;
            tracing::debug!("connection refused: too many from this address in a short time");
            return Ok(true);
        }
        let admitted = match is_proxied {
            true => self.settings.connections.admit_proxied(),
            false => self.settings.connections.admit(client.ip()),
        };
        // Without a place it is closed at once.
        let Some(admitted) = admitted else {
            self.counters.refused_for_limit += 1;
            tracing::debug!(transport = ?listener.transport, "connection refused: limit reached");
            return Ok(true);
        };
        match self.enter(listener, socket, client, admitted, now) {
            Ok(()) => self.listeners[at].accepted += 1,
            Err(error) => {
                self.counters.failed += 1;
                tracing::debug!(%error, transport = ?listener.transport, "connection refused");
            }
        }
        Ok(true)
    }

    fn enter(
        &mut self,
        listener: Listener,
        socket: TcpStream,
        client: SocketAddr,
        admitted: Place,
        now: Instant,
    ) -> io::Result<()> {
        let is_proxied = self.is_proxy(client);
        let server = if listener.address.ip().is_unspecified() {
            socket.local_addr()?
        } else {
            listener.address
        };
        let (transport, tls) = match (listener.transport, &self.settings.tls) {
            (ListenerTransport::Tls, Some(configs)) => {
                let config = Arc::clone(&configs.turn);
                let session = TlsSession::new(config).map_err(io::Error::other)?;
                (Transport::Tls, Some(Box::new(session)))
            }
            // Never in the clear: a listener for TLS does not open without a certificate.
            (ListenerTransport::Tls, None) => return Err(io::Error::other("no certificate")),
            // What it is, its first bytes say.
            (
                ListenerTransport::Tcp
                | ListenerTransport::Udp
                | ListenerTransport::Dtls
                | ListenerTransport::Shared,
                _,
            ) => (Transport::Tcp, None),
        };
        let is_shared = listener.transport == ListenerTransport::Shared;
        if cfg!(not(target_os = "linux")) {
            // On Linux the listener's setting is inherited.
            socket.set_nodelay(true)?;
        }
        let entry = self.slots.vacant_entry();
        let place = entry.key();
        self.members
            .add_connection(&socket, Source::Connection(place))?;
        let flow = Flow {
            five_tuple: FiveTuple {
                transport,
                client: ClientAddr(client),
                server,
            },
            link: LinkId(STREAM_LINK | place as u32),
            realm: RealmId::DEFAULT,
        };
        let serial = self.serials;
        self.serials += 1;
        let mut connection = Box::new(Connection::new(socket, tls, flow, admitted, now));
        connection.opening = Opening::new(is_proxied, is_shared);
        entry.insert(Slot {
            serial,
            connection: Some(connection),
            outbound: Outbound::new(now),
            bound: None,
        });
        self.check_later(place, serial, now);
        Ok(())
    }

    fn is_proxy(&self, client: SocketAddr) -> bool {
        let mut proxies = self.settings.proxies.iter();
        proxies.any(|range| range.contains(client.ip()))
    }

    /// Finds out by what was received what a connection is, while it [is opening](Connection::is_opening). An error means that
    /// it is to be closed.
    pub(in crate::net) fn open(
        &mut self,
        connection: &mut Connection,
        received: &[u8],
        now: Instant,
    ) -> io::Result<Opened> {
        let Some(mut opening) = connection.opening.take() else {
            return Ok(Opened::Turn(received.to_vec()));
        };
        opening.add(received);
        if opening.awaited() == Awaited::ProxyHeader {
            match opening.take_header().map_err(io::Error::other)? {
                Header::Awaited => {
                    connection.opening = Some(opening);
                    return Ok(Opened::Waiting);
                }
                Header::Read(proxied) => {
                    connection.begin_waiting(now);
                    if let Some(proxied) = proxied {
                        self.belongs_to(connection, &proxied, now)?;
                    }
                }
            }
        }
        if !opening.is_shared() {
            return Ok(Opened::Turn(opening.into_bytes()));
        }
        match opening.first_bytes() {
            FirstBytes::Undecided => {
                connection.opening = Some(opening);
                Ok(Opened::Waiting)
            }
            FirstBytes::Tls => {
                let configs = self.settings.tls.as_ref();
                let configs = configs.ok_or_else(|| io::Error::other("no certificate"))?;
                let session = TlsSession::new(Arc::clone(&configs.shared));
                connection.tls = Some(Box::new(session.map_err(io::Error::other)?));
                connection.flow.five_tuple.transport = Transport::Tls;
                let received = opening.go_inside();
                connection.opening = Some(opening);
                Ok(Opened::Turn(received))
            }
            FirstBytes::Stun => Ok(Opened::Turn(opening.into_bytes())),
            FirstBytes::Http => Ok(Opened::Http(opening.into_bytes())),
            FirstBytes::Unknown => Err(unknown_protocol()),
        }
    }

    /// Finds out by what was decrypted what a connection speaks, while it [is](Connection::is_opening_inside) to be found out:
    /// what its client and this server have agreed upon (RFC 7301), or by its first bytes where the client has named nothing.
    pub(in crate::net) fn open_inside(
        &mut self,
        connection: &mut Connection,
        said: &[u8],
    ) -> io::Result<Opened> {
        let (Some(opening), Some(tls)) = (&mut connection.opening, &connection.tls) else {
            return Ok(Opened::Turn(said.to_vec()));
        };
        if tls.is_handshaking() {
            return Ok(Opened::Waiting);
        }
        opening.add(said);
        let speaks = match tls.agreed_protocol() {
            Some(tls_config::HTTP) => FirstBytes::Http,
            Some(_) => FirstBytes::Stun,
            None => opening.first_bytes(),
        };
        if speaks == FirstBytes::Undecided {
            return Ok(Opened::Waiting);
        }
        let said = opening.go_inside();
        connection.opening = None;
        match speaks {
            FirstBytes::Stun => Ok(Opened::Turn(said)),
            FirstBytes::Http => Ok(Opened::Http(said)),
            FirstBytes::Tls | FirstBytes::Undecided | FirstBytes::Unknown => {
                Err(unknown_protocol())
            }
        }
    }

    /// Has a connection count as the client's whom a proxy names: what is limited for each address is limited for that one.
    fn belongs_to(
        &mut self,
        connection: &mut Connection,
        proxied: &Proxied,
        now: Instant,
    ) -> io::Result<()> {
        let client = proxied.client.ip();
        if !self.accepts.allow(client, now) {
            self.counters.refused_for_rate += 1;
            let reason = "too many from this address in a short time";
            return Err(io::Error::other(reason));
        }
        if !connection.place.move_to(client) {
            self.counters.refused_for_limit += 1;
            return Err(io::Error::other("limit reached"));
        }
        let five_tuple = &mut connection.flow.five_tuple;
        five_tuple.client = ClientAddr(proxied.client);
        five_tuple.server = proxied.server;
        Ok(())
    }
}

fn unknown_protocol() -> io::Error {
    io::Error::other("none of the protocols that are spoken here")
}

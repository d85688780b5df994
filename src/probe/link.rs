//! The way to the server: datagrams, a stream, or either within TLS, with the same two calls.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};

use rustls::ClientConnection;
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use super::dtls::Secured;
use crate::wire::stream::{Frame, next_frame};

/// The way to the server.
pub(super) enum Link {
    /// A connected socket.
    Udp(UdpSocket),
    /// A connection.
    Stream(Box<Stream>),
    /// A connected socket within DTLS.
    Dtls(Box<Secured>),
}

/// A connection.
pub(super) struct Stream {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    /// The beginning of a message: at most one that is whole, and what came with its end.
    received: Vec<u8>,
}

impl Link {
    pub(super) async fn udp(source: Option<IpAddr>, server: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(local(source, server)).await?;
        socket.connect(server).await?;
        Ok(Self::Udp(socket))
    }

    pub(super) async fn tcp(source: Option<IpAddr>, server: SocketAddr) -> io::Result<Stream> {
        let socket = if server.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        if source.is_some() {
            socket.bind(local(source, server))?;
        }
        let socket = socket.connect(server).await?;
        socket.set_nodelay(true)?;
        Ok(Stream {
            socket,
            tls: None,
            received: Vec::new(),
        })
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        let address = match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Stream(stream) => stream.socket.local_addr(),
            Self::Dtls(secured) => secured.socket.local_addr(),
        };
        address.ok()
    }

    /// Whether messages are lost by nobody on the way.
    pub(super) fn is_reliable(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Sends one message, padded where it has to be.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => send_datagram(socket, message).await,
            Self::Stream(stream) => stream.send(message).await,
            Self::Dtls(secured) => secured.send(message).await,
        }
    }

    /// The next message. Nothing is lost if it is not waited for.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut room = [0; MAX_DATAGRAM];
                let len = socket.recv(&mut room).await?;
                Ok(room[..len].to_vec())
            }
            Self::Stream(stream) => stream.receive().await,
            Self::Dtls(secured) => secured.receive().await,
        }
    }
}

impl Stream {
    /// Does the handshake of TLS.
    pub(super) async fn secure(&mut self, tls: ClientConnection) -> io::Result<&ClientConnection> {
        let tls = self.tls.insert(tls);
        while tls.is_handshaking() {
            let wrote = flush(tls, &self.socket).await;
            if tls.is_handshaking() {
                wrote?;
                read(tls, &self.socket).await?;
            }
        }
        flush(tls, &self.socket).await?;
        Ok(tls)
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let padded;
        let message = if message.len().is_multiple_of(4) {
            message
        } else {
            padded = [message, &[0; 3][..message.len().wrapping_neg() & 3]].concat();
            &padded
        };
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(message)?;
            return flush(tls, &self.socket).await;
        }
        let mut rest = message;
        while !rest.is_empty() {
            self.socket.writable().await?;
            match self.socket.try_write(rest) {
                Ok(len) => rest = &rest[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match next_frame(&self.received) {
                Frame::Whole(len) => {
                    let rest = self.received.split_off(len);
                    return Ok(std::mem::replace(&mut self.received, rest));
                }
                Frame::Garbage => return Err(ErrorKind::InvalidData.into()),
                Frame::Partial => self.fill().await?,
            }
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        let mut room = [0; 16 * 1024];
        let Some(tls) = &mut self.tls else {
            self.socket.readable().await?;
            let len = match self.socket.try_read(&mut room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            self.received.extend_from_slice(&room[..len]);
            return Ok(());
        };
        match tls.reader().read(&mut room) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                self.received.extend_from_slice(&room[..len]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => read(tls, &self.socket).await,
            Err(error) => Err(error),
        }
    }
}

pub(super) async fn send_datagram(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match socket.send(datagram).await {
        // An interface whose queue is full is a loss like any other.
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(()),
        sent => sent.map(|_| ()),
    }
}

/// Takes in what has arrived.
async fn read(tls: &mut ClientConnection, socket: &TcpStream) -> io::Result<()> {
    socket.readable().await?;
    match tls.read_tls(&mut Now(socket)) {
        Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    }
    let processed = tls.process_new_packets();
    if let Err(error) = processed {
        // The alert is sent if that can be done at once.
        let _ = tls.write_tls(&mut Now(socket));
        return Err(io::Error::other(error));
    }
    Ok(())
}

async fn flush(tls: &mut ClientConnection, socket: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        socket.writable().await?;
        match tls.write_tls(&mut Now(socket)) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// A socket that does what can be done at once.
struct Now<'a>(&'a TcpStream);

impl Read for Now<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(room)
    }
}

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What to bind to for a server.
pub(super) fn local(source: Option<IpAddr>, server: SocketAddr) -> SocketAddr {
    let any = match server {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    };
    SocketAddr::new(source.unwrap_or(any), 0)
}

/// Longer than what passes any path unfragmented; the rest of a longer one is not needed.
pub(super) const MAX_DATAGRAM: usize = 4096;

//! One transport to the server: UDP, TCP, TLS, or DTLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, SockRef, Socket, Type};

use super::dtls::DtlsLink;

/// One transport to the server.
pub enum Link {
    Udp(UdpLink),
    Stream(StreamLink),
    Dtls(DtlsLink),
}

/// What a [`Link`] yields.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// One datagram, or one frame of a stream with its padding.
    Bytes(Vec<u8>),
    /// Nothing in the given time.
    Nothing,
    /// The server closed the stream.
    Closed,
}

impl Link {
    /// Datagrams from a fresh port of `local`.
    pub fn udp(local: IpAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((local, 0)).expect("a free port");
        Self::Udp(UdpLink { socket, server })
    }

    pub fn tcp(server: SocketAddr) -> Self {
        Self::over(&TcpStream::connect(server).expect("connecting to the server"))
    }

    /// A connection that is there.
    pub fn over(stream: &TcpStream) -> Self {
        let bytes = stream.try_clone().expect("a second handle");
        Self::Stream(StreamLink::new(stream, Box::new(bytes)))
    }

    /// A TLS session over a connection that is there.
    pub fn over_tls(tls: StreamOwned<ClientConnection, TcpStream>) -> Self {
        let stream = tls.sock.try_clone().expect("a second handle");
        Self::Stream(StreamLink::new(&stream, Box::new(tls)))
    }

    /// A TCP connection that leaves from the address `local`.
    pub fn tcp_from(local: SocketAddr, server: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(local), Type::STREAM, None).expect("a socket");
        socket
            .bind(&local.into())
            .expect("the local address is free");
        socket
            .connect(&server.into())
            .expect("connecting to the server");
        Self::over(&TcpStream::from(socket))
    }

    /// A TLS connection; the handshake runs with the first bytes sent.
    pub fn tls(server: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self::tls_to(server, ServerName::from(server.ip()), config)
    }

    /// The same to a server that goes by a name, which it is told.
    pub fn tls_named(server: SocketAddr, name: &'static str, config: Arc<ClientConfig>) -> Self {
        Self::tls_to(server, name.try_into().expect("a domain name"), config)
    }

    fn tls_to(server: SocketAddr, name: ServerName<'static>, config: Arc<ClientConfig>) -> Self {
        let stream = TcpStream::connect(server).expect("connecting to the server");
        let session = ClientConnection::new(config, name).expect("a TLS client");
        Self::over_tls(StreamOwned::new(session, stream))
    }

    /// Datagrams within DTLS, from a fresh port of `local`; the handshake runs with the first bytes sent.
    pub fn dtls(local: IpAddr, server: SocketAddr) -> Self {
        Self::Dtls(DtlsLink::new(local, server))
    }

    pub fn local(&self) -> SocketAddr {
        match self {
            Self::Dtls(dtls) => dtls.socket().local_addr().expect("a bound socket"),
            Self::Udp(udp) => udp.socket.local_addr().expect("a bound socket"),
            Self::Stream(stream) => stream.local,
        }
    }

    /// Another handle to the socket of datagrams.
    pub fn socket(&self) -> UdpSocket {
        match self {
            Self::Udp(udp) => udp.socket.try_clone().expect("a second handle"),
            Self::Dtls(dtls) => dtls.socket().try_clone().expect("a second handle"),
            Self::Stream(_) => panic!("a stream has none"),
        }
    }

    pub fn server(&self) -> SocketAddr {
        match self {
            Self::Udp(udp) => udp.server,
            Self::Dtls(dtls) => dtls.socket().peer_addr().expect("a connected socket"),
            Self::Stream(_) => panic!("a stream is connected"),
        }
    }

    /// Marks what a stream over IPv4 sends from here on.
    pub fn mark(&self, tos: u8) {
        if let Self::Stream(stream) = self {
            SockRef::from(&stream.socket)
                .set_tos_v4(tos.into())
                .expect("an IPv4 option");
        }
    }

    pub fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Ends a DTLS session.
    pub fn close(&mut self) {
        if let Self::Dtls(dtls) = self {
            dtls.close();
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        match self {
            Self::Dtls(dtls) => dtls.send(bytes),
            Self::Udp(udp) => {
                udp.socket
                    .send_to(bytes, udp.server)
                    .expect("sending on loopback");
            }
            Self::Stream(stream) => {
                stream
                    .bytes
                    .write_all(bytes)
                    .and_then(|()| stream.bytes.flush())
                    .expect("writing to the server");
            }
        }
    }

    pub fn receive(&mut self, time: Duration) -> Received {
        match self {
            Self::Udp(udp) => udp.receive(time),
            Self::Stream(stream) => stream.receive(time),
            Self::Dtls(dtls) => dtls.receive(time),
        }
    }
}

pub struct UdpLink {
    socket: UdpSocket,
    server: SocketAddr,
}

impl UdpLink {
    /// Fails the test on a datagram from elsewhere: a server answers from where it was asked (RFC 8489 §6.3.1.2).
    fn receive(&self, time: Duration) -> Received {
        let mut buffer = vec![0; 65_536];
        self.socket
            .set_read_timeout(Some(time))
            .expect("a timeout above zero");
        match self.socket.recv_from(&mut buffer) {
            Ok((length, source)) => {
                assert_eq!(source, self.server, "source of what arrived at the client");
                buffer.truncate(length);
                Received::Bytes(buffer)
            }
            Err(error) if is_timeout(&error) => Received::Nothing,
            Err(error) => panic!("receiving at the client: {error}"),
        }
    }
}

impl Link {
    /// From here on the stream carries bytes that are no messages: what is left is closed.
    pub fn take_bytes(&mut self) -> Bytes {
        let Self::Stream(stream) = self else {
            panic!("datagrams are no stream")
        };
        let empty = Box::new(std::io::Cursor::new(Vec::new()));
        Bytes(StreamLink {
            bytes: std::mem::replace(&mut stream.bytes, empty),
            socket: stream.socket.try_clone().expect("a second handle"),
            local: stream.local,
            buffer: std::mem::take(&mut stream.buffer),
        })
    }
}

/// A stream of bytes, over TCP or TLS.
pub struct Bytes(StreamLink);

impl Bytes {
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        let written = self.0.bytes.write_all(bytes);
        written
            .and_then(|()| self.0.bytes.flush())
            .expect("writing to the server");
    }

    /// The next `length` bytes.
    #[track_caller]
    pub fn read(&mut self, length: usize) -> Vec<u8> {
        let mut read = vec![0; length];
        self.read_into(&mut read);
        read
    }

    #[track_caller]
    pub fn read_into(&mut self, room: &mut [u8]) {
        let buffered = self.0.buffer.len().min(room.len());
        room[..buffered].copy_from_slice(&self.0.buffer[..buffered]);
        self.0.buffer.drain(..buffered);
        self.0
            .socket
            .set_read_timeout(Some(BYTES_TIME))
            .expect("a timeout above zero");
        self.0
            .bytes
            .read_exact(&mut room[buffered..])
            .expect("bytes from the server");
    }

    /// Whether the stream ends within `time`; fails the test if anything comes before.
    #[track_caller]
    pub fn ends_within(&mut self, time: Duration) -> bool {
        assert!(self.0.buffer.is_empty(), "bytes before the end");
        self.0
            .socket
            .set_read_timeout(Some(time))
            .expect("a timeout above zero");
        match self.0.bytes.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => panic!("the server sent something"),
            Err(error) => !is_timeout(&error),
        }
    }

    /// The socket, of which nothing has been read that was not asked for; where there is no TLS.
    #[allow(dead_code, reason = "for tests/scale")]
    pub fn into_socket(self) -> TcpStream {
        assert!(self.0.buffer.is_empty(), "bytes that nobody has read");
        self.0.socket
    }

    /// Says that nothing more will be sent, where there is no TLS.
    pub fn end(&self) {
        self.0
            .socket
            .shutdown(std::net::Shutdown::Write)
            .expect("a connected socket");
    }
}

/// How long a test waits for bytes that have to come.
const BYTES_TIME: Duration = Duration::from_secs(20);

trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

pub struct StreamLink {
    bytes: Box<dyn Duplex>,
    /// The connection below `bytes`, for its timeouts.
    socket: TcpStream,
    local: SocketAddr,
    /// What was read beyond the last frame.
    buffer: Vec<u8>,
}

impl StreamLink {
    fn new(socket: &TcpStream, bytes: Box<dyn Duplex>) -> Self {
        socket.set_nodelay(true).expect("a TCP option");
        Self {
            bytes,
            socket: socket.try_clone().expect("a second handle"),
            local: socket.local_addr().expect("a connected socket"),
            buffer: Vec::new(),
        }
    }

    fn receive(&mut self, time: Duration) -> Received {
        let end = Instant::now() + time;
        loop {
            if let Some(frame) = self.take_frame() {
                return Received::Bytes(frame);
            }
            let left = end
                .saturating_duration_since(Instant::now())
                .max(Duration::from_millis(1));
            self.socket
                .set_read_timeout(Some(left))
                .expect("a timeout above zero");
            let mut chunk = [0; 16_384];
            match self.bytes.read(&mut chunk) {
                Ok(0) => return Received::Closed,
                Ok(length) => self.buffer.extend(&chunk[..length]),
                Err(error) if is_timeout(&error) => return Received::Nothing,
                Err(_) => return Received::Closed,
            }
        }
    }

    /// A STUN message, or ChannelData with its padding (RFC 8656 §12.5).
    fn take_frame(&mut self) -> Option<Vec<u8>> {
        let header = self.buffer.get(..4)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let length = match header[0] {
            0x00..=0x3F => 20 + length,
            0x40..=0x7F => 4 + length.next_multiple_of(4),
            _ => panic!(
                "the server's stream is neither STUN nor ChannelData: {:02x?}",
                self.buffer
            ),
        };
        (self.buffer.len() >= length).then(|| self.buffer.drain(..length).collect())
    }
}

pub(super) fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

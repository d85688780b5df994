//! What a client finds at a TURN server: how far each transport gets, and a verdict. `verdict.rs` is pure.

mod verdict;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use stun::attributes::ATTR_XORMAPPED_ADDRESS;
use stun::message::{BINDING_REQUEST, Message as StunMessage};

use crate::wire::address::decode_xor;
use crate::wire::stream::{Frame, next_frame};
use crate::wire::{Class, Message, TransactionId};
pub use verdict::{Verdict, verdict};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
}

/// What came of one transport to one address.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What carried the messages.
    pub transport: Transport,
    /// The server's address.
    pub server: SocketAddr,
    /// The mapped address and how long a Binding took, from the connection on; or why there was none.
    pub binding: Result<(SocketAddr, Duration), String>,
}

/// Sends a Binding request by `transport` to `server`, and waits for at most `patience`.
pub fn attempt(transport: Transport, server: SocketAddr, patience: Duration) -> Attempt {
    let started = Instant::now();
    let answer = match transport {
        Transport::Udp => by_udp(server, started + patience),
        Transport::Tcp => by_tcp(server, started + patience),
    };
    let binding = answer.map(|mapped| (mapped, started.elapsed()));
    let binding = binding.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        _ => error.to_string(),
    });
    Attempt {
        transport,
        server,
        binding,
    }
}

fn by_udp(server: SocketAddr, deadline: Instant) -> io::Result<SocketAddr> {
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    let (id, request) = request();
    let mut room = [0; 2048];
    let mut wait = FIRST_WAIT;
    loop {
        socket.send(&request)?;
        let again = deadline.min(Instant::now() + wait);
        while let Ok(left) = left(again) {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut room) {
                Ok(len) => {
                    if let Some(mapped) = mapped(&room[..len], id) {
                        return Ok(mapped);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        left(deadline)?;
        wait *= 2;
    }
}

fn by_tcp(server: SocketAddr, deadline: Instant) -> io::Result<SocketAddr> {
    let mut stream = TcpStream::connect_timeout(&server, left(deadline)?)?;
    let (id, request) = request();
    stream.set_write_timeout(Some(left(deadline)?))?;
    stream.write_all(&request)?;
    let mut received = Vec::new();
    let mut room = [0; 2048];
    loop {
        match next_frame(&received) {
            Frame::Whole(len) => {
                return mapped(&received[..len], id)
                    .ok_or_else(|| io::Error::other("its answer is no Binding response"));
            }
            Frame::Garbage => return Err(io::Error::other("it does not speak STUN")),
            // A message is at most 64 KiB and its header, and so is what is kept.
            Frame::Partial => {}
        }
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut room)? {
            0 => return Err(io::Error::other("the server has closed the connection")),
            len => received.extend_from_slice(&room[..len]),
        }
    }
}

/// The time until then; past it, that it has timed out.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

fn request() -> (TransactionId, Vec<u8>) {
    let id = TransactionId(rand::random());
    let mut message = StunMessage::new();
    message.transaction_id.0 = id.0;
    message.set_type(BINDING_REQUEST);
    message.write_header();
    (id, message.raw)
}

fn mapped(bytes: &[u8], id: TransactionId) -> Option<SocketAddr> {
    let message = Message::parse(bytes).ok()?;
    if message.transaction_id() != id || message.class() != Class::SuccessResponse {
        return None;
    }
    decode_xor(message.get(ATTR_XORMAPPED_ADDRESS)?, id).ok()
}

/// RFC 8489 §6.2.1: the first retransmission; each further one waits for twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

//! The far end of the relay: a plain UDP socket.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::turn::{ANSWER_TIME, QUIET_TIME};

/// A UDP socket that a client talks to through the relay.
pub struct Peer {
    socket: UdpSocket,
}

impl Peer {
    /// On an address of its own, so that permissions of other peers do not serve it.
    pub fn at(ip: &str) -> Self {
        let ip: IpAddr = ip.parse().expect("an IP address");
        let socket = UdpSocket::bind((ip, 0)).expect("a free port");
        Self { socket }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket")
    }

    /// For what the test does with it beside.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub fn send(&self, relay: SocketAddr, payload: &[u8]) {
        self.socket
            .send_to(payload, relay)
            .expect("sending on loopback");
    }

    /// The next datagram and who sent it.
    #[track_caller]
    pub fn receive(&self) -> (Vec<u8>, SocketAddr) {
        match self.receive_within(ANSWER_TIME) {
            Some(received) => received,
            None => panic!("nothing arrived at the peer"),
        }
    }

    /// Fails the test unless the next datagram is `payload`.
    #[track_caller]
    pub fn expect(&self, payload: &[u8]) {
        let (received, _) = self.receive();
        assert!(
            received == payload,
            "the peer received {} bytes {:02x?} instead of {} bytes",
            received.len(),
            &received[..received.len().min(32)],
            payload.len()
        );
    }

    /// Fails the test if anything arrives. For use where nothing can be sent behind what must not arrive.
    #[track_caller]
    pub fn expect_nothing(&self) {
        let received = self.receive_within(QUIET_TIME);
        assert!(received.is_none(), "the peer received {received:02x?}");
    }

    /// How many datagrams arrive until none has for `time`.
    pub fn drain(&self, time: Duration) -> usize {
        std::iter::from_fn(|| self.receive_within(time)).count()
    }

    pub fn receive_within(&self, time: Duration) -> Option<(Vec<u8>, SocketAddr)> {
        let mut buffer = vec![0; 65_536];
        self.socket
            .set_read_timeout(Some(time))
            .expect("a timeout above zero");
        match self.socket.recv_from(&mut buffer) {
            Ok((length, source)) => Some((buffer[..length].to_vec(), source)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            Err(error) => panic!("receiving at the peer: {error}"),
        }
    }
}

/// Whether nobody listens on UDP `address`, or stops to within `time`: its host answers with port unreachable.
pub fn is_refused(address: SocketAddr, time: Duration) -> bool {
    let local = if address.is_ipv4() {
        "127.0.0.98"
    } else {
        "::1"
    };
    let socket = UdpSocket::bind((local, 0)).expect("a free port");
    socket.connect(address).expect("a route");
    socket
        .set_read_timeout(Some(Duration::from_millis(10)))
        .expect("a timeout above zero");
    let end = Instant::now() + time;
    while Instant::now() < end {
        // The refusal of one datagram may be reported by the next call of either kind.
        for result in [socket.send(b"anyone?"), socket.recv(&mut [0; 64])] {
            if result.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                return true;
            }
        }
    }
    false
}

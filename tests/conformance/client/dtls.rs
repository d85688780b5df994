//! Datagrams within DTLS 1.2, by dimpl.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{Config, Dtls, Output, certificate};

use super::link::{Received, is_timeout};

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the session's own timers are looked at.
const STEP: Duration = Duration::from_millis(50);

/// A DTLS session with the server. It takes any certificate: what is sent is looked at elsewhere.
pub struct DtlsLink {
    socket: UdpSocket,
    session: Box<Dtls>,
    received: VecDeque<Vec<u8>>,
    is_connected: bool,
    is_closed: bool,
}

impl DtlsLink {
    /// Begins a session; the handshake runs with the first bytes sent.
    pub fn new(local: IpAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind((local, 0)).expect("a free port");
        socket.connect(server).expect("a UDP socket");
        let now = Instant::now();
        let config = Config::builder().build().expect("the defaults go together");
        let own = certificate::generate_self_signed_certificate().expect("a certificate");
        let mut session = Dtls::new_12(Arc::new(config), own, now);
        session.set_active(true);
        session.handle_timeout(now).expect("a fresh session");
        Self {
            socket,
            session: Box::new(session),
            received: VecDeque::new(),
            is_connected: false,
            is_closed: false,
        }
    }

    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    pub fn send(&mut self, bytes: &[u8]) {
        let end = Instant::now() + PATIENCE;
        self.poll();
        while !self.is_connected {
            assert!(Instant::now() < end, "the DTLS handshake takes too long");
            self.step(STEP);
        }
        let sent = self.session.send_application_data(bytes);
        sent.expect("data that fits a record");
        self.poll();
    }

    pub fn receive(&mut self, time: Duration) -> Received {
        let end = Instant::now() + time;
        loop {
            if let Some(bytes) = self.received.pop_front() {
                return Received::Bytes(bytes);
            }
            if self.is_closed {
                return Received::Closed;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Nothing;
            }
            self.step(left.min(STEP));
        }
    }

    /// Says that nothing more will be said.
    pub fn close(&mut self) {
        // One that is over need not be.
        if self.session.close().is_ok() {
            self.poll();
        }
    }

    /// Handles one datagram, or the time that has passed without one.
    fn step(&mut self, time: Duration) {
        let mut buffer = [0; 20_000];
        let time = time.max(Duration::from_millis(1));
        self.socket
            .set_read_timeout(Some(time))
            .expect("above zero");
        match self.socket.recv(&mut buffer) {
            Ok(len) => {
                let handled = self.session.handle_packet(&buffer[..len]);
                handled.expect("what the server sends");
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => panic!("receiving at the client: {error}"),
        }
        self.session
            .handle_timeout(Instant::now())
            .expect("a session that goes on");
        self.poll();
    }

    fn poll(&mut self) {
        let mut buffer = [0; 20_000];
        loop {
            match self.session.poll_output(&mut buffer) {
                Output::Packet(packet) => {
                    self.socket.send(packet).expect("sending on loopback");
                }
                Output::Connected => self.is_connected = true,
                Output::ApplicationData(data) => self.received.push_back(data.to_vec()),
                Output::CloseNotify => self.is_closed = true,
                Output::Timeout(_) => return,
                _ => {}
            }
        }
    }
}

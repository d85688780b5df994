//! The way to the server within DTLS: `net`'s client session and a socket.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::sleep_until;

use super::link::{MAX_DATAGRAM, local, send_datagram};
use super::tls::Tls;
use crate::net::{DtlsClient, DtlsError};

/// A session with the server.
pub(super) struct Secured {
    pub(super) socket: UdpSocket,
    session: DtlsClient,
    received: VecDeque<Vec<u8>>,
    /// Whether anything came back, DTLS or not.
    is_answered: bool,
}

impl Secured {
    /// Begins a session; the handshake is the next step.
    pub(super) async fn open(
        source: Option<IpAddr>,
        server: SocketAddr,
        tls: &Tls,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind(local(source, server)).await?;
        socket.connect(server).await?;
        let session = DtlsClient::new(tls.provider(), tls.dns_name(), Instant::now());
        Ok(Self {
            socket,
            session: session.map_err(explained)?,
            received: VecDeque::new(),
            is_answered: false,
        })
    }

    /// Does the handshake. Where `given_up` is there and comes true, a server that has not answered yet is not waited for.
    pub(super) async fn handshake(
        &mut self,
        mut given_up: Option<watch::Receiver<bool>>,
    ) -> io::Result<()> {
        let least = Instant::now() + LEAST;
        while self.session.is_handshaking() {
            self.flush().await?;
            let due = self.session.next_due().unwrap_or_else(Instant::now);
            if self.session.is_heard() {
                given_up = None;
            }
            tokio::select! {
                biased;
                filled = self.fill() => filled?,
                () = sleep_until(due.into()) => {}
                () = given_up_at(given_up.as_mut(), least) => return Err(ErrorKind::TimedOut.into()),
            }
            self.session.handle_time(Instant::now());
        }
        self.flush().await
    }

    /// Whether who is there has begun to speak DTLS.
    pub(super) fn is_heard(&self) -> bool {
        self.session.is_heard()
    }

    /// Whether anything came back.
    pub(super) fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// The server's certificate and its chain.
    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        self.session.certificates()
    }

    /// Sends one message.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let sealed = self.session.seal(message);
        let sealed = sealed.ok_or(ErrorKind::InvalidInput)?;
        send_datagram(&self.socket, &sealed).await
    }

    /// The next message. Nothing is lost if it is not waited for.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.received.pop_front() {
                Some(message) => return Ok(message),
                None => self.fill().await?,
            }
        }
    }

    /// Takes in one datagram.
    async fn fill(&mut self) -> io::Result<()> {
        let mut room = [0; MAX_DATAGRAM];
        let len = self.socket.recv(&mut room).await?;
        self.is_answered = true;
        let received = &mut self.received;
        let handled = self
            .session
            .handle(&mut room[..len], Instant::now(), |message| {
                received.push_back(message.to_vec());
            });
        if handled.is_err() {
            // The alert is sent if that can be done at once.
            for datagram in self.session.take_outgoing() {
                let _ = self.socket.try_send(&datagram);
            }
        }
        handled.map_err(explained)
    }

    async fn flush(&mut self) -> io::Result<()> {
        for datagram in self.session.take_outgoing() {
            send_datagram(&self.socket, &datagram).await?;
        }
        Ok(())
    }
}

impl Drop for Secured {
    /// Has the server keep nothing.
    fn drop(&mut self) {
        if let Some(datagram) = self.session.goodbye() {
            let _ = self.socket.try_send(&datagram);
        }
    }
}

/// Waits until it is true, and for the least that any server is given.
async fn given_up_at(given_up: Option<&mut watch::Receiver<bool>>, least: Instant) {
    if let Some(given_up) = given_up
        && given_up.wait_for(|is| *is).await.is_ok()
    {
        return sleep_until(least.into()).await;
    }
    std::future::pending().await
}

fn explained(error: DtlsError) -> io::Error {
    match error {
        DtlsError::Closed => ErrorKind::UnexpectedEof.into(),
        error => io::Error::other(error),
    }
}

/// So long is waited even for a server that need not be there: to the other end of the world and back.
const LEAST: Duration = Duration::from_millis(300);

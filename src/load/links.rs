//! The clients' ways to the server, whichever transport they take.

use std::net::SocketAddr;

use super::LoadError;
use super::frames::Batch;
use super::plan::Plan;
use super::stamp::Clock;
use super::stream::StreamClients;
use super::target::Transport;
use super::tls::Tls;
use super::udp::UdpClients;

/// The links of all clients.
pub(super) enum Links {
    Udp(Box<UdpClients>),
    Stream(Box<StreamClients>),
}

/// What came over a link.
pub(super) enum Arrival<'a> {
    /// A whole message.
    Message(&'a [u8]),
    /// It has come to its end; why.
    End(&'a str),
}

impl Links {
    /// Opens what the clients of `server` need.
    pub(super) fn open(plan: &Plan, server: SocketAddr) -> Result<Self, LoadError> {
        let clients = plan.clients;
        let tls = match plan.target.transport {
            Transport::Udp => {
                let udp = UdpClients::open(server, clients, plan.joining)?;
                return Ok(Self::Udp(Box::new(udp)));
            }
            Transport::Tcp => None,
            Transport::Tls => Some(Tls::new(&plan.target.host, &plan.trust)?),
        };
        let stream = StreamClients::open(server, clients, tls)?;
        Ok(Self::Stream(Box::new(stream)))
    }

    /// Whether messages arrive once and in order, or the connection ends.
    pub(super) fn is_reliable(&self) -> bool {
        match self {
            Self::Udp(_) => false,
            Self::Stream(_) => true,
        }
    }

    /// Sends one message of a client.
    pub(super) fn send_message(&mut self, client: u32, message: &[u8]) {
        match self {
            Self::Udp(udp) => udp.send_message(client, message),
            Self::Stream(stream) => stream.send_message(client, message),
        }
    }

    /// Sends a frame of each client listed; returns how many were taken.
    pub(super) fn send(&mut self, batch: Batch<'_>, clients: &[u32]) -> usize {
        match self {
            Self::Udp(udp) => udp.send(batch, clients),
            Self::Stream(stream) => stream.send(batch, clients),
        }
    }

    /// Hands over what has arrived, with its client and the time; returns how much it was.
    pub(super) fn receive(
        &mut self,
        clock: Clock,
        mut take: impl FnMut(u32, Arrival<'_>, u64),
    ) -> Result<usize, LoadError> {
        let received = match self {
            Self::Udp(udp) => udp.receive(clock, |client, message, now| {
                take(client, Arrival::Message(message), now);
            }),
            Self::Stream(stream) => stream.receive(clock, take),
        };
        received.map_err(|error| LoadError::new(format!("cannot receive from the server: {error}")))
    }
}

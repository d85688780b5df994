//! The NAT on the way: what it maps a socket to, and what it lets in (RFC 5780 §4), as far as the server can tell.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stun::attributes::{ATTR_CHANGE_REQUEST, ATTR_OTHER_ADDRESS, ATTR_XORMAPPED_ADDRESS};
use stun::message::{BINDING_REQUEST, Message as StunMessage};
use tokio::net::UdpSocket;
use tokio::time::timeout_at;

use super::client::{FIRST_WAIT, plain_address};
use super::link::{MAX_DATAGRAM, local};
use super::plan::Plan;
use super::relaying::may_be_sent_to;
use super::report::{Attempt, Behaviour, Nat};
use crate::wire::address::decode_xor;
use crate::wire::{Class, Message, TransactionId};

/// What a Binding response says.
pub(super) struct Answer {
    pub(super) mapped: SocketAddr,
    other: Option<SocketAddr>,
}

/// From where the response is to come (RFC 5780 §7.2).
#[derive(Clone, Copy)]
pub(super) enum Change {
    Port,
    AddressAndPort,
}

/// What can be told of the NAT between this host and a server; `None`: it does not answer.
pub(super) async fn discover(plan: &Plan, server: SocketAddr) -> Option<Nat> {
    let socket = open(plan, server).await?;
    let answer = binding(&socket, server, None, Instant::now() + plan.timeout).await?;
    let mapped = answer.mapped;
    let port = socket.local_addr().ok()?.port();
    let local = route(plan.source, server).await;
    let local = local.map(|ip| SocketAddr::new(ip, port));
    let is_there = local.map(|local| local != mapped);
    let other_address = answer.other.filter(|other| is_another(*other, server));
    let mapping = async {
        match other_address {
            Some(other) => mapping(plan, &socket, server, other, mapped).await,
            None => (Behaviour::Unknown, false),
        }
    };
    let filtering = async {
        match other_address {
            Some(_) => filtering(plan, server).await,
            None => Behaviour::Unknown,
        }
    };
    let hairpins = async {
        match is_there {
            Some(true) => hairpins(plan, server).await,
            Some(false) | None => None,
        }
    };
    let ((mapping, other_answers), filtering, hairpins) =
        tokio::join!(mapping, filtering, hairpins);
    // That nothing came from an address means nothing if that address never answers.
    let filtering = match other_answers {
        true => filtering,
        false => Behaviour::Unknown,
    };
    Some(Nat {
        server,
        local,
        mapped,
        is_there,
        mapping,
        filtering,
        hairpins,
        other_address,
        explanation: match (other_address, other_answers) {
            (Some(_), true) => "by the server's other address (RFC 5780)".to_owned(),
            (Some(other), false) => {
                format!("the server's other address, {other}, does not answer, so mapping and filtering cannot be known")
            }
            (None, _) if is_there == Some(false) => "the server has no second address (RFC 5780), so filtering cannot be known".to_owned(),
            (None, _) => "the server has no second address (RFC 5780), so mapping and filtering cannot be known".to_owned(),
        },
    })
}

impl Nat {
    /// Tells what the relay has seen of a socket of this host, where the server has no second address.
    pub(super) fn complete(&mut self, attempts: &[Attempt]) {
        let same = |attempt: &&Attempt| attempt.server.ip() == self.server.ip();
        let seen = attempts.iter().filter(same).find_map(|a| a.towards_relay);
        let (Behaviour::Unknown, Some((first, second))) = (self.mapping, seen) else {
            return;
        };
        if self.is_there == Some(false) {
            return;
        }
        (self.mapping, self.explanation) = match first == second {
            true => (
                Behaviour::PortIndependent,
                "by the relay: towards another port of the server the mapped address is the same; the server has no second address (RFC 5780), so more cannot be known".to_owned(),
            ),
            false => (
                Behaviour::AddressAndPortDependent,
                "by the relay: towards another port of the server the mapped address is another one; the server has no second address (RFC 5780), so its filtering cannot be known".to_owned(),
            ),
        };
    }
}

async fn open(plan: &Plan, server: SocketAddr) -> Option<UdpSocket> {
    UdpSocket::bind(local(plan.source, server)).await.ok()
}

/// The local address that leads to a server.
async fn route(source: Option<IpAddr>, server: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(local(source, server)).await.ok()?;
    socket.connect(server).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether a server's other address is one that can tell anything.
fn is_another(other: SocketAddr, server: SocketAddr) -> bool {
    other.is_ipv4() == server.is_ipv4()
        && other.ip() != server.ip()
        && other.port() != server.port()
        && may_be_sent_to(other, server)
}

/// RFC 5780 §4.3; and whether the other address answers.
async fn mapping(
    plan: &Plan,
    socket: &UdpSocket,
    server: SocketAddr,
    other: SocketAddr,
    mapped: SocketAddr,
) -> (Behaviour, bool) {
    let ask = |to| binding(socket, to, None, Instant::now() + plan.timeout.min(MOST));
    let Some(second) = ask(SocketAddr::new(other.ip(), server.port())).await else {
        return (Behaviour::Unknown, false);
    };
    if second.mapped == mapped {
        return (Behaviour::EndpointIndependent, true);
    }
    let found = match ask(other).await {
        None => Behaviour::Unknown,
        Some(third) if third.mapped == second.mapped => Behaviour::AddressDependent,
        Some(_) => Behaviour::AddressAndPortDependent,
    };
    (found, true)
}

/// RFC 5780 §4.4, both tests at once, by sockets that have sent nowhere else.
async fn filtering(plan: &Plan, server: SocketAddr) -> Behaviour {
    let comes = async |change| {
        let socket = open(plan, server).await?;
        binding(&socket, server, None, Instant::now() + plan.timeout).await?;
        let end = Instant::now() + plan.timeout.min(MOST);
        Some(binding(&socket, server, Some(change), end).await.is_some())
    };
    let both = tokio::join!(comes(Change::AddressAndPort), comes(Change::Port));
    match both {
        (Some(true), _) => Behaviour::EndpointIndependent,
        (Some(false), Some(true)) => Behaviour::AddressDependent,
        (Some(false), Some(false)) => Behaviour::AddressAndPortDependent,
        (None, _) | (Some(false), None) => Behaviour::Unknown,
    }
}

/// Whether one socket reaches another at its mapped address.
async fn hairpins(plan: &Plan, server: SocketAddr) -> Option<bool> {
    let (near, far) = (open(plan, server).await?, open(plan, server).await?);
    let answer = binding(&far, server, None, Instant::now() + plan.timeout).await?;
    if !may_be_sent_to(answer.mapped, server) {
        return None;
    }
    let (id, request) = request(None);
    let end = Instant::now() + plan.timeout.min(MOST) / 2;
    let mut room = [0; MAX_DATAGRAM];
    while Instant::now() < end {
        let _ = near.send_to(&request, answer.mapped).await;
        let again = end.min(Instant::now() + FIRST_WAIT / 2);
        while let Ok(received) = timeout_at(again.into(), far.recv_from(&mut room)).await {
            let Ok((len, _)) = received else { continue };
            if Message::parse(&room[..len]).is_ok_and(|m| m.transaction_id() == id) {
                return Some(true);
            }
        }
    }
    Some(false)
}

/// Asks for a Binding, again and again until `end`.
pub(super) async fn binding(
    socket: &UdpSocket,
    to: SocketAddr,
    change: Option<Change>,
    end: Instant,
) -> Option<Answer> {
    let (id, request) = request(change);
    let mut room = [0; MAX_DATAGRAM];
    let mut wait = FIRST_WAIT;
    while Instant::now() < end {
        socket.send_to(&request, to).await.ok()?;
        let again = end.min(Instant::now() + wait);
        wait *= 2;
        while let Ok(received) = timeout_at(again.into(), socket.recv_from(&mut room)).await {
            let Ok((len, _)) = received else { continue };
            let Ok(message) = Message::parse(&room[..len]) else {
                continue;
            };
            if message.transaction_id() != id {
                continue;
            }
            if message.class() != Class::SuccessResponse {
                return None;
            }
            let mapped = decode_xor(message.get(ATTR_XORMAPPED_ADDRESS)?, id).ok()?;
            let other = message.get(ATTR_OTHER_ADDRESS).and_then(plain_address);
            return Some(Answer { mapped, other });
        }
    }
    None
}

fn request(change: Option<Change>) -> (TransactionId, Vec<u8>) {
    let id = TransactionId(rand::random());
    let mut message = StunMessage::new();
    message.transaction_id.0 = id.0;
    message.set_type(BINDING_REQUEST);
    message.write_header();
    if let Some(change) = change {
        let flags = match change {
            Change::Port => 2,
            Change::AddressAndPort => 6,
        };
        message.add(ATTR_CHANGE_REQUEST, &[0, 0, 0, flags]);
    }
    (id, message.raw)
}

/// How long an answer is waited for whose absence tells something, too.
const MOST: Duration = Duration::from_millis(1200);

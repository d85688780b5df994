//! What passes through an allocation: to a second one on the same server, and to a socket of this host.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::{sleep_until, timeout_at};

use super::attempt::{Course, allocate, connect};
use super::client::{Client, data};
use super::link::{MAX_DATAGRAM, local};
use super::nat::binding;
use super::report::{Attempt, Path, RelayRange, RoundTrips, StepName, Trouble};
use super::transport::Transport;
use crate::load::session::Step;

/// Sends packets through the allocation of `first` and back, by whichever peer can be had.
pub(super) async fn try_relay(
    course: &Course,
    number: u32,
    first: &mut Client,
    found: &mut Attempt,
) {
    let own = try_range(course, first, found).await;
    let started = Instant::now();
    let why = match second(course, number, found).await {
        Ok(mut second) => {
            let paired = pair(first, &mut second, found).await;
            if paired.is_ok() {
                let mut far = Far::Relay(&mut second);
                round_trips(course, first, &mut far, found).await;
            }
            let _ = second.ask(Step::Release, StepName::Release).await;
            match paired {
                Ok(()) => return,
                Err(trouble) => trouble,
            }
        }
        Err(trouble) => trouble,
    };
    let Some(own) = own else {
        found.push(StepName::Permission, started.elapsed(), Some(why));
        return;
    };
    found.aside.push(why);
    first.session.peer = Some(own.seen_as);
    // The channel may be bound to the other peer already (RFC 8656 §12.1).
    first.session.channel += 1;
    found.push(StepName::Permission, own.permitted_in, None);
    let bound = timed(first, Step::BindChannel, StepName::Channel, found).await;
    match bound {
        Ok(()) => round_trips(course, first, &mut Far::Own(own), found).await,
        Err((took, trouble)) => found.push(StepName::Channel, took, Some(trouble)),
    }
}

/// A second client with an allocation on the same server.
pub(super) async fn second(
    course: &Course,
    number: u32,
    found: &Attempt,
) -> Result<Client, Trouble> {
    let mut scratch = found.afresh();
    if let Some(mut client) = connect(course, 2 * number + 1, &mut scratch).await
        && allocate(&mut client, &mut scratch).await.is_some()
    {
        return Ok(client);
    }
    let last = scratch.steps.pop().and_then(|step| step.trouble);
    Err(last.unwrap_or_else(|| {
        super::explain::code(
            StepName::Allocate,
            401,
            "",
            super::explain::CredentialFacts::default(),
        )
    }))
}

/// Has two clients reach each other through their allocations.
pub(super) async fn pair(
    first: &mut Client,
    second: &mut Client,
    found: &mut Attempt,
) -> Result<(), Trouble> {
    first.session.peer = second.session.relayed;
    second.session.peer = first.session.relayed;
    let before = found.steps.len();
    let mut done = timed(first, Step::Permit, StepName::Permission, found).await;
    if done.is_ok() {
        done = timed(first, Step::BindChannel, StepName::Channel, found).await;
    }
    let done = match done {
        Ok(()) => second
            .ask(Step::BindChannel, StepName::Channel)
            .await
            .map(|_| ()),
        Err((_, trouble)) => Err(trouble),
    };
    if done.is_err() {
        found.steps.truncate(before);
    }
    done
}

/// Asks, and notes a success; a failure is for the caller to note.
async fn timed(
    client: &mut Client,
    step: Step,
    name: StepName,
    found: &mut Attempt,
) -> Result<(), (Duration, Trouble)> {
    let started = Instant::now();
    let asked = client.ask(step, name).await;
    match asked {
        Ok(_) => {
            found.push(name, started.elapsed(), None);
            Ok(())
        }
        Err(trouble) => Err((started.elapsed(), trouble)),
    }
}

/// A socket of this host that the relay can reach.
pub(super) struct Own {
    socket: UdpSocket,
    relayed: SocketAddr,
    /// Its address as the relay sees it.
    seen_as: SocketAddr,
    permitted_in: Duration,
}

/// Finds out whether a datagram from this host comes through the relayed transport address: the server's own clients reach it
/// even if a firewall of the server's keeps others out.
async fn try_range(course: &Course, first: &mut Client, found: &mut Attempt) -> Option<Own> {
    let (relayed, mapped) = (found.relayed?, found.mapped?);
    let server = found.server;
    if relayed.is_ipv4() != mapped.is_ipv4() || !may_be_sent_to(relayed, server) {
        return None;
    }
    let end = Instant::now() + course.plan.timeout.min(MOST_FOR_RANGE);
    let source = course.plan.source;
    let socket = UdpSocket::bind(local(source, relayed)).await.ok()?;
    let seen_first = match found.transport {
        Transport::Udp => binding(&socket, server, None, end).await,
        Transport::Tcp | Transport::Tls | Transport::Dtls => None,
    };
    let seen_first = seen_first.map(|answer| answer.mapped);
    first.session.peer = Some(seen_first.unwrap_or(mapped));
    let started = Instant::now();
    if let Err(trouble) = first.ask(Step::Permit, StepName::Permission).await {
        if trouble.code == Some(403) {
            found.relay_range = RelayRange::Denied;
        }
        found.aside.push(trouble);
        return None;
    }
    let permitted_in = started.elapsed();
    let token: [u8; 16] = rand::random();
    found.relay_range = RelayRange::Closed;
    let mut again = Instant::now();
    let end = again + course.plan.timeout.min(MOST_FOR_RANGE);
    while Instant::now() < end {
        if Instant::now() >= again {
            again += AGAIN;
            // A refusal is ICMP's word on an earlier one.
            let _ = socket.send_to(&token, relayed).await;
        }
        let Ok(received) = timeout_at(again.min(end).into(), first.link.receive()).await else {
            continue;
        };
        let received = received.ok()?;
        if let Some(data) = data(&received)
            && data.bytes == token
        {
            found.relay_range = RelayRange::Open;
            let seen_as = data.peer?;
            found.towards_relay = seen_first.map(|first| (first, seen_as));
            return Some(Own {
                socket,
                relayed,
                seen_as,
                permitted_in,
            });
        }
    }
    None
}

/// Whether an address that a server names is one that a packet may be sent to.
pub(super) fn may_be_sent_to(named: SocketAddr, server: SocketAddr) -> bool {
    let is_for_many = match named.ip() {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    };
    let is_here = named.ip().is_loopback() && !server.ip().is_loopback();
    !is_for_many && !is_here && !named.ip().is_unspecified() && named.port() != 0
}

/// Who sends everything back.
enum Far<'a> {
    Relay(&'a mut Client),
    Own(Own),
}

impl Far<'_> {
    fn path(&self) -> Path {
        match self {
            Self::Relay(_) => Path::RelayToRelay,
            Self::Own(_) => Path::OwnSocket,
        }
    }

    /// Waits for what comes; it is sent back by [`send`](Self::send).
    async fn receive(&mut self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Relay(client) => loop {
                let received = client.link.receive().await?;
                if let Some(data) = data(&received) {
                    return Ok(data.bytes.to_vec());
                }
            },
            Self::Own(own) => {
                let mut room = [0; MAX_DATAGRAM];
                loop {
                    let (len, from) = own.socket.recv_from(&mut room).await?;
                    if from == own.relayed {
                        return Ok(room[..len].to_vec());
                    }
                }
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Relay(client) => client.send_data(bytes).await,
            Self::Own(own) => own.socket.send_to(bytes, own.relayed).await.map(|_| ()),
        }
    }
}

async fn round_trips(course: &Course, near: &mut Client, far: &mut Far<'_>, found: &mut Attempt) {
    let started = Instant::now();
    let packets = course.plan.packets;
    let token: [u8; 8] = rand::random();
    let mut sent: Vec<Instant> = Vec::with_capacity(packets);
    let mut took: Vec<Option<Duration>> = vec![None; packets];
    let (mut back, mut next) = (0, started);
    let mut patience = course.plan.timeout.min(MOST_FOR_TAIL);
    loop {
        let until = match sent.len() < packets {
            true => next,
            false if back == packets => break,
            false => sent.last().map_or(started, |last| *last + patience),
        };
        // What goes wrong with one packet is a loss, unless the way itself has ended.
        tokio::select! {
            biased;
            received = near.link.receive() => {
                let now = Instant::now();
                let Ok(received) = received else { break };
                let number = data(&received).and_then(|data| number_of(data.bytes, &token));
                if let Some(number) = number
                    && let Some(at) = sent.get(number)
                    && took[number].is_none()
                {
                    let time = now.duration_since(*at);
                    took[number] = Some(time);
                    back += 1;
                    patience = patience.min((time * 4).max(LEAST_FOR_TAIL));
                }
            }
            received = far.receive() => {
                let Ok(received) = received else { break };
                // Nobody else's data is sent anywhere.
                if number_of(&received, &token).is_some() && far.send(&received).await.is_err() {
                    break;
                }
            }
            () = sleep_until(until.into()) => {
                if sent.len() == packets {
                    break;
                }
                let mut payload = [0; PAYLOAD];
                payload[..8].copy_from_slice(&token);
                payload[8..16].copy_from_slice(&(sent.len() as u64).to_be_bytes());
                sent.push(Instant::now());
                next += PACE;
                if near.send_data(&payload).await.is_err() {
                    break;
                }
            }
        }
    }
    let relay = summary(far.path(), sent.len(), &took);
    let trouble = (relay.received == 0).then(|| {
        super::explain::trouble(
            super::TroubleKind::NoAnswer,
            "nothing comes back through the relay",
            "the server allocates, but does not relay: see its firewall and its log",
        )
    });
    found.relay = Some(relay);
    found.push(StepName::RoundTrips, started.elapsed(), trouble);
}

fn number_of(payload: &[u8], token: &[u8]) -> Option<usize> {
    let number = payload.strip_prefix(token)?.get(..8)?.try_into().ok()?;
    usize::try_from(u64::from_be_bytes(number)).ok()
}

fn summary(path: Path, sent: usize, took: &[Option<Duration>]) -> RoundTrips {
    let in_order: Vec<f64> = took
        .iter()
        .flatten()
        .map(|time| time.as_secs_f64() * 1e3)
        .collect();
    let steps = in_order.windows(2).map(|pair| (pair[1] - pair[0]).abs());
    let jitter = steps.sum::<f64>() / (in_order.len().max(2) - 1) as f64;
    let mut sorted = in_order;
    sorted.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let rank = (sorted.len() as f64 * share).ceil() as usize;
        let at = sorted.get(rank.saturating_sub(1));
        at.copied().unwrap_or(0.0)
    };
    let received = sorted.len();
    RoundTrips {
        path,
        sent,
        received,
        loss_percent: 100.0 * (sent - received) as f64 / sent.max(1) as f64,
        p50_ms: quantile(0.5),
        p90_ms: quantile(0.9),
        p99_ms: quantile(0.99),
        max_ms: quantile(1.0),
        jitter_ms: jitter,
    }
}

/// As much as audio has.
const PAYLOAD: usize = 160;
/// Between two packets.
const PACE: Duration = Duration::from_millis(10);
/// How long the last packets are waited for.
const MOST_FOR_TAIL: Duration = Duration::from_millis(1500);
const LEAST_FOR_TAIL: Duration = Duration::from_millis(300);
/// How long a way into the relayed transport address is looked for, and how often.
const MOST_FOR_RANGE: Duration = Duration::from_millis(1200);
const AGAIN: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_those_that_came_back() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let found = summary(Path::OwnSocket, 4, &[ms(10), ms(30), None, ms(20)]);
        assert_eq!((found.sent, found.received), (4, 3));
        assert_eq!(
            (found.p50_ms, found.p99_ms, found.max_ms),
            (20.0, 30.0, 30.0)
        );
        assert_eq!((found.loss_percent, found.jitter_ms), (25.0, 15.0));
        let none = summary(Path::OwnSocket, 0, &[]);
        assert_eq!(
            (none.received, none.max_ms, none.loss_percent),
            (0, 0.0, 0.0)
        );
    }

    #[test]
    fn a_server_cannot_have_packets_sent_to_many_or_to_this_host() {
        let may = |named: &str, server: &str| {
            may_be_sent_to(named.parse().unwrap(), server.parse().unwrap())
        };
        assert!(may("203.0.113.1:50000", "203.0.113.1:3478"));
        assert!(may("127.0.0.1:50000", "127.0.0.1:3478"));
        for named in [
            "127.0.0.1:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "0.0.0.0:1",
            "1.2.3.4:0",
        ] {
            assert!(!may(named, "203.0.113.1:3478"), "{named}");
        }
        assert!(!may("[ff02::1]:1", "[2001:db8::1]:3478"));
    }
}

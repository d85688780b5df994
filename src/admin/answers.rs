//! What the relay says, as the model has it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::model;
use crate::net::{ListenerTransport, NoAnswer, Observer, Report};
use crate::turn::{
    AllocationKind, Amount, Direction, DropReason, Families, Protocol, RealmCounters, Session,
    Traffic, Transport,
};

/// Asks each worker, and puts everything together.
pub(super) fn server(observer: &Observer) -> Result<model::Server, NoAnswer> {
    let reports: Vec<Report> = observer.reports().into_iter().collect::<Result<_, _>>()?;
    let started = observer.started();
    let workers: Vec<_> = (0..).zip(&reports).map(worker).collect();
    let limits = observer.limits();
    Ok(model::Server {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: (started.duration_since(UNIX_EPOCH).unwrap_or_default()).as_secs(),
        uptime: (SystemTime::now()
            .duration_since(started)
            .unwrap_or_default())
        .as_secs_f64(),
        listeners: observer.listeners().iter().map(listener).collect(),
        allocations: workers.iter().map(|worker| worker.allocations).sum(),
        workers,
        realms: realms(&reports),
        limits: model::Limits {
            allocations: limits.allocations.into(),
            connections: limits.connections as u64,
        },
        ports: (observer.ports().iter())
            .map(|pool| model::Ports {
                address: pool.address,
                claimed: pool.claimed.into(),
                total: pool.total.into(),
            })
            .collect(),
        certificates: (observer.certificates().iter())
            .map(|end| model::Certificate {
                name: end.name.clone(),
                not_after: end.not_after,
            })
            .collect(),
        connections: observer.connections() as u64,
    })
}

fn listener(listener: &crate::net::Listener) -> model::Listener {
    let transport = match listener.transport {
        ListenerTransport::Udp => "udp",
        ListenerTransport::Tcp => "tcp",
        ListenerTransport::Tls => "tls",
        ListenerTransport::Dtls => "dtls",
        ListenerTransport::Shared => "shared",
    };
    model::Listener {
        transport: transport.to_owned(),
        address: listener.address,
    }
}

fn worker((number, report): (u64, &Report)) -> model::Worker {
    let realms = || report.realms.iter().map(|(_, counters)| counters);
    let relayed = |direction| {
        let mut sum = Amount::default();
        for realm in realms() {
            sum += realm.relayed_in_all(direction);
        }
        amount(sum)
    };
    let drops = DropReason::ALL.map(|reason| {
        let counters = &report.counters;
        let count =
            counters.drops(Direction::ToPeer, reason) + counters.drops(Direction::ToClient, reason);
        (reason.label(), count)
    });
    let shell = &report.shell;
    let listeners = shell.kernel_drops_of_listeners.iter();
    let of_listeners: u64 = listeners.map(|(_, drops)| drops).sum();
    model::Worker {
        number,
        cpu: shell.busy.as_secs_f64(),
        turns: shell.turns,
        allocations: realms().map(live).sum(),
        opened: realms().map(RealmCounters::opened_in_all).sum(),
        connections: shell.streams.open as u64,
        dtls_sessions: shell.dtls.open as u64,
        peer_connections: report.peer_connections as u64,
        to_peers: relayed(Direction::ToPeer),
        to_clients: relayed(Direction::ToClient),
        drops: occurred(drops),
        refusals: occurred(realms().flat_map(RealmCounters::refusals)),
        kernel_drops: of_listeners + shell.kernel_drops_of_relays,
        not_sent: shell.not_sent,
        lost_between_workers: shell.lost_between_workers,
    }
}

/// Those that are not zero, summed by name.
fn occurred(counts: impl IntoIterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        *found.entry(name.to_owned()).or_default() += count;
    }
    found
}

fn live(realm: &RealmCounters) -> u64 {
    let mut sum = 0;
    for transport in Transport::ALL {
        for protocol in Protocol::ALL {
            for families in Families::ALL {
                sum += realm.live(AllocationKind {
                    transport,
                    protocol,
                    families,
                });
            }
        }
    }
    sum
}

/// Each worker has the same realms in the same order.
fn realms(reports: &[Report]) -> Vec<model::Realm> {
    let mut found: Vec<model::Realm> = Vec::new();
    for report in reports {
        for (at, (name, counters)) in report.realms.iter().enumerate() {
            if found.len() == at {
                found.push(model::Realm {
                    name: name.to_string(),
                    allocations: 0,
                    opened: 0,
                    to_peers: model::Amount::default(),
                    to_clients: model::Amount::default(),
                });
            }
            let realm = &mut found[at];
            realm.allocations += live(counters);
            realm.opened += counters.opened_in_all();
            add(
                &mut realm.to_peers,
                counters.relayed_in_all(Direction::ToPeer),
            );
            add(
                &mut realm.to_clients,
                counters.relayed_in_all(Direction::ToClient),
            );
        }
    }
    found
}

fn add(sum: &mut model::Amount, amount: Amount) {
    sum.packets += amount.packets;
    sum.bytes += amount.bytes;
}

fn amount(Amount { packets, bytes }: Amount) -> model::Amount {
    model::Amount { packets, bytes }
}

/// A session, as the model has it.
pub(super) fn session(session: Session) -> model::Session {
    let Traffic {
        packets_to_peer,
        bytes_to_peer,
        packets_to_client,
        bytes_to_client,
        drops,
    } = session.traffic;
    let protocol = match session.protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
    };
    let permissions = session.permissions.first.into_iter();
    let channels = session.channels.first.into_iter();
    model::Session {
        id: session.serial,
        realm: session.realm.to_string(),
        user: session.user,
        transport: session.five_tuple.transport.to_string(),
        client: session.five_tuple.client.0,
        server: session.five_tuple.server,
        connected: session.is_connected,
        mobile: session.is_mobile,
        relayed: session.relayed,
        protocol: protocol.to_owned(),
        permission_count: session.permissions.total as u64,
        permissions: permissions
            .map(|permission| model::Permission {
                peer: permission.peer,
                expires_in: permission.expires_in.as_secs_f64(),
                inside: permission.is_inside,
            })
            .collect(),
        channel_count: session.channels.total as u64,
        channels: channels
            .map(|channel| model::Channel {
                number: channel.number,
                peer: channel.peer,
                expires_in: channel.expires_in.as_secs_f64(),
                inside: channel.is_inside,
            })
            .collect(),
        peer_connections: session.peer_connections as u64,
        age: session.age.as_secs_f64(),
        expires_in: session.expires_in.as_secs_f64(),
        to_peers: model::Amount {
            packets: packets_to_peer,
            bytes: bytes_to_peer,
        },
        to_client: model::Amount {
            packets: packets_to_client,
            bytes: bytes_to_client,
        },
        drops: occurred(DropReason::ALL.map(|reason| (reason.label(), drops.of(reason).into()))),
    }
}

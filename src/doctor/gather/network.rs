//! Ports, sockets, buffers, connection tracking.

use std::io::ErrorKind;
use std::net::SocketAddr;

use socket2::{Domain, Socket as Opened, Type};

use super::{number, text};
use crate::doctor::facts::{Buffers, Conntrack, Opening, Outcome, Protocol, Socket};
use crate::doctor::{Subject, proc};
use crate::net::ListenerTransport;

/// Tries each address of the configuration, for a moment.
pub(super) fn openings(subject: &Subject<'_>) -> Vec<Opening> {
    let checked = &subject.loaded.checked;
    let listeners = checked.relay.net.listeners.iter().map(|listener| {
        let (what, protocol) = match listener.transport {
            ListenerTransport::Udp => ("udp", Protocol::Udp),
            ListenerTransport::Dtls => ("dtls", Protocol::Udp),
            ListenerTransport::Tcp => ("tcp", Protocol::Tcp),
            ListenerTransport::Tls => ("tls", Protocol::Tcp),
            ListenerTransport::Shared => ("shared", Protocol::Tcp),
        };
        (what, protocol, listener.address)
    });
    let api = checked.api.iter().flat_map(|api| &api.listen);
    let metrics = checked.metrics.iter().flat_map(|metrics| &metrics.listen);
    let http = api.map(|address| ("[api]", Protocol::Tcp, *address));
    let shown = metrics.map(|address| ("[metrics]", Protocol::Tcp, *address));
    let mut openings: Vec<Opening> = Vec::new();
    for (what, protocol, address) in listeners.chain(http).chain(shown) {
        let is_there = |other: &Opening| other.protocol == protocol && other.address == address;
        // Port 0 is any that is free; DTLS may share a socket with UDP.
        if address.port() != 0 && !openings.iter().any(is_there) {
            openings.push(Opening {
                what: what.to_owned(),
                protocol,
                address,
                outcome: open(protocol, address),
            });
        }
    }
    openings
}

fn open(protocol: Protocol, address: SocketAddr) -> Outcome {
    let opened = || {
        let typ = match protocol {
            Protocol::Udp => Type::DGRAM,
            Protocol::Tcp => Type::STREAM,
        };
        let socket = Opened::new(Domain::for_address(address), typ, None)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if protocol == Protocol::Tcp {
            // What lingers of old connections holds no port; who listens does.
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())?;
        if protocol == Protocol::Tcp {
            socket.listen(1)?;
        }
        Ok(())
    };
    match opened() {
        Ok(()) => Outcome::Free,
        Err(error) => outcome(&error),
    }
}

fn outcome(error: &std::io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::AddrInUse => Outcome::Taken,
        ErrorKind::AddrNotAvailable => Outcome::NotHere,
        ErrorKind::PermissionDenied => Outcome::NotAllowed,
        _ => Outcome::Failed(error.to_string()),
    }
}

/// Sockets of this network namespace that wait for clients.
pub(super) fn sockets() -> Vec<Socket> {
    let tables = [
        ("udp", Protocol::Udp),
        ("udp6", Protocol::Udp),
        ("tcp", Protocol::Tcp),
        ("tcp6", Protocol::Tcp),
    ];
    let of = |(name, protocol)| {
        let text = text(&format!("/proc/net/{name}")).unwrap_or_default();
        proc::sockets(&text, protocol)
    };
    tables.into_iter().flat_map(of).collect()
}

pub(super) fn buffers() -> Buffers {
    Buffers {
        rmem_max: number("/proc/sys/net/core/rmem_max"),
        udp: text("/proc/net/snmp").and_then(|text| proc::udp_counters(&text)),
        backlog_max: number("/proc/sys/net/core/netdev_max_backlog"),
        backlog_drops: text("/proc/net/softnet_stat").and_then(|text| proc::backlog_drops(&text)),
    }
}

pub(super) fn conntrack() -> Conntrack {
    let of = |name: &str| number(&format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
    Conntrack {
        entries: of("count").zip(of("max")),
        udp_timeout: of("udp_timeout"),
        udp_timeout_stream: of("udp_timeout_stream"),
    }
}

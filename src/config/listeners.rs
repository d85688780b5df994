//! `[listen]`: where clients are awaited.

use std::net::SocketAddr;

use super::problem::Problem;
use super::raw;
use super::surroundings::Surroundings;
use super::value::{At, Reader};
use crate::net::{Listener, ListenerTransport};

/// Turns `[listen]` into listeners.
pub(super) fn check(
    listen: &At<raw::Listen>,
    tls: Option<&At<raw::Tls>>,
    host: &Surroundings,
    reader: &mut Reader,
) -> Vec<At<Listener>> {
    let raw::Listen {
        udp,
        tcp,
        tls: over_tls,
        dtls,
    } = &listen.value;
    let mut listeners = of(ListenerTransport::Udp, udp, host);
    listeners.extend(of(ListenerTransport::Tcp, tcp, host));
    if tls.is_some() {
        listeners.extend(of(ListenerTransport::Tls, over_tls, host));
    } else if over_tls.is_written() && !over_tls.value.is_empty() {
        reader.report(
            Problem::error(over_tls.span.clone(), "TLS listeners need a certificate")
                .help("add [tls] with certificate = \"fullchain.pem\" and key = \"privkey.pem\""),
        );
    }
    if tls.is_some() {
        listeners.extend(of(ListenerTransport::Dtls, dtls, host));
    } else if !dtls.value.is_empty() {
        reader.report(
            Problem::error(dtls.span.clone(), "DTLS listeners need a certificate")
                .help("add [tls] with certificate = \"fullchain.pem\" and key = \"privkey.pem\""),
        );
    }
    if listeners.is_empty() && !reader.is_flawed(&listen.span) {
        let problem = Problem::error(listen.span.clone(), "there is no listener");
        reader.report(problem.help("add udp = [\"0.0.0.0:3478\"] to [listen]"));
    }
    listeners
}

fn of(
    transport: ListenerTransport,
    addresses: &At<Vec<At<SocketAddr>>>,
    host: &Surroundings,
) -> Vec<At<Listener>> {
    addresses
        .value
        .iter()
        // The defaults name both families; a host without IPv6 is served as it is.
        .filter(|at| addresses.is_written() || at.value.is_ipv4() || host.has_ipv6)
        .map(|at| {
            at.with(Listener {
                transport,
                address: at.value,
            })
        })
        .collect()
}

/// Reports every address that is taken twice; `http` is where the HTTP interface listens.
pub(super) fn report_duplicates(
    listeners: &[At<Listener>],
    http: &[At<SocketAddr>],
    reader: &mut Reader,
) {
    let of_http = http.iter().map(|at| at.with((Protocol::Tcp, at.value)));
    let all: Vec<_> = listeners
        .iter()
        .map(|at| at.with((Protocol::of(at.value.transport), at.value.address)))
        .chain(of_http)
        .collect();
    for (index, second) in all.iter().enumerate() {
        let (protocol, address) = second.value;
        if address.port() == 0 {
            continue;
        }
        let Some(first) = all[..index]
            .iter()
            .find(|first| first.value == second.value)
        else {
            continue;
        };
        // A default that clashes is underlined at what was written.
        let (place, other) = match &second.span {
            Some(_) => (second.span.clone(), first.span.clone()),
            None => (first.span.clone(), None),
        };
        let wrong = format!("{address} is taken twice over {}", protocol.name());
        reader.report(
            Problem::error(place, wrong)
                .also(other, "first here")
                .help("one listener is enough for each address and port; TCP, TLS and HTTP each need their own"),
        );
    }
}

/// What an address can be taken for once. A UDP listener and one for DTLS share it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Udp,
    Dtls,
    Tcp,
}

impl Protocol {
    fn of(transport: ListenerTransport) -> Self {
        match transport {
            ListenerTransport::Udp => Protocol::Udp,
            ListenerTransport::Dtls => Protocol::Dtls,
            ListenerTransport::Tcp | ListenerTransport::Tls => Protocol::Tcp,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Protocol::Udp => "UDP",
            Protocol::Dtls => "DTLS",
            Protocol::Tcp => "TCP",
        }
    }
}

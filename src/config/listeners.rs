//! `[listen]`: where clients are awaited.

use std::net::SocketAddr;

use super::problem::Problem;
use super::raw;
use super::surroundings::Surroundings;
use super::value::{At, Reader};
use crate::admission::peer_filter::PeerRange;
use crate::api::is_everyone;
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
        shared,
        proxy_protocol_from: _,
    } = &listen.value;
    let mut listeners = of(ListenerTransport::Udp, udp, host);
    listeners.extend(of(ListenerTransport::Tcp, tcp, host));
    if tls.is_some() {
        listeners.extend(of(ListenerTransport::Tls, over_tls, host));
    } else if over_tls.is_written() && !over_tls.value.is_empty() {
        reader.report(needs_certificate(over_tls, "TLS"));
    }
    if tls.is_some() {
        listeners.extend(of(ListenerTransport::Dtls, dtls, host));
    } else if !dtls.value.is_empty() {
        reader.report(needs_certificate(dtls, "DTLS"));
    }
    if tls.is_none() && !shared.value.is_empty() {
        reader.report(needs_certificate(shared, "shared"));
    }
    listeners.extend(of(ListenerTransport::Shared, shared, host));
    if listeners.is_empty() && !reader.is_flawed(&listen.span) {
        let problem = Problem::error(listen.span.clone(), "there is no listener");
        reader.report(problem.help("add udp = [\"0.0.0.0:3478\"] to [listen]"));
    }
    listeners
}

fn needs_certificate(addresses: &At<Vec<At<SocketAddr>>>, which: &str) -> Problem {
    let wrong = format!("{which} listeners need a certificate");
    Problem::error(addresses.span.clone(), wrong)
        .help("add [tls] with certificate = \"fullchain.pem\" and key = \"privkey.pem\"")
}

/// Checks from where connections begin with a header of the PROXY protocol.
pub(super) fn proxies(listen: &At<raw::Listen>, reader: &mut Reader) -> Vec<PeerRange> {
    let ranges = &listen.value.proxy_protocol_from.value;
    for at in ranges
        .iter()
        .filter(|at| is_everyone(&at.value.addresses()))
    {
        reader.report(
            Problem::error(at.span.clone(), "this trusts everyone to say who they are")
                .help("name the addresses of your own proxies alone"),
        );
    }
    ranges.iter().map(|at| at.value.clone()).collect()
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

/// Reports every address that is taken twice; `http` is where HTTP is served.
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
                .help("one listener is enough for each address and port; TCP, TLS and HTTP each need their own, or a `shared` one"),
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
            ListenerTransport::Tcp | ListenerTransport::Tls | ListenerTransport::Shared => {
                Protocol::Tcp
            }
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

//! `[nat_discovery]`: the four addresses of NAT behaviour discovery (RFC 5780 §6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::problem::Problem;
use super::raw;
use super::relay::{cannot_bind, family_name, is_private};
use super::surroundings::Surroundings;
use super::value::{At, Reader};
use crate::admission::rate_limit;
use crate::net::{Listener, ListenerTransport, RelayAddress};
use crate::turn::{NatDiscovery, Origins};

/// What `[nat_discovery]` takes from the other tables.
pub(super) struct Beside<'a> {
    pub listeners: &'a [At<Listener>],
    pub relays: &'a [RelayAddress],
    pub host: &'a Surroundings,
}

/// Turns `[nat_discovery]` into settings, and into the listeners that it needs beside those of `[listen]`.
pub(super) fn check(
    table: &At<raw::NatDiscovery>,
    beside: &Beside<'_>,
    reader: &mut Reader,
) -> (NatDiscovery, Vec<At<Listener>>) {
    let raw = &table.value;
    let alternates = match &raw.alternate_addresses {
        Some(written) => written.value.as_slice(),
        None => &[],
    };
    if alternates.is_empty() && !reader.is_flawed(&table.span) {
        let place = raw.alternate_addresses.as_ref().map(|at| at.span.clone());
        reader.report(
            Problem::error(
                place.unwrap_or_else(|| table.span.clone()),
                "NAT behaviour discovery needs a second address of this host",
            )
            .help("add alternate_addresses = [\"203.0.113.6\"], or remove [nat_discovery]"),
        );
    }
    let (mut origins, mut more) = (Vec::new(), Vec::new());
    for (index, alternate) in alternates.iter().enumerate() {
        let of_family = |at: &&At<IpAddr>| at.value.is_ipv4() == alternate.value.is_ipv4();
        if let Some(first) = alternates[..index].iter().find(of_family) {
            let wrong = format!("a second {} address", family_name(alternate.value));
            reader.report(
                Problem::error(alternate.span.clone(), wrong)
                    .also(first.span.clone(), "the first")
                    .help("write one for each family: the primary address is that of the UDP listener"),
            );
        } else {
            match origins_of(alternate, raw, beside) {
                Ok(found) => {
                    more.extend(missing(&found, alternate, beside.listeners));
                    origins.push(found);
                }
                Err(problem) => reader.report(*problem),
            }
        }
    }
    report_external(alternates, &raw.alternate_external.value, reader);
    let settings = NatDiscovery {
        origins,
        response_port: raw.response_port.value,
        replies: rate_limit::Settings {
            per_second: raw.replies_per_second.value.0,
            burst: raw.replies_burst.value.0,
        },
    };
    (settings, more)
}

/// Each external address belongs to the alternate one of its family.
fn report_external(alternates: &[At<IpAddr>], external: &[At<IpAddr>], reader: &mut Reader) {
    for (index, at) in external.iter().enumerate() {
        let of_family = |other: &&At<IpAddr>| other.value.is_ipv4() == at.value.is_ipv4();
        let family = family_name(at.value);
        let problem = if let Some(first) = external[..index].iter().find(of_family) {
            Problem::error(at.span.clone(), format!("a second {family} address"))
                .also(first.span.clone(), "the first")
                .help("the alternate address is seen as one")
        } else if !alternates.iter().any(|alternate| of_family(&alternate)) {
            Problem::error(at.span.clone(), format!("no alternate address is {family}"))
                .help("`alternate_external` is what clients see instead of an alternate address")
        } else {
            continue;
        };
        reader.report(problem);
    }
}

/// The addresses that an alternate one makes together with the first UDP listener of its family.
fn origins_of(
    alternate: &At<IpAddr>,
    raw: &raw::NatDiscovery,
    beside: &Beside<'_>,
) -> Result<Origins, Box<Problem>> {
    let (primary, listener) = primary_of(alternate, beside)?;
    let address = alternate.value;
    if primary == address {
        return Err(wrong(
            alternate,
            format!("{address} is the primary address: clients need another one beside it"),
            "write the second address of this host, or make this the second one by `udp` in [listen]",
        ));
    }
    if let Some(problem) = cannot_bind(alternate, "alternate_external", beside.host) {
        return Err(Box::new(problem));
    }
    Ok(Origins {
        addresses: [primary, address],
        external: told(alternate, primary, raw, beside.relays)?,
        ports: ports(alternate, listener, raw)?,
    })
}

/// The primary address beside an alternate one, and the listener that has it.
fn primary_of<'a>(
    alternate: &At<IpAddr>,
    beside: &Beside<'a>,
) -> Result<(IpAddr, &'a At<Listener>), Box<Problem>> {
    let address = alternate.value;
    let family = family_name(address);
    if address.is_unspecified() || address.is_multicast() {
        return Err(wrong(
            alternate,
            format!("{address} is no address that a client could send to"),
            "write the second address of this host",
        ));
    }
    let Some(listener) = beside.listeners.iter().find(|at| {
        let is_udp = at.value.transport == ListenerTransport::Udp;
        is_udp && at.value.address.is_ipv4() == address.is_ipv4()
    }) else {
        return Err(wrong(
            alternate,
            format!("no UDP listener is {family}"),
            "add one to `udp` in [listen]: its address and port are the primary ones",
        ));
    };
    let mut relays = beside.relays.iter().map(|relay| relay.bind);
    let primary = match listener.value.address.ip() {
        // What the default route uses, unless another was written.
        ip if ip.is_unspecified() => relays.find(|ip| ip.is_ipv4() == address.is_ipv4()),
        ip => Some(ip),
    };
    let primary = primary.ok_or_else(|| {
        wrong(
            alternate,
            format!("the primary {family} address is not known"),
            "write the address of this host into `udp` of [listen]",
        )
    })?;
    Ok((primary, listener))
}

/// The primary port, which is the listener's, and the alternate one.
fn ports(
    alternate: &At<IpAddr>,
    listener: &At<Listener>,
    raw: &raw::NatDiscovery,
) -> Result<[u16; 2], Box<Problem>> {
    let primary = listener.value.address.port();
    if primary == 0 {
        let wrong = "the primary port has to be a fixed one";
        let problem = Problem::error(listener.span.clone(), wrong);
        let problem = problem.also(alternate.span.clone(), "for this");
        return Err(Box::new(problem.help("write a port such as 3478")));
    }
    let other = raw.alternate_port.value.0 as u16;
    if primary == other {
        let place = raw.alternate_port.span.clone();
        let place = place.or_else(|| listener.span.clone());
        let wrong = format!("{primary} is both the primary and the alternate port");
        let problem = Problem::error(place, wrong);
        return Err(Box::new(
            problem.help("set `alternate_port` to another port, such as 3479"),
        ));
    }
    Ok([primary, other])
}

/// What clients see of both addresses: either has a NAT before it, or neither.
fn told(
    alternate: &At<IpAddr>,
    primary: IpAddr,
    raw: &raw::NatDiscovery,
    relays: &[RelayAddress],
) -> Result<[IpAddr; 2], Box<Problem>> {
    let address = alternate.value;
    let told = match [external_of(primary, relays), given(raw, address)] {
        [None, None] => [primary, address],
        [Some(first), Some(second)] => [first, second],
        [Some(_), None] => {
            return Err(wrong(
                alternate,
                format!("clients would be told {address}, which a NAT stands before"),
                "set `alternate_external` to the public address that leads to it",
            ));
        }
        [None, Some(_)] => {
            return Err(wrong(
                alternate,
                format!(
                    "clients would be told {primary} as the address beside it, which no NAT stands before"
                ),
                "set `external` in [relay] to the public address of the primary one, or remove `alternate_external`",
            ));
        }
    };
    if told[0] == told[1] {
        return Err(wrong(
            alternate,
            format!("clients see both addresses as {}", told[0]),
            "NAT behaviour discovery needs two public addresses",
        ));
    }
    Ok(told)
}

fn wrong(alternate: &At<IpAddr>, sentence: String, help: &str) -> Box<Problem> {
    Box::new(Problem::error(alternate.span.clone(), sentence).help(help))
}

/// What stands before the primary address.
fn external_of(address: IpAddr, relays: &[RelayAddress]) -> Option<IpAddr> {
    let relay = relays.iter().find(|relay| relay.bind == address)?;
    relay.external
}

/// What stands before the alternate address.
fn given(raw: &raw::NatDiscovery, address: IpAddr) -> Option<IpAddr> {
    let mut external = raw.alternate_external.value.iter().map(|at| at.value);
    external.find(|ip| ip.is_ipv4() == address.is_ipv4())
}

/// The listeners that the four addresses lack: none twice, and none beside one on every address.
fn missing(
    origins: &Origins,
    alternate: &At<IpAddr>,
    listeners: &[At<Listener>],
) -> Vec<At<Listener>> {
    let any: IpAddr = match alternate.value {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let udp: Vec<_> = listeners
        .iter()
        .filter(|at| at.value.transport == ListenerTransport::Udp)
        .map(|at| at.value.address)
        .collect();
    let [primary, other] = origins.ports;
    let is_taken = |port| {
        udp.iter()
            .any(|at| at.port() == port && at.is_ipv4() == any.is_ipv4())
    };
    let wanted = if udp.contains(&SocketAddr::new(any, primary)) && !is_taken(other) {
        vec![SocketAddr::new(any, other)]
    } else {
        let both = |port| origins.addresses.map(|ip| SocketAddr::new(ip, port));
        [both(primary), both(other)].concat()
    };
    wanted
        .into_iter()
        .filter(|at| !udp.contains(at) && !udp.contains(&SocketAddr::new(any, at.port())))
        .map(|address| {
            alternate.with(Listener {
                transport: ListenerTransport::Udp,
                address,
            })
        })
        .collect()
}

/// A client that is told a private address finds nothing there.
pub(super) fn warn_of_private(
    settings: &NatDiscovery,
    table: &At<raw::NatDiscovery>,
    reader: &mut Reader,
) {
    let told = settings.origins.iter().flat_map(|origins| origins.external);
    for address in told.filter(|address| is_private(*address)) {
        let wrong = format!("clients will be told the private address {address}");
        reader.report(Problem::warning(table.span.clone(), wrong).help(
            "behind a NAT, set `external` in [relay] and `alternate_external` to the public addresses",
        ));
    }
}

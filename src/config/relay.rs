//! `[relay]`: the addresses that relayed transport addresses are taken from.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::problem::{Problem, Topic};
use super::raw;
use super::surroundings::Surroundings;
use super::text::External;
use super::value::{At, Reader};
use crate::net::{Listener, RelayAddress};

/// Turns `[relay]` into relay addresses with what stands before them.
pub(super) fn check(
    relay: &At<raw::Relay>,
    listeners: &[At<Listener>],
    host: &Surroundings,
    reader: &mut Reader,
) -> Vec<RelayAddress> {
    let bound = match &relay.value.addresses {
        Some(addresses) if !addresses.value.is_empty() => {
            written(&addresses.value, host, reader);
            addresses.value.clone()
        }
        _ => derived(listeners, host)
            .into_iter()
            .map(|value| At { value, span: None })
            .collect(),
    };
    if bound.is_empty() && !listeners.is_empty() && !reader.is_flawed(&relay.span) {
        reader.report(
            Problem::error(
                relay.span.clone(),
                "no address to relay from: this host has no default route",
            )
            .help("add addresses = [\"203.0.113.5\"] to [relay], with an address of this host"),
        );
    }
    let relays = match &relay.value.external.value {
        External::PerFamily(external) => per_family(&bound, external, reader),
        External::PerAddress(pairs) => per_address(&bound, pairs, reader),
    };
    warn_of_private(&bound, &relays, reader);
    relays
}

fn written(addresses: &[At<IpAddr>], host: &Surroundings, reader: &mut Reader) {
    for (index, at) in addresses.iter().enumerate() {
        let address = at.value;
        if address.is_unspecified() || address.is_multicast() {
            let wrong = format!("{address} is no address that a peer could send to");
            reader.report(
                Problem::error(at.span.clone(), wrong).help(
                    "write an address of this host, or remove `addresses` to let uturn choose",
                ),
            );
        } else if let Some(first) = addresses[..index]
            .iter()
            .find(|first| first.value == address)
        {
            let problem = Problem::error(at.span.clone(), format!("{address} is there twice"));
            reader.report(
                problem
                    .also(first.span.clone(), "first here")
                    .help("remove one of the two"),
            );
        } else {
            reader.problems.extend(cannot_bind(at, "external", host));
        }
    }
}

/// Why an address cannot be one of this host; `external` is the key for what stands before it.
pub(super) fn cannot_bind(at: &At<IpAddr>, external: &str, host: &Surroundings) -> Option<Problem> {
    let address = at.value;
    let error = (host.can_bind)(address).err()?;
    let wrong = match error.kind() {
        ErrorKind::AddrNotAvailable => format!("{address} is not an address of this host"),
        _ => format!("{address} cannot be used: {error}"),
    };
    Some(Problem::error(at.span.clone(), wrong).help(format!(
        "behind a 1:1 NAT, write the host's own address here and the public one as `{external}`"
    )))
}

/// For each family: the specific listen addresses, else what the default route sends from.
fn derived(listeners: &[At<Listener>], host: &Surroundings) -> Vec<IpAddr> {
    let mut relays = Vec::new();
    for is_ipv4 in [true, false] {
        let family = listeners.iter().map(|at| at.value.address.ip());
        let family: Vec<_> = family.filter(|ip| ip.is_ipv4() == is_ipv4).collect();
        let specific = family.iter().filter(|ip| !ip.is_unspecified());
        let before = relays.len();
        for ip in specific {
            if !relays.contains(ip) {
                relays.push(*ip);
            }
        }
        if relays.len() == before && !family.is_empty() {
            relays.extend(
                host.default_routes
                    .iter()
                    .filter(|ip| ip.is_ipv4() == is_ipv4),
            );
        }
    }
    relays
}

fn per_family(
    bound: &[At<IpAddr>],
    external: &[At<IpAddr>],
    reader: &mut Reader,
) -> Vec<RelayAddress> {
    for (index, at) in external.iter().enumerate() {
        let same_family = |other: &&At<IpAddr>| other.value.is_ipv4() == at.value.is_ipv4();
        let family = family_name(at.value);
        let behind = bound.iter().filter(same_family).count();
        let problem = if let Some(first) = external[..index].iter().find(same_family) {
            Problem::error(at.span.clone(), format!("a second {family} address"))
                .also(first.span.clone(), "the first")
                .help("write pairs where there are several: external = { \"10.0.0.5\" = \"198.51.100.7\" }")
        } else if behind == 0 {
            Problem::error(at.span.clone(), format!("no relay address is {family}"))
                .help(format!("add one to `addresses`, or remove {}", at.value))
        } else if behind > 1 {
            Problem::error(
                at.span.clone(),
                format!("{behind} relay addresses are {family}"),
            )
            .help("write a pair for each: external = { \"10.0.0.5\" = \"198.51.100.7\" }")
        } else {
            reader.problems.extend(not_public(at));
            continue;
        };
        reader.report(problem);
    }
    let external_of = |bind: IpAddr| {
        external
            .iter()
            .find(|at| at.value.is_ipv4() == bind.is_ipv4())
    };
    bound
        .iter()
        .map(|at| RelayAddress {
            bind: at.value,
            external: external_of(at.value).map(|at| at.value),
        })
        .collect()
}

fn per_address(
    bound: &[At<IpAddr>],
    pairs: &[(At<IpAddr>, At<IpAddr>)],
    reader: &mut Reader,
) -> Vec<RelayAddress> {
    for (bind, external) in pairs {
        if !bound.iter().any(|at| at.value == bind.value) {
            let known: Vec<_> = bound.iter().map(|at| at.value.to_string()).collect();
            let wrong = format!("{} is not a relay address", bind.value);
            reader.report(
                Problem::error(bind.span.clone(), wrong)
                    .help(format!("relay addresses are: {}", known.join(", "))),
            );
        } else if bind.value.is_ipv4() != external.value.is_ipv4() {
            let wrong = format!("{} is {}", external.value, family_name(external.value));
            reader.report(
                Problem::error(external.span.clone(), wrong)
                    .also(bind.span.clone(), family_name(bind.value))
                    .help("both addresses of a pair have one family"),
            );
        } else {
            reader.problems.extend(not_public(external));
        }
    }
    let external_of = |bind: IpAddr| pairs.iter().find(|pair| pair.0.value == bind);
    bound
        .iter()
        .map(|at| RelayAddress {
            bind: at.value,
            external: external_of(at.value).map(|pair| pair.1.value),
        })
        .collect()
}

fn not_public(external: &At<IpAddr>) -> Option<Problem> {
    let address = external.value;
    if address.is_unspecified() || address.is_multicast() || address.is_loopback() {
        let wrong = format!("{address} is no address that a peer could send to");
        return Some(Problem::error(external.span.clone(), wrong).help("write the public address"));
    }
    None
}

/// The most frequent mistake behind a NAT: peers are told an address that leads nowhere.
fn warn_of_private(bound: &[At<IpAddr>], relays: &[RelayAddress], reader: &mut Reader) {
    for (at, relay) in bound.iter().zip(relays) {
        if relay.external.is_none() && is_private(relay.bind) {
            let wrong = format!("peers will be told the private address {}", relay.bind);
            reader.report(
                Problem::warning(at.span.clone(), wrong)
                    .help("behind a NAT, set `external` in [relay] to the public address")
                    .about(Topic::PrivateRelayAddress),
            );
        }
    }
}

/// Whether an address is behind a NAT as a rule (RFC 1918, RFC 6598, RFC 4193).
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xC0 == 64),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// The addresses of this host, as clients and peers could name it.
pub(super) fn own_addresses(relays: &[RelayAddress], host: &Surroundings) -> Vec<IpAddr> {
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let mut own: Vec<_> = host
        .interfaces
        .iter()
        .copied()
        .chain(loopback)
        .chain(
            relays
                .iter()
                .flat_map(|relay| [Some(relay.bind), relay.external])
                .flatten(),
        )
        .collect();
    own.sort_unstable();
    own.dedup();
    own
}

pub(super) fn family_name(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

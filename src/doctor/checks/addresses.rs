//! Whether peers are told addresses that lead here, and whether both families are served.

use std::net::IpAddr;

use crate::config::is_private;
use crate::doctor::{Facts, Finding, Subject};
use crate::turn::RelayAddress;

pub(super) fn check(facts: &Facts, subject: &Subject<'_>) -> Vec<Finding> {
    let relays = &subject.loaded.checked.relay.net.relay_addresses;
    let mut findings: Vec<_> = relays
        .iter()
        .filter_map(|relay| external(relay, relays, facts))
        .collect();
    findings.extend(ipv6(facts, subject));
    findings
}

fn external(relay: &RelayAddress, relays: &[RelayAddress], facts: &Facts) -> Option<Finding> {
    let bind = relay.bind;
    let told = relay.external.unwrap_or(bind);
    let seen = facts.seen.iter().find(|seen| seen.from == bind);
    if let Some(Ok(seen)) = seen.map(|seen| seen.as_what.clone()) {
        if seen == told {
            let sentence = format!("peers are told {told}, as which {bind} is seen from outside");
            return Some(Finding::fine("external-address", sentence));
        }
        let sentence = format!("Peers are told {told}, but {bind} is seen from outside as {seen}.");
        let line = match seen == bind {
            true => "no `external` in [relay] for this address".to_owned(),
            false => key(bind, seen, relays),
        };
        return Some(
            Finding::error("external-address-wrong", sentence)
                .why("What peers send to the address that they are told does not arrive.")
                .mend(line)
                .evidence(format!(
                    "a STUN server that was asked from {bind} says {seen}"
                )),
        );
    }
    let finding = if told.is_loopback() || is_link_local(told) {
        let sentence = format!("Peers are told {told}, which no other host reaches.");
        Finding::warning("relay-address-local", sentence)
            .why("Nothing that other hosts send there arrives.")
            .mend("addresses = [\"…\"] in [relay], with an address of this host that others reach")
    } else if is_private(told) {
        let example = if bind.is_ipv4() {
            "203.0.113.5"
        } else {
            "2001:db8::5"
        };
        let line = match example.parse() {
            Ok(example) => key(bind, example, relays),
            Err(_) => return None,
        };
        let sentence = format!("Peers are told the private address {told}.");
        Finding::warning("external-address-missing", sentence)
            .why(
                "Where clients or peers are on the internet, nothing that they send there arrives.",
            )
            .mend(format!(
                "{line}    (with the public address; `uturn doctor --stun HOST` asks for it)"
            ))
    } else {
        Finding::fine("external-address", format!("peers are told {told}"))
    };
    Some(match seen.map(|seen| &seen.as_what) {
        Some(Err(why)) => finding.evidence(format!("the STUN server did not tell: {why}")),
        _ => finding,
    })
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The line of the configuration that tells the public address.
fn key(bind: IpAddr, public: IpAddr, relays: &[RelayAddress]) -> String {
    let of_family = relays
        .iter()
        .filter(|relay| relay.bind.is_ipv4() == bind.is_ipv4());
    match of_family.count() {
        0 | 1 => format!("external = [\"{public}\"] in [relay]"),
        _ => format!(
            "external = {{ \"{bind}\" = \"{public}\" }} in [relay], with a pair for each of the others"
        ),
    }
}

fn ipv6(facts: &Facts, subject: &Subject<'_>) -> Option<Finding> {
    let net = &subject.loaded.checked.relay.net;
    // Global unicast (RFC 4291 §2.4).
    let is_public = |ip: &&IpAddr| matches!(ip, IpAddr::V6(ip) if ip.segments()[0] >> 13 == 1);
    let public = facts.interfaces.iter().find(is_public);
    let listens = net
        .listeners
        .iter()
        .any(|listener| listener.address.is_ipv6());
    let relays = net.relay_addresses.iter().any(|relay| relay.bind.is_ipv6());
    match (public, listens, relays) {
        (Some(public), false, _) => Some(
            Finding::advice("ipv6-not-listened", format!("This host has {public}, but awaits no client over IPv6."))
                .why("Clients in networks that have IPv6 alone reach it by a translator, or not at all.")
                .mend("udp = [\"0.0.0.0:3478\", \"[::]:3478\"] in [listen], tcp likewise, and an AAAA record"),
        ),
        (Some(public), true, false) => Some(
            Finding::advice("ipv6-not-relayed", format!("This host has {public}, but relays from no IPv6 address."))
                .why("Peers that have IPv6 alone are not reached.")
                .mend(format!("\"{public}\" among `addresses` in [relay]")),
        ),
        (None, _, true) => Some(
            Finding::advice("ipv6-relayed-without-address", "It relays from IPv6, but this host has no public IPv6 address.")
                .why("Peers on the internet are not reached over IPv6, and clients that try it first wait.")
                .mend("addresses = [\"…\"] in [relay] with IPv4 addresses alone"),
        ),
        _ => Some(Finding::fine("ipv6", match public {
            Some(_) => "IPv6 is served as IPv4 is",
            None => "this host has no public IPv6 address, and none is relayed from",
        })),
    }
}

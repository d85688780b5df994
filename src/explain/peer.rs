//! Whether a peer may be reached, and by which rule.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::RealmRules;
use crate::admission::peer_filter::{DecidedBy, PeerFilter, PeerRange, SPECIAL_PURPOSE};
use crate::turn::{Family, Protocol, Reject, RelayedAddresses};

/// What becomes of a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerExplanation {
    /// The address.
    pub peer: IpAddr,
    /// The port, if it matters here.
    pub port: Option<u16>,
    /// The realm whose rules these are.
    pub realm: String,
    /// Whether clients may reach it.
    pub reached: bool,
    /// The address that the rule is about: the peer's, or an IPv4 one in it.
    pub judged: IpAddr,
    /// The IPv4 addresses that the peer's is taken to carry; each has to pass.
    pub carries: Vec<Carries>,
    /// The kind of the rule: none, allowed, denied, special-purpose, own-address, unspecified,
    /// multicast, broadcast, relayed-address.
    pub rule: Cow<'static, str>,
    /// The range, where the rule is one.
    pub range: Option<String>,
    /// What the range is, where a registry says so.
    pub registry: Option<String>,
    /// Where the rule stands in the configuration.
    pub places: Vec<String>,
    /// What the client is told.
    pub code: Option<u16>,
    /// What the log and the metrics call it.
    pub label: Option<Cow<'static, str>>,
    /// All of it in one sentence.
    pub why: String,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// An IPv4 address in an IPv6 one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carries {
    /// What the IPv6 address is taken for.
    pub form: Cow<'static, str>,
    /// The address in it.
    pub address: Ipv4Addr,
}

/// Reads an address, or one with a port: `192.0.2.7`, `192.0.2.7:5000`, `[2001:db8::7]:5000`.
pub fn peer_address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Some((address, None));
    }
    let address = text.parse::<SocketAddr>().ok()?;
    Some((address.ip(), Some(address.port())))
}

/// What decides about peers: that of a server that runs, or made from settings.
#[derive(Clone, Copy)]
pub struct Deciders<'a> {
    /// Which peers may be reached.
    pub filter: &'a PeerFilter,
    /// Which relayed transport addresses there are, and which of them are open.
    pub relayed: &'a RelayedAddresses,
    /// Where their ports are taken from.
    pub ports: &'a RangeInclusive<u16>,
}

/// Explains what becomes of a peer, in the order in which the relay decides.
pub fn peer(
    rules: &RealmRules,
    deciders: &Deciders<'_>,
    address: IpAddr,
    port: Option<u16>,
) -> PeerExplanation {
    let relayed = deciders.relayed;
    let is_open = port.is_some_and(|port| {
        let peer = SocketAddr::new(address, port);
        let open = |protocol| relayed.open_behind(peer, protocol).is_some();
        Protocol::ALL.into_iter().any(open)
    });
    let decision = deciders.filter.explain(address);
    let reached = is_open || decision.verdict.is_ok();
    let (rule, range) = match &decision.by {
        _ if is_open => ("relayed-address", None),
        DecidedBy::NoRule => ("none", None),
        DecidedBy::Allowed(range) => ("allowed", Some(range)),
        DecidedBy::Denied(range) => ("denied", Some(range)),
        DecidedBy::SpecialPurpose(range) => ("special-purpose", Some(range)),
        DecidedBy::OwnAddress => ("own-address", None),
        DecidedBy::Unspecified => ("unspecified", None),
        DecidedBy::Multicast => ("multicast", None),
        DecidedBy::Broadcast => ("broadcast", None),
    };
    let registry = match &decision.by {
        DecidedBy::SpecialPurpose(range) => SPECIAL_PURPOSE
            .iter()
            .find(|(known, _)| known == range)
            .map(|(_, what)| (*what).to_owned()),
        _ => None,
    };
    let places = match is_open {
        true => Vec::new(),
        false => places(rules, &decision.by),
    };
    let refused = decision.verdict.as_ref().err().filter(|_| !is_open);
    let refused = refused.map(|denied| match relayed.is_ours(address) {
        true => Reject::NotRelayed,
        false => Reject::PeerDenied(*denied),
    });
    let carries: Vec<_> = (decision.carries.iter())
        .map(|carried| Carries {
            form: carried.form.into(),
            address: carried.address,
        })
        .collect();
    let judged = decision.judged;
    let subject = match carries.iter().find(|_| judged != address) {
        None => format!("{address} is"),
        Some(_) => {
            let form = carries
                .iter()
                .find(|carried| IpAddr::V4(carried.address) == judged);
            let form = form.map_or("an address", |carried| &*carried.form);
            format!("{address} is taken for {form} that carries {judged}, which is")
        }
    };
    let at = match places.as_slice() {
        [] => String::new(),
        places => format!(" ({})", places.join("; ")),
    };
    let range_text = range.map(String::as_str).unwrap_or_default();
    let because = match &decision.by {
        _ if is_open => "a relayed transport address of this server that is open".to_owned(),
        DecidedBy::NoRule => "denied by no rule".to_owned(),
        DecidedBy::Allowed(_) => format!("allowed by {range_text}{at}, which beats what denies it"),
        DecidedBy::Denied(_) => format!("denied by {range_text}{at}"),
        DecidedBy::SpecialPurpose(_) => {
            let what = registry.as_deref().unwrap_or("special purpose");
            format!("in {range_text}, {what}: denied as no public host lives there{at}")
        }
        DecidedBy::OwnAddress => format!("an address of this host{at}"),
        DecidedBy::Unspecified => "the unspecified address, which nothing can open".to_owned(),
        DecidedBy::Multicast => "a multicast address, which nothing can open".to_owned(),
        DecidedBy::Broadcast => "the broadcast address, which nothing can open".to_owned(),
    };
    let verb = if reached { "Reached" } else { "Denied" };
    let shown = port
        .map(|port| format!(", port {port},"))
        .unwrap_or_default();
    let why = format!("{verb}: {}{because}.", with_port(&subject, address, &shown));
    let notes = match is_open {
        true => Vec::new(),
        false => notes(&decision.by, deciders, address, port),
    };
    PeerExplanation {
        peer: address,
        port,
        realm: rules.realm.clone(),
        reached,
        judged,
        carries,
        rule: rule.into(),
        range: range.cloned(),
        registry,
        places,
        code: refused.as_ref().map(|refused| refused.code().0),
        label: refused.as_ref().map(|refused| refused.label().into()),
        why,
        notes,
    }
}

fn with_port(subject: &str, address: IpAddr, port: &str) -> String {
    subject.replacen(&address.to_string(), &format!("{address}{port}"), 1) + " "
}

/// Where a rule stands. Ranges are compared by their addresses, as they may be written in three ways.
fn places(rules: &RealmRules, by: &DecidedBy) -> Vec<String> {
    let listed = |ranges: &[PeerRange], places: &[String], range: &str| {
        let wanted = range
            .parse::<PeerRange>()
            .ok()
            .map(|range| range.addresses());
        let pairs = ranges.iter().zip(places);
        let same = pairs.filter(|(listed, _)| Some(listed.addresses()) == wanted);
        same.map(|(_, place)| place.clone()).collect()
    };
    let one = |place: &String| match place.is_empty() {
        true => Vec::new(),
        false => vec![place.clone()],
    };
    match by {
        DecidedBy::Allowed(range) => listed(&rules.peers.allowed, &rules.places.allowed, range),
        DecidedBy::Denied(range) => listed(&rules.peers.denied, &rules.places.denied, range),
        DecidedBy::SpecialPurpose(_) => one(&rules.places.deny_special_purpose),
        DecidedBy::OwnAddress => one(&rules.places.deny_own_addresses),
        DecidedBy::NoRule
        | DecidedBy::Unspecified
        | DecidedBy::Multicast
        | DecidedBy::Broadcast => Vec::new(),
    }
}

fn notes(
    by: &DecidedBy,
    deciders: &Deciders<'_>,
    address: IpAddr,
    port: Option<u16>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let ports = deciders.ports;
    if !deciders.relayed.has(Family::of(address)) {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        notes.push(format!(
            "This server relays from no {family} address: clients are refused such a peer with 443, whatever the rules say."
        ));
    }
    if deciders.relayed.is_ours(address) {
        let (first, last) = (ports.start(), ports.end());
        notes.push(match port {
            Some(port) if !ports.contains(&port) => format!(
                "This server relays from {address}, but not from port {port}: its relay ports are {first}-{last}."
            ),
            _ => format!(
                "This server relays from {address}: a port of {first}-{last} is reached all the same while an allocation has it open."
            ),
        });
    }
    match by {
        DecidedBy::Denied(_) | DecidedBy::SpecialPurpose(_) | DecidedBy::OwnAddress => {
            notes.push(
                "To open it, add it to `allow` in [peers], or in that table of the realm."
                    .to_owned(),
            );
        }
        DecidedBy::NoRule
        | DecidedBy::Allowed(_)
        | DecidedBy::Unspecified
        | DecidedBy::Multicast
        | DecidedBy::Broadcast => {}
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::peer_filter;
    use crate::explain::RealmPlaces;
    use crate::explain::username::tests::{auth, quotas};
    use crate::turn::RelayAddress;

    fn explain(address: &str, port: Option<u16>) -> PeerExplanation {
        let range = |text: &str| text.parse().expect(text);
        let peers = peer_filter::Settings {
            denied: vec![range("8.0.0.0/8"), range("9.0.0.0-9.255.255.255")],
            allowed: vec![range("10.1.0.0/16")],
            own_addresses: vec!["5.6.7.8".parse().expect("an address")],
            ..peer_filter::Settings::default()
        };
        let places = RealmPlaces {
            denied: vec!["`deny`, line 3".into(), "`deny`, line 4".into()],
            allowed: vec!["`allow`, line 5".into()],
            deny_own_addresses: "the default of `deny_own_addresses`".into(),
            ..RealmPlaces::default()
        };
        let rules = RealmRules::new(&auth(), &peers, &quotas(), places);
        let relays = [RelayAddress {
            bind: "5.6.7.8".parse().expect("an address"),
            external: None,
        }];
        let ports = 49152..=65535;
        let deciders = Deciders {
            filter: &PeerFilter::new(&peers),
            relayed: &RelayedAddresses::new(&relays, ports.clone()),
            ports: &ports,
        };
        peer(&rules, &deciders, address.parse().expect(address), port)
    }

    #[test]
    fn each_rule_is_named_with_its_place() {
        for (address, rule, why) in [
            ("1.1.1.1", "none", "Reached: 1.1.1.1 is denied by no rule."),
            (
                "8.1.1.1",
                "denied",
                "Denied: 8.1.1.1 is denied by 8.0.0.0/8 (`deny`, line 3).",
            ),
            (
                "9.1.1.1",
                "denied",
                "Denied: 9.1.1.1 is denied by 9.0.0.0-9.255.255.255 (`deny`, line 4).",
            ),
            (
                "10.1.1.1",
                "allowed",
                "Reached: 10.1.1.1 is allowed by 10.1.0.0/16 (`allow`, line 5), which beats what denies it.",
            ),
            (
                "10.2.1.1",
                "special-purpose",
                "Denied: 10.2.1.1 is in 10.0.0.0/8, private use (RFC 1918): denied as no public host lives there.",
            ),
            (
                "64:ff9b::10.2.1.1",
                "special-purpose",
                "Denied: 64:ff9b::a02:101 is taken for a NAT64 address that carries 10.2.1.1, which is in 10.0.0.0/8, \
                 private use (RFC 1918): denied as no public host lives there.",
            ),
            (
                "::ffff:5.6.7.8",
                "own-address",
                "Denied: ::ffff:5.6.7.8 is taken for an IPv4-mapped address that carries 5.6.7.8, which is an address of \
                 this host (the default of `deny_own_addresses`).",
            ),
            (
                "224.0.0.1",
                "multicast",
                "Denied: 224.0.0.1 is a multicast address, which nothing can open.",
            ),
        ] {
            let explained = explain(address, None);
            assert_eq!((&*explained.rule, explained.why.as_str()), (rule, why));
            let code = (!explained.reached).then_some(403);
            assert_eq!(explained.code, code, "{address}");
        }
    }

    #[test]
    fn what_this_server_relays_from_is_told_apart() {
        let explained = explain("5.6.7.8", Some(50_000));
        assert_eq!(explained.label.as_deref(), Some("peer_not_relayed"));
        assert!(explained.notes[0].contains("while an allocation has it open"));
        assert!(
            explained
                .why
                .starts_with("Denied: 5.6.7.8, port 50000, is an address of this host")
        );
        assert!(explain("5.6.7.8", Some(80)).notes[0].contains("not from port 80"));
    }

    #[test]
    fn a_family_that_is_not_relayed_is_told() {
        assert!(explain("2a00::7", None).notes[0].contains("no IPv6 address"));
        assert!(explain("1.1.1.1", None).notes.is_empty());
    }
}

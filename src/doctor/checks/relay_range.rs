//! Whether there are ports enough, and nobody else takes them.

use std::ops::RangeInclusive;

use super::sysctl;
use crate::doctor::{Facts, Finding, Subject, Unseen};

pub(super) fn check(
    facts: &Facts,
    subject: &Subject<'_>,
    unseen: &mut Vec<Unseen>,
) -> Vec<Finding> {
    let relay = &subject.loaded.checked.relay;
    let range = &relay.net.relay_ports;
    let mut findings = vec![size(subject)];
    let on_port = relay
        .net
        .listeners
        .iter()
        .filter(|listener| range.contains(&listener.address.port()));
    let on_port: Vec<_> = on_port
        .map(|listener| listener.address.to_string())
        .collect();
    if !on_port.is_empty() {
        let sentence = format!(
            "Clients are awaited at {}, within the relay ports {}.",
            on_port.join(", "),
            shown(range)
        );
        findings.push(
            Finding::advice("relay-range-has-listener", sentence)
                .why("A firewall cannot tell them apart by their ports; relaying passes over the port.")
                .mend(format!("ports = \"{}-{}\" in [relay], without it", range.start(), range.end())),
        );
    }
    match &facts.local_ports {
        None => unseen.push(Unseen {
            what: "the ports that the system takes for others (net.ipv4.ip_local_port_range)"
                .into(),
            why: "/proc/sys is not there or not readable".into(),
        }),
        Some(local) => findings.push(overlap(range, local, &facts.reserved_ports)),
    }
    findings
}

fn size(subject: &Subject<'_>) -> Finding {
    let relay = &subject.loaded.checked.relay;
    let range = &relay.net.relay_ports;
    let ports = u64::from(range.end() - range.start()) + 1;
    let of = |is_ipv4: bool| {
        let relays = relay.net.relay_addresses.iter();
        relays
            .filter(|relay| relay.bind.is_ipv4() == is_ipv4)
            .count() as u64
    };
    let room = ports * of(true).max(of(false)).max(1);
    let allowed = u64::from(relay.admission.quotas.total);
    if room >= allowed {
        let sentence = format!(
            "the relay ports {} have room for {allowed} allocations",
            shown(range)
        );
        return Finding::fine("relay-range", sentence);
    }
    let sentence = format!("{allowed} allocations are allowed, but there are {room} relay ports.");
    Finding::warning("relay-range-small", sentence)
        .why("Past that, clients are refused with 508 although the limits let them in.")
        .mend(format!("allocations_total = {room} in [limits]"))
        .mend("ports = \"49152-65535\" in [relay], and the same range at the firewall")
        .evidence(format!(
            "ports {} on {} addresses of IPv4 and {} of IPv6",
            shown(range),
            of(true),
            of(false)
        ))
}

fn overlap(
    range: &RangeInclusive<u16>,
    local: &RangeInclusive<u16>,
    reserved: &[RangeInclusive<u16>],
) -> Finding {
    let first = *range.start().max(local.start());
    let last = *range.end().min(local.end());
    // Reserved ports may lie there in several pieces.
    let is_reserved = |port: u16| reserved.iter().any(|reserved| reserved.contains(&port));
    let exposed = (first..=last).filter(|port| !is_reserved(*port)).count();
    if exposed == 0 {
        return Finding::fine(
            "relay-range-own",
            "no other program is given relay ports by chance",
        );
    }
    let kept = reserved.iter().map(shown);
    let kept: Vec<_> = kept.chain([shown(range)]).collect();
    let sentence =
        format!("{exposed} relay ports are also those that the system gives to other programs.");
    Finding::advice("relay-range-overlaps-local-ports", sentence)
        .why("uturn passes over a port that another program has, but where many are taken, fewer clients are served.")
        .mend(sysctl("net.ipv4.ip_local_reserved_ports", &kept.join(",")))
        .evidence(format!("net.ipv4.ip_local_port_range is {}, relay ports are {}", shown(local), shown(range)))
}

fn shown(range: &RangeInclusive<u16>) -> String {
    match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    }
}

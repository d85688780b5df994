//! Whether connection tracking is in the way.

use std::collections::BTreeSet;

use super::sysctl;
use crate::doctor::{Facts, Finding, Protocol, Subject};

pub(super) fn check(facts: &Facts, subject: Option<&Subject<'_>>) -> Vec<Finding> {
    let conntrack = &facts.conntrack;
    let Some((count, max)) = conntrack.entries else {
        return vec![Finding::fine("conntrack", "connections are not tracked")];
    };
    if count == 0 {
        return vec![Finding::fine(
            "conntrack",
            "connection tracking is there, but tracks nothing",
        )];
    }
    let mut findings = Vec::new();
    let rule = rule(facts, subject);
    let seconds = |time: Option<u64>| time.map_or("unknown".to_owned(), |time| format!("{time} s"));
    let evidence = format!(
        "nf_conntrack_count is {count}, nf_conntrack_max {max}; UDP is forgotten after {}, or {} once answered",
        seconds(conntrack.udp_timeout),
        seconds(conntrack.udp_timeout_stream)
    );
    if count * 10 >= max * 8 {
        let sentence =
            format!("The table of tracked connections is nearly full: {count} of {max}.");
        let finding = Finding::error("conntrack-full", sentence)
            .why("Once it is full, the kernel drops packets of new clients and peers (\"nf_conntrack: table full\").");
        findings.push(
            with(finding, rule.clone())
                .mend(sysctl(
                    "net.netfilter.nf_conntrack_max",
                    &(max * 4).to_string(),
                ))
                .evidence(evidence.clone()),
        );
    } else {
        let sentence = "The kernel tracks connections, those that are relayed among them.";
        let finding = Finding::advice("conntrack-tracks", sentence).why(
            "It costs time for each packet and an entry for each peer; a rule leaves this server's ports out. Where the firewall \
             lets in what is `established` alone, it has to accept these ports by themselves then.",
        );
        findings.push(with(finding, rule).evidence(evidence));
    }
    let short = [
        ("nf_conntrack_udp_timeout", conntrack.udp_timeout),
        (
            "nf_conntrack_udp_timeout_stream",
            conntrack.udp_timeout_stream,
        ),
    ];
    for (key, seconds) in short {
        // Clients send at least every 30 seconds (RFC 8656 §3.1 has them refresh; ICE keeps alive every 15).
        if let Some(seconds) = seconds.filter(|seconds| *seconds < 30) {
            let sentence = format!(
                "{key} is {seconds} s: a client that is silent for longer loses its way in."
            );
            findings.push(
                Finding::warning("conntrack-timeout-short", sentence)
                    .why("Clients refresh an allocation every 600 s and keep the path open every 15 to 30 s.")
                    .mend(sysctl(&format!("net.netfilter.{key}"), if key.ends_with("stream") { "180" } else { "60" })),
            );
        }
    }
    findings
}

fn with(finding: Finding, rule: Option<String>) -> Finding {
    match rule {
        Some(rule) => finding.mend(rule),
        None => finding,
    }
}

/// What leaves the server's ports out.
fn rule(facts: &Facts, subject: Option<&Subject<'_>>) -> Option<String> {
    let ports = &subject?.loaded.checked.relay.net.relay_ports;
    let udp = facts
        .openings
        .iter()
        .filter(|opening| opening.protocol == Protocol::Udp);
    let udp: BTreeSet<_> = udp.map(|opening| opening.address.port()).collect();
    let mut all: Vec<_> = udp
        .iter()
        .filter(|port| !ports.contains(port))
        .map(ToString::to_string)
        .collect();
    all.push(format!("{}-{}", ports.start(), ports.end()));
    let all = all.join(", ");
    Some(format!(
        "nft 'table inet uturn {{ chain in {{ type filter hook prerouting priority raw; udp dport {{ {all} }} notrack; }}; \
         chain out {{ type filter hook output priority raw; udp sport {{ {all} }} notrack; }}; }}'"
    ))
}

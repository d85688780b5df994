//! Where something works: is there something else that should?

use std::fmt::Write;

use super::words::{host, is_private, kind, list, milliseconds, of, why, works_or_work};
use super::{Conclusion, Judged};
use crate::probe::Transport;
use crate::probe::plan::HTTPS;
use crate::probe::report::{Attempt, Findings, RelayRange, TroubleKind};

pub(super) fn relay_is_wrong(working: &[&Attempt]) -> Option<Judged> {
    let private = |a: &&&Attempt| {
        let relayed = a.relayed.map(|relayed| relayed.ip());
        relayed.is_some_and(is_private) && !is_private(a.server.ip())
    };
    if let Some(relayed) = working.iter().find(private).and_then(|a| a.relayed) {
        let ip = relayed.ip();
        let sentence = format!(
            "The server relays from {ip}, a private address that peers cannot reach: set its external address (`external` in [relay]; coturn: external-ip)."
        );
        return Some((Conclusion::RelayAddressPrivate, sentence));
    }
    // That nothing comes in from a network which lets no UDP out says nothing of the server.
    let closed = |a: &&&Attempt| {
        matches!(a.transport, Transport::Udp | Transport::Dtls)
            && a.relay_range == RelayRange::Closed
    };
    let relayed = working.iter().find(closed).and_then(|a| a.relayed)?;
    let sentence = format!(
        "The server allocates but its relay range cannot be reached from here ({relayed}): open its range of UDP ports (49152-65535 unless it is set otherwise) at the server's firewall, or its external address is wrong."
    );
    Some((Conclusion::RelayRangeClosed, sentence))
}

pub(super) fn udp_is_missing(findings: &Findings, working: &[&Attempt]) -> Option<Judged> {
    let has = |transport| working.iter().any(|a| a.transport == transport);
    let udp = of(findings, Transport::Udp);
    if has(Transport::Udp) {
        return None;
    }
    let failed = udp
        .iter()
        .copied()
        .find(|a| kind(a) != Some(TroubleKind::Unreachable))
        .or(udp.first().copied())?;
    let (server, port) = (failed.server, failed.server.port());
    let others = list(working.iter().map(|a| a.transport));
    if working
        .iter()
        .all(|a| a.transport == Transport::Tls && a.server.port() == HTTPS)
        && findings.is_bare
    {
        let text = format!(
            "Only TLS on 443 gets through: give your app turns:{}:443, and expect a slower path than UDP.",
            host(findings, working[0])
        );
        return Some((Conclusion::OnlyTls443, text));
    }
    let verb = works_or_work(&others);
    match kind(failed) {
        Some(TroubleKind::NoAnswer) if !failed.answers() => Some((
            Conclusion::UdpBlocked,
            format!(
                "UDP to {server} is blocked on the way ({others} {verb}): open UDP {port} at the firewalls, or calls take the slower path."
            ),
        )),
        Some(TroubleKind::Refused) => Some((
            Conclusion::UdpClosed,
            format!(
                "Nobody listens for UDP at {server} ({others} {verb}): have the server listen there, or calls take the slower path."
            ),
        )),
        _ => Some((
            Conclusion::Partly,
            format!(
                "UDP to {server} does not work ({others} {verb}): {}.",
                why(failed)
            ),
        )),
    }
}

pub(super) fn other_is_missing(findings: &Findings, working: &[&Attempt]) -> Option<Judged> {
    for transport in [Transport::Tcp, Transport::Tls] {
        let all = of(findings, transport);
        let has = working.iter().any(|a| a.transport == transport);
        // Where nobody was told that there is more, nothing is missing; what does answer has to do it right.
        let is_needed = |a: &&Attempt| match kind(a) {
            Some(TroubleKind::Certificate) => a.server.port() != HTTPS || !findings.is_bare,
            _ => !findings.is_bare || a.answers(),
        };
        let failed = all
            .iter()
            .copied()
            .filter(|a| a.trouble().is_some())
            .find(is_needed);
        let (false, Some(failed)) = (has, failed) else {
            continue;
        };
        let others = list(working.iter().map(|a| a.transport));
        let (server, verb) = (failed.server, works_or_work(&others));
        let conclusion = match kind(failed) {
            Some(TroubleKind::Certificate) => Conclusion::Certificate,
            _ => Conclusion::Partly,
        };
        let sentence = format!(
            "{transport} to {server} does not work ({others} {verb}): {}.",
            why(failed)
        );
        return Some((conclusion, sentence));
    }
    None
}

pub(super) fn all_is_well(findings: &Findings, working: &[&Attempt], first: &Attempt) -> Judged {
    let transports = list(working.iter().map(|a| a.transport));
    let several = transports.contains(' ');
    let all = match transports.split(' ').count() {
        4.. => " all",
        _ => "",
    };
    if let Some(relay) = first.relay.as_ref().filter(|_| findings.relay_expected) {
        let verb = if several { "relay" } else { "relays" };
        let sentence = format!(
            "Works: {transports}{all} {verb}; {} through the relay and back.",
            milliseconds(relay.p50_ms)
        );
        return (Conclusion::Works, sentence);
    }
    let verb = if several { "answer" } else { "answers" };
    let mut sentence = format!("Answers: {transports}{all} {verb}");
    match (&first.realm, findings.relay_expected) {
        (Some(realm), true) => {
            let _ = write!(
                sentence,
                " and ask for a credential (realm {realm:?}); to try the relay, give --username and --password-file, or --secret-file."
            );
            if !several {
                sentence = sentence.replacen(" and ask ", " and asks ", 1);
            }
        }
        _ => {
            let _ = match first.mapped {
                Some(mapped) => write!(sentence, "; this host is seen as {mapped}."),
                None => write!(sentence, "."),
            };
        }
    }
    (Conclusion::Answers, sentence)
}

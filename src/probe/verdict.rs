//! One sentence from what was found, and whether it is good news.

use std::fmt::Write;
use std::net::IpAddr;

use serde::Serialize;

use super::plan::HTTPS;
use super::report::{Attempt, Findings, RelayRange, StepName, TroubleKind};
use crate::load::Transport;

/// What it all means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether there is nothing to change.
    pub good: bool,
    /// What it comes down to.
    pub conclusion: Conclusion,
    /// The same in words, with what to change.
    pub sentence: String,
    /// What else should be known.
    pub notes: Vec<String>,
}

/// What a probe comes down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conclusion {
    /// Everything that has to relay does.
    Works,
    /// The server answers; whether it relays was not tried.
    Answers,
    /// The name leads nowhere.
    UnknownHost,
    /// Nothing gets through.
    Silent,
    /// Nobody listens.
    Refused,
    /// This host has no way there.
    Unreachable,
    /// Who answers is no STUN or TURN server.
    NotTurn,
    /// The certificate is not to be trusted.
    Certificate,
    /// TLS fails.
    Tls,
    /// The credential is refused.
    Credential,
    /// The server refuses for another reason.
    Code,
    /// UDP gets no answer, another transport does.
    UdpBlocked,
    /// Nobody listens for UDP, another transport works.
    UdpClosed,
    /// TLS on port 443 is the only way.
    OnlyTls443,
    /// A transport that was asked for fails, another one works.
    Partly,
    /// The relayed transport address is private.
    RelayAddressPrivate,
    /// The relayed transport address cannot be reached.
    RelayRangeClosed,
    /// The server lets its clients reach no peer that could answer.
    PeersDenied,
    /// Nothing comes through the relay.
    RelaySilent,
}

/// Judges what was found.
pub fn verdict(findings: &Findings) -> Verdict {
    let (conclusion, sentence) = conclude(findings);
    Verdict {
        good: matches!(conclusion, Conclusion::Works | Conclusion::Answers),
        conclusion,
        sentence,
        notes: notes(findings),
    }
}

type Judged = (Conclusion, String);

fn conclude(findings: &Findings) -> Judged {
    if let Some(error) = &findings.lookup.error {
        let sentence = format!(
            "The host cannot be found ({error}): check its name, and the DNS of this network."
        );
        return (Conclusion::UnknownHost, sentence);
    }
    let working: Vec<_> = findings
        .attempts
        .iter()
        .filter(|a| works(findings, a))
        .collect();
    match working.first() {
        None => nothing_works(findings),
        Some(first) => relay_is_wrong(&working)
            .or_else(|| udp_is_missing(findings, &working))
            .or_else(|| other_is_missing(findings, &working))
            .unwrap_or_else(|| all_is_well(findings, &working, first)),
    }
}

/// Whether an attempt went as far as it could.
fn works(findings: &Findings, attempt: &Attempt) -> bool {
    if findings.relay_expected && (findings.has_credential || attempt.did(StepName::Allocate)) {
        attempt.relays()
    } else if findings.relay_expected {
        attempt.did(StepName::Challenge)
    } else {
        attempt.did(StepName::Binding)
    }
}

fn relay_is_wrong(working: &[&Attempt]) -> Option<Judged> {
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
    let closed =
        |a: &&&Attempt| a.transport == Transport::Udp && a.relay_range == RelayRange::Closed;
    let relayed = working.iter().find(closed).and_then(|a| a.relayed)?;
    let sentence = format!(
        "The server allocates but its relay range cannot be reached from here ({relayed}): open its range of UDP ports (49152-65535 unless it is set otherwise) at the server's firewall, or its external address is wrong."
    );
    Some((Conclusion::RelayRangeClosed, sentence))
}

fn udp_is_missing(findings: &Findings, working: &[&Attempt]) -> Option<Judged> {
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

fn other_is_missing(findings: &Findings, working: &[&Attempt]) -> Option<Judged> {
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

fn all_is_well(findings: &Findings, working: &[&Attempt], first: &Attempt) -> Judged {
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

fn nothing_works(findings: &Findings) -> Judged {
    // Who has port 443 of a host that was only named may be a web server, which says nothing of a relay.
    let is_guess = |a: &Attempt| findings.is_bare && a.server.port() == HTTPS && !a.answers();
    let only_guesses = findings.attempts.iter().all(is_guess);
    let all = || {
        let all = findings.attempts.iter();
        all.filter(|a| only_guesses || !is_guess(a))
    };
    let with = |wanted: TroubleKind| all().find(|a| kind(a) == Some(wanted));
    // What went furthest tells most.
    if let Some(attempt) = all().find(|a| code(a) == Some(401)) {
        let sentence = format!("The server refuses the credential: {}.", why(attempt));
        return (Conclusion::Credential, sentence);
    }
    let silent = |a: &&Attempt| {
        a.did(StepName::Allocate)
            && a.trouble().is_some_and(|t| t.kind == TroubleKind::NoAnswer)
            && a.relay.as_ref().is_some_and(|relay| relay.received == 0)
    };
    if let Some(attempt) = all().find(silent) {
        let relayed = attempt.relayed.map(|relayed| relayed.to_string());
        let sentence = format!(
            "The server allocates ({}) but nothing comes through: see its firewall and its log.",
            relayed.unwrap_or_default()
        );
        return (Conclusion::RelaySilent, sentence);
    }
    if all().any(|a| a.did(StepName::Allocate) && code(a) == Some(403)) {
        let sentence = "The server allocates but denies the peers that could answer, itself and this host (403): see its rules for peers; whether it relays cannot be known from here.".to_owned();
        return (Conclusion::PeersDenied, sentence);
    }
    if let Some(attempt) = with(TroubleKind::Code) {
        let number = code(attempt).unwrap_or_default();
        let mut sentence = format!("The server answers {number}: {}.", why(attempt));
        if let Some(other) = attempt.alternate_server {
            let _ = write!(sentence, " It names {other}: probe that one.");
        }
        return (Conclusion::Code, sentence);
    }
    if let Some(attempt) = all().find(|a| a.did(StepName::Binding)) {
        let sentence = format!(
            "STUN answers at {} but does not relay: {}.",
            attempt.server,
            why(attempt)
        );
        return (Conclusion::NotTurn, sentence);
    }
    if let Some(attempt) = with(TroubleKind::Certificate) {
        let sentence = format!(
            "The certificate of {} is not to be trusted: {}; give the server one that verifies for {}.",
            attempt.server,
            reason(attempt),
            host(findings, attempt)
        );
        return (Conclusion::Certificate, sentence);
    }
    if let Some(attempt) = with(TroubleKind::Tls) {
        let sentence = format!("TLS to {} fails: {}.", attempt.server, why(attempt));
        return (Conclusion::Tls, sentence);
    }
    if let Some(attempt) = all().find(|a| a.did(StepName::Connect)) {
        let sentence = format!(
            "{} takes connections, but {}: check the port.",
            attempt.server,
            why(attempt)
        );
        return (Conclusion::NotTurn, sentence);
    }
    let others = if findings.is_bare {
        ""
    } else {
        "; `uturn probe HOST` tries every transport"
    };
    if let Some(attempt) = with(TroubleKind::NoAnswer).or(with(TroubleKind::OutOfTime)) {
        let ways = ways(findings);
        let sentence = format!(
            "Nothing comes back from {} over {ways}: the server is down, or firewalls on the way drop all of it{others}.",
            attempt.server.ip()
        );
        return (Conclusion::Silent, sentence);
    }
    if let Some(attempt) = with(TroubleKind::Refused) {
        let ways = ways(findings);
        let sentence = format!(
            "Nobody listens at {} for {ways}: check that the server runs, and the port{others}.",
            attempt.server.ip()
        );
        return (Conclusion::Refused, sentence);
    }
    let first = findings.attempts.first();
    let sentence = match first {
        Some(attempt) => format!(
            "{} cannot be reached from this host: {}.",
            attempt.server.ip(),
            why(attempt)
        ),
        None => "The host has no address of the family that --source has.".to_owned(),
    };
    (Conclusion::Unreachable, sentence)
}

fn notes(findings: &Findings) -> Vec<String> {
    let mut notes = Vec::new();
    for attempt in &findings.attempts {
        let here = format!("{} to {}", attempt.transport, attempt.server);
        let days = attempt
            .tls
            .as_ref()
            .and_then(|tls| tls.certificate.days_left);
        if let Some(days @ 0..SOON) = days {
            notes.push(format!("{here}: the certificate expires in {days} days."));
        }
        if let Some(relay) = &attempt.relay
            && relay.received > 0
            && relay.loss_percent >= 1.0
        {
            let loss = relay.loss_percent;
            notes.push(format!("{here}: {loss:.0} % of the packets were lost."));
        }
        if attempt.relay_range == RelayRange::Denied && attempt.relays() {
            notes.push(format!(
                "{here}: the server does not let its clients reach this host, so whether its relay range is open to others is not known."
            ));
        }
    }
    let v6: Vec<_> = findings
        .attempts
        .iter()
        .filter(|a| a.server.is_ipv6())
        .collect();
    let v4_works = findings
        .attempts
        .iter()
        .any(|a| a.server.is_ipv4() && a.answers());
    if v4_works && !v6.is_empty() && !v6.iter().any(|a| a.answers()) {
        let unreachable = v6.iter().all(|a| kind(a) == Some(TroubleKind::Unreachable));
        notes.push(match unreachable {
            true => "This host has no IPv6, so the server's IPv6 address was not reached.".to_owned(),
            false => "The server's name has an IPv6 address that does not answer: clients lose time with it.".to_owned(),
        });
    }
    notes.truncate(MAX_NOTES);
    notes
}

fn of(findings: &Findings, transport: Transport) -> Vec<&Attempt> {
    let all = findings.attempts.iter();
    all.filter(|a| a.transport == transport).collect()
}

fn kind(attempt: &Attempt) -> Option<TroubleKind> {
    attempt.trouble().map(|trouble| trouble.kind)
}

fn code(attempt: &Attempt) -> Option<u16> {
    attempt.trouble()?.code
}

fn why(attempt: &Attempt) -> String {
    let Some(trouble) = attempt.trouble() else {
        return "it does not relay".to_owned();
    };
    match (trouble.kind, trouble.code) {
        (_, Some(code)) => format!("{code} {}, {}", trouble.reason, trouble.explanation),
        (TroubleKind::Certificate, None) => {
            format!(
                "its certificate is not to be trusted, as {}",
                trouble.reason
            )
        }
        (_, None) => trouble.explanation.clone(),
    }
}

fn reason(attempt: &Attempt) -> String {
    let trouble = attempt.trouble();
    trouble
        .map(|trouble| trouble.reason.clone())
        .unwrap_or_default()
}

/// What the server is called where it can be: a certificate is for names.
fn host(findings: &Findings, attempt: &Attempt) -> String {
    findings
        .host
        .clone()
        .unwrap_or_else(|| match attempt.server.ip() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        })
}

/// `UDP, TCP and TLS`.
fn list(transports: impl Iterator<Item = Transport> + Clone) -> String {
    let has = |wanted| transports.clone().any(|transport| transport == wanted);
    let all = [Transport::Udp, Transport::Tcp, Transport::Tls];
    let names: Vec<_> = all
        .into_iter()
        .filter(|t| has(*t))
        .map(|t| t.to_string())
        .collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

fn works_or_work(list: &str) -> &'static str {
    if list.contains(' ') { "work" } else { "works" }
}

fn ways(findings: &Findings) -> String {
    list(findings.attempts.iter().map(|a| a.transport))
}

fn milliseconds(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

/// Addresses that nobody outside of a network reaches, or nobody at all.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

/// Days within which a certificate has to be renewed.
const SOON: i64 = 14;
const MAX_NOTES: usize = 16;

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;

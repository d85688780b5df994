//! Where nothing works: how far did it get?

use std::fmt::Write;

use super::words::{code, host, kind, reason, ways, why};
use super::{Conclusion, Judged};
use crate::probe::plan::HTTPS;
use crate::probe::report::{Attempt, Findings, StepName, TroubleKind};

/// What went furthest tells most.
pub(super) fn nothing_works(findings: &Findings) -> Judged {
    // Who has port 443 of a host that was only named may be a web server, which says nothing of a relay.
    let is_guess = |a: &Attempt| {
        let is_likely = a.server.port() != HTTPS && !findings.can_do_without(a);
        findings.is_bare && !is_likely && !a.answers()
    };
    let only_guesses = findings.attempts.iter().all(is_guess);
    let all = findings.attempts.iter();
    let all: Vec<_> = all.filter(|a| only_guesses || !is_guess(a)).collect();
    server_refuses(&all)
        .or_else(|| who_answers_is_wrong(findings, &all))
        .unwrap_or_else(|| nobody_answers(findings, &all))
}

fn with<'a>(all: &[&'a Attempt], wanted: TroubleKind) -> Option<&'a Attempt> {
    all.iter().copied().find(|a| kind(a) == Some(wanted))
}

/// A TURN server was found, and says no.
fn server_refuses(all: &[&Attempt]) -> Option<Judged> {
    if let Some(attempt) = all.iter().copied().find(|a| code(a) == Some(401)) {
        let sentence = format!("The server refuses the credential: {}.", why(attempt));
        return Some((Conclusion::Credential, sentence));
    }
    let silent = |a: &&Attempt| {
        a.did(StepName::Allocate)
            && a.trouble().is_some_and(|t| t.kind == TroubleKind::NoAnswer)
            && a.relay.as_ref().is_some_and(|relay| relay.received == 0)
    };
    if let Some(attempt) = all.iter().copied().find(silent) {
        let relayed = attempt.relayed.map(|relayed| relayed.to_string());
        let sentence = format!(
            "The server allocates ({}) but nothing comes through: see its firewall and its log.",
            relayed.unwrap_or_default()
        );
        return Some((Conclusion::RelaySilent, sentence));
    }
    if all
        .iter()
        .any(|a| a.did(StepName::Allocate) && code(a) == Some(403))
    {
        let sentence = "The server allocates but denies the peers that could answer, itself and this host (403): see its rules for peers; whether it relays cannot be known from here.".to_owned();
        return Some((Conclusion::PeersDenied, sentence));
    }
    if let Some(attempt) = with(all, TroubleKind::Code) {
        let number = code(attempt).unwrap_or_default();
        let mut sentence = format!("The server answers {number}: {}.", why(attempt));
        if let Some(other) = attempt.alternate_server {
            let _ = write!(sentence, " It names {other}: probe that one.");
        }
        return Some((Conclusion::Code, sentence));
    }
    None
}

/// Somebody was found who is no TURN server, or not to be trusted.
fn who_answers_is_wrong(findings: &Findings, all: &[&Attempt]) -> Option<Judged> {
    if let Some(attempt) = all.iter().copied().find(|a| a.did(StepName::Binding)) {
        let sentence = format!(
            "STUN answers at {} but does not relay: {}.",
            attempt.server,
            why(attempt)
        );
        return Some((Conclusion::NotTurn, sentence));
    }
    if let Some(attempt) = with(all, TroubleKind::Certificate) {
        let sentence = format!(
            "The certificate of {} is not to be trusted: {}; give the server one that verifies for {}.",
            attempt.server,
            reason(attempt),
            host(findings, attempt)
        );
        return Some((Conclusion::Certificate, sentence));
    }
    if let Some(attempt) = with(all, TroubleKind::Tls) {
        let (transport, server) = (attempt.transport, attempt.server);
        let sentence = format!("{transport} to {server} fails: {}.", why(attempt));
        return Some((Conclusion::Tls, sentence));
    }
    if let Some(attempt) = all.iter().copied().find(|a| a.did(StepName::Dtls)) {
        let sentence = format!(
            "{} speaks DTLS: {}; check the port.",
            attempt.server,
            why(attempt)
        );
        return Some((Conclusion::NotTurn, sentence));
    }
    if let Some(attempt) = all.iter().copied().find(|a| a.did(StepName::Connect)) {
        let sentence = format!(
            "{} takes connections, but {}: check the port.",
            attempt.server,
            why(attempt)
        );
        return Some((Conclusion::NotTurn, sentence));
    }
    None
}

fn nobody_answers(findings: &Findings, all: &[&Attempt]) -> Judged {
    let others = if findings.is_bare {
        ""
    } else {
        "; `uturn probe HOST` tries every transport"
    };
    if let Some(attempt) = with(all, TroubleKind::NoAnswer).or(with(all, TroubleKind::OutOfTime)) {
        let ways = ways(findings);
        let sentence = format!(
            "Nothing comes back from {} over {ways}: the server is down, or firewalls on the way drop all of it{others}.",
            attempt.server.ip()
        );
        return (Conclusion::Silent, sentence);
    }
    if let Some(attempt) = with(all, TroubleKind::Refused) {
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

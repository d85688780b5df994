//! One sentence from what was found, and whether it is good news.
//!
//! `works.rs` judges where something relays, `fails.rs` where nothing does; `notes.rs` tells what else should be known.

mod fails;
mod notes;
#[cfg(test)]
mod tests;
mod words;
mod works;

pub(crate) use notes::WORKS_AS_WELL;
use serde::Serialize;

use super::report::{Attempt, Findings, StepName};

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
    /// TLS or DTLS fails.
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
        notes: notes::notes(findings),
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
    let all = findings.attempts.iter().filter(|a| works(findings, a));
    let (spare, mut working): (Vec<_>, Vec<_>) = all.partition(|a| findings.can_do_without(a));
    if working.is_empty() {
        working = spare;
    }
    match working.first() {
        None => fails::nothing_works(findings),
        Some(first) => works::relay_is_wrong(&working)
            .or_else(|| works::udp_is_missing(findings, &working))
            .or_else(|| works::other_is_missing(findings, &working))
            .unwrap_or_else(|| works::all_is_well(findings, &working, first)),
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

//! What else should be known.

use super::words::{kind, why};
use super::works;
use crate::probe::report::{Findings, RelayRange, TroubleKind};

/// Beside the verdict, at most [`MAX_NOTES`].
pub(super) fn notes(findings: &Findings) -> Vec<String> {
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
        if findings.can_do_without(attempt) && !findings.does_without(attempt) {
            let what = match works(findings, attempt) {
                true => format!("{WORKS_AS_WELL}, for clients that speak it: browsers do not"),
                false => format!(
                    "does not work, which browsers do not miss: {}",
                    why(attempt)
                ),
            };
            notes.push(format!("{here} {what}."));
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

/// Stands in the note about a way that nothing is missing without: there is nothing to do about it.
pub(crate) const WORKS_AS_WELL: &str = "works as well";
/// Days within which a certificate has to be renewed.
const SOON: i64 = 14;
const MAX_NOTES: usize = 16;

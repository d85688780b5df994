//! Parts of sentences.

use std::net::IpAddr;

use crate::probe::Transport;
use crate::probe::report::{Attempt, Findings, TroubleKind};

pub(super) fn of(findings: &Findings, transport: Transport) -> Vec<&Attempt> {
    let all = findings.attempts.iter();
    all.filter(|a| a.transport == transport).collect()
}

pub(super) fn kind(attempt: &Attempt) -> Option<TroubleKind> {
    attempt.trouble().map(|trouble| trouble.kind)
}

pub(super) fn code(attempt: &Attempt) -> Option<u16> {
    attempt.trouble()?.code
}

pub(super) fn why(attempt: &Attempt) -> String {
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

pub(super) fn reason(attempt: &Attempt) -> String {
    let trouble = attempt.trouble();
    trouble
        .map(|trouble| trouble.reason.clone())
        .unwrap_or_default()
}

/// What the server is called where it can be: a certificate is for names.
pub(super) fn host(findings: &Findings, attempt: &Attempt) -> String {
    findings
        .host
        .clone()
        .unwrap_or_else(|| match attempt.server.ip() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        })
}

/// `UDP, TCP and TLS`.
pub(super) fn list(transports: impl Iterator<Item = Transport> + Clone) -> String {
    let has = |wanted| transports.clone().any(|transport| transport == wanted);
    let all = [
        Transport::Udp,
        Transport::Tcp,
        Transport::Tls,
        Transport::Dtls,
    ];
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

pub(super) fn works_or_work(list: &str) -> &'static str {
    if list.contains(' ') { "work" } else { "works" }
}

pub(super) fn ways(findings: &Findings) -> String {
    let all = findings.attempts.iter();
    let all = all.filter(|a| !findings.can_do_without(a));
    list(all.map(|a| a.transport))
}

pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ..10.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

/// Addresses that nobody outside of a network reaches, or nobody at all.
pub(super) fn is_private(ip: IpAddr) -> bool {
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

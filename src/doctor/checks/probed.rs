//! What probes of servers have come to.

use crate::doctor::{Facts, Finding, Subject};
use crate::probe::{Conclusion, Report, Transport, WORKS_AS_WELL};

pub(super) fn check(facts: &Facts, subject: Option<&Subject<'_>>) -> Vec<Finding> {
    let one = |(name, result): &(String, Result<Report, String>)| match result {
        Ok(report) => verdict(name, report, subject),
        Err(why) => vec![
            Finding::error(
                "probe-failed",
                format!("{name} could not be probed: {why}."),
            )
            .why("Nothing could be tried.")
            .mend(format!("uturn probe {name}")),
        ],
    };
    facts.probes.iter().flat_map(one).collect()
}

fn verdict(name: &str, report: &Report, subject: Option<&Subject<'_>>) -> Vec<Finding> {
    let verdict = &report.verdict;
    let word = serde_json::to_value(verdict.conclusion).ok();
    let word = word
        .as_ref()
        .and_then(|word| word.as_str())
        .unwrap_or("failed");
    let id = format!("probe-{word}");
    if verdict.good {
        let sentence = verdict.sentence.trim_end_matches('.');
        let mut fine = Finding::fine(&id, format!("{name}: {sentence}"));
        let mut findings = Vec::new();
        for note in &verdict.notes {
            match note.contains(WORKS_AS_WELL) {
                true => fine = fine.evidence(note.clone()),
                false => findings.push(Finding::advice("probe-note", format!("{name}: {note}"))),
            }
        }
        findings.insert(0, fine);
        return findings;
    }
    let mut finding = Finding::error(&id, format!("{name}, from this host: {}", verdict.sentence))
        .why("It is what a client in this place meets.");
    for line in mend(verdict.conclusion, report, subject) {
        finding = finding.mend(line);
    }
    let found = &report.findings;
    for attempt in found.attempts.iter().filter(|a| !found.does_without(a)) {
        let came_to = match attempt.trouble() {
            Some(trouble) => format!("{}, {}", trouble.reason, trouble.explanation),
            None => "works".to_owned(),
        };
        finding = finding.evidence(format!(
            "{} to {}: {came_to}",
            attempt.transport, attempt.server
        ));
    }
    for note in &verdict.notes {
        finding = finding.evidence(note.clone());
    }
    vec![finding]
}

/// The commands for the server's side, where the conclusion has any.
fn mend(conclusion: Conclusion, report: &Report, subject: Option<&Subject<'_>>) -> Vec<String> {
    let ports = subject.map(|subject| &subject.loaded.checked.relay.net.relay_ports);
    let (first, last) = ports.map_or((49152, 65535), |ports| (*ports.start(), *ports.end()));
    let accept = |ports: &str| {
        format!(
            "nft insert rule inet filter input udp dport {ports} accept    (on the server, in the chain that it has, and at firewalls before it)"
        )
    };
    let of_udp = report
        .findings
        .attempts
        .iter()
        .find(|attempt| attempt.transport == Transport::Udp);
    let port = of_udp.map_or(3478, |attempt| attempt.server.port());
    let host = report
        .findings
        .host
        .clone()
        .unwrap_or_else(|| report.target.clone());
    match conclusion {
        Conclusion::RelayRangeClosed => vec![accept(&format!("{first}-{last}"))],
        Conclusion::UdpBlocked => vec![accept(&port.to_string())],
        Conclusion::UdpClosed => vec![format!("udp = [\"0.0.0.0:{port}\", \"[::]:{port}\"] in [listen]")],
        Conclusion::RelayAddressPrivate => vec!["external = [\"PUBLIC ADDRESS\"] in [relay]; coturn: external-ip=PUBLIC ADDRESS".into()],
        Conclusion::Credential => vec!["compare the secrets of server and app: uturn explain username NAME --password PASSWORD".into()],
        Conclusion::OnlyTls443 => {
            vec![format!("turns:{host}:443 among the URIs that clients are given")]
        }
        Conclusion::RelaySilent => vec![accept(&format!("{first}-{last}"))],
        Conclusion::UnknownHost => vec![format!("dig {host}    (and an A or AAAA record, as `uturn dns` prints them)")],
        Conclusion::Silent | Conclusion::Refused | Conclusion::Unreachable => {
            vec!["systemctl status uturn    (on the server; then look at its firewall)".into()]
        }
        Conclusion::Certificate | Conclusion::Tls => {
            let port = report.findings.attempts.iter().find(|attempt| attempt.transport == Transport::Tls);
            let port = port.map_or(5349, |attempt| attempt.server.port());
            vec![format!("openssl s_client -connect {host}:{port} -showcerts </dev/null    (shows what is served)")]
        }
        Conclusion::Code => {
            let codes = report.findings.attempts.iter().filter_map(|attempt| attempt.trouble()?.code);
            codes.take(1).map(|code| format!("uturn explain code {code}")).collect()
        }
        Conclusion::PeersDenied => vec![format!("uturn explain peer {host}    (on the server, with its address)")],
        Conclusion::NotTurn | Conclusion::Partly => vec![format!("uturn probe {host}    (shows each step)")],
        Conclusion::Works | Conclusion::Answers => Vec::new(),
    }
}

//! What is seen from outside, and what cannot be.

use super::{Facts, Severity, examine, found, loaded, one};
use crate::config::load_text;
use crate::probe::{Conclusion, Findings, Lookup, Report, Verdict};

fn probed(conclusion: Conclusion, good: bool, sentence: &str) -> Facts {
    let report = Report {
        target: "turn.example.org".into(),
        seconds: 1.0,
        verdict: Verdict {
            good,
            conclusion,
            sentence: sentence.into(),
            notes: vec!["the certificate ends in 3 days".into()],
        },
        findings: Findings {
            host: Some("turn.example.org".into()),
            relay_expected: true,
            has_credential: true,
            is_bare: true,
            lookup: Lookup::default(),
            attempts: Vec::new(),
            nat: Vec::new(),
            throughput: None,
        },
    };
    Facts {
        probes: vec![("turn.example.org".into(), Ok(report))],
        ..Facts::default()
    }
}

#[test]
fn firewalls_are_not_judged_and_the_probe_is_named() {
    let loaded = loaded("[relay]\nports = \"50000-60000\"");
    let finding = one(
        "firewall-not-judged",
        Severity::Advice,
        "not judged",
        &Facts::default(),
        &loaded,
    );
    assert!(finding.mend[0].starts_with("uturn probe"));
    assert!(finding.evidence[0].ends_with("50000-60000"));
}

#[test]
fn a_verdict_is_a_finding_with_what_mends_it() {
    let loaded = loaded("[relay]\nports = \"50000-60000\"");
    for (conclusion, id, mend) in [
        (
            Conclusion::RelayRangeClosed,
            "probe-relay-range-closed",
            "udp dport 50000-60000 accept",
        ),
        (
            Conclusion::UdpBlocked,
            "probe-udp-blocked",
            "udp dport 3478 accept",
        ),
        (Conclusion::UdpClosed, "probe-udp-closed", "in [listen]"),
        (
            Conclusion::OnlyTls443,
            "probe-only-tls443",
            "turns:turn.example.org:443",
        ),
        (
            Conclusion::RelayAddressPrivate,
            "probe-relay-address-private",
            "external = ",
        ),
        (
            Conclusion::Credential,
            "probe-credential",
            "uturn explain username",
        ),
    ] {
        let facts = probed(conclusion, false, "Something is wrong.");
        let says = "turn.example.org, from this host: Something is wrong.";
        let finding = one(id, Severity::Error, says, &facts, &loaded);
        assert!(finding.mend[0].contains(mend), "{finding:?}");
        assert_eq!(finding.evidence, ["the certificate ends in 3 days"]);
    }
    let facts = probed(Conclusion::Silent, false, "Nothing comes back.");
    assert_eq!(found("probe-silent", &facts, &loaded).len(), 1);
}

#[test]
fn a_good_verdict_is_one_line_and_its_notes_are_advice() {
    let loaded = loaded("");
    let facts = probed(Conclusion::Works, true, "Works: UDP relays.");
    one(
        "probe-works",
        Severity::Fine,
        "turn.example.org: Works: UDP relays",
        &facts,
        &loaded,
    );
    one(
        "probe-note",
        Severity::Advice,
        "ends in 3 days",
        &facts,
        &loaded,
    );
    // What works beside all that has to is no advice.
    let mut facts = facts;
    if let Ok(report) = &mut facts.probes[0].1 {
        report.verdict.notes = vec!["DTLS to 192.0.2.1:5349 works as well.".into()];
    }
    assert!(found("probe-note", &facts, &loaded).is_empty());
    let fine = found("probe-works", &facts, &loaded);
    assert!(fine[0].evidence[0].contains("DTLS"), "{fine:?}");
}

#[test]
fn probes_need_no_configuration() {
    let report = load_text("uturn.toml", "[listne]\n")
        .err()
        .expect("an error");
    let mut facts = probed(Conclusion::RelayRangeClosed, false, "Closed.");
    facts
        .probes
        .push(("x".into(), Err("nothing could be tried".into())));
    let findings = examine(&facts, Err(&report), Vec::new()).findings;
    let of = |id: &str| {
        findings
            .iter()
            .find(|finding| finding.id == id)
            .expect("it")
    };
    assert!(of("probe-relay-range-closed").mend[0].contains("49152-65535"));
    assert_eq!(
        of("probe-failed").sentence,
        "x could not be probed: nothing could be tried."
    );
}

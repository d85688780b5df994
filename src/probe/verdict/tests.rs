//! Each sentence, from what leads to it.

use std::time::Duration;

use super::*;
use crate::probe::report::{
    Certificate, Lookup, Path, RelayRange, RoundTrips, TlsSession, Trouble, TroubleKind,
};
use crate::probe::{Transport, explain};

/// What an attempt comes to.
#[derive(Clone, Copy)]
enum End {
    Relays,
    RangeClosed,
    RelaysFrom(&'static str),
    Lossy,
    SilentRelay,
    PeersDenied,
    Challenged,
    Bound,
    Code(u16),
    Fails(StepName, TroubleKind),
}
use End::*;
use TroubleKind as Kind;

fn attempt(way: &str, end: End) -> Attempt {
    let (transport, server) = way.split_once(' ').unwrap();
    let transport = match transport {
        "UDP" => Transport::Udp,
        "TCP" => Transport::Tcp,
        "DTLS" => Transport::Dtls,
        _ => Transport::Tls,
    };
    let has_connection = matches!(transport, Transport::Tcp | Transport::Tls);
    let mut found = Attempt::new(transport, server.parse().unwrap());
    let mut step = |name, trouble: Option<Trouble>| {
        found.push(name, Duration::from_millis(1), trouble);
    };
    let failed = |kind| Some(explain::trouble(kind, "the reason", "the explanation"));
    if let Fails(name, kind) = end {
        if has_connection && name != StepName::Connect {
            step(StepName::Connect, None);
        }
        if transport == Transport::Dtls && name != StepName::Dtls {
            step(StepName::Dtls, None);
        }
        step(name, failed(kind));
        return found;
    }
    if has_connection {
        step(StepName::Connect, None);
    }
    step(StepName::Binding, None);
    let code = |name, code| {
        let facts = explain::CredentialFacts {
            is_given: true,
            ..Default::default()
        };
        Some(explain::code(name, code, "Phrase", facts))
    };
    match end {
        Bound | Fails(..) => {}
        Challenged => step(StepName::Challenge, None),
        Code(number) => step(StepName::Allocate, code(StepName::Allocate, number)),
        PeersDenied => {
            step(StepName::Allocate, None);
            step(StepName::Permission, code(StepName::Permission, 403));
        }
        SilentRelay => {
            step(StepName::Allocate, None);
            step(StepName::RoundTrips, failed(Kind::NoAnswer));
        }
        Relays | RangeClosed | RelaysFrom(_) | Lossy => {
            step(StepName::Allocate, None);
            step(StepName::RoundTrips, None);
        }
    }
    found.mapped = Some("198.51.100.2:7".parse().unwrap());
    found.realm = Some("r".to_owned());
    found.relayed = Some("203.0.113.5:50000".parse().unwrap());
    if let RelaysFrom(relayed) = end {
        found.relayed = Some(relayed.parse().unwrap());
    }
    found.relay_range = match end {
        RangeClosed => RelayRange::Closed,
        _ => RelayRange::Open,
    };
    let received = match end {
        Relays | RangeClosed | RelaysFrom(_) => Some(50),
        Lossy => Some(45),
        SilentRelay => Some(0),
        _ => None,
    };
    found.relay = received.map(|received| RoundTrips {
        path: Path::RelayToRelay,
        sent: 50,
        received,
        loss_percent: (50 - received) as f64 * 2.0,
        p50_ms: 12.3,
        p90_ms: 13.0,
        p99_ms: 14.0,
        max_ms: 15.0,
        jitter_ms: 0.5,
    });
    found
}

fn findings(ways: &[(&str, End)]) -> Findings {
    Findings {
        host: Some("turn.example".to_owned()),
        relay_expected: true,
        has_credential: true,
        is_bare: true,
        lookup: Lookup::default(),
        attempts: ways.iter().map(|(way, end)| attempt(way, *end)).collect(),
        nat: Vec::new(),
        throughput: None,
    }
}

const UDP: &str = "UDP 203.0.113.5:3478";
const TCP: &str = "TCP 203.0.113.5:3478";
const TLS: &str = "TLS 203.0.113.5:5349";
const DTLS: &str = "DTLS 203.0.113.5:5349";
const TLS443: &str = "TLS 203.0.113.5:443";
const SILENT: End = Fails(StepName::Binding, Kind::NoAnswer);
const NO_CONNECTION: End = Fails(StepName::Connect, Kind::NoAnswer);
const REFUSED: End = Fails(StepName::Connect, Kind::Refused);
const BAD_CERTIFICATE: End = Fails(StepName::Tls, Kind::Certificate);

#[test]
fn each_outcome_has_its_sentence() {
    use Conclusion as C;
    for (ways, conclusion, says) in [
        (
            &[
                (UDP, Relays),
                (TCP, Relays),
                (TLS, Relays),
                (TLS443, REFUSED),
            ][..],
            C::Works,
            "Works: UDP, TCP and TLS all relay; 12 ms through the relay and back.",
        ),
        (
            &[(UDP, Relays), (TCP, REFUSED), (TLS, REFUSED)],
            C::Works,
            "Works: UDP relays; 12 ms",
        ),
        (
            &[(UDP, Lossy), (TCP, Relays)],
            C::Works,
            "Works: UDP and TCP relay;",
        ),
        (
            &[(UDP, Relays), (TLS443, BAD_CERTIFICATE)],
            C::Works,
            "Works: UDP relays",
        ),
        (
            &[(UDP, SILENT), (TCP, Relays), (TLS, REFUSED)],
            C::UdpBlocked,
            "UDP to 203.0.113.5:3478 is blocked on the way (TCP works): open UDP 3478",
        ),
        (
            &[(UDP, SILENT), (TCP, Relays), (TLS, Relays)],
            C::UdpBlocked,
            "(TCP and TLS work)",
        ),
        (
            &[
                (UDP, Fails(StepName::Binding, Kind::Refused)),
                (TCP, Relays),
            ],
            C::UdpClosed,
            "Nobody listens for UDP at 203.0.113.5:3478 (TCP works)",
        ),
        (
            &[
                (UDP, SILENT),
                (TCP, NO_CONNECTION),
                (TLS, NO_CONNECTION),
                (TLS443, Relays),
            ],
            C::OnlyTls443,
            "Only TLS on 443 gets through: give your app turns:turn.example:443,",
        ),
        (
            &[(UDP, RangeClosed), (TCP, RangeClosed)],
            C::RelayRangeClosed,
            "its relay range cannot be reached from here (203.0.113.5:50000): open its range",
        ),
        // Where no UDP gets out, that none comes in says nothing of the server.
        (
            &[(UDP, SILENT), (TCP, RangeClosed)],
            C::UdpBlocked,
            "blocked on the way",
        ),
        (
            &[(UDP, RelaysFrom("10.0.0.5:50000"))],
            C::RelayAddressPrivate,
            "relays from 10.0.0.5, a private address",
        ),
        (
            &[("UDP 10.0.0.1:3478", RelaysFrom("10.0.0.5:50000"))],
            C::Works,
            "Works: UDP relays",
        ),
        (
            &[(UDP, Code(486)), (TCP, Relays)],
            C::Partly,
            "UDP to 203.0.113.5:3478 does not work",
        ),
        (
            &[(UDP, Relays), (TLS, BAD_CERTIFICATE)],
            C::Certificate,
            "TLS to 203.0.113.5:5349 does not work (UDP works): its certificate is not to be trusted, as the reason.",
        ),
        (
            &[(UDP, Relays), (TCP, Code(508))],
            C::Partly,
            "TCP to 203.0.113.5:3478 does not work",
        ),
        (
            &[(UDP, Code(401)), (TCP, Code(401))],
            C::Credential,
            "refuses the credential: 401 Phrase",
        ),
        (
            &[(UDP, SILENT), (TCP, Code(401))],
            C::Credential,
            "refuses the credential",
        ),
        (
            &[(UDP, Code(486))],
            C::Code,
            "The server answers 486: 486 Phrase, this user",
        ),
        (
            &[(UDP, SilentRelay)],
            C::RelaySilent,
            "allocates (203.0.113.5:50000) but nothing",
        ),
        (
            &[(UDP, PeersDenied)],
            C::PeersDenied,
            "denies the peers that could answer",
        ),
        (
            &[(UDP, Bound)],
            C::NotTurn,
            "STUN answers at 203.0.113.5:3478 but does not relay",
        ),
        (
            &[(TLS, BAD_CERTIFICATE)],
            C::Certificate,
            "one that verifies for turn.example.",
        ),
        (
            &[(TLS, Fails(StepName::Tls, Kind::Tls))],
            C::Tls,
            "TLS to 203.0.113.5:5349 fails",
        ),
        (
            &[(TCP, SILENT)],
            C::NotTurn,
            "203.0.113.5:3478 takes connections, but",
        ),
        (
            &[(UDP, SILENT), (TCP, NO_CONNECTION)],
            C::Silent,
            "Nothing comes back from 203.0.113.5 over UDP and TCP",
        ),
        (
            &[
                (UDP, Fails(StepName::Binding, Kind::Refused)),
                (TCP, REFUSED),
            ],
            C::Refused,
            "Nobody listens at 203.0.113.5 for UDP and TCP",
        ),
        (
            &[(UDP, Fails(StepName::Binding, Kind::Unreachable))],
            C::Unreachable,
            "203.0.113.5 cannot be reached from this host",
        ),
        (
            &[
                (UDP, SILENT),
                (TCP, NO_CONNECTION),
                (TLS443, BAD_CERTIFICATE),
            ],
            C::Silent,
            "Nothing comes back from 203.0.113.5",
        ),
        (&[], C::Unreachable, "no address of the family"),
    ] {
        let found = verdict(&findings(ways));
        assert_eq!(found.conclusion, conclusion, "{}", found.sentence);
        assert!(found.sentence.contains(says), "{} / {says}", found.sentence);
        assert_eq!(found.good, conclusion == C::Works, "{}", found.sentence);
        assert!(found.sentence.ends_with('.'), "{}", found.sentence);
    }
}

#[test]
fn without_a_credential_an_answer_is_all_there_is() {
    let mut found = findings(&[(UDP, Challenged), (TCP, Challenged), (TLS, REFUSED)]);
    found.has_credential = false;
    let judged = verdict(&found);
    assert!(judged.good && judged.conclusion == Conclusion::Answers);
    let says =
        "Answers: UDP and TCP answer and ask for a credential (realm \"r\"); to try the relay";
    assert!(judged.sentence.starts_with(says), "{}", judged.sentence);

    let mut found = findings(&[(UDP, Bound)]);
    (found.has_credential, found.relay_expected) = (false, false);
    let says = "Answers: UDP answers; this host is seen as 198.51.100.2:7.";
    assert_eq!(verdict(&found).sentence, says);
}

#[test]
fn what_was_named_has_to_work() {
    let mut found = findings(&[(UDP, Relays), (TCP, REFUSED)]);
    found.is_bare = false;
    let judged = verdict(&found);
    assert_eq!(judged.conclusion, Conclusion::Partly);
    let says = "TCP to 203.0.113.5:3478 does not work (UDP works): the explanation.";
    assert_eq!(judged.sentence, says);

    let mut found = findings(&[(TCP, NO_CONNECTION)]);
    found.is_bare = false;
    assert!(
        verdict(&found)
            .sentence
            .contains("`uturn probe HOST` tries every transport")
    );
}

#[test]
fn dtls_is_spare_unless_it_is_named() {
    let no_session = Fails(StepName::Dtls, Kind::NoAnswer);
    let broken = Fails(StepName::Dtls, Kind::Tls);
    let untrusted = Fails(StepName::Dtls, Kind::Certificate);
    let no_stun = Fails(StepName::Binding, Kind::NoAnswer);
    for (ways, good, says, notes) in [
        (
            &[(UDP, Relays), (TCP, Relays), (DTLS, Relays)][..],
            true,
            "Works: UDP and TCP relay; ",
            "DTLS to 203.0.113.5:5349 works as well",
        ),
        (
            &[(UDP, Relays), (DTLS, no_session)],
            true,
            "Works: UDP relays; ",
            "",
        ),
        (
            &[(UDP, Relays), (DTLS, Fails(StepName::Dtls, Kind::Refused))],
            true,
            "Works: UDP relays; ",
            "",
        ),
        (
            &[(UDP, Relays), (DTLS, broken)],
            true,
            "Works: UDP relays; ",
            "does not work, which browsers do not miss: the explanation.",
        ),
        (
            &[(UDP, Relays), (DTLS, untrusted)],
            true,
            "Works: UDP relays; ",
            "its certificate is not to be trusted",
        ),
        (
            &[(UDP, SILENT), (TCP, NO_CONNECTION), (DTLS, no_session)],
            false,
            "from 203.0.113.5 over UDP and TCP: ",
            "",
        ),
        (
            &[(UDP, SILENT), (TCP, NO_CONNECTION), (DTLS, Relays)],
            false,
            "UDP to 203.0.113.5:3478 is blocked on the way (DTLS works)",
            "",
        ),
        (
            &[(UDP, SILENT), (DTLS, untrusted)],
            false,
            "Nothing comes back from 203.0.113.5 over UDP: ",
            "",
        ),
    ] {
        let judged = verdict(&findings(ways));
        assert_eq!(judged.good, good, "{}", judged.sentence);
        assert!(
            judged.sentence.contains(says),
            "{} / {says}",
            judged.sentence
        );
        let told = judged.notes.join(" ");
        assert!(
            told.contains(notes) && (told.is_empty() || !notes.is_empty() || !good),
            "{told}"
        );
    }
    for (end, conclusion, says) in [
        (Relays, Conclusion::Works, "Works: DTLS relays; "),
        (
            broken,
            Conclusion::Tls,
            "DTLS to 203.0.113.5:5349 fails: the explanation.",
        ),
        (
            no_stun,
            Conclusion::NotTurn,
            "203.0.113.5:5349 speaks DTLS: the explanation; check the port.",
        ),
        (
            untrusted,
            Conclusion::Certificate,
            "one that verifies for turn.example.",
        ),
        (
            no_session,
            Conclusion::Silent,
            "Nothing comes back from 203.0.113.5 over DTLS: ",
        ),
        (
            RangeClosed,
            Conclusion::RelayRangeClosed,
            "cannot be reached from here",
        ),
    ] {
        let mut found = findings(&[(DTLS, end)]);
        found.is_bare = false;
        let judged = verdict(&found);
        assert_eq!(judged.conclusion, conclusion, "{}", judged.sentence);
        assert!(
            judged.sentence.contains(says),
            "{} / {says}",
            judged.sentence
        );
        assert!(judged.notes.is_empty(), "{:?}", judged.notes);
    }
}

#[test]
fn a_host_without_an_address_is_told() {
    let mut found = findings(&[]);
    found.lookup.error = Some("no such host".to_owned());
    let judged = verdict(&found);
    assert_eq!(
        (judged.good, judged.conclusion),
        (false, Conclusion::UnknownHost)
    );
    assert!(judged.sentence.contains("(no such host)"));
}

#[test]
fn notes_tell_what_does_not_decide() {
    let v6 = "UDP [2001:db8::5]:3478";
    let mut found = findings(&[(UDP, Lossy), (v6, SILENT)]);
    found.attempts[0].tls = Some(TlsSession {
        version: "TLS 1.3".to_owned(),
        alpn: None,
        certificate: Certificate {
            days_left: Some(3),
            ..Certificate::default()
        },
    });
    found.attempts[0].relay_range = RelayRange::Denied;
    let judged = verdict(&found);
    assert!(judged.good, "{}", judged.sentence);
    let notes = judged.notes.join(" ");
    for says in [
        "expires in 3 days",
        "10 % of the packets",
        "is not known",
        "does not answer",
    ] {
        assert!(notes.contains(says), "{says}: {notes}");
    }
    let found = findings(&[
        (UDP, Relays),
        (v6, Fails(StepName::Binding, Kind::Unreachable)),
    ]);
    assert!(verdict(&found).notes[0].contains("no IPv6"));
}

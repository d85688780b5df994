//! What a failure means, in words.

use std::fmt::Display;
use std::io::{self, ErrorKind};

use rustls::AlertDescription;

use super::report::{StepName, Trouble, TroubleKind};
use super::text::printable;
use super::tls::UNKNOWN_ISSUER;
use super::transport::Transport;
use crate::net::DtlsError;

/// What is known of the credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CredentialFacts {
    /// Whether there is one.
    pub(super) is_given: bool,
    /// Whether it was made from a shared secret.
    pub(super) is_minted: bool,
    /// By how many seconds a time-limited username has expired, by this host's clock.
    pub(super) expired_for: Option<u64>,
}

/// An error response.
pub(super) fn code(
    step: StepName,
    code: u16,
    phrase: &str,
    credential: CredentialFacts,
) -> Trouble {
    let explanation = match (code, step) {
        (300, _) => "the server sends its clients to another one".to_owned(),
        (400, _) => "the server takes the request for a malformed one".to_owned(),
        (401, _) => unauthorized(credential),
        (403, StepName::Permission | StepName::Channel) => {
            "the server does not let its clients reach that peer: its rules for peers deny the address".to_owned()
        }
        (403, _) => "the server forbids it, often by a rule about addresses".to_owned(),
        (420, _) => "the server does not know an attribute that the request needs".to_owned(),
        (437, _) => "the server has no allocation for this 5-tuple, or had one already: a proxy or load balancer on the way may send packets to several servers".to_owned(),
        (438, _) => "the server calls every nonce stale: several servers that share an address do not share their nonces, or its clock jumps".to_owned(),
        (440, _) => "the server does not relay for this address family".to_owned(),
        (441, _) => "the allocation belongs to another credential than the one that was given".to_owned(),
        (442, _) => "the server does not relay UDP".to_owned(),
        (446, _) => "the server relays TCP alone".to_owned(),
        (486, _) => "this user or address has as many allocations as it may have: wait until old ones end (up to 10 minutes), or raise the server's quota".to_owned(),
        (500, _) => "the server has failed for a moment: see its log".to_owned(),
        (508, _) => "the server has no relay port left, or none for this address family: raise its limits or widen its range of ports".to_owned(),
        _ => "see the server's log".to_owned(),
    };
    Trouble {
        kind: TroubleKind::Code,
        code: Some(code),
        reason: printable(phrase.as_bytes()),
        explanation,
    }
}

fn unauthorized(credential: CredentialFacts) -> String {
    match credential {
        CredentialFacts {
            is_given: false, ..
        } => "the server wants a credential: give --username and --password-file, or --secret-file".to_owned(),
        CredentialFacts {
            expired_for: Some(seconds),
            ..
        } => format!("the username is a time that passed {seconds} s ago by this host's clock: get a new credential"),
        CredentialFacts {
            is_minted: true, ..
        } => "the server does not take the secret: it is not the server's, the server takes no shared secrets, or its clock is days away from this host's".to_owned(),
        _ => "the server does not know this user, or the password is wrong; a time-limited one may have expired by the server's clock".to_owned(),
    }
}

/// Nothing came back in time.
pub(super) fn no_answer(step: StepName, transport: Transport) -> Trouble {
    let explanation = match (transport, step) {
        (Transport::Udp, _) => {
            "nothing comes back: a firewall on the way drops UDP, or the server does not run"
        }
        (Transport::Dtls, StepName::Dtls) => {
            "nothing comes back: a firewall on the way drops UDP, or the server does not speak DTLS"
        }
        (Transport::Dtls, _) => "the session stands, but who answers there does not speak STUN",
        (_, StepName::Connect) => {
            "nothing comes back: a firewall on the way drops it, or the host does not run"
        }
        (_, StepName::Tls) => "the connection stands, but who answers there does not speak TLS",
        _ => "the connection stands, but who answers there does not speak STUN",
    };
    trouble(TroubleKind::NoAnswer, "no answer", explanation)
}

/// A handshake of DTLS that has come to nothing in time: whether the server has begun it, and whether anything came back.
pub(super) fn no_session(is_begun: bool, is_answered: bool) -> Trouble {
    match (is_begun, is_answered) {
        (true, _) => trouble(
            TroubleKind::Tls,
            "the handshake stops half-way",
            "the server begins it and does not end it: a box on the way may drop fragments or its longer datagrams, or see its log",
        ),
        (false, true) => trouble(
            TroubleKind::Tls,
            "not DTLS",
            "who answers there does not speak DTLS",
        ),
        (false, false) => no_answer(StepName::Dtls, Transport::Dtls),
    }
}

/// A socket that failed.
pub(super) fn socket(step: StepName, error: &io::Error) -> Trouble {
    if let Some(tls) = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>())
    {
        return handshake(tls);
    }
    if let Some(dtls) = error.get_ref().and_then(|e| e.downcast_ref::<DtlsError>()) {
        return dtls_handshake(*dtls);
    }
    let (kind, explanation) = match error.kind() {
        ErrorKind::ConnectionRefused => (
            TroubleKind::Refused,
            "nobody listens there, or a firewall rejects it",
        ),
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => (
            TroubleKind::Unreachable,
            "there is no route from this host to that address",
        ),
        ErrorKind::PermissionDenied => (
            TroubleKind::Unreachable,
            "a firewall on this host or on the way forbids it",
        ),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => (
            TroubleKind::Closed,
            match step {
                StepName::Tls => "who answers there does not speak TLS, or not with this host",
                StepName::Dtls => "the server ends the session before it begins",
                _ => "the server or a box on the way ends the connection",
            },
        ),
        ErrorKind::InvalidData => (
            TroubleKind::Protocol,
            "who answers there does not speak STUN",
        ),
        ErrorKind::TimedOut => (TroubleKind::NoAnswer, "nothing comes back"),
        ErrorKind::AddrNotAvailable => (
            TroubleKind::Unreachable,
            "this host has no such address to send from",
        ),
        _ => (TroubleKind::Local, "this host could not do its part"),
    };
    let reason = match kind {
        TroubleKind::Refused => "connection refused".to_owned(),
        TroubleKind::Closed => "connection closed".to_owned(),
        TroubleKind::Protocol => "not STUN".to_owned(),
        TroubleKind::NoAnswer => "no answer".to_owned(),
        _ => error.to_string(),
    };
    trouble(kind, &reason, explanation)
}

fn handshake(error: &rustls::Error) -> Trouble {
    let explanation = match error {
        rustls::Error::InvalidMessage(_) => "who answers there does not speak TLS".to_owned(),
        rustls::Error::AlertReceived(alert) => {
            format!("the server refuses the handshake by the alert {alert:?}")
        }
        rustls::Error::PeerIncompatible(_) => "the server does not speak TLS 1.2 or 1.3".to_owned(),
        _ => "the handshake failed".to_owned(),
    };
    trouble(TroubleKind::Tls, &error.to_string(), explanation)
}

fn dtls_handshake(error: DtlsError) -> Trouble {
    let (kind, explanation) = match error {
        DtlsError::Alert(AlertDescription::HandshakeFailure) => (
            TroubleKind::Tls,
            "the server refuses the handshake (HandshakeFailure): it may have no cipher suite in common with clients of today"
                .to_owned(),
        ),
        DtlsError::Alert(alert) => (
            TroubleKind::Tls,
            format!("the server refuses the handshake by the alert {alert:?}"),
        ),
        DtlsError::Version => (
            TroubleKind::Tls,
            "the server speaks an older DTLS alone".to_owned(),
        ),
        DtlsError::Signature | DtlsError::Tampered => (
            TroubleKind::Tls,
            "somebody on the way changes what is said, or the server is broken".to_owned(),
        ),
        DtlsError::Local => (
            TroubleKind::Local,
            "this host could not do its part".to_owned(),
        ),
        DtlsError::Malformed | DtlsError::NotOffered | DtlsError::Closed => (
            TroubleKind::Tls,
            "the server does not follow RFC 6347".to_owned(),
        ),
    };
    trouble(kind, &error.to_string(), explanation)
}

/// A certificate that is not to be trusted.
pub(super) fn certificate(why: &str) -> Trouble {
    let explanation = match why {
        UNKNOWN_ISSUER => {
            "it is self-signed, of a private authority (--ca FILE), or sent without the intermediate certificate; --insecure goes on all the same"
        }
        _ => "browsers and apps refuse it too; --insecure goes on all the same",
    };
    trouble(TroubleKind::Certificate, why, explanation)
}

/// Any other.
pub(super) fn trouble(kind: TroubleKind, reason: &str, explanation: impl Display) -> Trouble {
    Trouble {
        kind,
        code: None,
        reason: printable(reason.as_bytes()),
        explanation: explanation.to_string(),
    }
}

/// By how many seconds a username has expired that begins with a time (`1700000000:alice`); `None`: not, or it is none.
pub(super) fn expired_for(username: &str, now: u64) -> Option<u64> {
    let digits = username.split([':', '@', '|', '-']).next()?;
    // Anything shorter is not a time of this century.
    let expires: u64 = (digits.len() >= 9).then(|| digits.parse().ok())??;
    now.checked_sub(expires).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained() {
        let given = CredentialFacts {
            is_given: true,
            ..CredentialFacts::default()
        };
        for (step, number, facts, says) in [
            (StepName::Allocate, 401, given, "password is wrong"),
            (
                StepName::Allocate,
                401,
                CredentialFacts::default(),
                "wants a credential",
            ),
            (
                StepName::Allocate,
                401,
                CredentialFacts {
                    is_minted: true,
                    ..given
                },
                "its clock is days away",
            ),
            (
                StepName::Allocate,
                401,
                CredentialFacts {
                    expired_for: Some(7),
                    ..given
                },
                "passed 7 s ago",
            ),
            (StepName::Permission, 403, given, "rules for peers"),
            (StepName::Allocate, 437, given, "5-tuple"),
            (StepName::Allocate, 441, given, "another credential"),
            (StepName::Allocate, 442, given, "does not relay UDP"),
            (StepName::Allocate, 486, given, "quota"),
            (StepName::Allocate, 508, given, "no relay port"),
            (StepName::Allocate, 699, given, "log"),
        ] {
            let trouble = code(step, number, "a\x1bb", facts);
            assert!(trouble.explanation.contains(says), "{trouble:?}");
            assert_eq!(trouble.reason, "ab");
        }
    }

    #[test]
    fn a_username_that_has_expired_is_noticed() {
        assert_eq!(expired_for("1700000000:a", 1_700_000_009), Some(9));
        assert_eq!(expired_for("1700000000", 1_700_000_000), None);
        assert_eq!(expired_for("alice", 1_700_000_000), None);
        assert_eq!(expired_for("12:alice", 1_700_000_000), None);
    }
}

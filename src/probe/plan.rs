//! What is to be probed, and how.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::transport::Transport;
use crate::load::{Credentials, Trust};
use crate::wire::uri::{BadUri, Carrier, Host, Scheme, ServerUri, host_and_port};

/// Packets through the relay at most.
pub const MAX_PACKETS: usize = 10_000;
/// Bits per second that a throughput is measured with at most.
pub const MAX_RATE: u64 = 100_000_000;
/// Seconds that a throughput is measured for at most.
pub const MAX_SECONDS: u64 = 60;

/// Everything that a probe is made from.
#[derive(Clone)]
pub struct Plan {
    /// The server.
    pub target: Target,
    /// With what to authenticate; without it the relay is not tried, unless the server lets anybody in.
    pub credentials: Option<Credentials>,
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// The local address to send from.
    pub source: Option<IpAddr>,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// Packets that are sent through the relay and back.
    pub packets: usize,
    /// A throughput to measure.
    pub push: Option<Push>,
}

/// A throughput to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push {
    /// At most [`MAX_RATE`].
    pub bits_per_second: u64,
    /// At most [`MAX_SECONDS`].
    pub duration: Duration,
}

/// A transport and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// How it is spoken to.
    pub transport: Transport,
    /// Where.
    pub port: u16,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was written.
    pub text: String,
    /// Its name or address, without brackets.
    pub host: String,
    /// Whether a relay is expected; a `stun:` URI promises Binding alone.
    pub relays: bool,
    /// Whether it was named without a scheme, so that every standard door is tried and none has to be there.
    pub is_bare: bool,
    /// What is tried.
    pub doors: Vec<Door>,
}

impl Target {
    /// Reads a URI, a host, or a host and a port; the error is one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: String| {
            format!(
                "`{text}` does not name a server: {why}; write HOST, turn:HOST:PORT, turn:HOST:PORT?transport=tcp, turns:HOST:PORT, turns:HOST:PORT?transport=udp or stun:HOST:PORT"
            )
        };
        let scheme = text.split_once(':').map(|(scheme, _)| scheme.parse());
        let target = if let Some(Ok::<Scheme, _>(_)) = scheme {
            text.parse()
                .and_then(|uri: ServerUri| Self::of_uri(text, uri))
        } else if let Ok(v6) = text.parse::<Ipv6Addr>() {
            Ok(Self::bare(text, Host::Address(v6.into()), None))
        } else if let (Some(Err(error)), true) = (scheme, text.contains("//")) {
            Err(error)
        } else {
            host_and_port(text).map(|(host, port)| Self::bare(text, host, port))
        };
        target.map_err(|why| wrong(why.to_string()))
    }

    fn of_uri(text: &str, uri: ServerUri) -> Result<Self, BadUri> {
        let transports: &[Transport] = match (uri.carrier(), uri.transport) {
            // RFC 5928 §3: without a transport, a client may use either.
            (Carrier::Udp, None) => &[Transport::Udp, Transport::Tcp],
            (Carrier::Udp, Some(_)) => &[Transport::Udp],
            (Carrier::Tcp, _) => &[Transport::Tcp],
            (Carrier::Tls, _) => &[Transport::Tls],
            (Carrier::Dtls, _) => &[Transport::Dtls],
        };
        let port = uri.port();
        Ok(Self {
            text: text.to_owned(),
            relays: uri.scheme.relays(),
            is_bare: false,
            doors: transports
                .iter()
                .map(|&transport| Door { transport, port })
                .collect(),
            host: name_of(uri.host),
        })
    }

    fn bare(text: &str, host: Host, port: Option<u16>) -> Self {
        let (plain, secure) = (Scheme::Turn.default_port(), Scheme::Turns.default_port());
        let door = |transport, port| Door { transport, port };
        Self {
            text: text.to_owned(),
            host: name_of(host),
            relays: true,
            is_bare: true,
            doors: match port {
                Some(port) => [
                    Transport::Udp,
                    Transport::Tcp,
                    Transport::Tls,
                    Transport::Dtls,
                ]
                .map(|transport| door(transport, port))
                .to_vec(),
                None => vec![
                    door(Transport::Udp, plain),
                    door(Transport::Tcp, plain),
                    door(Transport::Tls, secure),
                    door(Transport::Tls, HTTPS),
                    door(Transport::Dtls, secure),
                ],
            },
        }
    }
}

fn name_of(host: Host) -> String {
    match host {
        Host::Name(name) => name,
        Host::Address(address) => address.to_string(),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the strictest firewalls let through.
pub(super) const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_doors() {
        for (text, host, relays, doors) in [
            (
                "a.example",
                "a.example",
                true,
                "UDP 3478, TCP 3478, TLS 5349, TLS 443, DTLS 5349",
            ),
            (
                "a.example:80",
                "a.example",
                true,
                "UDP 80, TCP 80, TLS 80, DTLS 80",
            ),
            ("turns:a?transport=udp", "a", true, "DTLS 5349"),
            ("turns:a:1?transport=udp", "a", true, "DTLS 1"),
            (
                "2001:db8::1",
                "2001:db8::1",
                true,
                "UDP 3478, TCP 3478, TLS 5349, TLS 443, DTLS 5349",
            ),
            (
                "turn:[2001:db8::1]",
                "2001:db8::1",
                true,
                "UDP 3478, TCP 3478",
            ),
            ("turn:a:1?transport=udp", "a", true, "UDP 1"),
            ("turn:a?transport=tcp", "a", true, "TCP 3478"),
            ("turns:a:443", "a", true, "TLS 443"),
            ("stun:192.0.2.1", "192.0.2.1", false, "UDP 3478, TCP 3478"),
            ("stuns:a", "a", false, "TLS 5349"),
        ] {
            let target = Target::parse(text).unwrap();
            let found = target.doors.iter();
            let found: Vec<_> = found
                .map(|d| format!("{} {}", d.transport, d.port))
                .collect();
            assert_eq!(
                (target.host.as_str(), target.relays),
                (host, relays),
                "{text}"
            );
            assert_eq!(found.join(", "), doors, "{text}");
        }
    }

    #[test]
    fn what_names_no_server_is_told() {
        for (text, why) in [
            ("", "no host"),
            ("http://a", "`http` is none of"),
            ("turn://a", "slashes"),
            ("a:b", "`b` is not a port"),
            ("a b", "`a b` is not a host"),
        ] {
            let error = Target::parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}

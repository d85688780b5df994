//! The server under load, as its URI names it (RFC 7064, RFC 7065).

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

use serde::Serialize;

use super::LoadError;
use crate::wire::uri::{BadUri, Carrier, Host, ServerUri};

/// How clients reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream for each client.
    Tcp,
    /// A stream within TLS for each client.
    Tls,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        })
    }
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// As it was written: what messages call it.
    pub uri: String,
    /// Whether it relays; a `stun:` URI only promises Binding.
    pub relays: bool,
    /// How clients reach it.
    pub transport: Transport,
    /// A name or an address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Target {
    /// Reads a URI; the error is one sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "`{text}` does not name a server: {why}; write turn:HOST:PORT, turn:HOST:PORT?transport=tcp, turns:HOST:PORT or stun:HOST:PORT"
            )
        };
        let uri: ServerUri = text
            .parse()
            .map_err(|why: BadUri| wrong(&why.to_string()))?;
        let transport = match uri.carrier() {
            Carrier::Udp => Transport::Udp,
            Carrier::Tcp => Transport::Tcp,
            Carrier::Tls => Transport::Tls,
            Carrier::Dtls => return Err(wrong("DTLS is not spoken")),
        };
        Ok(Self {
            uri: text.to_owned(),
            relays: uri.scheme.relays(),
            transport,
            port: uri.port(),
            host: match uri.host {
                Host::Name(name) => name,
                Host::Address(address) => address.to_string(),
            },
        })
    }

    /// The transport address of the server.
    pub(super) fn resolve(&self) -> Result<SocketAddr, LoadError> {
        let mut found = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| {
                LoadError::new(format!("cannot find the address of {}: {error}", self.host))
            })?;
        found
            .next()
            .ok_or_else(|| LoadError::new(format!("{} has no address", self.host)))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str) -> (bool, Transport, String, u16) {
        let target = Target::parse(uri).unwrap();
        (target.relays, target.transport, target.host, target.port)
    }

    #[test]
    fn uris_name_servers() {
        use Transport::{Tcp, Tls, Udp};
        for (uri, relays, transport, host, port) in [
            ("turn:example.org", true, Udp, "example.org", 3478),
            ("turn:127.0.0.1:5?transport=udp", true, Udp, "127.0.0.1", 5),
            ("turn:[::1]:5?transport=tcp", true, Tcp, "::1", 5),
            ("turns:example.org", true, Tls, "example.org", 5349),
            ("turns:a:443?transport=tcp", true, Tls, "a", 443),
            ("stun:[2001:db8::1]", false, Udp, "2001:db8::1", 3478),
        ] {
            assert_eq!(
                parts(uri),
                (relays, transport, host.to_owned(), port),
                "{uri}"
            );
        }
    }

    #[test]
    fn what_is_wrong_with_a_uri_is_told() {
        for (uri, why) in [
            ("example.org", "no scheme"),
            ("http:example.org", "`http`"),
            ("turn://example.org", "slashes"),
            ("turn:", "no host"),
            ("turn:a:70000", "`70000`"),
            ("turn:a:0", "`0`"),
            ("turn:::1", "brackets"),
            ("turn:[::1", "brackets"),
            ("turn:[::1]5", "`5` follows"),
            ("turn:[a]:5", "`a` is not"),
            ("turn:a?transport=sctp", "another query"),
            ("turns:a?transport=udp", "DTLS"),
        ] {
            let error = Target::parse(uri).unwrap_err();
            assert!(error.contains(why), "{uri}: {error}");
        }
    }
}

//! The server under load, as its URI names it (RFC 7064, RFC 7065).

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use serde::Serialize;

use super::LoadError;

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
    pub fn parse(uri: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "`{uri}` does not name a server: {why}; write turn:HOST:PORT, turn:HOST:PORT?transport=tcp, turns:HOST:PORT or stun:HOST:PORT"
            )
        };
        let (scheme, rest) = uri
            .split_once(':')
            .ok_or_else(|| wrong("it has no scheme"))?;
        let (relays, secure) = match scheme {
            "turn" => (true, false),
            "turns" => (true, true),
            "stun" => (false, false),
            "stuns" => (false, true),
            _ => return Err(wrong(&format!("`{scheme}` is no such scheme"))),
        };
        if rest.starts_with("//") {
            return Err(wrong("there are no slashes in these URIs"));
        }
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let transport = match (query, secure) {
            (None | Some("transport=tcp"), true) => Transport::Tls,
            (None | Some("transport=udp"), false) => Transport::Udp,
            (Some("transport=tcp"), false) => Transport::Tcp,
            (Some("transport=udp"), true) => return Err(wrong("DTLS is not spoken")),
            (Some(query), _) => return Err(wrong(&format!("`?{query}` means nothing here"))),
        };
        let (host, port) = authority_of(authority).map_err(|why| wrong(&why))?;
        Ok(Self {
            uri: uri.to_owned(),
            relays,
            transport,
            host: host.to_owned(),
            port: port.unwrap_or(if secure { 5349 } else { 3478 }),
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

/// Splits host and port; an IPv6 address stands in brackets.
fn authority_of(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
            if !matches!(host.parse(), Ok(IpAddr::V6(_))) {
                return Err(format!("`{host}` is not an IPv6 address"));
            }
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(format!("`{after}` follows the address")),
            }
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address stands in brackets".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    if host.is_empty() {
        return Err("it has no host".to_owned());
    }
    let port = port.map(|port| match port.parse() {
        Ok(0) | Err(_) => Err(format!("`{port}` is not a port")),
        Ok(number) => Ok(number),
    });
    Ok((host, port.transpose()?))
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
            ("turn:[::1", "not closed"),
            ("turn:[::1]5", "`5` follows"),
            ("turn:[a]:5", "`a` is not"),
            ("turn:a?transport=sctp", "transport=sctp"),
            ("turns:a?transport=udp", "DTLS"),
        ] {
            let error = Target::parse(uri).unwrap_err();
            assert!(error.contains(why), "{uri}: {error}");
        }
    }
}

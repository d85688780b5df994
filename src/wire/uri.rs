//! The URIs of STUN and TURN servers (RFC 7064, RFC 7065).
//!
//! They are not hierarchical: no slashes, no path, no user. [`ServerUri`] is read by their ABNF, less what names no server: an
//! empty host, an empty port, port 0, an IPvFuture address, a transport other than UDP and TCP, and characters that no name in
//! the DNS is written with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The URI of a server. It is printed as it is written by convention: scheme and transport in small letters, an IPv6 address
/// in its canonical form, a port or transport only where one was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerUri {
    /// What is served, and whether within TLS or DTLS.
    pub scheme: Scheme,
    /// Where.
    pub host: Host,
    /// The port, if it is given.
    pub port: Option<u16>,
    /// `?transport=`, if it is given: only `turn:` and `turns:` can have it.
    pub transport: Option<UriTransport>,
}

/// The scheme of a server's URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// STUN.
    Stun,
    /// STUN within TLS.
    Stuns,
    /// TURN.
    Turn,
    /// TURN within TLS or DTLS.
    Turns,
}

/// The host of a server's URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to look up.
    Name(String),
    /// An address: the name that a certificate is checked against has to come from elsewhere (RFC 7350 §4.6.1).
    Address(IpAddr),
}

/// What `?transport=` names (RFC 7065 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UriTransport {
    /// UDP, or DTLS.
    Udp,
    /// TCP, or TLS.
    Tcp,
}

/// What a client speaks that follows a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream within TLS.
    Tls,
    /// Datagrams within DTLS (RFC 7350 §4.6).
    Dtls,
}

/// Why a text is not the URI of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUri {
    /// No colon.
    #[error("it has no scheme")]
    NoScheme,
    /// None of the four.
    #[error("`{0}` is none of stun, stuns, turn, turns")]
    UnknownScheme(String),
    /// `turn://`.
    #[error("it has slashes; these URIs have none")]
    Slashes,
    /// `turn:`, `turn::3478`.
    #[error("it has no host")]
    NoHost,
    /// An address without brackets, or brackets without their end.
    #[error("an IPv6 address stands in brackets")]
    Brackets,
    /// Something else within brackets.
    #[error("`{0}` is not an IPv6 address")]
    NotIpv6(String),
    /// No name that the DNS could have.
    #[error("`{0}` is not a host")]
    NotAHost(String),
    /// Something else than a port behind a bracket.
    #[error("`{0}` follows the address")]
    Behind(String),
    /// Not within 1 to 65535.
    #[error("`{0}` is not a port")]
    NotAPort(String),
    /// `stun:…?`.
    #[error("a {0} URI has no `?`")]
    NoQuery(Scheme),
    /// Another query than `?transport=udp` or `?transport=tcp`.
    #[error("it has another query than ?transport=udp or ?transport=tcp")]
    Query,
}

impl ServerUri {
    /// The port that clients use.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// What clients speak that look nothing up in the DNS (RFC 5928 §3): without a transport that is UDP, and TLS over TCP.
    pub fn carrier(&self) -> Carrier {
        match (self.scheme.is_secure(), self.transport) {
            (false, None | Some(UriTransport::Udp)) => Carrier::Udp,
            (false, Some(UriTransport::Tcp)) => Carrier::Tcp,
            (true, None | Some(UriTransport::Tcp)) => Carrier::Tls,
            (true, Some(UriTransport::Udp)) => Carrier::Dtls,
        }
    }
}

impl Scheme {
    /// The port where a URI names none.
    pub fn default_port(self) -> u16 {
        if self.is_secure() { 5349 } else { 3478 }
    }

    /// Whether it promises TLS or DTLS.
    pub fn is_secure(self) -> bool {
        match self {
            Self::Stun | Self::Turn => false,
            Self::Stuns | Self::Turns => true,
        }
    }

    /// Whether it promises a relay.
    pub fn relays(self) -> bool {
        match self {
            Self::Stun | Self::Stuns => false,
            Self::Turn | Self::Turns => true,
        }
    }
}

impl FromStr for ServerUri {
    type Err = BadUri;

    fn from_str(text: &str) -> Result<Self, BadUri> {
        let (scheme, rest) = text.split_once(':').ok_or(BadUri::NoScheme)?;
        let scheme: Scheme = scheme.parse()?;
        if rest.starts_with("//") {
            return Err(BadUri::Slashes);
        }
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let transport = match query {
            None => None,
            Some(_) if !scheme.relays() => return Err(BadUri::NoQuery(scheme)),
            Some(query) => Some(query.parse()?),
        };
        let (host, port) = host_and_port(authority)?;
        Ok(Self {
            scheme,
            host,
            port,
            transport,
        })
    }
}

impl fmt::Display for ServerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.transport {
            None => Ok(()),
            Some(UriTransport::Udp) => f.write_str("?transport=udp"),
            Some(UriTransport::Tcp) => f.write_str("?transport=tcp"),
        }
    }
}

impl FromStr for Scheme {
    type Err = BadUri;

    /// RFC 3986 §3.1: capitals are equivalent.
    fn from_str(text: &str) -> Result<Self, BadUri> {
        let all = [Self::Stun, Self::Stuns, Self::Turn, Self::Turns];
        let mut same = all.into_iter();
        same.find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| BadUri::UnknownScheme(text.to_owned()))
    }
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Stuns => "stuns",
            Self::Turn => "turn",
            Self::Turns => "turns",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for UriTransport {
    type Err = BadUri;

    /// Reads all of a query. The ABNF's quoted words have no case (RFC 5234 §2.3).
    fn from_str(query: &str) -> Result<Self, BadUri> {
        match query.to_ascii_lowercase().as_str() {
            "transport=udp" => Ok(Self::Udp),
            "transport=tcp" => Ok(Self::Tcp),
            _ => Err(BadUri::Query),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
        }
    }
}

/// Reads `host[:port]` (RFC 3986 §3.2.2, §3.2.3).
pub fn host_and_port(authority: &str) -> Result<(Host, Option<u16>), BadUri> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']').ok_or(BadUri::Brackets)?;
            let v6: Result<Ipv6Addr, _> = address.parse();
            let v6 = v6.map_err(|_| BadUri::NotIpv6(address.to_owned()))?;
            let port = match behind.strip_prefix(':') {
                Some(port) => Some(port),
                None if behind.is_empty() => None,
                None => return Err(BadUri::Behind(behind.to_owned())),
            };
            (Host::Address(v6.into()), port)
        }
        None => match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(BadUri::Brackets),
            Some((host, port)) => (name_or_ipv4(host)?, Some(port)),
            None => (name_or_ipv4(authority)?, None),
        },
    };
    Ok((host, port.map(port_of).transpose()?))
}

fn name_or_ipv4(text: &str) -> Result<Host, BadUri> {
    if text.is_empty() {
        return Err(BadUri::NoHost);
    }
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Address(v4.into()));
    }
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    // A name that ends with a number is an address that was misspelt: no top-level domain is one.
    let last = text.trim_end_matches('.').rsplit('.').next();
    let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    if !text.bytes().all(is_of_name) || last.is_none_or(is_number) {
        return Err(BadUri::NotAHost(text.to_owned()));
    }
    Ok(Host::Name(text.to_owned()))
}

fn port_of(text: &str) -> Result<u16, BadUri> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(port) if port > 0 && is_number => Ok(port),
        _ => Err(BadUri::NotAPort(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<ServerUri, BadUri> {
        text.parse()
    }

    #[test]
    fn what_follows_the_rfcs_is_accepted() {
        use Carrier::{Dtls, Tcp, Tls, Udp};
        for (text, relays, carrier, port) in [
            ("stun:stun.example.org", false, Udp, 3478),
            ("stun:stun.example.org:1", false, Udp, 1),
            ("stuns:stun.example.org", false, Tls, 5349),
            ("stun:[2001:db8::1]:65535", false, Udp, 65535),
            ("turn:turn.example.org", true, Udp, 3478),
            ("turn:203.0.113.5:3478?transport=udp", true, Udp, 3478),
            ("turn:example.org?transport=tcp", true, Tcp, 3478),
            ("turns:example.org", true, Tls, 5349),
            ("turns:[2001:db8::5]:443?transport=tcp", true, Tls, 443),
            ("turns:example.org?transport=udp", true, Dtls, 5349),
            ("turn:localhost", true, Udp, 3478),
            ("turn:_a.example.", true, Udp, 3478),
            ("turn:4.example", true, Udp, 3478),
            ("turn:[::ffff:1.2.3.4]", true, Udp, 3478),
        ] {
            let uri = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let found = (uri.scheme.relays(), uri.carrier(), uri.port());
            assert_eq!(found, (relays, carrier, port), "{text}");
            assert_eq!(uri.to_string(), text);
        }
    }

    #[test]
    fn what_is_written_in_another_way_is_the_same() {
        for (text, same) in [
            (
                "TURN:example.org?Transport=UDP",
                "turn:example.org?transport=udp",
            ),
            ("Stuns:example.org", "stuns:example.org"),
            ("turn:example.org:03478", "turn:example.org:3478"),
            ("turn:[2001:DB8:0:0::1]", "turn:[2001:db8::1]"),
        ] {
            assert_eq!(parse(text), parse(same), "{text}");
            assert_eq!(parse(text).unwrap().to_string(), same);
        }
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for (text, why) in [
            ("", BadUri::NoScheme),
            ("turn.example.org", BadUri::NoScheme),
            ("http://a", BadUri::UnknownScheme("http".into())),
            (" turn:a", BadUri::UnknownScheme(" turn".into())),
            ("turn://a", BadUri::Slashes),
            ("turn:", BadUri::NoHost),
            ("turn::3478", BadUri::NoHost),
            ("turn:?transport=udp", BadUri::NoHost),
            ("turn:a:", BadUri::NotAPort(String::new())),
            ("turn:a:0", BadUri::NotAPort("0".into())),
            ("turn:a:99999", BadUri::NotAPort("99999".into())),
            ("turn:a:+5", BadUri::NotAPort("+5".into())),
            ("turn:a:x", BadUri::NotAPort("x".into())),
            ("turn:a?transport=tls", BadUri::Query),
            ("turn:a?transport=udp&x", BadUri::Query),
            ("turn:a?", BadUri::Query),
            ("stun:a?transport=udp", BadUri::NoQuery(Scheme::Stun)),
            ("stuns:a?", BadUri::NoQuery(Scheme::Stuns)),
            ("turn:::1", BadUri::Brackets),
            ("turn:[::1", BadUri::Brackets),
            ("turn:[::1]x", BadUri::Behind("x".into())),
            ("turn:[a]:5", BadUri::NotIpv6("a".into())),
            (
                "turn:[fe80::1%25eth0]",
                BadUri::NotIpv6("fe80::1%25eth0".into()),
            ),
            ("turn:[v1.a]", BadUri::NotIpv6("v1.a".into())),
            ("turn:user@a", BadUri::NotAHost("user@a".into())),
            ("turn:a/b", BadUri::NotAHost("a/b".into())),
            ("turn:a#b", BadUri::NotAHost("a#b".into())),
            ("turn:a b", BadUri::NotAHost("a b".into())),
            (
                "turn:b%C3%BCcher.example",
                BadUri::NotAHost("b%C3%BCcher.example".into()),
            ),
            ("turn:256.0.0.1", BadUri::NotAHost("256.0.0.1".into())),
            ("turn:1.2.3", BadUri::NotAHost("1.2.3".into())),
            ("turn:...", BadUri::NotAHost("...".into())),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }

    fn uri() -> impl Strategy<Value = ServerUri> {
        let host = prop_oneof![
            "[a-zA-Z0-9_-]{1,20}(\\.[a-zA-Z0-9-]{1,20}){0,3}\\.[a-z]{1,10}".prop_map(Host::Name),
            any::<Ipv4Addr>().prop_map(|ip| Host::Address(ip.into())),
            any::<Ipv6Addr>().prop_map(|ip| Host::Address(ip.into())),
        ];
        let scheme = prop_oneof![
            Just(Scheme::Stun),
            Just(Scheme::Stuns),
            Just(Scheme::Turn),
            Just(Scheme::Turns)
        ];
        let transport = prop_oneof![Just(UriTransport::Udp), Just(UriTransport::Tcp)];
        let port = proptest::option::of(1..=u16::MAX);
        let parts = (scheme, host, port, proptest::option::of(transport));
        parts.prop_map(|(scheme, host, port, transport)| ServerUri {
            scheme,
            host,
            port,
            transport: transport.filter(|_| scheme.relays()),
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_the_same(uri in uri()) {
            prop_assert_eq!(parse(&uri.to_string()), Ok(uri));
        }

        #[test]
        fn what_is_read_is_printed_as_it_will_be_read(text in "(?i:turns?|stuns?):\\[?[a-f0-9.:]{0,9}\\]?:?[0-9]{0,5}(\\?transport=(udp|TCP|x))?") {
            if let Ok(uri) = parse(&text) {
                let printed = uri.to_string();
                prop_assert_eq!(parse(&printed).map(|again| again.to_string()), Ok(printed));
                prop_assert_eq!(parse(&text.to_ascii_uppercase()).map(|uri| uri.port()), Ok(uri.port()));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}

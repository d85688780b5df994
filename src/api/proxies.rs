//! Whose request it is, where web servers pass it on.
//!
//! Each proxy appends to X-Forwarded-For or Forwarded (RFC 7239) the address that it was asked from, behind
//! whatever the client itself wrote there. So the headers are read from the right, as far as the addresses
//! are those of trusted proxies, and the first other one is the client's; what stands to its left is never
//! looked at. From anyone but a trusted proxy both headers are ignored.
//!
//! Most proxies set one of the two headers and pass the other on as the client wrote it. Which one that is
//! cannot be told, so where both are present they have to agree; otherwise, or where an address cannot be
//! read, the request counts as the proxy's own, with those of everyone who tries the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderValue};

/// The proxies whose word is taken.
#[derive(Default)]
pub(super) struct Proxies(Vec<RangeInclusive<IpAddr>>);

/// The address that a request comes from, in its canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client(pub(super) IpAddr);

impl Proxies {
    pub(super) fn new(ranges: &[RangeInclusive<IpAddr>]) -> Self {
        let canonical = |range: &RangeInclusive<IpAddr>| {
            range.start().to_canonical()..=range.end().to_canonical()
        };
        Self(ranges.iter().map(canonical).collect())
    }

    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        // A range that begins and ends in one family holds that family alone.
        let address = address.to_canonical();
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Finds out who sent a request with `headers` that `peer` delivered.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Client {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return Client(peer);
        }
        let by_list = headers.get_all("x-forwarded-for").iter().rev();
        let by_list = self.first_stranger(by_list.flat_map(list));
        let by_pairs = headers.get_all("forwarded").iter().rev();
        let by_pairs = self.first_stranger(by_pairs.flat_map(forwarded));
        let named = match (by_list, by_pairs) {
            (Ok(Some(client)), Ok(None)) | (Ok(None), Ok(Some(client))) => Some(client),
            (Ok(Some(one)), Ok(Some(other))) if one == other => Some(one),
            _ => None,
        };
        if named.is_none() {
            tracing::debug!(proxy = %peer, "a trusted proxy does not say who asks");
        }
        Client(named.unwrap_or(peer))
    }

    /// Goes along the addresses that requests passed through, from the nearest on, to the first that is not
    /// a trusted proxy; if all are, the furthest one asked.
    fn first_stranger(
        &self,
        hops: impl Iterator<Item = Result<IpAddr, Unreadable>>,
    ) -> Result<Option<IpAddr>, Unreadable> {
        let mut furthest = None;
        for hop in hops {
            let hop = hop?;
            furthest = Some(hop);
            if !self.trusts(hop) {
                break;
            }
        }
        Ok(furthest)
    }
}

/// What should be an address is none.
#[derive(Debug, PartialEq, Eq)]
struct Unreadable;

type Hop = Result<IpAddr, Unreadable>;

/// The addresses of an X-Forwarded-For line, from right to left.
fn list(line: &HeaderValue) -> impl Iterator<Item = Hop> {
    // Bytes, as the client's part may be anything.
    let items = line.as_bytes().rsplit(|&byte| byte == b',');
    items
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
        .map(node)
}

/// The `for=` addresses of a Forwarded line, from right to left.
fn forwarded(line: &HeaderValue) -> impl Iterator<Item = Hop> {
    let elements = split_unquoted(line.as_bytes(), b',');
    let (elements, unreadable) = match elements {
        Ok(elements) => (elements, None),
        Err(unreadable) => (Vec::new(), Some(Err(unreadable))),
    };
    let elements = elements.into_iter().rev().map(<[u8]>::trim_ascii);
    let hops = elements.filter(|element| !element.is_empty()).map(for_of);
    unreadable.into_iter().chain(hops)
}

/// RFC 7239 §4: pairs between semicolons, each name once and without case.
fn for_of(element: &[u8]) -> Hop {
    let mut found = None;
    for pair in split_unquoted(element, b';')? {
        let equals = pair.iter().position(|&byte| byte == b'=');
        let (name, value) = pair.split_at(equals.ok_or(Unreadable)?);
        if name.trim_ascii().eq_ignore_ascii_case(b"for") && found.replace(&value[1..]).is_some() {
            return Err(Unreadable);
        }
    }
    let value = found.ok_or(Unreadable)?.trim_ascii();
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|v| v.strip_suffix(b"\""));
    node(inner.unwrap_or(value))
}

/// Splits at separators outside of quoted strings (RFC 9110 §5.6.4). A string that does not end spoils the
/// whole: what a proxy appended may stand inside of it.
fn split_unquoted(text: &[u8], separator: u8) -> Result<Vec<&[u8]>, Unreadable> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(|&byte| {
        let is_escaped = std::mem::take(&mut escaped);
        match byte {
            _ if is_escaped => false,
            b'\\' => {
                escaped = quoted;
                false
            }
            b'"' => {
                quoted = !quoted;
                false
            }
            _ => byte == separator && !quoted,
        }
    });
    let parts = parts.collect();
    if quoted { Err(Unreadable) } else { Ok(parts) }
}

/// Reads an address with a port or none: RFC 7239 §6, and what X-Forwarded-For is seen to hold. `unknown`
/// and obfuscated names are no addresses.
fn node(text: &[u8]) -> Hop {
    let text = str::from_utf8(text).map_err(|_| Unreadable)?;
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or(Unreadable)?;
            let is_port = after.strip_prefix(':').is_some_and(is_port);
            let address = address.parse::<Ipv6Addr>().ok();
            address
                .filter(|_| after.is_empty() || is_port)
                .map(IpAddr::V6)
        }
        None => text.parse().ok().or_else(|| {
            let (address, port) = text.split_once(':')?;
            let address = address.parse::<Ipv4Addr>().ok();
            address.filter(|_| is_port(port)).map(IpAddr::V4)
        }),
    };
    Ok(address.ok_or(Unreadable)?.to_canonical())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    /// Trusts 10.0.0.0/8, one IPv4-mapped address, and one IPv6 address.
    fn proxies() -> Proxies {
        let mapped = ip("::ffff:192.0.2.1");
        let v6 = ip("2001:db8::1");
        Proxies::new(&[
            ip("10.0.0.0")..=ip("10.255.255.255"),
            mapped..=mapped,
            v6..=v6,
        ])
    }

    /// The client of a request that `peer` delivered with these header lines.
    fn client(peer: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            headers.append(HeaderName::from_static(name), value);
        }
        proxies().client(ip(peer), &headers).0.to_string()
    }

    #[test]
    fn without_a_trusted_proxy_the_headers_say_nothing() {
        let claims = [
            ("x-forwarded-for", "198.51.100.1"),
            ("forwarded", "for=198.51.100.1"),
        ];
        for peer in ["11.0.0.1", "2001:db8::2", "127.0.0.1", "::a00:1"] {
            assert_eq!(client(peer, &claims), peer);
        }
        for peer in ["10.0.0.1", "::ffff:10.0.0.1", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(client(peer, &claims), "198.51.100.1", "{peer}");
        }
    }

    #[test]
    fn the_rightmost_stranger_is_the_client() {
        for (line, expected) in [
            ("198.51.100.1", "198.51.100.1"),
            ("203.0.113.9, 198.51.100.1", "198.51.100.1"),
            (
                "203.0.113.9,198.51.100.1,10.0.0.2 , 10.0.0.3",
                "198.51.100.1",
            ),
            // What a client wrote cannot hide it.
            ("garbage\"\u{e4}, 198.51.100.1", "198.51.100.1"),
            ("198.51.100.1, ", "198.51.100.1"),
            ("198.51.100.1:4711", "198.51.100.1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("2001:db8::2", "2001:db8::2"),
            ("[2001:db8::2]:4711", "2001:db8::2"),
            // A client among the trusted.
            ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ] {
            assert_eq!(
                client("10.0.0.1", &[("x-forwarded-for", line)]),
                expected,
                "{line}"
            );
        }
        let lines = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", "198.51.100.1"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "198.51.100.1");
    }

    #[test]
    fn forwarded_is_read_as_rfc_7239_has_it() {
        for (line, expected) in [
            ("for=198.51.100.1", "198.51.100.1"),
            ("For=\"198.51.100.1:4711\"", "198.51.100.1"),
            ("for=\"[2001:db8::2]\"", "2001:db8::2"),
            ("FOR=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=198.51.100.1;proto=http;by=10.0.0.1", "198.51.100.1"),
            ("proto=http; for=198.51.100.1", "198.51.100.1"),
            (
                "for=203.0.113.9, for=198.51.100.1, for=10.0.0.2",
                "198.51.100.1",
            ),
            ("for=_hidden, for=198.51.100.1", "198.51.100.1"),
            (
                "by=\"a,\\\";for=6.6.6.6\", for=198.51.100.1",
                "198.51.100.1",
            ),
            ("host=\"a,b;for=6.6.6.6\";for=198.51.100.1", "198.51.100.1"),
        ] {
            assert_eq!(
                client("10.0.0.1", &[("forwarded", line)]),
                expected,
                "{line}"
            );
        }
        // The line of the nearest proxy is the last one, and stands for itself.
        let lines = [
            ("forwarded", "for=\"open"),
            ("forwarded", "for=198.51.100.1"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "198.51.100.1");
    }

    #[test]
    fn what_cannot_be_read_counts_as_the_proxys_own() {
        for line in [
            "",
            ",",
            "unknown",
            "_hidden",
            "app.example.org",
            "198.51.100.1.",
            "198.51.100.1:",
            "198.51.100.1:+1",
            "198.51.100.1:99999",
            "[2001:db8::2",
            "[2001:db8::2]4711",
            "[198.51.100.1]",
            "fe80::2%eth0",
            "203.0.113.9, unknown",
            "unknown, 10.0.0.2",
        ] {
            assert_eq!(
                client("10.0.0.1", &[("x-forwarded-for", line)]),
                "10.0.0.1",
                "{line}"
            );
        }
        for line in [
            "",
            "198.51.100.1",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "proto=https",
            "for=198.51.100.1;for=203.0.113.9",
            "for=\"198.51.100.1",
            // A client's open string swallows what the proxy appends.
            "for=6.6.6.6;x=\", for=198.51.100.1",
            "for=6.6.6.6;x=\", for=\"[2001:db8::2]\"",
            "for=6.6.6.6, x=\"\\, for=\"[2001:db8::2]\"",
        ] {
            assert_eq!(
                client("10.0.0.1", &[("forwarded", line)]),
                "10.0.0.1",
                "{line}"
            );
        }
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn both_headers_have_to_agree() {
        let both = |list, pairs| {
            client(
                "10.0.0.1",
                &[("x-forwarded-for", list), ("forwarded", pairs)],
            )
        };
        assert_eq!(both("198.51.100.1", "for=198.51.100.1"), "198.51.100.1");
        assert_eq!(both("198.51.100.1", "for=\"[2001:db8::2]\""), "10.0.0.1");
        assert_eq!(both("198.51.100.1", "for=unknown"), "10.0.0.1");
        assert_eq!(both("unknown", "for=198.51.100.1"), "10.0.0.1");
        // A header without any address is none.
        assert_eq!(both("198.51.100.1", ""), "198.51.100.1");
    }
}

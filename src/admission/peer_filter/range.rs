//! A range of addresses, in the three ways an operator may write it.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

/// An inclusive range of addresses of one family, as the operator wrote it: a network
/// (`10.0.0.0/8`), an address (`192.0.2.7`), or the first and the last (`192.0.2.10-192.0.2.20`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerRange {
    span: Span,
    text: String,
}

impl PeerRange {
    /// Whether `ip` lies in the range. An IPv4 address is never in a range of IPv6 ones.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let Span { first, last, .. } = self.span;
        // Families would compare, too: every IPv4 address is less than every IPv6 one.
        first.is_ipv4() == ip.is_ipv4() && (first..=last).contains(&ip)
    }

    /// The first and the last address.
    pub fn addresses(&self) -> RangeInclusive<IpAddr> {
        self.span.first..=self.span.last
    }

    pub(super) fn span(&self) -> Span {
        self.span
    }
}

/// What the operator wrote.
impl fmt::Display for PeerRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PeerRange {
    type Err = ParseRangeError;

    fn from_str(text: &str) -> Result<Self, ParseRangeError> {
        let text = text.trim();
        let span = if text.contains('/') {
            network(text)?
        } else if let Some((first, last)) = text.split_once('-') {
            first_to_last(text, first.trim(), last.trim())?
        } else {
            let address = address(text, text)?;
            Span::address(address)
        };
        Ok(Self {
            span,
            text: text.to_owned(),
        })
    }
}

/// Why a text is no range, and what to write.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ParseRangeError {
    /// Not in any of the three notations.
    #[error(
        "`{text}` is no range of addresses: write a network such as `192.0.2.0/24`, an address \
         such as `192.0.2.7`, or the first and the last such as `192.0.2.10-192.0.2.20`"
    )]
    NotARange {
        /// The whole text.
        text: String,
    },
    /// The number behind the slash is none, or too large for the family.
    #[error("`{text}` has no valid prefix length: write a number from 0 to {max} after the slash")]
    PrefixLength {
        /// The whole text.
        text: String,
        /// 32 or 128.
        max: u8,
    },
    /// The address is inside the network rather than its first one.
    #[error(
        "`{text}` is not the beginning of a network: write `{network}` for the network, \
         or `{address}` for the one address"
    )]
    HostBits {
        /// The whole text.
        text: String,
        /// The network that the address lies in.
        network: IpNet,
        /// The address alone.
        address: IpAddr,
    },
    /// The first and the last address are of different families.
    #[error("`{text}` mixes IPv4 and IPv6: write one range for each")]
    MixedFamilies {
        /// The whole text.
        text: String,
    },
    /// The last address is before the first.
    #[error("`{text}` ends before it begins: write `{last}-{first}`")]
    Reversed {
        /// The whole text.
        text: String,
        /// The address on the left.
        first: IpAddr,
        /// The address on the right.
        last: IpAddr,
    },
}

fn network(text: &str) -> Result<Span, ParseRangeError> {
    let (ip, prefix) = text.split_once('/').unwrap_or((text, ""));
    let ip = address(text, ip)?;
    let invalid = || ParseRangeError::PrefixLength {
        text: text.to_owned(),
        max: if ip.is_ipv4() { 32 } else { 128 },
    };
    // `parse` would take a leading plus sign.
    if !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let prefix = prefix.parse().map_err(|_| invalid())?;
    let network = IpNet::new(ip, prefix).map_err(|_| invalid())?;
    if network.trunc() != network {
        return Err(ParseRangeError::HostBits {
            text: text.to_owned(),
            network: network.trunc(),
            address: ip,
        });
    }
    Ok(Span::network(network))
}

fn first_to_last(text: &str, first: &str, last: &str) -> Result<Span, ParseRangeError> {
    let (first, last) = (address(text, first)?, address(text, last)?);
    if first.is_ipv4() != last.is_ipv4() {
        let text = text.to_owned();
        return Err(ParseRangeError::MixedFamilies { text });
    }
    if last < first {
        let text = text.to_owned();
        return Err(ParseRangeError::Reversed { text, first, last });
    }
    Ok(Span {
        first,
        last,
        notation: Notation::FirstToLast,
    })
}

fn address(text: &str, address: &str) -> Result<IpAddr, ParseRangeError> {
    address.parse().map_err(|_| ParseRangeError::NotARange {
        text: text.to_owned(),
    })
}

/// The addresses of a range, and how to write it: a [`PeerRange`] that fits into a `Copy` type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: IpAddr,
    pub(super) last: IpAddr,
    notation: Notation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    Network { prefix: u8 },
    Address,
    FirstToLast,
}

impl Span {
    pub(super) fn address(address: IpAddr) -> Self {
        Self {
            first: address,
            last: address,
            notation: Notation::Address,
        }
    }

    fn network(network: IpNet) -> Self {
        Self {
            first: network.network(),
            last: network.broadcast(),
            notation: Notation::Network {
                prefix: network.prefix_len(),
            },
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, last, .. } = self;
        match self.notation {
            Notation::Network { prefix } => write!(f, "{first}/{prefix}"),
            Notation::Address => write!(f, "{first}"),
            Notation::FirstToLast => write!(f, "{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> PeerRange {
        text.parse().expect(text)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    fn error(text: &str) -> String {
        text.parse::<PeerRange>()
            .expect_err("not a range")
            .to_string()
    }

    #[test]
    fn a_network_holds_its_first_and_last_address() {
        let range = range("10.0.0.0/8");
        for inside in ["10.0.0.0", "10.1.2.3", "10.255.255.255"] {
            assert!(range.contains(ip(inside)), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "::ffff:10.0.0.1", "::a00:1"] {
            assert!(!range.contains(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn a_network_may_be_everything_or_one_address() {
        assert!(range("0.0.0.0/0").contains(ip("255.255.255.255")));
        assert!(!range("0.0.0.0/0").contains(ip("::1")));
        assert!(range("::/0").contains(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")));
        assert!(range("2001:db8::1/128").contains(ip("2001:db8::1")));
        assert!(!range("2001:db8::1/128").contains(ip("2001:db8::2")));
    }

    #[test]
    fn first_and_last_are_both_inside() {
        for text in ["192.0.2.10-192.0.2.20", " 192.0.2.10 - 192.0.2.20 "] {
            assert!(range(text).contains(ip("192.0.2.10")));
            assert!(range(text).contains(ip("192.0.2.20")));
            assert!(!range(text).contains(ip("192.0.2.9")));
            assert!(!range(text).contains(ip("192.0.2.21")));
        }
        assert!(range("192.0.2.7-192.0.2.7").contains(ip("192.0.2.7")));
    }

    #[test]
    fn a_range_is_shown_as_it_was_written() {
        for text in [
            "10.0.0.0/8",
            "192.0.2.7",
            "2001:DB8:0::/48",
            "2001:db8::1-2001:db8::ff",
        ] {
            assert_eq!(range(text).to_string(), text);
        }
    }

    #[test]
    fn a_span_is_shown_in_the_operators_notation() {
        for text in ["192.0.2.0/32", "192.0.2.0", "192.0.2.0-192.0.2.255", "::/0"] {
            assert_eq!(range(text).span().to_string(), text);
        }
    }

    #[test]
    fn host_bits_are_refused_with_the_network_to_write() {
        assert_eq!(
            error("10.1.2.3/8"),
            "`10.1.2.3/8` is not the beginning of a network: write `10.0.0.0/8` for the network, \
             or `10.1.2.3` for the one address"
        );
        assert!(error("2001:db8::1/64").contains("write `2001:db8::/64`"));
    }

    #[test]
    fn what_is_no_range_is_refused_with_a_sentence() {
        for text in [
            "",
            "-",
            "/",
            "/8",
            "example.org",
            "10.0.0/8",
            "10.0.0.0.0",
            "010.0.0.1",
            "[::1]",
            "10.0.0.1:80",
            "10.0.0.1 # gateway",
            "10.0.0.1-",
            "10.0.0.1-10.0.0.2-10.0.0.3",
            "fe80::1%eth0",
        ] {
            assert!(error(text).contains("is no range of addresses"), "{text:?}");
        }
        for text in [
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/255.0.0.0",
        ] {
            assert!(error(text).contains("from 0 to 32"), "{text:?}");
        }
        for text in ["::/129", "::/256", "::/-1"] {
            assert!(error(text).contains("from 0 to 128"), "{text:?}");
        }
        assert_eq!(
            error("192.0.2.20-192.0.2.10"),
            "`192.0.2.20-192.0.2.10` ends before it begins: write `192.0.2.10-192.0.2.20`"
        );
        assert_eq!(
            error("192.0.2.20-::1"),
            "`192.0.2.20-::1` mixes IPv4 and IPv6: write one range for each"
        );
    }
}

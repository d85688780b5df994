//! Which peers may be reached: denied and allowed address ranges (RFC 8656 §21.2, §21.4).
//!
//! Start at [`PeerFilter::check`]. `table.rs` makes it one binary search, `hidden_ipv4.rs` knows the
//! shapes in which an IPv4 address can pass for an IPv6 one.

use std::cmp::Reverse;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

mod decision;
mod hidden_ipv4;
mod range;
mod special_purpose;
mod table;

pub use decision::{Carried, DecidedBy, Decision};
use hidden_ipv4::hidden_ipv4;
use range::Span;
pub use range::{ParseRangeError, PeerRange};
pub use special_purpose::SPECIAL_PURPOSE;
use table::{Painter, Table, Verdict};

/// Which peers may be reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether the ranges of [`SPECIAL_PURPOSE`] are denied.
    pub deny_special_purpose: bool,
    /// Denied besides those.
    pub denied: Vec<PeerRange>,
    /// Allowed although denied.
    pub allowed: Vec<PeerRange>,
    /// The host's own addresses, denied unless in an allowed range.
    pub own_addresses: Vec<IpAddr>,
}

/// Denies the special-purpose ranges; knows no address of the host yet.
impl Default for Settings {
    fn default() -> Self {
        Self {
            deny_special_purpose: true,
            denied: Vec::new(),
            allowed: Vec::new(),
            own_addresses: Vec::new(),
        }
    }
}

/// Decides which peers may be reached. Never changes, so threads share it as it is.
///
/// 1. The unspecified, multicast and broadcast addresses are denied, whatever is allowed.
/// 2. An allowed range beats everything below.
/// 3. The host's own addresses are denied.
/// 4. The configured ranges are denied, then the special-purpose ones. The narrowest one that holds
///    the address is named.
///
/// An IPv6 address must pass itself, and so must every IPv4 address that hides in it: allowing a range
/// of IPv6 addresses never opens a way to a denied IPv4 one. (Under NAT64's prefix for local use that
/// leaves nothing to reach while 0.0.0.0/8 is denied: each of the four ways to read such an address
/// finds zeros where another one finds the address.)
pub struct PeerFilter {
    ipv4: Table<u32>,
    ipv6: Table<u128>,
}

impl PeerFilter {
    /// Flattens the ranges.
    pub fn new(settings: &Settings) -> Self {
        let mut layers = Layers::new();
        if settings.deny_special_purpose {
            layers.deny(special_purpose_ranges().iter(), Source::SpecialPurpose);
        }
        layers.deny(settings.denied.iter(), Source::Configured);
        for own in &settings.own_addresses {
            layers.paint(Span::address(own.to_canonical()), Err(Rule::OwnAddress));
        }
        for range in &settings.allowed {
            layers.paint(range.span(), Ok(Some(range.span())));
        }
        for (range, rule) in ALWAYS_DENIED {
            layers.paint(builtin(range).span(), Err(rule));
        }
        Self {
            ipv4: layers.ipv4.finish(),
            ipv6: layers.ipv6.finish(),
        }
    }

    /// Whether a peer may be reached.
    ///
    /// It is asked for every relayed packet: it allocates nothing, takes no lock, and costs about 7 ns
    /// for an IPv4 peer and 10 ns for an IPv6 one with the default ranges (20 ns with 50 000 more), on one
    /// core of a small cloud machine of 2026.
    pub fn check(&self, peer: IpAddr) -> Result<(), Denied> {
        let (carried, verdict) = self.decide(peer);
        match verdict {
            Ok(_) => Ok(()),
            Err(rule) => Err(Denied {
                rule: *rule,
                carried,
            }),
        }
    }

    /// The rule that decides, and the IPv4 address in the peer's that it is about, where it is not about the peer's own.
    fn decide(&self, peer: IpAddr) -> (Option<(Ipv6Addr, Ipv4Addr)>, &Verdict) {
        let peer = match peer {
            IpAddr::V4(peer) => return (None, self.ipv4.verdict(peer.to_bits())),
            IpAddr::V6(peer) => peer,
        };
        // First, because it says more: 6to4 as such is denied, too.
        for hidden in hidden_ipv4(peer) {
            let verdict = self.ipv4.verdict(hidden.to_bits());
            if verdict.is_err() {
                return (Some((peer, hidden)), verdict);
            }
        }
        (None, self.ipv6.verdict(peer.to_bits()))
    }
}

/// Why a peer may not be reached; shown as a sentence for the log and the reply's reason phrase, for
/// which it is short enough (RFC 8489 §14.8: fewer than 128 characters).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    rule: Rule,
    /// The IPv6 address that was asked for, and the IPv4 address in it that the rule denies.
    carried: Option<(Ipv6Addr, Ipv4Addr)>,
}

impl std::error::Error for Denied {}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule;
        match (self.carried, rule) {
            (Some((peer, hidden)), _) => write!(f, "denied: {peer} carries {hidden}, {rule}"),
            (None, Rule::Range(_, Source::SpecialPurpose)) => write!(f, "{rule} (special-purpose)"),
            (None, Rule::Range(_, Source::Configured)) => write!(f, "{rule} (configured)"),
            (None, _) => write!(f, "denied: {rule}"),
        }
    }
}

/// What denies an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Range(Span, Source),
    OwnAddress,
    Unspecified,
    Multicast,
    Broadcast,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(span, _) => write!(f, "denied by {span}"),
            Self::OwnAddress => f.write_str("an address of this host"),
            Self::Unspecified => f.write_str("the unspecified address"),
            Self::Multicast => f.write_str("a multicast address"),
            Self::Broadcast => f.write_str("the broadcast address"),
        }
    }
}

/// Where a denied range comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    SpecialPurpose,
    Configured,
}

/// The two tables while they are painted, from the weakest rule to the strongest.
struct Layers {
    ipv4: Painter,
    ipv6: Painter,
}

impl Layers {
    fn new() -> Self {
        Self {
            ipv4: Painter::new(),
            ipv6: Painter::new(),
        }
    }

    /// Paints the widest range first, so that the narrowest stays visible.
    fn deny<'a>(&mut self, ranges: impl Iterator<Item = &'a PeerRange>, source: Source) {
        let mut spans: Vec<Span> = ranges.map(PeerRange::span).collect();
        spans.sort_by_key(|span| Reverse(bits(span.last) - bits(span.first)));
        for span in spans {
            self.paint(span, Err(Rule::Range(span, source)));
        }
    }

    fn paint(&mut self, span: Span, verdict: Verdict) {
        let family = match span.first {
            IpAddr::V4(_) => &mut self.ipv4,
            IpAddr::V6(_) => &mut self.ipv6,
        };
        family.paint(bits(span.first), bits(span.last), verdict);
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn special_purpose_ranges() -> Vec<PeerRange> {
    SPECIAL_PURPOSE.iter().map(|(r, _)| builtin(r)).collect()
}

fn builtin(range: &str) -> PeerRange {
    range.parse().expect("the built-in ranges are tested")
}

/// Denied whatever is allowed: these are no address of one peer.
const ALWAYS_DENIED: [(&str, Rule); 5] = [
    ("0.0.0.0", Rule::Unspecified),
    ("::", Rule::Unspecified),
    ("224.0.0.0/4", Rule::Multicast),
    ("ff00::/8", Rule::Multicast),
    ("255.255.255.255", Rule::Broadcast),
];

#[cfg(test)]
mod tests;

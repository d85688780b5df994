//! Which rule decides, for whoever asks why.

use std::net::{IpAddr, Ipv4Addr};

use super::hidden_ipv4::named;
use super::{Denied, PeerFilter, Rule, Source};

/// What the filter says of a peer, and by which rule. The verdict is that of [`PeerFilter::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be reached.
    pub verdict: Result<(), Denied>,
    /// The address that the rule is about: the peer's, or an IPv4 one in it.
    pub judged: IpAddr,
    /// The rule.
    pub by: DecidedBy,
    /// The IPv4 addresses in the peer's, each of which has to pass as well.
    pub carries: Vec<Carried>,
}

/// A rule. Ranges are written as they are configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecidedBy {
    /// None denies it.
    NoRule,
    /// A range that is allowed whatever else denies it.
    Allowed(String),
    /// A range of [`SPECIAL_PURPOSE`](super::SPECIAL_PURPOSE).
    SpecialPurpose(String),
    /// A range that is denied besides those.
    Denied(String),
    /// An address of this host.
    OwnAddress,
    /// The unspecified address.
    Unspecified,
    /// A multicast address.
    Multicast,
    /// The broadcast address.
    Broadcast,
}

/// An IPv4 address in an IPv6 one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// What the IPv6 address is taken for.
    pub form: &'static str,
    /// The address in it.
    pub address: Ipv4Addr,
}

impl PeerFilter {
    /// As [`check`](Self::check), with the rule that decides.
    pub fn explain(&self, peer: IpAddr) -> Decision {
        let (carried, verdict) = self.decide(peer);
        let carries = match peer {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(peer) => named(peer)
                .into_iter()
                .map(|(form, address)| Carried { form, address })
                .collect(),
        };
        let by = match verdict {
            Ok(None) => DecidedBy::NoRule,
            Ok(Some(span)) => DecidedBy::Allowed(span.to_string()),
            Err(Rule::Range(span, Source::SpecialPurpose)) => {
                DecidedBy::SpecialPurpose(span.to_string())
            }
            Err(Rule::Range(span, Source::Configured)) => DecidedBy::Denied(span.to_string()),
            Err(Rule::OwnAddress) => DecidedBy::OwnAddress,
            Err(Rule::Unspecified) => DecidedBy::Unspecified,
            Err(Rule::Multicast) => DecidedBy::Multicast,
            Err(Rule::Broadcast) => DecidedBy::Broadcast,
        };
        Decision {
            verdict: match verdict {
                Ok(_) => Ok(()),
                Err(rule) => Err(Denied {
                    rule: *rule,
                    carried,
                }),
            },
            judged: carried.map_or(peer, |(_, hidden)| hidden.into()),
            by,
            carries,
        }
    }
}

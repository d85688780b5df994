//! Realms: whose keys, limits and peer rules a request is judged by.
//!
//! ```text
//! the allocation that it is for  ->  ORIGIN  ->  name in the TLS ClientHello  ->  address it came to  ->  default
//! ```
//!
//! The first of these that has a realm decides. So the realm of an allocation never changes, whatever its requests carry.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::counters::RealmCounters;
use super::five_tuple::Flow;
use super::nonce::{Features, NonceKey, Nonces};
use super::peer_policy::PeerPolicy;
use super::relayed_addresses::RelayedAddresses;
use crate::admission::bandwidth::{self, TotalLease};
use crate::admission::peer_filter::PeerFilter;
use crate::admission::quota::Quotas;
use crate::auth::Authenticator;
use crate::wire::message::ATTR_ORIGIN;
use crate::wire::{Extensions, Message};

/// The longest ORIGIN that is looked at: a scheme, a domain name of 253 bytes and a port are shorter.
const MAX_ORIGIN: usize = 300;

/// One of a server's realms; 0 is the default one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RealmId(pub u16);

impl RealmId {
    /// The realm of whoever does not choose another.
    pub const DEFAULT: Self = Self(0);
}

/// What one realm is made from. What is behind an `Arc` is shared by all workers.
pub struct RealmParts {
    /// What chooses it; the default realm needs nothing.
    pub chosen_by: ChosenBy,
    /// Who may come in.
    pub auth: Arc<Authenticator>,
    /// Which peers may be reached.
    pub peers: Arc<PeerFilter>,
    /// How many allocations there may be.
    pub quotas: Arc<Quotas>,
    /// How much each of them may move.
    pub bandwidth: bandwidth::Settings,
    /// This worker's part of what the realm may move together, where that is less than the server's.
    pub total_bandwidth: Option<TotalLease>,
    /// Whether a 403 names the rule that denied the peer.
    pub name_rule_in_reply: bool,
}

/// What chooses a realm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChosenBy {
    /// Values of ORIGIN, as web pages have them: `https://app.example.org`.
    pub origins: Vec<String>,
    /// Names in the TLS ClientHello: `turn.example.org`, or `*.example.org` for any one label before it.
    pub server_names: Vec<String>,
    /// Addresses that clients arrive at.
    pub addresses: Vec<ServerAddress>,
}

/// An address of the server, with one port or with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    /// Whatever the port.
    Ip(IpAddr),
    /// This port alone, which comes before [`Self::Ip`]; of the unspecified address, which comes behind it, that port of each.
    Port(SocketAddr),
}

/// One realm at work.
pub(super) struct Realm {
    /// The name of its challenges.
    pub(super) called: Arc<str>,
    /// The same for the log, where there are several.
    pub(super) name: Option<Arc<str>>,
    pub(super) auth: Arc<Authenticator>,
    pub(super) policy: PeerPolicy,
    pub(super) quotas: Arc<Quotas>,
    pub(super) nonces: Nonces,
    pub(super) bandwidth: bandwidth::Settings,
    pub(super) total_bandwidth: Option<TotalLease>,
    pub(super) name_rule_in_reply: bool,
    /// What its requests may carry beside RFC 8489 and RFC 8656.
    pub(super) extensions: Extensions,
    pub(super) counters: RealmCounters,
}

/// Every realm of a server, and what chooses them.
pub(super) struct Realms {
    /// By itself, so that a server that has no other spends nothing on finding it.
    default: Realm,
    /// The other ones, from 1 on.
    others: Vec<Realm>,
    origins: HashMap<String, RealmId>,
    server_names: HashMap<String, RealmId>,
    addresses: HashMap<ServerAddress, RealmId>,
}

/// What the realms of a server have in common.
pub(super) struct Common<'a> {
    pub(super) relayed: &'a Arc<RelayedAddresses>,
    pub(super) nonce_key: NonceKey,
    pub(super) nonce_lifetime: std::time::Duration,
}

impl Realms {
    pub(super) fn new(default: RealmParts, others: Vec<RealmParts>, common: &Common<'_>) -> Self {
        let are_several = !others.is_empty();
        let mut realms = Self {
            default: Realm::new(default, are_several, common),
            others: Vec::with_capacity(others.len()),
            origins: HashMap::new(),
            server_names: HashMap::new(),
            addresses: HashMap::new(),
        };
        for (parts, id) in others.into_iter().zip(1..) {
            realms.enter(RealmId(id), &parts.chosen_by);
            realms.others.push(Realm::new(parts, are_several, common));
        }
        realms
    }

    fn enter(&mut self, id: RealmId, chosen_by: &ChosenBy) {
        let ChosenBy {
            origins,
            server_names,
            addresses,
        } = chosen_by;
        for origin in origins {
            let origin = canonical_origin(origin).into_owned();
            self.origins.entry(origin).or_insert(id);
        }
        for name in server_names {
            let name = name.to_ascii_lowercase();
            self.server_names.entry(name).or_insert(id);
        }
        for address in addresses {
            self.addresses.entry(*address).or_insert(id);
        }
    }

    #[inline]
    pub(super) fn get(&self, id: RealmId) -> &Realm {
        match id.0 {
            0 => &self.default,
            // A hint of the shell that names no realm is none.
            id => (self.others.get(usize::from(id) - 1)).unwrap_or(&self.default),
        }
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: RealmId) -> &mut Realm {
        match id.0 {
            0 => &mut self.default,
            id => (self.others.get_mut(usize::from(id) - 1)).unwrap_or(&mut self.default),
        }
    }

    /// Each of them, the default one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Realm> {
        std::iter::once(&self.default).chain(&self.others)
    }

    /// Whether any realm takes access tokens.
    pub(super) fn extensions(&self) -> Extensions {
        Extensions {
            access_tokens: self.all().any(|realm| realm.extensions.access_tokens),
        }
    }

    /// The realm that a client chooses by what it says and by the way that it came.
    pub(super) fn choose(&self, flow: &Flow, request: &Message<'_>) -> RealmId {
        if self.others.is_empty() {
            return RealmId::DEFAULT;
        }
        let origin = || self.by_origin(request.get(ATTR_ORIGIN)?);
        let server_name = || (flow.realm != RealmId::DEFAULT).then_some(flow.realm);
        let address = || self.by_address(flow.five_tuple.server);
        let chosen = origin().or_else(server_name).or_else(address);
        chosen.unwrap_or_default()
    }

    fn by_origin(&self, origin: &[u8]) -> Option<RealmId> {
        if self.origins.is_empty() || origin.len() > MAX_ORIGIN {
            return None;
        }
        let origin = std::str::from_utf8(origin).ok()?;
        self.origins.get(canonical_origin(origin).as_ref()).copied()
    }

    fn by_address(&self, address: SocketAddr) -> Option<RealmId> {
        let any: IpAddr = match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let claims = [
            ServerAddress::Port(address),
            ServerAddress::Ip(address.ip()),
            ServerAddress::Port(SocketAddr::new(any, address.port())),
        ];
        let mut found = claims.iter().filter_map(|claim| self.addresses.get(claim));
        found.next().copied()
    }

    /// The realm of a name in a ClientHello: that of the whole name, else that of `*` in the place of its first label.
    pub(super) fn by_server_name(&self, name: &str) -> Option<RealmId> {
        if self.server_names.is_empty() {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let any_label = || {
            let (_, parent) = name.split_once('.')?;
            self.server_names.get(&format!("*.{parent}"))
        };
        self.server_names.get(name).or_else(any_label).copied()
    }
}

impl Realm {
    fn new(parts: RealmParts, are_several: bool, common: &Common<'_>) -> Self {
        let features = Features {
            password_algorithms: parts.auth.has_every_algorithm(),
            username_anonymity: parts.auth.knows_hashes(),
        };
        let called: Arc<str> = Arc::from(parts.auth.realm());
        let (key, lifetime) = (common.nonce_key.clone(), common.nonce_lifetime);
        Self {
            name: are_several.then(|| Arc::clone(&called)),
            called,
            counters: RealmCounters::default(),
            policy: PeerPolicy::new(parts.peers, Arc::clone(common.relayed)),
            nonces: Nonces::new(key, lifetime, features, parts.auth.realm()),
            extensions: Extensions {
                access_tokens: parts.auth.token_server_name().is_some(),
            },
            auth: parts.auth,
            quotas: parts.quotas,
            bandwidth: parts.bandwidth,
            total_bandwidth: parts.total_bandwidth,
            name_rule_in_reply: parts.name_rule_in_reply,
        }
    }
}

/// An origin as browsers write it: without capitals, without its scheme's own port, and without a `/` behind it, although
/// clients that are no browsers may send all of these.
fn canonical_origin(origin: &str) -> Cow<'_, str> {
    let origin = origin.trim_end_matches('\0');
    let origin = origin.strip_suffix('/').unwrap_or(origin);
    let lowered = if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(origin.to_ascii_lowercase())
    } else {
        Cow::Borrowed(origin)
    };
    let own_port = [("https://", ":443"), ("http://", ":80")]
        .into_iter()
        .find(|(scheme, port)| lowered.starts_with(scheme) && lowered.ends_with(port));
    match (own_port, lowered) {
        (None, lowered) => lowered,
        (Some((_, port)), Cow::Borrowed(text)) => Cow::Borrowed(&text[..text.len() - port.len()]),
        (Some((_, port)), Cow::Owned(mut text)) => {
            text.truncate(text.len() - port.len());
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_the_same_however_it_is_written() {
        for (sent, meant) in [
            ("https://app.example.org", "https://app.example.org"),
            ("https://app.example.org/", "https://app.example.org"),
            ("HTTPS://App.Example.org:443", "https://app.example.org"),
            ("https://app.example.org:443", "https://app.example.org"),
            ("http://app.example.org:80/", "http://app.example.org"),
            ("http://app.example.org:443", "http://app.example.org:443"),
            (
                "https://app.example.org:8443",
                "https://app.example.org:8443",
            ),
            ("https://[2001:db8::443]", "https://[2001:db8::443]"),
            ("", ""),
        ] {
            assert_eq!(canonical_origin(sent), meant, "{sent}");
        }
    }
}

//! The addresses of NAT behaviour discovery (RFC 5780 §6): two IP addresses of one family, each with the same two ports.
//!
//! A client learns how its NAT maps and filters by asking for a reply from another of the four than it wrote to.

use std::net::{IpAddr, SocketAddr};

use crate::admission::rate_limit::{self, SourceLimiter};

/// What the operator offers.
#[derive(Clone, Debug)]
pub struct NatDiscovery {
    /// Where it is offered: at most one for each address family.
    pub origins: Vec<Origins>,
    /// Whether a client may have its reply sent to another port of its address (RESPONSE-PORT, RFC 5780 §7.5).
    pub response_port: bool,
    /// How often one source gets a reply of this usage. Each of them also counts as any unauthenticated reply does.
    pub replies: rate_limit::Settings,
}

/// Four transport addresses that replies can leave from. The primary IP address and port come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins {
    /// Two addresses of this host.
    pub addresses: [IpAddr; 2],
    /// The same as clients see them: others where a 1:1 NAT stands before this host.
    pub external: [IpAddr; 2],
    /// Two ports.
    pub ports: [u16; 2],
}

/// One of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    ip: bool,
    port: bool,
}

impl Origin {
    /// The one that the flags of a CHANGE-REQUEST lead to (RFC 5780 §6.1, table 1).
    pub(super) fn changed(self, ip: bool, port: bool) -> Self {
        Self {
            ip: self.ip ^ ip,
            port: self.port ^ port,
        }
    }
}

impl Origins {
    /// Which of the four an address is.
    pub(super) fn find(&self, address: SocketAddr) -> Option<Origin> {
        let ip = self.addresses.iter().position(|ip| *ip == address.ip())?;
        let port = self.ports.iter().position(|port| *port == address.port())?;
        Some(Origin {
            ip: ip == 1,
            port: port == 1,
        })
    }

    /// What a reply leaves from.
    pub(super) fn bound(&self, origin: Origin) -> SocketAddr {
        self.at(&self.addresses, origin)
    }

    /// What clients are told.
    pub(super) fn told(&self, origin: Origin) -> SocketAddr {
        self.at(&self.external, origin)
    }

    fn at(&self, addresses: &[IpAddr; 2], origin: Origin) -> SocketAddr {
        SocketAddr::new(
            addresses[usize::from(origin.ip)],
            self.ports[usize::from(origin.port)],
        )
    }
}

/// What a worker keeps for it.
pub(super) struct Discovery {
    pub(super) offered: Vec<Origins>,
    pub(super) response_port: bool,
    pub(super) limiter: SourceLimiter,
}

impl Discovery {
    pub(super) fn new(settings: &NatDiscovery, seed: u64) -> Self {
        Self {
            offered: settings.origins.clone(),
            response_port: settings.response_port,
            limiter: SourceLimiter::new(&settings.replies, seed),
        }
    }
}

//! Sending new clients to other servers (RFC 8489 §10).

use std::net::SocketAddr;

use super::five_tuple::Flow;
use super::relayed_addresses::Family;
use crate::wire::Message;
use crate::wire::message::{ATTR_ALTERNATE_DOMAIN, ATTR_PASSWORD_ALGORITHM};
use crate::wire::reply::Reply;

/// Where new clients are sent.
#[derive(Clone, Debug, Default)]
pub struct Alternates {
    /// Transport addresses of other servers: each new client is told the next one of its family.
    pub servers: Vec<SocketAddr>,
    /// The name in their certificates, if it is not that of ours.
    pub domain: Option<String>,
}

impl Alternates {
    /// Whether a client that came over this family can be sent away.
    pub(super) fn has(&self, family: Family) -> bool {
        self.of(family).next().is_some()
    }

    /// Adds ALTERNATE-SERVER: of the request's family, then one of the other (RFC 8489 §14.15). `turn` counts the clients.
    pub(super) fn add_to(
        &self,
        reply: Reply,
        flow: &Flow,
        request: &Message<'_>,
        turn: u64,
    ) -> Reply {
        let family = Family::of(flow.five_tuple.server.ip());
        let families = [family, family.other()];
        let next = families.iter().filter_map(|family| {
            let count = self.of(*family).count() as u64;
            self.of(*family).nth((turn.checked_rem(count)?) as usize)
        });
        let reply = next.fold(reply, Reply::alternate_server);
        match &self.domain {
            // RFC 8489 §14.16: where it names what a certificate is checked against, for clients that know of it.
            Some(domain)
                if flow.five_tuple.transport.is_secure()
                    && request.contains(ATTR_PASSWORD_ALGORITHM) =>
            {
                reply.with_raw(ATTR_ALTERNATE_DOMAIN, domain.as_bytes())
            }
            Some(_) | None => reply,
        }
    }

    fn of(&self, family: Family) -> impl Iterator<Item = SocketAddr> {
        let all = self.servers.iter().copied();
        all.filter(move |server| Family::of(server.ip()) == family)
    }
}

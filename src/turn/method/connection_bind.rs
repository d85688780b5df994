//! ConnectionBind: a client connection that becomes the other half of a peer's (RFC 6062 §5.4).

use stun::attributes::ATTR_CONNECTION_ID;

use crate::turn::five_tuple::Flow;
use crate::turn::output::{ConnectionId, Output, RelayId};
use crate::turn::peer_connections::State;
use crate::turn::reject::Reject;
use crate::turn::request::Authenticated;
use crate::turn::server::Server;
use crate::wire::reply::Reply;
use crate::wire::{Message, Method};

impl Server {
    /// Binds the client's connection, once that has been answered.
    pub(in crate::turn) fn connection_bind(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        authenticated: &Authenticated,
    ) -> Result<(), Reject> {
        if !flow.five_tuple.transport.is_stream() {
            return Err(Reject::Conflict("ConnectionBind is for TCP and TLS"));
        }
        if self.relay_of(&flow.five_tuple).is_some() {
            return Err(Reject::Conflict("This 5-tuple has an allocation"));
        }
        let connection = connection_id(request).ok_or(Reject::Malformed(
            "CONNECTION-ID missing, or not four bytes",
        ))?;
        let entry = self.peer_connections.get_mut(connection);
        let Some(entry) = entry.filter(|entry| matches!(entry.state, State::Unbound { .. })) else {
            return Err(Reject::NoConnection);
        };
        let allocation = self.slots.get(entry.relay).ok_or(Reject::NoConnection)?;
        // RFC 6062 §4.3: with the credentials of the allocation.
        if !allocation.owner.may_be(authenticated) {
            return Err(Reject::OtherUser);
        }
        entry.state = State::Bound;
        let reply = Reply::success(request)
            .software(self.settings.software.as_deref())
            .sign(authenticated.key.as_bytes());
        self.reply(flow, reply);
        self.outputs
            .push_back(Output::BindConnection { connection, flow });
        Ok(())
    }

    /// The worker that has the connection which a request would bind, where it is not this one.
    pub(in crate::turn) fn worker_to_bind(
        &self,
        flow: &Flow,
        request: &Message<'_>,
    ) -> Option<usize> {
        let may_be = request.method() == Method::ConnectionBind
            && self.settings.max_peer_connections.is_some()
            && flow.five_tuple.transport.is_stream();
        if !may_be {
            return None;
        }
        let worker = self.peer_connections.worker_of(connection_id(request)?);
        (worker != self.worker).then_some(worker)
    }

    /// The allocation whose connection a request would bind.
    pub(in crate::turn) fn relay_to_bind(&self, request: &Message<'_>) -> Option<RelayId> {
        if request.method() != Method::ConnectionBind {
            return None;
        }
        let connection = self.peer_connections.get(connection_id(request)?)?;
        Some(connection.relay)
    }
}

/// CONNECTION-ID (RFC 6062 §6.2.1).
fn connection_id(request: &Message<'_>) -> Option<ConnectionId> {
    let value: [u8; 4] = request.get(ATTR_CONNECTION_ID)?.try_into().ok()?;
    Some(ConnectionId(u32::from_be_bytes(value)))
}

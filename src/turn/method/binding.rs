//! Binding (RFC 8489 §2).

use crate::turn::five_tuple::Flow;
use crate::turn::server::Server;
use crate::wire::Message;
use crate::wire::reply::Reply;

impl Server {
    /// Answers with the address that the client is seen at. Needs no credentials (RFC 8489 §12).
    pub(in crate::turn) fn binding(&mut self, flow: Flow, request: &Message<'_>) {
        let reply = if request.has_unknown() {
            unknown_attributes(request).finish()
        } else {
            // No SOFTWARE, so that an unauthenticated reply stays as small as can be: 32 bytes for IPv4.
            Reply::success(request)
                .mapped(flow.five_tuple.client.0)
                .finish()
        };
        self.reply(flow, reply);
    }
}

/// 420 with UNKNOWN-ATTRIBUTES (RFC 8489 §6.3.1).
pub(in crate::turn) fn unknown_attributes(request: &Message<'_>) -> Reply {
    let reject = crate::turn::Reject::UnknownAttributes;
    Reply::error(request, reject.code(), &reject.reason(false)).unknown(request.unknown())
}

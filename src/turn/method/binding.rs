//! Binding (RFC 8489 §2).

use crate::turn::Now;
use crate::turn::five_tuple::Flow;
use crate::turn::reject::Reject;
use crate::turn::server::{FromClient, Server};
use crate::turn::trace::Outcome;
use crate::wire::reply::{Reply, SmallReply};
use crate::wire::{Extensions, Message, Method};

impl Server {
    /// Answers with the address that the client is seen at. Needs no credentials (RFC 8489 §12).
    pub(in crate::turn) fn binding(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        now: Now,
    ) -> FromClient {
        if !self.may_answer(&flow, now) {
            return FromClient::Dropped;
        }
        if let Some(answered) = self.discover(flow, request, now) {
            return answered;
        }
        if request.has_unknown(self.extensions) {
            self.traces
                .note_outcome(Outcome::refused(&Reject::UnknownAttributes));
            let reply = unknown_attributes(request, self.extensions);
            self.reply(flow, reply.finish());
            return FromClient::Control;
        }
        self.counters.successes[Method::Binding as usize] += 1;
        // No SOFTWARE, so that an unauthenticated reply stays as small as can be: 32 bytes for IPv4.
        FromClient::Reply(SmallReply::mapped(request, flow.five_tuple.client.0))
    }
}

/// 420 with UNKNOWN-ATTRIBUTES (RFC 8489 §6.3.1).
pub(in crate::turn) fn unknown_attributes(request: &Message<'_>, extensions: Extensions) -> Reply {
    let reject = Reject::UnknownAttributes;
    let reply = Reply::error(request, reject.code(), &reject.reason(false));
    reply.unknown(request.unknown(extensions))
}

//! Binding requests in NAT behaviour discovery (RFC 5780 §6.1).

use std::net::SocketAddr;

use stun::attributes::{
    ATTR_CHANGE_REQUEST, ATTR_MAPPED_ADDRESS, ATTR_OTHER_ADDRESS, ATTR_PADDING,
    ATTR_RESPONSE_ORIGIN, ATTR_RESPONSE_PORT, AttrType,
};

use crate::admission::bandwidth::Direction;
use crate::turn::counters::{DropReason, Limit};
use crate::turn::five_tuple::{Flow, Transport};
use crate::turn::nat_discovery::{Discovery, Origin, Origins};
use crate::turn::server::{FromClient, Server};
use crate::turn::{Now, Output, Reject};
use crate::wire::message::Extensions;
use crate::wire::reply::Reply;
use crate::wire::{Message, Method};

/// The PADDING of a reply is no longer: the MTU of Ethernet, with which a reply has to be fragmented.
const MAX_PADDING: usize = 1500;
/// Of an attribute.
const HEADER: usize = 4;
/// A reply to a port that nobody has written from weighs more with the limiter.
const RESPONSE_PORT_WEIGHT: usize = 2;

/// What a request asks for.
#[derive(Clone, Copy, Default)]
struct Asked {
    change_ip: bool,
    change_port: bool,
    response_port: Option<u16>,
    /// The length of PADDING.
    padding: Option<usize>,
}

impl Server {
    /// Answers a request that came to one of the four addresses. `None`: it is to be answered as any Binding request is, because
    /// it came elsewhere, or because it asks for nothing of this usage and its source has had its share of larger replies.
    pub(super) fn discover(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        now: Now,
    ) -> Option<FromClient> {
        let Discovery {
            offered,
            response_port,
            limiter,
        } = self.discovery.as_mut()?;
        // RFC 5780 §6.1, table 1: a connection cannot be answered from another address.
        if flow.five_tuple.transport != Transport::Udp {
            return None;
        }
        let server = flow.five_tuple.server;
        let (origins, origin) = offered
            .iter()
            .find_map(|origins| Some((origins, origins.find(server)?)))?;
        let asked = match Asked::of(request, *response_port, self.extensions) {
            Ok(asked) => asked,
            Err(refusal) => {
                self.reply(flow, refusal.finish());
                return Some(FromClient::Control);
            }
        };
        let client = flow.five_tuple.client.0;
        let to = SocketAddr::new(client.ip(), asked.response_port.unwrap_or(client.port()));
        let from = origin.changed(asked.change_ip, asked.change_port);
        let weight = match asked.response_port {
            Some(_) => RESPONSE_PORT_WEIGHT,
            None => 1,
        };
        if (0..weight).all(|_| limiter.allow(client.ip(), now.instant)) {
            self.counters.successes[Method::Binding as usize] += 1;
            self.outputs.push_back(Output::ReplyFrom {
                from: origins.bound(from),
                to,
                bytes: response(request, client, origins, (origin, from), asked.padding),
            });
            return Some(FromClient::Control);
        }
        self.counters.note_limit(Limit::NatDiscoveryReplies);
        // What it carries beyond RFC 8489 is of this usage.
        if !request.has_unknown(self.extensions) {
            return None;
        }
        self.dropped(Direction::ToPeer, DropReason::ReplyLimit);
        Some(FromClient::Dropped)
    }
}

/// The comprehension-required attributes of this usage.
fn known(response_port: bool) -> &'static [AttrType] {
    const ALL: [AttrType; 3] = [ATTR_CHANGE_REQUEST, ATTR_PADDING, ATTR_RESPONSE_PORT];
    if response_port { &ALL } else { &ALL[..2] }
}

impl Asked {
    /// Reads a request; the error is the response that refuses it.
    fn of(
        request: &Message<'_>,
        response_port: bool,
        extensions: Extensions,
    ) -> Result<Self, Reply> {
        let refusal = |reject: Reject| Reply::error(request, reject.code(), &reject.reason(false));
        let unknown = request.unknown_but(known(response_port), extensions);
        if unknown.is_empty() {
            Self::read(request).map_err(refusal)
        } else {
            Err(refusal(Reject::UnknownAttributes).unknown(unknown))
        }
    }

    fn read(request: &Message<'_>) -> Result<Self, Reject> {
        let mut asked = Self::default();
        // RFC 5780 §7.2: A is "change IP", B is "change port".
        if let Some(value) = request.get(ATTR_CHANGE_REQUEST) {
            let &[_, _, _, flags] = value else {
                return Err(Reject::Malformed("CHANGE-REQUEST has four bytes"));
            };
            asked.change_ip = flags & 4 != 0;
            asked.change_port = flags & 2 != 0;
        }
        // RFC 5780 §7.5: two bytes and two of padding, which some clients count into the length.
        if let Some(value) = request.get(ATTR_RESPONSE_PORT) {
            match *value {
                [high, low] | [high, low, _, _] if (high, low) != (0, 0) => {
                    asked.response_port = Some(u16::from_be_bytes([high, low]));
                }
                _ => return Err(Reject::Malformed("RESPONSE-PORT is not a port")),
            }
        }
        asked.padding = request.get(ATTR_PADDING).map(<[u8]>::len);
        if asked.padding.is_some() && asked.response_port.is_some() {
            return Err(Reject::Conflict(
                "PADDING and RESPONSE-PORT exclude each other",
            ));
        }
        Ok(asked)
    }
}

/// The response to a request that came to the first origin, and leaves from the second.
fn response(
    request: &Message<'_>,
    client: SocketAddr,
    origins: &Origins,
    (asked, from): (Origin, Origin),
    padding: Option<usize>,
) -> Vec<u8> {
    let reply = Reply::success(request)
        .mapped(client)
        .plain_address(ATTR_MAPPED_ADDRESS, client)
        .plain_address(ATTR_RESPONSE_ORIGIN, origins.told(from))
        // Whatever the request's flags are.
        .plain_address(ATTR_OTHER_ADDRESS, origins.told(asked.changed(true, true)));
    match padding {
        Some(length) => {
            let length = padding_that_fits(length, reply.size() + HEADER, request.bytes().len());
            reply.with_raw(ATTR_PADDING, &[0; MAX_PADDING][..length])
        }
        None => reply,
    }
    .finish()
}

/// How much PADDING a reply carries: no more than was sent, and none that makes the reply longer than its request, so that
/// nobody gets more bytes sent to a forged source than by other requests. RFC 5780 §6.1 wishes for the interface's MTU: a client
/// that wants a reply of that size sends a request of that size.
fn padding_that_fits(sent: usize, reply: usize, request: usize) -> usize {
    let room = request.saturating_sub(reply);
    sent.min(room).min(MAX_PADDING) / 4 * 4
}

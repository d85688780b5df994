//! What an Allocate asks for (RFC 8656 §7.2, steps 3 to 9).

use std::time::Duration;

use stun::attributes::{
    ATTR_DONT_FRAGMENT, ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_RESERVATION_TOKEN, AttrType,
};
use stun::message::{Getter, Message as StunMessage};
use turn::proto::lifetime::Lifetime;
use turn::proto::reqtrans::RequestedTransport;
use turn::proto::rsrvtoken::ReservationToken as TokenAttribute;
use turn::proto::{PROTO_TCP, PROTO_UDP};

use crate::turn::five_tuple::{Flow, Transport};
use crate::turn::output::{ReservationToken, Want};
use crate::turn::reject::Reject;
use crate::turn::relayed_addresses::{Family, Protocol};
use crate::turn::server::Server;
use crate::wire::Message;
use crate::wire::message::{ATTR_ADDITIONAL_ADDRESS_FAMILY, ATTR_DRAFT_ADDITIONAL_ADDRESS_FAMILY};

/// What an Allocate asks for, once its attributes have been understood.
pub(super) struct Wish {
    pub(super) protocol: Protocol,
    pub(super) families: Families,
    pub(super) want: Want,
    pub(super) lifetime: Duration,
    pub(super) reserved: Option<ReservationToken>,
}

/// The families of the relayed transport addresses that are asked for.
#[derive(Clone, Copy)]
pub(super) enum Families {
    One(Family),
    /// IPv4, and IPv6 beside it (ADDITIONAL-ADDRESS-FAMILY).
    Both,
}

impl Server {
    pub(super) fn read_wish(&mut self, request: &Message<'_>, flow: &Flow) -> Result<Wish, Reject> {
        let decoded = request.to_stun();
        // (3) REQUESTED-TRANSPORT.
        let protocol = self.requested_protocol(request, &decoded, flow)?;
        // (4) DONT-FRAGMENT is understood, so there is nothing to check.
        // (5) RESERVATION-TOKEN excludes whatever else would choose an address or port.
        let even_port = match request.get(ATTR_EVEN_PORT) {
            None => None,
            Some([bits]) => Some(bits & 0x80 != 0),
            Some(_) => return Err(Reject::Malformed("EVEN-PORT is one byte")),
        };
        let family = requested_family(request);
        let additional = self.additional_family(request).map(|(_, value)| value);
        let token = if request.contains(ATTR_RESERVATION_TOKEN) {
            if even_port.is_some() || family.is_some() || additional.is_some() {
                return Err(Reject::Conflict(
                    "RESERVATION-TOKEN excludes EVEN-PORT and address families",
                ));
            }
            Some(read_token(&decoded)?)
        } else {
            None
        };
        // (6) One family or an additional one, not both.
        if family.is_some() && additional.is_some() {
            return Err(Reject::Conflict(
                "REQUESTED- and ADDITIONAL-ADDRESS-FAMILY exclude each other",
            ));
        }
        // (7) The family, IPv4 unless asked otherwise. A reserved port has its own, whatever is said here.
        let family = match (family, &token) {
            (Some(family), _) => family?,
            (None, Some(_)) if !self.relayed.has(Family::V4) => Family::V6,
            (None, _) => Family::V4,
        };
        // (8) A pair of ports is of one family.
        if even_port == Some(true) && additional.is_some() {
            return Err(Reject::Conflict(
                "EVEN-PORT with R excludes ADDITIONAL-ADDRESS-FAMILY",
            ));
        }
        // (9) Only IPv6 can be additional.
        let families = match additional {
            None => Families::One(family),
            Some([2, _, _, _]) => Families::Both,
            Some(_) => return Err(Reject::Malformed("Only IPv6 can be an additional family")),
        };
        let lifetime = self.granted_lifetime(&decoded)?;
        let (want, reserved) = match (token, even_port) {
            (Some(token), _) => (Want::Reserved(token), None),
            (None, Some(true)) => {
                let token = ReservationToken(self.random());
                (Want::EvenAndReserve(token), Some(token))
            }
            (None, Some(false)) => (Want::Even, None),
            (None, None) => (Want::Any, None),
        };
        Ok(Wish {
            protocol,
            families,
            want,
            lifetime,
            reserved,
        })
    }

    /// REQUESTED-TRANSPORT, with what RFC 6062 §5.1 asks of one for TCP.
    fn requested_protocol(
        &self,
        request: &Message<'_>,
        decoded: &StunMessage,
        flow: &Flow,
    ) -> Result<Protocol, Reject> {
        let transport: RequestedTransport = required(decoded).map_err(|_| Reject::BadTransport)?;
        match transport.protocol {
            PROTO_UDP => return Ok(Protocol::Udp),
            // RFC 7350 §4.6: as over UDP (RFC 6062 §5.1), whatever else is relayed here.
            PROTO_TCP if flow.five_tuple.transport == Transport::Dtls => {}
            PROTO_TCP if self.settings.max_peer_connections.is_some() => {}
            _ => return Err(Reject::UnsupportedTransport),
        }
        if !flow.five_tuple.transport.is_stream() {
            return Err(Reject::Conflict(
                "Connections are relayed for clients over TCP and TLS",
            ));
        }
        let excluded = [
            ATTR_DONT_FRAGMENT,
            ATTR_EVEN_PORT,
            ATTR_RESERVATION_TOKEN,
            ATTR_ADDITIONAL_ADDRESS_FAMILY,
        ];
        if excluded.iter().any(|typ| request.contains(*typ)) {
            return Err(Reject::Conflict(
                "TCP excludes DONT-FRAGMENT, EVEN-PORT, RESERVATION-TOKEN and a second family",
            ));
        }
        Ok(Protocol::Tcp)
    }

    /// LIFETIME as asked, but no less than the default and no more than the maximum (RFC 8656 §7.2).
    pub(in crate::turn) fn granted_lifetime(
        &self,
        decoded: &StunMessage,
    ) -> Result<Duration, Reject> {
        let asked = if decoded.contains(ATTR_LIFETIME) {
            let lifetime: Lifetime =
                required(decoded).map_err(|_| Reject::Malformed("LIFETIME is four bytes"))?;
            lifetime.0
        } else {
            Duration::ZERO
        };
        let (least, most) = (self.settings.default_lifetime, self.settings.max_lifetime);
        Ok(asked.max(least).min(most))
    }

    /// ADDITIONAL-ADDRESS-FAMILY, and by which number the client knows it.
    pub(super) fn additional_family<'m>(
        &self,
        request: &Message<'m>,
    ) -> Option<(AttrType, &'m [u8])> {
        let known = [
            Some(ATTR_ADDITIONAL_ADDRESS_FAMILY),
            self.settings
                .draft_address_families
                .then_some(ATTR_DRAFT_ADDITIONAL_ADDRESS_FAMILY),
        ];
        let mut known = known.into_iter().flatten();
        known.find_map(|typ| Some((typ, request.get(typ)?)))
    }
}

/// REQUESTED-ADDRESS-FAMILY; `None` if absent, an error for a family that nobody knows.
pub(in crate::turn) fn requested_family(request: &Message<'_>) -> Option<Result<Family, Reject>> {
    match request.get(ATTR_REQUESTED_ADDRESS_FAMILY)? {
        [1, _, _, _] => Some(Ok(Family::V4)),
        [2, _, _, _] => Some(Ok(Family::V6)),
        [_, _, _, _] => Some(Err(Reject::UnsupportedFamily)),
        _ => Some(Err(Reject::Malformed(
            "REQUESTED-ADDRESS-FAMILY is four bytes",
        ))),
    }
}

fn read_token(decoded: &StunMessage) -> Result<ReservationToken, Reject> {
    const MALFORMED: Reject = Reject::Malformed("RESERVATION-TOKEN is eight bytes");
    let token: TokenAttribute = required(decoded).map_err(|_| MALFORMED)?;
    let bytes = token.0.try_into().map_err(|_| MALFORMED)?;
    Ok(ReservationToken(bytes))
}

/// Reads an attribute with its getter.
pub(in crate::turn) fn required<T: Getter + Default>(
    decoded: &StunMessage,
) -> Result<T, stun::Error> {
    let mut attribute = T::default();
    attribute.get_from(decoded)?;
    Ok(attribute)
}

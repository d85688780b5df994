//! The metrics of coturn under its names, for dashboards and alerts that know them.
//!
//! coturn adds a session's traffic when the session ends, and counts whole messages; here data is counted as it is relayed, without
//! headers. Other names of coturn are about its insides, and have no like here.

use super::exposition::{Exposition, Family};
use super::families as family;
use super::page::{Realm, kinds, realms};
use super::snapshot::Snapshot;
use crate::turn::{Amount, Direction, DropReason, ERROR_CODES, Method, Transport};

/// Adds coturn's families.
pub(super) fn add(page: &mut Exposition, shown: &Snapshot) {
    let realms = realms(shown);
    stun(page, shown);
    traffic(page, &realms);
    let mut samples = page.family(&family::TOTAL_ALLOCATIONS);
    for (transport, name) in [
        (Transport::Udp, "UDP"),
        (Transport::Tcp, "TCP"),
        (Transport::Tls, "TLS/TCP"),
        (Transport::Dtls, "DTLS"),
    ] {
        let of_transport = || kinds().filter(|kind| kind.transport == transport);
        let of_realm = |realm: &Realm<'_>| of_transport().map(|kind| realm.live(kind)).sum::<u64>();
        let live: u64 = realms.iter().map(of_realm).sum();
        samples.add(&[("type", name)], live);
    }
    let malformed = shown.sum(|report| {
        let counters = &report.counters;
        counters.drops(Direction::ToPeer, DropReason::Malformed)
    });
    let received = shown.sum(|report| {
        let received = |transport| report.counters.received(transport).packets;
        received(Transport::Udp) + received(Transport::Dtls)
    });
    let processed = received.saturating_sub(malformed);
    page.family(&family::PACKET_PROCESSED).add(&[], processed);
    page.family(&family::PACKET_DROPPED).add(&[], malformed);
}

fn stun(page: &mut Exposition, shown: &Snapshot) {
    let requests = shown.sum(|report| report.counters.requests(Method::Binding));
    page.family(&family::STUN_REQUEST).add(&[], requests);
    let responses = shown.sum(|report| report.counters.successes(Method::Binding));
    page.family(&family::STUN_RESPONSE).add(&[], responses);
    let errors = shown.sum(|report| {
        let of_code = |code| report.counters.errors(Method::Binding, code);
        ERROR_CODES.into_iter().map(of_code).sum()
    });
    page.family(&family::STUN_ERROR).add(&[], errors);
    let sent = shown.sum(|report| report.counters.challenges().sent);
    let withheld = shown.sum(|report| report.counters.challenges().withheld);
    page.family(&family::TURN_401_REQUESTS)
        .add(&[], sent + withheld);
    page.family(&family::TURN_401_RESPONSES).add(&[], sent);
    page.family(&family::TURN_401_DROPPED).add(&[], withheld);
}

/// A family of each realm, the one of all realms together, and which number they show.
type Row = (
    &'static Family,
    &'static Family,
    Direction,
    fn(Amount) -> u64,
);

fn traffic(page: &mut Exposition, realms: &[Realm<'_>]) {
    use Direction::{ToClient, ToPeer};
    let packets = |amount: Amount| amount.packets;
    let bytes = |amount: Amount| amount.bytes;
    let rows: [Row; 8] = [
        (&family::TRAFFIC_RCVP, &family::TOTAL_RCVP, ToPeer, packets),
        (&family::TRAFFIC_RCVB, &family::TOTAL_RCVB, ToPeer, bytes),
        (
            &family::TRAFFIC_SENTP,
            &family::TOTAL_SENTP,
            ToClient,
            packets,
        ),
        (
            &family::TRAFFIC_SENTB,
            &family::TOTAL_SENTB,
            ToClient,
            bytes,
        ),
        (
            &family::PEER_RCVP,
            &family::TOTAL_PEER_RCVP,
            ToClient,
            packets,
        ),
        (
            &family::PEER_RCVB,
            &family::TOTAL_PEER_RCVB,
            ToClient,
            bytes,
        ),
        (
            &family::PEER_SENTP,
            &family::TOTAL_PEER_SENTP,
            ToPeer,
            packets,
        ),
        (
            &family::PEER_SENTB,
            &family::TOTAL_PEER_SENTB,
            ToPeer,
            bytes,
        ),
    ];
    for (by_realm, total, direction, number) in rows {
        let mut samples = page.family(by_realm);
        for realm in realms {
            samples.add(&[("realm", &realm.name)], number(realm.relayed(direction)));
        }
        let sum: u64 = realms
            .iter()
            .map(|realm| number(realm.relayed(direction)))
            .sum();
        page.family(total).add(&[], sum);
    }
}
